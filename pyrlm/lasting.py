"""What outlives a question: the REPL, the tools, the transcript, and the way from the REPL's functions to whoever asks now."""

from __future__ import annotations

import ast
import functools
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyrlm.handed import statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pyrlm.context import Context
    from pyrlm.repl.protocol import HostFunction
    from pyrlm.session import Session

__all__ = ["AskingClock", "Lasting", "Relay", "binds"]


class Relay:
    """Host functions of a REPL whose calls are answered by those of the question that is being asked."""

    def __init__(self) -> None:
        self._now: dict[str, HostFunction] = {}

    def answer_with(self, functions: Mapping[str, HostFunction]) -> dict[str, HostFunction]:
        """Let these answer from now on; return what a REPL is given, which passes calls on to whichever answer then."""
        self._now = dict(functions)
        return {name: self._through(name, function) for name, function in functions.items()}

    def _through(self, name: str, function: HostFunction) -> HostFunction:
        @functools.wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._now[name](*args, **kwargs)

        return call


@dataclass(slots=True, kw_only=True)
class Lasting:
    """What runs over one REPL hand on to each other.

    Attributes:
        keep: Whether REPL, tools and transcript are kept when a run ends.
        latest: The latest run; None before the first.
        base: The text that the REPL is started with, where `keep` is set.
        replaced: What was lost with a REPL that was replaced between two runs; empty where none was.
        functions: Host functions of contexts that were added.
        variables: Variables of contexts that were added.
        relay: The way to the functions of the latest run.
    """

    keep: bool = False
    latest: Session | None = None
    base: Context | None = None
    replaced: str = ""
    functions: dict[str, HostFunction] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    relay: Relay = field(default_factory=Relay)


def binds(sources: Iterable[str], name: str) -> bool:
    """Whether one of these pieces of code gives `name` a value."""
    return any(
        isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name
        for source in sources
        for statement in statements(source)
        for node in ast.walk(statement)
    )


class AskingClock:
    """Counts the seconds during which questions are answered; it stands still between them."""

    def __init__(self) -> None:
        self._before = 0.0
        self._since: float | None = None

    def seconds(self) -> float:
        """Return the seconds so far."""
        return self._before + (0.0 if self._since is None else time.monotonic() - self._since)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let it go on."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._before, self._since = self.seconds(), None
