"""Keeps API keys out of traces, logs, error messages and sandboxes."""

from __future__ import annotations

__all__ = ["redact", "register_secret"]

_MIN_LENGTH = 6  # shorter strings ("none", "key") are placeholders of local servers and would blank ordinary words
_secrets: set[str] = set()


def register_secret(value: str | None) -> None:
    """Remember `value` (an API key) for the life of the process, so that `redact` removes it.

    Values under six characters are placeholders (`"none"`) and are left alone.
    """
    if value and len(value) >= _MIN_LENGTH:
        _secrets.add(value)


def redact(text: str) -> str:
    """Return `text` with every registered secret replaced by ``[secret]``."""
    for secret in _secrets:
        if secret in text:
            text = text.replace(secret, "[secret]")
    return text
