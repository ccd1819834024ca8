"""Finds what of a text stands verbatim in what was read: passages of 40 characters and more, and whole short lines.

Every passage of 40 characters holds one of the text's 24-character blocks that begin at a multiple of 16. The hashes of
these blocks are looked up among the hashes of all 24-character windows of what was read; what is found is compared
letter by letter and extended both ways. Each pass is linear in the text, and memory is bounded by the size of a part.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["SHORTEST", "Span", "matches", "merged"]

Span = tuple[int, int]

SHORTEST = 40
"""Characters of the shortest passage that counts by itself."""
_GRAM, _STRIDE = 24, 16
_BLOCK, _OVERLAP = 1 << 20, 64
_PART = 1 << 21
_PLACES = (1 << 24) - 1  # bits of a position in a part, which is shorter than twice `_PART` and its seams
_COMPARISONS = 400_000
_SAME = 8
_SHORTEST_LINE = 8
_LINES_UP_TO = 16_000_000
_BETWEEN = "\x00\x01\x00"
_NUMBERED = re.compile(r"\W*\d+\W+")
_QUOTED = re.compile(r"'([^'\n]{8,39})'|\"([^\"\n]{8,39})\"")
_FACTORS = [0x9E3779B97F4A7C15 * (2 * k + 1) * (k * k + 0x632BE5AB) % 2**64 | 1 for k in range(12)]


def matches(texts: Sequence[str], separator: str, read: Iterable[str]) -> list[Span]:
    """Return what of the joined `texts` stands in `read`, as merged spans of global offsets.

    Passages that stand several times in the text count wherever they stand; a whole line of 8 to 39 characters counts as
    often as it was read, and is looked for in texts of up to 16 million characters. At most 400,000 places of each 2
    million characters read are compared; a text made to need more is counted as less read than it was.
    """
    forms = [_forms(text) for text in read]
    parts = _parts(form for group in forms for form in group)
    spans = merged(span for part in parts for span in _Part(part).spans(_blocks(texts, separator)))
    if sum(map(len, texts)) <= _LINES_UP_TO:
        spans = merged([*spans, *_short_lines(texts, len(separator), _lines_of(forms), spans)])
    return spans


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return the union of `spans`, sorted and without overlaps."""
    result: list[Span] = []
    for start, end in sorted(spans):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def _forms(text: str) -> list[str]:
    """Return what was read as it stands, and with the escapes of a printed list undone."""
    if text.count("\\n") <= text.count("\n"):
        return [text]
    return [text, text.replace("\\n", "\n").replace("\\t", "\t").replace("\\'", "'").replace("\\\\", "\\")]


