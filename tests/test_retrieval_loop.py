"""The loop over an index: real folders, real REPLs of both kinds, scripted models."""

from __future__ import annotations

import json
import threading
from typing import ClassVar

import pytest
from retrieval_corpus import DOCUMENTS, LONG, HashEmbedder

from pyrlm import RLM
from pyrlm.adapters import FakeAdapter
from pyrlm.errors import ConfigurationError, RetrieverError
from pyrlm.redact import register_secret
from pyrlm.retrievers import EmbeddedRetriever, Hit
from pyrlm.seen import Seen

BACKENDS = ["exec", "monty"]
KEY = "sk-" + "a1B2c3D4" * 5
register_secret(KEY)


def python(code):
    return f"```python\n{code}\n```"


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    retriever = EmbeddedRetriever(tmp_path_factory.mktemp("words") / "corpus.idx")
    retriever.index(DOCUMENTS)
    return retriever


@pytest.fixture(scope="module")
def meaning(tmp_path_factory):
    retriever = EmbeddedRetriever(tmp_path_factory.mktemp("meaning") / "corpus.idx", embedder=HashEmbedder())
    retriever.index(DOCUMENTS)
    return retriever


def run(retriever, script, context=None, query="How many round trips?", **options):
    adapter = FakeAdapter(script)
    return RLM(adapter, retriever=retriever, **options).run(query, context), adapter


def shown(retriever, code, backend="exec", **options):
    """Return what `code` printed, as the model saw it."""
    result, adapter = run(retriever, [python(code), "FINAL: done"], repl_backend=backend, **options)
    return adapter.calls[1].messages[-1]["content"], result


