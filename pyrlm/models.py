"""A model as a run knows it: an adapter with name, price, window and tokenizer."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from pyrlm.adapters.base import Usage
from pyrlm.adapters.calling import check_adapter
from pyrlm.pricing import price_for, window_for
from pyrlm.tokens import counter_for

if TYPE_CHECKING:
    from pyrlm.adapters.base import ModelResponse
    from pyrlm.pricing import Price, Window
    from pyrlm.tokens import TokenCounter

__all__ = ["Model"]


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

    def once_paid(self, response: ModelResponse) -> dict[str, Any]:
        """Return what a reply from the cache has once been paid for, and so has saved now, for the trace."""
        usage, price = Usage.parse(response.usage), self.price_of(response)
        if usage is None:
            return {}
        saved = {"saved_tokens": usage.total_tokens}
        return saved if price is None else {**saved, "saved_usd": price.cost(usage)}

    @cached_property
    def window(self) -> Window:
        """What the model can take in, with source and date; conservative where the model is not known."""
        own = self._window or getattr(self.adapter, "context_window", None)
        return window_for(self.name, endpoint=self.endpoint, context_window=own)
