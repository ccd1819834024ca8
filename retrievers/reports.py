"""What indexing tells: how far it is, and in the end what became of every document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["IndexFailure", "IndexProgress", "IndexReport", "ProgressCallback"]


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
