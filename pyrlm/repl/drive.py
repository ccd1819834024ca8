"""What the backends share: answering the calls of running code as tasks, under a cap, and the clock of the code."""

from __future__ import annotations

import asyncio
import inspect
import sys
import time
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrlm.redact import redact
from pyrlm.repl.common import cut_middle, error_named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyrlm.repl.protocol import HostFunction

__all__ = ["HOST_CALL", "Answer", "CodeClock", "FunctionTable", "HostCall", "HostCalls", "asleep", "cpu_clock"]

_MAX_ERROR_CHARS = 2_000
_BUSY = frozenset({b"R", b"D"})  # runs or could run; in the midst of a system call: proc(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a host function came to: a value, or the name and message of an exception to raise in the code."""

    value: Any = None
    error_type: str | None = None
    error: str = ""

    @property
    def exception(self) -> Exception | None:
        """The error as an exception: the builtin one of that name where there is one, else a subclass of RuntimeError."""
        if self.error_type is None:
            return None
        return error_named(self.error_type, self.error)


class HostCall:
    """One call of code that is being answered.

    Attributes:
        above: The call for whose answer that code runs, where it is a sub-agent's.
    """

    __slots__ = ("_waiting", "above")

    def __init__(self, above: HostCall | None) -> None:
        self.above = above
        self._waiting: list[Callable[[], None]] = []

    def when_answered(self, act: Callable[[], None]) -> None:
        """Do this once its answer goes to the code."""
        self._waiting.append(act)

    def answered(self) -> None:
        """Do what was to be done then."""
        for act in self._waiting:
            act()


HOST_CALL: ContextVar[HostCall | None] = ContextVar("pyrlm_host_call", default=None)
"""The innermost call of code that is being answered."""


class FunctionTable:
    """The host functions of one REPL with their signatures, which are looked up once.

    Args:
        functions: Host functions by the name that code uses, dotted ones included.
    """

    def __init__(self, functions: Mapping[str, HostFunction]) -> None:
        self._functions = {name: (function, _signature(function)) for name, function in functions.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order given."""
        return tuple(self._functions)

    @property
    def functions(self) -> dict[str, HostFunction]:
        """The functions by name."""
        return {name: function for name, (function, _) in self._functions.items()}

    def describe(self) -> dict[str, str]:
        """Return the signature of each function as text, such as ``"(question, text)"``."""
        return {
            name: "(…)" if signature is None else str(signature) for name, (_, signature) in self._functions.items()
        }

    async def call(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Answer:
        """Call a function. What it raises becomes an answer; only cancellation leaves as an exception."""
        entry = self._functions.get(name)
        if entry is None:
            return Answer(error_type="NameError", error=f"there is no host function {name[:100]!r}")
        function, signature = entry
        try:
            return Answer(value=await function(*args, **kwargs))
        except TypeError as error:
            return Answer(error_type="TypeError", error=_misfit(name, signature, args, kwargs) or _message(error))
        except Exception as error:  # noqa: BLE001 - whatever a tool raises belongs to the code that called it
            return Answer(error_type=type(error).__name__, error=_message(error))


def _misfit(
    name: str, signature: inspect.Signature | None, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> str | None:
    """Return what is wrong with the arguments; None where they fit, and the TypeError came from within."""
    if signature is not None:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            return f"{name}{signature}: {error}"
    return None


def _signature(function: HostFunction) -> inspect.Signature | None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some builtins have none
        return None
    parameters = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)


def _message(error: Exception) -> str:
    single = error.args[0] if isinstance(error, KeyError) and len(error.args) == 1 else None
    return cut_middle(redact(single if isinstance(single, str) else str(error)), _MAX_ERROR_CHARS)


class HostCalls:
    """Answers the calls that one execution makes.

    Args:
        table: What can be called.
        max_calls: Calls answered; those beyond get an error that says so.
        clock: Stopped while calls are outstanding.
    """

    def __init__(self, table: FunctionTable, *, max_calls: int, clock: CodeClock) -> None:
        self._table = table
        self._max_calls = max_calls
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self.count = 0

    @property
    def outstanding(self) -> int:
        """Calls that wait for their answer."""
        return len(self._tasks)

    async def answer(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Answer:
        """Count one call and answer it; the clock stands still meanwhile."""
        self.count += 1
        if self.count > self._max_calls:
            return Answer(
                error_type="RuntimeError",
                error=f"more than {self._max_calls:,} host calls in one step; put more into each call, or use a batch",
            )
        call = HostCall(HOST_CALL.get())
        asked = HOST_CALL.set(call)
        self._clock.wait()
        try:
            return await self._table.call(name, args, kwargs)
        finally:
            self._clock.go_on()
            HOST_CALL.reset(asked)
            call.answered()

    def start(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], done: Callable[[Answer], None]
    ) -> asyncio.Task[None]:
        """Answer in a task of the running loop and hand the answer to `done`, which isn't called once cancelled."""

        async def task() -> None:
            done(await self.answer(name, args, kwargs))

        running = asyncio.get_running_loop().create_task(task())
        self._tasks.add(running)
        running.add_done_callback(self._tasks.discard)
        return running

    async def cancel(self) -> None:
        """Cancel what is outstanding and wait until it has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class CodeClock:
    """Wall time of the code alone: stands still while a host call is outstanding.

    Args:
        cpu_time: Seconds of processor time that the code has used so far. Where it is given, what threads of the code
            compute while others wait for the host counts too.
    """

    def __init__(self, cpu_time: Callable[[], float] | None = None) -> None:
        self._cpu_time = cpu_time or (lambda: 0.0)
        self._started = self._since = time.monotonic()
        self._ran = 0.0
        self._cpu_at_wait = 0.0
        self._waiting = 0
        self._ended: float | None = None

    def wait(self) -> None:
        """A host call has begun."""
        if self._waiting == 0 and self._ended is None:
            self._ran += time.monotonic() - self._since
            self._cpu_at_wait = self._cpu_time()
        self._waiting += 1

    def go_on(self) -> None:
        """A host call has ended."""
        self._waiting -= 1
        if self._waiting == 0 and self._ended is None:
            self._ran += self._cpu_time() - self._cpu_at_wait
            self._since = time.monotonic()

    def stop(self) -> None:
        """End the clock; `elapsed` and `waited` stand from now on."""
        if self._ended is None:
            self._ran = self.elapsed
            self._ended = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds of the code's own wall time."""
        if self._ended is not None:
            return self._ran
        if self._waiting:
            return self._ran + self._cpu_time() - self._cpu_at_wait
        return self._ran + time.monotonic() - self._since

    @property
    def waited(self) -> float:
        """Seconds that the code waited for the host."""
        end = time.monotonic() if self._ended is None else self._ended
        return max(end - self._started - self.elapsed, 0.0)


def cpu_clock(pid: int | None) -> Callable[[], float] | None:
    """Return what reads the processor time of another process; None where that can't be had."""
    if pid is None or sys.platform != "linux":
        return None
    clock = (~pid << 3) | 2  # as clock_getcpuclockid(3) makes it

    def read() -> float:
        try:
            return time.clock_gettime(clock)
        except OSError:  # it has just died
            return 0.0

    return read


def asleep(pid: int) -> bool:
    """Whether every thread of another process sleeps, as far as the system tells; one that waits for a processor doesn't."""
    try:
        return not any(_state(task) in _BUSY for task in Path(f"/proc/{pid}/task").iterdir())
    except OSError:  # no Linux, or it has just died
        return True


def _state(task: Path) -> bytes:
    return (task / "stat").read_bytes().rpartition(b")")[2].split()[0]
