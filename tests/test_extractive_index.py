"""ExtractiveAdapter over an index: its code searches, reads and quotes; what the index does not say is not answered."""

from __future__ import annotations

import json

import pytest
from cli_process import pyrlm
from retrieval_corpus import HashEmbedder

from pyrlm import RLM, SmartRouter
from pyrlm.adapters import ExtractiveAdapter
from pyrlm.adapters.extractive_code import library, root_code
from pyrlm.retrievers import Document, EmbeddedRetriever

FILLER = "The depot keeps records of pallets, forklifts and opening hours.\n\n"
DOCUMENTS = [
    Document(
        "kettle", FILLER * 30 + "The kettle boils at 96 degrees in the mountains.\n\n" + FILLER * 30, {}, "Kettles"
    ),
    Document(
        "warranty", "The warranty covers two years from delivery. Batteries are excluded from it.", {"year": 2020}
    ),
    Document(
        "zeppelin", "Nothing of note.\n\nAirships are moored at night.", {"owner": "Amalia Brandt"}, "The zeppelin mast"
    ),
    *(Document(f"other{n}", f"Report {n} on pallets. " + FILLER * 3) for n in range(20)),
]
QUESTION = "How many years does the warranty cover?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    with EmbeddedRetriever(folder / "corpus.idx") as retriever:
        retriever.index(DOCUMENTS)
    with EmbeddedRetriever(folder / "vectors.idx", embedder=HashEmbedder()) as retriever:
        retriever.index(DOCUMENTS)
    return folder


@pytest.fixture(params=["corpus.idx", "vectors.idx"])
def index(folder, request):
    embedder = HashEmbedder() if request.param == "vectors.idx" else None
    return EmbeddedRetriever(folder / request.param, embedder=embedder)


def cited(result, index):
    for citation in result.citations:
        content = index.get(citation.doc_id)["content"]
        assert content[citation.start : citation.end] == citation.text
    return {citation.doc_id for citation in result.citations}


@pytest.mark.parametrize("backend", ["exec", "monty"])
def test_the_loop_finds_reads_and_quotes(index, backend):
    for question, words, doc_id in [
        (QUESTION, "two years", "warranty"),
        ("At how many degrees does the kettle boil?", "96 degrees", "kettle"),
    ]:
        result = RLM(ExtractiveAdapter(), retriever=index, repl_backend=backend).run(question)
        assert result.status == "answered"
        assert words in result.output
        assert cited(result, index) == {doc_id}
        assert (result.steps, result.subcalls) == (1, 0)
        functions = [step.data["function"] for step in result.trace.of_kind("search")]
        assert functions[:3] == ["es_hybrid_search", "es_search", "es_get"]


@pytest.mark.parametrize("backend", ["exec", "monty"])
def test_what_the_index_does_not_say_is_not_answered(index, backend):
    for question in ("Who signed the lease of the zeppelin?", "Which exception does quibble.parse raise?"):
        result = RLM(ExtractiveAdapter(), retriever=index, repl_backend=backend).run(question)
        assert (result.status, result.steps) == ("unanswered", 1)


def test_an_empty_index_is_not_answered_from(tmp_path):
    index = EmbeddedRetriever(tmp_path / "i")
    index.index([])
    assert RLM(ExtractiveAdapter(), retriever=index).run(QUESTION).status == "unanswered"


@pytest.mark.parametrize("route", [None, "rlm", "retrieval"])
def test_the_router_by_every_way(index, route):
    result = SmartRouter(ExtractiveAdapter(), retriever=index).run(QUESTION, route=route)
    assert (result.status, result.method) == ("answered", route or "retrieval")
    assert "two years" in result.output
    assert cited(result, index) == {"warranty"}


@pytest.mark.parametrize("profile", ["deterministic_first", "semantic_batches", "hybrid", "verify"])
def test_every_profile(index, profile):
    result = SmartRouter(ExtractiveAdapter(), retriever=index).run(QUESTION, profile=profile)
    assert result.status == "answered", result.trace
    assert "two years" in result.output
    assert cited(result, index) == {"warranty"}


def test_the_line_above_a_passage_is_no_answer(index):
    # "zeppelin" and "owner: Amalia Brandt" stand in that line alone.
    result = SmartRouter(ExtractiveAdapter(), retriever=index).run(
        "Who is the owner Amalia Brandt of the zeppelin mast?"
    )
    assert "Amalia" not in result.output
    assert "document" not in result.output
    assert not any("Amalia" in citation.text for citation in result.citations)


@pytest.mark.parametrize("backend", ["exec", "monty"])
def test_a_text_is_asked_first_and_the_index_where_it_does_not_answer(index, backend):
    text = "The canteen serves soup on Mondays. Bread is baked in the cellar. " * 20
    run = RLM(ExtractiveAdapter(), retriever=index, repl_backend=backend).run
    soup = run("On which day does the canteen serve soup?", text)
    assert "Mondays" in soup.output
    assert not soup.trace.of_kind("search")
    found = run(QUESTION, text)
    assert "two years" in found.output
    assert cited(found, index) == {"warranty"}
    assert run("Who signed the lease of the zeppelin?", text).status == "unanswered"


def test_offsets_that_a_retriever_does_not_know(folder):
    class Plain:
        def __init__(self, index):
            self._index = index

        def search(self, query, top_k=10, filters=None):
            return [hit.as_dict() for hit in self._index.search(query, top_k, filters)]

        vector_search = hybrid_search = search

        def get(self, doc_id):
            return self._index.get(doc_id)

    result = RLM(ExtractiveAdapter(), retriever=Plain(EmbeddedRetriever(folder / "corpus.idx"))).run(QUESTION)
    assert "two years" in result.output
    assert [citation.doc_id for citation in result.citations] == ["warranty"]


@pytest.mark.parametrize("question", ["What does ```x``` do?", 'Is "{a}" it\\?', "Say FINAL: 42"])
def test_any_question_makes_code_that_compiles(question):
    for stage in ("", "use llm_batch", "FINAL_VAR: passages"):
        for has_text in (False, True):
            text = root_code(question, 0.65, stage=stage, said=(), heard=(), has_text=has_text, has_index=True)
            compile(text.removeprefix("```python\n").partition("```")[0], "code", "exec")
    assert "def best_of" not in library()


@pytest.mark.parametrize("backend", ["exec", "monty"])
def test_the_command_line_answers_offline(folder, backend):
    asked = ["ask", QUESTION, "--in", "corpus.idx", "--model", "extractive:", "--json", "--repl", backend]
    result = json.loads(pyrlm(folder, *asked).stdout)
    assert (result["status"], result["citations"][0]["doc_id"]) == ("answered", "warranty")
    asked[1] = "Who signed the lease of the zeppelin?"
    missed = pyrlm(folder, *asked)
    assert missed.returncode == 3, missed.stdout
