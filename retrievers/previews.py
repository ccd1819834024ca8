"""Which part of a passage to show: the window with the most different words of the query."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PREVIEW_CHARS", "Previewer"]

PREVIEW_CHARS: Final = 300
_LEAD: Final = 0.2
_WORD_START: Final = re.compile(r"\s\S")
_WORD_CHARS: Final = 30


class Previewer:
    """Shows passages for one query.

    Args:
        words: The query's words, in lower case.
        chars: Characters of a preview at most.
    """

    def __init__(self, words: Iterable[str], chars: int = PREVIEW_CHARS) -> None:
        self._chars = chars
        ordered = sorted(set(words), key=lambda word: (-len(word), word))
        spelled = "|".join(map(re.escape, ordered))
        # As in the analyzer, "_" parts words and characters of scripts without spaces stand alone.
        self._pattern = (
            re.compile(rf"(?<![^\W_])(?:{spelled})(?![^\W_])|(?:{_unspaced(ordered)})", re.IGNORECASE)
            if ordered
            else None
        )

    def show(self, text: str) -> tuple[str, tuple[tuple[int, int], ...]]:
        """The best part of `text`, verbatim, and the spans in it that match a word of the query."""
        spans = [match.span() for match in self._pattern.finditer(text)] if self._pattern else []
        start, end = self._window(text, spans) if len(text) > self._chars else _stripped(text, 0, len(text))
        inside = ((first - start, last - start) for first, last in spans if first >= start and last <= end)
        return text[start:end], tuple(inside)

    def _window(self, text: str, spans: list[tuple[int, int]]) -> tuple[int, int]:
        best, best_worth = 0, 0.0
        ends = [last for _, last in spans]
        for place, (first, _) in enumerate(spans):
            inside = spans[place : bisect_right(ends, first + self._chars)]
            found = {text[a:b].lower() for a, b in inside}
            worth = sum(len(word) for word in found) + 0.01 * len(inside)
            if worth > best_worth:
                best, best_worth = place, worth
        if not spans:
            return _stripped(text, 0, self._chars)
        return self._placed(text, spans, ends, best)

    def _placed(self, text: str, spans: list[tuple[int, int]], ends: list[int], best: int) -> tuple[int, int]:
        """Put some text before the first match, as far as the last one in the window stays in it."""
        first = spans[best][0]
        last = ends[max(bisect_right(ends, first + self._chars) - 1, best)]
        start = max(0, last - self._chars, first - int(self._chars * _LEAD))
        start = min(start, len(text) - self._chars)
        word = _WORD_START.search(text, max(start - 1, 0), min(first + 1, start + _WORD_CHARS)) if start else None
        if word is not None:
            start = word.start() + 1
        end = min(len(text), start + self._chars)
        if end < len(text) and not text[end].isspace():
            space = max(text.rfind(" ", end - _WORD_CHARS, end), text.rfind("\n", end - _WORD_CHARS, end))
            end = space if space >= last else end
        return _stripped(text, start, end)


def _unspaced(words: list[str]) -> str:
    return "|".join(re.escape(word) for word in words if len(word) == 1 and ord(word) >= 0x2E80) or r"(?!)"  # noqa: PLR2004


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, max(start, end - (len(piece) - len(piece.rstrip())))
