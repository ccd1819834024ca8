"""How what is left of a run's limits is divided among sub-agents that start together."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from pyrlm.budget import Budget
from pyrlm.errors import (
    MaxCostExceeded,
    MaxSecondsExceeded,
    MaxSubcallsExceeded,
    MaxSubcallTokensExceeded,
    MaxTokensExceeded,
    PolicyError,
)
from pyrlm.journal_forms import error_form, error_of
from pyrlm.meters import smallest
from pyrlm.policy import Policy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from pyrlm.effects import Effects
    from pyrlm.subcall_tally import Tally

    Share = Budget | PolicyError | str
    """A share, or why there is none: a limit of the run, or what a stage has left."""

__all__ = ["LEAST_CALLS", "LEAST_TOKENS", "Left", "Shares", "divide"]

_HANDED_ON = 0.8
"""Part of what is left that goes to sub-agents which start together: the rest is for the run to make use of their answers."""

_GATHERING = 0.002
"""Seconds between two looks at who asks for a share: nobody more at two of them, and no code that computes, are all."""

_LONGEST_GATHERING = 1.0
"""Seconds after which what is left is divided though the code still computes, as one of its threads may do for long."""

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
        of_subcalls: Whether the tokens are those of the limit on sub-calls.
        least_usd: US dollars below which a sub-agent is not started; 0 where nothing is known of prices.
    """

    calls: int | None = None
    tokens: int | None = None
    cost_usd: float | None = None
    seconds: float | None = None
    of_subcalls: bool = False
    least_usd: float = 0.0

    def without(self, others: Iterable[Left]) -> Left:
        """Return what is left beside what `others` still have; nothing is ever below zero."""
        calls, tokens, cost = self.calls, self.tokens, self.cost_usd
        for other in others:
            calls = _less(calls, other.calls)
            tokens = _less(tokens, other.tokens)
            cost = None if cost is None else max(0.0, cost - (other.cost_usd or 0.0))
        return replace(self, calls=calls, tokens=tokens, cost_usd=cost)


def _less(amount: int | None, taken: int | None) -> int | None:
    return None if amount is None else max(0, amount - (taken or 0))


