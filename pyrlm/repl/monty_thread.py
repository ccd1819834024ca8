"""One Monty worker process and the thread that drives it: the interpreter's client is synchronous.

`AsyncMonty` aborted the host's interpreter at exit in one run of five, so the synchronous session is driven here, on a
thread of its own (many waiting runs would fill the default executor). What the code asks of the host is answered on the
event loop while the thread waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyrlm.repl.monty_serve import Serving

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic_monty import MontySession

    from pyrlm.repl.monty_serve import Ask

__all__ = ["MontyThread", "WorkerOptions"]

_BUSY_TRIES, _BUSY_SECONDS = 200, 0.01
"""A process that another thread has just forked holds the script open, for writing, until it becomes its program."""
_HANG = 1.0  # seconds beyond the limit after which a worker that checks no clock is killed


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How a worker is started.

    Attributes:
        binary: Path of what is run; never looked up.
        timeout: Seconds of the code's own time for one execution.
        memory: Bytes of the interpreter's heap.
        max_calls: Host calls and look-ups of unknown names of one execution, after which it is stopped.
    """

    binary: str
    timeout: float
    memory: int
    max_calls: int


class MontyThread:
    """A worker process in a pool of one, a session in it, and the thread that talks to it.

    Args:
        options: How the worker is started.
        loop: Where host calls are answered.
    """

    def __init__(self, options: WorkerOptions, loop: asyncio.AbstractEventLoop) -> None:
        self._options = options
        self._loop = loop
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="pyrlm-monty", daemon=True)
        self._stack = contextlib.ExitStack()
        self._pool: Any = None
        self._session: MontySession | None = None
        self._held = contextlib.ExitStack()
        self._serving: Serving | None = None
        self._ended = False
        self.fed = 0
        self.pid: int | None = None
        self._thread.start()

    def submit(self, job: Callable[[], Any]) -> asyncio.Future[Any]:
        """Run `job` on the thread, after those before it."""
        done: asyncio.Future[Any] = self._loop.create_future()
        self._jobs.put((job, done))
        return done

    def _work(self) -> None:
        while (entry := self._jobs.get()) is not None:
            job, done = entry
            try:
                result, error = job(), None
            except BaseException as caught:  # noqa: BLE001 - handed to whoever waits for the job
                result, error = None, caught
            with contextlib.suppress(RuntimeError):  # the loop may be closed already
                self._loop.call_soon_threadsafe(_settle, done, result, error)
        for stack in (self._held, self._stack):
            with contextlib.suppress(Exception):  # of a killed worker
                stack.close()

    # on the thread

    def open(self) -> None:
        """Start the pool and a session in it."""
        for tries_left in reversed(range(_BUSY_TRIES)):
            try:
                self._start()
                break
            except RuntimeError as error:
                if "Text file busy" not in str(error) or not tries_left:
                    raise
                time.sleep(_BUSY_SECONDS)
        self.checkout()

    def _start(self) -> None:
        from pydantic_monty import Monty  # noqa: PLC0415 - takes 60 ms, and only this backend needs it

        self._pool = self._stack.enter_context(
            Monty(
                binary_path=self._options.binary,
                min_processes=1,
                max_processes=1,
                checkout_timeout=30.0,
                feed_duration_limit_grace=_HANG,
            )
        )

    def checkout(self) -> None:
        """Take a new session in the place of the one before."""
        with contextlib.suppress(Exception):  # of a worker that has died
            self._held.close()
        session: MontySession = self._held.enter_context(
            self._pool.checkout(
                limits={
                    "max_feed_duration_secs": self._options.timeout,
                    "max_memory": self._options.memory,
                    "max_suspensions": 1 << 40,  # counted for each execution here
                },
                os_policy={"sleep": "call_host", "timezone": "utc"},
                assert_message_annotations=False,
            )
        )
        self._session = session
        self.pid = session.worker_pid
        self.fed = 0

    @property
    def session(self) -> MontySession:
        """The session that runs now."""
        assert self._session is not None
        return self._session

    def plain(self, source: str, inputs: Mapping[str, Any] | None = None) -> Any:
        """Run source of our own, which calls nothing of the host, and return its value."""
        self.fed += 1
        return self.session.feed_run(source, inputs=dict(inputs or {}), print_callback=_ignore)

    def drive(
        self,
        source: str,
        inputs: Mapping[str, Any],
        write: Callable[[str, str], None],
        ask: Ask,
        objects: Mapping[Any, str],
    ) -> None:
        """Run the model's source; its calls are answered on the loop.

        Args:
            source: What to run.
            inputs: Names given to it.
            write: Takes what it prints.
            ask: Answers a call.
            objects: Names of host objects by their ids.

        Raises:
            TooManyCallsError: It made more calls than `WorkerOptions.max_calls`.
        """
        from pydantic_monty import MontyComplete  # noqa: PLC0415 - see MontyThread.open

        options = self._options
        serving = self._serving = Serving(
            self._loop, ask, objects=objects, timeout=options.timeout, max_calls=options.max_calls
        )
        self.fed += 1
        step: Any = self.session.feed_start(source, inputs=dict(inputs), print_callback=write)
        while not isinstance(step, MontyComplete):
            step = serving.step(step)

    def save(self) -> tuple[bytes, int]:
        """Return the session's state, to be loaded into another one."""
        return self.session.dump(), self.fed

    def load(self, state: tuple[bytes, int]) -> None:
        """Take a new session with the state of an earlier one."""
        self.checkout()
        self.session.load_session(state[0])
        self.fed = state[1]

    def memory(self) -> int:
        """Return the bytes that the worker holds; a high number where the system doesn't tell."""
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as file:  # noqa: PTH123 - a path of the kernel
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            return 1 << 60

    # from the loop

    @property
    def idle(self) -> bool:
        """Whether the code that was driven last waits; so does none."""
        return self._serving is None or self._serving.idle

    def kill(self) -> None:
        """Kill the worker, whatever it is doing."""
        if self.pid is not None and not self._ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        if self._serving is not None:
            self._serving.stop()

    async def close(self) -> None:
        """Kill the worker and wait until process and thread have ended."""
        if self._ended:
            return
        self.kill()
        self._ended = True
        self._jobs.put(None)
        while self._thread.is_alive():  # noqa: ASYNC110 - a thread has no event to wait for
            await asyncio.sleep(0.005)


def _ignore(_stream: str, _text: str) -> None:
    return None


def _settle(done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if done.cancelled():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)
