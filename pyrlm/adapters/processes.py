"""Runs a command to its end, within a time and a size, and leaves nothing of it behind."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Ended", "TooMuchOutput", "run"]

_STDIN, _STDOUT = 0, 1
_MOST_OUTPUT_BYTES = 16_000_000  # far beyond the longest reply of any model
_KEPT_ERROR_BYTES = 64_000
_PIPES_SECONDS = 1.0  # a process that the command left running may hold its pipes open for ever


class TooMuchOutput(Exception):  # noqa: N818 - it becomes another error
    """A command printed more than a reply can have."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, with what it printed; of standard error the end."""

    code: int
    output: str
    error: str


async def run(
    command: Sequence[str], typed: bytes, *, env: Mapping[str, str], cwd: str | None, seconds: float
) -> Ended:
    """Run `command` with `typed` on its standard input.

    It has a process group of its own, which is killed where the call ends before it does: by the time limit, by
    cancellation, or by too much output.

    Raises:
        TimeoutError: It did not end within `seconds`.
        TooMuchOutput: It printed more than 16 MB.
        OSError: It could not be started.
    """
    loop = asyncio.get_running_loop()
    transport, talk = await loop.subprocess_exec(_Talk, *command, env=dict(env), cwd=cwd, start_new_session=True)
    try:
        stdin = cast("asyncio.WriteTransport", transport.get_pipe_transport(_STDIN))
        stdin.write(typed)
        stdin.close()  # once all is written
        async with asyncio.timeout(seconds):
            await asyncio.wait((talk.exited, talk.flooded), return_when=asyncio.FIRST_COMPLETED)
        if talk.exited.done():
            await asyncio.wait((talk.closed, talk.flooded), timeout=_PIPES_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if talk.flooded.done():
            raise TooMuchOutput(f"it printed more than {_MOST_OUTPUT_BYTES:,} bytes")
        return Ended(transport.get_returncode() or 0, _text(talk.output), _text(talk.error))
    finally:
        if not (talk.exited.done() and talk.closed.done()):
            _kill_group(transport.get_pid())
        transport.close()
        await asyncio.wait((talk.exited,))  # a killed process is gone when the call ends


class _Talk(asyncio.SubprocessProtocol):
    """What a process prints, and when it has ended."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.output, self.error = bytearray(), bytearray()
        self.exited, self.closed, self.flooded = (loop.create_future() for _ in range(3))
        self._open = {1, 2}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd != _STDOUT:
            self.error += data
            del self.error[:-_KEPT_ERROR_BYTES]
        elif len(self.output) + len(data) <= _MOST_OUTPUT_BYTES:
            self.output += data
        elif not self.flooded.done():
            self.flooded.set_result(None)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self._open.discard(fd)
        if not self._open and not self.closed.done():
            self.closed.set_result(None)

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)


def _text(printed: bytearray) -> str:
    return printed.decode(errors="replace")


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
