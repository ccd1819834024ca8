"""The Context API over text that is held as one string or as many: `ctx.find`, `ctx.slice`, `ctx.chunk` and so on.

Standard library only, and nothing of pyrlm: the sandboxed worker process loads this very file by its path, so host and
worker can't differ in an offset. Offsets are *global*: positions in the text that results from joining all documents
with the separator, in characters. `typing` is not imported because it costs the worker 3 ms of its start.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections import namedtuple
from itertools import accumulate, chain, islice
from operator import index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import NamedTuple, Protocol

    class Spanned(Protocol):
        """What a regular expression engine finds: the one method used of it."""

        def span(self) -> tuple[int, int]:
            """Return start and end in the text that was searched."""

    class Match(NamedTuple):
        """One match: global `start` and `end`, its `text`, the number of its document and its line there (from 1)."""

        start: int
        end: int
        text: str
        doc: int
        line: int

    Engine = Callable[[str, int], Callable[[str], Iterator[Spanned]]]
else:
    Match = namedtuple("Match", "start end text doc line")  # noqa: PYI024 - the typed form would import typing

__all__ = ["Match", "TextAPI", "bad_pattern", "re_engine"]

_BLOCK = 1 << 16  # characters between two remembered line counts
_MAX_PIECES, _MAX_REPEAT = 1_000_000, 10  # chunks in one list; how often an overlap may repeat the text
# Characters that `re` takes as equal to an ASCII letter under IGNORECASE, where there are more than its two cases.
_CASELESS = {"i": "iI\u0130\u0131", "k": "kK\u212a", "s": "sS\u017f"}


def bad_pattern(pattern: str, error: Exception) -> ValueError:
    """Make the error for a pattern that does not compile: where the trouble is and what to do."""
    position = getattr(error, "pos", None)
    where = "" if position is None else f" at position {position}"
    reason = str(getattr(error, "msg", None) or error or type(error).__name__)
    shown = pattern if len(pattern) <= 200 else pattern[:200] + "…"  # noqa: PLR2004 - enough to know it by
    return ValueError(
        f"find: {shown!r} is not a valid regular expression: {reason}{where}. "
        "To search for these characters as they stand, use regex=False."
    )


def re_engine(pattern: str, flags: int) -> Callable[[str], Iterator[Spanned]]:
    """Compile `pattern` with the standard library's `re`; the default engine of `TextAPI`."""
    try:
        return re.compile(pattern, flags).finditer
    except (re.error, OverflowError, RecursionError) as error:
        raise bad_pattern(pattern, error) from None


def _caseless(literal: str) -> tuple[str, int]:
    """Return pattern and flags that find `literal` in any case; a set as first letter makes `re` twice as fast."""
    first, rest = literal[0], literal[1:]
    if not (first.isascii() and first.isalpha()):
        return re.escape(literal), re.IGNORECASE
    letters = _CASELESS.get(first.lower(), first.lower() + first.upper())
    return f"[{letters}](?i:{re.escape(rest)})", 0


