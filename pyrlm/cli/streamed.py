"""Prints an answer on the terminal while it is written."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pyrlm.cli.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrlm.routers import RouterResult, StreamEvent

__all__ = ["print_stream"]


def print_stream(events: Iterable[StreamEvent]) -> RouterResult:
    """Print the text of a stream as it comes and say where it is withdrawn; return the result that ends it."""
    result: RouterResult | None = None
    for event in events:
        if event.kind == "text":
            _put(plain(event.text))
        elif event.kind == "withdrawn":
            _put(f"\n[withdrawn: {plain(event.reason)}]\n")
        elif event.kind == "result":
            result = event.result
    assert result is not None  # a stream without one ends by an error
    _put("\n" if result.output else "")
    return result


def _put(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
