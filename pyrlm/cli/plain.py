"""Texts of documents for a terminal: never markup, never control sequences."""

from __future__ import annotations

import re

__all__ = ["one_line", "plain"]

# What moves the cursor, rings, recolours or reorders: C0 and C1 controls but tab and line end, marks of direction.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Return `text` with a mark in the place of each control character; places stay where they were."""
    return _CONTROL.sub("\ufffd", text)


def one_line(text: str) -> str:
    """Return `text` on one line, without control characters; places stay where they were."""
    return plain(text.replace("\r", " ").replace("\n", " ").replace("\t", " "))
