"""Indices that were made elsewhere: what their mapping tells, what their filters mean, how their documents are read."""

import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from es_server import drop, index, request, server  # noqa: F401 - fixtures

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.elasticsearch import ElasticsearchRetriever
from pyrlm.retrievers.es_discovery import discover
from pyrlm.retrievers.es_layout import FieldNames
from pyrlm.retrievers.es_queries import MARKS

pytestmark = pytest.mark.xdist_group("es")


class Axes:
    """Words are directions."""

    name = "axes"
    dimensions = 3

    def embed(self, texts):
        names = ("apple", "banana", "cherry")
        return np.array([[text.count(name) + 0.01 for name in names] for text in texts], dtype=np.float32)


def put(url: str, name: str, mappings: dict, documents: list[dict], settings: dict | None = None) -> None:
    body = {"mappings": mappings, "settings": settings or {}}
    request("PUT", f"{url}/{name}", json.dumps(body).encode())
    for number, document in enumerate(documents):
        request("PUT", f"{url}/{name}/_doc/{number}", json.dumps(document).encode())
    request("POST", f"{url}/{name}/_refresh")


ARTICLES: dict[str, Any] = {
    "properties": {
        "headline": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
        "body": {"type": "text"},
        "status": {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 20}}},
        "kind": {"type": "keyword"},
        "published": {"type": "date"},
        "words": {"type": "integer"},
        "price": {"type": "half_float"},
        "public": {"type": "boolean"},
        "labels": {"type": "flattened"},
        "author": {"properties": {"name": {"type": "keyword"}}},
        "comments": {"type": "nested", "properties": {"by": {"type": "keyword"}, "stars": {"type": "byte"}}},
        "secret": {"type": "keyword", "index": False, "doc_values": False},
        "raw": {"type": "object", "enabled": False},
        "embedding": {"type": "dense_vector", "dims": 3, "index": True, "similarity": "cosine"},
        "host": {"type": "ip"},
    },
}
LONG = "Filler words. " * 200 + "The heron waits by the water. " + "More filler. " * 200
DOCUMENTS = [
    {
        "headline": "Apple orchards",
        "body": "An apple a day keeps the doctor away.",
        "status": "Final version",
        "kind": "news",
        "published": "2020-05-31",
        "words": 9,
        "price": 1.5,
        "public": True,
        "labels": {"lang": "en"},
        "author": {"name": "Ann"},
        "comments": [{"by": "x", "stars": 5}, {"by": "y", "stars": 1}],
        "embedding": [1, 0, 0],
        "raw": {"any": [1, {"thing": 2}]},
    },
    {
        "headline": "Banana bread",
        "body": "Mash the banana and bake it. No apple here.",
        "status": "draft",
        "kind": "blog",
        "published": "2021-06-01T10:00:00Z",
        "words": 10,
        "public": False,
        "embedding": [0, 1, 0],
        "secret": "s",
    },
    {"headline": "Birds", "body": LONG, "kind": "blog", "embedding": [0, 0, 1]},
]


@pytest.fixture(scope="module")
def articles(server: str) -> Iterator[ElasticsearchRetriever]:  # noqa: F811
    name = f"pyrlm-articles-{os.getpid()}"
    put(server, name, ARTICLES, DOCUMENTS)
    with ElasticsearchRetriever(server, index=name, embedder=Axes()) as made:
        yield made
    drop(server, name)


def test_fields_are_found_in_the_mapping(articles: ElasticsearchRetriever) -> None:
    fields = articles.fields
    assert fields["doc_id"] == "keyword"
    assert fields["status"] == fields["status.keyword"] == "keyword"
    assert fields["body"] == "text"
    assert fields["words"] == fields["price"] == fields["comments.stars"] == "number"
    assert (fields["published"], fields["public"], fields["labels"]) == ("date", "boolean", "keyword")
    assert fields["author.name"] == "keyword"
    assert not {"secret", "raw", "embedding"} & fields.keys()


def test_searches_and_previews(articles: ElasticsearchRetriever) -> None:
    assert [hit.doc_id for hit in articles.search("apple")] == ["0", "1"]
    hit = articles.search("heron")[0]
    assert hit.doc_id == "2"
    assert hit.title == "Birds"
    assert len(hit.preview) <= 300
    assert [hit.preview[start:end] for start, end in hit.highlights] == ["heron"]
    assert hit.preview in LONG
    assert hit.metadata.keys() == {"headline", "kind"}
    assert articles.search("birds")[0].doc_id == "2"


