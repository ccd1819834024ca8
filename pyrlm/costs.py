"""What calls have cost, by model and by depth: worked out from a trace, added up over runs, printed as a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from pyrlm.adapters.base import Usage
from pyrlm.meters import PICO, to_pico
from pyrlm.trace import PAID_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyrlm.events import TraceStep

__all__ = ["Cost", "Costs"]

Key = TypeVar("Key")

_HEAD = ("calls", "input", "cached", "output", "cost")
_NO_MODEL = "(no name)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What some calls have cost, added with ``+``. Cache hits are no calls.

    Attributes:
        calls: Calls that were answered.
        failed: Calls that failed or were cancelled: of their tokens those of replies that broke off are known, and that
            a provider may bill more.
        usage: Tokens of all calls, as far as they are known.
        pico_usd: Money of the calls whose price is known, in whole millionths of a millionth of a US dollar, so that
            sums are exact.
        unpriced: Answered calls whose price is not known.
    """

    calls: int = 0
    failed: int = 0
    usage: Usage = field(default_factory=Usage)
    pico_usd: int = 0
    unpriced: int = 0

    @classmethod
    def of_step(cls, step: TraceStep) -> Cost:
        """Return what one call has cost."""
        if step.usage is None:
            return cls(failed=1)
        known, failed = step.cost_usd is not None, int(step.error is not None)
        return cls(
            calls=1 - failed,
            failed=failed,
            usage=step.usage,
            pico_usd=to_pico(step.cost_usd or 0.0),
            unpriced=0 if known else 1,
        )

    @property
    def cost_usd(self) -> float | None:
        """US dollars of all calls; None where the price of one is not known."""
        return None if self.unpriced else self.known_usd

    @property
    def known_usd(self) -> float:
        """US dollars of those calls whose price is known."""
        return self.pico_usd / PICO

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            calls=self.calls + other.calls,
            failed=self.failed + other.failed,
            usage=self.usage + other.usage,
            pico_usd=self.pico_usd + other.pico_usd,
            unpriced=self.unpriced + other.unpriced,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it in JSON types: numbers of tokens and calls, money in US dollars."""
        return {
            "calls": self.calls,
            "failed": self.failed,
            "input_tokens": self.usage.input_tokens,
            "output_tokens": self.usage.output_tokens,
            "cached_input_tokens": self.usage.cached_input_tokens,
            "written_input_tokens": self.usage.written_input_tokens,
            "estimated": self.usage.estimated,
            "cost_usd": self.cost_usd,
            "known_usd": self.known_usd,
            "unpriced": self.unpriced,
        }

    @property
    def shown(self) -> str:
        """The money for a person: ``$0.0012``, ``unknown``, or ``$0.0012 + 2 calls of unknown price``."""
        if not self.unpriced:
            return f"${self.known_usd:,.4f}"
        if self.unpriced == self.calls:
            return "unknown"
        return f"${self.known_usd:,.4f} + {self.unpriced:,} calls of unknown price"


@dataclass(frozen=True, slots=True)
class Costs:
    """What a run, or several, have cost by model and by depth. ``a + b`` adds two up; ``print(costs)`` shows a table.

    Each of both groupings holds every call once, so the sums of both are `total`.

    Attributes:
        by_model: One `Cost` a model, by the name of the model that answered, the dearest first.
        by_depth: One `Cost` a depth: 0 for the run itself and its sub-calls, 1 for its sub-agents, and so on.
    """

    by_model: Mapping[str, Cost] = field(default_factory=dict)
    by_depth: Mapping[int, Cost] = field(default_factory=dict)

    def __post_init__(self) -> None:
        models = sorted(self.by_model.items(), key=lambda item: (-item[1].pico_usd, -item[1].calls, item[0]))
        object.__setattr__(self, "by_model", MappingProxyType(dict(models)))
        object.__setattr__(self, "by_depth", MappingProxyType(dict(sorted(self.by_depth.items()))))

    @classmethod
    def of(cls, steps: Iterable[TraceStep]) -> Costs:
        """Add up the model calls of a `Trace`, or of some of its steps."""
        models: dict[str, Cost] = {}
        depths: dict[int, Cost] = {}
        for step in steps:
            if step.kind in PAID_KINDS:
                name, cost = step.model or _NO_MODEL, Cost.of_step(step)
                models[name] = models.get(name, Cost()) + cost
                depths[step.depth] = depths.get(step.depth, Cost()) + cost
        return cls(models, depths)

    @property
    def total(self) -> Cost:
        """All calls together."""
        return sum(self.by_model.values(), Cost())

    def __add__(self, other: Costs) -> Costs:
        return Costs(_merged(self.by_model, other.by_model), _merged(self.by_depth, other.by_depth))

    def __reduce__(self) -> tuple[type[Costs], tuple[dict[str, Cost], dict[int, Cost]]]:
        """Copy and pickle by the plain mappings."""
        return Costs, (dict(self.by_model), dict(self.by_depth))

    def as_dict(self) -> dict[str, Any]:
        """Return them in JSON types: ``{"total": {…}, "by_model": {name: {…}}, "by_depth": {"0": {…}}}``."""
        return {
            "total": self.total.as_dict(),
            "by_model": {name: cost.as_dict() for name, cost in self.by_model.items()},
            "by_depth": {str(depth): cost.as_dict() for depth, cost in self.by_depth.items()},
        }

    def __str__(self) -> str:
        rows = [("model", *_HEAD), *(_row(name, cost) for name, cost in self.by_model.items())]
        if len(self.by_depth) > 1:
            rows += [("depth", *_HEAD), *(_row(str(depth), cost) for depth, cost in self.by_depth.items())]
        if len(rows) != 2:  # noqa: PLR2004 - where there is one model at one depth, its row is the total
            rows.append(_row("total", self.total))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = (
            "  ".join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(cells))
            for cells in (tuple(zip(row, widths, strict=True)) for row in rows)
        )
        return "\n".join(line.rstrip() for line in lines)


def _merged(first: Mapping[Key, Cost], second: Mapping[Key, Cost]) -> dict[Key, Cost]:
    return {key: first.get(key, Cost()) + second.get(key, Cost()) for key in (*first, *second)}


def _row(name: str, cost: Cost) -> tuple[str, ...]:
    usage = cost.usage
    calls = f"{cost.calls:,}" + (f" (+{cost.failed:,} failed)" if cost.failed else "")
    return (
        name,
        calls,
        f"{usage.input_tokens:,}",
        f"{usage.cached_input_tokens:,}",
        f"{usage.output_tokens:,}",
        cost.shown,
    )
