"""Cut documents into passages, by structure: at headings, between paragraphs and code blocks, and only then inside.

Passages of 150-200 words with 15 % overlap. A passage ends at a heading once it has some size, otherwise between two
blocks, and where a block is longer than a passage, at a line or sentence end. All offsets count characters of the
document; the passages of a document cover all of it, blank lines included, so that it can be put together from them.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pyrlm.errors import ConfigurationError
from pyrlm.retrievers.protocol import Passage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Chunker", "PassageSplitter", "estimate_tokens", "first_heading"]

BYTES_A_TOKEN: Final = 4
"""Of UTF-8, for the current tokenizers: English 4.2, Chinese 3-4 (a character), Russian 4-5, code 3-4."""

# Begins with a newline, so that the regular expression engine looks for that and tries nothing elsewhere.
_BREAK: Final = re.compile(r"\n(?:[ \t\r\f]*\n\s*|(?=[ ]{0,3}(?:```|~~~))|(?P<atx>(?=\#{1,6}[ ])))")
_FENCED: Final = re.compile(r"[ ]{0,3}(?P<mark>`{3,}|~{3,})[\s\S]*?(?:\n[ ]{0,3}(?P=mark)[`~]*[ \t]*(?:\n\s*|\Z)|\Z)")
_ATX: Final = re.compile(r"(#{1,6})[ \t]+(\S.*?)[ \t]*#*[ \t]*(?:\n|\Z)")
_UNDERLINED: Final = re.compile(r"(\S.{0,119})\n([=~^\"-])\2{2,}[ \t]*(?:\n|\Z)")
_NUMBERED: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,5})\.?[ \t]+([A-Z].{0,79})\s*\Z")
_TABLE_OF_CONTENTS: Final = re.compile(r"\.{3,}|(?:\. ){3,}")
_SOURCE_CODE: Final = re.compile(
    r"^(?:import \w|from \S+ import |def \w|class \w+[(:]|#include|package \w|func \w|fn \w|use \w+::|#!/)",
    re.MULTILINE,
)
_SENTENCE: Final = re.compile(r"\n\s*|(?<=[.!?…])[\"')\]]*\s+|[\u3002\uff01\uff1f]")
_SPACE: Final = re.compile(r"\s+")
_LOOK_AT: Final = 20_000
_HEADING_CHARS: Final = 100


def estimate_tokens(text: str) -> int:
    """Tokens of `text`, guessed from its bytes: fast enough for every paragraph of a corpus."""
    size = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return -(-size // BYTES_A_TOKEN)


def first_heading(text: str) -> str:
    """The heading that a document begins with (after at most two other blocks); an empty string where there is none."""
    return next((block.heading for block in itertools.islice(_blocks(text), 3) if block.level), "")


class PassageSplitter(Protocol):
    """What cuts documents: `Chunker`, or one of your own."""

    @property
    def name(self) -> str:
        """Names the way of cutting and its settings; an index keeps it and takes no other."""

    def split(self, text: str) -> Sequence[Passage]:
        """Cut `text` into passages that cover it, in order."""


class _Block(NamedTuple):
    start: int
    end: int
    level: int  # of the heading that it begins with; 0 for none
    heading: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunker:
    """Cuts by structure. Deterministic.

    Attributes:
        size: Tokens of a passage at most, by `count`.
        overlap: Tokens at most that a passage repeats from the end of the one before it; none across a heading.
        count: Tokens of a text; the default guesses from its bytes. A sum over parts must not be below the whole.

    Raises:
        ConfigurationError: `size` is below 16, or `overlap` not from 0 to half of it.
    """

    size: int = 300
    overlap: int = 45
    count: Callable[[str], int] = field(default=estimate_tokens, repr=False)

    def __post_init__(self) -> None:
        if self.size < 16 or not 0 <= self.overlap <= self.size // 2:  # noqa: PLR2004 - in the message
            raise ConfigurationError(
                f"a passage has at least 16 tokens and overlaps by at most half of them; "
                f"got size={self.size}, overlap={self.overlap}"
            )

    @property
    def name(self) -> str:
        """Names the way of cutting and its settings."""
        return f"structure-1/{self.size}/{self.overlap}"

    @classmethod
    def named(cls, name: str) -> Chunker | None:
        """The chunker of this name; None where it is none of this class."""
        match = re.fullmatch(r"structure-1/(\d{1,9})/(\d{1,9})", name, re.ASCII)
        return cls(size=int(match[1]), overlap=int(match[2])) if match else None

    def split(self, text: str) -> list[Passage]:
        """Cut `text` into passages: contiguous but for their overlap, from its first character to its last."""
        passages: list[Passage] = []
        line, counted = 1, 0
        for start, end, heading in self._spans(text):
            line += text.count("\n", counted, start) if start >= counted else -text.count("\n", start, counted)
            counted = start
            passages.append(Passage(text[start:end], start, end, line, heading))
        return passages

    def _spans(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Pack blocks into spans ``(start, end, headings above)``."""
        start = end = tokens = 0
        path: list[tuple[int, str]] = []
        heading = ""
        for block in _blocks(text):
            if block.level:
                if end > start and tokens >= self.size // 4:
                    yield start, end, heading
                    start, tokens = end, 0
                path = [(level, name) for level, name in path if level < block.level]
                path.append((block.level, block.heading))
                if tokens == 0:
                    heading = " > ".join(name for _, name in path)
            for piece_end, piece_tokens in self._pieces(text, block.start, block.end):
                if tokens + piece_tokens > self.size and end > start:
                    yield start, end, heading
                    heading = " > ".join(name for _, name in path)
                    start = self._overlapping(text, start, end, tokens)
                    tokens = self.count(text[start:end]) if start < end else 0
                tokens += piece_tokens
                end = piece_end
        if end > start:
            yield start, end, heading

    def _pieces(self, text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The block, or where it is too long, its sentences or lines, and pieces of these: ``(end, tokens)``."""
        limit = self.size - self.overlap
        tokens = self.count(text[start:end])
        if tokens <= limit:
            yield end, tokens
            return
        while start < end:
            stop, tokens = self._fitting(text, start, end, limit)
            yield stop, tokens
            start = stop

    def _fitting(self, text: str, start: int, end: int, limit: int) -> tuple[int, int]:
        """End of the longest good beginning of ``text[start:end]`` that has at most `limit` tokens, and its tokens."""
        stop = min(end, start + limit * BYTES_A_TOKEN)
        while (tokens := self.count(text[start:stop])) > limit and stop > start + 1:
            stop = start + max(1, min(stop - start - 1, (stop - start) * limit // tokens))
        if stop < end:
            cut = _last(_SENTENCE, text, start + (stop - start) // 2, stop) or _last(_SPACE, text, start + 1, stop)
            if cut is not None and cut > start:
                stop, tokens = cut, self.count(text[start:cut])
        return stop, tokens

    def _overlapping(self, text: str, start: int, end: int, tokens: int) -> int:
        """Where a passage begins that repeats the end of ``text[start:end]``: at a line, sentence or word."""
        if self.overlap == 0 or tokens == 0:
            return end
        begin = max(start + 1, end - (end - start) * self.overlap // tokens)
        match = _SENTENCE.search(text, begin, end) or _SPACE.search(text, begin, end)
        if match is not None:
            begin = match.end()
        return begin if begin < end and self.count(text[begin:end]) <= self.overlap else end


def _last(pattern: re.Pattern[str], text: str, start: int, end: int) -> int | None:
    found = None
    for match in pattern.finditer(text, start, end):
        found = match.end()
    return found


def _blocks(text: str) -> Iterator[_Block]:
    """Contiguous blocks that cover `text`: paragraphs, fenced code; each with the blank lines behind it."""
    source_code = _SOURCE_CODE.search(text, 0, _LOOK_AT) is not None
    start = at = 0
    while start < len(text):
        if at == start and (fenced := _FENCED.match(text, start)):
            yield _Block(start, fenced.end(), 0, "")
            start = at = fenced.end()
            continue
        found = _BREAK.search(text, at)
        at = len(text) if found is None else found.end()
        if found is None or found["atx"] is None or not source_code:
            yield _block(text, start, at, source_code)
            start = at


def _block(text: str, start: int, end: int, source_code: bool) -> _Block:
    level, heading = (0, "") if source_code else _heading(text, start, end)
    return _Block(start, end, level, " ".join(heading.split())[:_HEADING_CHARS])


def _heading(text: str, start: int, end: int) -> tuple[int, str]:
    first = text[start : start + 1]
    if first == "#" and (atx := _ATX.match(text, start, end)):
        return len(atx[1]), atx[2]
    if first.isdigit() and end - start < _HEADING_CHARS:
        numbered = _NUMBERED.match(text, start, end)
        if numbered and "\n" not in numbered[2].strip() and not _TABLE_OF_CONTENTS.search(numbered[2]):
            return numbered[1].count(".") + 1, numbered[0]
    if not first.isspace() and (underlined := _UNDERLINED.match(text, start, end)):
        return (1 if underlined[2] == "=" else 2), underlined[1]
    return 0, ""
