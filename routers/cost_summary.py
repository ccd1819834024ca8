"""What all runs of a router have cost, by model, by depth and by route, and what its cache has saved."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyrlm.costs import Cost, Costs
from pyrlm.trace import PAID_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyrlm.events import TraceStep

__all__ = ["CostSummary", "Ledger"]

_MOST_MODELS = 500
_OTHERS = "(others)"
_NO_MODEL = "(no name)"


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSummary:
    """What the runs of a router have cost since it was made; ``print`` shows a table.

    Calls that a resumed run takes from its file were paid when they were made, and count for that run alone.

    Attributes:
        runs: Runs that have ended, failed ones included.
        costs: Their calls by model and by depth: numbers, tokens in, out and cached by the provider, money.
        by_route: One `Cost` a route; the calls of a second route that checks an answer, and of the arbitration, are under
            ``"verification"``.
        cache_hits: Answers of calls that came from the router's cache.
        saved_tokens: Tokens that these were once paid for.
        saved_usd: US dollars of those whose price is known.
    """

    runs: int = 0
    costs: Costs = field(default_factory=Costs)
    by_route: Mapping[str, Cost] = field(default_factory=dict)
    cache_hits: int = 0
    saved_tokens: int = 0
    saved_usd: float = 0.0

    @property
    def total(self) -> Cost:
        """All calls together."""
        return self.costs.total

    @property
    def by_model(self) -> Mapping[str, Cost]:
        """One `Cost` a model, the dearest first."""
        return self.costs.by_model

    @property
    def by_depth(self) -> Mapping[int, Cost]:
        """One `Cost` a depth: 0 for the runs themselves, 1 for their sub-agents, and so on."""
        return self.costs.by_depth

    def as_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {
            "runs": self.runs,
            **self.costs.as_dict(),
            "by_route": {route: cost.as_dict() for route, cost in self.by_route.items()},
            "cache_hits": self.cache_hits,
            "saved_tokens": self.saved_tokens,
            "saved_usd": self.saved_usd,
        }

    def __str__(self) -> str:
        routes = ", ".join(f"{route} {cost.shown}" for route, cost in self.by_route.items())
        lines = [f"{self.runs:,} runs" + (f": {routes}" if routes else ""), str(self.costs)]
        if self.cache_hits:
            saved = f"{self.saved_tokens:,} tokens and ${self.saved_usd:,.4f} saved"
            lines.append(f"{self.cache_hits:,} from the cache: {saved}")
        return "\n".join(lines)


class Ledger:
    """Adds up what runs have cost. Any number of threads may use it; it keeps sums alone, for 500 models at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._costs: dict[tuple[str, str, int], Cost] = {}
        self._runs = self._hits = self._saved_tokens = 0
        self._saved_usd = 0.0

    def add(self, steps: Iterable[TraceStep]) -> None:
        """Enter a run by the steps of its trace."""
        route = ""
        with self._lock:
            self._runs += 1
            for step in steps:
                if step.kind == "route":
                    route = "verification" if "verifies" in step.data else str(step.data.get("route", route))
                elif step.data.get("replayed"):  # of a durable run that is gone on with: it was paid before
                    continue
                elif step.kind in PAID_KINDS:
                    key = self._key(route, step)
                    self._costs[key] = self._costs.get(key, Cost()) + Cost.of_step(step)
                elif step.kind == "cache_hit":
                    self._hits += 1
                    self._saved_tokens += step.data.get("saved_tokens", 0)
                    self._saved_usd += step.data.get("saved_usd", 0.0)

    def _key(self, route: str, step: TraceStep) -> tuple[str, str, int]:
        key = (route, step.model or _NO_MODEL, step.depth)
        return key if key in self._costs or len(self._costs) < _MOST_MODELS else (route, _OTHERS, step.depth)

    def summary(self) -> CostSummary:
        """Return the sums so far."""
        with self._lock:
            entries = list(self._costs.items())
            runs, hits, tokens, usd = self._runs, self._hits, self._saved_tokens, self._saved_usd
        models: dict[str, Cost] = {}
        depths: dict[int, Cost] = {}
        routes: dict[str, Cost] = {}
        for (route, model, depth), cost in entries:
            models[model] = models.get(model, Cost()) + cost
            depths[depth] = depths.get(depth, Cost()) + cost
            routes[route] = routes.get(route, Cost()) + cost
        return CostSummary(
            runs=runs,
            costs=Costs(models, depths),
            by_route=routes,
            cache_hits=hits,
            saved_tokens=tokens,
            saved_usd=usd,
        )
