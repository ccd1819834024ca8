"""Look-ups in the bundled table of the package genai-prices: no network, no update thread."""

from __future__ import annotations

import importlib.metadata
import ipaddress
import re
import threading
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_prices.types import ModelInfo, Provider

__all__ = ["Entry", "TableInfo", "find_entries", "is_local", "preload", "table_info"]


Origin = Literal["asked", "vendor", "others"]


@dataclass(frozen=True, slots=True)
class TableInfo:
    """Which table is installed.

    Attributes:
        name: Package and version.
        date: The newest price change that the table holds and that was in force when it was installed (ISO 8601).
        models: Number of entries.
    """

    name: str
    date: str
    models: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """US dollars per million tokens for prompts of more than `above_tokens` tokens."""

    above_tokens: int
    input: float
    output: float
    cached: float | None
    written: float | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of one provider.

    Attributes:
        provider: The provider's id in the table.
        model: The table's record.
        origin: Whose numbers these are: ``"asked"``, the provider's that serves the request; ``"vendor"``, the list
            of the model's own vendor; ``"others"``, other providers' of the same name.
    """

    provider: str
    model: ModelInfo
    origin: Origin

    def prices(self) -> list[Rates] | None:
        """Return the prices of now, first the ordinary ones, then those of long prompts; None where there are none."""
        from genai_prices.types import TieredPrices  # noqa: PLC0415

        if not self.model.prices:
            return None
        listed = self.model.get_prices(datetime.now(tz=UTC))
        found = (listed.input_mtok, listed.output_mtok, listed.cache_read_mtok, listed.cache_write_mtok)
        starts = {tier.start for value in found if isinstance(value, TieredPrices) for tier in value.tiers}
        rates = []
        for start in (0, *sorted(starts)):
            prompt, reply, cached, written = (_at(value, start + 1 if start else 0) for value in found)
            if prompt is None or reply is None:
                return None
            rates.append(Rates(above_tokens=start, input=prompt, output=reply, cached=cached, written=written))
        return rates


def preload() -> None:
    """Load the table in the background: it takes some 0.3 s, which need not stand before the first request."""
    threading.Thread(target=_providers, name="pyrlm-prices", daemon=True).start()


@cache
def _providers() -> list[Provider]:
    from genai_prices.data import providers  # noqa: PLC0415 - 0.3 s, only where prices are asked for

    return providers


@cache
def table_info() -> TableInfo:
    """Describe the installed table."""
    import genai_prices.data as module  # noqa: PLC0415
    from genai_prices.types import StartDateConstraint  # noqa: PLC0415

    installed = datetime.fromtimestamp(Path(module.__file__).stat().st_mtime, tz=UTC).date()
    changes: list[date] = []
    for provider in _providers():
        for model in provider.models:
            if isinstance(model.prices, list):
                constraints = (price.constraint for price in model.prices)
                changes += [item.start_date for item in constraints if isinstance(item, StartDateConstraint)]
    newest = max((change for change in changes if change <= installed), default=installed)
    version = importlib.metadata.version("genai-prices")
    return TableInfo(f"genai-prices {version}", newest.isoformat(), sum(len(item.models) for item in _providers()))


def is_local(endpoint: str) -> bool:
    """Tell whether an endpoint's host is this machine or a private network."""
    host = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}").hostname or ""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost" or host.endswith((".local", ".localhost", ".internal")) or "." not in host


@lru_cache(maxsize=1024)
def find_entries(model: str, provider: str | None, endpoint: str | None) -> tuple[Entry, ...]:
    """Return the table's entries for a model, the best first.

    The entry of the provider that serves the endpoint (or that is named) comes first, then that of the model's own
    vendor. Only where neither is there do the other providers' entries of the same name follow.
    """
    name = model.lower().strip()
    home = _by_id(provider) if provider is not None else _by_endpoint(endpoint) if endpoint is not None else None
    found = list(_in_providers([home], name, "asked")) if home is not None else []
    bare = name.rsplit("/", 1)[-1]
    vendors = [item for item in _providers() if item.model_match is not None and item.model_match.is_match(bare)]
    # Without provider and endpoint the vendor is the one that is meant.
    origin: Origin = "asked" if provider is None and endpoint is None else "vendor"
    listed = _in_providers(vendors, bare, origin)
    found += [entry for entry in listed if all(entry.model is not got.model for got in found)]
    return tuple(found or _by_bare_name(bare))


def _in_providers(providers: list[Provider], name: str, origin: Origin) -> Iterator[Entry]:
    for provider in providers:
        model = provider.find_model(name, all_providers=_providers())
        if model is not None:
            yield Entry(provider.id, model, origin)


def _by_bare_name(bare: str) -> Iterator[Entry]:
    for provider in _providers():
        for model in provider.models:
            if model.id.lower().rsplit("/", 1)[-1] == bare:
                yield Entry(provider.id, model, "others")


def _by_id(provider: str) -> Provider | None:
    name = provider.lower().strip()
    return next((item for item in _providers() if item.id == name), None)


def _by_endpoint(endpoint: str) -> Provider | None:
    return next((item for item in _providers() if re.match(item.api_pattern, endpoint)), None)


def _at(value: Any, prompt_tokens: int) -> float | None:
    """Return a price, which may depend on the prompt's size, as a number."""
    for tier in reversed(getattr(value, "tiers", [])):
        if prompt_tokens > tier.start:
            return float(tier.price)
    value = getattr(value, "base", value)
    return None if value is None else float(value)
