"""How much of the text has a model read? `Coverage` collects what was shown to models and finds it in the text."""

from __future__ import annotations

import threading
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

from pyrlm.coverage_match import matches, merged

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Coverage", "Readable"]


class Readable(Protocol):
    """Text that is read, such as a `pyrlm.Context`."""

    @property
    def texts(self) -> Sequence[str]:
        """The documents."""

    @property
    def separator(self) -> str:
        """What stands between two documents where text is shown across documents."""


@dataclass(frozen=True, slots=True)
class Told:
    """A share that was worked out before."""

    share: float | None


class Coverage:
    """The share of a text that models have read in prompts and print-outs, found there verbatim.

    A passage of the text counts from 40 characters on, a whole line from 8 on; the lines of a printed list count as if
    they had been printed themselves. `add` only keeps a reference: the work is done when `share` is read, once for
    what was added since. A pass over 100 million characters of text takes a few tenths of a second to a second, and there is
    one for every two million characters read, however these are made: call it in a worker thread. Safe to use from several
    threads.

    Args:
        context: The text.
    """

    def __init__(self, context: Readable) -> None:
        self._context = context
        self._pending: dict[str, None] = {}
        self._spans: list[tuple[int, int]] = []
        self._whole = False
        self._adding = threading.Lock()
        self._finding = threading.Lock()

    def __reduce__(self) -> tuple[type[Told], tuple[float | None]]:
        """A copy, and what goes to another process, holds the share and not the text."""
        return Told, (self.share,)

    def add(self, text: str) -> None:
        """Note that a model was shown `text`: a prompt, a print-out."""
        if text and not self._whole:
            with self._adding:
                self._pending[text] = None

    def add_all(self) -> None:
        """Note that a model was shown the whole text."""
        self._whole = True
        with self._adding:
            self._pending = {}

    def continued(self, context: Readable) -> Coverage:
        """Return another one that knows what this one knows; `context` is its text, with or without more behind it."""
        more = Coverage(context)
        with self._finding, self._adding:
            more._pending, more._spans = dict(self._pending), list(self._spans)
            if self._whole:
                gaps = len(self._context.separator) * max(0, len(self._context.texts) - 1)
                more._spans = [(0, sum(map(len, self._context.texts)) + gaps)]
        return more

    @property
    def share(self) -> float | None:
        """Characters of the documents that were read over all that they have, 0 to 1; None for an empty text."""
        total = sum(map(len, self._context.texts))
        if not total:
            return None
        if self._whole:
            return 1.0
        with self._finding:
            self._find()
            return min(1.0, self._read_chars() / total)

    def _find(self) -> None:
        with self._adding:
            pending, self._pending = self._pending, {}
        if pending:
            found = matches(self._context.texts, self._context.separator, pending)
            self._spans = merged([*self._spans, *found])

    def _read_chars(self) -> int:
        """Count the characters of documents within the spans: separators are nobody's text."""
        lengths = list(map(len, self._context.texts))
        gap = len(self._context.separator)
        before = list(accumulate(lengths, initial=0))
        starts = [chars + gap * number for number, chars in enumerate(before[:-1])]

        def chars_before(offset: int) -> int:
            doc = bisect_right(starts, offset) - 1
            return before[doc] + min(offset - starts[doc], lengths[doc])

        return sum(chars_before(end) - chars_before(start) for start, end in self._spans)
