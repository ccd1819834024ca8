"""What a run has seen of an index: stretches of documents by id and offset, in which quotes are looked up."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyrlm.citations import find_quotes_in

if TYPE_CHECKING:
    from pyrlm.citations import Citation

__all__ = ["Seen"]

_MAX_CHARS = 8_000_000
"""Characters that one run keeps; the documents that were not touched for the longest time go first."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """``document[start:end] == text``; `line` is that of its first character, None where it is not known."""

    start: int
    text: str
    line: int | None

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class Seen:
    """Stretches of documents, joined where they touch.

    Args:
        max_chars: Characters kept.
    """

    def __init__(self, max_chars: int = _MAX_CHARS) -> None:
        self._max_chars = max_chars
        self._documents: OrderedDict[str, list[_Stretch]] = OrderedDict()
        self._loose: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._sources: dict[str, str | None] = {}
        self._numbers: dict[str, int] = {}
        self._chars = 0

    @property
    def doc_ids(self) -> list[str]:
        """Ids of the documents that are kept, the latest last."""
        return list(self._documents)

    @property
    def texts(self) -> list[str]:
        """Every stretch that is kept."""
        return [stretch.text for stretches in self._documents.values() for stretch in stretches]

    def add(self, doc_id: str, text: str, start: int, *, line: int | None = None, source: str | None = None) -> None:
        """Keep ``document[start:start + len(text)]``; what was there before at the same place gives way."""
        self._numbers.setdefault(doc_id, len(self._numbers))
        self._sources[doc_id] = source or self._sources.get(doc_id)
        new = _Stretch(start, text, 1 if start == 0 else line)
        kept: list[_Stretch] = []
        for old in self._documents.pop(doc_id, []):
            self._chars -= len(old.text)
            if old.end < new.start or old.start > new.end:
                kept.append(old)
            else:
                new = _joined(old, new)
        kept.append(new)
        self._documents[doc_id] = sorted(kept, key=lambda stretch: stretch.start)
        self._chars += sum(len(stretch.text) for stretch in kept)
        self._make_room()

    def add_loose(self, doc_id: str, text: str, near: int = 0) -> None:
        """Keep a passage whose place in its document is not known: the document has to be read for a citation, `near` there."""
        passages = self._loose.setdefault(doc_id, {})
        if text not in passages:
            passages[text] = near
            self._chars += len(text)
            self._make_room()

    def forget(self, doc_id: str) -> None:
        """Let go of what was kept of a document: it is not what the index holds."""
        for stretch in self._documents.pop(doc_id, []):
            self._chars -= len(stretch.text)

    def find(self, quote: str) -> tuple[Citation, ...] | None:
        """Return where `quote` stands (empty for one too short to count); None where it does not.

        A citation's line is 0 where only a later part of the document was read.
        """
        places = {
            f"{number}\n{doc_id}": (doc_id, stretch)
            for doc_id, stretches in self._documents.items()
            for number, stretch in enumerate(stretches)
        }
        found, missing = find_quotes_in([quote], {key: stretch.text for key, (_, stretch) in places.items()})
        if missing:
            return None
        return tuple(self._placed(citation, *places[citation.doc_id or ""]) for citation in found)

    def loose_with(self, quote: str) -> list[tuple[str, int]]:
        """Ids of documents of which a passage without a place holds `quote`, and near which character it may stand."""
        holding = (
            (doc_id, [near for passage, near in passages.items() if not find_quotes_in([quote], {"": passage})[1]])
            for doc_id, passages in self._loose.items()
        )
        return [(doc_id, nears[0]) for doc_id, nears in holding if nears]

    def around(self, citation: Citation, reach: int = 400) -> str:
        """Return a cited passage with what was read of the text around it."""
        for stretch in self._documents.get(citation.doc_id or "", []):
            if stretch.start <= citation.start and citation.end <= stretch.end:
                start = max(0, citation.start - stretch.start - reach)
                return stretch.text[start : citation.end - stretch.start + reach]
        return citation.text

    def _placed(self, citation: Citation, doc_id: str, stretch: _Stretch) -> Citation:
        return replace(
            citation,
            doc=self._numbers[doc_id],
            doc_id=doc_id,
            start=citation.start + stretch.start,
            end=citation.end + stretch.start,
            line=0 if stretch.line is None else citation.line - 1 + stretch.line,
            source=self._sources.get(doc_id),
        )

    def _make_room(self) -> None:
        while self._chars > self._max_chars and len(self._documents) + len(self._loose) > 1:
            if self._loose:
                self._chars -= sum(map(len, self._loose.popitem(last=False)[1]))
            else:
                _, stretches = self._documents.popitem(last=False)
                self._chars -= sum(len(stretch.text) for stretch in stretches)


def _joined(old: _Stretch, new: _Stretch) -> _Stretch:
    """Join two stretches that touch; where they overlap, the new one counts."""
    before = old.text[: max(0, new.start - old.start)]
    after = old.text[new.end - old.start :] if old.end > new.end else ""
    line = new.line
    if before:
        line = old.line
        if line is None and new.line is not None:
            line = new.line - before.count("\n")
    elif line is None and old.line is not None and old.start >= new.start:
        line = old.line - new.text.count("\n", 0, old.start - new.start)
    return _Stretch(min(old.start, new.start), before + new.text + after, line)
