"""Checks what model-written code passes to the functions that ask models; a mistake is an error that says how it is done."""

from __future__ import annotations

__all__ = ["cap", "text", "texts"]


def text(value: object, where: str) -> str:
    """Return a string; `where` names the argument."""
    if not isinstance(value, str):
        raise TypeError(f"{where}: expected a str, got {type(value).__name__}")
    return value


def texts(values: object, where: str) -> list[str]:
    """Return a list of strings; `where` names the argument."""
    if isinstance(values, str) or not isinstance(values, list | tuple):
        raise TypeError(f"{where}: expected a list of str, got {type(values).__name__}")
    return [text(value, f"{where}[{index}]") for index, value in enumerate(values)]


def cap(max_tokens: object) -> int | None:
    """Return the reply tokens that code allows a sub-call; None where it doesn't say."""
    if max_tokens is None:
        return None
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 1:
        raise ValueError(f"max_tokens={max_tokens!r}: expected a whole number of 1 or more")
    return max_tokens
