"""The worker's end of the pipes: frames by key, from any number of threads, and the soft interrupt of the main one.

Whichever thread waits first reads; frames for others are laid aside and their threads woken; a thread that has what it
waited for hands the reading on. One thread alone reads its own answer without a switch. Standard library only.
"""

from __future__ import annotations

import os
import select
from _thread import allocate_lock, get_ident
from itertools import count

from pyrlm.repl.wire import HEADER, dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["COMMAND", "Channel", "CodeTimeout", "Interrupts"]

COMMAND = 0
"""The key under which the main thread waits for the host's commands; answers to calls have keys from 1."""
_READ_SIZE = 1 << 20


class CodeTimeout(KeyboardInterrupt):
    """Raised in running code when its time is over; no Exception, so that ``except Exception`` lets it pass.

    A KeyboardInterrupt, because that is what ends an event loop from within any of its tasks.
    """


class Interrupts:
    """When a signal may raise `CodeTimeout`: while code runs, and never in the middle of a frame.

    Attributes:
        active: Whether code runs.
        shielded: Whether the main thread is inside of the channel; a signal then waits until it leaves.
        count: Signals that came in this execution.
    """

    def __init__(self) -> None:
        self.active = False
        self.shielded = False
        self.count = 0
        self._pending = False

    def begin(self) -> None:
        """Code begins to run."""
        self._pending = False
        self.count = 0
        self.active = True

    def on_signal(self, *_: object) -> None:
        """Handle the host's signal."""
        if not self.active:
            return
        self.count += 1
        if self.shielded:
            self._pending = True
        else:
            raise CodeTimeout

    def enter(self) -> None:
        """Hold signals back."""
        self.shielded = True

    def leave(self) -> None:
        """Let signals raise again, one that came meanwhile at once."""
        self.shielded = False
        if self._pending and self.active:
            self._pending = False
            raise CodeTimeout


