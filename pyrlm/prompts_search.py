"""What a model is told of the searches that its run has."""

from __future__ import annotations

__all__ = ["SEARCH_EXAMPLE", "search_names"]

SEARCH_EXAMPLE = """\
for hit in es_search("warranty period"):
    print(hit["doc_id"], hit["start"], hit["preview"])"""

_HITS = "dicts {doc_id, preview, score, metadata, start, end, line}, best first"

_NAMES = {
    "es_search": f"es_search(query, top_k=10, filters=None): passages of an index by their words (BM25), as {_HITS}: "
    "`es_search('warranty period', 20)`",
    "es_vector_search": "es_vector_search(query, top_k=10, filters=None): by meaning: `es_vector_search('who pays?')`",
    "es_hybrid_search": "es_hybrid_search(query, top_k=10, filters=None): by both: `es_hybrid_search('late delivery')`",
    "es_search_batch": "es_search_batch(queries, top_k=10, filters=None): side by side, a list of hits for each: "
    "`es_search_batch(['penalty', 'late fee'])`",
    "es_get": "es_get(doc_id, offset=0, limit=1000000): {doc_id, content, metadata}; a part also has next_offset: "
    "`es_get(hit['doc_id'], max(0, hit['start'] - 500), 3000)['content']`",
}
_NO_VECTORS = "es_hybrid_search(query, top_k=10, filters=None): as es_search here (no vectors): `es_hybrid_search('late delivery')`"
_RULES = (
    "filters: one dict on metadata: `{'year': {'gte': 2018}, 'status': ['final', 'draft'], 'author': {'exists': True}}`; "
    "also gt lte lt prefix not, and 'or'/'and' with a list of filters. A failed search raises RetrieverError: "
    "`except RetrieverError as e`, and search differently"
)


_SHORT = (
    (
        "es_search(query, top_k=10, filters=None): passages of an index by their words, dicts {doc_id, preview, start, end, line, "
        "metadata}; es_hybrid_search likewise; es_search_batch(queries)"
    ),
    "es_vector_search(query, top_k=10, filters=None): by meaning",
    "es_get(doc_id, offset=0, limit=1000000)['content']: a document, or a part of it",
    "filters: `{'year': {'gte': 2018}, 'status': ['final']}`; also gt lte lt prefix exists not or and",
)


def search_names(*, vectors: bool, short: bool = False) -> list[str]:
    """Return a line for each search that exists, and one on filters; `short`: the least that one needs to know."""
    if short:
        return [line for line in _SHORT if vectors or not line.startswith("es_vector_search")]
    names = dict(_NAMES)
    if not vectors:
        del names["es_vector_search"]
        names["es_hybrid_search"] = _NO_VECTORS
    return [*names.values(), _RULES]
