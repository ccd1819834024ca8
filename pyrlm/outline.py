"""The outline of data: keys, types, sizes and cut previews, one line a place, of bounded size whatever the data."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

__all__ = ["outline"]

_MAX_CHARS = 2_400
_KEYS = 40
"""Keys of one dict that get a line."""
_SAMPLED = 20
"""Items of one list that are looked at for their types and keys."""
_PREVIEW = 60
_KEY = 40
_PATH = 100
_MORE = 60
"""Characters kept for the line that says that there is more."""

Place = tuple[str, Any, str]
"""Path, value, and what stands in the place of its type where several items were looked at."""


def outline(data: Any, name: str = "context", *, max_chars: int = _MAX_CHARS) -> str:
    """Return the outline of plain data: one line for each place, those nearest to the top first.

    Lists are shown by the types of their first items and, for records, by the keys that those have together. At most
    `max_chars` characters, and work that does not grow with the size of the data.

    Args:
        data: Plain data, as in a REPL.
        name: The variable that holds it.
        max_chars: Most characters, at least 200.
    """
    places: deque[Place] = deque([(name, data, "")])
    lines: list[str] = []
    left = max(200, max_chars) - _MORE
    while places:
        path, value, said = places.popleft()
        line = f"{path}: {said or _described(value)}"
        left -= len(line) + 1
        if left < 0:
            lines.append("… and more below: look at it with code")
            break
        lines.append(line)
        places.extend(_below(path, value))
    return "\n".join(lines)


def _described(value: Any) -> str:
    kind = type(value).__name__[:_KEY]
    if isinstance(value, str | bytes):
        unit = "characters" if isinstance(value, str) else "bytes"
        return f"{kind}, {len(value):,} {unit}: {_cut_repr(value)}"
    if isinstance(value, Mapping):
        return f"{kind}, {len(value):,} keys"
    if isinstance(value, list | tuple | set | frozenset):
        return f"{kind}, {len(value):,} items{_of_what(value)}"
    return f"{kind}: {_cut_repr(value)}"


def _of_what(items: Any) -> str:
    found = dict.fromkeys(type(item).__name__[:_KEY] for item in islice(items, _SAMPLED))
    if not found:
        return ""
    more = " among the first" if len(items) > _SAMPLED else ""
    return f" ({', '.join(list(found)[:4])}{more})"


def _cut_repr(value: Any) -> str:
    """Return a repr of bounded size, made of a bounded part of the value."""
    if isinstance(value, str | bytes):
        shown = repr(value[:_PREVIEW])
        cut = len(value) > _PREVIEW
    elif isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 4 * _PREVIEW:
        return f"of {value.bit_length():,} bits"
    elif isinstance(value, Mapping | list | tuple | set | frozenset):
        return f"{type(value).__name__} of {len(value):,}"
    else:
        shown, cut = repr(value), False
    if len(shown) > _PREVIEW:
        shown, cut = shown[:_PREVIEW], True
    return f"{shown}…" if cut else shown


def _below(path: str, value: Any) -> Iterator[Place]:
    if isinstance(value, Mapping):
        for key in islice(value, _KEYS):
            yield _path(path, _key(key)), value[key], ""
        if len(value) > _KEYS:
            yield _path(path, "…"), None, f"{len(value) - _KEYS:,} more keys"
    elif isinstance(value, list | tuple):
        records = [item for item in islice(value, _SAMPLED) if isinstance(item, Mapping)]
        if records:
            yield from _fields(path, records)
        elif value and isinstance(value[0], list | tuple | set | frozenset):
            yield _path(path, "0"), value[0], ""
        else:
            yield from ((_path(path, str(index)), item, "") for index, item in enumerate(islice(value, 3)))


def _fields(path: str, records: list[Mapping[Any, Any]]) -> Iterator[Place]:
    """Describe records by their keys together: each by its first value, with the types that it has."""
    first: dict[Any, Any] = {}
    kinds: dict[Any, dict[str, None]] = {}
    for record in records:
        for key in islice(record, _KEYS):
            first.setdefault(key, record[key])
            kinds.setdefault(key, {})[type(record[key]).__name__[:_KEY]] = None
    for key, value in islice(first.items(), _KEYS):
        several = list(kinds[key])
        said = f"{' or '.join(several[:4])}, such as {_cut_repr(value)}" if len(several) > 1 else ""
        yield _path(_path(path, "i"), _key(key)), value, said
    widest = max(len(record) for record in records)
    if max(widest, len(first)) > _KEYS:
        yield _path(_path(path, "i"), "…"), None, f"more keys, up to {widest:,} in one record"


def _key(key: Any) -> str:
    return _cut_repr(key)[:_KEY]


def _path(path: str, step: str) -> str:
    whole = f"{path}[{step}]"
    return whole if len(whole) <= _PATH else f"{whole[: _PATH // 2 - 1]}…{whole[-_PATH // 2 :]}"
