"""Citations from an index are what it holds at that place now, whatever a retriever said and whatever was read before."""

from __future__ import annotations

import pytest

from pyrlm import RLM, Context, SmartRouter
from pyrlm.adapters import FakeAdapter
from pyrlm.errors import RetrieverError
from pyrlm.retrievers import Document, EmbeddedRetriever, Hit, Hits
from pyrlm.retrievers.protocol import as_hits

BACKENDS = ["exec", "monty"]
FILLER = "Nothing of note was said on that day.\n"
SENTENCE = "The depot in Ghent opens at half past six."
TEXT = FILLER * 130 + SENTENCE + "\n" + FILLER * 50
TRUE = TEXT.index(SENTENCE)
QUOTED = f"Half past six.\n<quotes>\n<quote>{SENTENCE}</quote>\n</quotes>"


def python(code):
    return f"```python\n{code}\n```"


class Own:
    """Cuts passages of 6,000 characters, and previews out of their middle, as the page on retrieval allows."""

    has_vectors = False

    def __init__(self, **more):
        self.texts = {"minutes": TEXT}
        self.more = more

    def search(self, query, top_k=10, filters=None):
        text = self.texts["minutes"]
        middle = text.find(SENTENCE)
        if middle < 0:
            return []
        start = middle - 792
        preview = text[middle - 20 : middle + 60]
        hit = {"doc_id": "minutes", "preview": preview, "score": 1.0, "metadata": {}, "start": start}
        return [hit | {"end": start + 6_000, "line": text.count("\n", 0, start) + 1} | self.more]

    hybrid_search = search

    def get(self, doc_id):
        return {"doc_id": doc_id, "content": self.texts[doc_id], "metadata": {}}


def loop(retriever, backend="exec", quote=SENTENCE):
    script = [python("print(es_search('depot'))"), python(f"FINAL('half past six', quotes=[{quote!r}])")]
    return RLM(FakeAdapter([*script, "FINAL: half past six"]), retriever=retriever, repl_backend=backend).run("When?")


def cited(result):
    return [(citation.doc_id, citation.start, citation.end, citation.text) for citation in result.citations]


PLACE = [("minutes", TRUE, TRUE + len(SENTENCE), SENTENCE)]


@pytest.mark.parametrize(
    "more", [{}, {"text": TEXT[TRUE - 20 : TRUE + 60]}, {"start": -5}, {"end": None}, {"start": 5.0}]
)
def test_a_preview_is_cited_where_the_document_holds_it(more):
    for backend in BACKENDS:
        assert cited(loop(Own(**more), backend)) == PLACE
    result = SmartRouter(FakeAdapter([QUOTED]), retriever=Own(**more)).run("When does the depot open?")
    assert (cited(result), result.method) == (PLACE, "retrieval")
    assert result.citations[0].line == TEXT.count("\n", 0, TRUE) + 1


def test_what_a_search_invents_is_not_cited():
    class Inventing(Own):
        def search(self, query, top_k=10, filters=None):
            return [{"doc_id": "minutes", "preview": "", "text": "The depot never opens.", "start": 0, "end": 22}]

        hybrid_search = search

    assert loop(Inventing(), quote="The depot never opens.").citations == ()


@pytest.mark.parametrize(
    "more", [{"start": "5"}, {"line": "3"}, {"end": 5.5}, {"score": "high"}, {"start": [1]}, {"start": True}]
)
def test_a_place_that_is_no_number_is_an_error_that_names_it(more):
    [name] = more
    adapter = FakeAdapter([python("try:\n    es_search('x')\nexcept RetrieverError as e:\n    print(e)"), "FINAL: x"])
    RLM(adapter, retriever=Own(**more)).run("When?")
    shown = adapter.calls[-1].messages[-1]["content"]
    assert "the retriever returned a hit with" in shown
    assert f"{name}={next(iter(more.values()))!r}" in shown
    result = SmartRouter(FakeAdapter([]), retriever=Own(**more)).run("When?")
    assert (result.status, result.error.partition(":")[0]) == ("error", "RetrieverError")


def test_hits_of_any_make_are_brought_into_form():
    made = Hit(doc_id=7, preview=None, score=1, start=3.0, end=9.0, line=0, metadata=None)  # type: ignore[arg-type]  # as one may
    for found in ([made], Hits([made])):
        [hit] = as_hits(found)
        assert (hit.doc_id, hit.preview, hit.text, hit.start, hit.end, hit.line) == ("7", "", "", 3, 9, None)
        assert hit.metadata == {}
    [nowhere] = as_hits([{"doc_id": "a", "preview": "x", "start": float("nan"), "end": -1}])
    assert (nowhere.start, nowhere.end) == (None, None)
    [whole] = as_hits([{"doc_id": "a", "preview": "abc", "start": 4, "end": 7}])
    assert whole.text == "abc", "the preview is the whole passage"
    [part] = as_hits([{"doc_id": "a", "preview": "abc", "start": 4, "end": 900}])
    assert part.text == "", "where in the passage it stands is not known"
    good = Hits([Hit(doc_id="a", preview="x", score=1.0)])
    assert as_hits(good) is good
    with pytest.raises(RetrieverError, match=r"a hit with metadata=.*expected a mapping"):
        as_hits([{"doc_id": "a", "metadata": [1]}])


def test_a_document_that_was_replaced_between_two_questions_is_not_cited_as_it_was(tmp_path):
    retriever = EmbeddedRetriever(tmp_path / "c.idx")
    retriever.index([Document("minutes", TEXT), Document("other", FILLER)])
    script = [
        python("print(es_get('minutes')['content'][:20])"),
        python(f"FINAL('six', quotes=[{SENTENCE!r}])"),
        python(f"FINAL('six', quotes=[{SENTENCE!r}])"),
        "FINAL: six",
        python(f"FINAL('six', quotes=[{SENTENCE!r}])"),
    ]
    with RLM(FakeAdapter(script), retriever=retriever).session() as session:
        assert cited(session.ask("When?")) == PLACE
        retriever.index([Document("minutes", FILLER * 3 + "The depot is closed.\n")])
        stale = session.ask("And now?")
        assert (stale.output, stale.citations) == ("six", ())
        retriever.index([Document("minutes", FILLER + SENTENCE)])
        moved = session.ask("And now?")
    [citation] = moved.citations
    assert (citation.start, citation.line) == (len(FILLER), 2)
    assert retriever.get("minutes")["content"][citation.start : citation.end] == SENTENCE


def test_a_document_that_is_deleted_is_not_cited(tmp_path):
    retriever = EmbeddedRetriever(tmp_path / "c.idx")
    retriever.index([Document("minutes", TEXT), Document("copy", FILLER + SENTENCE), Document("other", FILLER)])
    script = [
        python("print(es_get('minutes')['content'][:20])"),
        python(f"FINAL('six', quotes=[{SENTENCE!r}])"),
        python(f"FINAL('six', quotes=[{SENTENCE!r}])"),
    ]
    with RLM(FakeAdapter(script), retriever=retriever).session() as session:
        assert cited(session.ask("When?")) == PLACE
        retriever.delete(["minutes"])
        assert [citation.doc_id for citation in session.ask("And now?").citations] == ["copy"]


def test_a_text_at_hand_is_cited_without_the_index():
    class Down(Own):
        def get(self, doc_id):
            raise OSError("down")

    script = [python(f"FINAL('six', quotes=[{SENTENCE!r}])")]
    result = RLM(FakeAdapter(script), retriever=Down()).run("When?", Context.from_text(TEXT))
    assert [citation.start for citation in result.citations] == [TRUE]
