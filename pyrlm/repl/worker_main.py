"""The worker's life: take the setup and the text, shut the doors, serve commands. Standard library only."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # not in the stubs; `signal` makes enums of it, which takes 2 ms
import sys
import warnings
from _thread import stack_size
from itertools import accumulate

from pyrlm.errors import WireError
from pyrlm.repl import isolation
from pyrlm.repl.common import text_names
from pyrlm.repl.wire import decode
from pyrlm.repl.worker_cell import Cells, decoded_variables
from pyrlm.repl.worker_channel import Channel, CodeTimeout
from pyrlm.repl.worker_names import host_functions, names_of, seed_random
from pyrlm.repl.worker_show import Output
from pyrlm.textapi import TextAPI

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["serve"]

_STACK_BYTES = 2 << 20  # of each thread; the usual 8 MB would use up the address space that is limited


def serve(read_fd: int, write_fd: int, host_pid: int) -> None:
    """Serve until the host closes the pipe."""
    channel = Channel(read_fd, write_fd)
    try:
        cells, missing = _prepare(channel, host_pid)
    except Exception as error:  # noqa: BLE001 - the host says why there is no worker
        channel.send(["failed", type(error).__name__, str(error)[:500]])
        return
    channel.send(["ready", missing])
    while True:
        channel.send(_answer(cells, channel, channel.command()))


def _prepare(channel: Channel, host_pid: int) -> tuple[Cells, dict[str, str]]:
    """Take the setup and shut the doors; return what runs code, and the layers that are missing."""
    setup = channel.setup()
    names = _given(channel, setup) | decoded_variables(setup["variables"])
    cells = Cells(names, channel.interrupts, setup["timeout"], setup["max_output_chars"])
    _signal.signal(_signal.SIGUSR1, cells.stop)
    for category in (SyntaxWarning, DeprecationWarning):  # "\\d" in a string: noise to a model
        warnings.simplefilter("ignore", category)
    sys.stdout = sys.stderr = Output()
    seed_random(setup["random_seed"])
    stack_size(_STACK_BYTES)
    sys.path = [path for path in sys.path if path]
    return cells, isolation.lock(
        memory_bytes=setup["memory_bytes"], cpu_seconds=setup["cpu_seconds"], host_pid=host_pid
    )


def _given(channel: Channel, setup: dict[str, Any]) -> dict[str, Any]:
    """Return host functions and the names for the text, which is read from the pipe."""
    functions = host_functions(channel, setup["functions"])
    if setup["documents"] is None:
        return names_of(functions)
    text = channel.read_text()
    ends = accumulate(setup["documents"], lambda end, length: end + setup["separator"] + length)
    spans = [(end - length, end) for end, length in zip(ends, setup["documents"], strict=True)]
    functions |= text_names(TextAPI.of_joined(text, spans))
    return {"P": text, "context": text, "CONTEXT": text} | names_of(functions)


def _answer(cells: Cells, channel: Channel, command: list[Any]) -> list[Any]:
    kind = command[0]
    if kind == "run":
        return ["done", cells.run(command[1])]
    try:
        if kind == "give":
            cells.give(names_of(host_functions(channel, command[1])) | decode(command[2]))
            return ["value", True]
        channel.interrupts.begin()
        return ["value", cells.variables() if kind == "variables" else cells.value(command[1])]
    except (KeyError, WireError) as error:
        return ["failed", type(error).__name__, str(error)]
    except BaseException as error:  # noqa: BLE001 - the repr of an object of the code may raise anything
        return ["failed", "TimeoutError" if isinstance(error, CodeTimeout) else "ReplError", type(error).__name__]
    finally:
        channel.interrupts.active = False
