"""From files to an index: what documents a path holds, how they are named, and what was passed over.

Every text file, HTML page and PDF is a document, named by its path; a row of a table or a line of JSON Lines is one too,
named ``path#number``. Lines of JSON that name themselves (``{"doc_id": …, "content": …, "title": …, "metadata": {…}}``;
``id`` and ``text`` will do) are taken as they are, from files of any size.
"""

from __future__ import annotations

import gzip
import inspect
import json
import os
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any, Final

from pyrlm.errors import ConfigurationError
from pyrlm.files import ReadReport, iter_paths
from pyrlm.readers import Note, Skipped
from pyrlm.retrievers.chunking import first_heading
from pyrlm.retrievers.protocol import Document, acall
from pyrlm.retrievers.reports import IndexReport
from pyrlm.walk import expand

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyrlm.files import FileDocument

    Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

__all__ = ["IngestReport", "aingest", "count_documents", "documents_from", "ingest"]

JSON_LINES: Final = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
MANY_DOCUMENTS: Final = (*JSON_LINES, ".json", ".json.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".tab", ".tab.gz")
ANY_SIZE: Final = 1 << 62
TITLE_CHARS: Final = 200


@dataclass(slots=True, kw_only=True)
class IngestReport:
    """What came of ingesting.

    Attributes:
        index: What became of every document.
        read: Which files were read, and which were passed over and why.
    """

    index: IndexReport = field(default_factory=IndexReport)
    read: ReadReport = field(default_factory=ReadReport)


def documents_from(paths: Paths, report: ReadReport) -> Iterator[Document]:
    """Read files, folders and globs into documents, one by one; `report` is filled meanwhile.

    Args:
        paths: Files, folders (all below), globs, ``"-"`` for standard input.
        report: Gets what was passed over, and why.
    """
    for path in expand(_given(paths), report.skipped.append):
        if _names_its_documents(path):
            yield from _self_named(path, report)
        else:
            for document in iter_paths(path, report, max_total_bytes=ANY_SIZE):
                yield _as_document(document)


def count_documents(paths: Paths) -> int | None:
    """How many documents `paths` hold; None where only reading can tell, because a file may hold many."""
    count = 0
    for path in expand(_given(paths), _ignore):
        if path == "-" or path.lower().endswith(MANY_DOCUMENTS):
            return None
        count += 1
    return count


def ingest(paths: Paths, retriever: Any, **options: Any) -> IngestReport:
    """Index files. Ctrl-C leaves a usable index, and the same call goes on where it stopped.

    Args:
        paths: Files, folders, globs, ``"-"``.
        retriever: One whose `index` is a plain method, such as `EmbeddedRetriever`; for others there is `aingest`.
        **options: For its `index`: progress, total, remove_missing, stop.

    Raises:
        ConfigurationError: `index` has to be awaited.
        RetrieverError: Indexing failed as a whole.
    """
    if inspect.iscoroutinefunction(retriever.index):
        raise ConfigurationError(f"{type(retriever).__name__}.index has to be awaited: use `await aingest(…)`")
    report = IngestReport()
    report.index = retriever.index(documents_from(paths, report.read), **options)
    return report


async def aingest(paths: Paths, retriever: Any, **options: Any) -> IngestReport:
    """Index files from a running loop, with any retriever; see `ingest`."""
    report = IngestReport()
    index = getattr(retriever, "aindex", retriever.index)
    report.index = await acall(index, documents_from(paths, report.read), **options)
    return report


def _given(paths: Paths) -> list[str]:
    return [os.fspath(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]


def _ignore(_: object) -> None:
    return


def _as_document(read: FileDocument) -> Document:
    name = PurePath(os.path.normpath(read.source)).as_posix()
    metadata = {**read.metadata(), "source": name}
    if read.record is not None:
        return Document(f"{name}#{read.record}", read.text, metadata, _record_title(read.text))
    return Document(name, read.text, metadata, _title(read))


def _title(read: FileDocument) -> str:
    stem = PurePath(read.source).name
    heading = first_heading(read.text)
    return f"{heading} ({stem})"[:TITLE_CHARS] if heading else stem


def _record_title(text: str) -> str:
    for line in text.split("\n", 30)[:30]:
        name, colon, value = line.partition(": ")
        if colon and name.lower() in {"title", "name", "subject"}:
            return value.strip()[:TITLE_CHARS]
    return ""


def _open_lines(path: str) -> IO[str]:
    if path.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="replace")
    return open(path, encoding="utf-8-sig", errors="replace")  # noqa: PTH123 - paths stay strings, as they were given


def _names_its_documents(path: str) -> bool:
    if not path.lower().endswith(JSON_LINES):
        return False
    try:
        with _open_lines(path) as file:
            first = next((line for line in file if line.strip()), "")
        return _self_named_document(json.loads(first)) is not None
    except (OSError, EOFError, ValueError, RecursionError):
        return False


def _self_named(path: str, report: ReadReport) -> Iterator[Document]:
    broken: list[int] = []
    try:
        with _open_lines(path) as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    document = _self_named_document(json.loads(line))
                except (ValueError, RecursionError):
                    document = None
                if document is None:
                    broken.append(number)
                else:
                    yield document
            report.bytes += os.fstat(file.fileno()).st_size
    except (OSError, EOFError) as error:
        report.skipped.append(Skipped(path, f"reading broke off: {error}"))
        return
    finally:
        if broken:
            lines = f"{len(broken)} lines are no documents (doc_id, content) and were passed over"
            report.notes.append(Note(path, f"{lines}, the first is line {broken[0]}"))
    report.files += 1


def _self_named_document(record: object) -> Document | None:
    if not isinstance(record, dict):
        return None
    id_key = next((key for key in ("doc_id", "_id", "id") if isinstance(record.get(key), (str, int))), None)
    text_key = next((key for key in ("content", "text") if isinstance(record.get(key), str)), None)
    if id_key is None or text_key is None:
        return None
    title = record.get("title")
    return Document(
        str(record[id_key]),
        record[text_key],
        _metadata(record, {id_key, text_key}),
        title if isinstance(title, str) else "",
    )


def _metadata(record: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    metadata = record.get("metadata")
    if isinstance(metadata, dict):
        return metadata
    return {key: value for key, value in record.items() if key not in {*known, "title", "metadata"}}
