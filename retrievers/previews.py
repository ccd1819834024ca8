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
_WORD: Final = re.compile(r"[^\W_]+")
_MANY_WORDS: Final = 40
_UNSPACED_FROM: Final = 0x2E80


class Previewer:
    """Shows passages for one query.

    Args:
        words: The query's words, in lower case.
        chars: Characters of a preview at most.
    """

    def __init__(self, words: Iterable[str], chars: int = PREVIEW_CHARS) -> None:
        self._chars = chars
        self._words = frozenset(words)

    def show(self, text: str) -> tuple[str, tuple[tuple[int, int], ...]]:
        """The best part of `text`, verbatim, and the spans in it that match a word of the query."""
        spans = self._matches(text)
        start, end = self._window(text, spans) if len(text) > self._chars else _stripped(text, 0, len(text))
        inside = ((first - start, last - start) for first, last in spans if first >= start and last <= end)
        return text[start:end], tuple(inside)

    def _matches(self, text: str) -> list[tuple[int, int]]:
        lowered = text.lower()
        if len(lowered) != len(text):  # of a few letters, such as the Turkish capital i with a dot
            lowered = "".join(char if len(char.lower()) != 1 else char.lower() for char in text)
        if len(self._words) > _MANY_WORDS:
            # A word between others; a search for each would read the text as often.
            spans = [match.span() for match in _WORD.finditer(lowered) if match[0] in self._words]
            words: Iterable[str] = (word for word in self._words if _is_unspaced(word))
        else:
            spans, words = [], self._words
        for word in words:
            spans += _places(lowered, word)
        return sorted(spans)

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


def _is_unspaced(word: str) -> bool:
    return len(word) == 1 and ord(word) >= _UNSPACED_FROM


def _places(lowered: str, word: str) -> list[tuple[int, int]]:
    """Where `word` stands as the analyzer sees it: between characters that are neither letters nor digits."""
    places = []
    inside = _is_unspaced(word)
    start = lowered.find(word)
    while start >= 0:
        end = start + len(word)
        free = (start == 0 or not lowered[start - 1].isalnum()) and (end == len(lowered) or not lowered[end].isalnum())
        if free or inside:
            places.append((start, end))
        start = lowered.find(word, end)
    return places


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, max(start, end - (len(piece) - len(piece.rstrip())))
