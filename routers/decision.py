"""The decision: a pure function from facts to a `RouteDecision` that explains itself. No model call, no waiting."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyrlm.errors import ConfigurationError
from pyrlm.pricing import Window
from pyrlm.routers.limits import Limit, dropped, limits_of, usable_tokens
from pyrlm.routers.prediction import Prediction, predict
from pyrlm.routers.profiles import ExecutionProfile, profile_for
from pyrlm.routers.table import Match, Sizes, first_match
from pyrlm.routers.why import explain, rejected_routes, would_flip

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrlm.policy import Policy
    from pyrlm.pricing import Price
    from pyrlm.routers.config import RouterConfig
    from pyrlm.routers.query_kinds import QueryKind
    from pyrlm.tokens import TokenEstimate

__all__ = ["ROUTES", "Facts", "RouteDecision", "decide"]

ROUTES = ("baseline", "select", "deterministic", "rlm", "refuse", "retrieval", "retrieval_wide")
"""Every route: one call with everything, one call on found passages, no call, a loop, none; one call on passages of an
index, and on more of them."""

_OF_A_TEXT = frozenset({"baseline", "select", "deterministic"})
_OF_AN_INDEX = frozenset({"retrieval", "retrieval_wide"})
_NO_SEARCH = "the context is data, in which passages can't be searched for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that a decision is made from.

    Attributes:
        kind: Kind of the query.
        tokens: Estimate of the text's tokens; None where there is no text.
        chars: Characters of the text.
        query_tokens: Tokens of the query.
        window: What the root model takes in.
        price: Price of the root model; None where it is not known.
        policy: Limits of the run.
        profile: Profile that the caller named; None: by the kind of the query.
        route: Route that the caller forces.
        plan: Whether a pattern or a marker was given.
        data: Whether the context is data, of which the text is the JSON.
        retriever: Whether there is an index to search.
        vectors: Whether it can be searched by meaning.
        tools: Whether there are tools or MCP servers, which only a loop can call.
    """

    kind: QueryKind
    tokens: TokenEstimate | None
    chars: int
    query_tokens: int
    window: Window
    price: Price | None
    policy: Policy
    profile: ExecutionProfile | None = None
    route: str | None = None
    plan: bool = False
    data: bool = False
    retriever: bool = False
    vectors: bool = False
    tools: bool = False

    @property
    def corpus(self) -> bool:
        """Whether the index is all that there is."""
        return self.retriever and not self.chars


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDecision:
    """Which route a query takes, and why.

    Attributes:
        route: One of `ROUTES`.
        rule: Row of the decision table (`pyrlm.routers.table`), 0 to 13.
        kind: Kind of the query.
        profile: Profile in which a loop would run.
        reasons: Why, with the numbers that decided.
        tokens: Estimate of the text's tokens, with the method that gave it; None without a text.
        limits: Sizes that the text was held against, each with source and date.
        predicted: Predicted use for each route that enough recorded runs are known of; empty without any.
        rejected: Each other route with the reason against it.
        would_flip: The nearest change of input that would decide otherwise.
        escalation: Routes that follow, in this order, where this one's answer shows a failure signal.
        fingerprint: Twelve characters that stand for the whole `RouterConfig`.
        limit: Name of the policy's limit for which the route is ``refuse``; None otherwise.
    """

    route: str
    rule: int
    kind: QueryKind
    profile: ExecutionProfile
    reasons: tuple[str, ...]
    tokens: TokenEstimate | None
    limits: tuple[Limit, ...]
    predicted: Mapping[str, Prediction]
    rejected: Mapping[str, str]
    would_flip: str
    escalation: tuple[str, ...]
    fingerprint: str
    limit: str | None = None

    @property
    def verify(self) -> bool:
        """Whether an independent second route checks the answer."""
        return self.profile is ExecutionProfile.VERIFY

    def as_dict(self) -> dict[str, Any]:
        """Return the decision in JSON types."""
        return {
            "route": self.route,
            "rule": self.rule,
            "kind": str(self.kind),
            "profile": str(self.profile),
            "reasons": list(self.reasons),
            "tokens": _flat(self.tokens) if self.tokens is not None else None,
            "limits": [_flat(limit) for limit in self.limits],
            "predicted": {route: _flat(prediction) for route, prediction in self.predicted.items()},
            "rejected": dict(self.rejected),
            "would_flip": self.would_flip,
            "escalation": list(self.escalation),
            "fingerprint": self.fingerprint,
            "limit": self.limit,
        }

    def explain(self) -> str:
        """Return the whole decision as one paragraph."""
        return explain(self)

    def __str__(self) -> str:
        return self.explain()


