"""The protocol: retrievers of any make can be called and understood, and importing it costs nothing."""

import asyncio
import subprocess
import sys
import threading

import pytest

import pyrlm.retrievers
from pyrlm.errors import RetrieverError
from pyrlm.foreign import acall
from pyrlm.retrievers.protocol import Hit, Hits, Retriever, as_hits, check_query, document_part, has_vectors


class Plain:
    has_vectors = False

    def search(self, query, top_k=10, filters=None):
        return [{"doc_id": threading.current_thread().name, "preview": query, "score": 1}]

    vector_search = hybrid_search = search

    def get(self, doc_id):
        return {"doc_id": doc_id, "content": "", "metadata": {}}


class Waiting(Plain):
    has_vectors = True

    async def search(self, query, top_k=10, filters=None):
        await asyncio.sleep(0)
        return [Hit(doc_id="a", preview=query, score=2.0)]


def test_plain_methods_run_in_a_thread_and_others_are_awaited() -> None:
    async def main() -> None:
        plain = as_hits(await acall(Plain().search, "q"))
        assert plain[0].doc_id != threading.current_thread().name
        waiting = as_hits(await acall(Waiting().search, "q"))
        assert waiting[0].score == 2.0
        # A plain function that hands back something to await.
        assert (await acall(lambda query: Waiting().search(query), "q"))[0].doc_id == "a"

    asyncio.run(main())
    assert isinstance(Plain(), Retriever)
    assert isinstance(Waiting(), Retriever)
    assert [has_vectors(one) for one in (Plain(), Waiting(), object())] == [False, True, False]


def test_hits_of_any_make_are_understood() -> None:
    hits = as_hits([{"doc_id": 5, "text": "body", "metadata": {"a": 1}}, Hit(doc_id="b", preview="p", score=1.0)])
    assert [hit.as_dict() for hit in hits] == [
        {"doc_id": "5", "preview": "body", "score": 0.0, "metadata": {"a": 1}},
        {"doc_id": "b", "preview": "p", "score": 1.0, "metadata": {}},
    ]
    same = Hits(hits, method="vector", note="n")
    assert as_hits(same) is same


@pytest.mark.parametrize("found", [None, "text", 5, {"doc_id": "a"}, [5], [{"id": "a"}], ["a"]])
def test_what_is_no_list_of_hits_is_an_error(found: object) -> None:
    with pytest.raises(RetrieverError, match="the retriever returned"):
        as_hits(found)


def test_top_k_is_bounded() -> None:
    assert check_query("q", 1000) == ("q", 1000)
    for top_k in (0, -1, 1001, True, 2.0, "5", None):
        with pytest.raises(RetrieverError, match="from 1 to 1000"):
            check_query("q", top_k)


@pytest.mark.parametrize(
    ("content", "offset", "total", "more"),
    [
        ("abc", 0, 3, {}),
        ("ab", 0, 3, {"offset": 0, "next_offset": 2, "total_chars": 3}),
        ("c", 2, 3, {"offset": 2, "next_offset": None, "total_chars": 3}),
        ("", 9, 3, {"offset": 9, "next_offset": None, "total_chars": 3}),
    ],
)
def test_a_part_of_a_document_says_what_is_missing(content: str, offset: int, total: int, more: dict) -> None:
    assert document_part("d", content, {}, offset, total) == {"doc_id": "d", "content": content, "metadata": {}, **more}


def test_the_public_names_are_there_and_sorted() -> None:
    assert list(pyrlm.retrievers.__all__) == sorted(pyrlm.retrievers.__all__)
    for name in pyrlm.retrievers.__all__:
        assert getattr(pyrlm.retrievers, name).__name__ == name
    with pytest.raises(AttributeError, match="Nope"):
        _ = pyrlm.retrievers.Nope


def test_the_protocol_needs_the_standard_library_only() -> None:
    code = (
        "import sys, pyrlm.retrievers.protocol, pyrlm.retrievers.filters, pyrlm.retrievers.embedded;"
        "print([name for name in ('numpy', 'tantivy', 'openai', 'pydantic', 'tiktoken') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