def test_vectors_and_both(articles: ElasticsearchRetriever) -> None:
    assert articles.vector_search("banana", 1)[0].doc_id == "1"
    found = articles.hybrid_search("banana apple", 3)
    assert found.method == "hybrid"
    assert found[0].doc_id in {"0", "1"}
    assert [hit.doc_id for hit in articles.vector_search("cherry", 3, {"kind": "news"})] == ["0"]
    # A hit that only the vectors found shows the beginning of its text.
    assert articles.vector_search("cherry", 1)[0].preview.startswith("Filler words")


@pytest.mark.parametrize(
    ("filters", "matching"),
    [
        ({"status": "Final version"}, "0"),
        ({"status.keyword": "Final version"}, "0"),
        ({"status": "final"}, ""),
        ({"kind": {"not": "blog"}}, "0"),
        ({"published": "2020"}, "0"),
        ({"published": {"gte": "2021-06-01"}}, "1"),
        ({"words": {"gt": 9}}, "1"),
        ({"words": 9.0}, "0"),
        ({"price": {"lt": 2}}, "0"),
        ({"public": False}, "1"),
        ({"labels": "en"}, "0"),
        ({"author.name": {"prefix": "An"}}, "0"),
        ({"comments.by": "y"}, "0"),
        ({"comments.stars": {"lt": 1}}, ""),
        ({"comments.by": {"not": "x"}}, "12"),
        ({"embedding": 1}, None),
        ({"secret": "s"}, None),
        ({"body": "apple"}, None),
        ({"body": {"exists": True}}, "012"),
        ({"doc_id": ["1", "2"]}, "12"),
        ({"status": "x" * 21}, None),
    ],
    ids=str,
)
def test_filters(articles: ElasticsearchRetriever, filters: dict, matching: str | None) -> None:
    if matching is None:
        with pytest.raises(RetrieverError):
            articles.search("x", 10, filters)
        return
    for hits in (articles.search("", 10, filters), articles.vector_search("apple", 10, filters)):
        assert {hit.doc_id for hit in hits} == set(matching)


def test_documents_are_read_whole_and_in_parts(articles: ElasticsearchRetriever) -> None:
    assert articles.get("0")["content"] == DOCUMENTS[0]["body"]
    part = articles.get("2", 2_800, 30)
    assert part["content"] == LONG[2_800:2_830]
    assert (part["total_chars"], part["next_offset"]) == (len(LONG), 2_830)
    with pytest.raises(RetrieverError, match="no document '7'"):
        articles.get("7")


def test_it_is_only_read(articles: ElasticsearchRetriever) -> None:
    with pytest.raises(RetrieverError, match="was not made by pyrlm"):
        articles.index([])
    with pytest.raises(RetrieverError, match="was not made by pyrlm"):
        articles.delete(["0"])


def test_passages_with_a_parent(server: str, index: str) -> None:  # noqa: F811
    mapping = {
        "properties": {
            "document_id": {"type": "keyword"},
            "chunk_index": {"type": "integer"},
            "page_content": {"type": "text"},
            "metadata": {"properties": {"source": {"type": "text", "fields": {"keyword": {"type": "keyword"}}}}},
        }
    }
    passages = [
        {
            "document_id": f"d{n % 2}",
            "chunk_index": 9 - n,
            "page_content": f"part{n} herons",
            "metadata": {"source": "f"},
        }
        for n in range(10)
    ]
    put(server, index, mapping, passages)
    with ElasticsearchRetriever(server, index=index) as made:
        hits = made.search("herons", 4)
        assert {hit.doc_id for hit in hits} == {"d0", "d1"}
        assert [hit.doc_id for hit in hits].count("d0") == 2
        assert made.get("d0")["content"] == "\n\n".join(f"part{n} herons" for n in (8, 6, 4, 2, 0))
        assert made.search("herons", 9, {"metadata.source": "f", "doc_id": "d1"})[0].doc_id == "d1"
        assert not made.has_vectors
        found = made.hybrid_search("herons")
        assert (found.method, "no embedder" in found.note) == ("bm25", True)
        with pytest.raises(RetrieverError, match="embedder"):
            made.vector_search("herons")


