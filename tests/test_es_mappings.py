"""Mappings as they are found: dynamic ones, nested bodies, parents without order, indices that keep no text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from es_server import index, request, server  # noqa: F401 - fixtures

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.elasticsearch import ElasticsearchRetriever
from pyrlm.retrievers.es_discovery import discover
from pyrlm.retrievers.es_layout import FieldNames
from pyrlm.retrievers.protocol import Document, Passage

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.xdist_group("es")


def fill(url: str, name: str, body: dict, entries: Iterable[tuple[str, dict]]) -> None:
    request("PUT", f"{url}/{name}", json.dumps(body).encode())
    lines = [json.dumps(part) for id_, entry in entries for part in ({"index": {"_id": id_}}, entry)]
    for start in range(0, len(lines), 10_000):
        data = "\n".join(lines[start : start + 10_000]) + "\n"
        assert not json.loads(request("POST", f"{url}/{name}/_bulk", data.encode()))["errors"]
    request("POST", f"{url}/{name}/_refresh")


def opened(url: str, name: str, **names: Any) -> ElasticsearchRetriever:
    return ElasticsearchRetriever(url, index=name, fields=FieldNames(**names) if names else None)


PARENTS = {"parent_id": {"type": "keyword"}, "text": {"type": "text"}, "chunk": {"type": "integer"}}
DYNAMIC = {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}


@pytest.mark.parametrize("numbered", ["all", "some", "none"])
def test_a_document_of_many_passages_is_read_whole(server: str, index: str, numbered: str) -> None:  # noqa: F811
    body = {"settings": {"number_of_shards": 3}, "mappings": {"properties": PARENTS}}

    def entry(parent: str, n: int) -> dict:
        found = {"parent_id": parent, "text": f"{parent} piece {n}."}
        return found | ({"chunk": n} if numbered == "all" or (numbered == "some" and n < 700) else {})

    fill(server, index, body, ((f"{p}#{n}", entry(p, n)) for n in range(1300) for p in ("a", "b")))
    with opened(server, index) as made:
        whole = "\n\n".join(f"a piece {n}." for n in range(1300))
        assert made.get("a")["content"] == whole
        part = made.get("a", 5_000, 300)
        assert (part["content"], part["total_chars"], part["next_offset"]) == (whole[5_000:5_300], len(whole), 5_300)


def test_more_than_ten_thousand_passages(server: str, index: str) -> None:  # noqa: F811
    fill(
        server,
        index,
        {"mappings": {"properties": PARENTS}},
        ((str(n), {"parent_id": "a", "text": f"{n}.", "chunk": n}) for n in range(10_600)),
    )
    with opened(server, index) as made:
        whole = "\n\n".join(f"{n}." for n in range(10_600))
        assert made.get("a")["content"] == whole
        last = made.get("a", len(whole) - 6, 100)
        assert (last["content"], last["next_offset"]) == ("10599.", None)


def test_a_document_that_is_too_much_is_refused(
    server: str,  # noqa: F811
    index: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pyrlm.retrievers.es_read.MAX_PASSAGES", 1_100)
    fill(
        server,
        index,
        {"mappings": {"properties": PARENTS}},
        ((str(n), {"parent_id": "a", "text": "x", "chunk": n}) for n in range(1_200)),
    )
    with opened(server, index) as made, pytest.raises(RetrieverError, match="more than 1,100 entries"):
        made.get("a")


class Tiny:
    name = "tiny"

    def split(self, text: str) -> list[Passage]:
        return [Passage(text[at : at + 10], at, min(at + 10, len(text)), 1) for at in range(0, len(text), 10)]


def test_very_small_passages_of_an_index_of_ones_own(server: str, index: str) -> None:  # noqa: F811
    content = "".join(f"{n} words" for n in range(11_000))
    with ElasticsearchRetriever(server, index=index, chunker=Tiny()) as made:
        made.index([Document("a", content)])
        assert made.count_passages() > 10_000
        assert made.get("a")["content"] == content


def dynamic(server: str, index: str) -> None:  # noqa: F811
    entries = [{"parent_id": f"d{n % 2}", "title": "Birds", "content": f"heron {n}", "chunk": n} for n in range(6)]
    fill(server, index, {}, ((str(n), entry) for n, entry in enumerate(entries)))


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"doc_id": "parent_id"},
        {"doc_id": "parent_id.keyword"},
        {"title": "title.keyword", "body": "content.keyword", "order": "chunk"},
        {"text": ("cont*",), "body": "content"},
    ],
    ids=str,
)
def test_dynamic_mappings(server: str, index: str, names: dict) -> None:  # noqa: F811
    dynamic(server, index)
    with opened(server, index, **names) as made:
        hits = made.search("heron", 4)
        assert {hit.doc_id for hit in hits} == {"d0", "d1"}
        assert all(hit.title == "Birds" and hit.preview.startswith("heron") for hit in hits)
        assert made.get("d1")["content"] == "heron 1\n\nheron 3\n\nheron 5"
        assert {hit.doc_id for hit in made.search("heron", 4, {"doc_id": "d1"})} == {"d1"}


def test_each_entry_may_be_called_a_document(server: str, index: str) -> None:  # noqa: F811
    dynamic(server, index)
    with opened(server, index, doc_id="_id") as made:
        assert made.get("3")["content"] == "heron 3"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"body": "_id"}, "body can't be '_id'"),
        ({"body": "cont*"}, "body is one field, got the pattern 'cont\\*'"),
        ({"metadata": ("c*",)}, "metadata is one field, got the pattern 'c\\*'"),
        ({"text": ("x*",)}, "no field 'x\\*'; its fields: a, b, n, v"),
        ({"title": "a.raw"}, "no field 'a.raw'"),
        ({"doc_id": "b"}, "'b' is text without a keyword beside it"),
        ({"vector": "a"}, "'a' is text, not dense_vector"),
    ],
    ids=str,
)
def test_names_that_do_not_fit_are_refused(names: dict, words: str) -> None:
    fields = {"a": DYNAMIC, "b": {"type": "text"}, "n": {"type": "long"}, "v": {"type": "dense_vector", "dims": 3}}
    with pytest.raises(RetrieverError, match=words):
        discover("i", {"properties": fields}, FieldNames(**names))


class Axes:
    name, dimensions = "axes", 3

    def embed(self, texts: Any) -> Any:
        words = ("apple", "banana", "cherry")
        return np.array([[text.count(word) + 0.01 for word in words] for text in texts], dtype=np.float32)


def test_a_hit_of_a_nested_body_has_a_preview_however_it_was_found(server: str, index: str) -> None:  # noqa: F811
    inside = {
        "text": {"type": "text"},
        "kind": {"type": "keyword"},
        "vector": {"type": "dense_vector", "dims": 3, "index": True, "similarity": "cosine"},
    }
    mapping = {
        "title": {"type": "text"},
        "year": {"type": "short"},
        "passages": {"type": "nested", "properties": inside},
    }
    fruit = [
        {"text": "an apple falls", "kind": "x", "vector": [1, 0, 0]},
        {"text": "a cherry hangs", "kind": "y", "vector": [0, 0, 1]},
    ]
    bread = [{"text": "banana bread", "kind": "y", "vector": [0, 1, 0]}]
    entries = [
        ("0", {"title": "Fruit", "year": 2001, "passages": fruit}),
        ("1", {"title": "Loaf", "year": 2002, "passages": bread}),
    ]
    fill(server, index, {"mappings": {"properties": mapping}}, entries)
    with ElasticsearchRetriever(server, index=index, embedder=Axes()) as made:
        [hit] = made.search("fruit")
        assert (hit.preview, hit.text, hit.highlights) == ("an apple falls", "an apple falls", ())
        [hit] = made.search("", 5, {"year": 2002})
        assert hit.preview == "banana bread"
        [hit] = made.search("", 5, {"passages.kind": "x"})
        assert hit.preview == "an apple falls"
        for filters, previews in (
            ({"passages.kind": "y"}, {"a cherry hangs", "banana bread"}),
            ({"passages.kind": "x"}, {"an apple falls"}),
            ({"passages.kind": {"not": "x"}}, {"banana bread"}),
            ({"year": 2002, "passages.kind": "y"}, {"banana bread"}),
        ):
            for search in (made.vector_search, made.hybrid_search):
                hits = search("cherry", 5, filters)
                assert {hit.preview for hit in hits} <= {"an apple falls", "a cherry hangs", "banana bread"}
                assert {hit.doc_id for hit in hits} == {
                    "0" if preview != "banana bread" else "1" for preview in previews
                }
                assert all(hit.preview for hit in hits)
        scores = [hit.score for hit in made.search("cherry")]
        assert scores == [pytest.approx(0.69, abs=0.3)], "what only shows the text adds nothing to the score"


@pytest.mark.parametrize(
    "source",
    [{"enabled": False}, {"excludes": ["tex*"]}, {"includes": ["title"]}],
    ids=str,
)
def test_an_index_that_keeps_no_text_says_so(server: str, index: str, source: dict) -> None:  # noqa: F811
    mapping = {"_source": source, "properties": {"text": {"type": "text"}, "title": {"type": "keyword"}}}
    fill(server, index, {"mappings": mapping}, [("1", {"text": "heron", "title": "x"})])
    with opened(server, index) as made:
        assert any("keeps no" in problem for problem in made.diagnose().problems)
        for call in (made.search, made.get):
            with pytest.raises(RetrieverError, match="_source"):
                call("heron")
