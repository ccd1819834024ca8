"""Quotes checked in an index: a citation is what the index holds at that place now, whoever said that it stands there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyrlm.corpus import MAX_GET_CHARS
from pyrlm.errors import RetrieverError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrlm.citations import Citation
    from pyrlm.searches import Searches

__all__ = ["Quotes"]

_QUOTE_CHARS = 400
_MAX_QUOTES = 30
_QUOTE_HITS = 5
_QUOTE_DOCUMENTS = 3
_LINE_PARTS = 5


class Quotes:
    """Looks quotes up in what a run has read and in the index.

    What was read tells where to look: a search may have said a wrong place, and the document may have been replaced or
    deleted since, perhaps by a question before this one. Each place is therefore read once more before it is cited.

    Args:
        searches: Those of the run. What they have found and read is looked at first.
    """

    def __init__(self, searches: Searches) -> None:
        self._searches = searches
        self._checked: dict[str, tuple[Citation, ...] | None] = {}

    async def find(self, quotes: Iterable[str]) -> tuple[tuple[Citation, ...], tuple[str, ...]]:
        """Look quotes up; see `Searches.find_quotes`."""
        places: dict[Citation, None] = {}
        missing = []
        for number, quote in enumerate(quotes):
            found = self._checked.get(quote)
            if found is None:
                new = quote not in self._checked and number < _MAX_QUOTES
                found = self._checked[quote] = await self._look_up(quote, search=new)
            if found is None:
                missing.append(quote)
            else:
                places.update(dict.fromkeys(found))
        return tuple(places), tuple(missing)

    async def _look_up(self, quote: str, *, search: bool) -> tuple[Citation, ...] | None:
        found = await self._known(quote)
        if found is None and search:
            try:
                found = await self._search_for(quote)
            except RetrieverError:
                return None  # the trace has it; what can't be checked is not cited
        return None if found is None else tuple([await self._with_line(citation) for citation in found])

    async def _known(self, quote: str) -> tuple[Citation, ...] | None:
        """Return where the quote stands in what was read, if it does so in the index; None where it does not."""
        found = self._searches.seen.find(quote)
        wrong = await self._wrong(found or ())
        for citation in wrong:
            self._searches.seen.forget(citation.doc_id or "")
        for citation in wrong:
            await self._read_near(citation.doc_id or "", citation.start)
        if wrong:
            found = self._searches.seen.find(quote)
        return None if wrong and await self._wrong(found or ()) else found

    async def _wrong(self, citations: Iterable[Citation]) -> list[Citation]:
        return [citation for citation in citations if not await self._stands(citation)]

    async def _stands(self, citation: Citation) -> bool:
        """Whether the index holds these words at this place."""
        start, size = citation.start, len(citation.text)
        try:
            part = await self._searches.corpus.get(citation.doc_id, start, size)
        except RetrieverError:
            return False
        place = start - (part.get("offset", start) or 0)
        return place >= 0 and part["content"][place : place + size] == citation.text

    async def _read_near(self, doc_id: str, place: int) -> None:
        """Read a document around a place, as much as one reading gives; not where that fails."""
        try:
            await self._searches.read(doc_id, max(0, place - MAX_GET_CHARS // 2), function="quote")
        except RetrieverError:
            return  # the trace has it

    async def _search_for(self, quote: str) -> tuple[Citation, ...] | None:
        for doc_id, near in self._searches.seen.loose_with(quote)[:_QUOTE_DOCUMENTS]:
            await self._read_near(doc_id, near)
            found = await self._known(quote)
            if found is not None:
                return found
        hits = await self._searches.find("bm25", quote[:_QUOTE_CHARS], _QUOTE_HITS, function="quote")
        found = await self._known(quote)
        firsts = {hit.doc_id: hit.start or 0 for hit in reversed(hits)}
        for doc_id in [*dict.fromkeys(hit.doc_id for hit in hits)][:_QUOTE_DOCUMENTS]:
            if found is None:
                await self._read_near(doc_id, firsts[doc_id])
                found = await self._known(quote)
        return found

    async def _with_line(self, citation: Citation) -> Citation:
        """Count the lines before a passage of which only a later part was read; 0 stays for places far inside."""
        if citation.line or citation.start > _LINE_PARTS * MAX_GET_CHARS:
            return citation
        line, reached = 1, 0
        try:
            while reached < citation.start:
                size = min(MAX_GET_CHARS, citation.start - reached)
                part = await self._searches.corpus.get(citation.doc_id, reached, size)
                if not part["content"]:
                    return citation
                line += part["content"].count("\n")
                reached += len(part["content"])
        except RetrieverError:
            return citation
        return replace(citation, line=line)
