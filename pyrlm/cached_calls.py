"""Under which key the cache keeps a call's reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyrlm.adapters.identity import cache_identity

if TYPE_CHECKING:
    from pyrlm.cache import DiskCache
    from pyrlm.calls import Call
    from pyrlm.models import Model

__all__ = ["key_of"]


def key_of(cache: DiskCache | None, model: Model, call: Call) -> str | None:
    """Return the key of a call; None for one that is not cached.

    Raises:
        ConfigurationError: An option is of no JSON type.
    """
    if cache is None or not call.cached:
        return None
    adapter = model.adapter
    try:
        identity = cache_identity(adapter, call.messages, call.max_tokens, call.temperature, call.options)
    except Exception:  # noqa: BLE001 - a function of the user's may raise anything, and does so again in the call
        return None
    return cache.key(
        endpoint=model.endpoint,
        adapter=type(adapter).__qualname__,
        model=model.name,
        messages=list(call.messages),
        max_tokens=call.max_tokens,
        temperature=call.temperature,
        options={**getattr(adapter, "default_options", {}), **call.options},
        identity=identity,
    )
