"""One question as it was asked: arguments checked, and the facts that a decision is made from."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypedDict
from weakref import WeakKeyDictionary

from pyrlm.context import Context
from pyrlm.data import DataContext, query_text
from pyrlm.errors import ConfigurationError
from pyrlm.policy import check_policy
from pyrlm.retrievers.protocol import has_vectors
from pyrlm.rlm import RLM
from pyrlm.rlm_options import check_watching
from pyrlm.routers.config import RouterConfig
from pyrlm.routers.decision import Facts
from pyrlm.routers.deterministic import Plan
from pyrlm.routers.limits import deciding_sizes
from pyrlm.routers.profiles import ExecutionProfile
from pyrlm.routers.query_kinds import QueryKind, classify_query

if TYPE_CHECKING:
    import re
    from collections.abc import Hashable, Iterable
    from enum import StrEnum
    from os import PathLike

    from pyrlm.checkpoint import Checkpoint
    from pyrlm.models import Model
    from pyrlm.policy import Policy
    from pyrlm.tokens import TokenEstimate

__all__ = [
    "DecideOptions",
    "Request",
    "RunOptions",
    "check_kinds",
    "check_names",
    "check_options",
    "make_request",
    "profile_named",
]


class DecideOptions(TypedDict, total=False):
    """What may be said of a question before it is answered; each may be left out.

    Attributes:
        profile: Profile of this run; None: the router's own, else by the kind of the query.
        route: Take this route, whatever the table says.
        kind: Kind of the query, where the caller knows better than the rules.
        pattern: Regular expression whose matches (first group, where it has one) are the answer.
        marker: Text after which the answer stands, up to the end of its line.
    """

    profile: ExecutionProfile | str | None
    route: str | None
    kind: QueryKind | str | None
    pattern: str | re.Pattern[str] | None
    marker: str | None


class RunOptions(DecideOptions, total=False):
    """What may be said of one run; each may be left out.

    Attributes:
        escalate: Whether other routes may follow one whose answer shows a signal of failure; True by default.
        output_schema: What the answer has to be, see `RLM`; in the place of the router's option of this name.
        checkpoint: File to which every outcome goes at once, so that `SmartRouter.resume` can go on after a crash.
    """

    escalate: bool
    output_schema: Any
    checkpoint: str | PathLike[str] | Checkpoint | None


_estimated: WeakKeyDictionary[Context, dict[Hashable, TokenEstimate]] = WeakKeyDictionary()
"""What is known of the tokens of contexts that are in use: a context does not change, and may be asked about often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A question and what the caller wants of it; see `SmartRouter.run`."""

    query: str
    asked: Any
    context: Context | None
    kind: QueryKind
    profile: ExecutionProfile | None
    route: str | None
    plan: Plan | None

    def facts(self, root: Model, config: RouterConfig, policy: Policy, rlm: RLM) -> Facts:
        """Return all that a decision is made from; the text's tokens are estimated, in milliseconds for any size.

        Of the retriever of `rlm` no more is asked than whether it has vectors.
        """
        retriever = rlm.retriever
        context, query_tokens = self.context, root.counter.count(self.query)
        tokens = None
        if context is not None:
            sizes = deciding_sizes(self.kind, root.window, query_tokens, config)
            known = _estimated.setdefault(context, {})
            tokens = root.counter.estimate(context.texts, context.separator, sizes, known=known)
        return Facts(
            kind=self.kind,
            tokens=tokens,
            chars=context.len_chars() if context is not None else 0,
            query_tokens=query_tokens,
            window=root.window,
            price=root.price,
            policy=policy,
            profile=self.profile,
            route=self.route,
            plan=self.plan is not None,
            data=isinstance(context, DataContext),
            retriever=retriever is not None,
            vectors=retriever is not None and has_vectors(retriever),
            tools=bool(rlm.tools or rlm.mcp_servers),
        )


def check_names(given: Iterable[str], options: type[DecideOptions]) -> None:
    """Check the names of the options of a run.

    Raises:
        TypeError: One of them does not exist; as Python itself says of a keyword that a function doesn't take.
    """
    known = options.__annotations__
    for name in given:
        if name not in known:
            raise TypeError(f"SmartRouter: unexpected keyword argument {name!r}; expected some of {', '.join(known)}.")


def check_options(options: dict[str, Any], on_limit: str) -> None:
    """Check the names of a router's further options.

    Raises:
        ConfigurationError: One of them does not exist.
    """
    known = {field.name for field in fields(RLM)} - {"adapter"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ConfigurationError(
            f"SmartRouter has no option {', '.join(unknown)}; expected some of {', '.join(sorted(known))}."
        )
    if on_limit not in ("raise", "return"):  # a set would need a hash
        raise ConfigurationError(f"SmartRouter(on_limit={on_limit!r}): expected 'raise' or 'return'.")


def check_kinds(config: object, policy: object, listener: object, path: object) -> None:
    """Check options of a router that take objects.

    Raises:
        ConfigurationError: One of them is of another kind.
    """
    if config is not None and not isinstance(config, RouterConfig):
        raise ConfigurationError(
            f"SmartRouter(config={config!r:.100}): expected a RouterConfig, such as RouterConfig(direct_tokens=8_000), "
            f"not {type(config).__name__}."
        )
    check_policy(policy, "policy")
    check_watching(listener, path)


def make_request(query: Any, context: Any, how: DecideOptions, profile: ExecutionProfile | None) -> Request:
    """Check the arguments of a run.

    Args:
        query: The question.
        context: Text or data.
        how: What the caller said of the run.
        profile: Profile of a run that names none.

    Raises:
        ConfigurationError: One of them can't be used; says what was given and what is expected.
    """
    if not query:
        raise ConfigurationError("SmartRouter: an empty query: expected the question.")
    text = query_text(query)
    if not text.strip():
        raise ConfigurationError("SmartRouter: an empty query: expected the question.")
    kind, pattern, marker = how.get("kind"), how.get("pattern"), how.get("marker")
    material = None if context is None else Context.of(context)
    if isinstance(material, DataContext) and not (pattern is None and marker is None):
        raise ConfigurationError("SmartRouter: pattern=… and marker=… look in a text; the context is data.")
    return Request(
        query=text,
        asked=query,
        context=material,
        kind=classify_query(text) if kind is None else QueryKind(_member(QueryKind, "kind", kind)),
        profile=profile_named(how.get("profile")) or profile,
        route=how.get("route"),
        plan=None if pattern is None and marker is None else Plan(pattern=pattern, marker=marker),
    )


def profile_named(profile: ExecutionProfile | str | None) -> ExecutionProfile | None:
    """Return the profile of this name (in any case, with - or _); None for None."""
    if profile is None:
        return None
    return ExecutionProfile(_member(ExecutionProfile, "profile", profile))


def _member(members: type[StrEnum], argument: str, given: object) -> str:
    name = given.lower().replace("-", "_") if isinstance(given, str) else ""
    if name not in {str(member) for member in members}:
        expected = ", ".join(str(member) for member in members)
        raise ConfigurationError(f"SmartRouter: {argument}={given!r}: expected one of {expected}.")
    return name
