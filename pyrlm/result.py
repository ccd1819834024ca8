"""What a run gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pyrlm.adapters.base import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrlm.citations import Citation
    from pyrlm.costs import Costs
    from pyrlm.coverage import Coverage
    from pyrlm.repl.protocol import Variable
    from pyrlm.trace import Trace

__all__ = ["RunResult", "Status"]

Status = Literal["answered", "unanswered", "limit", "error"]
"""``answered``; ``unanswered`` (the text does not hold it, or nothing came of the run); ``limit`` (the best answer so
far, incomplete); ``error``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The outcome of `RLM.run`; unpacks as ``output, trace = rlm.run(...)``.

    Attributes:
        output: The answer as a string, see `pyrlm.value_text.as_text`, with a schema its JSON; empty where there is none.
        value: The answer as the REPL held it; the string itself for an answer given as text.
        status: How the run ended.
        trace: Every event of the run.
        usage: Tokens of all calls.
        cost_usd: US dollars; None where the price of a model that was used is not known.
        steps: Root calls made.
        subcalls: Sub-calls made, those included that were cancelled in flight; cache hits and failed calls are none.
        elapsed: Wall time in seconds.
        citations: Passages that the answer rests on, found verbatim in the text.
        quotes_missing: Quotes that were given and are not in the text.
        grounded: Whether the answer was seen in the text or in what code printed of it; None where not checked.
        limit: Name of the limit that ended the run, such as ``"max_steps"``; None where none did.
        limits_met: Names of all limits that were met, those too that the run went on after.
        variables: What code had defined at the end: name, type and short repr.
        reading: What models were shown of the text, for `coverage`.
    """

    output: str
    trace: Trace
    value: Any = None
    status: Status = "answered"
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    steps: int = 0
    subcalls: int = 0
    elapsed: float = 0.0
    citations: tuple[Citation, ...] = ()
    quotes_missing: tuple[str, ...] = ()
    grounded: bool | None = None
    limit: str | None = None
    limits_met: tuple[str, ...] = ()
    variables: tuple[Variable, ...] = ()
    reading: Coverage | None = field(default=None, repr=False, compare=False)

    @property
    def coverage(self) -> float | None:
        """Share of the text that a model has read, 0 to 1; None without a text, and for data, which is computed with.

        Worked out when it is first asked for, which takes half a second and more for 100 million characters: on an
        event loop, ask in a worker thread.
        """
        return None if self.reading is None else self.reading.share

    @property
    def costs(self) -> Costs:
        """What the run's calls have cost, by model and by depth."""
        from pyrlm.costs import Costs  # noqa: PLC0415 - only who asks for them needs them

        return Costs.of(self.trace)

    @property
    def incomplete(self) -> bool:
        """Whether a limit or an error ended the run before a final answer was accepted."""
        return self.status in {"limit", "error"}

    def __iter__(self) -> Iterator[Any]:
        yield self.output
        yield self.trace
