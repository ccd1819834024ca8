"""Answers what one execution under Monty asks of its host: calls one by one, calls side by side, events, sleeps.

Monty has coroutines and `gather`, and a call may be answered with a promise; it pauses again when every one of its tasks
waits for one. Three functions of the prelude use that: ``_pyrlm_later(name, …)`` calls a host function and is such a
promise, ``_pyrlm_event(key, seconds)`` one that ``_pyrlm_set(key, …)`` or the time fulfils. Tasks, locks, queues and
time limits of the code are made of them there.
"""

from __future__ import annotations

import asyncio
import builtins
import math
import queue
import time
from typing import TYPE_CHECKING, Any

from pyrlm.errors import ReplCrashedError
from pyrlm.repl.drive import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from concurrent.futures import Future

    Ask = Callable[[str, tuple[Any, ...], dict[str, Any]], Coroutine[Any, Any, Answer]]

__all__ = ["FINISHED", "PROMISES", "Ask", "Serving", "SleptTooLongError", "TooManyCallsError"]

FINISHED = Answer()
"""The answer to a call that ends the code: raised there as SystemExit, which ``except Exception`` lets pass."""
PROMISES = ("_pyrlm_later", "_pyrlm_event", "_pyrlm_set")
"""Functions of the host that only the prelude calls."""
_LATER, _EVENT, _SET = PROMISES
_SPARE_LOOKUPS = 1_000
_MAX_OUTSTANDING = 256  # calls at once; beyond, the code waits
_SLEEPS = frozenset({"time.sleep", "asyncio.sleep"})
_LONGEST = 1e8  # seconds; three years
_PROMISE = {"future": ...}
_NEVER = "it waits for something that never comes: nothing that still runs would wake it"


class SleptTooLongError(Exception):
    """The code slept for longer than it may run."""


class TooManyCallsError(Exception):
    """The code went on calling the host after the errors that told it to stop."""


