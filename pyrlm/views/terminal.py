"""Shows a run on a terminal while it goes on: one line a step, and a spinner with what has been used so far.

Nothing that a document, a model or a user wrote is taken as markup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pyrlm.adapters.base import Usage
from pyrlm.trace import PAID_KINDS

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console
    from rich.text import Text

    from pyrlm.events import TraceStep

__all__ = ["TerminalView"]

_SHOWN = {
    "route": "route",
    "escalation": "escalate",
    "root_call": "model",
    "direct_call": "model",
    "last_call": "model",
    "repl_exec": "code",
    "recursive_subcall": "agent",
    "sub_root_call": "model",
    "sub_repl_exec": "code",
    "guard": "guard",
    "correction": "correct",
    "retry": "retry",
    "limit": "limit",
    "stage": "stage",
    "repl_replaced": "repl",
    "compaction": "history",
}
"""Kinds that get a line of their own; sub-calls and cache hits are counted in the status line."""

_LINE = 100


class TerminalView:
    """An event listener for terminals, used as a context manager: ``with TerminalView() as view: …event_listener=view``.

    Args:
        console: A rich console; one on standard error by default, so that output can be piped.
        verbose: Whether steps get a line each; False shows the status line alone.
    """

    def __init__(self, console: Console | None = None, *, verbose: bool = True) -> None:
        from rich.console import Console as RichConsole  # noqa: PLC0415 - rich costs 100 ms and only views need it
        from rich.status import Status  # noqa: PLC0415

        self._console = console if console is not None else RichConsole(stderr=True, highlight=False)
        self._status = Status("", console=self._console)
        self._verbose = verbose
        self._usage = Usage()
        self._calls = 0
        self._hits = 0

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._status.stop()

    def __call__(self, step: TraceStep) -> None:
        """Show one event."""
        if step.kind in PAID_KINDS:
            self._calls += 1
            self._usage += step.usage or Usage()
        self._hits += step.kind == "cache_hit"
        if self._verbose and step.kind in _SHOWN:
            self._console.print(_line(step))
        self._status.update(self._summary())

    def _summary(self) -> Text:
        from rich.text import Text  # noqa: PLC0415

        hits = f", {self._hits} from the cache" if self._hits else ""
        return Text(f"{self._calls} model calls{hits}, {self._usage.total_tokens:,} tokens")


def _line(step: TraceStep) -> Text:
    from rich.text import Text  # noqa: PLC0415

    failed = step.error is not None
    text = Text("  " * step.depth)
    text.append(f"{_SHOWN[step.kind]:>8} ", style="red" if failed else "cyan")
    text.append(_what(step), style="red" if failed else "")
    text.append(f"  {step.elapsed:.1f} s" if step.elapsed >= 0.05 else "", style="dim")  # noqa: PLR2004
    text.truncate(_LINE * 2, overflow="ellipsis")
    return text


def _what(step: TraceStep) -> str:
    """Return the most telling words of a step, in one line."""
    words = (
        {
            "route": step.reason,
            "repl_exec": step.error or step.stdout or step.code,
            "recursive_subcall": step.error or step.prompt,
            "sub_repl_exec": step.error or step.stdout or step.code,
            "root_call": step.error or step.output,
            "sub_root_call": step.error or step.output,
            "direct_call": step.error or step.output,
            "last_call": step.error or step.output,
        }.get(step.kind)
        or step.reason
        or step.error
        or ""
    )
    line = " ".join("".join(char if char.isprintable() else " " for char in words[: 4 * _LINE]).split())
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"
