"""Searching on a cluster: one round trip a search, the joining of rankings done here."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.embeddings import embed_query
from pyrlm.retrievers.es_errors import ClusterError, RefusedItem, check_complete
from pyrlm.retrievers.es_filters import compile_filter
from pyrlm.retrievers.es_hits import document_id, to_hit
from pyrlm.retrievers.es_own import check_embedder
from pyrlm.retrievers.es_queries import bounded, listing_body, text_body, vector_body
from pyrlm.retrievers.filters import parse_filters
from pyrlm.retrievers.fusion import reciprocal_rank_fusion, spread
from pyrlm.retrievers.previews import Previewer
from pyrlm.retrievers.protocol import Filters, Hits, check_query
from pyrlm.retrievers.queries import query_terms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pyrlm.retrievers.embeddings import Embedder
    from pyrlm.retrievers.es_connection import Connection
    from pyrlm.retrievers.es_indices import Indices
    from pyrlm.retrievers.es_layout import Layout
    from pyrlm.retrievers.protocol import Method

    Ranked = list[tuple[Mapping[str, Any], float]]

__all__ = ["HYBRID_DEPTH", "Question", "Searcher"]

HYBRID_DEPTH: Final = 50
"""Passages of each ranking that are joined, at least."""
DEPTH_LIMIT: Final = 1_000
"""Passages beyond which no further documents are looked for."""
SEARCHES_A_REQUEST: Final = 50
DOING: Final = "searching"
READINGS: Final = 5
"""Of an index that is replaced while it is asked, at most."""
UNFIT: Final = frozenset({400, 404})
Found = TypeVar("Found")


class ReplacedError(Exception):
    """Behind the name of the index there is another one than was asked about. It never leaves these modules."""


@dataclass(frozen=True, slots=True)
class Question:
    """A search, checked against the index.

    Attributes:
        query: The text.
        top_k: Most hits.
        node: The filter as a query of the cluster; None for none.
        words: The words of the text.
        layout: What the index holds.
    """

    query: str
    top_k: int
    node: Mapping[str, Any] | None
    words: Counter[str]
    layout: Layout


class Searcher:
    """Runs searches on one index.

    Args:
        connection: The way to the cluster.
        indices: The index.
        embedder: Makes the vectors of queries; None: no vectors.
        preview_chars: Characters of a preview at most.
        passages_per_document: Hits of one document in a result, while there are others to show.
    """

    def __init__(
        self,
        connection: Connection,
        indices: Indices,
        embedder: Embedder | None,
        preview_chars: int,
        passages_per_document: int,
    ) -> None:
        self._connection = connection
        self._indices = indices
        self._embedder = embedder
        self._chars = preview_chars
        self._per_document = passages_per_document

    async def asked(
        self,
        queries: Sequence[object],
        top_k: object,
        filters: Filters | None,
        search: Callable[[list[Question]], Awaitable[Found]],
    ) -> Found:
        """Run a search; again where another index is found behind the name than was asked about.

        Raises:
            RetrieverError: An argument is wrong, the index can't be read, or it holds vectors of another model now.
        """
        for attempt in range(READINGS):
            if attempt:
                await self._indices.layout(again=True)
            try:
                return await search([await self.question(query, top_k, filters) for query in queries])
            except ReplacedError:
                continue
        raise RetrieverError(f"index {self._indices.name!r} is rebuilt all the time; search it again", retryable=True)

    async def question(self, query: object, top_k: object, filters: Filters | None) -> Question:
        """Check the arguments of a search, before it is sent.

        Raises:
            RetrieverError: One is wrong, or the index can't be read.
        """
        text, count = check_query(query, top_k)
        layout = await self._indices.layout()
        try:
            node = parse_filters(filters, layout.schema)
        except RetrieverError:
            if not self._indices.is_stale():
                raise
            layout = await self._indices.layout(again=True)  # somebody may have added the field meanwhile
            node = parse_filters(filters, layout.schema)
        check_embedder(layout, self._embedder)
        compiled = None if node is None else compile_filter(node, layout)
        return Question(bounded(text), count, compiled, query_terms(text), layout)

    async def vector(self, asked: Question) -> NDArray[np.float32]:
        """The vector of the query.

        Raises:
            RetrieverError: There are no vectors, or the embedder failed.
        """
        if self._embedder is None:
            raise RetrieverError("vector_search needs an embedder: open the index with the one that made its vectors")
        if asked.layout.vector is None:
            raise RetrieverError(f"index {asked.layout.index!r} has no vectors; use search")
        return await asyncio.to_thread(embed_query, self._embedder, asked.query)

    async def text(self, asked: Question) -> Hits:
        """Hits by BM25."""

        async def fetch(depth: int) -> tuple[Ranked, bool]:
            ranked = await self._search(asked.layout, self._text(asked, depth))
            return ranked, len(ranked) < depth

        return await self._hits(asked, fetch, "bm25")

    async def near(self, asked: Question, vector: NDArray[np.float32]) -> Hits:
        """Hits by vectors."""

        async def fetch(depth: int) -> tuple[Ranked, bool]:
            ranked = await self._search(asked.layout, self._near(asked, vector, depth))
            if not ranked:
                await self._check_unmoved(asked.layout)
            return ranked, len(ranked) < depth

        return await self._hits(asked, fetch, "vector")

    async def both(self, asked: Question, vector: NDArray[np.float32]) -> Hits:
        """Hits by both, asked for in one request and joined here."""

        async def fetch(depth: int) -> tuple[Ranked, bool]:
            depth = max(depth, HYBRID_DEPTH)
            bodies = [self._text(asked, depth), self._near(asked, vector, depth)]
            lists = await self._searches(asked.layout, bodies)
            if not lists[1]:
                await self._check_unmoved(asked.layout)
            entries = {_key(entry): entry for ranked in reversed(lists) for entry, _ in ranked}
            fused = reciprocal_rank_fusion([_key(entry) for entry, _ in ranked] for ranked in lists)
            return [(entries[key], score) for key, score in fused], all(len(ranked) < depth for ranked in lists)

        return await self._hits(asked, fetch, "hybrid")

    async def listing(self, asked: Question) -> Hits:
        """Documents that the filter matches."""
        assert asked.node is not None
        ranked = await self._search(asked.layout, listing_body(asked.layout, asked.node, asked.top_k, self._chars))
        return self._shown(asked, ranked, "bm25")

    async def texts(self, questions: Sequence[Question]) -> list[Hits]:
        """Hits by BM25 for many questions, in as few requests as may be."""
        found: list[Hits] = []
        for start in range(0, len(questions), SEARCHES_A_REQUEST):
            some = questions[start : start + SEARCHES_A_REQUEST]
            depths = [_first_depth(asked, "bm25") for asked in some]
            bodies = [self._text(asked, depth) for asked, depth in zip(some, depths, strict=True)]
            lists = await self._searches(some[0].layout, bodies)
            for asked, depth, ranked in zip(some, depths, lists, strict=True):
                enough = self._chosen(asked, ranked, final=len(ranked) < depth)
                found.append(await self.text(asked) if enough is None else self._shown(asked, enough, "bm25"))
        return found

    def _text(self, asked: Question, depth: int) -> dict[str, Any]:
        return text_body(asked.layout, asked.query, asked.node, depth, self._chars)

    def _near(self, asked: Question, vector: NDArray[np.float32], depth: int) -> dict[str, Any]:
        return vector_body(asked.layout, asked.query, asked.node, depth, self._chars, vector=vector)

    async def _search(self, layout: Layout, body: dict[str, Any]) -> Ranked:
        return self._entries(
            await self._call(
                layout,
                lambda client: client.search(index=layout.index, body=body, allow_partial_search_results=False),
            ),
            layout,
        )

    async def _searches(self, layout: Layout, bodies: Sequence[Mapping[str, Any]]) -> list[Ranked]:
        lines: list[Mapping[str, Any]] = []
        for body in bodies:
            lines += [{"index": layout.index, "allow_partial_search_results": False}, body]

        async def request(client: Any) -> Any:
            reply = await client.msearch(searches=lines)
            for item in reply["responses"]:
                if "error" in item:
                    raise RefusedItem(item)
            return reply

        reply = await self._call(layout, request)
        return [self._entries(item, layout) for item in reply["responses"]]

    async def _call(self, layout: Layout, request: Callable[[Any], Awaitable[Any]]) -> Any:
        try:
            return await self._connection.call(DOING, request, index=layout.index)
        except ClusterError as error:
            if error.status in UNFIT:
                await self._check_unmoved(layout)
            raise

    async def _check_unmoved(self, layout: Layout) -> None:
        """Look whether it is still the same index, where a search came to nothing."""
        if (await self._indices.layout(again=True)).indices != layout.indices:
            raise ReplacedError

    def _entries(self, reply: Mapping[str, Any], layout: Layout) -> Ranked:
        """The entries found, if they are of the index that was asked about: each names its own."""
        check_complete(reply, DOING, layout.index)
        entries = reply["hits"]["hits"]
        strange = any(entry["_index"] not in layout.indices for entry in entries)
        # Of an index that was made elsewhere a name may stand for others from day to day.
        if strange and (layout.own is not None or self._indices.is_stale()):
            raise ReplacedError
        ranked = [(entry, float(entry.get("_score") or 0.0)) for entry in entries]
        return [found for found in ranked if found[1]] if layout.nested else ranked

    async def _hits(
        self, asked: Question, fetch: Callable[[int], Awaitable[tuple[Ranked, bool]]], method: Method
    ) -> Hits:
        """The first of a ranking, looked at deeper where one document holds most of its first passages."""
        depth = _first_depth(asked, method)
        while True:
            ranked, exhausted = await fetch(depth)
            chosen = self._chosen(asked, ranked, final=exhausted or depth >= DEPTH_LIMIT)
            if chosen is not None:
                return self._shown(asked, chosen, method)
            depth = min(4 * depth, DEPTH_LIMIT)

    def _chosen(self, asked: Question, ranked: Ranked, *, final: bool) -> Ranked | None:
        """The entries to show; None where there are too few documents among them and there may be others."""
        groups = [document_id(entry, asked.layout) for entry, _ in ranked]
        free = sum(min(number, self._per_document) for number in Counter(groups).values())
        if free < asked.top_k and not final:
            return None
        pairs = list(zip(groups, ranked, strict=True))
        chosen = spread(pairs, asked.top_k, group=itemgetter(0), per_group=self._per_document)
        return [entry for _, entry in chosen]

    def _shown(self, asked: Question, ranked: Ranked, method: Method) -> Hits:
        previewer = Previewer(asked.words, self._chars)
        hits = (to_hit(entry, score, asked.layout, previewer, self._chars) for entry, score in ranked)
        return Hits(hits, method=method, approximate=method != "bm25")


def _first_depth(asked: Question, method: Method) -> int:
    """So deep that a second request is rare. Where the first brings enough documents, a deeper one changes nothing.

    Passages of one document share words more than they share meaning, so that BM25 has to be asked deeper.
    """
    times = 2 if method == "vector" else 4
    return asked.top_k if asked.layout.doc_id == "_id" else min(times * asked.top_k, asked.top_k + 200)


def _key(entry: Mapping[str, Any]) -> tuple[str, str]:
    return entry["_index"], entry["_id"]
