"""Reads files, folders, globs and standard input into documents; what can't be read is reported, never fatal."""

from __future__ import annotations

import gzip
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

from pyrlm.readers import FileDocument, Kind, Note, Skipped, UnreadableError
from pyrlm.readers_markup import pdf_to_text, read_html
from pyrlm.readers_records import read_csv, read_json, read_jsonl
from pyrlm.readers_text import decode, unify_newlines
from pyrlm.walk import expand

__all__ = ["FileDocument", "Note", "ReadReport", "Skipped", "iter_paths", "read_paths"]

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Progress = Callable[[str, int], None]

_MAX_FILE_BYTES = 1 << 30
_MAX_TOTAL_BYTES = 4 << 30
_BLOCK = 1 << 20
_HTML = frozenset({".html", ".htm", ".xhtml"})
_JSON_LINES = frozenset({".jsonl", ".ndjson"})
_TABLES = {".csv": None, ".tsv": "\t", ".tab": "\t"}
_OFFICE = frozenset({".docx", ".xlsx", ".pptx", ".doc", ".xls", ".ppt", ".odt", ".ods", ".epub", ".rtf"})


@dataclass(slots=True)
class ReadReport:
    """What came of reading.

    Attributes:
        skipped: Paths that were not read, each with the reason.
        notes: What to know of files that were read: a guessed encoding, lines that are no JSON.
        files: Number of files read.
        bytes: Their size, unpacked.
    """

    skipped: list[Skipped] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    files: int = 0
    bytes: int = 0


def read_paths(
    paths: Paths,
    *,
    max_file_bytes: int = _MAX_FILE_BYTES,
    max_total_bytes: int = _MAX_TOTAL_BYTES,
    stdin: IO[bytes] | None = None,
    on_progress: Progress | None = None,
) -> tuple[list[FileDocument], ReadReport]:
    """Read all documents that `paths` name.

    Text of any kind is one document a file; HTML and PDF (extra ``pdf``) are turned into text; a JSON list of records,
    JSON Lines, CSV and TSV give one document a record. Each of these may be packed with gzip (``.gz``).

    Args:
        paths: Files, folders (all below), globs (``**`` for any depth), ``"-"`` for standard input; one or many.
        max_file_bytes: Size, unpacked, above which a file is skipped.
        max_total_bytes: Size of all together, unpacked, above which the files left are skipped.
        stdin: Read for ``"-"``; `sys.stdin` by default.
        on_progress: Called with the path and the number of files read before it, ahead of each file.

    Returns:
        The documents in the order of `paths`, folders sorted by name; and the report.
    """
    report = ReadReport()
    documents = iter_paths(
        paths,
        report,
        max_file_bytes=max_file_bytes,
        max_total_bytes=max_total_bytes,
        stdin=stdin,
        on_progress=on_progress,
    )
    return list(documents), report


def iter_paths(
    paths: Paths,
    report: ReadReport,
    *,
    max_file_bytes: int = _MAX_FILE_BYTES,
    max_total_bytes: int = _MAX_TOTAL_BYTES,
    stdin: IO[bytes] | None = None,
    on_progress: Progress | None = None,
) -> Iterator[FileDocument]:
    """Yield the documents of `read_paths` one by one, for what need not be held at once; `report` is filled meanwhile."""
    given = [os.fspath(item) for item in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    for path in expand(given, report.skipped.append):
        if on_progress is not None:
            on_progress(path, report.files)
        try:
            held = [_load(path, max_file_bytes, stdin, pipe=path in given)]
            size = _admitted(len(held[0]), max_total_bytes - report.bytes)
            yield from _documents(path, held, report)
        except UnreadableError as error:
            report.skipped.append(Skipped(path, str(error)))
        except OSError as error:
            report.skipped.append(Skipped(path, error.strerror or str(error)))
        else:
            report.files += 1
            report.bytes += size


def _load(path: str, limit: int, stdin: IO[bytes] | None, *, pipe: bool) -> bytearray:
    """Return a file's bytes, unpacked. A pipe, such as a shell's ``<(command)``, must have been named itself."""
    if path == "-":
        return _limited(stdin or sys.stdin.buffer, limit)
    mode = os.stat(path).st_mode  # noqa: PTH116 - paths stay strings, as they were given
    if not (stat.S_ISREG(mode) or (pipe and stat.S_ISFIFO(mode))):
        raise UnreadableError("not a regular file")
    with open(path, "rb") as file:  # noqa: PTH123
        if not path.lower().endswith(".gz"):
            return _limited(file, limit)
        try:
            with gzip.open(file) as packed:
                return _limited(packed, limit)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UnreadableError(f"damaged gzip file: {error}") from None


def _limited(file: IO[bytes] | gzip.GzipFile, limit: int) -> bytearray:
    data = bytearray()
    while block := file.read(_BLOCK):
        data += block
        if len(data) > limit:
            raise UnreadableError(f"larger than max_file_bytes={limit:,}")
    return data


def _admitted(size: int, left: int) -> int:
    if size > left:
        raise UnreadableError(f"only {max(left, 0):,} bytes are left of max_total_bytes, it has {size:,}")
    return size


def _documents(path: str, held: list[bytearray], report: ReadReport) -> Iterator[FileDocument]:
    """Yield a file's documents; `held` is emptied, so that the bytes are gone before records are made of the text."""
    source = "<stdin>" if path == "-" else path
    stem = path[:-3] if path.lower().endswith(".gz") else path
    suffix = os.path.splitext(stem)[1].lower()  # noqa: PTH122
    data = held.pop()
    if not data:
        raise UnreadableError("empty")
    notes: list[str] = []
    if suffix == ".pdf" or data.startswith(b"%PDF-"):
        text, note = pdf_to_text(data)
        kind: Kind = "pdf"
    elif suffix in _HTML:
        text, note = read_html(data)
        kind = "html"
    elif suffix in _OFFICE:
        raise UnreadableError(f"binary ({suffix[1:]}: save it as text or PDF)")
    else:
        text, note = decode(data)
        kind = "text"
    del data
    if not text or text.isspace():
        raise UnreadableError("empty")
    if note:
        notes.append(note)
    if kind == "text":
        yield from _split(unify_newlines(text), suffix, source, notes)
    else:
        yield FileDocument(text=text, source=source, kind=kind)
    report.notes.extend(Note(source, note) for note in notes)


def _split(text: str, suffix: str, source: str, notes: list[str]) -> Iterator[FileDocument]:
    if suffix in _JSON_LINES:
        yield from read_jsonl(text, source, notes)
    elif suffix == ".json":
        yield from read_json(text, source, notes)
    elif suffix in _TABLES:
        yield from read_csv(text, source, notes, delimiter=_TABLES[suffix])
    else:
        yield FileDocument(text=text, source=source)
