"""Keeps API keys out of traces, logs, error messages, files of runs and sandboxes."""

from __future__ import annotations

import json

__all__ = ["known_secrets", "redact", "register_secret"]

_MIN_LENGTH = 6  # shorter strings ("none", "key") are placeholders of local servers and would blank ordinary words
_PLACEHOLDERS = frozenset({"ollama", "lm-studio", "not-needed", "no-key-required", "sk-no-key-required"})
"""Keys that the guides to local servers tell people to give; words of any text about them."""
_secrets: set[str] = set()
_longest_first: list[tuple[str, ...]] = [()]
"""One tuple, put in the place of the last as a whole: other threads may be reading it."""


def register_secret(value: str | None) -> None:
    """Remember `value` (an API key) for the life of the process, so that `redact` removes it, also where it was escaped.

    Values under six characters (`"none"`) and the usual placeholders (`"ollama"`) are left alone.
    """
    if value and len(value) >= _MIN_LENGTH and value not in _secrets and value not in _PLACEHOLDERS:
        from urllib.parse import quote  # noqa: PLC0415 - 3 ms, which `import pyrlm` need not wait for

        _secrets.update((value, repr(value)[1:-1], json.dumps(value)[1:-1], quote(value, safe="")))
        _longest_first[0] = tuple(sorted(_secrets, key=lambda secret: (-len(secret), secret)))


def known_secrets() -> tuple[str, ...]:
    """Return all that is registered, in every form, longer ones first."""
    return _longest_first[0]


def redact(text: str) -> str:
    """Return `text` with every registered secret replaced by ``[secret]``.

    Longer ones go first: of a secret that holds another nothing is left over, and the text is the same in every process.
    """
    for secret in _longest_first[0]:
        if secret in text:
            text = text.replace(secret, "[secret]")
    return text
