"""Final values in a trace: with the tags of the pipe, so that they are read back as the REPL held them."""

from __future__ import annotations

import json
from typing import Any

from pyrlm.plain import crossing

__all__ = ["portable", "value_facts"]

_MAX_CHARS = 1_000_000
_MAX_STRING = 20_000
"""Longer ones are cut in a trace, after which a tagged value could not be read."""


def portable(value: Any) -> Any:
    """Return `value` as JSON types with the tags of `pyrlm.repl.wire`; models and dataclasses as dicts.

    Raises:
        WireError: It holds an object that has no such form.
    """
    return crossing(value)[1]


def value_facts(value: Any) -> dict[str, Any]:
    """Return what the last event of a run says of its value; nothing of a string, which stands in the output."""
    if value is None or isinstance(value, str):
        return {}
    try:
        encoded = portable(value)
        size = len(json.dumps(encoded, ensure_ascii=False))
    except (TypeError, ValueError, RecursionError) as error:
        return {"value_left_out": f"{type(value).__name__}: {error}"[:300]}
    if size > _MAX_CHARS or (size > _MAX_STRING and _longest(encoded) > _MAX_STRING):
        return {"value_left_out": f"{type(value).__name__}, {size:,} characters as JSON"}
    return {"value": encoded}


def _longest(encoded: Any) -> int:
    if isinstance(encoded, str):
        return len(encoded)
    if isinstance(encoded, dict):
        return max((_longest(part) for pair in encoded.items() for part in pair), default=0)
    return max(map(_longest, encoded), default=0) if isinstance(encoded, list) else 0
