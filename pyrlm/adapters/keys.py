"""Where an adapter finds its key and its address, and what may stand in them."""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pyrlm.errors import ConfigurationError
from pyrlm.redact import redact, register_secret
from pyrlm.secret_names import register_named
from pyrlm.secret_values import register_address

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["PLACEHOLDER", "check_key", "check_url", "find_key", "first_set", "register_headers"]

PLACEHOLDER = "none"
"""Sent to local servers, which take any key."""


def first_set(variables: Sequence[str]) -> str | None:
    """Value of the first of these environment variables that is set to something."""
    return next((value for name in variables if (value := os.environ.get(name, "").strip())), None)


def find_key(given: str | None, variables: Sequence[str], url: str) -> str:
    """The key: the one given, else of the first variable that is set, else for local servers a placeholder.

    Raises:
        ConfigurationError: There is none, or it can't be sent as a header.
    """
    key = given or first_set(variables)
    if not key:
        if _is_local(url):
            return PLACEHOLDER
        raise ConfigurationError(
            f"no API key for {url}: set {' or '.join(variables) or 'the variable of your provider'}, or pass api_key. "
            'A server that takes any key: api_key="none".'
        )
    return check_key(key)


def check_key(key: str) -> str:
    """The key without white space around it, registered as a secret.

    Raises:
        ConfigurationError: It can't be sent as a header; the message doesn't show it.
    """
    key = key.strip()
    register_secret(key)
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError("api_key: the key is empty or holds characters that no key has; copy it again.")
    return key


def check_url(url: str, name: str = "base_url") -> str:
    """The URL without a slash at its end.

    Raises:
        ConfigurationError: It is no address of a server, or holds a key (errors and logs show addresses).
    """
    register_address(url.strip())
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        raise ConfigurationError(f"{name}: expected an address such as https://api.example.com/v1.") from None
    server = parts.scheme in {"http", "https"} and parts.hostname
    if "@" in parts.netloc or parts.query or parts.fragment or ("@" in url and not server):
        raise ConfigurationError(
            f"{name}: an address with a user, password, query or fragment may hold a key; pass api_key or headers, and "
            "an address such as https://api.example.com/v1."
        )
    if not server:
        raise ConfigurationError(f"{name}={redact(url)!r}: expected an address such as https://api.example.com/v1.")
    return url.strip().rstrip("/")


def register_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """A copy of `headers`, the values that are secrets registered as such.

    Raises:
        ConfigurationError: A value can't be sent as a header.
    """
    headers = dict(headers or {})
    for name, value in headers.items():
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise ConfigurationError(f"header {name!r}: expected a string of printable ASCII characters.")
    register_named(headers)
    return headers


def _is_local(url: str) -> bool:
    """Whether the server is on this machine or a private network."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal"))
