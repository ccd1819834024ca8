"""How a decision explains itself: the routes it did not take, and what would have changed it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyrlm.routers.table import TOOLS_RULE, first_match, row_limit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrlm.routers.config import RouterConfig
    from pyrlm.routers.decision import RouteDecision
    from pyrlm.routers.table import Match, Sizes

__all__ = ["explain", "rejected_routes", "would_flip"]

_POSSIBLE = "another route can be taken inside the limits"


def rejected_routes(match: Match, sizes: Sizes, config: RouterConfig, gone: Mapping[str, str]) -> dict[str, str]:
    """Return each route that was not taken with the reason against it."""
    if sizes.corpus:
        return _rejected_over_index(match, config, gone)
    limit = row_limit(sizes.kind, sizes.window, config)
    if not sizes.fits:
        against_one_call = f"up to {sizes.high:,} tokens don't surely fit the {sizes.usable:,} of one prompt"
    elif sizes.high > limit:
        against_one_call = f"up to {sizes.high:,} tokens are above the {limit:,} for queries of this kind"
    else:
        against_one_call = f"rule {match.rule} comes first"
    reasons = {
        "baseline": against_one_call,
        "select": "found passages answer look-ups; this query needs more of the text than they hold",
        "deterministic": "no pattern and no marker was given" if not sizes.plan else f"rule {match.rule} comes first",
        "rlm": "a loop costs more calls than this text needs" if config.root_can_code else "the root model can't code",
        "refuse": _POSSIBLE,
    }
    found = "there is a text at hand; a loop has the searches too" if sizes.retriever else "no retriever was given"
    reasons |= {"retrieval": found, "retrieval_wide": found}
    if not sizes.chars:
        reasons |= dict.fromkeys(("baseline", "select", "deterministic"), "there is no text at hand")
    elif match.route == "baseline":
        reasons["select"] = "the whole text fits one call"
    elif match.rule in {6, 7}:
        reasons["select"] = "the text is beyond the window: a loop can search it more than once"
    return _with_order(reasons, match, gone)


def _rejected_over_index(match: Match, config: RouterConfig, gone: Mapping[str, str]) -> dict[str, str]:
    first = "a search and one call come first" if config.root_can_code else "the root model can't code"
    reasons = dict.fromkeys(("baseline", "select", "deterministic"), "there is no text at hand")
    reasons |= {"retrieval": "the profile that was named is a loop", "retrieval_wide": "a loop comes first"}
    reasons |= {"rlm": first, "refuse": _POSSIBLE}
    return _with_order(reasons, match, gone)


def _with_order(reasons: dict[str, str], match: Match, gone: Mapping[str, str]) -> dict[str, str]:
    """Put in what limits rule out and what comes next, and leave out the route that is taken."""
    reasons.update(gone)
    for place, route in enumerate(match.escalation, 1):
        if route not in gone:
            reasons[route] = f"next in order ({place}) if a signal of failure shows"
    reasons.pop(match.route, None)
    return reasons


def would_flip(match: Match, sizes: Sizes, config: RouterConfig, *, forced: bool, gone: str | None) -> str:
    """Name the nearest change of input that would have given another route; `gone` is why the table's was dropped."""
    if forced:
        natural = first_match(sizes, config)
        return f"without the forced route: {natural.route} (rule {natural.rule})"
    if match.rule == 3:  # noqa: PLR2004 - the row of the empty text
        return "any text"
    if gone is not None:
        return f"a higher limit (the table's route was dropped: {gone}): {first_match(sizes, config).route}"
    if match.rule == 4:  # noqa: PLR2004 - the row of the deterministic plan
        later = first_match(replace(sizes, plan=False), config)
        return f"without the pattern or marker: {later.route} (rule {later.rule})"
    by_rule = {0: _flip_threshold, 2: _flip_index, TOOLS_RULE: _flip_tools}
    return by_rule.get(match.rule, _flip_size)(match, sizes, config)


def _flip_index(match: Match, sizes: Sizes, config: RouterConfig) -> str:
    flipped = first_match(replace(sizes, staged=not sizes.staged), config)
    if flipped.route == match.route:
        return "a text (context=…): its size and the query's kind decide"
    return f"{'no' if sizes.staged else 'a'} named profile with stages: {flipped.route} (rule {flipped.rule})"


def _flip_tools(_: Match, sizes: Sizes, config: RouterConfig) -> str:
    if not (sizes.chars or sizes.retriever):
        return "a text (context=…) and no tools: its size and the query's kind decide"
    later = first_match(replace(sizes, tools=False), config)
    return f"without tools and MCP servers: {later.route} (rule {later.rule})"


def _flip_threshold(match: Match, sizes: Sizes, config: RouterConfig) -> str:
    threshold = config.baseline_threshold or 0
    target = threshold + 1 if sizes.chars <= threshold else threshold
    other = first_match(replace(sizes, chars=target), config)
    if other.route == match.route:
        return _no_size(sizes)
    return f"{target:,} characters instead of {sizes.chars:,}: {other.route}"


def _no_size(sizes: Sizes) -> str:
    return f"no size of text; only another kind of query than {sizes.kind}"


def _flip_size(_: Match, sizes: Sizes, config: RouterConfig) -> str:
    """Try the sizes on both sides of each limit and take the nearest that changes the route."""
    now = first_match(sizes, config).route
    edges = {config.direct_tokens, row_limit(sizes.kind, sizes.window, config), sizes.usable}
    candidates = sorted({size for edge in edges for size in (edge, edge + 1)}, key=lambda size: abs(size - sizes.high))
    spread = sizes.low / sizes.high if sizes.high else 1.0
    for size in candidates:
        other = first_match(replace(sizes, low=int(size * spread), high=size), config)
        if other.route != now and size > 0:
            return f"an upper estimate of {size:,} tokens instead of {sizes.high:,}: {other.route} (rule {other.rule})"
    return _no_size(sizes)


def explain(decision: RouteDecision) -> str:
    """Write the whole decision as one paragraph."""
    tokens = decision.tokens
    opening = (
        f"Route {decision.route} (rule {decision.rule}) for a query of kind {decision.kind}, "
        f"profile {decision.profile}: {'; '.join(decision.reasons)}."
    )
    parts = [opening]
    if tokens is not None:
        parts.append(f"The text has {tokens.low:,} to {tokens.high:,} tokens ({tokens.method}).")
    parts.append(f"Limits: {'; '.join(map(str, decision.limits))}.")
    if decision.predicted:
        shown = "; ".join(f"{route} {prediction}" for route, prediction in decision.predicted.items())
        parts.append(f"Predicted: {shown}.")
    if decision.escalation:
        parts.append(f"If a signal of failure shows: {', then '.join(decision.escalation)}.")
    if decision.verify:
        parts.append("One independent second route checks the answer.")
    others = [f"{route} ({reason})" for route, reason in decision.rejected.items() if route not in decision.escalation]
    parts.append(f"Not taken: {'; '.join(others)}.")
    parts.append(f"Would decide otherwise: {decision.would_flip}. Configuration {decision.fingerprint}.")
    return " ".join(parts)
