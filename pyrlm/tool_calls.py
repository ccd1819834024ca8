"""What tools and tool servers share: one call of the application's code, bounded in number, timed, and noted in the trace."""

from __future__ import annotations

import asyncio
import contextvars
import reprlib
import time
from typing import TYPE_CHECKING, Any

from pyrlm.effects import NO_RECORD, is_recorded
from pyrlm.foreign import contained
from pyrlm.redact import redact
from pyrlm.repl.common import cut_middle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pyrlm.effects import Effects
    from pyrlm.trace import Recorder

__all__ = ["ToolCalls", "brief", "failed"]

_BRIEF = 300
_MAX_REASON = 500


def failed(error: Exception) -> str:
    """Return what stands in the place of an item of `tool_batch` that gave no result."""
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"[tool failed: {cut_middle(redact(reason), _MAX_REASON)}]"


class ToolCalls:
    """Makes the calls of one run.

    Args:
        recorder: Gets every call.
        at_once: Calls under way at once.
        effects: Makes the calls; those of a durable run that are known are not made again.

    Attributes:
        parent: Step of the trace that calls belong to.
    """

    def __init__(self, recorder: Recorder, at_once: int, effects: Effects = NO_RECORD) -> None:
        self.parent: int | None = None
        self._effects = effects
        self.recorder = recorder
        self._context = contextvars.copy_context()  # code's calls arrive in that of the worker's pipe
        self._slots = asyncio.Semaphore(at_once)

    def begin_run(self, recorder: Recorder) -> None:
        """Note calls from now on in the trace of this run, and make them in the context of whoever began it."""
        self.recorder, self.parent = recorder, None
        self._context = contextvars.copy_context()

    async def make(self, tool: str, arguments: Mapping[str, Any], work: Callable[[], Awaitable[Any]]) -> Any:
        """Do `work` when there is room, in the context of whoever began the run, and note it."""
        async with self._slots:
            started = time.perf_counter()
            error: str | None = "stopped with the code that called it"
            value, again = None, False

            async def made() -> Any:
                return await asyncio.create_task(contained(tool, work()), context=self._context.copy())

            try:
                value, again = await self._effects.once("tool", [tool, dict(arguments)], made)
                error = None
            except Exception as problem:
                again = is_recorded(problem)
                error = f"{type(problem).__name__}: {problem}"
                raise
            finally:
                self.recorder.record(
                    "tool_call",
                    parent=self.parent,
                    elapsed=time.perf_counter() - started,
                    output=brief(value) if error is None else None,
                    error=error,
                    data={"tool": tool, "arguments": {name: brief(value) for name, value in arguments.items()}}
                    | ({"replayed": True} if again else {}),
                )
        return value


class _Brief(reprlib.Repr):
    """A short repr without secrets: they are taken out before anything is cut."""

    def repr_str(self, x: str, level: int) -> str:
        del level
        text = redact(x[: 10 * _BRIEF])
        return (
            repr(text) if len(text) <= self.maxstring else repr(text[: self.maxstring]) + f"… ({len(x):,} characters)"
        )

    def repr_bytes(self, x: bytes, level: int) -> str:
        del level
        return f"<{len(x):,} bytes>"


_short = _Brief()
_short.maxstring = _short.maxother = _BRIEF
_short.maxlist = _short.maxtuple = _short.maxset = _short.maxfrozenset = _short.maxdict = 10
_short.maxlevel = 3


def brief(value: Any) -> str:
    """Return a short repr, for people and for the trace."""
    try:
        return cut_middle(redact(_short.repr(value)), 4 * _BRIEF)
    except Exception:  # noqa: BLE001 - a repr of the application's own may fail
        return f"<{type(value).__name__}>"
