"""The protocol of a REPL backend: all that a run knows of the place where model-written code is executed.

A backend of one's own (Docker, E2B, Jupyter) is a class with these five coroutines; hand it to
``RLM(repl_backend=MyRepl)`` as a callable without arguments that returns a new one. Every callable name that code may
use stands in `Setup.functions` as an asynchronous host function; a backend that holds the text near the code may serve
the names of the Context API (`peek`, `ctx.find`, …) itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from pyrlm.context import Context

__all__ = [
    "Execution",
    "Extensible",
    "Final",
    "HostFunction",
    "Isolation",
    "Repl",
    "ReplFactory",
    "Setup",
    "Variable",
    "Watchable",
]

HostFunction = Callable[..., Awaitable[Any]]
"""A function that code calls and the host answers. What it raises is raised in the code under the same name."""

Isolation = Literal["best_effort", "strict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a REPL is started with.

    Attributes:
        context: The text, as `P` / `context` / `CONTEXT` and behind `ctx`; None for a run without a text.
        functions: Host functions by the name that code uses. A dotted name (``"ctx.find"``) is a method of that object.
        variables: Further variables, of the types that cross the wire.
        timeout: Seconds of the code's own wall time for each execution; waiting for the host does not count.
        max_output_chars: Characters of print-out that one execution hands back, by head and tail.
        memory_bytes: Limit on the worker's memory beyond what the text itself needs.
        max_host_calls: Calls to the host that one execution may make.
        random_seed: Seed of `random`, so that code can be run again with the same numbers; None for new ones each time.
        isolation: ``"strict"`` refuses to start with a layer missing, ``"best_effort"`` says what is missing.
    """

    context: Context | None = None
    functions: Mapping[str, HostFunction] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 10.0
    max_output_chars: int = 8_000
    memory_bytes: int = 1 << 30
    max_host_calls: int = 10_000
    random_seed: int | None = None
    isolation: Isolation = "best_effort"


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """A final answer that code gave by `FINAL(value, quotes=[…])` or `FINAL_VAR("name")`.

    Attributes:
        value: The answer, as the REPL held it.
        quotes: Passages that the answer rests on, as the code gave them.
        name: The variable's name, for `FINAL_VAR`.
    """

    value: Any
    quotes: tuple[str, ...] = ()
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What came of one piece of code.

    Attributes:
        stdout: Standard output and error in the order printed, then the last expression's value; cut to
            `Setup.max_output_chars` by head and tail with the full size said in between. The whole text is left in
            the REPL as ``last_output``.
        stdout_chars: Size before the cut, in characters.
        error: Short traceback with the line that failed; None where the code ran to its end.
        error_type: Name of the exception's class, such as ``"NameError"`` or ``"TimeoutError"``.
        final: The answer, where the code gave one. The first one counts and ends the code.
        elapsed: Seconds of the code's own wall time.
        waited: Seconds that the code waited for the host.
        host_calls: Calls made to the host.
    """

    stdout: str = ""
    stdout_chars: int = 0
    error: str | None = None
    error_type: str | None = None
    final: Final | None = None
    elapsed: float = 0.0
    waited: float = 0.0
    host_calls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable that code has made: its name, type and a short repr (made in the REPL, at most 200 characters)."""

    name: str
    type: str
    repr: str


class Repl(Protocol):
    """One REPL: variables persist from one `run` to the next, and `close` leaves nothing behind."""

    name: str
    """What the trace calls it, such as ``"exec"``."""
    language_notes: str
    """What the prompt says of this backend's Python, in a line or two; empty for all of CPython."""

    async def start(self, setup: Setup) -> None:
        """Start it. Raises `ReplUnavailableError` where that can't be done here."""
        ...

    async def run(self, code: str) -> Execution:
        """Run `code`. Code that fails or is stopped is a result; `ReplCrashedError` means that variables are lost."""
        ...

    async def variables(self) -> tuple[Variable, ...]:
        """List what code has defined, without the names that the REPL itself gave."""
        ...

    async def get(self, name: str) -> Any:
        """Return the value of a variable. Raises KeyError where there is none, `WireError` where it can't cross."""
        ...

    async def close(self) -> None:
        """End it and whatever it started. May be called more than once, and after a crash."""
        ...


class Extensible(Protocol):
    """What a `Repl` may have beside, for conversations in which contexts are added."""

    async def give(self, functions: Mapping[str, HostFunction], variables: Mapping[str, Any]) -> None:
        """Add host functions and variables, as if `Setup` had had them. Raises `ReplCrashedError`, `WireError`."""
        ...


class Watchable(Protocol):
    """What a `Repl` may have beside, so that calls which code makes side by side are known to have all been made."""

    def idle(self) -> bool:
        """Whether the code computes nothing at this moment: it waits for the host or for a time."""
        ...


ReplFactory = Callable[[], Repl]
