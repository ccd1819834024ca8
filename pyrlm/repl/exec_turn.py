"""One command to a worker, from its frame to its answer: calls served, time kept, the worker stopped behind it."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from pyrlm.errors import ReplCrashedError, WireError
from pyrlm.repl.common import cut_middle
from pyrlm.repl.drive import CodeClock, HostCalls, cpu_clock
from pyrlm.repl.wire import decode, encode, loads, pack

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrlm.repl.drive import Answer, FunctionTable
    from pyrlm.repl.exec_process import WorkerProcess

__all__ = ["Turn"]

_GRACE = 1.0  # seconds between the first interrupt and the kill
_INTERRUPT_EVERY = 0.1
_MAX_OUTSTANDING = 256  # calls at once; beyond, the worker waits
_MAX_ERROR_CHARS = 2_000
_LENGTHS = {"ready": 2, "done": 2, "value": 2, "failed": 3}


class Turn:
    """One command and what belongs to it until its end. Made in the running loop.

    Args:
        process: The worker.
        table: What code can call.
        expects: Kinds of the frames that may end the turn.
        limit: Seconds of the code's own wall time.
        max_calls: Calls to the host that are answered.
    """

    def __init__(
        self,
        process: WorkerProcess,
        table: FunctionTable,
        *,
        expects: tuple[str, ...],
        limit: float,
        max_calls: int = 0,
    ) -> None:
        self._process = process
        self._expects = expects
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[list[Any]] = self._loop.create_future()
        self._unanswered: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._overdue_since: float | None = None
        self.clock = CodeClock(cpu_clock(process.pid))
        self.calls = HostCalls(table, max_calls=max_calls, clock=self.clock)

    async def run(self, frame: bytes | None) -> list[Any]:
        """Send the command and wait for what ends the turn. `ReplCrashedError`: the worker died, lied or was killed."""
        try:
            if frame is not None:
                if sys.platform == "linux":
                    self._process.signal(signal.SIGCONT)
                self._process.send(frame)
            self._timer = self._loop.call_later(self._limit, self._check_time)
            self._process.listen()
            return await self._end
        except asyncio.CancelledError:
            self._process.kill()
            raise
        finally:
            self.clock.stop()
            await self._leave_nothing_running()

    async def _leave_nothing_running(self) -> None:
        """End timer and calls, and stop the worker's threads (on Linux, where it can't outlive the host)."""
        if self._timer is not None:
            self._timer.cancel()
        self._process.pause()
        if self.calls.outstanding:
            await self.calls.cancel()
        for key in self._unanswered:
            self._process.send(pack(["error", key, "RuntimeError", "the step that made this call has ended"]))
        if sys.platform == "linux":
            self._process.signal(signal.SIGSTOP)

    def fail(self, reason: str) -> None:
        """End the turn because the worker is lost."""
        if not self._end.done():
            self._end.set_exception(ReplCrashedError(f"The REPL's worker process was lost: {reason}."))

    def on_frame(self, payload: bytes) -> None:
        """Handle a frame, and believe nothing that it says."""
        if self._end.done():
            return
        try:
            message = loads(payload)
            kind = message[0]
            if kind == "call":
                self._on_call(message)
            elif kind in self._expects and len(message) == _LENGTHS[kind]:
                self._end.set_result(message)
            else:
                self.fail(f"it broke the protocol ({cut_middle(str(kind), 50)!r} was not expected)")
        except (WireError, ValueError, TypeError, LookupError) as error:
            self.fail(f"it broke the protocol ({cut_middle(str(error), 200)})")

    def _on_call(self, message: list[Any]) -> None:
        _, key, name, args, kwargs = message
        if type(key) is not int or key <= 0 or key in self._unanswered or type(name) is not str:
            raise ValueError("a malformed call")
        args, kwargs = decode(args), decode(kwargs)
        if type(args) is not list or type(kwargs) is not dict:
            raise ValueError("malformed arguments of a call")
        self._unanswered.add(key)
        task = self.calls.start(name, args, kwargs, self._replier(key, name))
        if self.calls.outstanding >= _MAX_OUTSTANDING:
            self._process.pause()
            task.add_done_callback(self._go_on)

    def _go_on(self, _: object) -> None:
        if not self._end.done():
            self._process.listen()

    def _replier(self, key: int, name: str) -> Callable[[Answer], None]:
        def reply(answer: Answer) -> None:
            self._unanswered.discard(key)
            if answer.error_type is None:
                try:
                    self._process.send(pack(["reply", key, encode(answer.value, f"the result of {name}()")]))
                except WireError as error:
                    self._process.send(pack(["error", key, "TypeError", str(error)[:_MAX_ERROR_CHARS]]))
            else:
                self._process.send(pack(["error", key, answer.error_type, answer.error]))

        return reply

    def _check_time(self) -> None:
        """Interrupt code whose time is over, and kill the worker where that doesn't help."""
        if self._end.done():
            return
        left = self._limit - self.clock.elapsed
        if left > 0 and self._overdue_since is None:
            self._timer = self._loop.call_later(max(left, 0.01), self._check_time)
            return
        now = time.monotonic()
        self._overdue_since = self._overdue_since or now
        if now - self._overdue_since < _GRACE and "ready" not in self._expects:
            self._process.signal(signal.SIGUSR1)
            self._timer = self._loop.call_later(_INTERRUPT_EVERY, self._check_time)
            return
        self._process.kill()
        self._end.set_exception(
            ReplCrashedError(
                f"The code ran for more than {self._limit:g} s, the limit of one step, and could not be interrupted, so the "
                "REPL was killed and its variables are lost. It was inside one long operation (a huge number, a search "
                "or a pattern over everything at once), or it caught the interrupt."
            )
        )