def _flat(record: TokenEstimate | Limit | Prediction) -> dict[str, Any]:
    """Return a record of numbers and strings in JSON types, at a tenth of what `asdict` takes."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def decide(facts: Facts, config: RouterConfig) -> RouteDecision:
    """Decide which route `facts` take under `config`; the same input always gives the same decision.

    Raises:
        ConfigurationError: There is neither text nor retriever, or a route was forced that does not exist or can't run.
    """
    facts = _with_config(facts, config)
    _check_material(facts, config)
    sizes = _sizes(facts, config)
    natural = first_match(sizes, config)
    drops = dropped(facts, config)
    gone = {route: drop.reason for route, drop in drops.items()} | ({"select": _NO_SEARCH} if facts.data else {})
    match = _forced(facts, natural, config) if facts.route is not None else _affordable(natural, gone)
    predicted = _predictions(facts, config)
    return RouteDecision(
        route=match.route,
        rule=match.rule,
        kind=facts.kind,
        profile=facts.profile or profile_for(facts.kind),
        reasons=match.reasons,
        tokens=facts.tokens,
        limits=limits_of(facts, sizes, config),
        predicted=predicted,
        rejected=rejected_routes(match, sizes, config, gone),
        would_flip=would_flip(
            match,
            sizes,
            config,
            forced=facts.route is not None,
            gone=drops[natural.route].reason if natural.route in drops else None,
        ),
        escalation=match.escalation,
        fingerprint=config.fingerprint(),
        limit=drops[natural.route].limit if match.route == "refuse" and natural.route in drops else None,
    )


def _check_material(facts: Facts, config: RouterConfig) -> None:
    tools = facts.tools and config.root_can_code
    if facts.tokens is None and not (facts.retriever or tools):
        raise ConfigurationError(
            "SmartRouter: there is no text to answer from. Pass context=… (a Context, a string or a list of strings), or "
            "give the router an index: SmartRouter(adapter, retriever=…)."
        )
    if not facts.chars and facts.tokens is None and facts.plan:
        raise ConfigurationError("SmartRouter: pattern=… and marker=… look in a text: pass context=….")


def _with_config(facts: Facts, config: RouterConfig) -> Facts:
    """Put the caller's own numbers in the place of what is known of the model."""
    window = facts.window if config.context_window is None else Window(total_tokens=config.context_window)
    tokens = facts.tokens
    if tokens is not None and config.calibration != 1.0:
        ratio = config.calibration
        tokens = replace(
            tokens,
            low=int(tokens.low * ratio),
            best=round(tokens.best * ratio),
            high=int(tokens.high * ratio) + 1,
        )
    return replace(facts, window=window, tokens=tokens, price=config.price or facts.price)


def _sizes(facts: Facts, config: RouterConfig) -> Sizes:
    tokens = facts.tokens
    named = facts.profile
    return Sizes(
        kind=facts.kind,
        low=tokens.low if tokens is not None else 0,
        high=tokens.high if tokens is not None else 0,
        chars=facts.chars,
        usable=usable_tokens(facts.window, facts.query_tokens, config),
        window=facts.window.room(0),
        staged=named is not None and named is not ExecutionProfile.VERIFY,
        plan=facts.plan and named is not ExecutionProfile.SEMANTIC_BATCHES,
        retriever=facts.retriever,
        vectors=facts.vectors,
        tools=facts.tools,
    )


def _forced(facts: Facts, natural: Match, config: RouterConfig) -> Match:
    route = facts.route
    if route not in ROUTES:
        raise ConfigurationError(f"SmartRouter: route={route!r} does not exist; expected one of {', '.join(ROUTES)}.")
    if route == "deterministic" and not facts.plan:
        raise ConfigurationError(
            "SmartRouter: route='deterministic' needs pattern=… (a regular expression) or marker=…."
        )
    if facts.data and route in {"select", "deterministic"}:
        raise ConfigurationError(f"SmartRouter: route={route!r}: {_NO_SEARCH}; take 'baseline' or 'rlm'.")
    if (facts.corpus or facts.tokens is None) and route in _OF_A_TEXT:
        raise ConfigurationError(f"SmartRouter: route={route!r} needs a text: pass context=….")
    if route in _OF_AN_INDEX and not facts.retriever:
        raise ConfigurationError(f"SmartRouter: route={route!r} needs an index: SmartRouter(adapter, retriever=…).")
    others = (natural.route, *natural.escalation) if config.escalate_forced else ()
    later = tuple(dict.fromkeys(other for other in others if other != route))
    return Match(1, route, later, ("forced by the caller",))


def _affordable(match: Match, gone: Mapping[str, str]) -> Match:
    """Take the first route that the caller's limits allow; refuse where none is left, saying what it would take."""
    order = [route for route in (match.route, *match.escalation) if route not in gone]
    if any(route != "refuse" for route in order) or match.route == "refuse":
        more = tuple(f"{route}: {gone[route]}" for route in (match.route,) if route in gone)
        return replace(match, route=order[0], escalation=tuple(order[1:]), reasons=(*match.reasons, *more))
    said = [f"{route}: {reason}" for route, reason in sorted(gone.items(), key=lambda item: item[0] != match.route)]
    ways = ("retrieval", "rlm") if match.rule == 2 else ("select", "rlm")  # noqa: PLR2004 - the row of the index
    fallback = [route for route in ways if route not in gone and route != match.route]
    if fallback:
        return replace(match, route=fallback[0], escalation=("refuse",), reasons=(*match.reasons, said[0]))
    return replace(match, route="refuse", escalation=(), reasons=(*match.reasons, *said))


def _predictions(facts: Facts, config: RouterConfig) -> dict[str, Prediction]:
    size = facts.tokens.best if facts.tokens is not None else 0
    found = {route: predict(route, size, config.records, config.min_recorded_runs) for route in ROUTES}
    return {route: prediction for route, prediction in found.items() if prediction is not None}
