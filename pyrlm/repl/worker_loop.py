"""Where code that awaits runs: one event loop for all steps, and calls of the host that take no thread. Worker only.

The host's answers are read by the loop itself, so that any number of calls can be outstanding; what else waits in
threads is left to those. Standard library only. Loaded by code that awaits, and only then: asyncio takes 30 ms.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from concurrent.futures import Future, ThreadPoolExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrlm.repl.worker_names import HostCall

__all__ = ["asked", "awaitable", "host_call", "run"]

_MAX_THREADS = 32  # of `to_thread` with functions of the code; the worker may have 64 in all
_ENDED = "the step that began this task has ended, and the task with it; begin it anew"
_running_loop, _set_running_loop = asyncio._get_running_loop, asyncio._set_running_loop  # noqa: SLF001 - event loops use them
_to_thread = asyncio.to_thread


def host_call(function: Any) -> HostCall | None:
    """Return how a function of the host is called; None for every other function."""
    found: HostCall | None = getattr(function, "answered_by_host", None)
    return found


async def asked(call: HostCall, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function of the host; other tasks go on until it has answered."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Any]] = loop.create_future()

    def arrived(message: list[Any]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(_fill, answer, message)

    key = call.begin(args, kwargs, arrived)
    loop.add_reader(call.channel.read_fd, call.channel.read_what_is_there)
    try:
        message = await answer
    finally:
        call.channel.abandon(key)
    return call.value(message)


def _fill(answer: asyncio.Future[list[Any]], message: list[Any]) -> None:
    if not answer.done():
        answer.set_result(message)


def awaitable(value: Any) -> Any:
    """Return `value`, or what gives it when awaited where it can't be awaited itself."""
    if isinstance(value, Future):
        return asyncio.wrap_future(value)
    return value if hasattr(type(value), "__await__") else _done(value)


async def _done(value: Any) -> Any:
    return value


async def _waited_for(value: Any) -> Any:
    return await awaitable(value)


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that can be run within another, and that asks the host without a thread."""

    def __init__(self) -> None:
        super().__init__()
        self.set_default_executor(ThreadPoolExecutor(_MAX_THREADS))

    def run_until_complete(self, future: Any) -> Any:
        outer = _running_loop()
        if outer is self:
            return run(future)
        _set_running_loop(None)  # which another loop would object to
        try:
            return super().run_until_complete(awaitable(future))
        finally:
            _set_running_loop(outer)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), KeyboardInterrupt):  # the code was stopped or has ended
            super().call_exception_handler(context)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        return super().create_task(coro if asyncio.iscoroutine(coro) else _waited_for(coro), **options)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]  # less generic
        call = host_call(func)
        if executor is None and call is not None:
            return self.create_task(asked(call, args, {}))
        return super().run_in_executor(executor, func, *args)


_kept: list[_Loop] = []


def _kept_loop() -> _Loop:
    """Return the loop of all steps, to which locks and queues of earlier ones belong."""
    if not _kept or _kept[0].is_closed():
        _kept[:] = [_Loop()]
        asyncio.set_event_loop(_kept[0])
    return _kept[0]


def run(main: Any, *, debug: bool | None = None, **_: object) -> Any:
    """Run an awaitable to its end, as `asyncio.run` does, which this replaces; also where a loop runs already.

    Tasks that are left over are cancelled. Within another loop the tasks of that one stand still meanwhile.
    """
    kept = _running_loop() is None and threading.current_thread() is threading.main_thread()
    loop = _kept_loop() if kept else _Loop()
    loop.set_debug(bool(debug))
    try:
        return loop.run_until_complete(main)
    except Exception:
        raise
    except asyncio.CancelledError as error:  # Python tells the reason of a cancelled task once
        error.args = error.args or ("a task that was awaited is cancelled; with its step each ends: begin it anew",)
        raise
    except BaseException:  # the loop may have been interrupted anywhere
        kept = False
        raise
    finally:
        try:
            _end_tasks(loop)
        finally:
            if not kept:
                loop.close()


def _end_tasks(loop: _Loop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel(_ENDED)
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))


async def _in_thread(func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    call = host_call(func)
    return await (_to_thread(func, *args, **kwargs) if call is None else asked(call, args, kwargs))


def _take_place(function: Callable[..., Any], module: Any, name: str) -> None:
    function.__module__, function.__name__ = module.__name__, name
    setattr(module, name, function)


warnings.filterwarnings("ignore", "coroutine 'asked' was never awaited", RuntimeWarning)  # the error says it
_take_place(run, asyncio, "run")
_take_place(_in_thread, asyncio, "to_thread")
