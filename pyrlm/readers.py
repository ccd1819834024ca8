"""What readers hand over: documents that know where in which file they stand, and why a file was not read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["FileDocument", "Kind", "Note", "Skipped", "UnreadableError"]

Kind = Literal["text", "record", "html", "pdf"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDocument:
    """A document that was read from a file.

    Attributes:
        text: Its text, with newlines as line ends; pages of a PDF are divided by form feeds.
        source: The file's path, as it was given or found below what was given; ``"<stdin>"`` for standard input.
        kind: ``"text"`` is the file's text as it stands; of a ``"record"`` (a row, an item) it was made.
        line: The line of the file, from 1, that it begins on.
        record: Its number in the file, from 1, where a file has many.
    """

    text: str
    source: str
    kind: Kind = "text"
    line: int = 1
    record: int | None = None

    def where(self, offset: int, line: int) -> str:
        """Return how people cite the place at `offset`, on `line` (from 1), of this document."""
        if self.kind == "pdf":
            return f"{self.source}, page {self.text.count(chr(12), 0, offset) + 1}"
        if self.kind == "html":
            return f"{self.source}, line {line} of its text"
        return f"{self.source}:{self.line + line - 1 if self.kind == 'text' else self.line}"

    def metadata(self) -> dict[str, Any]:
        """Return everything but the text."""
        known: dict[str, Any] = {"source": self.source, "kind": self.kind}
        if self.record is not None:
            known |= {"record": self.record, "line": self.line}
        return known


@dataclass(frozen=True, slots=True)
class Skipped:
    """A path that was not read, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something to know of a file that was read, such as a guessed encoding."""

    path: str
    text: str


class UnreadableError(Exception):
    """A file can't be read; the message is the reason shown. Never leaves `pyrlm.files`."""
