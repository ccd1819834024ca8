"""The searches of one run: the es_ functions that code calls, each an event of the trace, and quotes checked in the index."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from pyrlm.corpus import MAX_GET_CHARS, Corpus, Method
from pyrlm.effects import NO_RECORD
from pyrlm.errors import RetrieverError
from pyrlm.quotes import Quotes
from pyrlm.seen import Seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyrlm.citations import Citation
    from pyrlm.effects import Effects
    from pyrlm.repl.protocol import HostFunction
    from pyrlm.retrievers.protocol import Hit, Hits
    from pyrlm.trace import Recorder

__all__ = ["Searches"]

_AT_ONCE = 16
"""Searches of one run that are under way at once."""
_MAX_BATCH = 500
_SHOWN_HITS = 20
_METHODS: tuple[Method, ...] = ("bm25", "vector", "hybrid")


class Searches:
    """Searches in one corpus on behalf of one run.

    Args:
        retriever: The corpus.
        recorder: Gets every search and every read.
        effects: Makes them; those of a durable run that are known are not made again.

    Attributes:
        parent: Step of the trace that searches belong to.
        seen: What was read so far.
    """

    def __init__(self, retriever: Any, recorder: Recorder, effects: Effects = NO_RECORD) -> None:
        self.corpus = Corpus(retriever, effects)
        self.parent: int | None = None
        self.seen = Seen()
        self._recorder = recorder
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._quotes = Quotes(self)

    @property
    def vectors(self) -> bool:
        """Whether the corpus can be searched by meaning."""
        return self.corpus.vectors

    def functions(self) -> dict[str, HostFunction]:
        """Return the host functions by the names that code uses; without vectors there is no `es_vector_search`."""
        functions: dict[str, HostFunction] = {
            "es_search": self.es_search,
            "es_hybrid_search": self.es_hybrid_search,
            "es_search_batch": self.es_search_batch,
            "es_get": self.es_get,
        }
        if self.vectors:
            functions["es_vector_search"] = self.es_vector_search
        return functions

    async def es_search(self, query: str, top_k: int = 10, filters: dict[str, Any] | None = None) -> list[Any]:
        """Rank passages by BM25."""
        return _for_code(await self.find("bm25", query, top_k, filters, function="es_search"))

    async def es_vector_search(self, query: str, top_k: int = 10, filters: dict[str, Any] | None = None) -> list[Any]:
        """Rank passages by meaning."""
        return _for_code(await self.find("vector", query, top_k, filters, function="es_vector_search"))

    async def es_hybrid_search(self, query: str, top_k: int = 10, filters: dict[str, Any] | None = None) -> list[Any]:
        """Rank passages by both; by BM25 where there are no vectors."""
        return _for_code(await self.find("hybrid", query, top_k, filters, function="es_hybrid_search"))

    async def es_search_batch(
        self, queries: list[str], top_k: int = 10, filters: dict[str, Any] | None = None, method: Method = "bm25"
    ) -> list[list[Any]]:
        """Search for all `queries` at once; return the hits of each, in their order. One that fails fails them all."""
        if not isinstance(queries, list | tuple) or len(queries) > _MAX_BATCH:
            given = f"{len(queries):,} queries" if isinstance(queries, list | tuple) else type(queries).__name__
            raise RetrieverError(f"es_search_batch(queries): expected a list of at most {_MAX_BATCH} str, got {given}")
        if method not in _METHODS or (method == "vector" and not self.vectors):
            raise RetrieverError(f"method={method!r}: expected {' or '.join(self._methods())}")
        if method == "bm25" and self.corpus.batches:
            return [_for_code(hits) for hits in await self._in_one_request(queries, top_k, filters)]
        searches = (self.find(method, query, top_k, filters, function="es_search_batch") for query in queries)
        found = await asyncio.gather(*searches, return_exceptions=True)
        results = []
        for number, (query, hits) in enumerate(zip(queries, found, strict=True)):
            if isinstance(hits, RetrieverError):
                which = f"query {number} of {len(queries)} ({str(query)[:80]!r})"
                raise RetrieverError(f"{which}: {hits}", retryable=hits.retryable)
            if isinstance(hits, BaseException):
                raise hits
            results.append(_for_code(hits))
        return results

    async def _in_one_request(
        self, queries: Sequence[str], top_k: int, filters: Mapping[str, Any] | None
    ) -> list[Hits]:
        data: dict[str, Any] = {"function": "es_search_batch", "top_k": top_k, "batch": len(queries)}
        data |= {"filters": filters} if filters else {}
        async with self._at_once:
            started = time.perf_counter()
            try:
                found = await self.corpus.search_batch(queries, top_k, filters)
            except RetrieverError as error:
                self._record(f"{len(queries)} queries", started, data, error=f"RetrieverError: {error}")
                raise
        for query, hits in zip(queries, found, strict=True):
            self._found(query, hits, started, data | {"query": query})
        return found

    async def es_get(self, doc_id: str, offset: int = 0, limit: int = MAX_GET_CHARS) -> dict[str, Any]:
        """Read a document, or at most `limit` characters from `offset` on."""
        part = await self.read(doc_id, offset, limit, function="es_get")
        return {**part, "metadata": _plain(part["metadata"])}

    async def find(
        self,
        method: Method,
        query: str,
        top_k: int = 10,
        filters: Mapping[str, Any] | None = None,
        *,
        function: str = "search",
    ) -> Hits:
        """Search, keep what was found for citations, and enter it into the trace.

        Raises:
            RetrieverError: An argument is wrong, or the search failed.
        """
        data: dict[str, Any] = {"function": function, "query": query, "top_k": top_k}
        data |= {"filters": filters} if filters else {}
        async with self._at_once:
            started = time.perf_counter()
            try:
                hits = await self.corpus.search(method, query, top_k, filters)
            except RetrieverError as error:
                self._record(str(query), started, data, error=f"RetrieverError: {error}")
                raise
        if method == "hybrid" and hits.method == "bm25" and not hits.note:
            hits.note = "ranked by BM25 alone"
        self._found(query, hits, started, data)
        return hits

    async def read(
        self, doc_id: str, offset: int = 0, limit: int = MAX_GET_CHARS, *, function: str = "read"
    ) -> dict[str, Any]:
        """Read a part of a document, keep it for citations, and enter it into the trace.

        Raises:
            RetrieverError: There is no such document, an argument is wrong, or reading failed.
        """
        data: dict[str, Any] = {"function": function, "doc_id": doc_id, "offset": offset}
        async with self._at_once:
            started = time.perf_counter()
            try:
                part = await self.corpus.get(doc_id, offset, limit)
            except RetrieverError as error:
                self._record(str(doc_id), started, data, error=f"RetrieverError: {error}")
                raise
        content = part["content"]
        if content:
            self.seen.add(doc_id, content, part.get("offset", offset) or 0, source=_source(part.get("metadata")))
        self._record(doc_id, started, data | {"chars": len(content)})
        return part

    async def find_quotes(self, quotes: Iterable[str]) -> tuple[tuple[Citation, ...], tuple[str, ...]]:
        """Look quotes up in what the run has read, then by a search for each of the first thirty; see `Quotes`.

        Returns:
            Citations with document, offsets and line, each place once; and the quotes that are not in the index.
        """
        return await self._quotes.find(quotes)

    def _methods(self) -> list[str]:
        return [repr(name) for name in _METHODS if self.vectors or name != "vector"]

    def _found(self, query: str, hits: Hits, started: float, data: Mapping[str, Any]) -> None:
        """Keep what was found, and enter it into the trace."""
        for hit in hits:
            self._keep(hit)
        shown = "\n".join(f"{hit.doc_id} [{hit.start}:{hit.end}] {hit.score:.3g}" for hit in hits[:_SHOWN_HITS])
        more = {"count": len(hits), "method": hits.method} | ({"note": hits.note} if hits.note else {})
        more |= {"approximate": True} if hits.approximate else {}
        self._record(query, started, {**data, **more}, output=shown, reason=hits.note or None)

    def _keep(self, hit: Hit) -> None:
        if hit.start is None or not hit.text:
            self.seen.add_loose(hit.doc_id, hit.text or hit.preview, hit.start or 0)
        else:
            self.seen.add(hit.doc_id, hit.text, hit.start, line=hit.line, source=_source(hit.metadata))

    def _record(self, shown: str, started: float, data: Mapping[str, Any], **values: Any) -> None:
        elapsed = time.perf_counter() - started
        self._recorder.record(
            "search", prompt=shown, elapsed=elapsed, parent=self.parent, data={**data, "elapsed": elapsed}, **values
        )


def _source(metadata: object) -> str | None:
    source = metadata.get("source") if hasattr(metadata, "get") else None
    return source if isinstance(source, str) else None


def _for_code(hits: Hits) -> list[dict[str, Any]]:
    """Hits as code gets them, in types that cross into the REPL."""
    return [
        {
            "doc_id": hit.doc_id,
            "preview": hit.preview,
            "score": hit.score,
            "metadata": _plain(hit.metadata),
            "title": hit.title,
            "start": hit.start,
            "end": hit.end,
            "line": hit.line,
            "method": hits.method,
        }
        for hit in hits
    ]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)
