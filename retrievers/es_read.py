"""Reading documents from a cluster, in parts of bounded size."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.es_errors import check_complete
from pyrlm.retrievers.es_hits import metadata_of, text_at, value_at
from pyrlm.retrievers.es_scan import scan
from pyrlm.retrievers.protocol import DocumentPart, document_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyrlm.retrievers.es_connection import Connection
    from pyrlm.retrievers.es_layout import Layout

__all__ = ["read"]

PAGE: Final = 500
"""Entries read at a time."""
MAX_PASSAGES: Final = 100_000
MAX_CHARS: Final = 100_000_000
"""Of a document that is put together from entries without offsets: all of them have to be read, whichever part is asked."""
_PARTS: Final = re.compile(r"(?=.)([0-9]{0,18})([^0-9]*)", re.DOTALL)


async def read(connection: Connection, layout: Layout, doc_id: object, offset: int, limit: int) -> DocumentPart:
    """Read the characters of a document from `offset` on, `limit` at most.

    Raises:
        RetrieverError: There is no such document, or it can't be read.
    """
    if not _is_id(doc_id):
        raise _missing(doc_id)
    if layout.own is not None:
        return await _read_own(connection, layout, str(doc_id), offset, limit)
    by_id = layout.doc_id == "_id"
    entries = await _pieces(
        connection, layout, {"ids": {"values": [doc_id]}} if by_id else {"term": {layout.doc_id: doc_id}}
    )
    if not entries:
        raise _missing(doc_id)
    content = "\n\n".join(text_at(entry["_source"], layout.body) for entry in entries)
    metadata = metadata_of(entries[0]["_source"], layout)
    return document_part(str(doc_id), content[offset : offset + limit], metadata, offset, len(content))


async def _read_own(connection: Connection, layout: Layout, doc_id: str, offset: int, limit: int) -> DocumentPart:
    stop = offset + limit
    inside = [
        {"term": {"doc_id": doc_id}},
        {"range": {"end": {"gt": min(offset, _MOST)}}},
        {"range": {"start": {"lt": min(stop, _MOST)}}},
    ]
    entries = await _all(connection, layout, {"bool": {"filter": inside}})
    if not entries:
        entries = await _page(connection, layout, {"term": {"doc_id": doc_id}}, None, size=1)
        if not entries:
            raise _missing(doc_id)
        source = entries[0]["_source"]
        if offset < source["chars"]:
            raise _in_between(doc_id)
        return document_part(doc_id, "", source["meta"], offset, source["chars"])
    for version in dict.fromkeys(entry["_source"]["version"] for entry in entries):
        sources = [entry["_source"] for entry in entries if entry["_source"]["version"] == version]
        content = _joined(sources, offset, stop)
        if content is not None:
            return document_part(doc_id, content, sources[0]["meta"], offset, sources[0]["chars"])
    raise _in_between(doc_id)


_MOST: Final = 2**31 - 1


def _joined(sources: Iterable[Mapping[str, Any]], offset: int, stop: int) -> str | None:
    """Put passages together; None where one is missing."""
    parts: list[str] = []
    reached = offset
    chars = 0
    for source in sources:
        if source["start"] > reached:
            return None
        chars = source["chars"]
        parts.append(source["text"][reached - source["start"] : stop - source["start"]])
        reached = max(reached, min(stop, source["end"]))
    return "".join(parts) if reached >= min(stop, chars) else None


async def _all(connection: Connection, layout: Layout, query: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All passages of an index that `pyrlm` made that a query finds, in their order."""
    entries: list[Mapping[str, Any]] = []
    while True:
        page = await _page(connection, layout, query, entries[-1]["sort"] if entries else None)
        entries += page
        if len(page) < PAGE:
            return entries


async def _pieces(connection: Connection, layout: Layout, query: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All entries of a document of an index that was made elsewhere, in its order.

    They are ordered here: nothing in them need be there, unique, or fit to go on from.
    """
    entries = await _page(connection, layout, query, None)
    if len(entries) == PAGE:
        chars, entries = 0, []
        async for entry in scan(connection, layout.index, query, _source={"excludes": _hidden(layout)}):
            entries.append(entry)
            chars += len(text_at(entry["_source"], layout.body))
            if len(entries) > MAX_PASSAGES or chars > MAX_CHARS:
                raise RetrieverError(
                    f"the document has more than {MAX_PASSAGES:,} entries, or {MAX_CHARS:,} characters: too much to be put "
                    f"together; does {layout.doc_id!r} name documents?"
                )
    return sorted(entries, key=lambda entry: _place(entry, layout))


def _place(entry: Mapping[str, Any], layout: Layout) -> tuple[Any, ...]:
    number = value_at(entry["_source"], layout.order) if layout.order else None
    if isinstance(number, (int, float)):
        return 0, number, _natural(entry["_id"]), entry["_index"]
    if number is not None:
        return 1, _natural(text_at(entry["_source"], layout.order or "")), _natural(entry["_id"]), entry["_index"]
    return 2, _natural(entry["_id"]), entry["_index"]


def _natural(name: str) -> list[tuple[int, str]]:
    """A name by which ``9`` comes before ``10``."""
    return [(int(digits or 0), rest) for digits, rest in _PARTS.findall(name)]


def _hidden(layout: Layout) -> list[str]:
    return [name for name in layout.hidden if layout.body != name and not layout.body.startswith(f"{name}.")]


async def _page(
    connection: Connection, layout: Layout, query: Mapping[str, Any], after: list[Any] | None, *, size: int = PAGE
) -> list[Mapping[str, Any]]:
    source = {"excludes": _hidden(layout)}
    body: dict[str, Any] = {
        "query": query,
        "size": size,
        "track_total_hits": False,
        "_source": source,
        "sort": ["_doc"],
    }
    if layout.own is not None:
        body["sort"] = [{"chunk": "asc"}, {"version": "asc"}]
    if after is not None:
        body["search_after"] = after
    reply = await connection.call(
        "reading",
        lambda client: client.search(index=layout.index, body=body, allow_partial_search_results=False),
        index=layout.index,
    )
    check_complete(reply, "reading", layout.index)
    hits: list[Mapping[str, Any]] = reply["hits"]["hits"]
    return hits


def _is_id(doc_id: object) -> bool:
    try:
        return isinstance(doc_id, str) and 0 < len(doc_id.encode()) <= 32_766  # noqa: PLR2004 - what a term can hold
    except UnicodeEncodeError:
        return False


def _missing(doc_id: object) -> RetrieverError:
    return RetrieverError(f"no document {str(doc_id)[:200]!r} in the index; ids are the doc_id of hits")


def _in_between(doc_id: str) -> RetrieverError:
    return RetrieverError(
        f"document {doc_id[:200]!r} is being indexed at this moment and not whole; read it again in a second",
        retryable=True,
    )
