"""Reading all that a query finds, however much: at a point in time, page by page; and counting."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.es_errors import check_complete

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from pyrlm.retrievers.es_connection import Connection
    from pyrlm.retrievers.es_layout import Layout

__all__ = ["count", "document_ids", "scan"]

PAGE: Final = 1_000
KEEP_ALIVE: Final = "2m"


async def scan(
    connection: Connection, index: str, query: Mapping[str, Any], *, page: int = PAGE, **options: Any
) -> AsyncIterator[Mapping[str, Any]]:
    """Every entry that `query` finds, in no order; `options` go into each search (``_source``, say)."""
    opened = await connection.call(
        "reading", lambda client: client.open_point_in_time(index=index, keep_alive=KEEP_ALIVE), index=index
    )
    newest = opened["id"]
    try:
        after: list[Any] | None = None
        while True:
            body: dict[str, Any] = {
                "query": query,
                "size": page,
                "pit": {"id": newest, "keep_alive": KEEP_ALIVE},
                "sort": ["_shard_doc"],
                "track_total_hits": False,
                **options,
            }
            if after is not None:
                body["search_after"] = after
            reply = await _search(connection, body, index)
            newest = reply.get("pit_id", newest)
            hits = reply["hits"]["hits"]
            for found in hits:
                yield found
            if len(hits) < page:
                return
            after = hits[-1]["sort"]
    finally:
        with contextlib.suppress(RetrieverError):
            await connection.call("closing a point in time", lambda client: client.close_point_in_time(id=newest))


async def _search(connection: Connection, body: dict[str, Any], index: str, *, named: bool = False) -> Any:
    """One page. A search at a point in time names no index, and can't say that it takes no partial results."""
    where: dict[str, Any] = {"index": index, "allow_partial_search_results": False} if named else {}
    reply = await connection.call("reading", lambda client: client.search(body=body, **where), index=index)
    check_complete(reply, "reading", index)
    return reply


async def document_ids(connection: Connection, index: str) -> AsyncIterator[str]:
    """The ids of all documents of an index that `pyrlm` made, in their order."""
    pages: dict[str, Any] = {"size": PAGE, "sources": [{"id": {"terms": {"field": "doc_id"}}}]}
    body = {"size": 0, "track_total_hits": False, "aggs": {"documents": {"composite": pages}}}
    while True:
        reply = await _search(connection, body, index, named=True)
        found = reply["aggregations"]["documents"]
        for bucket in found["buckets"]:
            yield bucket["key"]["id"]
        if "after_key" not in found:
            return
        pages["after"] = found["after_key"]


async def count(connection: Connection, layout: Layout, query: Mapping[str, Any] | None = None) -> int:
    """Number of entries; of those that `query` finds."""
    body = {"query": query or {"match_all": {}}}
    reply = await connection.call(
        "counting", lambda client: client.count(index=layout.index, body=body), index=layout.index
    )
    check_complete(reply, "counting", layout.index)
    number: int = reply["count"]
    return number
