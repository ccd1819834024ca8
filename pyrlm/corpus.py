"""A retriever of any make, as the runtime uses it: every call is awaited, every failure a `RetrieverError`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pyrlm.effects import NO_RECORD
from pyrlm.errors import ConfigurationError, RetrieverError
from pyrlm.foreign import acall, contained, in_thread
from pyrlm.journal_forms import all_hits_form, all_hits_of, hits_form, hits_of, part_form, part_of
from pyrlm.redact import redact
from pyrlm.retrievers.protocol import MAX_GET_CHARS, as_hits, check_query, document_part, has_vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyrlm.effects import Effects
    from pyrlm.retrievers.protocol import Hits

__all__ = ["MAX_GET_CHARS", "Corpus", "Method", "check_retriever"]

T = TypeVar("T")

Method = Literal["bm25", "vector", "hybrid"]

_SEARCHES: dict[Method, str] = {"bm25": "search", "vector": "vector_search", "hybrid": "hybrid_search"}
_MAX_FIELDS = 30
_MAX_FIELD_NAME = 60
_DESCRIBE_SECONDS = 10.0


def check_retriever(retriever: object) -> None:
    """Check that an object has the methods of a retriever.

    Raises:
        ConfigurationError: It has not; the message names what is missing.
    """
    needed = ["search", "hybrid_search", "get", *(["vector_search"] if has_vectors(retriever) else [])]
    missing = [name for name in needed if not callable(getattr(retriever, name, None))]
    if isinstance(retriever, type) or missing:
        given = f"the class {retriever.__name__}" if isinstance(retriever, type) else type(retriever).__name__
        raise ConfigurationError(
            f"retriever={given}: expected an object with search, vector_search, hybrid_search and get"
            + (f"; it has no {', '.join(missing)}." if missing else "; make an instance of it.")
        )


class Corpus:
    """One retriever.

    Args:
        retriever: With the methods of `pyrlm.retrievers.Retriever`, each plain or `async`. Where a plain method has an
            asynchronous twin (`asearch` beside `search`), that one is called.
        effects: Makes the calls; those of a durable run that are known are not made again.

    Attributes:
        vectors: Whether it can search by meaning.
    """

    def __init__(self, retriever: Any, effects: Effects = NO_RECORD) -> None:
        self._retriever = retriever
        self._effects = effects
        self.vectors = has_vectors(retriever)
        self._takes_parts = _takes_parts(retriever.get)

    async def search(
        self, method: Method, query: object, top_k: object = 10, filters: Mapping[str, Any] | None = None
    ) -> Hits:
        """Search by `method`.

        Raises:
            RetrieverError: An argument is wrong, or the search failed.
        """
        text, count = check_query(query, top_k)
        name = _SEARCHES[method]

        async def search() -> Hits:
            found = await _guarded(name, acall(self._method(name), text, count, filters))
            ranked = "bm25" if method == "hybrid" and not self.vectors else method
            hits: Hits = await _guarded(name, _as_hits(found, ranked))
            return hits

        found, _ = await self._effects.once("search", [name, text, count, filters], search, hits_form, hits_of)
        ranked: Hits = found
        return ranked

    @property
    def batches(self) -> bool:
        """Whether many BM25 queries can go in one request."""
        return inspect.iscoroutinefunction(self._batch_method())

    async def search_batch(
        self, queries: Sequence[object], top_k: object = 10, filters: Mapping[str, Any] | None = None
    ) -> list[Hits]:
        """Search for all `queries` by BM25 in one request.

        Raises:
            RetrieverError: An argument is wrong, or the search failed.
        """
        checked = [check_query(query, top_k) for query in queries]
        method = self._batch_method()
        if not checked or method is None:
            return []
        texts, count = [text for text, _ in checked], checked[0][1]

        async def search() -> list[Hits]:
            found = await _guarded("search_batch", method(texts, count, filters))
            if not isinstance(found, list | tuple) or len(found) != len(checked):
                raise RetrieverError(
                    f"search_batch returned {type(found).__name__}, expected a list of hits for each query"
                )
            return [await _guarded("search_batch", _as_hits(hits, "bm25")) for hits in found]

        asked = ["search_batch", texts, count, filters]
        found, _ = await self._effects.once("search", asked, search, all_hits_form, all_hits_of)
        ranked: list[Hits] = found
        return ranked

    async def get(self, doc_id: object, offset: object = 0, limit: object = MAX_GET_CHARS) -> dict[str, Any]:
        """Read a document, or at most `limit` characters of it from `offset` on.

        Raises:
            RetrieverError: There is no such document, an argument is wrong, or reading failed.
        """
        start, most = _whole("offset", offset, 0), min(_whole("limit", limit, 1), MAX_GET_CHARS)
        if not isinstance(doc_id, str):
            raise RetrieverError(f"doc_id must be a string, the doc_id of a hit; got {type(doc_id).__name__}")

        async def get() -> dict[str, Any]:
            if self._takes_parts:
                found = await _guarded("get", acall(self._method("get"), doc_id, offset=start, limit=most))
                return _part(found, doc_id)
            whole = _part(await _guarded("get", acall(self._method("get"), doc_id)), doc_id)
            content = whole["content"]
            part = content[start : start + most]
            return dict(document_part(doc_id, part, whole["metadata"], start, len(content)))

        found, _ = await self._effects.once("search", ["get", doc_id, start, most], get, part_form, part_of)
        part: dict[str, Any] = found
        return part

    async def describe(self, seconds: float | None = None) -> str:
        """Say in a few lines what the corpus holds; what can't be found out in `seconds`, 10 at most, is left out, or said."""
        most = _DESCRIBE_SECONDS if seconds is None else min(seconds, _DESCRIBE_SECONDS)
        said, _ = await self._effects.once("search", "describe", lambda: self._description(most))
        return str(said)

    async def _description(self, seconds: float) -> str:
        try:
            async with asyncio.timeout(seconds):
                await asyncio.sleep(0)  # where no time is left, this is where it ends
                count = await self._told("count")
                fields = await self._told("fields")
        except (RetrieverError, TimeoutError) as error:
            return f"Corpus: an index, which can't be described now ({redact(str(error))[:300] or 'no reply'})."
        size = f"{count:,} documents" if isinstance(count, int) else "documents"
        known = _fields(fields)
        return f"Corpus: an index of {size}, read through the es_ functions." + (
            f" Fields for filters: {known}." if known else ""
        )

    def _batch_method(self) -> Callable[..., Any] | None:
        twin = getattr(self._retriever, "asearch_batch", None)
        method: Callable[..., Any] | None = twin or getattr(self._retriever, "search_batch", None)
        return method

    def _method(self, name: str) -> Callable[..., Any]:
        twin = getattr(self._retriever, f"a{name}", None)
        method: Callable[..., Any] = twin if inspect.iscoroutinefunction(twin) else getattr(self._retriever, name)
        return method

    async def _told(self, name: str) -> Any:
        """Return an optional attribute or method's value; None where the retriever has none."""
        if not hasattr(type(self._retriever), name) and name not in getattr(self._retriever, "__dict__", {}):
            return None
        twin = getattr(self._retriever, f"a{name}", None)
        if inspect.iscoroutinefunction(twin):
            return await _guarded(name, twin())

        def ask() -> Any:
            value = getattr(self._retriever, name)
            return value() if callable(value) else value

        value = await _guarded(name, in_thread(ask))
        return await _guarded(name, value) if inspect.isawaitable(value) else value


