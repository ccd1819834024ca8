"""Serves the names of the Context API from the host, for backends that hold no text near the code."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

from pyrlm.repl.common import text_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrlm.context import Context
    from pyrlm.repl.protocol import HostFunction

__all__ = ["context_functions"]

_SLOW = frozenset({"ctx.find", "ctx.chunk", "ctx.chunk_documents", "extract_after"})  # passes over the whole text


def context_functions(context: Context) -> dict[str, HostFunction]:
    """Return `peek`, `tail`, `lenP`, `extract_after`, `pick_first_answer` and the methods of `ctx` as host functions.

    Args:
        context: The text that they serve; it is not joined. Passes over the whole of it run in a thread.
    """
    names = text_names(context.api) | {"ctx.metadata": context.metadata}
    return {name: _threaded(function) if name in _SLOW else _direct(function) for name, function in names.items()}


def _direct(function: Callable[..., Any]) -> HostFunction:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


def _threaded(function: Callable[..., Any]) -> HostFunction:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(function, *args, **kwargs)

    return call