class Serving:
    """One execution's requests, answered on the thread that drives the worker.

    Args:
        loop: Where calls are answered.
        ask: Answers one call there.
        objects: Names of host objects by their ids.
        timeout: Seconds that the code may sleep in all.
        max_calls: Calls after which it is stopped.

    Attributes:
        idle: Whether the code waits, for an answer or for a time.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, ask: Ask, *, objects: Mapping[Any, str], timeout: float, max_calls: int
    ) -> None:
        self._loop = loop
        self._ask = ask
        self._objects = objects
        self._timeout = timeout
        self._max_calls = max_calls
        self._calls = self._lookups = 0
        self._asleep = 0.0
        self._running: dict[int, Future[Answer]] = {}
        self._arrived: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._events: dict[int, tuple[Any, float | None]] = {}
        self._ready: dict[int, dict[str, Any]] = {}
        self._finished = self._stopped = False
        self.idle = False

    def step(self, step: Any) -> Any:
        """Answer one pause and return the next. Raises `TooManyCallsError`, `SleptTooLongError`."""
        from pydantic_monty import FunctionSnapshot, NameLookupSnapshot  # noqa: PLC0415 - see MontyThread.open

        if isinstance(step, FunctionSnapshot):
            made = self._requested(step)
        elif isinstance(step, NameLookupSnapshot):
            self._lookups += 1
            made = step.resume()
        else:
            made = self._blocked(step)
        if self._calls > self._max_calls or self._lookups > self._max_calls + _SPARE_LOOKUPS:
            raise TooManyCallsError("the code went on calling the host after it was told to stop")
        return made

    def stop(self) -> None:
        """Wait for nothing any more; from any thread. Calls that are outstanding go on until `Turn.end`."""
        self._stopped = True
        self._arrived.put(None)

    def _requested(self, step: Any) -> Any:
        name = step.function_name
        if step.is_os_function:
            self._lookups += 1
            if name not in _SLEEPS:
                return step.resume_not_handled()
            return self._slept(step) if name == "time.sleep" else self._event(step, (None, *step.args))
        if step.object_id is not None:
            name = f"{self._objects.get(step.object_id, 'object')}.{name}"
        elif name in {_EVENT, _SET}:
            self._lookups += 1
            return self._event(step, step.args) if name == _EVENT else self._set(step)
        self._calls += 1
        later = name == _LATER
        name, args = (step.args[0], step.args[1:]) if later else (name, step.args)
        while later and len(self._running) >= _MAX_OUTSTANDING:
            self._take(self._next())
        self._started(step.call_id, name, args, step.kwargs)
        if later:
            return step.resume(_PROMISE)
        while step.call_id not in self._ready:
            self._take(self._next())
        return _resumed(step.resume, self._ready.pop(step.call_id))

    def _started(self, key: int, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._check_open()
        future = asyncio.run_coroutine_threadsafe(self._answered(key, name, args, kwargs), self._loop)
        self._running[key] = future
        future.add_done_callback(lambda _: self._arrived.put(key))  # of a call that was cancelled before it began

    async def _answered(self, key: int, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Answer:
        """Answer a call; answers go to the code in the order in which they came."""
        answer = await self._ask(name, args, kwargs)
        self._arrived.put(key)
        return answer

    def _next(self, seconds: float | None = None) -> int | None:
        """Wait for the next answer. Raises queue.Empty."""
        self.idle = True
        try:
            return self._arrived.get(timeout=seconds)
        finally:
            self.idle = False

    def _take(self, key: int | None) -> None:
        """Take an answer that has arrived."""
        self._check_open()
        future = self._running.pop(key, None) if key is not None else None
        if future is not None and key is not None:
            answer = future.result()
            self._finished = self._finished or answer is FINISHED
            self._ready[key] = _result(answer)

    def _event(self, step: Any, args: tuple[Any, ...]) -> Any:
        key, seconds = args[:2]
        try:
            until = None if seconds is None else time.monotonic() + _seconds(seconds)
        except TypeError as error:
            return step.resume({"exception": error})
        self._events[step.call_id] = (key, until)
        return step.resume(_PROMISE)

    def _set(self, step: Any) -> Any:
        keys = set(step.args)
        for call, (key, _) in list(self._events.items()):
            if key in keys:
                del self._events[call]
                self._ready[call] = {"return_value": True}
        return step.resume({"return_value": None})

    def _blocked(self, step: Any) -> Any:
        """Every task of the code waits: answer those that can go on, once there is one."""
        waiting = step.pending_call_ids
        if not waiting:
            raise TooManyCallsError(_NEVER)
        while True:
            if self._finished:
                return step.resume({key: _result(FINISHED) for key in waiting})
            while not self._arrived.empty():
                self._take(self._next())
            self._wake()
            found = {key: self._ready.pop(key) for key in list(self._ready) if key in waiting}  # as they came
            if found:
                return self._resumed_with(step, found)
            times = [at for _, at in self._events.values() if at is not None]
            if not times and not self._running:
                return step.resume({key: {"exception": RuntimeError(_NEVER)} for key in waiting})
            self._wait(min(times) if times else None)

    def _resumed_with(self, step: Any, found: dict[int, dict[str, Any]]) -> Any:
        try:
            return step.resume(found)
        except TypeError:  # there is an exception among them that Monty lacks: one after the other then
            key, first = found.popitem()
            self._ready |= found
            return _resumed(lambda result: step.resume({key: result}), first)

    def _wake(self) -> None:
        now = time.monotonic()
        for call, (_, at) in list(self._events.items()):
            if at is not None and at <= now:
                del self._events[call]
                self._ready[call] = {"return_value": None}

    def _wait(self, until: float | None) -> None:
        """Wait for an answer or until that time; sleep counts where nothing else is waited for."""
        began = time.monotonic()
        seconds = None if until is None else max(until - began, 0.0)
        if seconds is not None and not self._running:
            seconds = min(seconds, max(self._timeout - self._asleep, 0.0))
        try:
            self._take(self._next(seconds))
        except queue.Empty:
            if not self._running:
                self._asleep += time.monotonic() - began
                self._check_sleep()

    def _slept(self, step: Any) -> Any:
        """Sleep as asked; an execution that sleeps longer than it may run is stopped."""
        try:
            seconds = _seconds(step.args[0])
        except TypeError as error:
            return step.resume({"exception": error})
        until = time.monotonic() + min(seconds, max(self._timeout - self._asleep, 0.0))
        while (left := until - time.monotonic()) > 0:
            try:
                self._take(self._next(left))
            except queue.Empty:
                break
        self._asleep += seconds
        self._check_sleep()
        return step.resume({"return_value": None})

    def _check_open(self) -> None:
        if self._stopped:
            raise ReplCrashedError("The REPL was closed while the code waited for its host.")

    def _check_sleep(self) -> None:
        if self._asleep >= self._timeout:
            raise SleptTooLongError(f"the code sleeps longer than its limit of {self._timeout:g} s")


def _seconds(value: Any) -> float:
    """Return what the code gave as a time to wait, within what a clock can count. Raises TypeError for what is none."""
    try:
        seconds = float(min(max(value, 0), _LONGEST))
    except (TypeError, ValueError):
        seconds = math.nan
    if math.isnan(seconds):
        raise TypeError(f"a time to wait must be a number of seconds, not {str(value)[:50]!r}")
    return seconds


def _result(answer: Answer) -> dict[str, Any]:
    """Return the answer as Monty takes it; of errors that it has not, the name stands in the message."""
    if answer is FINISHED:
        return {"exception": SystemExit("the answer was given")}
    error = answer.exception
    if error is None:
        return {"return_value": answer.value}
    if hasattr(builtins, type(error).__name__):
        return {"exception": error}
    return {"exception": RuntimeError(f"{answer.error_type}: {answer.error}")}


def _resumed(resume: Callable[[dict[str, Any]], Any], result: dict[str, Any]) -> Any:
    """Resume with a result; Monty lacks some of the builtin exceptions, whose names stand in the message then."""
    error = result.get("exception")
    try:
        return resume(result)
    except TypeError:
        if error is None:
            raise
        return resume({"exception": RuntimeError(f"{type(error).__name__}: {error}")})
