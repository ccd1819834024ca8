"""Quotes of data: looked for in its strings, and in the forms in which it is shown, as JSON and as Python prints it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from pyrlm.citations import find_quotes
from pyrlm.value_text import json_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyrlm.citations import Citation
    from pyrlm.data import DataContext

    Place = tuple["Place", Any] | None
    """The place of what holds it, and the key or index there; None for the data itself."""

__all__ = ["DataQuotes"]

_MAX_FORM = 20_000_000
"""Characters as JSON up to which data is also written in other forms: all else waits while Python does that."""
_MAX_KEY = 80
_LOOKED_INTO = frozenset({str, dict, list, tuple, set, frozenset})
"""Types of plain data that are or hold strings."""


@dataclass(frozen=True, slots=True)
class _Texts:
    texts: tuple[str, ...]
    separator: str = ""

    @property
    def sources(self) -> tuple[None, ...]:
        return (None,) * len(self.texts)


class DataQuotes:
    """Finds quotes in data.

    Args:
        context: The data.
        name: The variable that holds it.
    """

    def __init__(self, context: DataContext, name: str = "context") -> None:
        self._context = context
        self._name = name

    @cached_property
    def strings(self) -> tuple[str, ...]:
        """The strings among its values, in their order."""
        return tuple(string for _, _, string in _strings(self._context.data))

    def find_quotes(self, quotes: Iterable[str]) -> tuple[tuple[Citation, ...], tuple[str, ...]]:
        """Find each of `quotes`, by the rules of `pyrlm.citations.find_quotes`.

        In a string of the data it is cited with the place of that, ``context[3]['name']``, as its source, and with offsets
        within it. What stands in no single string is looked for in the JSON, and in what `json.dumps` and `print` show of
        the data: its source is the variable alone, and its offsets are those in that form.
        """
        found, missing = find_quotes(quotes, _Texts(self.strings))
        citations = [replace(citation, source=self._path(citation.doc), global_start=None) for citation in found]
        forms = self._forms()
        while missing and (form := next(forms, None)) is not None:
            found, missing = find_quotes(missing, _Texts((form,)))
            citations += [replace(citation, source=self._name, global_start=None) for citation in found]
        return tuple(citations), missing

    def around(self, citation: Citation, reach: int) -> str:
        """Return a cited passage with the JSON around it: for one of a string, that of what holds the string."""
        text, passage = self._context.texts[0], citation.text
        if citation.source != self._name:
            _, holder, _ = self._string(citation.doc)
            text, passage = json_text(holder), json_text(passage)[1:-1]
        start = citation.start if text.startswith(passage, citation.start) else text.find(passage)
        return text[max(0, start - reach) : start + len(passage) + reach] if start >= 0 else passage

    def _forms(self) -> Iterator[str]:
        data, text = self._context.data, self._context.texts[0]
        yield text
        if len(text) <= _MAX_FORM:
            yield json.dumps(json.loads(text), ensure_ascii=False)
            with suppress(ValueError):  # an integer of more digits than Python writes
                yield repr(data)

    def _path(self, number: int) -> str:
        place, _, _ = self._string(number)
        steps = []
        while place is not None:
            place, key = place
            steps.append(f"[{_key(key)}]")
        return self._name + "".join(reversed(steps))

    def _string(self, number: int) -> tuple[Place, Any, str]:
        return next(islice(_strings(self._context.data), number, None))


def _key(key: Any) -> str:
    shown = repr(key)
    return shown if len(shown) <= _MAX_KEY else f"{shown[:_MAX_KEY]}…"


def _strings(data: Any) -> Iterator[tuple[Place, Any, str]]:
    """Yield place, holder and text of each string; an item of a set has the place of the set."""
    left: list[tuple[Place, Any, Any]] = [(None, data, data)] if type(data) in _LOOKED_INTO else []
    while left:
        place, holder, value = left.pop()
        kind = type(value)
        if kind is str:
            yield place, holder, value
        elif kind is dict:
            below = [((place, key), value, item) for key, item in value.items() if type(item) in _LOOKED_INTO]
            left += reversed(below)
        elif kind is list or kind is tuple:
            below = [((place, at), value, item) for at, item in enumerate(value) if type(item) in _LOOKED_INTO]
            left += reversed(below)
        else:
            left += [(place, value, item) for item in value if type(item) in _LOOKED_INTO]