def divide(left: Left, count: int) -> list[Policy]:
    """Divide `left` evenly among at most `count` sub-agents; where there is too little for all, among the first ones.

    The shares together are at most `_HANDED_ON` of what is left; wall time, which passes for all at once, is in each.
    """
    calls, tokens, cost = _part(left.calls), _part(left.tokens), left.cost_usd
    room = smallest(count, *(p // n for p, n in ((calls, LEAST_CALLS), (tokens, LEAST_TOKENS)) if p is not None))
    if cost is not None and left.least_usd:
        room = smallest(room, int(cost * _HANDED_ON / left.least_usd))
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
        among = f"is too little for a sub-agent; {'use llm_query' if left.calls != 0 else 'answer from what you have'}"
    tokens = _part(left.tokens)
    if _too_few(left, count):
        return MaxSubcallsExceeded(f"max_subcalls: what is left, {left.calls} calls, {among}")
    if tokens is not None and tokens // count < LEAST_TOKENS:
        error = MaxSubcallTokensExceeded if left.of_subcalls else MaxTokensExceeded
        return error(f"{error.limit}: what is left, {left.tokens:,} tokens, {among}")
    if left.cost_usd is not None and left.cost_usd * _HANDED_ON <= left.least_usd * count:
        return MaxCostExceeded(f"max_cost_usd: what is left, ${left.cost_usd:.4f}, {among}")
    return MaxSecondsExceeded(f"max_seconds: what is left, 0 s, {among}")


class Shares:
    """Gives sub-agents their shares of one run's budget.

    Args:
        budget: The run's.
        subcalls: The run's; each call of a sub-agent counts as one of its stage.
        effects: Of the run: what was left at a moment is the same when a durable run is repeated.
        idle: Whether the run's code computes nothing at this moment, so that it asks for no more.
    """

    def __init__(self, budget: Budget, subcalls: Tally, effects: Effects, idle: Callable[[], bool]) -> None:
        self._budget = budget
        self._subcalls = subcalls
        self._effects = effects
        self._idle = idle
        self._running: dict[int, Budget] = {}
        self._unstarted: set[int] = set()
        self._waiting: list[asyncio.Future[Share]] = []
        self._gathering = False

    @asynccontextmanager
    async def taken(self, scopes: Sequence[str]) -> AsyncIterator[list[Share]]:
        """Take a share for each of these sub-agents, or why there is none; those that ask at once are equal.

        Where others have all that there is, it is waited for what they leave. What is not given back by then is given
        back at the end.
        """
        places: list[asyncio.Future[Share]] = []
        try:
            shares = list(await asyncio.gather(*(self._take(scope, places) for scope in scopes)))
            self._unstarted.difference_update(map(id, shares))
            yield shares
        finally:
            for place in places:  # one that was divided in the moment in which its caller was cancelled, too
                share = place.result() if place.done() and not place.cancelled() else None
                if isinstance(share, Budget):
                    self.give_back(share)

    async def _take(self, scope: str, places: list[asyncio.Future[Share]]) -> Share:
        loop = asyncio.get_running_loop()
        place: asyncio.Future[Share] = loop.create_future()
        places.append(place)

        async def divided() -> Share:
            self._waiting.append(place)
            self._begin_gathering()
            return await place

        def again(form: dict[str, Any]) -> Share:
            share = self._given(Policy(**form["policy"])) if "policy" in form else _reason_of(form)
            place.set_result(share)
            return share

        share: Share
        share, _ = await self._effects.once("share", scope, divided, _form, again)
        return share

    def give_back(self, share: Budget) -> None:
        """End a share: what is left of it is the run's again, and this stage's. Again: nothing."""
        self._unstarted.discard(id(share))
        if self._running.pop(id(share), None) is None:
            return
        if share.policy.max_subcalls is not None:
            self._subcalls.stage_made -= max(0, share.policy.max_subcalls - share.subcalls)
        if self._waiting:
            self._begin_gathering()

    def _begin_gathering(self) -> None:
        if not self._gathering:
            self._gathering = True
            loop = asyncio.get_running_loop()
            loop.call_later(_GATHERING, self._gather, 0, loop.time() + _LONGEST_GATHERING)

    def _gather(self, seen: int, until: float) -> None:
        """Divide once all have asked that the code starts side by side."""
        loop, count, idle = asyncio.get_running_loop(), len(self._waiting), self._idle()
        if loop.time() < until and not (idle and count == seen):
            loop.call_later(_GATHERING, self._gather, count if idle else 0, until)
        else:
            self._gathering = False
            self._divide()

    def _divide(self) -> None:
        waiting, self._waiting = [place for place in self._waiting if not place.done()], []
        left = left_of(self._budget).without(map(promised_to, self._running.values()))
        of_stage = self._subcalls.stage_left
        stage_counts = of_stage is not None and (left.calls is None or of_stage < left.calls)
        if stage_counts:
            left = replace(left, calls=of_stage)
        shares = divide(left, len(waiting))
        if not shares and self._running.keys() > self._unstarted:
            self._waiting = waiting  # until one that runs gives back what it leaves
            return
        for place, share in zip_longest(waiting, shares):
            if share is not None:
                place.set_result(self._given(share))
            elif stage_counts and _too_few(left, len(waiting)):
                place.set_result(_stage_shortage(of_stage, len(waiting)))
            else:
                place.set_result(shortage(left, len(waiting)))

    def _given(self, share: Policy) -> Budget:
        budget = self._budget.child(share, keeps_a_call=True)
        self._running[id(budget)] = budget
        self._unstarted.add(id(budget))
        self._subcalls.stage_made += share.max_subcalls or 0
        return budget


def _form(share: Share) -> dict[str, Any]:
    """Return a share, or why there is none, in JSON types."""
    if isinstance(share, Budget):
        return {"policy": asdict(share.policy)}
    return {"error": error_form(share)} if isinstance(share, PolicyError) else {"told": share}


def _reason_of(form: dict[str, Any]) -> PolicyError | str:
    if "told" in form:
        return str(form["told"])
    error = error_of(form["error"])
    assert isinstance(error, PolicyError)
    return error


def _stage_shortage(left: int | None, count: int) -> str:
    among = "a sub-agent" if count == 1 else f"{count} sub-agents"
    return f"this stage has {left} sub-calls left, too few for {among}; use llm_query, or answer from what you have"


def _too_few(left: Left, count: int) -> bool:
    calls = _part(left.calls)
    return calls is not None and calls // count < LEAST_CALLS


def left_of(budget: Budget) -> Left:
    """Return what a run has left for sub-agents."""
    left = budget.left()
    tokens = smallest(left.tokens, left.subcall_tokens)
    spent, used = budget.cost_usd, budget.usage.total_tokens
    least = LEAST_TOKENS * spent / used if spent and used else 0.0  # at the price of the run's own tokens
    return Left(
        calls=left.subcalls,
        tokens=tokens,
        cost_usd=left.cost_usd,
        seconds=left.seconds,
        of_subcalls=tokens is not None and tokens != left.tokens,
        least_usd=least,
    )


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
