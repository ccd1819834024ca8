"""Code of the application, called from the loop: whatever it raises arrives as an exception that a run can handle.

A future can't carry StopIteration, and SystemExit or KeyboardInterrupt in a task ends the event loop: whoever waits for
the call would wait for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["acall", "contained", "in_thread", "tamed", "without_stop"]

T = TypeVar("T")


def tamed(name: str, error: BaseException) -> Exception:
    """Return an error of the application's code as one that ends neither the loop nor the wait for it.

    Raises:
        BaseException: `error` itself, where it is not the code's own: the task is cancelled, the coroutine is closed,
            or the user has pressed Ctrl-C.
    """
    if isinstance(error, Exception):
        return error
    if isinstance(error, asyncio.CancelledError):
        if _is_cancelled():
            raise error
        return RuntimeError(f"{name} was cancelled from within")
    if isinstance(error, GeneratorExit) or _is_ctrl_c(error):
        raise error
    return RuntimeError(f"{name} raised {type(error).__name__}: {error}")


def _is_cancelled() -> bool:
    """Whether somebody has cancelled the task that runs; in a thread without a loop there is none."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and bool(task.cancelling())


def _is_ctrl_c(error: BaseException) -> bool:
    """Whether it can be the signal, which Python raises in the main thread alone."""
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


async def contained(name: str, work: Awaitable[T]) -> T:
    """Await `work`, which runs code of the application.

    Args:
        name: What it is, for the error.
        work: Is awaited in this task.

    Raises:
        RuntimeError: It raised what no task can carry, such as SystemExit, or was cancelled from within.
        Exception: Whatever else it raised.
    """
    try:
        return await work
    except Exception:
        raise
    except BaseException as error:  # noqa: BLE001 - that is what this is for
        raise tamed(name, error) from (None if isinstance(error, asyncio.CancelledError) else error)


def without_stop(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call `function`; a StopIteration, which no future can carry, is a RuntimeError that says what happened."""
    try:
        return function(*args, **kwargs)
    except StopIteration as error:
        raise RuntimeError("StopIteration: next() was called on an iterator that is used up") from error


async def in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call `function` in a thread of its own, with a copy of this context's variables.

    A thread of its own: one that is over its time limit can't be stopped, and must neither take the place of other calls
    nor hold up the end of the process. To be used inside of `contained`: what it raises is raised here as it is.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_result((value, error))

    def run() -> None:
        value, error = None, None
        try:
            value = context.run(without_stop, function, *args, **kwargs)
        except BaseException as problem:  # noqa: BLE001 - raised again where it is waited for
            error = problem
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name="pyrlm-application", daemon=True).start()
    value, problem = await done
    if problem is not None:
        raise problem
    result: T = value
    return result


async def acall(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function from a running loop, whichever way it is written: plain ones run in a thread; see `in_thread`."""
    if inspect.iscoroutinefunction(function):
        return await function(*args, **kwargs)
    result = await in_thread(function, *args, **kwargs)
    return await result if inspect.isawaitable(result) else result
