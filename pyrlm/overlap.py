"""How much of one text does another hold? By samples: enough to notice that it is nearly all of it."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["share_held"]

_SAMPLES = 40
_SAMPLE_CHARS = 60


def share_held(part: Sequence[str], whole: Sequence[str]) -> float:
    """Return the share of `whole` that `part` holds, 0.0 to 1.0.

    Never more than what the sizes allow; where these allow much, the share of samples of `whole`, taken at equal
    distances, that stand in `part` word for word.
    """
    size = sum(map(len, whole))
    held = sum(map(len, part)) / size if size else 0.0
    if held < 0.5:  # noqa: PLR2004 - far from all of it, and a pass over 100 million characters takes a second
        return held
    samples = _samples(whole, size)
    found = sum(any(sample in text for text in part) for sample in samples)
    return min(1.0, held, found / len(samples))


def _samples(whole: Sequence[str], size: int) -> list[str]:
    """Return pieces of `whole`, at equal distances over all its texts together: as many for 100,000 texts as for one."""
    ends = list(accumulate(map(len, whole)))
    pieces = []
    for number in range(min(_SAMPLES, size)):
        place = number * size // min(_SAMPLES, size)
        index = bisect_right(ends, place)
        text = whole[index]
        start = max(0, min(place - (ends[index] - len(text)), len(text) - _SAMPLE_CHARS))  # a short one is everywhere
        pieces.append(text[start : start + _SAMPLE_CHARS])
    return pieces