@pytest.mark.parametrize("backend", BACKENDS)
def test_code_searches_and_reads(meaning, backend):
    code = """\
for find in (es_search, es_vector_search, es_hybrid_search):
    hits = find("handshake", top_k=2, filters={"tags": "security"})
    print([hit["doc_id"] for hit in hits], hits[0]["method"], sorted(hits[0])[:9])
hit = es_search("round trips")[0]
whole = es_get(hit["doc_id"])
print(hit["metadata"]["year"], whole["content"][hit["start"]:hit["end"]].count("Zero"), sorted(whole))
"""
    text, result = shown(meaning, code, backend)
    for method in ("bm25", "vector", "hybrid"):
        assert f"['rfc/8446', 'rfc/5246'] {method} ['doc_id', 'end', 'line', 'metadata'" in text
    assert "2018 1 ['content', 'doc_id', 'metadata']" in text
    assert result.coverage is None
    events = [step for step in result.trace.of_kind("search") if step.data["function"] != "es_get"]
    assert [step.data["method"] for step in events] == ["bm25", "vector", "hybrid", "bm25"]
    root = result.trace.of_kind("root_call")[0]
    for step in events:
        assert step.parent == root.step_id
        assert step.data["count"] > 0
        assert step.elapsed > 0
        assert step.prompt == step.data["query"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_long_document_comes_in_parts(words, backend):
    code = """\
part, text = {"next_offset": 0}, ""
while part["next_offset"] is not None:
    part = es_get("long", offset=part["next_offset"], limit=9000)
    text += part["content"]
print(len(text), part["total_chars"], text[-40:].strip())
"""
    text, _ = shown(words, code, backend)
    assert f"{len(LONG)} {len(LONG)} {LONG[-40:].strip()}" in text


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_vectors_there_is_no_vector_search_and_hybrid_says_so(words, backend):
    text, result = shown(words, "print(es_hybrid_search('handshake')[0]['method'])\nes_vector_search('x')", backend)
    assert "bm25" in text
    assert "NameError" in text
    [search] = result.trace.of_kind("search")
    assert "BM25 alone" in search.reason
    assert "no embedder" in search.data["note"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_error_is_an_exception_that_code_can_handle(words, backend):
    code = """\
for call in (
    lambda: es_search("x", filters={"yaer": 1}),
    lambda: es_search("x", 0),
    lambda: es_get("no such"),
    lambda: es_get("long", limit=0),
    lambda: es_search_batch("x"),
    lambda: es_search_batch(["a", "b"], method="vector"),
):
    try:
        call()
    except RetrieverError as error:
        print("caught:", error)
try:
    es_get("no such")
except (KeyError, RuntimeError):
    print("a RuntimeError too")
print("still here")
es_search("x", filters={"yaer": 1})
"""
    text, result = shown(words, code, backend)
    assert text.count("caught:") == 6
    assert "did you mean 'year'" in text
    assert "no document 'no such'" in text
    assert "limit must be a whole number of at least 1" in text
    assert "expected a list" in text
    assert "expected 'bm25' or 'hybrid'" in text
    assert "a RuntimeError too" in text
    assert "still here" in text
    assert "RetrieverError" not in [variable.name for variable in result.variables]
    assert "RetrieverError" in text or backend == "monty"
    assert result.status == "answered"
    assert "yaer" in result.trace.of_kind("search")[0].error


def test_catching_it_catches_no_other_error_on_exec(words):
    code = """\
try:
    try:
        raise RuntimeError("of the code itself")
    except RetrieverError:
        print("wrong")
except RuntimeError as error:
    print("passed on:", error)
for attempt in range(2):
    try:
        es_get("no such")
    except ValueError:
        print("wrong")
    except RetrieverError as error:
        print(type(error).__name__, type(error) is RetrieverError, issubclass(RetrieverError, RuntimeError), str(error)[:11])
RetrieverError = None
"""
    again = "try:\n    es_get('x')\nexcept RetrieverError as error:\n    print('again', type(error) is RetrieverError)"
    _, adapter = run(words, [python(code), python(again), "FINAL: x"])
    text = adapter.calls[1].messages[-1]["content"]
    assert "passed on: of the code itself" in text
    assert text.count("RetrieverError True True no document") == 2
    assert "wrong" not in text
    assert "again True" in adapter.calls[2].messages[-1]["content"], "the name is put back"


class Third:
    """A retriever of somebody else's: plain and async methods, dicts for hits, no offsets, no parts."""

    has_vectors = False

    def __init__(self, together=1, error=None):
        self.error = error
        self.inside = 0
        self.most = 0
        self.barrier = threading.Barrier(together)

    def search(self, query, top_k=10, filters=None):
        if self.error is not None:
            raise self.error
        self.barrier.wait(timeout=20)
        return [{"doc_id": "a", "preview": "the warranty lasts 24 months", "score": 1, "metadata": {"by": {"x"}}}]

    async def hybrid_search(self, query, top_k=10, filters=None):
        return []

    def get(self, doc_id):
        if doc_id != "a":
            raise RetrieverError("no such document")
        return {"doc_id": "a", "content": "First.\nHere\nthe warranty lasts 24 months.", "metadata": {}}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_batch_runs_side_by_side(backend):
    # Nobody passes the barrier before all four are there.
    text, result = shown(Third(together=4), "print([len(h) for h in es_search_batch(list('abcd'))])", backend)
    assert "[1, 1, 1, 1]" in text
    assert sorted(step.data["query"] for step in result.trace.of_kind("search")) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_batch_is_one_request_where_the_retriever_can(fails):
    class Batches(Third):
        async def search_batch(self, queries, top_k=10, filters=None):
            if fails:
                raise RetrieverError("429: too many requests", retryable=True)
            return [[{"doc_id": query, "preview": query, "score": 1}] for query in queries]

    text, result = shown(Batches(error=OSError()), "print([h[0]['doc_id'] for h in es_search_batch(['a', 'b'])])")
    events = result.trace.of_kind("search")
    if fails:
        assert "429: too many requests" in text
        assert [step.error for step in events] == ["RetrieverError: 429: too many requests"]
    else:
        assert "['a', 'b']" in text
        assert [(step.data["query"], step.data["batch"]) for step in events] == [("a", 2), ("b", 2)]


def test_a_batch_names_the_query_that_failed(words):
    text, _ = shown(words, "es_search_batch(['tls', 7])")
    assert "RetrieverError: query 1 of 2 ('7'): query must be a string" in text


def test_any_error_of_a_retriever_is_a_retriever_error_without_keys():
    retriever = Third(error=OSError(f"refused, api_key={KEY}"))
    code = "try:\n    es_search('x')\nexcept RuntimeError as e:\n    print(type(e).__name__, e)"
    text, result = shown(retriever, code)
    assert "RetrieverError search failed: OSError: refused" in text
    assert KEY not in text
    assert KEY not in result.trace.to_json()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_third_retriever_is_cut_into_parts_and_cited(backend):
    script = [
        python("print(es_get('a', 2, 3)['content'], es_get('a', 2, 3)['next_offset'], es_search('x')[0]['start'])"),
        python("FINAL('24 months', quotes=['warranty lasts 24 months'])"),
    ]
    result, adapter = run(Third(), script, repl_backend=backend)
    assert "rst 5 None" in adapter.calls[1].messages[-1]["content"]
    [citation] = result.citations
    assert (citation.doc_id, citation.start, citation.end, citation.line) == ("a", 16, 40, 3)


@pytest.mark.parametrize("missing", ["search", "hybrid_search", "get"])
def test_what_is_no_retriever_is_refused_at_once(missing):
    class Lacking:
        has_vectors = False

    for name in {"search", "hybrid_search", "get"} - {missing}:
        setattr(Lacking, name, getattr(Third, name))
    with pytest.raises(ConfigurationError, match=f"Lacking.*it has no {missing}"):
        RLM(FakeAdapter([]), retriever=Lacking())
    with pytest.raises(ConfigurationError, match="make an instance"):
        RLM(FakeAdapter([]), retriever=Third)


def test_the_prompt_names_what_there_is(words, meaning):
    def opening(retriever, context=None):
        _, adapter = run(retriever, ["FINAL: x"], context)
        return adapter.calls[0].messages[0]["content"], adapter.calls[0].messages[1]["content"]

    system, first = opening(words)
    assert "es_vector_search" not in system
    assert "no vectors" in system
    assert "ctx." not in system.partition("A subset")[0]
    assert "6 documents" in first
    assert "year (number)" in first
    system, first = opening(meaning, "Some text.")
    for name in ("es_search", "es_vector_search", "es_hybrid_search", "es_search_batch", "es_get", "ctx.find"):
        assert f"- {name}(" in system
    assert len(system) + len(first) < 5_000
    assert "<sample>" in first
    assert "6 documents" in first
    system, _ = opening(None, "Some text.")
    assert "es_" not in system


def test_the_description_of_a_corpus_is_bounded():
    class Wide(Third):
        fields: ClassVar = {f"a field\nwith a long name {n} " + "x" * 300: "keyword" for n in range(500)}

        def count(self):
            return 1_234_567

    _, adapter = run(Wide(), ["FINAL: x"])
    first = adapter.calls[0].messages[1]["content"]
    assert "1,234,567 documents" in first
    assert "and 470 more" in first
    assert len(first) < 3_500
    assert "\nwith" not in first


def test_a_corpus_that_can_not_be_described_ends_no_run():
    class Down(Third):
        def count(self):
            raise OSError(f"down {KEY}")

    result, adapter = run(Down(), ["FINAL: x"])
    assert result.status == "answered"
    assert "can't be described now" in adapter.calls[0].text
    assert KEY not in adapter.calls[0].text


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_text_and_an_index_are_both_there(words, backend):
    script = [
        python("print(len(P), ctx.find('24')[0][:2], es_search('round trips')[0]['doc_id'])"),
        python("FINAL('both', quotes=['lasts 24 months', 'Zero round trips.'])"),
    ]
    result, adapter = run(words, script, "The warranty lasts 24 months.", repl_backend=backend)
    assert "29 (19, 21) rfc/8446" in adapter.calls[1].messages[-1]["content"]
    at_hand, indexed = result.citations
    assert (at_hand.doc_id, at_hand.start, at_hand.global_start) == (None, 13, 13)
    assert (indexed.doc_id, indexed.global_start) == ("rfc/8446", None)
    assert result.coverage is not None


def test_citations_stand_where_they_say(words):
    quotes = ["Zero round trips.", "A cache stores responses.", "about item399 and little", "Nobody ever wrote this."]
    script = [
        python("print(es_search('round trips')[0]['preview'])"),
        python(f"FINAL('zero', quotes={quotes!r})"),
        "FINAL: zero round trips",
    ]
    result, adapter = run(words, script)
    assert "Nobody ever wrote this." in adapter.calls[2].messages[-1]["content"], "the false quote is objected to"
    assert result.citations == ()
    result, _ = run(words, [script[0], python(f"FINAL('zero', quotes={quotes[:3]!r})")])
    assert [citation.doc_id for citation in result.citations] == ["rfc/8446", "rfc/2616", "long"]
    for citation, quote in zip(result.citations, quotes, strict=False):
        content = words.get(citation.doc_id)["content"]
        assert content[citation.start : citation.end] == citation.text == quote
        assert content.count("\n", 0, citation.start) + 1 == citation.line
    looked = [step for step in result.trace.of_kind("search") if step.data["function"] == "quote"]
    assert looked, "what the run has not read is searched for"
    assert all("Zero" not in (step.data.get("query") or "") for step in looked)


def test_a_quote_from_a_part_of_a_document_has_its_line(words):
    quote = "speaks about item300 and"
    code = f"part = es_get('long', {LONG.index(quote) - 100}, 400)\nFINAL(part['content'][:5], quotes=[{quote!r}])"
    result, _ = run(words, [python(code)])
    [citation] = result.citations
    assert citation.line == LONG.count("\n", 0, LONG.index(quote)) + 1
    assert LONG[citation.start : citation.end] == quote


def test_an_index_that_fails_while_quotes_are_checked_ends_no_run():
    script = [python("es_search('x')"), python("FINAL('y', quotes=['not in it at all'])"), "FINAL: y"]

    class Breaks(Third):
        def search(self, query, top_k=10, filters=None):
            if "not in it" in query:
                raise OSError("connection lost")
            return super().search(query, top_k, filters)

    result, _ = run(Breaks(), script)
    assert (result.output, result.status, result.citations) == ("y", "answered", ())


@pytest.mark.parametrize("made", [None, [], "text", {"doc_id": "a"}, {"content": 7}])
def test_what_a_retriever_must_not_return_is_an_error_that_names_it(made):
    class Wrong(Third):
        def get(self, doc_id):
            return made

        def search(self, query, top_k=10, filters=None):
            return [made]

        async def search_batch(self, queries, top_k=10, filters=None):
            return made

    calls = ["es_get('a')", "es_search('a')", "es_search_batch(['a'])"]
    text, result = shown(
        Wrong(), "\n".join(f"try:\n    {call}\nexcept RetrieverError as e:\n    print(e)" for call in calls)
    )
    assert text.count("returned") >= 2
    assert "Error:" not in text.replace("RetrieverError:", "")
    assert result.status == "answered"


def test_hits_and_documents_that_do_not_cross_as_they_are_become_plain():
    text, _ = shown(Third(), "print(es_search('x')[0]['metadata'])")
    assert "{'by': ['x']}" in text


def test_stretches_join_where_they_touch_and_the_oldest_give_way():
    text = "".join(f"line {n} of the document\n" for n in range(100))
    seen = Seen(max_chars=5_000)
    seen.add("d", text[500:800], 500, line=text.count("\n", 0, 500) + 1)
    seen.add("d", text[700:1000], 700)
    seen.add("d", text[200:500], 200)
    assert seen.texts == [text[200:1000]]
    [citation] = seen.find(text[480:520].strip())
    assert text[citation.start : citation.end] == citation.text
    assert citation.line == text.count("\n", 0, citation.start) + 1
    assert seen.find("line 90 of the document") is None
    other = Seen()
    other.add("e", text[300:600], 300)
    assert other.find("line 20 of the document")[0].line == 0, "not known yet"
    other.add("e", text[550:800], 550, line=text.count("\n", 0, 550) + 1)
    assert other.find("line 20 of the document")[0].line == 21
    for number in range(10):
        seen.add(f"other {number}", "x" * 900, 0)
    assert "d" not in seen.doc_ids
    assert sum(map(len, seen.texts)) <= 5_000


def test_a_document_that_changed_between_two_reads_is_cited_as_it_was_last():
    seen = Seen()
    seen.add("d", "The old words stand here.", 0)
    seen.add("d", "The new words stand here.", 0)
    assert seen.find("The old words") is None
    assert len(seen.find("The new words")) == 1


def test_the_trace_of_searches_is_json(words):
    _, result = shown(words, "es_search('x', filters={'year': 2018})\nes_get('long', 5, 10)")
    steps = json.loads(result.trace.to_json())["steps"]
    first, second = (step["data"] for step in steps if step["kind"] == "search")
    assert first["filters"] == {"year": 2018}
    assert (second["doc_id"], second["offset"], second["chars"]) == ("long", 5, 10)


def test_hits_of_dataclasses_are_taken():
    class Own(Third):
        async def search(self, query, top_k=10, filters=None):
            return [Hit(doc_id="a", preview="Here", score=2.0, text="Here", start=7, end=11, line=2)]

    result, _ = run(Own(), [python("h = es_search('x')[0]\nFINAL(h['start'], quotes=['Here'])")])
    assert (result.value, result.citations[0].start, result.citations[0].line) == (7, 7, 2)
