"""How what is left of a run's limits is divided among sub-agents that start together."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from pyrlm.errors import MaxCostExceeded, MaxSecondsExceeded, MaxSubcallsExceeded, MaxTokensExceeded
from pyrlm.meters import smallest
from pyrlm.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrlm.budget import Budget
    from pyrlm.errors import PolicyError

__all__ = ["LEAST_CALLS", "LEAST_TOKENS", "Left", "Shares", "divide"]

_HANDED_ON = 0.8
"""Part of what is left that goes to sub-agents which start together: the rest is for the run to make use of their answers."""

_GATHERING = 0.004
"""Seconds in which calls that code makes side by side arrive, so that they divide what is left among them."""

LEAST_TOKENS = 4_000
"""Tokens below which a sub-agent is not started: its opening takes some 1,500, each step sends it again."""

LEAST_CALLS = 2
"""Model calls below which a sub-agent is not started: one to look, one to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What is left of a run's limits; None where there is no such limit.

    Attributes:
        calls: Model calls, each of which counts as a sub-call of the run.
        tokens: Input and output tokens.
        cost_usd: US dollars.
        seconds: Wall time.
    """

    calls: int | None = None
    tokens: int | None = None
    cost_usd: float | None = None
    seconds: float | None = None

    def without(self, others: Iterable[Left]) -> Left:
        """Return what is left beside what `others` still have; nothing is ever below zero."""
        calls, tokens, cost = self.calls, self.tokens, self.cost_usd
        for other in others:
            calls = _less(calls, other.calls)
            tokens = _less(tokens, other.tokens)
            cost = None if cost is None else max(0.0, cost - (other.cost_usd or 0.0))
        return Left(calls=calls, tokens=tokens, cost_usd=cost, seconds=self.seconds)


def _less(amount: int | None, taken: int | None) -> int | None:
    return None if amount is None else max(0, amount - (taken or 0))


def divide(left: Left, count: int) -> list[Policy]:
    """Divide `left` evenly among at most `count` sub-agents; where there is too little for all, among the first ones.

    The shares together are at most `_HANDED_ON` of what is left; wall time, which passes for all at once, is in each.
    """
    calls, tokens, cost = _part(left.calls), _part(left.tokens), left.cost_usd
    room = smallest(count, *(p // n for p, n in ((calls, LEAST_CALLS), (tokens, LEAST_TOKENS)) if p is not None))
    served = 0 if cost == 0 or left.seconds == 0 else room or 0
    share = Policy(
        max_steps=None,
        max_subcalls=None if calls is None or not served else calls // served,
        max_total_tokens=None if tokens is None or not served else tokens // served,
        max_cost_usd=None if cost is None or not served else cost * _HANDED_ON / served,
        max_seconds=None if left.seconds is None else left.seconds * _HANDED_ON,
    )
    return [share] * served


def _part(amount: int | None) -> int | None:
    return None if amount is None else int(amount * _HANDED_ON)


def shortage(left: Left, count: int) -> PolicyError:
    """Return the limit that leaves too little for `count` sub-agents, as the error of its kind."""
    among = f"divided among {count} sub-agents, is too little for all of them; answer from what you have"
    if count == 1:
        among = "is too little for a sub-agent; use llm_query"
    calls, tokens = _part(left.calls), _part(left.tokens)
    if calls is not None and calls // count < LEAST_CALLS:
        return MaxSubcallsExceeded(f"max_subcalls: what is left, {left.calls} calls, {among}")
    if tokens is not None and tokens // count < LEAST_TOKENS:
        return MaxTokensExceeded(f"max_total_tokens: what is left, {left.tokens:,} tokens, {among}")
    if left.cost_usd == 0:
        return MaxCostExceeded(f"max_cost_usd: what is left, $0, {among}")
    return MaxSecondsExceeded(f"max_seconds: what is left, 0 s, {among}")


class Shares:
    """Gives sub-agents their shares of one run's budget.

    Args:
        budget: The run's.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._running: list[Budget] = []
        self._waiting: list[asyncio.Future[Budget | PolicyError]] = []

    async def take(self, count: int) -> list[Budget | PolicyError]:
        """Return a share for each of `count` sub-agents, or why there is none; those that ask at once are equal."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_later(_GATHERING, self._divide)
        places: list[asyncio.Future[Budget | PolicyError]] = [loop.create_future() for _ in range(count)]
        self._waiting += places
        taken: list[Budget | PolicyError] = await asyncio.gather(*places)
        return taken

    def give_back(self, share: Budget) -> None:
        """End a share: what is left of it is the run's again."""
        self._running.remove(share)

    def _divide(self) -> None:
        waiting, self._waiting = [place for place in self._waiting if not place.done()], []
        left = left_of(self._budget).without(map(promised_to, self._running))
        shares = divide(left, len(waiting))
        for place, share in zip_longest(waiting, shares):
            if share is None:
                place.set_result(shortage(left, len(waiting)))
            else:
                budget = self._budget.child(share, keeps_a_call=True)
                self._running.append(budget)
                place.set_result(budget)


def left_of(budget: Budget) -> Left:
    """Return what a run has left for sub-agents."""
    left = budget.left()
    tokens = smallest(left.tokens, left.subcall_tokens)
    return Left(calls=left.subcalls, tokens=tokens, cost_usd=left.cost_usd, seconds=left.seconds)


def promised_to(share: Budget) -> Left:
    """Return what a sub-agent may still take of its share, calls under way not counted."""
    meters = share.summary()

    def rest(name: str) -> float | None:
        meter = meters[name]
        limit = meter["limit"]
        return None if limit is None else max(0.0, limit - (meter["used"] or 0) - (meter["reserved"] or 0))

    calls, tokens = rest("max_subcalls"), rest("max_total_tokens")
    return Left(
        calls=None if calls is None else int(calls),
        tokens=None if tokens is None else int(tokens),
        cost_usd=rest("max_cost_usd"),
    )
