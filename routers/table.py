"""The decision table: which route a query takes, first match wins. Pure arithmetic over sizes and kinds.

| rule | condition | route | after a failure signal |
|---|---|---|---|
| 1 | forced by the caller | that | nothing, unless allowed |
| 2 | no text, a retriever, and a named profile with stages | rlm | retrieval_wide, refuse |
| 2 | no text, a retriever: all else | retrieval | retrieval_wide (not where every entry counts), rlm, refuse |
| 3 | no context: an error that says what to pass; an empty text | refuse | nothing |
| 4 | a pattern or marker was given, the profile allows it | deterministic | row 0 or 5 on |
| 0 | `baseline_threshold` was given | at most so many characters: baseline; more: never | select for look-ups, rlm |
| 5 | upper estimate up to 4K tokens | baseline | rlm |
| 6 | lower estimate above the usable window | rlm; root not able to code: select | refuse |
| 7 | the estimate straddles the limit | as 6 | refuse |
| 12 | the caller named a profile with stages of its own | rlm in that profile | baseline if it fits |
| 8 | look-up within its limit | baseline | select, rlm |
| 9 | look-up above it | select | rlm |
| 10 | aggregate, classify each, multi-hop above 16K | rlm | baseline if it fits |
| 11 | all else: fits the soft window | baseline, else rlm | the other of the two |
| 13 | tools were given, and the row above has no loop first (4 goes before) | rlm | the routes of that row |
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pyrlm.routers.query_kinds import QueryKind

if TYPE_CHECKING:
    from pyrlm.routers.config import RouterConfig

__all__ = ["EVERY_ENTRY", "TOOLS_RULE", "Match", "Sizes", "first_match", "row_limit"]

TOOLS_RULE: Final = 13
_NO_TEXT_RULE: Final = 3
_LOOKUPS = frozenset({QueryKind.LITERAL, QueryKind.SEMANTIC})
EVERY_ENTRY = frozenset({QueryKind.AGGREGATE, QueryKind.CLASSIFY_EACH})
_WHOLE = EVERY_ENTRY | {QueryKind.MULTI_HOP}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What the table looks at.

    Attributes:
        kind: Kind of the query.
        low: Lower estimate of the text's tokens.
        high: Upper estimate.
        chars: Characters of the text.
        usable: Tokens of text that one prompt can hold beside everything else.
        window: Tokens that the model takes in, for the limits that are shares of it.
        staged: Whether the caller named a profile that has stages of its own.
        plan: Whether a pattern or a marker was given and the profile allows it.
        retriever: Whether there is an index to search.
        vectors: Whether it can be searched by meaning.
        tools: Whether there are tools or MCP servers, which only a loop can call.
    """

    kind: QueryKind
    low: int
    high: int
    chars: int
    usable: int
    window: int
    staged: bool = False
    plan: bool = False
    retriever: bool = False
    vectors: bool = False
    tools: bool = False

    @property
    def corpus(self) -> bool:
        """Whether the index is all that there is."""
        return self.retriever and not self.chars

    @property
    def fits(self) -> bool:
        """Whether one prompt can hold the text for sure."""
        return self.high <= self.usable


def row_limit(kind: QueryKind, window: int, config: RouterConfig) -> int:
    """Return the tokens up to which this kind of query is one call on a model with this window."""
    if kind is QueryKind.LITERAL:
        return min(int(config.literal_window_share * window), config.literal_tokens)
    if kind is QueryKind.SEMANTIC:
        return config.semantic_tokens
    if kind in _WHOLE:
        return config.aggregate_tokens
    return min(int(config.soft_window_share * window), config.soft_tokens)


@dataclass(frozen=True, slots=True)
class Match:
    """A row of the table that applies: its number, the route, what follows on a failure, and why in numbers."""

    rule: int
    route: str
    escalation: tuple[str, ...] = ()
    reasons: tuple[str, ...] = field(default=())


