"""What a model costs and how much it can take in, from a table that is installed with pyrlm; never from the network.

Order: the caller's own numbers (an override, or an adapter's attributes `price` and `context_window`), then the table
of the package genai-prices, of which only the bundled data is used.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from pyrlm.errors import ConfigurationError
from pyrlm.price_table import TableInfo, find_entries, is_local, preload, table_info

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrlm.adapters.base import Usage

__all__ = [
    "UNKNOWN_WINDOW",
    "Price",
    "PriceTier",
    "TableInfo",
    "Window",
    "highest_price",
    "preload",
    "price_for",
    "table_info",
    "window_for",
]

_log = logging.getLogger(__name__)
_MTOK = 1_000_000

_PRICES = ("input_usd_per_mtok", "output_usd_per_mtok", "cached_input_usd_per_mtok", "cache_write_usd_per_mtok")
_AGREE = 1.1
# Tokens of the longest reply, which the table's windows of these models contain (OpenAI's model pages: GPT-5 takes in
# 272,000 of its 400,000). The first match counts.
_REPLY_LIMITS = (("gpt-5", 128_000),)

UNKNOWN_WINDOW = 8_192
"""Tokens that a model of unknown window is trusted with: the smallest that current hosted and local models share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTier:
    """Prices that hold for a whole call once its prompt has more than `above_tokens` tokens."""

    above_tokens: int
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float | None = None
    cache_write_usd_per_mtok: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Price of a model in US dollars per million tokens.

    Attributes:
        input_usd_per_mtok: Prompt tokens.
        output_usd_per_mtok: Completion tokens, reasoning included.
        cached_input_usd_per_mtok: Prompt tokens read from the provider's prompt cache; None: as other prompt tokens.
        cache_write_usd_per_mtok: Prompt tokens that the provider writes to its cache, where it charges more for them.
            Providers don't say in advance which these are, so `upper_cost` takes all for written; None: as others.
        tiers: Higher prices of long prompts, in rising order of `above_tokens`.
        source: Where the price is from: ``"caller"``, or the table and its entry.
        date: Date of the table (ISO 8601); empty where the caller gave the price.

    Raises:
        ConfigurationError: A price is negative or no number.
    """

    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float | None = None
    cache_write_usd_per_mtok: float | None = None
    tiers: tuple[PriceTier, ...] = ()
    source: str = "caller"
    date: str = ""

    def __post_init__(self) -> None:
        for name in _PRICES:
            value = getattr(self, name)
            if value is None and name.startswith("cache"):
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
                raise ConfigurationError(f"Price({name}={value!r}): expected US dollars per million tokens, 0 or more.")

    def cost(self, usage: Usage) -> float:
        """Return the cost of `usage` in US dollars; its tokens are taken as one call's."""
        tier = self._tier(usage.input_tokens)
        cached_price, written_price = tier.cached_input_usd_per_mtok, tier.cache_write_usd_per_mtok
        cached = min(usage.cached_input_tokens, usage.input_tokens)
        written = min(usage.written_input_tokens, usage.input_tokens - cached)
        return (
            (usage.input_tokens - cached - written) * tier.input_usd_per_mtok
            + cached * (tier.input_usd_per_mtok if cached_price is None else cached_price)
            + written * (tier.input_usd_per_mtok if written_price is None else written_price)
            + usage.output_tokens * tier.output_usd_per_mtok
        ) / _MTOK

    def upper_cost(self, prompt_tokens: int, max_tokens: int) -> float:
        """Return the most that a call of at most these tokens can cost, in US dollars."""
        kinds: list[Price | PriceTier] = [self, *(tier for tier in self.tiers if prompt_tokens > tier.above_tokens)]
        highest_input = max(
            max(kind.input_usd_per_mtok, kind.cached_input_usd_per_mtok or 0.0, kind.cache_write_usd_per_mtok or 0.0)
            for kind in kinds
        )
        highest_output = max(kind.output_usd_per_mtok for kind in kinds)
        return (prompt_tokens * highest_input + max_tokens * highest_output) / _MTOK

    def _tier(self, prompt_tokens: int) -> Price | PriceTier:
        reached = [tier for tier in self.tiers if prompt_tokens > tier.above_tokens]
        return reached[-1] if reached else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How many tokens a model can take in and give back.

    Attributes:
        total_tokens: Prompt and reply together.
        input_limit: The prompt alone; by default the total.
        output_limit: The reply alone; None: not known.
        source: Where the numbers are from; ``"unknown"`` for a guess that is meant to be safe.
        date: Date of the source (ISO 8601); empty for the caller's own numbers and for guesses.
    """

    total_tokens: int
    input_limit: int = 0
    output_limit: int | None = None
    source: str = "caller"
    date: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.total_tokens, bool) or not isinstance(self.total_tokens, int) or self.total_tokens < 1:
            raise ConfigurationError(f"Window(total_tokens={self.total_tokens!r}): expected a whole number of tokens.")
        if not self.input_limit:
            object.__setattr__(self, "input_limit", self.total_tokens)

    def room(self, reply_tokens: int) -> int:
        """Return the prompt tokens that fit beside a reply of `reply_tokens`; at least 0."""
        reply = reply_tokens if self.output_limit is None else min(reply_tokens, self.output_limit)
        return max(0, min(self.total_tokens - reply, self.input_limit))


def price_for(
    model: str | None,
    *,
    provider: str | None = None,
    endpoint: str | None = None,
    overrides: Mapping[str, Price] | None = None,
) -> Price | None:
    """Return the price of a model, or None where it is not known.

    A model behind an endpoint on this machine or a private network has no known price, whatever its name: what it
    costs, nothing included, is for the caller to say. A model behind a public endpoint that the table doesn't know
    gets its vendor's list price, and `source` says so.

    Args:
        model: Name as sent to the provider.
        provider: Provider's id in the table (``"openai"``, ``"azure"``, ``"openrouter"``), where known.
        endpoint: Base URL of the requests, where known.
        overrides: The caller's own prices by model name.
    """
    if model is None:
        return None
    if overrides is not None and model in overrides:
        return overrides[model]
    if endpoint is not None and is_local(endpoint):
        return None
    return _listed_price(model, provider, endpoint)


def window_for(
    model: str | None,
    *,
    provider: str | None = None,
    endpoint: str | None = None,
    overrides: Mapping[str, Window | int] | None = None,
    context_window: Window | int | None = None,
) -> Window:
    """Return what a model can take in.

    The caller's own number comes first, then what the endpoint reports, then the table. Where the table's entries
    differ, the smallest counts and `source` says so. A model that none of them knows, or that runs behind an endpoint
    on this machine or a private network (where the server's settings decide), gets `UNKNOWN_WINDOW` and a warning in
    the log.

    Args:
        model: Name as sent to the provider.
        provider: Provider's id in the table, where known.
        endpoint: Base URL of the requests, where known.
        overrides: The caller's own windows by model name; a number is the total in tokens.
        context_window: The caller's own number for this model, or what its endpoint reports; total in tokens.
    """
    own = (overrides or {}).get(model or "", context_window)
    if own is not None:
        return own if isinstance(own, Window) else Window(total_tokens=own)
    local = endpoint is not None and is_local(endpoint)
    listed = None if model is None or local else _listed_window(model, provider, endpoint)
    return listed if listed is not None else _unknown_window(model or "unnamed")


def highest_price(prices: Sequence[Price]) -> Price:
    """Return the prices that no call to any of several models passes."""
    starts = sorted({tier.above_tokens for price in prices for tier in price.tiers})
    return Price(
        **_highest(prices),
        tiers=tuple(
            PriceTier(above_tokens=start, **_highest([price._tier(start + 1) for price in prices]))  # noqa: SLF001
            for start in starts
        ),
        source="highest of " + ", ".join(price.source for price in prices),
        date=min(price.date for price in prices),
    )


def _highest(kinds: Sequence[Price | PriceTier]) -> dict[str, float]:
    # A cached or written token without a price of its own costs what others do.
    return {
        name: max(kind.input_usd_per_mtok if (own := getattr(kind, name)) is None else own for kind in kinds)
        for name in _PRICES
    }


@lru_cache(maxsize=1024)
def _listed_price(model: str, provider: str | None, endpoint: str | None) -> Price | None:
    for entry in find_entries(model, provider, endpoint):
        prices = entry.prices() if entry.origin != "others" else None
        if prices is None:
            continue
        base, *tiers = prices
        note = "" if entry.origin == "asked" else " (list price; the endpoint is not in the table)"
        return Price(
            input_usd_per_mtok=base.input,
            output_usd_per_mtok=base.output,
            cached_input_usd_per_mtok=base.cached,
            cache_write_usd_per_mtok=base.written,
            tiers=tuple(
                PriceTier(
                    above_tokens=tier.above_tokens,
                    input_usd_per_mtok=tier.input,
                    output_usd_per_mtok=tier.output,
                    cached_input_usd_per_mtok=tier.cached,
                    cache_write_usd_per_mtok=tier.written,
                )
                for tier in tiers
            ),
            source=f"{table_info().name}, {entry.provider} {entry.model.id}{note}",
            date=table_info().date,
        )
    return None


@lru_cache(maxsize=1024)
def _listed_window(model: str, provider: str | None, endpoint: str | None) -> Window | None:
    known = [
        (entry.model.context_window, f"{entry.provider} {entry.model.id}")
        for entry in find_entries(model, provider, endpoint)
        if entry.model.context_window
    ]
    if not known:
        return None
    total, name = min(known)
    highest, other = max(known)
    differ = f"; smallest of {len(known)}, {other} says {highest:,}" if highest > _AGREE * total else ""
    reply = next((limit for start, limit in _REPLY_LIMITS if model.rsplit("/", 1)[-1].lower().startswith(start)), None)
    inside = reply is not None and total > 2 * reply
    return Window(
        total_tokens=total,
        input_limit=total - reply if inside and reply is not None else total,
        output_limit=reply if inside else None,
        source=f"{table_info().name}, {name}{differ}{'; less the reply, which it contains' if inside else ''}",
        date=table_info().date,
    )


@lru_cache(maxsize=1024)
def _unknown_window(model: str) -> Window:
    _log.warning(
        "The context window of model %r is not known: %d tokens are assumed. Give it as `context_window=` to the "
        "adapter or the router.",
        model,
        UNKNOWN_WINDOW,
    )
    return Window(total_tokens=UNKNOWN_WINDOW, source="unknown")
