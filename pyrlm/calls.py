"""One way to ask a model, for every route and every level: budget, cache, limiter, trace around one adapter call."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from pyrlm.adapters.base import Message, ModelResponse, Retry, Usage, on_retry
from pyrlm.adapters.calling import acomplete, check_adapter
from pyrlm.errors import ModelError, PolicyError, PriceUnknownError
from pyrlm.pricing import price_for, window_for
from pyrlm.tokens import counter_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrlm.budget import Budget, Reservation
    from pyrlm.cache import DiskCache
    from pyrlm.events import StepKind, TraceStep
    from pyrlm.pricing import Price, Window
    from pyrlm.tokens import TokenCounter
    from pyrlm.trace import Recorder

__all__ = ["Call", "Caller", "Model", "Reply"]

Purpose = Literal["root", "subcall", "direct", "last"]


class Model:
    """An adapter with what is known of its model: name, price, window, tokenizer.

    The adapter's own attributes `model`, `endpoint`, `price` and `context_window` come first, then the package data.
    """

    def __init__(self, adapter: Any, *, price: Price | None = None, context_window: int | None = None) -> None:
        check_adapter(adapter)
        self.adapter = adapter
        name = getattr(adapter, "model", None)
        self.name = name if isinstance(name, str) else type(adapter).__name__
        endpoint = getattr(adapter, "endpoint", None)
        self.endpoint = endpoint if isinstance(endpoint, str) else ""
        self._price = price
        self._window = context_window
        self.counter: TokenCounter = counter_for(self.name)

    @cached_property
    def price(self) -> Price | None:
        """Price of a million tokens, or None where it is not known."""
        own: Price | None = self._price or getattr(self.adapter, "price", None)
        return own or price_for(self.name, endpoint=self.endpoint)

    def price_of(self, response: ModelResponse) -> Price | None:
        """Price that `response` is charged by: the caller's own, else that of the model that answered, where it says so."""
        return self._price or response.price or self.price

    @cached_property
    def window(self) -> Window:
        """What the model can take in, with source and date; conservative where the model is not known."""
        own = self._window or getattr(self.adapter, "context_window", None)
        return window_for(self.name, endpoint=self.endpoint, context_window=own)


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
        depth: Level of the run, for the trace.
        cached: Whether the reply may come from the cache and go to it.
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
    depth: int = 0
    cached: bool = False
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


class Caller:
    """Asks models on behalf of one run.

    Args:
        budget: Reserves before each call, settles after it.
        recorder: Gets every call, cache hit and retry.
        cache: None for no cache.
        limit: Calls in flight at once.
    """

    def __init__(self, budget: Budget, recorder: Recorder, cache: DiskCache | None, limit: int) -> None:
        self.budget = budget
        self.recorder = recorder
        self.cache = cache
        self.limit = limit
        self._limiter = asyncio.Semaphore(limit)
        self._in_flight = 0
        self._settled = asyncio.Event()

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
        if self.cache is None or not call.cached:
            return await self._pay(model, call)
        paid: list[Reply] = []

        async def pay() -> ModelResponse:
            paid.append(await self._pay(model, call))
            return paid[0].response

        key = self.cache.key(
            endpoint=model.endpoint,
            adapter=type(model.adapter).__qualname__,
            model=model.name,
            messages=list(call.messages),
            max_tokens=call.max_tokens,
            temperature=call.temperature,
            options={**getattr(model.adapter, "default_options", {}), **call.options},
        )
        response, outcome = await self.cache.fetch(key, pay)
        if paid:
            return paid[0]
        step = self._record("cache_hit", model, call, output=response.text, reason=outcome)
        return Reply(response.text, response, step, call.max_tokens)

    async def _pay(self, model: Model, call: Call) -> Reply:
        async with self._limiter:
            reservation = await self._reserve(model, call)
            self._in_flight += 1
            try:
                return await self._send(model, call, reservation)
            except Exception:
                # Not for a call that is cancelled: its provider may bill it, so its room stays held.
                self.budget.release(reservation)
                raise
            finally:
                self._in_flight -= 1
                self._settled.set()

    async def _reserve(self, model: Model, call: Call) -> Reservation:
        """Reserve an upper bound. Calls in flight mostly cost less than theirs: where they block, wait for one to end."""
        prompt_tokens = call.prompt_tokens
        if prompt_tokens is None:
            prompt_tokens = model.counter.upper_bound_messages(call.messages)
        while True:
            self._settled.clear()
            try:
                return self.budget.reserve(
                    call.purpose, prompt_tokens=prompt_tokens, max_tokens=call.max_tokens, price=model.price
                )
            except PolicyError:
                if not self._in_flight or not self.budget.fits_when_idle(
                    call.purpose, prompt_tokens=prompt_tokens, max_tokens=call.max_tokens, price=model.price
                ):
                    raise
            await self._settled.wait()

    async def _send(self, model: Model, call: Call, reservation: Reservation) -> Reply:
        started = time.perf_counter()
        token = on_retry.set(lambda retry: self._record_retry(model, call, retry))
        try:
            response = await acomplete(
                model.adapter, call.messages, reservation.max_tokens, call.temperature, **call.options
            )
        except (ModelError, asyncio.CancelledError) as error:
            elapsed = time.perf_counter() - started
            why = f"{type(error).__name__}: {error}" if isinstance(error, ModelError) else "cancelled in flight"
            self._record(call.kind, model, call, error=why, elapsed=elapsed)
            raise
        finally:
            on_retry.reset(token)
        usage = Usage.parse(response.usage) or self._counted(model, call, response)
        price = model.price_of(response)
        cost = price.cost(usage) if price is not None else None
        self.budget.settle(reservation, usage, cost)
        step = self._record(
            call.kind,
            model,
            call,
            output=response.text,
            answered_by=response.answered_by,
            usage=usage,
            cost_usd=cost,
            elapsed=time.perf_counter() - started,
            data=_facts(response, reservation.max_tokens),
        )
        return Reply(response.text, response, step, reservation.max_tokens)

    def _counted(self, model: Model, call: Call, response: ModelResponse) -> Usage:
        return Usage(
            input_tokens=model.counter.count_messages(call.messages),
            output_tokens=model.counter.count(response.text),
            estimated=True,
        )

    def _record(
        self, kind: StepKind, model: Model, call: Call, *, answered_by: str | None = None, **values: Any
    ) -> TraceStep:
        shown = call.shown if call.shown is not None else call.messages[-1]["content"]
        return self.recorder.record(
            kind, model=answered_by or model.name, prompt=shown, parent=call.parent, depth=call.depth, **values
        )

    def _record_retry(self, model: Model, call: Call, retry: Retry) -> None:
        self.recorder.record(
            "retry",
            model=model.name,
            parent=call.parent,
            depth=call.depth,
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
