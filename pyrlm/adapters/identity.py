"""What tells models apart that go by one name at one address: part of the key under which replies are cached."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import CodeType

    from pyrlm.adapters.base import Message

__all__ = ["cache_identity", "client_identity", "code_digest", "digest", "headers_digest", "own_identity"]

# Who pays, and how it is sent: not what is answered. A new key or token leaves the cache as it is.
_NOT_OF_THE_ANSWER = frozenset(
    {"authorization", "api-key", "x-api-key", "user-agent", "accept", "content-type", "content-length"}
)


def cache_identity(
    adapter: Any,
    messages: Sequence[Message],
    max_tokens: int,
    temperature: float | None,
    options: Mapping[str, Any],
) -> list[Any]:
    """What of `adapter` can change its answer to this request, beside model, endpoint and options: JSON types.

    Raises:
        Exception: What a function of the adapter's raises.
    """
    kind = type(adapter)
    own = getattr(adapter, "cache_identity", None)
    told = own(messages, max_tokens, temperature, **options) if callable(own) else None
    return [f"{kind.__module__}.{kind.__qualname__}", told]


def digest(value: Any) -> str:
    """A hash of JSON types, in place of values that may be secret."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def headers_digest(headers: Mapping[str, Any]) -> str:
    """A hash of those HTTP headers that can change an answer: gateways choose the model by some."""
    named = {name.lower(): value for name, value in headers.items() if isinstance(value, str)}  # or the SDK's Omit
    chosen = {
        name: value
        for name, value in named.items()
        if name not in _NOT_OF_THE_ANSWER and not name.startswith("x-stainless-")
    }
    return digest(chosen)


def own_identity(headers: Mapping[str, str], **further: Any) -> dict[str, Any]:
    """What of an adapter that makes its own client can change an answer."""
    return {"headers": headers_digest(headers), **further}


def client_identity(client: Any) -> dict[str, str]:
    """What of an SDK's client that was handed in can change an answer."""
    headers, query = getattr(client, "default_headers", None), getattr(client, "default_query", None)
    return {
        "headers": headers_digest(headers or {}),
        "query": digest({str(k): str(v) for k, v in (query or {}).items()}),
    }


def code_digest(function: Callable[..., Any] | None) -> str:
    """A hash of what a function does, as far as its code and the plain values that it holds tell."""
    return digest(_described(function))


def _described(value: Any) -> Any:
    if isinstance(value, functools.partial):
        return [_described(value.func), _described(value.args), _described(value.keywords)]
    function = getattr(value, "__func__", value)
    code = getattr(function, "__code__", None)
    if code is not None:
        held = [_held(cell) for cell in function.__closure__ or ()]
        given = [function.__defaults__, function.__kwdefaults__]
        return [function.__module__, function.__qualname__, _of_code(code), _described(held), _described(given)]
    if isinstance(value, dict | list | tuple):
        return [_described(item) for item in (value.items() if isinstance(value, dict) else value)]
    if isinstance(value, set | frozenset):
        return sorted(repr(item) for item in value)
    if value is None or isinstance(value, str | int | float | bytes):
        return repr(value)
    kind = value if isinstance(value, type) else type(value)
    return [kind.__module__, kind.__qualname__, getattr(value, "__name__", "")]


def _of_code(code: CodeType) -> list[Any]:
    # Not its file and lines: a function that was moved does what it did.
    consts = [_of_code(item) if hasattr(item, "co_code") else _described(item) for item in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), consts]


def _held(cell: Any) -> Any:
    try:
        value = cell.cell_contents
    except ValueError:  # not set yet
        return None
    return value if not callable(value) else getattr(value, "__qualname__", "")
