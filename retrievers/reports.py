"""What indexing tells: how far it is, and in the end what became of every document."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["IndexFailure", "IndexProgress", "IndexReport", "ProgressCallback", "Tally"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFailure:
    """A document that was not indexed.

    Attributes:
        doc_id: Its id, or its place in the stream (``"#17"``) if it has none.
        reason: Why, in words.
    """

    doc_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexProgress:
    """How far indexing is.

    Attributes:
        documents: Documents read so far, whatever became of them.
        passages: Passages written so far.
        acknowledged: Documents (of those read) that are safe: they are found again after a crash at any later moment.
        failed: Documents that could not be indexed.
        seconds: Wall time since the start.
        total: Documents in all, where the caller told; None otherwise.
        linked: Passages in the graph of neighbours, which is built when all documents are in; 0 before.
        to_link: Passages that it is to hold; 0 where none is built.
    """

    documents: int
    passages: int
    acknowledged: int
    failed: int
    seconds: float
    total: int | None = None
    linked: int = 0
    to_link: int = 0

    @property
    def rate(self) -> float:
        """Documents a second; 0.0 at the start."""
        return self.documents / self.seconds if self.seconds > 0 else 0.0

    @property
    def remaining_seconds(self) -> float | None:
        """Time that is left at this rate; None where the total or the rate isn't known."""
        if self.total is None or self.rate == 0.0:
            return None
        return max(self.total - self.documents, 0) / self.rate


@dataclass(slots=True, kw_only=True)
class IndexReport:
    """What became of every document: each counts in exactly one of `indexed`, `unchanged` and `failed`.

    Attributes:
        indexed: Documents that are new or changed.
        unchanged: Documents that were there already, word for word.
        deleted: Documents that were removed.
        failed: Documents that could not be indexed, and why.
        passages: Passages written.
        seconds: Wall time.
        interrupted: Whether indexing was stopped before the stream ended; running it again goes on.
        advice: What should be known about an index of this size; empty where all is well.
    """

    indexed: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: list[IndexFailure] = field(default_factory=list)
    passages: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    advice: str = ""

    @property
    def documents(self) -> int:
        """Documents that were read."""
        return self.indexed + self.unchanged + len(self.failed)


ProgressCallback = Callable[[IndexProgress], object]


PROGRESS_SECONDS: Final = 0.2
_NAME_CHARS: Final = 200


class Tally:
    """Keeps the report of one run, and tells how far it is, a few times a second.

    Args:
        progress: Told; None: nobody.
        total: Number of documents, where it is known.
    """

    def __init__(self, progress: ProgressCallback | None, total: int | None) -> None:
        self.report = IndexReport()
        self._progress = progress
        self._total = total
        self._began = self._last_shown = time.monotonic()

    def fail(self, doc_id: object, place: int, reason: str) -> None:
        """Note a document that can't be indexed, by its place in the stream where it has no id."""
        name = doc_id if isinstance(doc_id, str) and doc_id else f"#{place}"
        self.report.failed.append(IndexFailure(doc_id=name[:_NAME_CHARS], reason=reason))

    def show(self, *, documents: int, passages: int, acknowledged: int, now: bool = False) -> None:
        """Tell how far the run is, if it is time for that."""
        moment = time.monotonic()
        if self._progress is None or (not now and moment - self._last_shown < PROGRESS_SECONDS):
            return
        self._last_shown = moment
        self._progress(
            IndexProgress(
                documents=documents,
                passages=passages,
                acknowledged=acknowledged,
                failed=len(self.report.failed),
                seconds=moment - self._began,
                total=self._total,
            )
        )

    def done(self) -> IndexReport:
        """The report, at the end."""
        self.report.seconds = time.monotonic() - self._began
        return self.report
