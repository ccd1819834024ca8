"""Values as text: an answer's `output`, JSON for prompts, and JSON for answers, which must lose nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

__all__ = ["NoJsonError", "as_text", "exact_json", "is_long", "json_text", "longest_number", "written"]

_ALWAYS_WRITTEN = 2_000
"""Bits of integers that Python writes in decimals under any limit that `sys.set_int_max_str_digits` takes."""

_LISTS = (list, tuple, set, frozenset)
_NO_NUMBERS = frozenset({str, bytes, bool, float, type(None)})


class NoJsonError(ValueError):
    """A value of which JSON would lose something.

    Attributes:
        path: Where it stands, outermost step first.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.path: list[Any] = []


class _Hexadecimal(int):
    """An integer that is written as ``0x…``: in decimals it would take Python time that grows with its length squared."""

    def __repr__(self) -> str:
        return hex(self)


def as_text(value: Any) -> str:
    """Return an answer as a string: text as it is, data as JSON where JSON can hold it, else Python's own form.

    Integers of more digits than Python writes (4,300, see `sys.set_int_max_str_digits`) are hexadecimal.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list | bool) or value is None:
        try:
            text = json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError):
            return _own_form(value)
        if not _has_twins(value):
            return text
    return _own_form(value)


def json_text(value: Any) -> str:
    """Return plain data as compact JSON for a model to read.

    What JSON lacks has a form of its own: other keys are their string, and a dict in which two keys would then be the same
    is a list of pairs; sets are lists; other types, and integers of more than 4,300 digits, are their string.
    """
    return json.dumps(_as_json(value, exact=False), ensure_ascii=False, separators=(",", ":"))


def exact_json(value: Any) -> str:
    """Return plain data as compact JSON, as `json_text` does, where nothing is lost by it.

    Raises:
        NoJsonError: Two keys of a dict would be the same, bytes are no UTF-8, or an integer has too many digits.
    """
    return json.dumps(_as_json(value, exact=True), ensure_ascii=False, separators=(",", ":"))


def _has_twins(value: Any) -> bool:
    """Whether two keys of a dict, in data that JSON can hold, are the same in JSON."""
    if isinstance(value, list | tuple):
        return any(map(_has_twins, value))
    if not isinstance(value, dict):
        return False
    names = {key if isinstance(key, str) else json.dumps(key) for key in value}
    return len(names) < len(value) or any(map(_has_twins, value.values()))


def longest_number(value: Any) -> int:
    """Return about how many decimal digits the longest integer in plain data has, or one made of a `Decimal` in it would."""
    if isinstance(value, Mapping):
        return max(longest_number(list(value)), longest_number(list(value.values())))
    if isinstance(value, _LISTS):
        kinds = set(map(type, value)) - _NO_NUMBERS
        if kinds <= {int}:  # the common case, of which there may be millions
            return max((item.bit_length() for item in value if type(item) is int), default=0) * 3 // 10 if kinds else 0
        return max(map(longest_number, value))
    if isinstance(value, Decimal):
        return abs(value.adjusted()) if value.is_finite() else 0
    return value.bit_length() * 3 // 10 if isinstance(value, int) else 0


def is_long(value: Any) -> bool:
    """Whether a value is an integer of more digits than Python writes."""
    if not isinstance(value, int) or value.bit_length() <= _ALWAYS_WRITTEN:
        return False
    try:
        str(value)
    except ValueError:
        return True
    return False


def _own_form(value: Any) -> str:
    try:
        return str(value)
    except ValueError:
        return str(written(value))


def written(value: Any) -> Any:
    """Return plain data with its long integers in a form that can be written."""
    if is_long(value):
        return _Hexadecimal(value)
    if isinstance(value, dict):
        return {written(key): written(item) for key, item in value.items()}
    if isinstance(value, _LISTS):
        return type(value)(map(written, value))
    return value


def _as_json(value: Any, *, exact: bool) -> Any:
    if isinstance(value, Mapping):
        return _object(value, exact=exact)
    if isinstance(value, _LISTS):
        return [_below(index, item, exact=exact) for index, item in enumerate(value)]
    if is_long(value):
        if exact:
            raise NoJsonError(
                f"an integer of {value.bit_length():,} bits has too many digits for JSON; give it as a string, hex(n)"
            )
        return hex(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return _bytes(value, exact=exact) if isinstance(value, bytes) else _own_form(value)


def _object(value: Mapping[Any, Any], *, exact: bool) -> Any:
    made: dict[str, Any] = {}
    for key, item in value.items():
        name = key if isinstance(key, str) else _own_form(key)
        if name in made:
            if exact:
                raise NoJsonError(f"two keys are {name!r:.60} in JSON, where all keys are strings; rename one of them")
            return [[_as_json(part, exact=False) for part in pair] for pair in value.items()]
        made[name] = _below(name, item, exact=exact)
    return made


def _below(step: Any, item: Any, *, exact: bool) -> Any:
    try:
        return _as_json(item, exact=exact)
    except NoJsonError as error:
        error.path.insert(0, step)
        raise


def _bytes(value: bytes, *, exact: bool) -> str:
    try:
        return value.decode("utf-8", "strict" if exact else "backslashreplace")
    except UnicodeDecodeError:
        raise NoJsonError("bytes that are no UTF-8 can't stand in JSON; give a string, such as b.hex()") from None
