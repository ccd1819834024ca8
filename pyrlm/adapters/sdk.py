"""The providers' SDKs, imported in the background, and one client of them for each event loop.

The import takes a second: it starts in a thread when an adapter is made, while text is read and the REPL starts. An
asynchronous client that is shared between event loops loses connections, so each loop gets its own, and each is closed
before its loop is.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib
import os
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from weakref import WeakSet, finalize

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Callable

    import httpx2

    Held: TypeAlias = dict[asyncio.AbstractEventLoop, tuple[Any, AsyncGenerator[None, None]]]

__all__ = ["Library", "LoopClients", "Sdk", "load", "preload"]

Library = Literal["anthropic", "openai"]

_CLOSING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Sdk:
    """What the adapters use of an SDK and the HTTP library below it, once imported."""

    library: Any
    response: type[httpx2.Response]
    timeout: type[httpx2.Timeout]
    omit: Any
    network_errors: tuple[type[Exception], ...]
    ssl_context: ssl.SSLContext

    def http_client(self) -> httpx2.AsyncClient:
        """An HTTP client on aiohttp's transport; certificates were read once for all of them."""
        client: httpx2.AsyncClient = self.library.DefaultAioHttpClient(verify=self.ssl_context)
        return client


def preload(library: Library) -> None:
    """Start importing an SDK in a thread, unless that was done before."""
    _loading(os.getpid(), library)


async def load(library: Library) -> Sdk:
    """The imported SDK; waits for its import without blocking the event loop."""
    loading = _loading(os.getpid(), library)
    return loading.result() if loading.done() else await asyncio.wrap_future(loading)


@lru_cache(maxsize=2)
def _loading(pid: int, library: Library) -> Future[Sdk]:  # noqa: ARG001 - a forked process has none of its parent's threads
    loading: Future[Sdk] = Future()
    loading.set_running_or_notify_cancel()  # one waiter that is cancelled doesn't cancel the import of the others
    name = f"pyrlm-import-{library}"
    threading.Thread(target=_import, args=(loading, library), name=name, daemon=True).start()
    return loading


def _import(loading: Future[Sdk], library: Library) -> None:
    try:
        import aiohttp  # noqa: PLC0415 - the imports that this module exists to keep in the background
        import httpx2  # noqa: PLC0415
        import tenacity  # noqa: F401, PLC0415

        module = importlib.import_module(library)
        loading.set_result(
            Sdk(
                library=module,
                response=httpx2.Response,
                timeout=httpx2.Timeout,
                omit=module.Omit(),
                network_errors=(module.APIConnectionError, httpx2.HTTPError, aiohttp.ClientError, OSError),
                ssl_context=httpx2.create_ssl_context(),
            )
        )
    except BaseException as error:  # noqa: BLE001 - whoever awaits the import gets the error
        loading.set_exception(error)


class LoopClients:
    """One client for each event loop, made when it is first asked for.

    A client is closed by `aclose`, or when its loop shuts down: `asyncio.run` and `asyncio.Runner` close the
    asynchronous generators of their loop before the loop, and each client is held by one of those. What is left at the
    end of the process, on a loop that never ended, is closed then.
    """

    def __init__(self, make: Callable[[Sdk], Any]) -> None:
        self._make = make
        self._held: Held = {}
        self._pid = os.getpid()
        _all.add(self)
        # An adapter that is dropped while its loop lives on (one an application makes a request with) closes there.
        finalize(self, _close_dropped, self._held, self._pid).atexit = False

    async def get(self, sdk: Sdk) -> Any:
        """The client of the running loop."""
        loop = asyncio.get_running_loop()
        held = self._held.get(loop)
        if held is not None:
            return held[0]
        client = self._make(sdk)
        closing = _hold(self._held, loop, client)
        self._held[loop] = (client, closing)
        await anext(closing)
        return client

    async def aclose(self) -> None:
        """Close the client of the running loop."""
        held = self._held.get(asyncio.get_running_loop())
        if held is not None:
            await held[1].aclose()

    def close_at_exit(self) -> None:
        """Close the clients of loops that still exist."""
        if self._pid != os.getpid():
            return
        for loop in list(self._held):
            with suppress(Exception):
                if loop.is_running():
                    asyncio.run_coroutine_threadsafe(self.aclose(), loop).result(_CLOSING_SECONDS)
                elif not loop.is_closed():
                    loop.run_until_complete(asyncio.wait_for(self.aclose(), _CLOSING_SECONDS))


async def _hold(held: Held, loop: asyncio.AbstractEventLoop, client: Any) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        held.pop(loop, None)
        await client.close()


def _close_dropped(held: Held, pid: int) -> None:
    """Close, each on its loop, the clients of an adapter that nobody holds any more."""
    for loop, (_, closing) in list(held.items()):
        if pid == os.getpid() and loop.is_running():
            with suppress(RuntimeError):  # the loop may stop just now
                loop.call_soon_threadsafe(_start_closing, loop, closing)


def _start_closing(loop: asyncio.AbstractEventLoop, closing: AsyncGenerator[None, None]) -> None:
    task = loop.create_task(closing.aclose())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


_closing: set[asyncio.Task[None]] = set()
_all: WeakSet[LoopClients] = WeakSet()


@atexit.register
def _close_all() -> None:
    for clients in list(_all):
        clients.close_at_exit()
