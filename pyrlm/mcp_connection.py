"""One MCP server of one run: started, reached, asked, ended. Everything of the SDK is imported when it is needed."""

from __future__ import annotations

import asyncio
import importlib
import math
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from pyrlm.errors import MCPError
from pyrlm.mcp_failures import LOGGERS, Tail, kind_of, told_of
from pyrlm.mcp_results import wrapped
from pyrlm.redact import redact
from pyrlm.redacted_logs import keep_logs_clean

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from mcp.client.client import Client

    from pyrlm.mcp_config import Server
    from pyrlm.trace import Recorder

__all__ = ["LISTS", "Connection"]

LISTS = {
    "tools": "list_tools",
    "resources": "list_resources",
    "resource_templates": "list_resource_templates",
}
"""What a server may list: field of the reply and method of the client."""

_MAX_PAGES = 200
_MAX_ITEMS = 10_000
_SILENCE = 86_400.0  # seconds that the stream of a server with SSE may be without an event


class Connection:
    """A server, in a task of its own: what the SDK opens has to be closed by the task that opened it.

    Args:
        server: How it is started or reached.
        recorder: Gets its start, its failure and its end.

    Attributes:
        server: How it is started or reached.
        counts: How many tools, resources and templates it has; None until it is connected.
        failure: What is wrong with it, for the model: of no error and no output the text, which may hold anything that the
            server was given; empty where it can be used, or may yet.
        wrapping: Tools whose results the server wraps, see `pyrlm.mcp_results.wrapped`.
    """

    def __init__(self, server: Server, recorder: Recorder) -> None:
        self.server = server
        self.counts: dict[str, int] | None = None
        self.failure = ""
        self.wrapping: set[str] = set()
        self.recorder = recorder
        self._told = ""
        self._stopping = False
        self._scope: Any = None
        self._client: Client | None = None
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start it, or reach it; `client` waits for that."""
        self._task = asyncio.create_task(self._serve())

    def stop(self) -> None:
        """Begin to end it. Not a cancelled task: the SDK ends the process behind a shield that such a cancel breaks."""
        self._stopping = True
        if self._scope is not None:
            self._scope.cancel()

    async def ended(self) -> None:
        """Wait until it has ended, at most some seconds: a server that does not go is killed."""
        if self._task is not None:
            await asyncio.gather(asyncio.shield(self._task), return_exceptions=True)

    async def client(self) -> Client:
        """Return the client, once it is connected.

        Raises:
            MCPError: It can't be reached.
        """
        await self._settled.wait()
        if self._client is None or self.failure:
            raise MCPError(f"MCP server {self.server.name!r} {self.failure or 'has ended'}")
        return self._client

    async def needed(self) -> None:
        """Wait until it is connected.

        Raises:
            MCPError: It can't be reached; for the application, with all that is known.
        """
        try:
            await self.client()
        except MCPError as error:
            raise (MCPError(f"MCP server {self.server.name!r} {self._told}") if self._told else error) from None

    async def call(self, work: Callable[[Client], Awaitable[Any]]) -> Any:
        """Do `work` with the client within the server's time.

        Raises:
            MCPError: The server failed, refused or is gone.
            TimeoutError: It took too long.
        """
        client = await self.client()
        import anyio  # noqa: PLC0415 - comes with the SDK

        name, seconds = self.server.name, self.server.timeout
        with anyio.move_on_after(seconds) as scope:
            try:
                return await work(client)
            except (MCPError, TypeError):
                raise
            except Exception as error:
                raise MCPError(f"MCP server {name!r}: {told_of(error)}") from error
        assert scope.cancelled_caught
        raise TimeoutError(f"MCP server {name!r} took longer than its {seconds:g} s")

    async def listed(self, kind: str) -> list[Any]:
        """List all that the server has of `kind`, page by page."""
        items: list[Any] = await self.call(lambda client: self._pages(client, kind))
        return items

    async def _pages(self, client: Client, kind: str) -> list[Any]:
        capable = client.server_capabilities
        if (capable.tools if kind == "tools" else capable.resources) is None:
            return []
        items: list[Any] = []
        cursor, seen = None, set[str]()
        for _ in range(_MAX_PAGES):
            page = await _page(client, kind, cursor)
            if page is None:
                break
            items += getattr(page, kind)
            if kind == "tools":
                self.wrapping |= {tool.name for tool in page.tools if wrapped(tool.output_schema) is not None}
            cursor = page.next_cursor
            if not cursor or cursor in seen or len(items) > _MAX_ITEMS:
                break
            seen.add(cursor)
        if cursor:
            reason = f"MCP server {self.server.name!r} lists {kind} without end; {len(items[:_MAX_ITEMS]):,} were taken"
            self.recorder.record("truncation", reason=reason)
        return items[:_MAX_ITEMS]

    async def _serve(self) -> None:
        """Connect, wait for the end, close."""
        started = time.perf_counter()
        tail = Tail()
        try:
            if self.server.problem:
                self._fail("its entry in the file can't be used", self.server.problem, tail, started)
                return
            await asyncio.to_thread(importlib.import_module, "mcp.client.client")  # takes most of a second
            await self._within(tail, started)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on without this server
            self._fail(kind_of(error), told_of(error), tail, started)
        finally:
            self._client = None
            self._settled.set()

    async def _within(self, tail: Tail, started: float) -> None:
        import anyio  # noqa: PLC0415 - comes with the SDK

        with anyio.CancelScope(deadline=anyio.current_time() + self.server.connect_timeout) as self._scope:
            if self._stopping:
                return
            async with _open(self.server, tail) as client:
                counts = {kind: len(await self._pages(client, kind)) for kind in LISTS}
                self._scope.deadline = math.inf
                self.counts, self._client = counts, client
                self.recorder.record(
                    "mcp_server",
                    reason=f"{self.server.name} connected",
                    elapsed=time.perf_counter() - started,
                    data={"server": self.server.name, **counts},
                )
                self._settled.set()
                await anyio.sleep_forever()
        if self.counts is None and not self._stopping:
            why = f"no reply within {self.server.connect_timeout:g} s"
            self._fail(why, why, tail, started)

    def _fail(self, kind: str, why: str, tail: Tail, started: float) -> None:
        failed = "failed: " if self.counts is not None else "failed to start: "
        said = tail.text
        self.failure = failed + kind
        self._told = failed + redact(f"{why}; it wrote: {said}" if said else why)
        self.recorder.record(
            "mcp_server",
            error=f"{self.server.name} {self._told}",
            elapsed=time.perf_counter() - started,
            data={"server": self.server.name},
        )


async def _page(client: Client, kind: str, cursor: str | None) -> Any:
    """Return a page of a list; None from a server that has none: one with resources may have no templates."""
    from mcp.shared.exceptions import MCPError as RefusedError  # noqa: PLC0415 - comes with the SDK
    from mcp_types import METHOD_NOT_FOUND  # noqa: PLC0415

    try:
        return await getattr(client, LISTS[kind])(cursor=cursor)
    except RefusedError as error:
        if error.error.code == METHOD_NOT_FOUND:
            return None
        raise


@asynccontextmanager
async def _open(server: Server, tail: Tail) -> AsyncGenerator[Client, None]:
    """Connect the SDK's client over the transport that the server has."""
    from mcp.client.client import Client  # noqa: PLC0415 - slow to import

    keep_logs_clean(*LOGGERS)
    async with AsyncExitStack() as stack:
        transport: Any
        if server.url is not None and server.sse:
            from mcp.client.sse import sse_client  # noqa: PLC0415

            transport = sse_client(server.url, headers=dict(server.headers), timeout=30.0, sse_read_timeout=_SILENCE)
        elif server.url is not None:
            import httpx2  # noqa: PLC0415 - comes with the SDK
            from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

            wait = httpx2.Timeout(30.0, read=max(server.timeout, server.connect_timeout) + 5)
            http = await stack.enter_async_context(httpx2.AsyncClient(headers=dict(server.headers), timeout=wait))
            transport = streamable_http_client(server.url, http_client=http)
        else:
            from mcp.client.stdio import StdioServerParameters, stdio_client  # noqa: PLC0415

            assert server.command is not None  # the configuration has one or the other
            start = StdioServerParameters(
                command=server.command, args=list(server.args), env=dict(server.env), cwd=server.cwd
            )
            transport = stdio_client(start, errlog=await stack.enter_async_context(tail.pipe()))
        yield await stack.enter_async_context(Client(transport))
