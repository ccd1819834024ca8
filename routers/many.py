"""Many questions side by side: taken one by one, answered a bounded number at once, given back as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyrlm.errors import ConfigurationError
from pyrlm.policy import check_policy
from pyrlm.routers.request import RunOptions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from pyrlm.policy import Policy
    from pyrlm.routers.result import RouterResult

__all__ = ["BatchItem", "BatchOptions", "answer_many", "check_batch"]

_AHEAD = 2
"""Answers that are kept for a slow consumer, with those under way: this many times `concurrency`."""


class BatchOptions(RunOptions, total=False):
    """What may be said of `SmartRouter.run_many`; what a run takes holds for each of its runs.

    Attributes:
        concurrency: Runs under way at once; `max_concurrent_subcalls` of the router by default. Model calls of all runs
            together are limited by that option too.
        total_policy: Limits of all runs together, beside the router's policy, which is that of each; none by default.
            Each of its limits counts all runs: `Policy.only(max_cost_usd=5)` sets one and no others.
    """

    concurrency: int
    total_policy: Policy | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """One question of many, and what came of it.

    Attributes:
        index: Its place among the questions, from 0.
        query: The question as it was given.
        result: What `run` gives; None where it raised an error that carries no result.
        error: What `run` raised; None where it raised nothing.
    """

    index: int
    query: Any
    result: RouterResult | None = None
    error: Exception | None = None


def check_batch(queries: object, how: BatchOptions) -> None:
    """Check what `run_many` is given, before anything is begun.

    Raises:
        ConfigurationError: The questions are one question, or can't be gone through; `concurrency` is no number above
            0; a checkpoint is given, which holds one run.
    """
    if how.get("checkpoint") is not None:
        raise ConfigurationError("SmartRouter.run_many(checkpoint=…): a checkpoint holds one run; give one to `run`.")
    one = isinstance(queries, str | bytes | Mapping)
    if one or not isinstance(queries, Iterable):
        what = "one question; pass a list of them" if one else "expected a list, or anything that gives questions"
        raise ConfigurationError(f"SmartRouter.run_many(queries={type(queries).__name__}): {what}.")
    check_policy(how.get("total_policy"), "SmartRouter.run_many(total_policy)")
    limit = how.get("concurrency", 1)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ConfigurationError(f"SmartRouter.run_many(concurrency={limit!r}): expected a whole number above 0.")


async def answer_many(
    queries: Iterable[Any], answer: Callable[[int, Any], Awaitable[RouterResult]], concurrency: int
) -> AsyncGenerator[BatchItem, None]:
    """Answer `queries` side by side and yield each as it comes.

    Questions are taken when there is room for them: at most twice `concurrency` are under way or wait for the consumer.
    Closing the generator cancels what is under way and waits until it has cleaned up.

    Args:
        queries: The questions; what is no list or tuple is gone through in a worker thread.
        answer: Answers one, given its place and the question.
        concurrency: Runs at once.

    Raises:
        Exception: What going through `queries` raises, after the answers to those before it.
    """
    batch = _Batch(queries, answer, concurrency)
    workers = [asyncio.create_task(batch.work()) for _ in range(concurrency)]
    try:
        while (item := await batch.done.get()) is not None:
            batch.room.release()
            yield item
        await asyncio.gather(*workers)
        if batch.failure is not None:
            raise batch.failure
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


class _Batch:
    def __init__(
        self, queries: Iterable[Any], answer: Callable[[int, Any], Awaitable[RouterResult]], concurrency: int
    ) -> None:
        self.done: asyncio.Queue[BatchItem | None] = asyncio.Queue()
        self.room = asyncio.Semaphore(_AHEAD * concurrency)
        self.failure: Exception | None = None
        self._queries: Iterator[tuple[int, Any]] | None = enumerate(queries)
        self._workers = concurrency
        self._at_once = isinstance(queries, list | tuple)
        self._taking = asyncio.Lock()
        self._answer = answer

    async def work(self) -> None:
        """Answer one question after another until there are no more."""
        try:
            while (taken := await self._next()) is not None:
                self.done.put_nowait(await self._answered(*taken))
        finally:
            self._workers -= 1
            if not self._workers:
                self.done.put_nowait(None)

    async def _next(self) -> tuple[int, Any] | None:
        await self.room.acquire()
        async with self._taking:
            return await self._take()

    async def _take(self) -> tuple[int, Any] | None:
        if self._queries is None:
            return None
        try:
            if self._at_once:
                taken = next(self._queries, None)
            else:
                taken = await asyncio.to_thread(next, self._queries, None)
        except Exception as error:  # noqa: BLE001 - the caller's own code; told when what was begun is done
            taken, self.failure = None, error
        if taken is None:
            self._queries = None
        return taken

    async def _answered(self, index: int, query: Any) -> BatchItem:
        try:
            return BatchItem(index=index, query=query, result=await self._answer(index, query))
        except Exception as error:  # noqa: BLE001 - one failure stays one
            return BatchItem(index=index, query=query, result=getattr(error, "result", None), error=error)
