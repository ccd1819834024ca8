"""What a run answers from: the text at hand and the index; its quotes are checked against both."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pyrlm.citations import find_quotes
from pyrlm.effects import NO_RECORD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrlm.calls import Caller
    from pyrlm.citations import Citation, Quotable, Quoted
    from pyrlm.effects import Effects
    from pyrlm.searches import Searches
    from pyrlm.trace import Recorder

__all__ = ["check_quotes", "check_retriever", "described", "open_searches"]


async def check_quotes(
    quotes: Sequence[str], contexts: Sequence[Quotable | Quoted], searches: Searches | None
) -> tuple[tuple[Citation, ...], tuple[str, ...]]:
    """Find `quotes` in the texts and data, and those that are not there in the index.

    Returns:
        Citations, and the quotes that are nowhere; nothing at all where there is nothing to check against.
    """
    if not quotes or not (contexts or searches is not None):
        return (), ()
    citations: tuple[Citation, ...] = ()
    missing = tuple(quotes)
    for context in contexts:  # a pass over 100 million characters takes a tenth of a second, for each quote
        found, missing = await asyncio.to_thread(find_quotes, missing, context)
        citations += found
    if searches is None or not missing:
        return citations, missing
    found, missing = await searches.find_quotes(missing)
    return (*citations, *found), missing


def open_searches(retriever: Any, recorder: Recorder, effects: Effects = NO_RECORD) -> Searches | None:
    """Return the searches of a run; None without a retriever."""
    if retriever is None:
        return None
    from pyrlm.searches import Searches  # noqa: PLC0415 - runs without a retriever don't need what it imports

    return Searches(retriever, recorder, effects)


def check_retriever(retriever: Any) -> None:
    """Check an option `retriever`; None is allowed.

    Raises:
        ConfigurationError: It is no retriever.
    """
    if retriever is not None:
        from pyrlm.corpus import check_retriever as check  # noqa: PLC0415 - as above

        check(retriever)


async def described(retriever: Any, notes: Sequence[str], caller: Caller) -> Sequence[str]:
    """Put what the index holds before the other notes of a run's first message."""
    if retriever is None:
        return notes
    from pyrlm.corpus import Corpus  # noqa: PLC0415 - as above

    return [await Corpus(retriever, caller.effects).describe(caller.budget.seconds_left()), *notes]
