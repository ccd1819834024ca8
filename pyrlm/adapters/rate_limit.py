"""Limits of one endpoint, shared by everything in this process that asks it.

Written here because no library that is kept up does all of it: one limit for several event loops and threads, waiting
without blocking any of them, places kept in order, given back by who is cancelled, and tokens that are corrected to
what a call really used.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyrlm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["Limiter", "RateLimit", "Slot", "limiter_for"]

_WINDOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """What an endpoint may be asked, over all runs, event loops and threads of this process.

    Adapters of one endpoint with equal limits share them. In no sixty seconds are there more requests or tokens than
    given; a request that would pass a limit waits for its turn, in order of arrival. A repeated request counts again; it
    holds no place while it waits for its next try.

    Attributes:
        requests_per_minute: Most requests in any sixty seconds; None: no limit.
        tokens_per_minute: Most tokens in any sixty seconds, of prompts and replies together; None: no limit. A call is
            counted with an estimate of its prompt and its `max_tokens`, and corrected when its usage is known.
        concurrency: Most requests in flight; None: no limit.
        name: Set it to keep apart limits that are otherwise equal, such as those of two models of one provider.

    Raises:
        ConfigurationError: A limit is no whole number of 1 or more, or none is given.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    name: str = ""

    def __post_init__(self) -> None:
        limits = {
            "requests_per_minute": self.requests_per_minute,
            "tokens_per_minute": self.tokens_per_minute,
            "concurrency": self.concurrency,
        }
        for name, value in limits.items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ConfigurationError(f"RateLimit({name}={value!r}): expected a whole number of 1 or more, or None.")
        if all(value is None for value in limits.values()):
            raise ConfigurationError(f"RateLimit(): give at least one of {', '.join(limits)}.")


class Slot:
    """A request that was let through; `used` corrects the tokens that it is counted with."""

    def __init__(self, limiter: Limiter, entered: float, tokens: int) -> None:
        self._limiter, self.entered, self.tokens = limiter, entered, tokens

    def used(self, tokens: int) -> None:
        """Count the request with what it really used."""
        self._limiter.correct(self, tokens)


class _Waiter:
    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self._loop, self._woken = asyncio.get_running_loop(), asyncio.Event()

    def wake(self) -> bool:
        """Have it look again; False where its loop is gone, and it with it."""
        try:
            self._loop.call_soon_threadsafe(self._woken.set)
        except RuntimeError:
            return False
        return True

    async def sleep(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()


class Limiter:
    """The state behind a `RateLimit` at one endpoint."""

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self.counts_tokens = limit.tokens_per_minute is not None
        self._lock = threading.Lock()
        self._queue: deque[_Waiter] = deque()
        self._recent: deque[Slot] = deque()
        self._tokens = 0
        self._in_flight = 0

    @asynccontextmanager
    async def slot(self, tokens: int = 0) -> AsyncGenerator[Slot, None]:
        """Wait until a request of so many tokens may go, and hold its place while the block runs.

        A request of more tokens than a whole minute allows goes when nothing else was sent for a minute.
        """
        slot = await self._enter(min(tokens, self.limit.tokens_per_minute or 0))
        try:
            yield slot
        finally:
            with self._lock:
                self._in_flight -= 1
                self._wake_first()

    def correct(self, slot: Slot, tokens: int) -> None:
        """Count `slot` with so many tokens instead."""
        if not self.counts_tokens:
            return
        with self._lock:
            if self._recent and slot.entered >= self._recent[0].entered:  # else it is out of the window already
                self._tokens += tokens - slot.tokens
                slot.tokens = tokens
                self._wake_first()

    async def _enter(self, tokens: int) -> Slot:
        waiter = _Waiter(tokens)
        with self._lock:
            self._queue.append(waiter)
        try:
            while True:
                with self._lock:
                    first = self._queue[0] is waiter
                    delay = self._delay(waiter) if first else None
                    if delay == 0.0:
                        return self._admit(waiter)
                await waiter.sleep(delay)
        except BaseException:
            with self._lock:
                if waiter in self._queue:
                    self._queue.remove(waiter)
                    self._wake_first()
            raise

    def _delay(self, waiter: _Waiter) -> float | None:
        """Seconds until `waiter` may go; None where that depends on a request in flight."""
        limit, now = self.limit, time.monotonic()
        while self._recent and self._recent[0].entered + _WINDOW_SECONDS <= now:
            self._tokens -= self._recent.popleft().tokens
        if limit.concurrency is not None and self._in_flight >= limit.concurrency:
            return None
        room = (limit.tokens_per_minute or 0) - waiter.tokens
        too_many = limit.requests_per_minute is not None and len(self._recent) >= limit.requests_per_minute
        too_much = self.counts_tokens and self._tokens > room and bool(self._recent)
        return self._recent[0].entered + _WINDOW_SECONDS - now if too_many or too_much else 0.0

    def _admit(self, waiter: _Waiter) -> Slot:
        self._queue.popleft()
        self._in_flight += 1
        slot = Slot(self, time.monotonic(), waiter.tokens)
        if self.counts_tokens or self.limit.requests_per_minute is not None:
            self._recent.append(slot)
            self._tokens += slot.tokens
        self._wake_first()
        return slot

    def _wake_first(self) -> None:
        while self._queue and not self._queue[0].wake():
            self._queue.popleft()


_limiters: dict[tuple[int, str, RateLimit], Limiter] = {}
_making = threading.Lock()


def limiter_for(limit: RateLimit | None, endpoint: str) -> Limiter | None:
    """The one limiter of this process for `limit` at `endpoint`."""
    if limit is None:
        return None
    key = (os.getpid(), endpoint, limit)  # a forked process has its own: its parent's may be locked for ever
    limiter = _limiters.get(key)
    if limiter is None:
        with _making:
            limiter = _limiters.setdefault(key, Limiter(limit))
    return limiter
