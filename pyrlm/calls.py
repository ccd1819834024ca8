"""One way to ask a model, for every route and every level: budget, cache, limiter, trace around one adapter call."""

from __future__ import annotations

import asyncio
import copy
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pyrlm.adapters.base import Message, ModelResponse, Retry, Usage
from pyrlm.adapters.calling import acomplete
from pyrlm.cached_calls import key_of
from pyrlm.effects import NO_RECORD
from pyrlm.errors import ModelError, PolicyError, PriceUnknownError
from pyrlm.lost_replies import LostReplies
from pyrlm.shown import acomplete_shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from pyrlm.budget import Budget, Reservation
    from pyrlm.cache import DiskCache
    from pyrlm.events import StepKind, TraceStep
    from pyrlm.models import Model
    from pyrlm.shown import TextSink
    from pyrlm.trace import Recorder

    Note = Callable[[ModelResponse, int, Mapping[str, Any]], None]
    Lost = Callable[[Mapping[str, Any]], None]

__all__ = ["Call", "Caller", "Reply"]

Purpose = Literal["root", "subcall", "direct", "last"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is asked of a model.

    Attributes:
        messages: Chat messages, oldest first.
        purpose: Which limits it counts against.
        kind: What the trace calls it.
        max_tokens: Most tokens of the reply; cut to what the budget has left.
        temperature: None leaves it to the provider.
        options: Further parameters, passed to the adapter.
        parent: Step of the trace that it belongs to.
        cached: Whether the reply may come from the cache and go to it.
        fits: Tells of a reply's text whether it is one that was asked for: no other is kept. None: every whole one is.
        shown: What the trace shows as the prompt; the last message by default.
        prompt_tokens: Upper bound of the prompt's tokens, where the caller has it already.
    """

    messages: Sequence[Message]
    purpose: Purpose
    kind: StepKind
    max_tokens: int
    temperature: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    parent: int | None = None
    cached: bool = False
    fits: Callable[[str], bool] | None = None
    shown: str | None = None
    prompt_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's reply and the step of the trace that records it.

    Attributes:
        text: The reply's text.
        response: The whole reply.
        step: The trace's record.
        max_tokens: The cap that was sent.
    """

    text: str
    response: ModelResponse
    step: TraceStep
    max_tokens: int

    @property
    def cut(self) -> bool:
        """Whether the token limit cut the reply."""
        return self.response.finish_reason == "length"


class _Traffic:
    """Calls under way, of a run and its sub-agents together. The root calls of a run follow one another: no limit on them."""

    def __init__(self, limit: int) -> None:
        self.limiter = asyncio.Semaphore(limit)
        self.in_flight = 0
        self.settled = asyncio.Event()
        self.agents: dict[int, asyncio.Semaphore] = {}

    def slot(self, purpose: Purpose) -> AbstractAsyncContextManager[Any]:
        return nullcontext() if purpose in {"root", "last"} else self.limiter


class Caller:
    """Asks models on behalf of one run.

    Args:
        budget: Reserves before each call, settles after it.
        recorder: Gets every call, cache hit and retry.
        cache: None for no cache.
        limit: Sub-calls, and calls of routes of one call, in flight at once.

    Attributes:
        depth: 0 for a run, 1 for its sub-agents, and so on.
        scope: Which sub-agent it asks for, the same whenever the run is repeated; empty for the run itself.
        effects: Makes the calls; those of a durable run that are known are not made again.
        shows: Returns who gets the text of a call of the run itself while it is written; None for nobody.
    """

    def __init__(self, budget: Budget, recorder: Recorder, cache: DiskCache | None, limit: int) -> None:
        self.budget = budget
        self.recorder = recorder
        self.cache = cache
        self.limit = limit
        self.depth = 0
        self.scope = ""
        self.effects = NO_RECORD
        self.shows: Callable[[Call], TextSink | None] | None = None
        self._traffic = _Traffic(limit)

    def of_run(self, budget: Budget, recorder: Recorder) -> Caller:
        """Return the caller of a further run, with the cache and the limit in common."""
        other = copy.copy(self)
        other.budget, other.recorder = budget, recorder
        return other

    def child(self, budget: Budget, scope: str, parent: int | None) -> Caller:
        """Return the caller of a sub-agent: one level deeper, with the cache and the limit in common.

        Args:
            budget: The sub-agent's share.
            scope: Name of the sub-agent among those of this run.
            parent: Step of the trace that started it.
        """
        child = copy.copy(self)
        child.budget = budget
        child.depth = self.depth + 1
        child.scope = f"{self.scope}/{scope}" if self.scope else scope
        child.effects = self.effects.at(child.scope)
        child.recorder = self.recorder.branch(child.depth, parent)
        return child

    def agent_slot(self, at_once: int) -> asyncio.Semaphore:
        """Return what lets `at_once` sub-agents of one depth run, of the whole family together."""
        return self._traffic.agents.setdefault(self.depth, asyncio.Semaphore(at_once))

    def check_price(self, model: Model) -> None:
        """Raise `PriceUnknownError` where money is limited and the price of `model` is not known."""
        if model.price is None and self.budget.left().cost_usd is not None:
            raise PriceUnknownError(
                f"max_cost_usd is set, and the price of {model.name!r} is not known, so the limit can't be kept and nothing "
                "was sent. Give the price in US dollars per million tokens, as `price=Price(input_usd_per_mtok=…, "
                "output_usd_per_mtok=…)` on the adapter (zeros for a model that costs nothing), or set max_cost_usd=None."
            )

    async def ask(self, model: Model, call: Call) -> Reply:
        """Ask `model`, from the cache where `call.cached` allows it.

        Raises:
            PolicyError: A limit leaves no room for the call; nothing was spent on it.
            ModelError: The call failed for good.
        """
        return await self.effects.ask(self, model, call)

    async def asked(self, model: Model, call: Call, note: Note, lost: Lost = lambda _: None) -> Reply:
        """As `ask`, whatever is known of a durable run.

        `note` gets the reply as soon as it is there, before the trace, `lost` what a call that failed has cost.
        """
        key = key_of(self.cache, model, call)
        if self.cache is None or key is None:
            return await self._pay(model, call, note, lost)
        paid: list[Reply] = []

        async def pay() -> ModelResponse:
            paid.append(await self._pay(model, call, note, lost))
            return paid[0].response

        response, outcome = await self.cache.fetch(key, pay, call.fits)
        if paid:
            return paid[0]
        values: dict[str, Any] = {"reason": outcome, "data": model.once_paid(response)}
        note(response, call.max_tokens, values)
        step = self.record("cache_hit", model, call, output=response.text, **values)
        return Reply(response.text, response, step, call.max_tokens)

    async def _pay(self, model: Model, call: Call, note: Note, lost: Lost) -> Reply:
        async with self._traffic.slot(call.purpose):
            reservation = await self._reserve(model, call)
            self._traffic.in_flight += 1
            try:
                return await self._send(model, call, LostReplies(self.budget, reservation, model, lost), note)
            except Exception:
                # Not for a call that is cancelled: its provider may bill it, so its room stays held.
                self.budget.release(reservation)
                raise
            finally:
                self._traffic.in_flight -= 1
                self._traffic.settled.set()

    async def _reserve(self, model: Model, call: Call) -> Reservation:
        """Reserve an upper bound. Calls in flight mostly cost less than theirs: where they block, wait for one to end."""
        prompt_tokens = call.prompt_tokens
        if prompt_tokens is None:
            prompt_tokens = model.counter.upper_bound_messages(call.messages)
        while True:
            self._traffic.settled.clear()
            try:
                return self.budget.reserve(
                    call.purpose, prompt_tokens=prompt_tokens, max_tokens=call.max_tokens, price=model.price
                )
            except PolicyError:
                if not self._traffic.in_flight or not self.budget.fits_when_idle(
                    call.purpose, prompt_tokens=prompt_tokens, max_tokens=call.max_tokens, price=model.price
                ):
                    raise
            await self._traffic.settled.wait()

    async def _send(self, model: Model, call: Call, lost: LostReplies, note: Note) -> Reply:
        started, reservation = time.perf_counter(), lost.reservation
        try:
            response = await lost.repeated(
                lambda max_tokens: self._complete(model, call, max_tokens),
                lambda retry: self._record_retry(model, call, retry),
            )
        except (ModelError, PolicyError, asyncio.CancelledError) as error:
            elapsed = time.perf_counter() - started
            cancelled = isinstance(error, asyncio.CancelledError)
            why = "cancelled in flight" if cancelled else f"{type(error).__name__}: {error}"
            charged = {} if cancelled else lost.charged()
            self.record(call.kind, model, call, error=why, elapsed=elapsed, **charged)
            raise
        usage = Usage.parse(response.usage) or self._counted(model, call, response)
        price = model.price_of(response)
        cost = price.cost(usage) + lost.cost_usd if price is not None and lost.cost_usd is not None else None
        usage += lost.usage
        self.budget.settle(reservation, usage, cost)
        facts = _facts(response, reservation.max_tokens)
        if lost.usage.total_tokens:
            facts["lost_tokens"] = lost.usage.total_tokens
        values = {"usage": usage, "cost_usd": cost, "elapsed": time.perf_counter() - started, "data": facts}
        note(response, reservation.max_tokens, values)
        step = self.record(call.kind, model, call, output=response.text, answered_by=response.answered_by, **values)
        return Reply(response.text, response, step, reservation.max_tokens)

    async def _complete(self, model: Model, call: Call, max_tokens: int) -> ModelResponse:
        sink = self.shows(call) if self.shows is not None and self.depth == 0 else None
        arguments = (model.adapter, call.messages, max_tokens, call.temperature)
        if sink is None:
            return await acomplete(*arguments, **call.options)
        return await acomplete_shown(*arguments, sink=sink, options=dict(call.options))

    def _counted(self, model: Model, call: Call, response: ModelResponse) -> Usage:
        return Usage(
            input_tokens=model.counter.count_messages(call.messages),
            output_tokens=model.counter.count(response.text),
            estimated=True,
        )

    def record(
        self, kind: StepKind, model: Model, call: Call, *, answered_by: str | None = None, **values: Any
    ) -> TraceStep:
        """Enter a call into the trace."""
        shown = call.shown if call.shown is not None else call.messages[-1]["content"]
        return self.recorder.record(
            kind, model=answered_by or model.name, prompt=shown, parent=call.parent, depth=self.depth, **values
        )

    def _record_retry(self, model: Model, call: Call, retry: Retry) -> None:
        self.recorder.record(
            "retry",
            model=model.name,
            parent=call.parent,
            depth=self.depth,
            reason=retry.reason,
            data={"attempt": retry.attempt, "delay": retry.delay},
        )


def _facts(response: ModelResponse, max_tokens: int) -> dict[str, Any]:
    facts: dict[str, Any] = {"max_tokens": max_tokens}
    if response.finish_reason:
        facts["finish_reason"] = response.finish_reason
    if response.refusal:
        facts["refusal"] = response.refusal
    return facts
