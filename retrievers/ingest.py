"""From files to an index: what documents a path holds, how they are named, and what was passed over.

Every text file, HTML page and PDF is a document, named by its path; a row of a table or a line of JSON Lines is one too,
named ``path#number``. Lines of JSON that name themselves (``{"doc_id": …, "content": …, "title": …, "metadata": {…}}``;
``id`` and ``text`` will do) are taken as they are, from files of any size.
"""

from __future__ import annotations

import asyncio
import glob
import gzip
import inspect
import itertools
import json
import os
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any, Final

from pyrlm.errors import ConfigurationError
from pyrlm.files import ReadReport, iter_paths
from pyrlm.foreign import acall
from pyrlm.readers import Note, Skipped
from pyrlm.retrievers.chunking import first_heading
from pyrlm.retrievers.protocol import Document
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
_BROKEN_LINES: Final = "lines are no documents (doc_id, content) and were passed over"


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

    Paths that hold no document at all change nothing: no index is made, and nothing deleted. With ``remove_missing`` what
    was passed over is not missing: documents of files that could not be read stay.

    Args:
        paths: Files, folders, globs, ``"-"``.
        retriever: One whose `index` is a plain method, such as `EmbeddedRetriever`; for others there is `aingest`.
        **options: For its `index`: progress, total, remove_missing (then it gets ``keep`` too), stop.

    Raises:
        ConfigurationError: `index` has to be awaited; or ``remove_missing`` is asked for, and a path names nothing.
        RetrieverError: Indexing failed as a whole.
    """
    if inspect.iscoroutinefunction(retriever.index):
        raise ConfigurationError(f"{type(retriever).__name__}.index has to be awaited: use `await aingest(…)`")
    report = IngestReport()
    documents = documents_from(paths, report.read)
    options = _careful(paths, report.read, options)
    first = next(documents, None)
    if first is not None:
        report.index = retriever.index(itertools.chain([first], documents), **options)
    return report


async def aingest(paths: Paths, retriever: Any, **options: Any) -> IngestReport:
    """Index files from a running loop, with any retriever; see `ingest`."""
    report = IngestReport()
    documents = documents_from(paths, report.read)
    options = _careful(paths, report.read, options)
    first = await asyncio.to_thread(next, documents, None)
    if first is not None:
        index = getattr(retriever, "aindex", retriever.index)
        report.index = await acall(index, itertools.chain([first], documents), **options)
    return report


def _careful(paths: Paths, report: ReadReport, options: dict[str, Any]) -> dict[str, Any]:
    """Options of an `index` that deletes what is missing only where that is known.

    Raises:
        ConfigurationError: A path names nothing: a slip of the pen would empty the index.
    """
    if not options.get("remove_missing"):
        return options
    for path in _given(paths):
        if path != "-" and not os.path.lexists(path) and not glob.glob(path, recursive=True):  # noqa: PTH207 - as given
            raise ConfigurationError(
                f"no such file or folder: {path!r}; what is missing is deleted only where all paths are there: correct "
                "the path, or leave it out"
            )
    return options | {"keep": lambda doc_id: _may_be_there(doc_id, report)}


def _may_be_there(doc_id: str, report: ReadReport) -> bool:
    """Whether a document may come from what was passed over."""
    if any(_BROKEN_LINES in note.text for note in report.notes):
        return True  # lines name their documents as they like
    for skipped in report.skipped:
        if skipped.path.lower().endswith(JSON_LINES):
            return True
        name = _name(skipped.path)
        if name in {".", doc_id} or doc_id.startswith((f"{name}#", f"{name}/")):
            return True
    return False


def _name(source: str) -> str:
    return "<stdin>" if source == "-" else PurePath(os.path.normpath(source)).as_posix()


def _given(paths: Paths) -> list[str]:
    return [os.fspath(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]


def _ignore(_: object) -> None:
    return


def _as_document(read: FileDocument) -> Document:
    name = _name(read.source)
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
            report.notes.append(Note(path, f"{len(broken)} {_BROKEN_LINES}, the first is line {broken[0]}"))
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
