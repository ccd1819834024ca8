"""From route to route by the signals of what each answer shows, until one is accepted or none is left."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyrlm.errors import PolicyError
from pyrlm.routers.result import Attempt
from pyrlm.routers.routes import take_route
from pyrlm.routers.work import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrlm.routers.work import Work

__all__ = ["answer_by_routes", "tried"]

_OF_THE_LOOP = frozenset({"max_steps", "invalid_response_limit", "stalled"})
"""Limits that end a loop and leave a route of one call its room."""

_OF_ONE_CALL = frozenset({"max_total_tokens", "max_cost_usd"})
"""Limits that refuse one big prompt before anything is spent, and leave smaller ones their room."""


async def answer_by_routes(work: Work, routes: Sequence[str]) -> Answer:
    """Take `routes` in their order until an answer is accepted; return that one, else the best of them."""
    answers: list[Answer] = []
    for place, route in enumerate(routes):
        if route == "refuse":
            work.notes.append(_what_it_would_take(work))
            break
        answer = await tried(work, route)
        answers.append(answer)
        if not answer.signal or _ends_the_run(answer):
            break
        if place + 1 < len(routes):
            work.caller.recorder.record(
                "escalation", reason=answer.signal, data={"from": route, "to": routes[place + 1]}
            )
    return _best(work, answers)


async def tried(work: Work, route: str) -> Answer:
    """Take one route and enter it into the list of attempts, with what it took."""
    before, cost_before, started = work.spent
    work.caller.recorder.record("route", reason=f"route {route}", data={"route": route})
    answer = await take_route(route, work)
    usage, cost, ended = work.spent
    work.attempts.append(
        Attempt(
            route=route,
            status="failed" if answer.error is not None else "rejected" if answer.signal else "accepted",
            reason=answer.signal,
            tokens=usage.total_tokens - before.total_tokens,
            cost_usd=None if cost is None or cost_before is None else cost - cost_before,
            elapsed=ended - started,
            output=answer.text,
        )
    )
    return answer


def _what_it_would_take(work: Work) -> str:
    tokens = work.decision.tokens
    if work.corpus and work.attempts:
        return "refused: neither searches nor a loop with them found an answer in the index"
    if not work.attempts or tokens is None:
        return "; ".join(work.decision.reasons)
    window = tokens.high + work.answer_tokens + work.config.overhead_tokens
    return (
        f"refused: no route is left; a model with a context window of {window:,} tokens would read the text in one call"
    )


def _ends_the_run(answer: Answer) -> bool:
    """Whether no other route could do better: a limit of the whole run is met, or the model can't be reached."""
    error = answer.error
    if error is None:
        return False
    if not isinstance(error, PolicyError) or answer.says_something:
        return True
    return error.limit not in (_OF_THE_LOOP if answer.route == "rlm" else _OF_ONE_CALL)


def _best(work: Work, answers: Sequence[Answer]) -> Answer:
    """Return the accepted answer; without one the latest that rests on the text or was cut, else the last."""
    if not answers:
        return Answer(route="refuse", signal="; ".join(work.decision.reasons))
    last = answers[-1]
    if not last.signal or (last.error is not None and last.says_something):
        return last
    usable = [answer for answer in answers if answer.says_something and (answer.citations or answer.cut)]
    if not usable:
        return last
    best = usable[-1]
    work.notes.append(f"{best.route}: {best.signal}; no other route confirmed the answer")
    return replace(best, error=last.error)
