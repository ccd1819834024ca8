"""Which values of headers and environment variables are secrets: told by their names and their form."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from pyrlm.redact import register_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["is_secret", "register_named"]

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PASSWORD = re.compile(r"\w*password|passwd|pwd|passphrase|credentials?|(?:pg|db)pass")
_SAYS_SO = re.compile(
    r"secrets?|\w*token|(?:api|access|auth|private|secret|session)keys?|authorization|bearer|\w*cookie"
)
_BEFORE_KEY = frozenset({"api", "access", "auth", "private", "secret", "session"})
_PERHAPS = frozenset({"key", "keys", "tokens", "auth", "pass"})
_ABOUT = frozenset(
    [
        *("count", "dir", "file", "format", "header", "host", "length", "limit", "max", "method", "mode", "name"),
        *("path", "size", "sock", "socket", "timeout", "ttl", "type", "uri", "url", "user"),
    ]
)
"""Last words of names that tell something about a secret and hold none: TOKEN_LIMIT, SSL_KEY_FILE, SSH_AUTH_SOCK."""
_NUMBER = re.compile(r"[-+]?[\d.,_]+(?:[eE][-+]?\d+)?[a-zA-Z%]{0,2}")
_SETTINGS = frozenset({"default", "disabled", "enabled", "optional", "required"})
_LEAST = 6
_LEAST_PERHAPS = 8


def register_named(named: Mapping[str, str]) -> None:
    """Register the values that are secrets, see `is_secret`; of ``Bearer sk-1`` also what stands after the space."""
    for name, value in named.items():
        if isinstance(value, str) and is_secret(name, value):
            register_secret(value)
            register_secret(value.rpartition(" ")[2])


def is_secret(name: str, value: str) -> bool:
    """Tell whether `value` is a secret, where a header or an environment variable of this name holds it.

    The name has to have a word for it: ``MONKEY`` and ``KEYBOARD`` have none, and ``TOKEN_LIMIT`` is about one. Numbers
    (``MAX_THINKING_TOKENS=100000``) and words such as ``disabled`` are none, but for passwords of eight digits or more.
    API_KEY, TOKEN, PASSWORD, Authorization and the like are clear; behind other names with such a word, as SORT_KEY, an
    identifier without a digit is none, nor is anything under eight characters.
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or words[-1] in _ABOUT or len(value) < _LEAST or value.lower() in _SETTINGS:
        return False
    number = _NUMBER.fullmatch(value) is not None
    if any(map(_PASSWORD.fullmatch, words)):
        return not number or len(value) >= _LEAST_PERHAPS
    if number:
        return False
    pairs = pairwise(words)
    if any(map(_SAYS_SO.fullmatch, words)) or any(a in _BEFORE_KEY and b in {"key", "keys"} for a, b in pairs):
        return True
    if not _PERHAPS.intersection(words):
        return False
    return len(value) >= _LEAST_PERHAPS and (not value.isidentifier() or any(map(str.isdigit, value)))
