"""Server-sent events: the data of each, from the bytes of a response as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

__all__ = ["data_events"]


async def data_events(chunks: AsyncIterable[bytes]) -> AsyncIterator[str]:
    """The data of each event; names, ids and comments are left out.

    Lines end with LF or CRLF only. What else Python takes for the end of a line, U+2028 among it, may stand inside the
    JSON of an event. An event that no empty line ends is given at the end of the stream.
    """
    buffer = bytearray()
    data: list[bytes] = []
    async for chunk in chunks:
        buffer += chunk
        if b"\n" not in chunk:
            continue
        *lines, rest = bytes(buffer).split(b"\n")
        buffer = bytearray(rest)
        for line in lines:
            content = line.removesuffix(b"\r")
            if content.startswith(b"data:"):
                data.append(content[5:].removeprefix(b" "))
            elif not content and data:
                yield _joined(data)
                data = []
    last = bytes(buffer).removesuffix(b"\r")
    if last.startswith(b"data:"):
        data.append(last[5:].removeprefix(b" "))
    if data:
        yield _joined(data)


def _joined(data: list[bytes]) -> str:
    return b"\n".join(data).decode(errors="replace")
