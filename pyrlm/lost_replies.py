"""Replies that began and broke off: their provider may bill them, so they are charged and leave less for the next try."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pyrlm.adapters.base import Retry, Usage, on_loss, on_retry
from pyrlm.errors import PyRLMError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pyrlm.adapters.base import ModelResponse
    from pyrlm.budget import Budget, Reservation
    from pyrlm.models import Model

__all__ = ["LostReplies"]


class _AskAgain(PyRLMError):  # noqa: N818 - it reaches no user
    """The request is to be made anew, with the smaller cap that is left; caught where the call is made."""

    def __init__(self, delay: float) -> None:
        super().__init__("the next request may ask for less than this one")
        self.delay = delay


class LostReplies:
    """What one call has lost so far.

    Args:
        budget: Is charged.
        reservation: That of the call.
        model: Is asked.
        tell: Gets what a call that failed for good has lost.

    Attributes:
        reservation: That of the call; its cap becomes smaller with what is lost.
        usage: Upper bound of the prompts of the replies that broke off, and what had come of these; estimated.
        cost_usd: What that costs; None where the price is not known.
    """

    def __init__(
        self, budget: Budget, reservation: Reservation, model: Model, tell: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self.reservation = reservation
        self._budget, self._model, self._tell = budget, model, tell
        self._prompt_tokens = reservation.prompt_tokens
        self._not_held = 0
        self.usage = Usage()
        self.cost_usd: float | None = 0.0

    def add(self, text: str) -> None:
        """Take in that a reply broke off after `text`."""
        output = self._model.counter.count(text) if text else 0
        lost = Usage(input_tokens=self._prompt_tokens, output_tokens=output, estimated=True)
        self.usage += lost
        self._not_held += lost.total_tokens
        price = self._model.price
        self.cost_usd = None if price is None or self.cost_usd is None else self.cost_usd + price.cost(lost)

    async def repeated(
        self, ask: Callable[[int], Awaitable[ModelResponse]], told: Callable[[Retry], None]
    ) -> ModelResponse:
        """Return the reply of `ask`, given its cap, with what is lost meanwhile taken off the budget.

        Args:
            ask: Asks an adapter, which may repeat its request.
            told: Gets each repetition.

        Raises:
            PolicyError: A limit leaves no room to ask again.
            ModelError: The call failed for good.
        """

        def before_retry(retry: Retry) -> None:
            told(retry)
            self._make_room(retry)

        tokens = on_retry.set(before_retry), on_loss.set(self.add)
        try:
            while True:
                try:
                    return await ask(self.reservation.max_tokens)
                except _AskAgain as again:
                    await asyncio.sleep(again.delay)
        finally:
            on_retry.reset(tokens[0])
            on_loss.reset(tokens[1])

    def charged(self) -> dict[str, Any]:
        """Charge a call that failed for good with what it lost; return that as the trace has it, nothing for nothing."""
        if not self.usage.total_tokens:
            return {}
        self._budget.settle(self.reservation, self.usage, self.cost_usd)
        charged = {"usage": self.usage, "cost_usd": self.cost_usd}
        self._tell(charged)
        return charged

    def _make_room(self, retry: Retry) -> None:
        """Hold what was lost beside the request that is about to be made.

        Raises:
            PolicyError: A limit leaves no room for that request.
            _AskAgain: It leaves room for a shorter reply; the reservation has its cap.
        """
        if not self._not_held:
            return
        lost, self._not_held = self._not_held, 0
        before = self.reservation.max_tokens
        self._budget.hold_lost(self.reservation, lost)
        if self.reservation.max_tokens < before:
            raise _AskAgain(retry.delay)
