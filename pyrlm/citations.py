"""Checks quotes against the text: what stands there becomes a `Citation`, what does not is named as missing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Citation", "Quotable", "Quoted", "find_quotes", "find_quotes_in"]

_SHORTEST = 8
_CANDIDATES = 50_000
_STEPS = 500_000
_SAMPLES, _SAMPLE = 64, 2_048
_ENDS = "\"'`“”„‟‘’‚‛«»‹›「」『』"
_DOTS = re.compile(r"\s*(?:\[\s?(?:\.{3,}|…)\s?\]|\(\s?(?:\.{3,}|…)\s?\)|\.{3,}|…)\s*")


class Quotable(Protocol):
    """Text that quotes can be checked against, such as a `pyrlm.Context`."""

    @property
    def texts(self) -> Sequence[str]:
        """The documents."""

    @property
    def sources(self) -> Sequence[str | None]:
        """Where each document comes from, one entry a document."""

    @property
    def separator(self) -> str:
        """What stands between two documents in the text as a whole."""


@runtime_checkable
class Quoted(Protocol):
    """What finds quotes in itself, such as data."""

    def find_quotes(self, quotes: Iterable[str], /) -> tuple[tuple[Citation, ...], tuple[str, ...]]:
        """Return citations, and the quotes that are not there; see `find_quotes` of this module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A passage that an answer rests on, as it stands in the text.

    Attributes:
        text: The passage, with the line ends and spaces of the text and not of the quote.
        doc: Number of the document, from 0; for hits of an index, of the hit.
        start: Offset of the passage in its document, in characters.
        end: Offset after it, so that ``document[start:end] == text``.
        line: Line of the document on which it starts, from 1.
        doc_id: The document's id in an index; None for text at hand.
        source: Where the document comes from, such as a file's path; None where that is not known. Of data the place of the
            string, ``context[3]['name']``, which is then the document; for what stands in no single string the variable,
            with offsets in its JSON, or in what `json.dumps` or `print` show of it.
        global_start: Offset in the whole text, as in `Context.slice`; None for hits of an index and for data.
    """

    text: str
    doc: int
    start: int
    end: int
    line: int
    doc_id: str | None = None
    source: str | None = None
    global_start: int | None = None


Place = tuple[int, int, int]
"""Document, start and end."""


def find_quotes(quotes: Iterable[str], context: Quotable | Quoted) -> tuple[tuple[Citation, ...], tuple[str, ...]]:
    """Find each of `quotes` in the documents of `context`.

    A quote has to stand there letter by letter; only white space may differ (line ends, indentation), and quotation marks
    or dots around a quote are left out. Dots inside a quote leave something out: its parts are looked for in this order in
    one document, and each becomes a citation. A quote under 8 characters counts only as a whole word or number. The first
    place of several is cited, each place once.

    The cost of a quote is a few passes at the speed of `str.find`, whatever the quote and the text: at most 50,000 places
    where its rarest word stands are compared. Reads strings only, so it can be called in a worker thread.

    Returns:
        The citations, in the order of the quotes, and the quotes that do not stand in the text, as they were given.
    """
    if isinstance(context, Quoted):
        return context.find_quotes(quotes)
    texts = context.texts
    places, missing = _find_all(quotes, texts)
    offsets = list(accumulate((len(text) + len(context.separator) for text in texts), initial=0)) if places else []
    citations = (
        _cite(texts, place, source=context.sources[place[0]], global_start=offsets[place[0]] + place[1])
        for place in places
    )
    return tuple(citations), missing


def find_quotes_in(
    quotes: Iterable[str], passages: Mapping[str, str], sources: Mapping[str, str | None] | None = None
) -> tuple[tuple[Citation, ...], tuple[str, ...]]:
    """Find each of `quotes` in hits of an index, given as content by document id; see `find_quotes`.

    Args:
        quotes: The quotes.
        passages: Content of each document by its id.
        sources: Where documents come from, by id, as far as that is known.
    """
    ids, texts = list(passages), list(passages.values())
    places, missing = _find_all(quotes, texts)
    known = sources or {}
    return tuple(
        _cite(texts, place, doc_id=ids[place[0]], source=known.get(ids[place[0]])) for place in places
    ), missing


def _cite(
    texts: Sequence[str],
    place: Place,
    *,
    doc_id: str | None = None,
    source: str | None = None,
    global_start: int | None = None,
) -> Citation:
    doc, start, end = place
    return Citation(
        text=texts[doc][start:end],
        doc=doc,
        start=start,
        end=end,
        line=texts[doc].count("\n", 0, start) + 1,
        doc_id=doc_id,
        source=source,
        global_start=global_start,
    )


def _find_all(quotes: Iterable[str], texts: Sequence[str]) -> tuple[list[Place], tuple[str, ...]]:
    places: dict[Place, None] = {}
    missing = []
    for quote in quotes:
        found = _find_quote(quote, texts)
        if found is None:
            missing.append(quote)
        else:
            places.update(dict.fromkeys(found))
    return list(places), tuple(missing)


def _find_quote(quote: str, texts: Sequence[str]) -> list[Place] | None:
    """Return the places of a quote; an empty list for one too short to count, None for one that is not in the text."""
    plain = quote.strip()
    bare = _bare(plain)
    if len(bare) < _SHORTEST:
        return _find_word(bare, texts)
    for wanted in dict.fromkeys((plain, bare)):
        for doc, text in enumerate(texts):
            start = text.find(wanted)
            if start >= 0:
                return [(doc, start, start + len(wanted))]
    parts = [part for part in _DOTS.split(bare) if len(part.strip()) >= _SHORTEST or _is_word(part.strip())]
    if not parts:
        return []
    found = _find_parts([part.split() for part in parts], texts)
    return _with_ends(found, plain, bare, texts) if found else None


def _with_ends(found: list[Place], plain: str, bare: str, texts: Sequence[str]) -> list[Place]:
    """Give back to the passage the marks at the quote's ends that stand in the text too."""
    prefix, _, suffix = plain.partition(bare)
    (first, start, end), text = found[0], texts[found[0][0]]
    if prefix and text.endswith(prefix, 0, start):
        found[0] = (first, start - len(prefix), end)
    last, start, end = found[-1]
    if suffix and text.startswith(suffix, end):
        found[-1] = (last, start, end + len(suffix))
    return found