async def _as_hits(found: object, method: Method) -> Hits:
    return as_hits(found, method=method)


async def _guarded(name: str, awaitable: Any) -> Any:
    """Await a call of a retriever; whatever it raises is a `RetrieverError` without secrets."""
    try:
        return await contained(name, awaitable)
    except RetrieverError as error:
        raise RetrieverError(redact(str(error)), retryable=error.retryable) from error
    except Exception as error:
        raise RetrieverError(redact(f"{name} failed: {type(error).__name__}: {error}")) from error


def _part(found: object, doc_id: str) -> dict[str, Any]:
    """Take what `get` returned."""
    if not isinstance(found, Mapping) or not isinstance(found.get("content"), str):
        raise RetrieverError(f"get returned {type(found).__name__}, expected a dict with doc_id, content and metadata")
    part = {key: found[key] for key in ("content", "offset", "next_offset", "total_chars") if key in found}
    return {"doc_id": doc_id, **part, "metadata": dict(found.get("metadata") or {})}


def _takes_parts(get: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(get).parameters
    except (TypeError, ValueError):
        return False
    return {"offset", "limit"} <= parameters.keys()


def _whole(name: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise RetrieverError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return value


def _fields(fields: object) -> str:
    if not hasattr(fields, "items"):
        return ""
    named = [f"{' '.join(str(name).split())[:_MAX_FIELD_NAME]} ({kind})" for name, kind in fields.items()]
    more = f" and {len(named) - _MAX_FIELDS} more" if len(named) > _MAX_FIELDS else ""
    return ", ".join(named[:_MAX_FIELDS]) + more
