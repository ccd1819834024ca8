"""Lone surrogates in Monty, whose strings can't hold them: private characters stand for them there."""

from __future__ import annotations

import ast
import re
from typing import Any

__all__ = ["inward", "outward", "stand_in"]

_SURROGATE = re.compile("[\ud800-\udfff]")
_STAND_IN = re.compile("[\U0010f800-\U0010ffff]")
_SHIFT = 0x10F800 - 0xD800


def inward(value: Any) -> Any:
    """Return plain data for the sandbox, with stand-ins for lone surrogates."""
    return _mapped(value, _SURROGATE, _SHIFT)


def outward(value: Any) -> Any:
    """Return plain data as it was before `inward`."""
    return _mapped(value, _STAND_IN, -_SHIFT)


def stand_in(tree: ast.AST) -> None:
    """Put stand-ins into the string literals of a program: Monty would make each lone surrogate U+FFFD, and not say so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = inward(node.value)


def _mapped(value: Any, characters: re.Pattern[str], shift: int) -> Any:
    if isinstance(value, str):
        if value.isascii() or not characters.search(value):
            return value
        return characters.sub(lambda found: chr(ord(found.group()) + shift), value)
    if isinstance(value, dict):
        return {_mapped(k, characters, shift): _mapped(v, characters, shift) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(_mapped(item, characters, shift) for item in value)
    return value
