"""How much of one text does another hold? By samples: enough to notice that it is nearly all of it."""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from pyrlm.data import DataContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrlm.context import Context

__all__ = ["share_held", "share_of"]

_SAMPLES = 40
_SAMPLE_CHARS = 60
_MUCH = 0.5
"""Share below which it does not matter how much it is: a pass over 100 million characters takes a second."""
_ESCAPED = re.compile(r"\\u([0-9a-f]{4})")


def share_of(part: Context, whole: Context) -> float:
    """Return the share of `whole` that `part` holds, 0.0 to 1.0, also where one is data or a text made of data.

    Data is held by its strings, where these are most of it, and by its JSON, or what `json.dumps`, `print` and the like
    make of it: these are compared without the marks in which they differ.
    """
    if not isinstance(whole, DataContext):
        return share_held(part.quotes.strings if isinstance(part, DataContext) else part.texts, whole.texts)
    if _size(part.texts) < _MUCH * _size(whole.quotes.strings):
        return 0.0
    held = share_held([_bare(text) for text in part.texts], [_bare(text) for text in whole.texts])
    if _size(whole.quotes.strings) < _MUCH * _size(whole.texts):
        return held
    return max(held, share_held(part.texts, whole.quotes.strings))


def _size(texts: Sequence[str]) -> int:
    return sum(map(len, texts))


def _bare(text: str) -> str:
    """Return a text of data without quotation marks, backslashes, commas and white space, and with one word for nothing."""
    if "\\u" in text:
        text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    for mark in "\"'\\, \n\t\r":
        text = text.replace(mark, "")
    return text.lower().replace("none", "null")


def share_held(part: Sequence[str], whole: Sequence[str]) -> float:
    """Return the share of `whole` that `part` holds, 0.0 to 1.0.

    Never more than what the sizes allow; where these allow much, the share of samples of `whole`, taken at equal
    distances, that stand in `part` word for word.
    """
    size = _size(whole)
    held = _size(part) / size if size else 0.0
    if held < _MUCH:
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
