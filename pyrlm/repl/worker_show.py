"""What code prints and what its values look like, at bounded cost however big they are. Standard library only."""

from __future__ import annotations

import io
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["Output", "brief", "type_name"]

_KEPT = 5_000_000  # characters kept of the beginning, and as many of the end, of what one execution prints
_DIGIT_BITS = 10_000  # integers above are shown by their size: their digits are slow to make
_MAX_DEPTH = 6


class Output(io.TextIOBase):
    """Standard output and error of one execution: beginning and end are kept, what is between only counted."""

    def __init__(self) -> None:
        self._head = io.StringIO()
        self._tail: deque[str] = deque()
        self._tail_chars = 0
        self.chars = 0

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a property here, an attribute there
        """What code that asks for it expects."""
        return "utf-8"

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, text: str) -> int:
        """Take `text`, which is any string."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        text = str.__str__(text)
        size = len(text)
        room = _KEPT - self.chars
        self.chars += size
        if room > 0:
            self._head.write(text[:room] if size > room else text)
        if size > room:
            self._keep_end(text[max(room, 0, size - _KEPT) :])
        return size

    def _keep_end(self, text: str) -> None:
        self._tail.append(text)
        self._tail_chars += len(text)
        if self._tail_chars > 2 * _KEPT:
            rest = "".join(self._tail)[-_KEPT:]
            self._tail = deque([rest])
            self._tail_chars = len(rest)

    def text(self) -> str:
        """Return what is kept, with what isn't said in between."""
        head, tail = self._head.getvalue(), "".join(self._tail)[-_KEPT:]
        lost = self.chars - len(head) - len(tail)
        return f"{head}\n[… {lost:,} characters not kept …]\n{tail}" if lost else head + tail


def type_name(value: Any) -> str:
    """Return the name of a value's type, without asking the value."""
    return str(type.__getattribute__(type(value), "__name__"))[:100]


def brief(value: Any, limit: int) -> str:
    """Return the repr of `value` if it has at most about `limit` characters, else its beginning and its size.

    Strings and containers are cut before they are formatted; of other objects only the result is cut.
    """
    shown, _ = _brief(value, limit, 0)
    return shown if len(shown) <= limit + 80 else shown[:limit] + f"… ({len(shown):,} characters)"


def _brief(value: Any, room: int, depth: int) -> tuple[str, int]:
    """Return a repr and what is left of `room`."""
    kind = type(value)
    if kind in (str, bytes):
        shown = repr(value[:room]) + (f"… ({len(value):,} in all)" if len(value) > room else "")
    elif kind is int and value.bit_length() > _DIGIT_BITS:
        shown = f"<int of {value.bit_length():,} bits>"
    elif kind in _BRACKETS and depth < _MAX_DEPTH and (len(value) > 0 or kind in (list, tuple, dict)):
        opening, closing = _BRACKETS[kind]
        if kind is tuple and len(value) == 1:
            closing = ",)"
        return _brief_items(value, room, depth, opening, closing)
    elif isinstance(value, dict) and type(value).__repr__ is dict.__repr__ and depth < _MAX_DEPTH:
        return _brief_items(value, room, depth, "{", "}")
    elif kind in _WRAPPED and len(value) > room // 4:
        inner, left = _brief_items(value, room, depth, *(("{", "}") if isinstance(value, dict) else ("[", "]")))
        return f"{kind.__name__}({inner})", left
    else:
        shown = _repr(value)
        if len(shown) > room:
            shown = f"{shown[:room]}… ({len(shown):,} characters of repr)"
    return shown, room - len(shown)


def _brief_items(value: Any, room: int, depth: int, opening: str, closing: str) -> tuple[str, int]:
    parts: list[str] = []
    total = len(value)
    left = room - 2
    items: Iterable[Any] = value.items() if isinstance(value, dict) else value
    for item in items:
        if left <= 0:
            parts.append(f"… ({total:,} items in all)")
            break
        if isinstance(value, dict):
            key, left = _brief(item[0], max(left, 20), depth + 1)
            shown, left = _brief(item[1], max(left, 20), depth + 1)
            shown = f"{key}: {shown}"
        else:
            shown, left = _brief(item, max(left, 20), depth + 1)
        parts.append(shown)
        left -= 2
    return opening + ", ".join(parts) + closing, left


def _repr(value: Any) -> str:
    try:
        shown = repr(value)
    except Exception as error:  # noqa: BLE001 - whatever a class of the code does
        return f"<{type_name(value)} whose repr raises {type_name(error)}>"
    return shown if type(shown) is str else f"<{type_name(value)}>"


_BRACKETS: dict[Any, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    dict: ("{", "}"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
}
_WRAPPED: set[Any] = {
    deque,
    *(getattr(__import__("collections"), n) for n in ("Counter", "OrderedDict", "defaultdict")),
}
