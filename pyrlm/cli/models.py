"""From ``--model provider:name`` to adapters, and from ``--price IN,OUT`` to prices."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pyrlm.errors import ConfigurationError

if TYPE_CHECKING:
    from pyrlm.pricing import Price
    from pyrlm.routers import RouterConfig

__all__ = ["adapters_for", "config_of"]


def adapters_for(model: str | None, sub_model: str | None) -> tuple[Any, Any]:
    """Return the root adapter, and the sub-calls' one or None.

    Raises:
        ConfigurationError: No model was named, or the provider is not known or has no key.
    """
    from pyrlm.adapters import get_adapter  # noqa: PLC0415

    name = model or os.environ.get("PYRLM_MODEL")
    if not name:
        raise ConfigurationError(
            "No model was named. Use --model provider:name (openai:gpt-4.1, ollama:llama3.2, …) or set PYRLM_MODEL; "
            "`--model extractive` works offline, without a key, by matching words."
        )
    return get_adapter(name), get_adapter(sub_model) if sub_model else None


def config_of(price: str | None, subcall_price: str | None, sub_model: str | None) -> RouterConfig:
    """Return the router's thresholds with the prices that were given.

    Raises:
        ConfigurationError: A price can't be read, or there is no model that it is of.
    """
    from pyrlm.routers import RouterConfig  # noqa: PLC0415 - after the arguments were read, so that --help is quick

    if subcall_price is not None and sub_model is None:
        raise ConfigurationError("--subcall-price is the price of --sub-model, which is not given; use --price.")
    return RouterConfig(price=_price("--price", price), subcall_price=_price("--subcall-price", subcall_price))


def _price(option: str, given: str | None) -> Price | None:
    if given is None:
        return None
    from pyrlm.pricing import Price  # noqa: PLC0415 - as above

    numbers = given.split(",")
    try:
        inputs, outputs = map(float, numbers)
        return Price(input_usd_per_mtok=inputs, output_usd_per_mtok=outputs)
    except (ValueError, ConfigurationError):
        raise ConfigurationError(
            f"{option} {given}: expected two numbers of 0 or more, US dollars per million tokens of input and of output: "
            f"{option} 2.50,10"
        ) from None
