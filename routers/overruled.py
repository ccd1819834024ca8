"""An adapter with the caller's own numbers in the place of what is known of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrlm.adapters.calling import as_adapter

if TYPE_CHECKING:
    from pyrlm.pricing import Price

__all__ = ["with_numbers"]


def with_numbers(adapter: Any, *, price: Price | None, context_window: int | None) -> Any:
    """Return `adapter`, or that of the name given, with these attributes; itself where there is nothing to put in."""
    adapter = None if adapter is None else as_adapter(adapter)
    known = {"price": price, "context_window": context_window}
    given = {name: value for name, value in known.items() if value is not None}
    if adapter is None or not given:
        return adapter
    named = type(type(adapter).__qualname__, (_Overruled,), {})  # its name stands in messages and in the cache's key
    return named(adapter, given)


class _Overruled:
    """Passes everything on to the adapter, except for the attributes that were given."""

    def __init__(self, adapter: Any, given: dict[str, Any]) -> None:
        self.__dict__.update(given)
        self._pyrlm_adapter = adapter

    def __getattr__(self, name: str) -> Any:
        if name == "_pyrlm_adapter":  # not there yet: while being copied or unpickled
            raise AttributeError(name)
        return getattr(self._pyrlm_adapter, name)