class TextAPI:
    """Search and cut text by global offsets; made by `of_joined` or `of_documents`; safe to use from several threads."""

    __slots__ = ("_ends", "_engine", "_joined", "_marks", "_separator", "_starts", "_texts")

    def __init__(
        self,
        held: tuple[str | None, Sequence[str]],
        spans: tuple[array[int], array[int]],
        separator: str,
        engine: Engine,
    ) -> None:
        self._joined, self._texts = held
        self._starts, self._ends = spans
        self._separator, self._engine = separator, engine
        self._marks: dict[int, array[int]] = {}

    @classmethod
    def of_joined(cls, text: str, spans: Iterable[tuple[int, int]], *, engine: Engine = re_engine) -> TextAPI:
        """Serve one string that holds every document; `spans` are start and end of each of them in it, in order."""
        bounds = array("q", chain.from_iterable(spans))
        return cls((text, ()), (bounds[::2], bounds[1::2]), "", engine)

    @classmethod
    def of_documents(cls, texts: Sequence[str], separator: str, *, engine: Engine = re_engine) -> TextAPI:
        """Serve many strings as if they were joined by `separator`; they are referred to, not copied."""
        gap = len(separator)
        if len(texts) == 1:
            return cls.of_joined(texts[0], ((0, len(texts[0])),), engine=engine)
        ends = array("q", accumulate(map(len, texts), lambda end, size: end + gap + size))
        starts = array("q", (end - len(text) for end, text in zip(ends, texts, strict=True)))
        return cls((None, texts), (starts, ends), separator, engine)

    @property
    def len_chars(self) -> int:
        """Length of the whole text in characters, separators included."""
        return len(self._joined) if self._joined is not None else (self._ends[-1] if self._ends else 0)

    @property
    def num_documents(self) -> int:
        """Number of documents."""
        return len(self._starts)

    def slice(self, start: int | None = None, end: int | None = None) -> str:
        """Return the text from `start` to `end`, by the rules of Python's slices: negatives count from the end."""
        begin, stop, _ = slice(start, end).indices(self.len_chars)
        if self._joined is not None:
            return self._joined[begin:stop]
        if begin >= stop:
            return ""
        parts = []
        for doc in range(max(bisect_right(self._starts, begin) - 1, 0), len(self._starts)):
            first, last = self._starts[doc], self._ends[doc]
            if first >= stop:
                break
            if begin < last:
                parts.append(self._texts[doc][max(begin - first, 0) : stop - first])
            if last < stop and doc + 1 < len(self._starts):
                parts.append(self._separator[max(begin - last, 0) : stop - last])
        return "".join(parts)

    def get_document(self, i: int) -> str:
        """Return document `i`; negative numbers count from the end. IndexError says how many there are."""
        count, doc = len(self._starts), index(i)
        if not -count <= doc < count:
            have = f"there are {count}, numbered 0 to {count - 1}" if count else "there are none"
            raise IndexError(f"no document {doc}: {have}")
        doc %= count
        return self._texts[doc] if self._joined is None else self._joined[self._starts[doc] : self._ends[doc]]

    def document_lengths(self) -> list[int]:
        """Return the length of each document in characters."""
        return [end - start for start, end in self.spans()]

    def spans(self) -> list[tuple[int, int]]:
        """Return the global start and end of each document."""
        return list(zip(self._starts, self._ends, strict=True))

    def locate(self, offset: int) -> tuple[int, int, int]:
        """Return the document of a global offset (a separator's is the one before it), the offset there, the line."""
        at = index(offset)
        if not 0 <= at <= self.len_chars or not self._starts:
            raise IndexError(f"offset {at} is outside of the text, which has {self.len_chars} characters")
        doc = max(bisect_right(self._starts, at) - 1, 0)
        local = min(at, self._ends[doc]) - self._starts[doc]
        return doc, local, self._line(doc, local)

    def find(
        self,
        pattern: str | re.Pattern[str],
        regex: bool = False,
        ignore_case: bool = False,
        max_results: int | None = 100,
    ) -> list[Match]:
        """Find `pattern` in every document, from the first on; matches don't overlap and don't cross documents.

        Args:
            pattern: Text to look for; a regular expression with ``regex=True``, or a compiled one.
            regex: Take `pattern` in the syntax of `re`; ``^`` and ``$`` are the document's ends.
            ignore_case: Take upper and lower case as equal, as `re.IGNORECASE` does.
            max_results: Stop after so many; None for all.

        Returns:
            Tuples ``(start, end, text, doc, line)``; `start` and `end` are global offsets, `line` counts from 1.

        Raises:
            ValueError: An empty pattern, one that is not a regular expression, or a negative `max_results`.
        """
        if max_results is not None and max_results < 0:
            raise ValueError(f"find: max_results must be 0 or more, or None for all; got {max_results}")
        return list(islice(self.iter_matches(pattern, regex, ignore_case), max_results))

    def iter_matches(
        self,
        pattern: str | re.Pattern[str],
        regex: bool = False,
        ignore_case: bool = False,
        *,
        engine: Engine | None = None,
    ) -> Iterator[Match]:
        """Yield what `find` lists, one match at a time; errors in the arguments are raised at once."""
        engine = engine or self._engine
        flags = int(re.IGNORECASE) if ignore_case else 0
        if isinstance(pattern, re.Pattern):
            flags |= pattern.flags & ~re.UNICODE
            pattern, regex = pattern.pattern, True
        if not isinstance(pattern, str):
            raise TypeError(f"find: the pattern must be a string, got {type(pattern).__name__}")
        if not pattern:
            raise ValueError("find: the pattern is empty; give some text to look for, or use slice() to read the text")
        if regex:
            return self._matches(self._scan(engine(pattern, flags)))
        if not ignore_case:
            return self._matches(self._literal(pattern))
        if engine is re_engine:
            return self._matches(self._scan(engine(*_caseless(pattern))))
        return self._matches(self._scan(engine(re.escape(pattern), flags)))

    def chunk(self, size: int, overlap: int = 0) -> list[str]:
        """Cut the whole text into pieces of `size` characters, each beginning `overlap` before the last one's end."""
        size, overlap, total = index(size), index(overlap), self.len_chars
        if size <= 0:
            raise ValueError(f"chunk: size must be 1 or more characters, got {size}")
        if not 0 <= overlap < size:
            raise ValueError(f"chunk: overlap must be from 0 to below size ({size}), got {overlap}")
        step = size - overlap
        pieces = 1 + max(0, -(-(total - size) // step)) if total else 0
        if pieces > _MAX_PIECES or (pieces > 1 and pieces * size > _MAX_REPEAT * total + size):
            raise ValueError(
                f"chunk: size={size} with overlap={overlap} makes {pieces} pieces of this text of {total} characters; "
                "use a larger size or a smaller overlap"
            )
        return [self.slice(start, start + size) for start in range(0, pieces * step, step)]

    def chunk_documents(self, docs_per_chunk: int = 10) -> list[str]:
        """Join every `docs_per_chunk` documents by the separator. ValueError: it is not positive."""
        count, step = len(self._starts), index(docs_per_chunk)
        if step <= 0:
            raise ValueError(f"chunk_documents: docs_per_chunk must be 1 or more, got {step}")
        if self._joined is None:
            return [self._separator.join(self._texts[i : i + step]) for i in range(0, count, step)]
        return [self._joined[self._starts[i] : self._ends[min(i + step, count) - 1]] for i in range(0, count, step)]

    def _literal(self, needle: str) -> Iterator[tuple[int, int, int]]:
        """Yield document, start and end (both within the document) of each match."""
        size = len(needle)
        if self._joined is None:
            for doc, text in enumerate(self._texts):
                at = text.find(needle)
                while at >= 0:
                    yield doc, at, at + size
                    at = text.find(needle, at + size)
            return
        text, starts, ends = self._joined, self._starts, self._ends
        at = text.find(needle)
        while at >= 0:
            doc = bisect_right(starts, at) - 1
            if doc >= 0 and at + size <= ends[doc]:
                yield doc, at - starts[doc], at + size - starts[doc]
                at = text.find(needle, at + size)
            elif doc + 1 < len(starts):  # it reaches into a separator: so would any further one of this document
                at = text.find(needle, starts[doc + 1])
            else:
                return

    def _scan(self, scan: Callable[[str], Iterator[Spanned]]) -> Iterator[tuple[int, int, int]]:
        # Each document is handed over by itself: with bounds in the joined text, look-behind and ^ would see more.
        for doc in range(len(self._starts)):
            for found in scan(self.get_document(doc)):
                start, end = found.span()
                yield doc, start, end

    def _matches(self, spans: Iterator[tuple[int, int, int]]) -> Iterator[Match]:
        known, line, seen, text, base = -1, 1, 0, "", 0
        for doc, start, end in spans:
            if doc != known:
                known, line, seen = doc, 1, 0
                text, base = self._held(doc)
            if start - seen > _BLOCK:
                line = self._line(doc, start)
            else:
                line += text.count("\n", base + seen, base + start)
            seen = start
            first = self._starts[doc]
            yield Match(first + start, first + end, text[base + start : base + end], doc, line)

    def _held(self, doc: int) -> tuple[str, int]:
        """Return the string that holds document `doc` and where in it the document begins."""
        return (self._texts[doc], 0) if self._joined is None else (self._joined, self._starts[doc])

    def _line(self, doc: int, local: int) -> int:
        """Return the line (from 1) of an offset within a document; long documents are counted through only once."""
        text, base = self._held(doc)
        block, before = local // _BLOCK, 0
        if block:
            marks = self._marks.get(doc)
            if marks is None:
                stop = base + self._ends[doc] - self._starts[doc]
                cuts = range(base, stop, _BLOCK)
                marks = array("q", accumulate(text.count("\n", cut, min(cut + _BLOCK, stop)) for cut in cuts))
                self._marks[doc] = marks
            before = marks[block - 1]
        return 1 + before + text.count("\n", base + block * _BLOCK, base + local)