class Channel:
    """Sends and receives frames. Made by the main thread.

    Args:
        read_fd: Pipe from the host.
        write_fd: Pipe to the host.
    """

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.interrupts = Interrupts()
        self.read_fd = read_fd
        self._write_fd = write_fd
        self._poll = select.poll()
        self._poll.register(read_fd, select.POLLIN)
        self._buffer = bytearray()
        self._keys = count(1)
        self._arrived: dict[int, list[Any]] = {}
        self._waiting: dict[int, Any] = {}
        self._abandoned: set[int] = set()
        self._begun: dict[int, Callable[[list[Any]], None]] = {}
        self._reading = allocate_lock()
        self._writing = allocate_lock()
        self._main = get_ident()

    def send(self, message: list[Any]) -> None:
        """Send a message of encoded values; `WireError` where it is too big."""
        self._write(dumps(message))

    def _write(self, payload: bytes) -> None:
        frame = HEADER.pack(len(payload)) + payload
        with self._writing:
            sent = os.write(self._write_fd, frame)
            if sent < len(frame):
                rest = memoryview(frame)[sent:]
                while rest:
                    rest = rest[os.write(self._write_fd, rest) :]

    def call(self, name: str, args: list[Any], kwargs: Any) -> list[Any]:
        """Call a host function (arguments encoded) and wait for its answer: ``["reply", key, value]`` or an error."""
        key = next(self._keys)
        payload = dumps(["call", key, name, args, kwargs])
        main = get_ident() == self._main
        if main:
            self.interrupts.enter()
        try:
            self._write(payload)
            return self._receive(key, main)
        except BaseException:
            if self._arrived.pop(key, None) is None:
                self._abandoned.add(key)
            raise
        finally:
            if main:
                self.interrupts.leave()

    def begin(self, name: str, args: list[Any], kwargs: Any, arrived: Callable[[list[Any]], None]) -> int:
        """Call a host function and wait for nothing: `arrived` gets the answer, in the thread that reads it."""
        key = next(self._keys)
        payload = dumps(["call", key, name, args, kwargs])
        self._begun[key] = arrived
        self._shielded(self._write, payload)
        return key

    def abandon(self, key: int) -> None:
        """Drop the answer to a call that was begun, if it is still to come."""
        if self._begun.pop(key, None) is not None:
            self._abandoned.add(key)

    def read_what_is_there(self) -> None:
        """Lay aside what has arrived, unless another thread is about to; for an event loop, when there is something."""
        self._shielded(self._read_unless_read)

    def _read_unless_read(self) -> None:
        if not self._reading.acquire(blocking=False):
            return
        try:
            if self._poll.poll(0):
                self._read()
        finally:
            self._reading.release()
            self._wake_one()

    def _shielded(self, step: Callable[..., None], *args: Any) -> None:
        main = get_ident() == self._main
        if main:
            self.interrupts.enter()
        try:
            step(*args)
        finally:
            if main:
                self.interrupts.leave()

    def command(self) -> list[Any]:
        """Wait for the host's next command."""
        return self._receive(COMMAND, main=False)

    def _receive(self, key: int, main: bool) -> list[Any]:
        while key not in self._arrived:
            if self._reading.acquire(blocking=False):
                try:
                    while key not in self._arrived:
                        self._wait_readable(main)
                        self._read()
                finally:
                    self._reading.release()
                    self._wake_one()
            else:
                self._follow(key, main)
        return self._arrived.pop(key)

    def _follow(self, key: int, main: bool) -> None:
        """Sleep until the reading thread has laid the frame aside, or hands the reading on."""
        lock = allocate_lock()
        lock.acquire()
        self._waiting[key] = lock
        if key in self._arrived or not self._reading.locked():
            if self._waiting.pop(key, None) is None:
                self._wake_one()
            return
        try:
            if main:
                self.interrupts.leave()
            lock.acquire()
        except BaseException:
            if self._waiting.pop(key, None) is None:
                self._wake_one()
            raise
        finally:
            if main:
                self.interrupts.enter()

    def _wake_one(self) -> None:
        if self._waiting:
            try:
                _, lock = self._waiting.popitem()
            except KeyError:  # another thread was quicker
                return
            lock.release()

    def _wait_readable(self, main: bool) -> None:
        """Wait in a place where a signal may raise without a byte being lost."""
        if not main:
            self._poll.poll()
            return
        try:
            self.interrupts.leave()
            self._poll.poll()
        finally:
            self.interrupts.enter()

    def _read(self) -> None:
        """Read what is there, and lay whole frames aside."""
        data = os.read(self.read_fd, _READ_SIZE)
        if not data:
            os._exit(0)  # the host is gone
        buffer = self._buffer
        buffer += data
        while len(buffer) >= HEADER.size:
            (size,) = HEADER.unpack_from(buffer)
            end = HEADER.size + size
            if len(buffer) < end:
                return
            message = loads(buffer[HEADER.size : end])
            del buffer[:end]
            self._deliver(message)

    def _deliver(self, message: list[Any]) -> None:
        key = message[1] if message[0] in {"reply", "error"} else COMMAND
        if key in self._abandoned:
            self._abandoned.discard(key)
            return
        arrived = self._begun.pop(key, None)
        if arrived is not None:
            arrived(message)
            return
        self._arrived[key] = message
        lock = self._waiting.pop(key, None)
        if lock is not None:
            lock.release()

    def setup(self) -> Any:
        """Read the first frame, and not a byte of the text that may follow it."""
        return loads(self._exactly(HEADER.unpack(self._exactly(HEADER.size))[0]))

    def read_text(self) -> str:
        """Read the text that follows the setup: pieces of UTF-8 of whole characters, ended by one of length 0.

        A local string that grows by another local is enlarged in place, so that the text never stands here twice.
        """
        text = ""
        for size in iter(self._text_size, 0):
            piece = str(self._exactly(size), "utf-8", "surrogatepass")
            text += piece
        return text

    def _text_size(self) -> int:
        size: int = HEADER.unpack(self._exactly(HEADER.size))[0]
        return size

    def _exactly(self, size: int) -> bytearray:
        buffer = self._buffer
        while len(buffer) < size:
            data = os.read(self.read_fd, min(size - len(buffer), _READ_SIZE))
            if not data:
                os._exit(0)
            buffer += data
        piece = buffer[:size]
        del buffer[:size]
        return piece
