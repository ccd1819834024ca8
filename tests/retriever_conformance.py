"""What every retriever must do, from one table; a test file for a retriever imports all of it and says how one is made.

It defines the fixture ``retriever``: one that holds `DOCUMENTS`, cut by `CHUNKER` and embedded by `HashEmbedder`.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from retrieval_corpus import DOCUMENTS, FILTER_CASES, IDS, LONG, SEARCH_CASES

from pyrlm.errors import RetrieverError
from pyrlm.foreign import acall
from pyrlm.retrievers.chunking import Chunker
from pyrlm.retrievers.filters import parse_filters
from pyrlm.retrievers.metadata import evaluate
from pyrlm.retrievers.protocol import Hits, Retriever

Call = Callable[..., Any]
CHUNKER = Chunker(size=100, overlap=15)


@pytest.fixture
def call(retriever: Any) -> Call:
    def calling(name: str, *args: Any, **options: Any) -> Any:
        return asyncio.run(acall(getattr(retriever, name), *args, **options))

    return calling


def test_it_is_a_retriever(retriever: Any) -> None:
    assert isinstance(retriever, Retriever)


@pytest.mark.parametrize(("query", "first"), SEARCH_CASES, ids=str)
def test_a_search_finds_the_passage(call: Call, query: str, first: str) -> None:
    hits = call("search", query, 3)
    assert hits[0].doc_id == first
    assert hits.method == "bm25"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[0].as_dict().keys() == {"doc_id", "preview", "score", "metadata"}


@pytest.mark.parametrize("method", ["search", "vector_search", "hybrid_search"])
@pytest.mark.parametrize("case", FILTER_CASES, ids=lambda case: str(case.filters))
def test_filters_mean_the_same_everywhere(call: Call, retriever: Any, case: Any, method: str) -> None:
    everything = "the and of item1 protocol text methods 中 report section tls"
    hits = call(method, everything, 500, case.filters)
    assert {hit.doc_id for hit in hits} == case.matching
    node = parse_filters(case.filters, retriever.fields)
    by_rule = {doc.doc_id for doc in DOCUMENTS if evaluate(node, {**doc.metadata, "doc_id": doc.doc_id})}
    assert by_rule == case.matching


def test_an_empty_query_lists_what_the_filter_matches(call: Call) -> None:
    hits = call("search", " ", 10, {"tags": {"exists": True}})
    assert sorted(hit.doc_id for hit in hits) == sorted(IDS[:3])
    assert "filters" in hits.note


@pytest.mark.parametrize("method", ["search", "vector_search", "hybrid_search"])
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("x", 10, {"yeer": 1}), "did you mean 'year'"),
        (("x", 10, {"year": {"min": 1}}), "operators: gte, gt, lte, lt, prefix, exists, not"),
        (("x", 10, {"year": "2018"}), "number field"),
        (("x", 0), "top_k"),
        (("x", 10_000), "top_k"),
        (("x", "3"), "top_k"),
        ((None,), "query must be a string"),
    ],
)
def test_wrong_arguments_are_errors_that_help(call: Call, method: str, args: tuple, words: str) -> None:
    with pytest.raises(RetrieverError) as caught:
        call(method, *args)
    assert words in str(caught.value)


@pytest.mark.parametrize("query", ["", "???", "\x00", "zzzzqqqq", '"', "a" * 100_000, "word " * 100_000, "\ud800"])
def test_queries_that_find_nothing_are_no_errors(call: Call, query: str) -> None:
    assert isinstance(call("search", query), Hits)


def test_previews_are_the_passages_that_match(call: Call) -> None:
    hit = call("search", "item250 item251", 1)[0]
    assert "item250" in hit.preview
    assert "item1 " not in hit.preview
    assert len(hit.preview) <= 300
    assert hit.preview in LONG
    assert {hit.preview[start:end] for start, end in hit.highlights} == {"item250", "item251"}


def test_hits_know_their_place(call: Call) -> None:
    hit = call("search", "item250", 1)[0]
    assert LONG[hit.start : hit.end] == hit.text
    assert hit.line == LONG.count("\n", 0, hit.start) + 1
    assert hit.title == "A long report"


def test_one_document_does_not_fill_the_result(call: Call) -> None:
    query = "negotiates " + " ".join(f"item{n}" for n in range(400) if n % 20 < 8)
    hits = call("search", query, 3)
    assert [hit.doc_id for hit in hits] == ["long", "long", "rfc/5246"]
    # Where others don't suffice, its further passages fill the list.
    assert [hit.doc_id for hit in call("search", query, 9)].count("long") == 8


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_get_returns_the_document(call: Call, document: Any) -> None:
    got = call("get", document.doc_id)
    assert got["content"] == document.content
    assert got["metadata"].keys() == document.metadata.keys()
    assert got.keys() == {"doc_id", "content", "metadata"}


@pytest.mark.parametrize("limit", [1, 7, 999, 30_000])
def test_a_long_document_comes_in_parts(call: Call, limit: int) -> None:
    begin = len(LONG) - 5 * limit if limit < 999 else 0
    offset: int | None = begin
    parts = []
    while offset is not None:
        part = call("get", "long", offset, limit)
        assert len(part["content"]) <= limit
        parts.append(part["content"])
        if "next_offset" not in part:
            break
        assert part["offset"] == offset
        assert part["total_chars"] == len(LONG)
        offset = part["next_offset"]
    assert "".join(parts) == LONG[begin:]


def test_get_behind_the_end_says_how_long_the_document_is(call: Call) -> None:
    part = call("get", "long", 10**9, 5)
    assert (part["content"], part["next_offset"], part["total_chars"]) == ("", None, len(LONG))


@pytest.mark.parametrize("doc_id", ["nope", "", "\ud800", "x" * 100_000, 5, None])
def test_a_document_that_is_not_there(call: Call, doc_id: Any) -> None:
    with pytest.raises(RetrieverError, match="no document '"):
        call("get", doc_id)


def test_vectors_find_what_is_near(call: Call) -> None:
    hits = call("vector_search", "transport layer security protocol handshake", 2)
    assert {hit.doc_id for hit in hits} == {"rfc/5246", "rfc/8446"}
    assert hits.method == "vector"
    assert all(0 <= hit.score <= 1 for hit in hits)


def test_hybrid_is_the_fusion_of_both(call: Call) -> None:
    hits = call("hybrid_search", "transport layer security protocol handshake", 4)
    assert hits.method == "hybrid"
    assert {hits[0].doc_id, hits[1].doc_id} == {"rfc/5246", "rfc/8446"}
    assert hits[0].score <= 2 / 61
    assert hits.note == ""


def test_many_queries_at_once(call: Call) -> None:
    queries = [query for query, _ in SEARCH_CASES]
    assert [hits[0].doc_id for hits in call("search_batch", queries, 2)] == [first for _, first in SEARCH_CASES]


def test_count(call: Call) -> None:
    assert call("count") == len(DOCUMENTS)