def first_match(sizes: Sizes, config: RouterConfig) -> Match:
    """Return the first row that applies to a text that is there; forced routes are the caller's business."""
    if sizes.plan and sizes.chars:
        later = first_match(replace(sizes, plan=False), config)
        why = "a pattern or marker was given: it needs no model"
        return Match(4, "deterministic", (later.route, *later.escalation), (why, *later.reasons))
    if sizes.corpus:
        match = _by_corpus(sizes, config)
    elif not sizes.chars:
        match = Match(_NO_TEXT_RULE, "refuse", (), ("the text is empty",))
    else:
        match = _by_threshold(sizes, config) or _by_size(sizes, config) or _by_kind(sizes, config)
        match = match if config.root_can_code else _without_loop(match)
    return _with_tools(match) if sizes.tools and config.root_can_code else match


def _with_tools(match: Match) -> Match:
    """Put a loop before calls that can use no tools."""
    if match.route == "rlm":
        return match
    later = tuple(route for route in (match.route, *match.escalation) if route != "rlm")
    reasons = () if match.rule == _NO_TEXT_RULE else match.reasons
    return Match(TOOLS_RULE, "rlm", later, ("only code can call tools and MCP servers", *reasons))


def _by_corpus(sizes: Sizes, config: RouterConfig) -> Match:
    ways = "words and meaning" if sizes.vectors else "words alone (it has no vectors)"
    why = f"there is no text at hand; an index is searched by {ways}"
    loop = config.root_can_code
    if loop and sizes.staged:
        return Match(2, "rlm", ("retrieval_wide", "refuse"), (why, "the caller named a profile"))
    if loop and sizes.kind in EVERY_ENTRY:
        more = f"more passages would hardly answer a query of kind {sizes.kind} where the best don't"
        return Match(2, "retrieval", ("rlm", "refuse"), (why, more))
    return Match(2, "retrieval", ("retrieval_wide", *(("rlm",) if loop else ()), "refuse"), (why,))


def _by_threshold(sizes: Sizes, config: RouterConfig) -> Match | None:
    threshold = config.baseline_threshold
    if threshold is None:
        return None
    lookup = sizes.kind in _LOOKUPS
    if sizes.chars <= threshold:
        why = f"{sizes.chars:,} characters are within baseline_threshold={threshold:,}"
        return Match(0, "baseline", ("select", "rlm") if lookup else ("rlm",), (why,))
    why = f"{sizes.chars:,} characters are above baseline_threshold={threshold:,}"
    if lookup and not sizes.staged:
        return Match(0, "select", ("rlm",), (why, "a look-up is found by search"))
    return Match(0, "rlm", (), (why,))


def _by_size(sizes: Sizes, config: RouterConfig) -> Match | None:
    if sizes.high <= config.direct_tokens and sizes.fits:
        why = f"at most {sizes.high:,} tokens, within the {config.direct_tokens:,} that one call answers best"
        return Match(5, "baseline", ("rlm",), (why,))
    if sizes.low > sizes.usable:
        why = f"at least {sizes.low:,} tokens, above the {sizes.usable:,} that one prompt can hold"
        return Match(6, "rlm", ("refuse",), (why,))
    if not sizes.fits:
        why = f"{sizes.low:,} to {sizes.high:,} tokens straddle the {sizes.usable:,} that one prompt can hold"
        return Match(7, "rlm", ("refuse",), (why,))
    return None


def _by_kind(sizes: Sizes, config: RouterConfig) -> Match:
    limit = row_limit(sizes.kind, sizes.window, config)
    within = sizes.high <= limit
    size = f"at most {sizes.high:,} tokens, {'within' if within else 'above'} the {limit:,} for queries of this kind"
    if sizes.staged:
        return Match(12, "rlm", ("baseline",), (f"the caller named a profile; at most {sizes.high:,} tokens",))
    if sizes.kind in _LOOKUPS:
        return Match(8, "baseline", ("select", "rlm"), (size,)) if within else Match(9, "select", ("rlm",), (size,))
    if sizes.kind in _WHOLE and not within:
        return Match(10, "rlm", ("baseline",), (size,))
    return Match(11, "baseline", ("rlm",), (size,)) if within else Match(11, "rlm", ("baseline",), (size,))


def _without_loop(match: Match) -> Match:
    """Put `select` where a loop would stand: the root model can't write the code."""
    order = dict.fromkeys("select" if route == "rlm" else route for route in (match.route, *match.escalation))
    routes = tuple(order)
    why = (*match.reasons, "the root model can't code (root_can_code=False): select stands in for rlm")
    return Match(
        match.rule, routes[0], routes[1:], why if routes != (match.route, *match.escalation) else match.reasons
    )
