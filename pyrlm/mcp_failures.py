"""Why an MCP server failed: what it wrote, in full for the application; for the model only of what kind it was.

What a server writes when it dies may hold all that it was given, its environment included.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pyrlm.redact import redact
from pyrlm.repl.common import cut_middle

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["LOGGERS", "Tail", "kind_of", "told_of"]

_MAX_STDERR = 20_000
_MAX_MESSAGE = 1_000
_CLOSED = -32_000  # mcp_types.CONNECTION_CLOSED
LOGGERS = ("httpx2", "client", "mcp.client.stdio", "mcp.client.sse", "mcp.client.streamable_http")
"""What the SDK and its HTTP client log by: addresses, and lines of a server that are no messages."""


class Tail(asyncio.Protocol):
    """Keeps the end of what a server writes to its standard error, for the application when it fails."""

    def __init__(self) -> None:
        self._kept = b""

    def data_received(self, data: bytes) -> None:
        """Keep the end of what has been written so far."""
        kept = self._kept + data
        if len(kept) > _MAX_STDERR:  # half a secret is not known as one: cut at a line, else at a space
            kept = kept[-_MAX_STDERR:]
            kept = kept.partition(b"\n")[2] or kept.partition(b" ")[2]
        self._kept = kept

    @property
    def text(self) -> str:
        """The last lines, on one line, without secrets."""
        return " ".join(redact(self._kept.decode("utf-8", "replace")).split())[-_MAX_MESSAGE:]

    @asynccontextmanager
    async def pipe(self) -> AsyncGenerator[Any, None]:
        """Open a file for the server to write to."""
        reading, writing = os.pipe()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: self, os.fdopen(reading, "rb", buffering=0))
        try:
            with os.fdopen(writing, "w", encoding="utf-8") as file:
                yield file
            await asyncio.sleep(0)  # what has been written comes in before the pipe is closed
        finally:
            transport.close()


def _cause(error: BaseException) -> BaseException:
    """Return what went wrong, without the groups that the SDK packs it in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def kind_of(error: BaseException) -> str:
    """Return what kind of error it is, in words that are not the server's."""
    error = _cause(error)
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return f"HTTP status {status}"
    code = getattr(getattr(error, "error", None), "code", None)
    if isinstance(code, int):
        return "it closed the connection" if code == _CLOSED else f"MCP error {code}"
    return type(error).__name__


def told_of(error: BaseException) -> str:
    """Return what went wrong, without secrets."""
    error = _cause(error)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return cut_middle(redact(text), _MAX_MESSAGE)
