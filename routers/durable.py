"""Routed runs with a file: what is kept of the arguments, and the decision that was taken."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyrlm.budget import Budget
from pyrlm.checkpoint import Durable
from pyrlm.context import Context
from pyrlm.inputs import with_schema
from pyrlm.journal_inputs import Given
from pyrlm.routers.profiles import ExecutionProfile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from os import PathLike

    from pyrlm.calls import Caller
    from pyrlm.effects import Effects
    from pyrlm.rlm import RLM
    from pyrlm.routers.decision import RouteDecision
    from pyrlm.routers.request import RunOptions
    from pyrlm.routers.result import RouterResult

    _Answer = Callable[[Any, Any, RunOptions, Caller], Awaitable[RouterResult]]

__all__ = ["answered", "as_recorded", "resumed"]

_KIND = "SmartRouter"
_KEPT = ("profile", "route", "kind", "marker")


async def answered(
    rlm: RLM, options: Mapping[str, Any], asked: tuple[Any, Any, RunOptions, Caller], answer: _Answer
) -> RouterResult:
    """Answer; with a file, where the arguments name one.

    Args:
        rlm: Options of the loop.
        options: What else decides, by name: thresholds, profile.
        asked: Question, material, arguments, caller.
        answer: Takes these and answers.

    Raises:
        CheckpointError: The file can't be made, or holds a run that has not ended.
        PyRLMError: As `answer`.
    """
    query, context, how, caller = asked
    to = how.get("checkpoint")
    if to is None:
        return await answer(query, context, how, caller)
    material = None if context is None else Context.of(context)
    schema = how.get("output_schema")
    given = Given(query, material, rlm.output_schema if schema is None else schema)
    with_schema(rlm, schema)  # what can't be used is said before there is a file
    run = await Durable.begin(_KIND, rlm, to, given, extra={"how": _kept(how)}, options=options)
    return await _recorded(run, caller, answer)


async def resumed(
    rlm: RLM, options: Mapping[str, Any], again: tuple[str | PathLike[str], Any, Any, Caller], answer: _Answer
) -> RouterResult:
    """Go on with a run from its file; `again` is the file, material and schema given again, and the caller.

    Raises:
        CheckpointError: The file can't be used, or something is not what it was.
        PyRLMError: As `answer`.
    """
    path, context, output_schema, caller = again
    schema = rlm.output_schema if output_schema is None else output_schema
    return await _recorded(await Durable.open(_KIND, rlm, path, Given(None, context, schema), options), caller, answer)


async def _recorded(run: Durable, caller: Caller, answer: _Answer) -> RouterResult:
    caller.budget = Budget(caller.budget.policy, clock=run.replay.clock)
    caller.effects = run.effects
    async with run.writing() as results:
        result = await answer(run.given.query, run.given.context, _options_of(run), caller)
        results.append(result)
    return result


def _options_of(run: Durable) -> RunOptions:
    """Return the arguments that a run was begun with."""
    how: dict[str, Any] = dict(run.extra["how"])
    if "pattern" in how:
        how["pattern"] = re.compile(*how["pattern"]) if isinstance(how["pattern"], list) else how["pattern"]
    if run.given.schema is not None:
        how["output_schema"] = run.given.schema
    return how  # type: ignore[return-value]  # the names are those that were given


def as_recorded(decision: RouteDecision, effects: Effects) -> RouteDecision:
    """Return the decision; when a run is repeated, with the route that was taken then."""
    taken = {
        "route": decision.route,
        "profile": str(decision.profile),
        "escalation": list(decision.escalation),
        "limit": decision.limit,
    }
    then = effects.fact("decision", taken)
    if then == taken:
        return decision
    return replace(
        decision,
        route=then["route"],
        profile=ExecutionProfile(then["profile"]),
        escalation=tuple(then["escalation"]),
        limit=then["limit"],
    )


def _kept(how: RunOptions) -> dict[str, Any]:
    kept: dict[str, Any] = {name: str(how[name]) for name in _KEPT if how.get(name) is not None}  # type: ignore[literal-required]  # names of its keys
    pattern = how.get("pattern")
    if isinstance(pattern, re.Pattern):
        kept["pattern"] = [pattern.pattern, pattern.flags]
    elif pattern is not None:
        kept["pattern"] = pattern
    if not how.get("escalate", True):
        kept["escalate"] = False
    return kept
