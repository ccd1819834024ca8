"""Samples of a text of any size, the same for the same text, and what they say about the whole."""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["SAMPLE_CHARS", "Joined", "Projection", "project"]

SAMPLE_CHARS = 512
"""Characters of one sample, but for the snapping to white space."""

_SNAP = 40  # how far a cut is moved to reach white space: tokens seldom reach across it
_SAFETY = 0.02  # on top of three standard errors, for what cutting changes


class Joined:
    """Several texts as one, without joining them."""

    def __init__(self, texts: Sequence[str], separator: str = "") -> None:
        self._texts = texts
        self._separator = separator
        self._sums = list(accumulate(map(len, texts)))  # at C speed: there may be a million texts
        self.length = self._sums[-1] + len(separator) * (len(texts) - 1) if texts else 0

    def whole(self) -> str:
        """Return the one text."""
        return self._separator.join(self._texts)

    def is_ascii(self) -> bool:
        """Tell whether all of it is ASCII, without reading it."""
        return self._separator.isascii() and all(map(str.isascii, self._texts))

    def slice(self, start: int, end: int) -> str:
        """Return the characters from `start` to `end`."""
        index = bisect_right(range(len(self._texts)), start, key=self._end)
        parts = []
        while index < len(self._texts) and start < end:
            text = self._texts[index]
            offset = start - (self._end(index) - len(text) - len(self._separator))
            part = (text[offset : offset + end - start] + self._separator[max(0, offset - len(text)) :])[: end - start]
            parts.append(part)
            start += len(part)
            index += 1
        return "".join(parts)

    def _end(self, index: int) -> int:
        """Return where the text `index` and the separator after it end."""
        return self._sums[index] + (index + 1) * len(self._separator)

    def samples(self, number: int) -> Iterator[str]:
        """Yield one sample from each of `number` equal parts of the text, at a place that looks random but isn't."""
        places = random.Random(self.length)  # noqa: S311 - the same text is to give the same samples
        part = self.length / number
        for index in range(number):
            room = max(0.0, part - SAMPLE_CHARS)
            start = int(index * part + room * places.random())
            taken = self.slice(start, min(start + SAMPLE_CHARS + _SNAP, self.length))
            first = _white(taken, 0) if start else 0
            yield taken[first : _white(taken, SAMPLE_CHARS)]


def _white(text: str, start: int) -> int:
    """Return the place of the next white space within `_SNAP` characters, else `start`."""
    return next((place for place in range(start, min(start + _SNAP, len(text))) if text[place].isspace()), start)


@dataclass(frozen=True, slots=True)
class Projection:
    """What samples say about the whole: `best`, and by how much of it the truth may differ (0.05 is 5 %)."""

    best: float
    margin: float


def project(counts: Sequence[tuple[int, float]], length: int) -> Projection:
    """Project (characters, tokens) of samples to `length` characters: ratio estimate, three standard errors and 2 %.

    The samples stand for equal parts of the whole, in their order. The variance is taken from the differences between
    neighbours (successive differences, Wolter, Introduction to Variance Estimation, 2007, chapter 8): a file whose
    parts differ from each other is no reason for a wide interval where every part was sampled.
    """
    characters = sum(size for size, _ in counts)
    tokens = sum(count for _, count in counts)
    if not characters or not tokens:
        return Projection(0.0, 0.0)
    ratio = tokens / characters
    residuals = [count - ratio * size for size, count in counts]
    spread = sum((after - before) ** 2 for before, after in pairwise(residuals)) / (2 * max(1, len(counts) - 1))
    unseen = max(0.0, 1 - characters / length)
    error = sqrt(spread * unseen / len(counts)) / (tokens / len(counts))
    return Projection(ratio * length, 3 * error + _SAFETY)
