"""Searches as bodies for Elasticsearch. Text from a model is never parsed: it stands in `match` queries only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyrlm.retrievers.queries import query_terms

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from pyrlm.retrievers.es_layout import Layout

__all__ = ["MARKS", "bounded", "listing_body", "text_body", "vector_body"]

MAX_WORDS: Final = 400
"""Of a query, in each field: a server takes 1,024 clauses at least, and more where it has more memory."""

MAX_CANDIDATES: Final = 10_000
CANDIDATES: Final = 100
CANDIDATES_A_HIT: Final = 5
"""Candidates of a shard, at least and for each hit. On 12,900 MiniLM vectors of RFCs recall@10 was 0.994 with 100 for 20 hits, and
the same with twice as many."""
MARKS: Final = ("\ue0f0", "\ue0f1")
"""Put around matching words in highlights: characters for private use, which documents hardly hold."""

FIRST: Final = "pyrlm first"
"""Name of the pieces of a nested body that only show it."""

_ANALYZED_CHARS: Final = 999_999


def bounded(query: str) -> str:
    """The query, or of a very long one its first different words."""
    words = query_terms(query)
    return query if sum(words.values()) <= MAX_WORDS else " ".join(list(words)[:MAX_WORDS])


def text_body(layout: Layout, query: str, node: Mapping[str, Any] | None, size: int, chars: int) -> dict[str, Any]:
    """A search by BM25 of the better of title, which counts twice, and text."""
    text = _text_query(layout, query, chars)
    found = text if node is None else {"bool": {"must": [text], "filter": [node]}}
    return _common(layout, query, size, chars) | {"query": found}


def vector_body(
    layout: Layout, query: str, node: Mapping[str, Any] | None, size: int, chars: int, *, vector: NDArray[np.float32]
) -> dict[str, Any]:
    """A search for the nearest vectors, with the filter inside: outside it would cut the nearest ones down afterwards."""
    size = min(size, MAX_CANDIDATES)
    knn: dict[str, Any] = {
        "field": layout.vector,
        "query_vector": vector.tolist(),
        "k": size,
        "num_candidates": min(max(CANDIDATES, CANDIDATES_A_HIT * size), MAX_CANDIDATES),
    }
    if node is not None:
        knn["filter"] = node
    if layout.nested:
        knn["inner_hits"] = _inner_hits(layout, query, chars)
    body = _common(layout, query, size, chars) | {"knn": knn}
    if layout.nested and node is not None:
        # With a filter inside the nested object the nearest pieces come without text. This brings one of each document
        # along, and documents that are near to nothing, with a score of 0.
        body["query"] = {"bool": {"filter": [node], "must": [_first(layout, query, chars)]}}
    return body


def listing_body(layout: Layout, node: Mapping[str, Any], size: int, chars: int) -> dict[str, Any]:
    """Documents that a filter matches; of an index with passages the first one of each."""
    filters = [node, {"term": {layout.order: 0}}] if layout.own is not None and layout.order else [node]
    listed: dict[str, Any] = {"constant_score": {"filter": {"bool": {"filter": filters}}}}
    if layout.nested:
        listed = {"bool": {"must": [listed], "should": [_first(layout, "", chars)]}}
    return _common(layout, "", size, chars) | {"query": listed}


def _common(layout: Layout, query: str, size: int, chars: int) -> dict[str, Any]:
    body: dict[str, Any] = {"size": size, "track_total_hits": False}
    if layout.own is None:
        body["_source"] = {"excludes": list(layout.hidden)}
    if layout.stems and not layout.nested:
        body["highlight"] = _highlight(layout, query, chars)
    return body


def _text_query(layout: Layout, query: str, chars: int) -> dict[str, Any]:
    match = _match(query, list(layout.text))
    if not layout.nested:
        return match
    inside: dict[str, Any] = {"path": layout.nested, "query": match, "score_mode": "max"}
    nested = {"nested": {**inside, "inner_hits": _inner_hits(layout, query, chars)}}
    if layout.title is None or layout.title.startswith(f"{layout.nested}."):
        return nested
    either = {"bool": {"should": [_match(query, [f"{layout.title}^2"]), nested], "minimum_should_match": 1}}
    return {"bool": {"must": [either], "should": [_first(layout, query, chars)]}}


def _first(layout: Layout, query: str, chars: int) -> dict[str, Any]:
    """Brings a piece of a nested body along with a hit that was found by something else; the score stays what it is."""
    pieces = _inner_hits(layout, query, chars) | {"name": FIRST}
    return {
        "nested": {
            "path": layout.nested,
            "query": {"match_all": {"boost": 0.0}},
            "score_mode": "none",
            "inner_hits": pieces,
        }
    }


def _match(query: str, fields: list[str]) -> dict[str, Any]:
    return {"multi_match": {"query": query, "fields": fields, "type": "best_fields"}}


def _inner_hits(layout: Layout, query: str, chars: int) -> dict[str, Any]:
    return {
        "size": 1,
        "_source": False,
        "highlight": _highlight(layout, query, chars),
    }


def _highlight(layout: Layout, query: str, chars: int) -> dict[str, Any]:
    highlight: dict[str, Any] = {
        "type": "unified",
        "fields": {layout.body: {}},
        "fragment_size": chars,
        "number_of_fragments": 1,
        "no_match_size": chars,
        "max_analyzed_offset": _ANALYZED_CHARS,
        "require_field_match": False,
        "pre_tags": [MARKS[0]],
        "post_tags": [MARKS[1]],
    }
    if query:
        highlight["highlight_query"] = _match(query, [layout.body])
    return highlight
