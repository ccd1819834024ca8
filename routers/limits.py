"""What a text and a route are held against: the model's window and the caller's limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pyrlm.adapters.base import Usage
from pyrlm.routers.config import RouterConfig
from pyrlm.routers.prediction import predict
from pyrlm.routers.query_kinds import QueryKind
from pyrlm.routers.table import row_limit

if TYPE_CHECKING:
    from pyrlm.pricing import Window
    from pyrlm.routers.decision import Facts
    from pyrlm.routers.table import Sizes

__all__ = ["Drop", "Limit", "answer_reserve", "deciding_sizes", "dropped", "limits_of", "usable_tokens"]

_SOURCES = {
    "direct_tokens": ("S-NIAH, arXiv 2603.02615", "2026-03"),
    "literal_tokens": ("RULER, arXiv 2404.06654", "2024-04"),
    "semantic_tokens": ("NoLiMa, arXiv 2502.05167", "2025-02"),
    "aggregate_tokens": ("Recursive Language Models, arXiv 2512.24601", "2025-12"),
    "soft_tokens": ("RULER, arXiv 2404.06654", "2024-04"),
}
_FIELDS = {QueryKind.LITERAL: "literal_tokens", QueryKind.SEMANTIC: "semantic_tokens"} | dict.fromkeys(
    (QueryKind.AGGREGATE, QueryKind.CLASSIFY_EACH, QueryKind.MULTI_HOP), "aggregate_tokens"
)
_SHORTEST_REPLY = 64  # tokens; a call with less room for its reply is not worth its prompt
_LEAST_SELECTION = 1_000  # tokens; the smallest set of passages that a look-up is tried on
_REPLY_SHARE = 4  # the reserve for the answer takes at most a quarter of a small window


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A size that the decision looked at.

    Attributes:
        name: What it limits.
        amount: The size.
        unit: ``"tokens"`` or ``"characters"``.
        source: Where it is from.
        date: Date of the source (ISO 8601); empty where it has none.
    """

    name: str
    amount: int
    unit: str
    source: str
    date: str = ""

    def __str__(self) -> str:
        dated = f", {self.date}" if self.date else ""
        return f"{self.name} {self.amount:,} {self.unit} ({self.source}{dated})"


class Drop(NamedTuple):
    """Why a route is ruled out: the limit's name, and a sentence with the numbers."""

    limit: str
    reason: str


def answer_reserve(window_tokens: int, config: RouterConfig) -> int:
    """Return the tokens kept for the answer of one call, which is also its cap."""
    return max(1, min(config.answer_tokens, window_tokens // _REPLY_SHARE))


def usable_tokens(window: Window, query_tokens: int, config: RouterConfig) -> int:
    """Return the tokens of text that one prompt can hold beside the answer, the query and the frame."""
    room = window.room(answer_reserve(window.total_tokens, config))
    return max(0, room - config.overhead_tokens - query_tokens)


def deciding_sizes(kind: QueryKind, window: Window, query_tokens: int, config: RouterConfig) -> list[int]:
    """Return the sizes, in tokens, on whose side a text has to be for this kind of query."""
    return [config.direct_tokens, row_limit(kind, window.room(0), config), usable_tokens(window, query_tokens, config)]


def limits_of(facts: Facts, sizes: Sizes, config: RouterConfig) -> tuple[Limit, ...]:
    """List the sizes that the table compares the text with."""
    window = facts.window
    limits = [
        Limit(name="context window", amount=window.room(0), unit="tokens", source=window.source, date=window.date),
        Limit(
            name="usable for text",
            amount=sizes.usable,
            unit="tokens",
            source=f"window less {answer_reserve(window.total_tokens, config):,} for the answer, query and frame",
        ),
    ]
    if sizes.corpus:
        passages = (
            ("passages of one call", config.select_tokens),
            ("… of the wider search", config.retrieval_wide_tokens),
        )
        read = [Limit(name=name, amount=size, unit="tokens", source="RouterConfig") for name, size in passages]
        return (*limits, *read)
    limits += [
        _sourced("any query", config.direct_tokens, "direct_tokens", config),
        _sourced(
            f"{sizes.kind} query",
            row_limit(sizes.kind, sizes.window, config),
            _FIELDS.get(sizes.kind, "soft_tokens"),
            config,
        ),
    ]
    if config.baseline_threshold is not None:
        limits.insert(
            0, Limit(name="baseline_threshold", amount=config.baseline_threshold, unit="characters", source="caller")
        )
    return tuple(limits)


def _sourced(name: str, amount: int, field: str, config: RouterConfig) -> Limit:
    own = getattr(config, field) != RouterConfig.__dataclass_fields__[field].default
    source, date = ("caller", "") if own else _SOURCES[field]
    return Limit(name=name, amount=amount, unit="tokens", source=source, date=date)


def dropped(facts: Facts, config: RouterConfig) -> dict[str, Drop]:
    """Tell which routes the caller's limits rule out before anything is spent, each with what it would take."""
    frame = config.overhead_tokens + facts.query_tokens + _SHORTEST_REPLY
    loop = config.loop_floor_tokens + 2 * facts.query_tokens
    if facts.corpus or facts.tokens is None:
        passages = _LEAST_SELECTION + frame
        least = {"retrieval": passages, "retrieval_wide": passages, "rlm": loop}
    else:
        size = facts.tokens.high
        least = {"baseline": size + frame, "select": min(size, _LEAST_SELECTION) + frame, "rlm": loop}
    drops = {route: _over(route, tokens, facts, config) for route, tokens in least.items()}
    return {route: drop for route, drop in drops.items() if drop is not None}


def _over(route: str, tokens: int, facts: Facts, config: RouterConfig) -> Drop | None:
    limit = facts.policy.max_total_tokens
    if limit is not None and tokens > limit:
        reason = f"it would take at least {tokens:,} tokens, over max_total_tokens={limit:,}"
        return Drop("max_total_tokens", reason)
    budget = facts.policy.max_cost_usd
    if budget is None:
        return None
    if facts.price is not None:
        cached = min(facts.tokens.low, tokens) if config.prefix_cached and facts.tokens and route == "baseline" else 0
        prompt = tokens - _SHORTEST_REPLY
        usage = Usage(input_tokens=prompt, output_tokens=_SHORTEST_REPLY, cached_input_tokens=cached)
        cost = facts.price.cost(usage)
        if cost > budget:
            return Drop("max_cost_usd", f"it would cost at least ${cost:.4f}, over max_cost_usd={budget:g}")
    size = facts.tokens.best if facts.tokens else 0
    prediction = predict(route, size, config.records, config.min_recorded_runs)
    if prediction is not None and prediction.cost_p50 is not None and prediction.cost_p50 > budget:
        reason = f"it is predicted to cost ${prediction.cost_p50:.4f} (median), over max_cost_usd={budget:g}"
        return Drop("max_cost_usd", reason)
    return None
