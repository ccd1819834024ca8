"""Closing connections that nobody closed: when their retriever is dropped, and when the process ends."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import weakref
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from elasticsearch import AsyncElasticsearch

    Clients = Mapping[asyncio.AbstractEventLoop, AsyncElasticsearch]

__all__ = ["close_with"]

SECONDS: Final = 2.0
"""How long the end of the process waits for connections to close."""

_open: weakref.WeakSet[Any] = weakref.WeakSet()
_closing: set[asyncio.Task[None]] = set()


def close_with(owner: object, clients: Clients, given: object) -> None:
    """Close the clients of running loops when `owner` is dropped or the process ends.

    Args:
        owner: Who uses them; has them in an attribute ``clients_to_close``.
        clients: Its clients by their loops.
        given: A client that was handed in: whoever made it closes it.
    """
    _open.add(owner)
    weakref.finalize(owner, _dropped, clients, given).atexit = False


def _own(clients: Clients, given: object) -> list[tuple[asyncio.AbstractEventLoop, AsyncElasticsearch]]:
    theirs = getattr(given, "transport", None)
    return [(loop, client) for loop, client in list(clients.items()) if client.transport is not theirs]


def _dropped(clients: Clients, given: object) -> None:
    """Begin to close them. Nobody may wait: garbage is collected in any thread, in that of the loop too."""
    for loop, client in _own(clients, given):
        if loop.is_running():
            with contextlib.suppress(RuntimeError):  # it was closed this moment
                loop.call_soon_threadsafe(_begin, client)


def _begin(client: AsyncElasticsearch) -> None:
    task = asyncio.ensure_future(client.close())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


@atexit.register
def _at_exit() -> None:
    waiting = [
        asyncio.run_coroutine_threadsafe(client.close(), loop)
        for owner in list(_open)
        for loop, client in _own(*owner.clients_to_close)
        if loop.is_running()
    ]
    for future in waiting:
        with contextlib.suppress(Exception):
            future.result(SECONDS)