def _bare(quote: str) -> str:
    """Take quotation marks, dots and white space away from both ends of a quote."""
    before = None
    while before != quote:
        before = quote
        quote = quote.strip().strip(_ENDS)
        for dots in ("[...]", "[…]", "(...)", "...", "…"):
            quote = quote.removeprefix(dots).removesuffix(dots)
    return quote


def _is_word(text: str) -> bool:
    return bool(text) and not any(char.isspace() for char in text) and any(char.isalnum() for char in text)


def _find_word(word: str, texts: Sequence[str]) -> list[Place] | None:
    if not any(char.isalnum() for char in word):
        return []
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    inside = False
    for doc, text in enumerate(texts):
        if word in text:
            inside = True
            match = pattern.search(text)
            if match is not None:
                return [(doc, match.start(), match.end())]
    return [] if inside or not _is_word(word) else None


def _find_parts(parts: list[list[str]], texts: Sequence[str]) -> list[Place] | None:
    """Find the parts of a quote, each as its words, in this order within one document; white space may differ."""
    matchers = [_Matcher(words, _rarest(words, texts)) for words in parts]
    for doc, text in enumerate(texts):
        found: list[Place] = []
        position = 0
        for matcher in matchers:
            span = matcher.find(text, position)
            if span is None:
                break
            found.append((doc, *span))
            position = span[1]
        else:
            return found
    return None


def _rarest(words: list[str], texts: Sequence[str]) -> int:
    """Return the index of the word that is likely to stand at the fewest places, by a sample of the text."""
    longest = sorted(range(len(words)), key=lambda index: -len(words[index]))[:6]
    step = max(1, len(texts) // _SAMPLES)
    chosen = texts[::step][:_SAMPLES]
    share = max(1, _SAMPLES // max(1, len(chosen)))
    sample = "\n".join(
        text[at : at + _SAMPLE] for text in chosen for at in range(0, len(text), max(_SAMPLE, -(-len(text) // share)))
    )
    return min(longest, key=lambda index: (sample.count(words[index]), -len(words[index])))


class _Matcher:
    """Finds words that stand one after the other with any white space between; its work is bounded over all calls."""

    def __init__(self, words: list[str], anchor: int) -> None:
        self.anchor = words[anchor]
        self.before = words[:anchor][::-1]
        self.after = re.compile(r"\s++".join(["", *map(re.escape, words[anchor + 1 :])]))
        self.candidates = _CANDIDATES
        self.steps = _STEPS

    def find(self, text: str, position: int) -> tuple[int, int] | None:
        """Return start and end of the first match from `position` on; None without one, or when the work is used up."""
        at = text.find(self.anchor, position)
        while at >= 0 and self.candidates > 0 and self.steps > 0:
            self.candidates -= 1
            match = self.after.match(text, at + len(self.anchor))
            start = self._backwards(text, at) if match is not None else -1
            if match is not None and start >= position:
                return start, match.end()
            at = text.find(self.anchor, at + 1)
        return None

    def _backwards(self, text: str, at: int) -> int:
        """Return where the words before the anchor begin if they end at `at`; -1 if they don't."""
        for word in self.before:
            gap = at
            while gap > 0 and self.steps > 0 and text[gap - 1].isspace():
                gap -= 1
                self.steps -= 1
            if gap == at or not text.endswith(word, 0, gap):
                return -1
            at = gap - len(word)
            self.steps -= 1
        return at
