"""A worker process seen from the host: started, spoken to in frames, stopped, ended. POSIX only."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import termios
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from pyrlm.repl.wire import HEADER, MAX_FRAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["PIPE_BYTES", "WorkerProcess", "spawner"]

_READ_SIZE = 1 << 18
PIPE_BYTES = 1 << 20


class WorkerProcess:
    """One worker and the two pipes to it.

    Args:
        popen: The process.
        read_fd: What it writes.
        write_fd: What it reads.
    """

    def __init__(self, popen: subprocess.Popen[bytes], read_fd: int, write_fd: int) -> None:
        self.pid = popen.pid
        self._popen = popen
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_frame: Callable[[bytes], None] = lambda _: None
        self._on_end: Callable[[str], None] = lambda _: None
        self._in = bytearray()
        self._out = bytearray()
        self._listening = False
        self._finalizer = weakref.finalize(self, _discard, popen, read_fd, write_fd)

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._finalizer.alive and self._popen.poll() is None

    def attach(self, on_frame: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        """Serve from the running loop: `on_frame` gets each frame's payload, `on_end` the reason when it's over."""
        self._loop = asyncio.get_running_loop()
        self._on_frame, self._on_end = on_frame, on_end

    def listen(self) -> None:
        """Begin to read, or go on."""
        if not self._listening and self._loop is not None and self._finalizer.alive:
            self._listening = True
            self._loop.add_reader(self._read_fd, self._readable)
            if len(self._in) >= HEADER.size:  # frames that had been read when reading was paused
                self._loop.call_soon(self._take_frames)

    def pause(self) -> None:
        """Stop reading; the worker waits when the pipe is full."""
        if self._listening and self._loop is not None:
            self._listening = False
            self._loop.remove_reader(self._read_fd)

    def _readable(self) -> None:
        try:
            data = os.read(self._read_fd, _READ_SIZE)
        except BlockingIOError:
            return
        if not data:
            self.pause()
            self._on_end(self._cause_of_death())
            return
        self._in += data
        self._take_frames()

    def _take_frames(self) -> None:
        while self._listening and len(self._in) >= HEADER.size:
            (size,) = HEADER.unpack_from(self._in)
            if size > MAX_FRAME:
                self.pause()
                self._on_end(f"it announced a frame of {size:,} bytes")
                return
            end = HEADER.size + size
            if len(self._in) < end:
                return
            payload = bytes(memoryview(self._in)[HEADER.size : end])
            del self._in[:end]
            self._on_frame(payload)

    @property
    def receiving(self) -> bool:
        """Whether a part of a frame is here or in the pipe, so that the worker may sleep only until it can write on."""
        return self._listening and (bool(self._in) or _waiting_bytes(self._read_fd) > 0)

    def send(self, frame: bytes) -> None:
        """Send a frame; what the pipe doesn't take at once is sent when it does."""
        if not self._finalizer.alive or self._loop is None:
            return
        if not self._out:
            try:
                sent = os.write(self._write_fd, frame)
            except BlockingIOError:
                sent = 0
            except BrokenPipeError:  # its end is told by the other pipe
                return
            if sent == len(frame):
                return
            frame = frame[sent:]
            self._loop.add_writer(self._write_fd, self._writable)
        self._out += frame

    def _writable(self) -> None:
        with suppress(BlockingIOError):
            try:
                del self._out[: os.write(self._write_fd, memoryview(self._out)[:PIPE_BYTES])]
            except BrokenPipeError:
                self._out.clear()
        if not self._out and self._loop is not None:
            self._loop.remove_writer(self._write_fd)

    def send_text(self, setup: bytes, pieces: Iterable[bytes]) -> None:
        """Send the setup's frame and then the text, in pieces of whole characters; blocks, so call it in a thread."""
        os.set_blocking(self._write_fd, True)
        try:
            _write_all(self._write_fd, setup)
            for piece in pieces:
                _write_all(self._write_fd, HEADER.pack(len(piece)))
                _write_all(self._write_fd, piece)
            _write_all(self._write_fd, HEADER.pack(0))
        except BrokenPipeError:
            return  # its end is told by the other pipe
        finally:
            os.set_blocking(self._write_fd, False)

    def signal(self, number: int) -> None:
        """Send a signal to the worker, where it still is there."""
        if self._popen.returncode is None:  # not waited for yet, so that the number is still its own
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End the worker and whatever it has started, at once."""
        with suppress(ProcessLookupError, PermissionError):
            if self._popen.poll() is None:
                os.killpg(self.pid, signal.SIGKILL)

    def discard(self) -> None:
        """End it without a loop; blocks for the moment that its end takes."""
        self._finalizer()

    async def close(self) -> None:
        """Kill it, wait for its end and close the pipes. May be called more than once."""
        if not self._finalizer.alive:
            return
        self.pause()
        if self._out and self._loop is not None:
            self._loop.remove_writer(self._write_fd)
            self._out.clear()
        self.kill()
        waiting = asyncio.get_running_loop().run_in_executor(spawner(), self._popen.wait)
        try:
            await asyncio.shield(waiting)
        finally:
            self._finalizer()

    def _cause_of_death(self) -> str:
        try:
            code = self._popen.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "it closed its pipe"
        if code >= 0:
            return f"it exited with status {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"it died of {name}{_MEANINGS.get(name, '')}"


_MEANINGS = {
    "SIGKILL": " (killed from outside, or out of memory)",
    "SIGSEGV": " (a crash in C code, as recursion without end makes)",
    "SIGXCPU": " (its limit on processor time)",
    "SIGSYS": " (a system call that is forbidden)",
}


def _discard(popen: subprocess.Popen[bytes], *fds: int) -> None:
    """End a worker that was never closed, and close the pipes."""
    with suppress(ProcessLookupError, PermissionError):
        if popen.poll() is None:
            os.killpg(popen.pid, signal.SIGKILL)
            popen.wait()
    for fd in fds:
        with suppress(OSError):
            os.close(fd)


def _waiting_bytes(fd: int) -> int:
    """Return how many bytes can be read now; 0 where the system doesn't tell."""
    try:
        return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)
    except OSError:
        return 0


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


_spawners: dict[int, ThreadPoolExecutor] = {}


def spawner() -> ThreadPoolExecutor:
    """Return the thread that starts workers, one for the life of the process.

    A worker dies with the thread that started it (`PR_SET_PDEATHSIG`), so that must not be a passing one.
    """
    pid = os.getpid()  # a fork has none of its parent's threads
    if pid not in _spawners:
        _spawners[pid] = ThreadPoolExecutor(1, thread_name_prefix="pyrlm-spawner")
    return _spawners[pid]
