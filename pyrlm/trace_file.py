"""The JSON Lines file that a trace is written to, by one run or by several at once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TextIO

from pyrlm.errors import ConfigurationError

__all__ = ["RunLines", "SharedFile", "open_trace"]

_HEAD_BYTES = 200


def open_trace(path: str | Path) -> TextIO:
    """Open a trace file for writing; of an earlier trace nothing stays.

    Raises:
        ConfigurationError: It can't be written, or holds something that is no trace.
    """
    try:
        if not _is_free(Path(path)):
            raise ConfigurationError(
                f"The trace file {str(path)!r} exists and is no trace: it would be overwritten. Give another name, or "
                "remove it."
            )
        return Path(path).open("w", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"The trace file {str(path)!r} can't be written: {error.strerror}.") from error


def _is_free(path: Path) -> bool:
    """Whether nothing is lost where a trace is written to this file: there is none, or it is empty or a trace."""
    if not path.is_file():
        return True
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return not head.strip() or (head.startswith(b"{") and b'"schema_version"' in head)


class SharedFile:
    """One file for the events of several runs: every line is that of one event and names its run as `run`.

    Args:
        path: The file; replaced where it exists.
    """

    def __init__(self, path: str | Path) -> None:
        self._lock = threading.Lock()
        self._file = open_trace(path)

    def of_run(self, number: int) -> RunLines:
        """Return what the run of this number writes to."""
        return RunLines(self, number)

    def write(self, text: str) -> None:
        """Write and flush; nothing after `close`."""
        with self._lock:
            if not self._file.closed:
                self._file.write(text)
                self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()


class RunLines:
    """The lines of one run of a `SharedFile`, written like those of a file of its own."""

    def __init__(self, file: SharedFile, number: int) -> None:
        self._file = file
        self._head = f'{{"run": {number}, '

    def write(self, line: str) -> None:
        """Write one JSON object, with its line end."""
        self._file.write(self._head + line[1:])

    def flush(self) -> None:
        """Nothing: each line is flushed."""

    def close(self) -> None:
        """Nothing: the other runs go on writing."""
