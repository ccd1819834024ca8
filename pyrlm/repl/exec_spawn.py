"""Starts worker processes: empty environment, a folder that is already gone, no descriptors but two pipes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pyrlm.errors import ReplUnavailableError
from pyrlm.repl.exec_process import PIPE_BYTES, WorkerProcess, spawner

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["spawn"]

_WORKER = Path(__file__).with_name("exec_worker.py")
_F_SETPIPE_SZ = 1031


async def spawn(python: str | None, hash_seed: int) -> WorkerProcess:
    """Start a worker that waits for its setup.

    Args:
        python: The interpreter; None for the one that runs now.
        hash_seed: PYTHONHASHSEED of the worker; with the same seed sets have the same order in each run.

    Raises:
        ReplUnavailableError: It can't be started here.
    """
    if os.name != "posix":
        raise ReplUnavailableError(
            "repl_backend='exec' needs Linux or macOS; on Windows use 'monty', or run under WSL."
        )
    executable = python or sys.executable
    if not executable:
        raise ReplUnavailableError(
            "This program doesn't know its Python interpreter: use ExecRepl(python='/path/python3')."
        )
    starting = spawner().submit(_start, executable, hash_seed)
    try:
        return await asyncio.wrap_future(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_discard_started)
        raise
    except OSError as error:
        raise ReplUnavailableError(f"The worker process can't be started ({executable}): {error}") from error


def _discard_started(starting: Future[WorkerProcess]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().discard()


def _start(executable: str, hash_seed: int) -> WorkerProcess:
    from_worker, to_host = os.pipe()
    from_host, to_worker = os.pipe()
    folder = tempfile.mkdtemp(prefix="pyrlm-")
    try:
        popen = subprocess.Popen(  # noqa: S603 - our own file, run by our own interpreter
            [executable, "-P", "-s", "-S", str(_WORKER), str(from_host), str(to_host), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PYTHONHASHSEED": str(hash_seed)},
            cwd=folder,
            pass_fds=(from_host, to_host),
            start_new_session=True,
        )
    except BaseException:
        os.close(from_worker)
        os.close(to_worker)
        raise
    finally:
        os.close(from_host)
        os.close(to_host)
        os.rmdir(folder)  # noqa: PTH106 - the worker's folder: gone, so nothing can ever be in it
    os.set_blocking(from_worker, False)
    os.set_blocking(to_worker, False)
    _widen(to_worker)
    _widen(from_worker)
    return WorkerProcess(popen, from_worker, to_worker)


def _widen(fd: int) -> None:
    """Let the pipe hold a megabyte, where the system can."""
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415 - POSIX only

        with suppress(OSError):
            fcntl.fcntl(fd, _F_SETPIPE_SZ, PIPE_BYTES)