def test_nested_bodies(server: str, index: str) -> None:  # noqa: F811
    mapping = {
        "properties": {
            "title": {"type": "text"},
            "year": {"type": "short"},
            "passages": {
                "type": "nested",
                "properties": {
                    "text": {"type": "text"},
                    "vector": {"type": "dense_vector", "dims": 3, "index": True, "similarity": "cosine"},
                },
            },
        }
    }
    documents = [
        {
            "title": "Fruit",
            "year": 2001,
            "passages": [
                {"text": "an apple falls", "vector": [1, 0, 0]},
                {"text": "a cherry hangs", "vector": [0, 0, 1]},
            ],
        },
        {"title": "Bread", "year": 2002, "passages": [{"text": "banana bread", "vector": [0, 1, 0]}]},
    ]
    put(server, index, mapping, documents)
    with ElasticsearchRetriever(server, index=index, embedder=Axes()) as made:
        for method in (made.search, made.vector_search, made.hybrid_search):
            hit = method("cherry", 1)[0]
            assert (hit.doc_id, hit.preview, hit.title) == ("0", "a cherry hangs", "Fruit")
            assert [found.doc_id for found in method("cherry banana", 5, {"year": 2002})] == ["1"]
        assert made.search("bread fruit")[0].metadata == {"title": "Bread", "year": 2002}
        assert made.get("0")["content"] == "an apple falls\n\na cherry hangs"
        assert made.search("Fruit", 1)[0].doc_id == "0"


def test_names_can_be_given(server: str, index: str) -> None:  # noqa: F811
    mapping = {"properties": {"a": {"type": "text"}, "b": {"type": "text"}, "n": {"type": "keyword"}}}
    put(server, index, mapping, [{"a": "one heron", "b": "two", "n": "x"}, {"a": "two", "b": "a heron", "n": "y"}])
    names = FieldNames(text=("b",), body="b", doc_id="n", metadata=("n",))
    with ElasticsearchRetriever(server, index=index, fields=names) as made:
        assert [(hit.doc_id, hit.preview) for hit in made.search("heron")] == [("y", "a heron")]
        assert made.fields.keys() == {"n", "doc_id"}
        assert made.get("x")["content"] == "two"
    with (
        ElasticsearchRetriever(server, index=index, fields=FieldNames(body="c")) as made,
        pytest.raises(RetrieverError, match="no field 'c'; its fields: a, b, n"),
    ):
        made.search("x")


def test_a_field_added_later_is_found(server: str, index: str, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    put(server, index, {"properties": {"text": {"type": "text"}}}, [{"text": "heron"}])
    with ElasticsearchRetriever(server, index=index) as made:
        with pytest.raises(RetrieverError, match="no metadata field 'year'"):
            made.search("heron", 5, {"year": 2020})
        put_field = json.dumps({"properties": {"year": {"type": "integer"}}}).encode()
        request("PUT", f"{server}/{index}/_mapping", put_field)
        monkeypatch.setattr("pyrlm.retrievers.es_indices.LOOK_AGAIN_SECONDS", 0.0)
        assert made.search("heron", 5, {"year": 2020}) == []


def test_several_indices_behind_a_pattern(server: str, index: str) -> None:  # noqa: F811
    common = {"text": {"type": "text"}}
    put(
        server,
        f"{index}-a",
        {"properties": {**common, "year": {"type": "integer"}, "x": {"type": "long"}}},
        [{"text": "heron", "year": 1}],
    )
    put(
        server,
        f"{index}-b",
        {"properties": {**common, "year": {"type": "integer"}, "x": {"type": "keyword"}}},
        [{"text": "heron", "year": 2}],
    )
    with ElasticsearchRetriever(server, index=f"{index}-*") as made:
        assert len(made.search("heron")) == 2
        assert len(made.search("heron", 5, {"year": 2})) == 1
        # Of two types in two indices: a filter would be right in one and silent in the other.
        assert "x" not in made.fields


def test_an_index_without_text() -> None:
    with pytest.raises(RetrieverError, match=r"no text field to search; its fields: a \(keyword\)"):
        discover("i", {"properties": {"a": {"type": "keyword"}}}, FieldNames())


def test_marks_are_not_shown(articles: ElasticsearchRetriever) -> None:
    for hit in articles.search("the apple banana heron filler", 10):
        assert not set(MARKS) & set(hit.preview)
