"""Several models as one: the next is asked where one is out."""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pyrlm.adapters.base import Retry, on_retry
from pyrlm.adapters.calling import accepts_option, acomplete, as_adapter, astream
from pyrlm.adapters.identity import cache_identity
from pyrlm.errors import (
    AuthenticationError,
    BadReplyError,
    ConfigurationError,
    ModelError,
    ModelUnavailableError,
    RateLimitError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

    from pyrlm.adapters.base import Message, ModelResponse
    from pyrlm.pricing import Price

__all__ = ["FallbackAdapter"]

_AIDS = frozenset({"response_format"})
"""Options that help a model to what its prompt asks for all the same: one that doesn't take them is asked without."""


class FallbackAdapter:
    """Asks the first of several models, and the next where that one is out.

    The next is asked after an outage (no connection, time-outs, 5xx, garbled replies), too many requests or a used-up
    quota: after the model's own `retry_seconds`, so give the first ones few of them. It is not asked where a prompt is
    too long or a request is refused for what it says. Commands and adapters of one's own are read by what they raise or
    print. A model that takes no `response_format` is asked without one. Each change is told in the trace with its reason, and each call's
    step names the model that answered, by whose price it is charged.

    A model that was out is not asked again for a while, in no run of this process that uses this adapter; then one call
    tries it. Where no other is left, it is asked nevertheless.

    Args:
        adapters: Adapters, or their names, in the order in which they are asked.
        cooldown_seconds: How long a model that was out is left alone (default 60).
        on_authentication: Ask the next also where a key is missing, wrong or not allowed (default False).

    Attributes:
        model: The names of all, joined by `` | ``: replies of different models are not mixed in the cache.
        endpoint: Their endpoints, joined likewise.

    Raises:
        ConfigurationError: There are no adapters, or one can't be asked.
    """

    def __init__(
        self, adapters: Sequence[Any], *, cooldown_seconds: float = 60.0, on_authentication: bool = False
    ) -> None:
        if isinstance(adapters, str) or not isinstance(adapters, list | tuple) or not adapters:
            raise ConfigurationError(f"adapters={adapters!r}: expected a list of adapters, in the order to ask them.")
        if isinstance(cooldown_seconds, bool) or not isinstance(cooldown_seconds, int | float) or cooldown_seconds < 0:
            raise ConfigurationError(f"cooldown_seconds={cooldown_seconds!r}: expected a number of seconds.")
        self._members = [_Member(as_adapter(adapter)) for adapter in adapters]
        self._cooldown = float(cooldown_seconds)
        self._passing: tuple[type[ModelError], ...] = (ModelUnavailableError, RateLimitError, BadReplyError)
        if on_authentication:
            self._passing = (*self._passing, AuthenticationError)
        self.model = " | ".join(member.name for member in self._members)
        self.endpoint = " | ".join(member.endpoint for member in self._members)
        self.default_options = {
            "fallback": [getattr(member.adapter, "default_options", {}) for member in self._members]
        }

    def __repr__(self) -> str:
        return f"FallbackAdapter({[member.adapter for member in self._members]!r})"

    @cached_property
    def context_window(self) -> int:
        """Tokens that each of the models takes in."""
        return min(member.window for member in self._members)

    @cached_property
    def price(self) -> Price | None:
        """The highest prices among the models, for what a call may cost; None where one is not known."""
        from pyrlm.pricing import highest_price  # noqa: PLC0415 - the table is loaded where it is asked for

        prices = [member.price for member in self._members]
        known = [price for price in prices if price is not None]
        return highest_price(known) if len(known) == len(prices) else None

    def cache_identity(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None = None, **options: Any
    ) -> list[Any]:
        """What of each model can change the answer to a request."""
        return [
            cache_identity(member.adapter, messages, max_tokens, temperature, member.taken(options))
            for member in self._members
        ]

    async def acomplete(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None = None, **options: Any
    ) -> ModelResponse:
        """Ask the first model that is not out.

        Raises:
            ModelError: The last model's error, where all failed; the message holds the reasons of all. Errors that
                asking another model doesn't help are raised as they are.
        """
        self._check(options)
        failed: list[tuple[_Member, ModelError]] = []
        for member in self._order():
            self._tell(failed, member)
            try:
                response = await acomplete(member.adapter, messages, max_tokens, temperature, **member.taken(options))
            except ModelError as error:
                self._note(member, error)
                failed.append((member, error))
                continue
            member.works()
            return member.signed(response)
        raise self._all_failed(failed)

    async def astream(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None = None, **options: Any
    ) -> AsyncGenerator[str | ModelResponse, None]:
        """The same in pieces; once a piece of text was given, no other model is asked."""
        self._check(options)
        failed: list[tuple[_Member, ModelError]] = []
        for member in self._order():
            self._tell(failed, member)
            started = False
            try:
                reply = astream(member.adapter, messages, max_tokens, temperature, **member.taken(options))
                async with aclosing(reply) as items:
                    async for item in items:
                        started = True
                        yield item if isinstance(item, str) else member.signed(item)
            except ModelError as error:
                self._note(member, error)
                if started:
                    raise
                failed.append((member, error))
                continue
            member.works()
            return
        raise self._all_failed(failed)

    def _check(self, options: dict[str, Any]) -> None:
        """An option that one of the models doesn't take is told at once, not in the middle of an outage."""
        for member in self._members:
            for name in member.taken(options):
                if not accepts_option(member.adapter, name):
                    raise ConfigurationError(f"{member.name}: {type(member.adapter).__name__} doesn't take {name!r}.")

    def _order(self) -> Iterator[_Member]:
        """The models to ask, those that are out last."""
        now = time.monotonic()
        resting = [member for member in self._members if member.out_until > now]
        for member in [*(m for m in self._members if m not in resting), *sorted(resting, key=lambda m: m.out_until)]:
            if member.out_until:  # one call tries it; the others leave it alone meanwhile
                member.out_until = time.monotonic() + self._cooldown
            yield member

    def _tell(self, failed: list[tuple[_Member, ModelError]], member: _Member) -> None:
        tell = on_retry.get()
        if tell is None:
            return
        if failed:
            before, error = failed[-1]
            tell(Retry(attempt=len(failed), reason=f"{before.name} is out, asking {member.name}: {error}", delay=0.0))
            return
        first = self._members[0]
        if member is not first:
            left = max(0.0, first.out_until - time.monotonic())
            reason = f"{first.name} is left alone for {left:.0f} s more, asking {member.name}: {first.reason}"
            tell(Retry(attempt=0, reason=reason, delay=0.0))

    def _note(self, member: _Member, error: ModelError) -> None:
        """Remember a model that is out; raise what another model can't help."""
        if not isinstance(error, self._passing):
            member.works()
            raise error
        member.out_until, member.reason = time.monotonic() + self._cooldown, str(error)

    def _all_failed(self, failed: list[tuple[_Member, ModelError]]) -> ModelError:
        last = failed[-1][1]
        reasons = "; ".join(f"{member.name}: {error}" for member, error in failed)
        attempts = sum(error.attempts for _, error in failed)
        told = f"all {len(failed)} models are out: {reasons}"
        kind = next(kind for kind in self._passing if isinstance(last, kind))
        return kind(told, model=self.model, status=last.status, attempts=attempts)


class _Member:
    """One of the models, and whether it is out."""

    def __init__(self, adapter: Any) -> None:
        self.adapter = adapter
        model, endpoint = getattr(adapter, "model", None), getattr(adapter, "endpoint", None)
        self.name = model if isinstance(model, str) else type(adapter).__name__
        self.endpoint = endpoint if isinstance(endpoint, str) else ""
        self.out_until = 0.0
        self.reason = ""

    def taken(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """`options` without the aids that it doesn't take."""
        return {
            name: value for name, value in options.items() if name not in _AIDS or accepts_option(self.adapter, name)
        }

    def works(self) -> None:
        self.out_until, self.reason = 0.0, ""

    def signed(self, response: ModelResponse) -> ModelResponse:
        return replace(response, answered_by=response.answered_by or self.name, price=response.price or self.price)

    @cached_property
    def price(self) -> Price | None:
        from pyrlm.pricing import price_for  # noqa: PLC0415

        own: Price | None = getattr(self.adapter, "price", None)
        return own or price_for(self.name, endpoint=self.endpoint)

    @cached_property
    def window(self) -> int:
        from pyrlm.pricing import window_for  # noqa: PLC0415

        own = getattr(self.adapter, "context_window", None)
        return window_for(self.name, endpoint=self.endpoint, context_window=own).room(0)
