"""EmbeddedRetriever: BM25 and vectors over one folder on this machine, without a server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from pyrlm.errors import ConfigurationError, RetrieverError
from pyrlm.retrievers.embeddings import embed_query
from pyrlm.retrievers.filters import parse_filters
from pyrlm.retrievers.folder import IndexFolder
from pyrlm.retrievers.fusion import reciprocal_rank_fusion
from pyrlm.retrievers.previews import PREVIEW_CHARS, Previewer
from pyrlm.retrievers.protocol import MAX_GET_CHARS, DocumentPart, Filters, Hits, check_query
from pyrlm.retrievers.queries import query_terms
from pyrlm.retrievers.results import diverse, hits, read

if TYPE_CHECKING:
    import os
    from collections import Counter
    from collections.abc import Callable, Sequence

    import numpy as np
    import tantivy
    from numpy.typing import NDArray

    from pyrlm.retrievers.chunking import PassageSplitter
    from pyrlm.retrievers.embeddings import Embedder
    from pyrlm.retrievers.filters import Node
    from pyrlm.retrievers.protocol import Method
    from pyrlm.retrievers.reading import Snapshot

__all__ = ["EmbeddedRetriever"]

NO_WORDS: Final = "the query holds no words to search for"
LISTING: Final = "every document that the filters match, in no order of worth"
HYBRID_DEPTH: Final = 50
"""Passages of each ranking that are joined, at least."""
NO_EMBEDDER: Final = "ranked by BM25 alone: this retriever has no embedder"


class _Near:
    """Fetches the passages nearest to a vector, and notes whether a graph chose among them."""

    def __init__(self, snapshot: Snapshot, vector: NDArray[np.float32], node: Node | None) -> None:
        self._asked = snapshot, vector, node
        self.approximate = False

    def __call__(self, depth: int) -> list[tuple[tantivy.DocAddress, float]]:
        snapshot, vector, node = self._asked
        found, self.approximate = snapshot.nearest(vector, node, depth)
        return found


class EmbeddedRetriever(IndexFolder):
    """A corpus in one folder: text by tantivy, vectors by numpy, both in the same atomic commits.

    Any number of readers, in any processes, see what one writer has committed. A folder that doesn't exist yet is made
    by the first `index`. Safe for use from many threads; every method that can wait has a twin for a running loop
    (`asearch`, `aindex`, …).

    Args:
        path: The folder, such as ``corpus.idx``.
        embedder: Makes vectors. An index keeps to the one that it was made with; None: BM25 only.
        chunker: Cuts documents; by default as the index was made, a new one with passages of at most 300 tokens.
        preview_chars: Characters of a preview at most.
        passages_per_document: Hits of one document in a result, while there are others to show.
        approximate: Whether vectors are searched by a graph of neighbours (HNSW), which `index` then builds. None: from
            `GRAPH_NUMBERS` numbers on, where the extra ``ann`` is installed. What the graph lacks is compared exactly.

    Raises:
        RetrieverError: The folder holds something that can't be read, or vectors of another embedder.
        ConfigurationError: An option makes no sense, or `approximate` is asked for without the extra.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        embedder: Embedder | None = None,
        chunker: PassageSplitter | None = None,
        preview_chars: int = PREVIEW_CHARS,
        passages_per_document: int = 2,
        approximate: bool | None = None,
    ) -> None:
        if preview_chars < 1 or passages_per_document < 1:
            raise ConfigurationError(
                f"preview_chars and passages_per_document are at least 1, "
                f"got {preview_chars} and {passages_per_document}"
            )
        super().__init__(path, embedder=embedder, chunker=chunker, approximate=approximate)
        self._preview_chars = preview_chars
        self._per_document = passages_per_document

    def search(self, query: str, top_k: int = 10, filters: Filters | None = None) -> Hits:
        """Rank passages by BM25 (k1 1.2, b 0.75) of title, with twice the weight, and text.

        Args:
            query: Words, in any form: nothing in it is syntax. Empty, and with filters: lists the documents that match.
            top_k: Most hits, 1 to 1,000.
            filters: Conditions on metadata; see `pyrlm.retrievers.filters`.

        Returns:
            Hits, best first.

        Raises:
            RetrieverError: An argument is wrong, or the index can't be read.
        """
        query, top_k = check_query(query, top_k)
        snapshot = self._snapshot()
        node = parse_filters(filters, snapshot.manifest.fields)
        words = query_terms(query)
        if words:
            return self._hits(snapshot, lambda depth: snapshot.find(words, node, depth), words, top_k)
        if node is not None and not query.strip():
            return self._hits(snapshot, lambda _: snapshot.listing(node, top_k), words, top_k, note=LISTING)
        return Hits(note=NO_WORDS)

    def vector_search(self, query: str, top_k: int = 10, filters: Filters | None = None) -> Hits:
        """Rank passages by the cosine between their vectors and the query's; scores are (1 + cosine) / 2.

        Exact up to a million passages; in bigger indices by a graph, see `approximate`, and `Hits.approximate` says so.
        Arguments and errors as in `search`; without an embedder it is an error.
        """
        query, top_k = check_query(query, top_k)
        if self._embedder is None:
            raise RetrieverError(
                "vector_search needs an embedder: open the index with the one that it was made with, or use search"
            )
        snapshot = self._snapshot()
        node = parse_filters(filters, snapshot.manifest.fields)
        words = query_terms(query)
        if not words or not snapshot.passages:
            return Hits(method="vector", note=NO_WORDS if not words else "")
        vector = embed_query(self._embedder, query)
        near = _Near(snapshot, vector, node)
        found = self._hits(snapshot, near, words, top_k, method="vector")
        found.approximate = near.approximate
        return found

    def hybrid_search(self, query: str, top_k: int = 10, filters: Filters | None = None) -> Hits:
        """Rank passages by BM25 and by vectors, joined by reciprocal rank fusion.

        Without an embedder, or while it fails, by BM25 alone; `Hits.method` and `Hits.note` say so. Arguments and errors
        as in `search`.
        """
        if self._embedder is None:
            found = self.search(query, top_k, filters)
            return Hits(found, method="bm25", note="; ".join(filter(None, [NO_EMBEDDER, found.note])))
        query, top_k = check_query(query, top_k)
        snapshot = self._snapshot()
        node = parse_filters(filters, snapshot.manifest.fields)
        words = query_terms(query)
        if not words or not snapshot.passages:
            return self.search(query, top_k, filters)
        try:
            vector = embed_query(self._embedder, query)
        except RetrieverError as error:
            found = self.search(query, top_k, filters)
            return Hits(found, method="bm25", note=f"ranked by BM25 alone: {error}")

        near = _Near(snapshot, vector, node)

        def fetch(depth: int) -> list[tuple[tantivy.DocAddress, float]]:
            depth = max(depth, HYBRID_DEPTH)
            lists = [snapshot.find(words, node, depth), near(depth)]
            places = {(at.segment_ord, at.doc): at for ranked in lists for at, _ in ranked}
            fused = reciprocal_rank_fusion([(at.segment_ord, at.doc) for at, _ in ranked] for ranked in lists)
            return [(places[key], score) for key, score in fused]

        found = self._hits(snapshot, fetch, words, top_k, method="hybrid")
        found.approximate = near.approximate
        return found

    def search_batch(self, queries: Sequence[str], top_k: int = 10, filters: Filters | None = None) -> list[Hits]:
        """`search` for each query."""
        return [self.search(query, top_k, filters) for query in queries]

    def get(self, doc_id: str, offset: int = 0, limit: int = MAX_GET_CHARS) -> DocumentPart:
        """Read a document.

        Args:
            doc_id: Its id.
            offset: First character to return.
            limit: Most characters to return, up to 1,000,000.

        Returns:
            ``{doc_id, content, metadata}``; for a part of a longer document also ``offset``, ``total_chars`` and
            ``next_offset`` (None at the end).

        Raises:
            RetrieverError: There is no such document, or an argument is wrong.
        """
        for name, value, least in (("offset", offset, 0), ("limit", limit, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise RetrieverError(f"{name} must be a whole number of at least {least}, got {value!r}")
        return read(self._snapshot(), doc_id, offset, min(limit, MAX_GET_CHARS))

    def _hits(
        self,
        snapshot: Snapshot,
        fetch: Callable[[int], Sequence[tuple[tantivy.DocAddress, float]]],
        words: Counter[str],
        top_k: int,
        *,
        method: Method = "bm25",
        note: str = "",
    ) -> Hits:
        ranked = diverse(snapshot, fetch, top_k, self._per_document)
        return hits(snapshot, ranked, Previewer(words, self._preview_chars), method=method, note=note)

    async def asearch(self, query: str, top_k: int = 10, filters: Filters | None = None) -> Hits:
        """`search`, in a thread."""
        return await asyncio.to_thread(self.search, query, top_k, filters)

    async def avector_search(self, query: str, top_k: int = 10, filters: Filters | None = None) -> Hits:
        """`vector_search`, in a thread."""
        return await asyncio.to_thread(self.vector_search, query, top_k, filters)

    async def ahybrid_search(self, query: str, top_k: int = 10, filters: Filters | None = None) -> Hits:
        """`hybrid_search`, in a thread."""
        return await asyncio.to_thread(self.hybrid_search, query, top_k, filters)

    async def aget(self, doc_id: str, offset: int = 0, limit: int = MAX_GET_CHARS) -> DocumentPart:
        """`get`, in a thread."""
        return await asyncio.to_thread(self.get, doc_id, offset, limit)
