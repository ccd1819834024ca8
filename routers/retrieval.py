"""Routes over an index: a search and one call on the best passages, and the same once more with a wider search."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, TypeVar

from pyrlm.errors import MaxSecondsExceeded, RetrieverError
from pyrlm.prompts import DIRECT_SYSTEM
from pyrlm.routers.one_call import ask_once
from pyrlm.routers.table import EVERY_ENTRY
from pyrlm.routers.terms import query_terms
from pyrlm.routers.work import Answer
from pyrlm.seen import Seen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from pyrlm.citations import Citation
    from pyrlm.corpus import Method
    from pyrlm.retrievers.protocol import Hit, Hits
    from pyrlm.routers.work import Work
    from pyrlm.searches import Searches

__all__ = ["ask_passages", "found_elsewhere", "retrieval", "retrieval_wide"]

T = TypeVar("T")

_AROUND = 1_200
"""Characters of the document on both sides of a passage that the wider search reads with it."""
_WIDENED = 6
"""Passages, the best, that are read with what stands around them."""
_REACH = 500
"""Characters on both sides of a preview, where passages are cut anew for a second opinion."""
_A_PART = """\
The passages are the best of a larger corpus. If the question takes all of it (a count, a list, a comparison) and no \
passage states the answer, reply NO_ANSWER."""
_SHOWN_METADATA = 200
_SHOWN_IDS = 10


async def retrieval(work: Work) -> Answer:
    """Search once, and ask about the best passages."""
    searches = _searches(work)
    try:
        hits = await _in_time(work, lambda: searches.find("hybrid", work.query, work.config.retrieval_hits))
    except RetrieverError as error:
        return _failed("retrieval", error)
    if searches.vectors and hits.method == "bm25":
        work.notes.append(f"the search used words alone: {hits.note or 'no vectors were to be had'}")
    shown = _fitting(work, hits, work.config.select_tokens)
    _remember(work, f"{work.query[:200]!r}, the best {len(shown)} passages", shown)
    return await ask_passages(work, "retrieval", shown)


async def retrieval_wide(work: Work) -> Answer:
    """Search in several ways, read around what was found, and ask about much more of it; what fails of it is left out."""
    searches = _searches(work)
    words = " ".join(query_terms(work.query)) or work.query
    asked: dict[tuple[Method, str], None] = {("bm25", work.query): None, ("bm25", words): None}
    if searches.vectors:
        asked["vector", work.query] = None
    try:
        lists = await _in_time(work, lambda: _lists(work, list(asked)))
    except RetrieverError as error:
        return _failed("retrieval_wide", error)
    hits = _merged(lists)
    around = await _in_time(work, lambda: asyncio.gather(*(_read_around(searches, hit) for hit in hits[:_WIDENED])))
    passages = [*around, *hits[_WIDENED:]]
    shown = _fitting(work, passages, work.config.retrieval_wide_tokens)
    if shown and all(any(_holds(old, hit) for old in work.read) for hit in shown):
        return Answer(route="retrieval_wide", signal="the wider search found no more than was read before")
    _remember(work, f"{words[:200]!r} and the question, the best {len(shown)} passages of {len(hits)}", shown)
    return await ask_passages(work, "retrieval_wide", shown)


async def _lists(work: Work, asked: Sequence[tuple[Method, str]]) -> list[Hits]:
    """The rankings of searches side by side.

    Raises:
        RetrieverError: They have all failed.
    """
    searches, count = _searches(work), work.config.retrieval_wide_hits
    found = await asyncio.gather(
        *(searches.find(method, query, count) for method, query in asked), return_exceptions=True
    )
    lists: list[Hits] = []
    failed: dict[str, RetrieverError] = {}
    for (method, _), hits in zip(asked, found, strict=True):
        if isinstance(hits, RetrieverError):
            failed.setdefault(method, hits)
        elif isinstance(hits, BaseException):
            raise hits
        else:
            lists.append(hits)
    if not lists:
        raise next(iter(failed.values()))
    ways = {"bm25": "a search by words", "vector": "vector_search"}
    work.notes += [f"the wider search did without {ways[method]}: {error}" for method, error in failed.items()]
    return lists


async def _in_time(work: Work, search: Callable[[], Awaitable[T]]) -> T:
    """Search until the run's time is over; not at all where it is.

    Raises:
        MaxSecondsExceeded: It is.
    """
    try:
        async with work.caller.effects.time_limit(work.caller.budget.seconds_left):
            await asyncio.sleep(0)  # where no time is left, this is where it ends
            return await search()
    except TimeoutError:
        limit = work.caller.budget.max_seconds
        raise MaxSecondsExceeded(f"max_seconds={limit}: a search was still under way when they were over.") from None


async def found_elsewhere(work: Work, query: str) -> list[Hit]:
    """Return passages for an independent second answer: by other words of the query, cut at other places, and fewer.

    Raises:
        RetrieverError: The search failed.
        MaxSecondsExceeded: The run's time is over.
    """
    searches = _searches(work)
    words = " ".join(query_terms(query)) or query
    hits = await _in_time(work, lambda: searches.find("bm25", words, work.config.retrieval_hits))
    cut = await _in_time(work, lambda: asyncio.gather(*(_cut_anew(searches, hit) for hit in hits)))
    return _fitting(work, cut, work.config.select_tokens)


async def ask_passages(work: Work, route: str, passages: Sequence[Hit], *, system: str | None = None) -> Answer:
    """Ask once about `passages`; quotes have to stand in them.

    Raises:
        PolicyError: A limit leaves no room for the call, or its time is over.
        ModelError: The call failed for good.
    """
    if not passages:
        return Answer(route=route, signal="the search found nothing")
    searches, shown = _searches(work), Seen()
    for hit in passages:
        if hit.start is None or not hit.text:
            shown.add_loose(hit.doc_id, hit.text or hit.preview)
        else:
            shown.add(hit.doc_id, hit.text, hit.start, line=hit.line)

    async def check(quotes: Sequence[str]) -> tuple[tuple[Citation, ...], tuple[str, ...]]:
        inside = [quote for quote in quotes if shown.find(quote) is not None or shown.loose_with(quote)]
        try:
            citations, lost = await _in_time(work, lambda: searches.find_quotes(inside))
        except MaxSecondsExceeded as error:  # the answer is paid for
            work.notes.append(f"{route}: the quotes could not be checked, and are not cited: {error}")
            citations, lost = (), ()
        return citations, tuple(quote for quote in quotes if quote in lost or quote not in inside)

    if system is None and work.decision.kind in EVERY_ENTRY:
        system = f"{DIRECT_SYSTEM}\n{_A_PART}"
    return await ask_once(work, route, [_framed(hit) for hit in passages], coverage=None, system=system, check=check)


def _searches(work: Work) -> Searches:
    assert work.searches is not None  # the decision has seen to it
    return work.searches


def _failed(route: str, error: RetrieverError) -> Answer:
    return Answer(route=route, signal=f"RetrieverError: {error}", error=error)


def _remember(work: Work, what: str, shown: Sequence[Hit]) -> None:
    """Keep what was read, and for the loop what was searched."""
    work.read += shown
    ids = list(dict.fromkeys(hit.doc_id[:100] for hit in shown))
    more = f" and {len(ids) - _SHOWN_IDS} more" if len(ids) > _SHOWN_IDS else ""
    where = f", of {', '.join(ids[:_SHOWN_IDS])}{more}" if ids else ""
    work.tried.append(f"Searched before, and read without success: {what}{where}.")


def _framed(hit: Hit) -> str:
    """A passage as the model reads it, under a line that says where it is from."""
    above = [f"document {hit.doc_id}", hit.title, hit.heading]
    facts = ", ".join(f"{name}: {value}" for name, value in hit.metadata.items())[:_SHOWN_METADATA]
    return f"[{' | '.join(part for part in (*above, facts) if part)}]\n{hit.text or hit.preview}"


def _fitting(work: Work, hits: Iterable[Hit], tokens: int) -> list[Hit]:
    """As many of the best hits as fit into so many tokens, each passage once."""
    room = min(tokens, work.usable_tokens)
    chosen: dict[tuple[str, int | None, str], Hit] = {}
    for hit in hits:
        key = (hit.doc_id, hit.start, "" if hit.start is not None else hit.preview)
        size = work.root.counter.count(_framed(hit))
        if key not in chosen and size <= room:
            chosen[key] = hit
            room -= size
    return list(chosen.values())


def _holds(old: Hit, new: Hit) -> bool:
    return old.doc_id == new.doc_id and (new.text or new.preview) in (old.text or old.preview)


def _merged(lists: Iterable[Sequence[Hit]]) -> list[Hit]:
    """Join rankings by turns, each passage once."""
    turns = (hit for rank in zip_longest(*lists) for hit in rank if hit is not None)
    return list({(hit.doc_id, hit.start, hit.text or hit.preview): hit for hit in turns}.values())


async def _read_around(searches: Searches, hit: Hit, reach: int = _AROUND) -> Hit:
    if hit.start is None:
        return hit
    return await _part(
        searches, hit, max(0, hit.start - reach), max(hit.end or 0, hit.start + len(hit.text or hit.preview)) + reach
    )


async def _cut_anew(searches: Searches, hit: Hit) -> Hit:
    if hit.start is None:
        return hit
    place = hit.start + max(0, hit.text.find(hit.preview))
    return await _part(searches, hit, max(0, place - _REACH), place + len(hit.preview) + _REACH)


async def _part(searches: Searches, hit: Hit, start: int, end: int) -> Hit:
    """Return the hit with the text of its document from `start` to `end` as its passage; as it is where that fails."""
    try:
        part = await searches.read(hit.doc_id, start, end - start)
    except RetrieverError:  # the document may have been deleted meanwhile; the trace has it
        return hit
    return replace(hit, text=part["content"], start=start, end=start + len(part["content"]), line=None)