def _parts(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the pieces joined into parts of bounded size; a piece that is cut overlaps itself by what a match needs."""
    held: list[str] = []
    size = 0
    for piece in pieces:
        for start in range(0, max(1, len(piece) - _OVERLAP), _PART - _OVERLAP):
            held.append(piece[start : start + _PART])
            size += len(held[-1]) + len(_BETWEEN)
            if size >= _PART:
                yield _BETWEEN.join(held)
                held, size = [], 0
    if held:
        yield _BETWEEN.join(held)


def _blocks(texts: Sequence[str], separator: str) -> Iterator[tuple[int, str]]:
    """Yield the joined text in blocks with their global offsets, each overlapping the one before."""
    held: list[str] = []
    offset = size = 0
    for number, text in enumerate(texts):
        pieces = [text] if len(text) <= _BLOCK else (text[at : at + _BLOCK] for at in range(0, len(text), _BLOCK))
        for piece in (*pieces, separator if number + 1 < len(texts) else ""):
            held.append(piece)
            size += len(piece)
            if size >= _BLOCK:
                block = "".join(held)
                yield offset, block
                held = [block[-_OVERLAP:]]
                offset, size = offset + size - len(held[0]), len(held[0])
    if size:
        yield offset, "".join(held)


class _Part:
    """A part of what was read, with the hashes of its windows for each of the two encodings that a block may need."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.comparisons = _COMPARISONS
        self.diagonal = 0
        self._indexes: dict[int, _Index] = {}

    def spans(self, blocks: Iterable[tuple[int, str]]) -> Iterator[Span]:
        """Yield the spans of all blocks that stand in this part."""
        if len(self.text) < _GRAM:
            return
        for offset, block in blocks:
            width = 1 if block.isascii() else 4
            if width not in self._indexes:
                self._indexes[width] = _Index(self.text, width)
            self.diagonal -= offset
            for start, end in self._in_block(block, self._indexes[width]):
                yield offset + start, offset + end
            self.diagonal += offset

    def _in_block(self, block: str, index: _Index) -> Iterator[Span]:
        positions, firsts, lasts = index.hits(block)
        at = reached = 0
        while at < len(positions) and self.comparisons > 0:
            position = positions[at]
            places = index.places(firsts[at], lasts[at])
            span = self._around(block, position, places, max(0, reached - SHORTEST))
            if span is not None:
                reached = max(reached, span[1])
                yield span
            # The last block within what is found is looked at again: a longer passage elsewhere may go on from it.
            at = max(at + 1, bisect_right(positions, reached - _GRAM) - 1)

    def _around(self, block: str, position: int, places: list[int], floor: int) -> Span | None:
        """Return what around `position`, from `floor` on, stands at one of `places` or goes on from the last one."""
        spans = []
        for place in {position - self.diagonal, *places}:
            self.comparisons -= 1
            if place < 0 or self.text[place : place + _GRAM] != block[position : position + _GRAM]:
                continue
            end = position + _GRAM + _ahead(block, position + _GRAM, self.text, place + _GRAM)
            start = position - _behind(block, position, self.text, place, position - floor)
            if end - start >= SHORTEST:
                spans.append((start, end, position - place))
        if not spans:
            return None
        _, end, self.diagonal = max(spans, key=lambda span: span[1])
        return min(spans)[0], end


class _Index:
    """The windows of what was read, by hash; `width` is 1 for blocks of ASCII and 4 for all others."""

    def __init__(self, text: str, width: int) -> None:
        import numpy as np  # noqa: PLC0415 - 100 ms that only a run with a text needs

        self.width = width
        hashes = _hashes(text, width, 1)
        bits = min(24, max(16, len(hashes).bit_length() + 4))
        self._high, self._low = np.uint64(64 - bits), np.uint64((1 << bits) - 1)
        # Two small tables of bits that are set keep what was not read from the search in the big one.
        self._tables = (np.zeros(1 << bits, dtype=bool), np.zeros(1 << bits, dtype=bool))
        self._tables[0][hashes >> self._high] = True
        self._tables[1][hashes & self._low] = True
        # Hash and position in one number: sorting numbers is several times faster than sorting their indices.
        self._keys = hashes & np.uint64(~_PLACES % 2**64)
        self._keys |= np.arange(len(hashes), dtype=np.uint64)
        self._keys.sort()

    def hits(self, block: str) -> tuple[list[int], list[int], list[int]]:
        """Return the positions of blocks that may stand in the part, and each one's range for `places`."""
        import numpy as np  # noqa: PLC0415 - see above

        hashes = _hashes(block, self.width, _STRIDE)
        found = np.flatnonzero(self._tables[0][hashes >> self._high])
        found = found[self._tables[1][hashes[found] & self._low]]
        wanted = hashes[found] & np.uint64(~_PLACES % 2**64)
        first = np.searchsorted(self._keys, wanted)
        last = np.searchsorted(self._keys, wanted | np.uint64(_PLACES), side="right")
        real = first < last
        return (found[real] * _STRIDE).tolist(), first[real].tolist(), last[real].tolist()

    def places(self, first: int, last: int) -> list[int]:
        """Return the first few positions in what was read for a range that `hits` gave."""
        return [int(key) & _PLACES for key in self._keys[first : min(last, first + _SAME)]]


def _hashes(text: str, width: int, step: int) -> Any:
    """Return a 64-bit hash of the `_GRAM` characters at every `step`-th position, as an array."""
    import numpy as np  # noqa: PLC0415 - see above

    data = text.encode("ascii", "replace") if width == 1 else text.encode("utf-32-le", "surrogatepass")
    count = max(0, (len(text) - _GRAM) // step + 1)
    hashes = np.zeros(count, dtype=np.uint64)
    if count:
        for word in range(_GRAM * width // 8):
            column = np.ndarray(count, dtype="<u8", buffer=data, offset=8 * word, strides=(step * width,))
            hashes += column * np.uint64(_FACTORS[word])
        hashes ^= hashes >> np.uint64(32)
        hashes *= np.uint64(_FACTORS[0])
    return hashes


def _ahead(a: str, i: int, b: str, j: int) -> int:
    """Return how many characters `a` from `i` and `b` from `j` share, in time linear in that number."""
    same, step, growing = 0, 64, True
    while step:
        piece = a[i + same : i + same + step]
        if len(piece) == step and b.startswith(piece, j + same):
            same += step
            step = step * 2 if growing else step // 2
        else:
            growing, step = False, step // 2
    return same


def _behind(a: str, i: int, b: str, j: int, most: int) -> int:
    """Return how many characters, up to `most`, `a` before `i` and `b` before `j` share."""
    same, step, growing = 0, 16, True
    while step:
        start = i - same - step
        if same + step <= min(most, j) and b.startswith(a[start : i - same], j - same - step):
            same += step
            step = step * 2 if growing else step // 2
        else:
            growing, step = False, step // 2
    return same


def _lines_of(forms: Iterable[list[str]]) -> Counter[str]:
    """Count the short lines that were read; one that two forms of the same text show was read once."""
    counts: Counter[str] = Counter()
    for group in forms:
        read: Counter[str] = Counter()
        for form in group:
            read |= _short_lines_in(form)
        counts.update(read)
    return counts


def _short_lines_in(text: str) -> Counter[str]:
    """Count what may be a short line of the text: a line, one behind a number, or one quoted in a printed list."""
    counts: Counter[str] = Counter()
    for line in text.split("\n"):
        plain = line.strip()
        shown = {plain, _NUMBERED.sub("", plain, count=1)} if len(plain) < 2 * SHORTEST else set()
        quoted = [item for pair in _QUOTED.findall(line) for item in pair]
        counts.update(item for item in (*shown, *quoted) if _SHORTEST_LINE <= len(item) < SHORTEST)
    return counts


def _short_lines(texts: Sequence[str], gap: int, read: Counter[str], spans: list[Span]) -> list[Span]:
    """Return the short lines that were read, each as often as it was, those within `spans` counted first."""
    ends = [end for _, end in spans]
    open_lines: list[tuple[int, str]] = []
    offset = 0
    for text in texts if read else ():
        lines = text.split("\n")
        for line in lines:
            plain = line.strip()
            if plain in read:
                at = bisect_right(ends, offset)
                if at < len(spans) and spans[at][0] <= offset and offset + len(line) <= spans[at][1]:
                    read[plain] -= 1
                else:
                    open_lines.append((offset, line))
            offset += len(line) + 1
        offset += gap - 1
    found = []
    for start, line in open_lines:
        if read[line.strip()] > 0:
            read[line.strip()] -= 1
            found.append((start, start + len(line) + 1))  # its line end was read with it
    return found
