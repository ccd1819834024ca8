"""Which part of a passage to show: the window with the most different words of the query."""

from __future__ import annotations

import re
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
_Match = tuple[int, int, str]


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
        matches = self._matches(text)
        start, end = self._window(text, matches) if len(text) > self._chars else (0, len(text))
        start, end = _stripped(text, start, end)
        inside = tuple((at - start, to - start) for at, to, _ in matches if at >= start and to <= end)
        return text[start:end], inside

    def _matches(self, text: str) -> list[_Match]:
        lowered = text.lower()
        if len(lowered) != len(text):  # of a few letters, such as the Turkish capital i with a dot
            lowered = "".join(char if len(char.lower()) != 1 else char.lower() for char in text)
        found: list[_Match] = []
        words: Iterable[str] = self._words
        if len(self._words) > _MANY_WORDS:
            # Look at each word of the text; a search for each word of the query would read the text as often.
            found = [(*match.span(), match[0]) for match in _WORD.finditer(lowered) if match[0] in self._words]
            words = filter(_is_unspaced, self._words)
        for word in words:
            _find(lowered, word, found)
        found.sort()
        return found

    def _window(self, text: str, matches: list[_Match]) -> tuple[int, int]:
        """Start and end of the part to show: `chars` of `text` at most."""
        best, best_last, best_worth = 0, 0, 0.0
        counts: dict[str, int] = {}
        distinct = last = 0
        for first, (start, _, word) in enumerate(matches):
            while last < len(matches) and matches[last][1] <= start + self._chars:
                entering = matches[last][2]
                counts[entering] = counts.get(entering, 0) + 1
                distinct += len(entering) if counts[entering] == 1 else 0
                last += 1
            worth = distinct + 0.01 * (last - first)
            if worth > best_worth:
                best, best_last, best_worth = first, last, worth
            if last > first:
                counts[word] -= 1
                distinct -= len(word) if counts[word] == 0 else 0
            else:
                last = first + 1
        if best_last == 0:
            return 0, self._chars
        return self._placed(text, matches[best][0], matches[best_last - 1][1])

    def _placed(self, text: str, first: int, last: int) -> tuple[int, int]:
        """Put some text before the first match, as far as the last one stays inside, and cut between words."""
        start = max(0, last - self._chars, first - int(self._chars * _LEAD))
        start = min(start, len(text) - self._chars)
        word = _WORD_START.search(text, max(start - 1, 0), min(first + 1, start + _WORD_CHARS)) if start else None
        if word is not None:
            start = word.start() + 1
        end = min(len(text), start + self._chars)
        if end < len(text) and not text[end].isspace():
            space = max(text.rfind(" ", end - _WORD_CHARS, end), text.rfind("\n", end - _WORD_CHARS, end))
            end = space if space >= last else end
        return start, end


def _is_unspaced(word: str) -> bool:
    return len(word) == 1 and ord(word) >= _UNSPACED_FROM


def _find(lowered: str, word: str, found: list[_Match]) -> None:
    """Add where `word` stands as the analyzer sees it: between characters that are neither letters nor digits."""
    inside = _is_unspaced(word)
    size = len(lowered)
    start = lowered.find(word)
    while start >= 0:
        end = start + len(word)
        free = (start == 0 or not lowered[start - 1].isalnum()) and (end == size or not lowered[end].isalnum())
        if free or inside:
            found.append((start, end, word))
        start = lowered.find(word, end)


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
