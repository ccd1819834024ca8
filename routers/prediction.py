"""What a route will cost, as an interval learned from recorded runs; nothing where there are too few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyrlm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrlm.routers.result import RouterResult

__all__ = ["Prediction", "RecordedRun", "predict", "recorded"]

_SIZED = frozenset({"baseline"})
"""Routes whose cost grows with the text. `select` is bounded by its passages, and a loop's tail hides its slope (the
RLM paper, arXiv 2512.24601: the median run is cheap, the standard deviation twice the mean)."""

_LOW, _MIDDLE, _HIGH = 0.05, 0.5, 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """What one run of a route took.

    Attributes:
        route: The route.
        context_tokens: Size of the text, as it was estimated.
        tokens: Input and output tokens of all its calls.
        cost_usd: US dollars; None where the price was not known.

    Raises:
        ConfigurationError: A number is negative.
    """

    route: str
    context_tokens: int
    tokens: int
    cost_usd: float | None = None

    def __post_init__(self) -> None:
        for name in ("context_tokens", "tokens", "cost_usd"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ConfigurationError(f"RecordedRun({name}={value!r}): expected 0 or more.")

    @classmethod
    def of(cls, result: RouterResult) -> tuple[RecordedRun, ...]:
        """Return one record for each route that `result` went through with a model call."""
        size = result.decision.tokens.best if result.decision.tokens is not None else 0
        return tuple(
            cls(route=attempt.route, context_tokens=size, tokens=attempt.tokens, cost_usd=attempt.cost_usd)
            for attempt in result.attempts
            if attempt.tokens
        )


def recorded(runs: object) -> tuple[RecordedRun, ...]:
    """Return the records of `runs`, results among them.

    Raises:
        ConfigurationError: They are something else.
    """
    if not isinstance(runs, list | tuple):
        raise ConfigurationError(f"recorded_runs={type(runs).__name__}: expected a list of results or RecordedRuns.")
    found: list[RecordedRun] = []
    for run in runs:
        if isinstance(run, RecordedRun):
            found.append(run)
        elif hasattr(run, "attempts") and hasattr(run, "decision"):
            found += RecordedRun.of(run)
        else:
            raise ConfigurationError(
                f"recorded_runs holds a {type(run).__name__}: expected results of SmartRouter.run, or RecordedRuns "
                "(RecordedRun.of(result))."
            )
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Predicted use of a route.

    Attributes:
        tokens_p50: Median of tokens.
        tokens_p95: 95th percentile of tokens.
        cost_p50: Median of US dollars; None where the runs tell no cost.
        cost_p95: 95th percentile of US dollars.
        coverage: Share of the recorded runs that lie within the interval (5th to 95th percentile) that the others
            give; what can be expected of this one.
        runs: Number of recorded runs.
    """

    tokens_p50: int
    tokens_p95: int
    cost_p50: float | None
    cost_p95: float | None
    coverage: float
    runs: int

    def __str__(self) -> str:
        money = "" if self.cost_p50 is None else f", ${self.cost_p50:.4f} / ${self.cost_p95:.4f}"
        return (
            f"p50/p95 {self.tokens_p50:,} / {self.tokens_p95:,} tokens{money} "
            f"({self.coverage:.0%} of {self.runs} recorded runs within)"
        )


def predict(route: str, context_tokens: int, runs: Sequence[RecordedRun], min_runs: int) -> Prediction | None:
    """Predict what `route` takes on a text of `context_tokens`; None with fewer than `min_runs` runs of it."""
    own = [run for run in runs if run.route == route]
    if len(own) < max(min_runs, 2):
        return None
    scale = float(max(context_tokens, 1)) if route in _SIZED else 1.0
    bases = [float(max(run.context_tokens, 1)) if route in _SIZED else 1.0 for run in own]
    tokens = [run.tokens / base for run, base in zip(own, bases, strict=True)]
    costs = [run.cost_usd / base for run, base in zip(own, bases, strict=True) if run.cost_usd is not None]
    known = len(costs) == len(own)
    return Prediction(
        tokens_p50=round(scale * _quantile(tokens, _MIDDLE)),
        tokens_p95=round(scale * _quantile(tokens, _HIGH)),
        cost_p50=scale * _quantile(costs, _MIDDLE) if known else None,
        cost_p95=scale * _quantile(costs, _HIGH) if known else None,
        coverage=_coverage(costs if known else tokens),
        runs=len(own),
    )


def _quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile with linear interpolation between order statistics (Hyndman and Fan's type 7)."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _coverage(values: Sequence[float]) -> float:
    """Leave each value out once and see whether the others' interval holds it."""
    inside = 0
    for place, value in enumerate(values):
        others = [*values[:place], *values[place + 1 :]]
        inside += _quantile(others, _LOW) <= value <= _quantile(others, _HIGH)
    return inside / len(values)
