"""Workers started beforehand, for applications that run many queries."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from pyrlm import portal
from pyrlm.errors import ReplUnavailableError
from pyrlm.repl.exec_host import ExecRepl
from pyrlm.repl.exec_spawn import spawn

if TYPE_CHECKING:
    from pyrlm.repl.exec_process import WorkerProcess

__all__ = ["ReplPool"]


class ReplPool:
    """Keeps workers ready; each serves one run and is then discarded.

    ::

        with ReplPool() as pool:  # `async with` where `arun` is used
            rlm = RLM(adapter, repl_backend=pool.repl)

    A waiting worker has started Python and nothing else: it knows no text, no function and no limit yet. One pool serves
    any number of runs of one event loop at a time; `close` ends the workers that wait.

    Args:
        size: Workers that wait (default 2).
        python: The interpreter; the one that runs now by default.
        hash_seed: PYTHONHASHSEED of the workers (default 0).
    """

    def __init__(self, size: int = 2, *, python: str | None = None, hash_seed: int = 0) -> None:
        self._size = size
        self._python = python
        self._hash_seed = hash_seed
        self._ready: deque[WorkerProcess] = deque()
        self._filling: asyncio.Task[None] | None = None

    def repl(self) -> ExecRepl:
        """Return a new REPL, not started yet, that takes a worker of this pool."""
        return ExecRepl(pool=self, python=self._python, hash_seed=self._hash_seed)

    def __enter__(self) -> Self:
        portal.run(self.fill())
        return self

    def __exit__(self, *_: object) -> None:
        portal.run(self.close())

    async def __aenter__(self) -> Self:
        await self.fill()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def fill(self) -> None:
        """Start workers until `size` of them wait. Raises `ReplUnavailableError` where they can't be started."""
        while len(self._ready) < self._size:
            self._ready.append(await spawn(self._python, self._hash_seed))

    async def take(self) -> WorkerProcess:
        """Return a worker that waits, or start one; another is started in its place meanwhile."""
        worker = None
        while worker is None and self._ready:
            candidate = self._ready.popleft()
            if candidate.alive:
                worker = candidate
            else:
                await candidate.close()
        if self._filling is None or self._filling.done():
            self._filling = asyncio.get_running_loop().create_task(self._refill())
        return worker or await spawn(self._python, self._hash_seed)

    async def _refill(self) -> None:
        with suppress(ReplUnavailableError):  # the next run that needs one says so
            await self.fill()

    async def close(self) -> None:
        """End the workers that wait."""
        if self._filling is not None and not self._filling.done():
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
        while self._ready:
            await self._ready.popleft().close()
