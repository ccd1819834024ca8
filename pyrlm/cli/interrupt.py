"""Ctrl-C in two steps: the first asks for a clean end, the second ends at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["stopping"]


@contextlib.contextmanager
def stopping() -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C sets; the next one raises KeyboardInterrupt."""
    stop = threading.Event()

    def ask(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        typer.echo("stopping: what was read is made safe first (Ctrl-C again: at once)", err=True)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
