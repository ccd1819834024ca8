"""Writing an index folder: a stream of documents in batches, each commit atomic, nothing acknowledged before it."""

from __future__ import annotations

import contextlib
import itertools
import time
from typing import TYPE_CHECKING, Final

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.embeddings import embed, passage_input
from pyrlm.retrievers.engine import engine_errors
from pyrlm.retrievers.records import Record, prepare, tantivy_document
from pyrlm.retrievers.reports import Tally

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import tantivy

    from pyrlm.retrievers.chunking import PassageSplitter
    from pyrlm.retrievers.embeddings import Embedder
    from pyrlm.retrievers.manifest import Manifest
    from pyrlm.retrievers.protocol import Document, Passage
    from pyrlm.retrievers.reading import Reader, Snapshot
    from pyrlm.retrievers.reports import IndexReport, ProgressCallback

__all__ = ["Indexing"]

COMMIT_PASSAGES: Final = 20_000
"""A commit costs 15 ms and a segment: fewer are faster, more lose less to a crash."""
COMMIT_SECONDS: Final = 10.0
EMBED_PASSAGES: Final = 256


class Indexing:
    """One run over a stream of documents.

    Args:
        writer: The folder's writer.
        reader: Its reader, for what is there already.
        manifest: Its manifest; fields that documents bring are added.
        folder: The folder.
        chunker: Cuts documents.
        embedder: Makes vectors, for an index that has them.
        progress: Called now and then, and after each commit.
        total: Number of documents, for `progress`.
    """

    def __init__(
        self,
        writer: tantivy.IndexWriter,
        reader: Reader,
        manifest: Manifest,
        folder: Path,
        *,
        chunker: PassageSplitter,
        embedder: Embedder | None,
        progress: ProgressCallback | None = None,
        total: int | None = None,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._manifest = manifest
        self._folder = folder
        self._chunker = chunker
        self._embedder = embedder
        self._batch = getattr(embedder, "batch_size", None) or EMBED_PASSAGES
        self._tally = Tally(progress, total)
        self._report = self._tally.report
        self._last_commit = time.monotonic()
        self._snapshot: Snapshot = reader.snapshot()
        self._fresh = self._snapshot.passages == 0
        self._uncommitted: dict[str, str] = {}
        self._waiting: list[tuple[Record, list[Passage]]] = []
        self._written: set[str] = set()
        self._read = self._acknowledged = self._waiting_passages = self._passages_since_commit = 0
        self._new_fields = False

    def run(
        self,
        documents: Iterable[Document],
        *,
        stop: threading.Event | None = None,
        remove_missing: bool = False,
        keep: Callable[[str], bool] | None = None,
    ) -> IndexReport:
        """Index the stream; see `EmbeddedRetriever.index`."""
        seen: set[str] = set()
        try:
            for document in documents:
                if stop is not None and stop.is_set():
                    self._report.interrupted = True
                    break
                self._read += 1
                self._take(document)
                if remove_missing:
                    seen.add(str(getattr(document, "doc_id", "")))
                if self._is_due():
                    self._commit()
                self._show()
        except Exception:
            # The stream or the embedder failed: what was written before is whole and stays.
            self._waiting.clear()
            self._waiting_passages = 0
            with contextlib.suppress(Exception):
                self._commit()
            raise
        self._flush()
        if remove_missing and not self._report.interrupted:
            self._remove_all_but(seen, keep)
        self._commit()
        return self._tally.done()

    def _take(self, document: Document) -> None:
        try:
            record = prepare(document, self._manifest.fields)
            if self._is_unchanged(record):
                self._report.unchanged += 1
                return
            passages = list(self._chunker.split(document.content))
            _check_cover(passages, document.content)
        except RetrieverError as error:
            self._tally.fail(getattr(document, "doc_id", None), self._read, str(error))
            return
        self._uncommitted[document.doc_id] = record.version
        self._add_fields(record)
        self._waiting.append((record, passages))
        self._waiting_passages += len(passages)
        if self._embedder is None or self._waiting_passages >= self._batch:
            self._flush()

    def _is_unchanged(self, record: Record) -> bool:
        version = self._uncommitted.get(record.document.doc_id)
        if version is not None:
            return version == record.version
        return not self._fresh and self._snapshot.has_version(record.version)

    def _add_fields(self, record: Record) -> None:
        if record.fields.keys() - self._manifest.fields.keys():
            self._manifest = self._manifest.with_fields(record.fields)
            self._new_fields = True

    def _flush(self) -> None:
        """Embed what waits, and hand it to the writer, each document as a whole."""
        if not self._waiting:
            return
        vectors = self._vectors()
        for record, passages in self._waiting:
            rows = [tantivy_document(record, number, passage, next(vectors)) for number, passage in enumerate(passages)]
            with engine_errors(self._folder):
                self._replace(record.document.doc_id, rows)
            self._report.indexed += 1
            self._report.passages += len(passages)
        self._passages_since_commit += self._waiting_passages
        self._waiting.clear()
        self._waiting_passages = 0

    def _replace(self, doc_id: str, rows: list[tantivy.Document]) -> None:
        if not self._fresh or doc_id in self._written:
            self._writer.delete_documents_by_term("doc", doc_id)
        self._written.add(doc_id)
        for row in rows:
            self._writer.add_document(row)

    def _vectors(self) -> Iterator[bytes | None]:
        if self._embedder is None:
            return itertools.repeat(None)
        texts = [
            passage_input(passage, record.document.title) for record, passages in self._waiting for passage in passages
        ]
        return (vector.astype("<f4").tobytes() for vector in embed(self._embedder, texts))

    def _is_due(self) -> bool:
        return (
            self._passages_since_commit >= COMMIT_PASSAGES or time.monotonic() - self._last_commit >= COMMIT_SECONDS
        ) and bool(self._written or self._waiting)

    def _commit(self) -> None:
        """Make all that was read so far safe."""
        self._flush()
        if self._written or self._report.deleted:
            if self._new_fields:
                self._manifest.write(self._folder)
                self._new_fields = False
            with engine_errors(self._folder):
                self._writer.commit()
            self._snapshot = self._reader.snapshot()
            self._fresh = self._snapshot.passages == 0
        self._written.clear()
        self._uncommitted.clear()
        self._passages_since_commit = 0
        self._last_commit = time.monotonic()
        self._acknowledged = self._report.indexed + self._report.unchanged
        self._show(now=True)

    def _remove_all_but(self, seen: set[str], keep: Callable[[str], bool] | None) -> None:
        with engine_errors(self._folder):
            for doc_id in self._snapshot.ids():
                if doc_id not in seen and not (keep is not None and keep(doc_id)):
                    self._writer.delete_documents_by_term("doc", doc_id)
                    self._report.deleted += 1

    def _show(self, *, now: bool = False) -> None:
        report = self._report
        self._tally.show(
            documents=report.documents + len(self._waiting),
            passages=report.passages + self._waiting_passages,
            acknowledged=self._acknowledged,
            now=now,
        )


def _check_cover(passages: list[Passage], content: str) -> None:
    """Refuse what a document could not be put together from again."""
    reached = 0
    for passage in passages:
        if passage.start > reached or content[passage.start : passage.end] != passage.text:
            break
        reached = max(reached, passage.end)
    if reached != len(content):
        raise RetrieverError(
            f"the chunker left out or changed characters from {reached} on; passages must cover the text"
        )
