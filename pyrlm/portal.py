"""One background event loop a process, so that `run()` works from scripts, threads and inside a running loop.

A loop of its own for each call would not do: an asynchronous client keeps its connections in the loop that opened them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from pyrlm.errors import NestedRunError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Generator
    from concurrent.futures import Future

__all__ = ["iterate", "run"]

T = TypeVar("T")

_CANCEL_GRACE = 10.0
"""Seconds that a cancelled run gets to end its workers and requests before Ctrl-C is passed on."""


class _Portal:
    """A daemon thread with an event loop that runs until the process ends."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._serve, name="pyrlm-portal", daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        while True:
            # SystemExit or KeyboardInterrupt in a task ends the loop beside the task; other runs must not wait for ever.
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                self.loop.run_forever()


_portals: dict[int, _Portal] = {}
_lock = threading.Lock()


def _current() -> _Portal:
    """Return this process's portal: after a fork the parent's thread does not exist, so the child gets its own."""
    with _lock:
        portal = _portals.get(os.getpid())
        if portal is None:
            portal = _portals[os.getpid()] = _Portal()
        return portal


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - a lock held by another thread at the moment of the fork would stay held for ever
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run `coroutine` on the background loop and wait for it. Ctrl-C cancels it and waits until it has cleaned up.

    Raises:
        NestedRunError: Called on the background loop itself, where waiting could never end.
    """
    portal = _current()
    if threading.current_thread() is portal.thread:
        coroutine.close()
        raise NestedRunError(
            "run() was called from inside another run (a tool, a listener or an adapter): the loop that would have to "
            "serve it is the one that is waiting. Use `await arun(...)` there."
        )
    ended = threading.Event()

    async def watched() -> T:
        try:
            return await coroutine
        finally:
            ended.set()

    future: Future[T] = asyncio.run_coroutine_threadsafe(watched(), portal.loop)
    try:
        return future.result()
    except KeyboardInterrupt:
        if future.cancel():
            ended.wait(_CANCEL_GRACE)
        raise


def iterate(items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
    """Yield what `items` gives, which runs on the background loop. Leaving the generator early closes `items`.

    Raises:
        NestedRunError: Taken from on the background loop itself, see `run`.
    """
    try:
        while (item := run(_next(items))) is not _END:
            yield item
    finally:
        if sys.is_finalizing():  # the process ends, and its threads have ended
            pass
        elif threading.current_thread() is _current().thread:  # dropped there: nobody may wait
            _closing.add(closing := asyncio.ensure_future(items.aclose()))
            closing.add_done_callback(_closing.discard)
        else:
            run(_closed(items))


_closing: set[asyncio.Future[None]] = set()
_END: Any = object()


async def _next(items: AsyncGenerator[T, None]) -> T:
    item: T = await anext(items, _END)
    return item


async def _closed(items: AsyncGenerator[Any, None]) -> None:
    await items.aclose()
