"""Keys that go out with a request: registered before anything can show them, and kept out of the log of the libraries below."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pyrlm.redact import register_secret
from pyrlm.redacted_logs import keep_logs_clean
from pyrlm.secret_names import register_named
from pyrlm.secret_values import register_address

__all__ = ["keep_secret", "register_options", "register_sent"]

_NO_SECRETS = frozenset({"prompt_cache_key", "safety_identifier"})  # OpenAI's names for labels
_LOGGERS = ("httpx2", "openai._base_client", "anthropic._base_client")


def keep_secret(options: Mapping[str, Any], client: Any) -> None:
    """Register what is secret in an adapter's options and in the client that was handed in, if any."""
    register_options(options)
    if client is not None:
        _register_client(client)
    keep_logs_clean(*_LOGGERS)


def register_options(value: Any) -> None:
    """Register the secrets among options, nested ones too: headers, parameters of the address, keys in the body."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if isinstance(item, str) and name not in _NO_SECRETS:
                register_named({str(name): item})
            else:
                register_options(item)
    elif isinstance(value, list | tuple):
        for item in value:
            register_options(item)


def _register_client(client: Any) -> None:
    """Register the secrets of an SDK's client that was handed in."""
    for name in ("api_key", "auth_token"):
        key = getattr(client, name, None)
        register_secret(key if isinstance(key, str) else None)
    for name in ("default_headers", "default_query"):
        register_options(getattr(client, name, None))
    register_address(str(getattr(client, "base_url", "")))


def register_sent(request: Any) -> None:
    """Register the secrets of a request that was sent: those that a function or the SDK has put there too."""
    for name, value in request.headers.items():
        _register_header(name, value)


@lru_cache(maxsize=512)
def _register_header(name: str, value: str) -> None:
    register_named({name: value})
