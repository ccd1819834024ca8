"""The folder of an `EmbeddedRetriever`: opening it, writing to it, counting what it holds."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.engine import engine_errors, engine_writer, made_or_unmade
from pyrlm.retrievers.graph import check_installed
from pyrlm.retrievers.linking import link
from pyrlm.retrievers.manifest import Manifest
from pyrlm.retrievers.opening import advice, check_embedder, chunker_for, create
from pyrlm.retrievers.reading import Reader, Snapshot, open_engine
from pyrlm.retrievers.results import stored_document
from pyrlm.retrievers.writing import Indexing

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pyrlm.retrievers.chunking import PassageSplitter
    from pyrlm.retrievers.embeddings import Embedder
    from pyrlm.retrievers.filters import FieldType
    from pyrlm.retrievers.protocol import Document, StoredDocument
    from pyrlm.retrievers.reports import IndexReport, ProgressCallback

__all__ = ["IndexFolder"]


class IndexFolder:
    """A corpus in one folder: what `EmbeddedRetriever` has beside its searches.

    Args:
        path: The folder. One that doesn't exist yet is made by the first `index`.
        embedder: Makes vectors; None: none.
        chunker: Cuts documents; None: as the index was made.
        approximate: Whether vectors are searched by a graph of neighbours; None: where the index is big.

    Raises:
        RetrieverError: The folder holds something that can't be read, or vectors of another embedder.
        ConfigurationError: `approximate` is asked for without the extra ``ann``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        embedder: Embedder | None = None,
        chunker: PassageSplitter | None = None,
        approximate: bool | None = None,
    ) -> None:
        if approximate:
            check_installed()
        self.path = Path(path)
        self._approximate = approximate
        self._embedder = embedder
        self._chunker = chunker
        self._reader: Reader | None = None
        self._opening = threading.Lock()
        self._writing = threading.Lock()
        manifest = Manifest.read(self.path)
        if manifest is not None:
            check_embedder(manifest, embedder, self.path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of open files; the next call opens them again."""
        with self._opening:
            self._reader = None

    @property
    def has_vectors(self) -> bool:
        """Whether `vector_search` works: the retriever has an embedder."""
        return self._embedder is not None

    @property
    def fields(self) -> Mapping[str, FieldType]:
        """The metadata fields that filters can use, and their types."""
        return dict(self._snapshot().manifest.fields)

    def count(self) -> int:
        """Number of documents."""
        return self._snapshot().documents()

    def count_passages(self) -> int:
        """Number of passages."""
        return self._snapshot().passages

    def documents(self) -> Iterator[StoredDocument]:
        """Read every document with its passages and vectors, so that another index needs to cut and embed nothing."""
        snapshot = self._snapshot()
        for doc_id in snapshot.ids():
            yield stored_document(snapshot, doc_id)

    def index(
        self,
        documents: Iterable[Document],
        *,
        progress: ProgressCallback | None = None,
        total: int | None = None,
        remove_missing: bool = False,
        keep: Callable[[str], bool] | None = None,
        stop: threading.Event | None = None,
    ) -> IndexReport:
        """Add documents, and replace those whose content, title or metadata changed.

        A document that is there already, word for word, is left alone: after a crash or Ctrl-C the same call goes on
        where it stopped. Commits every 20,000 passages or 10 s. In the end a big index with vectors gets its graph of
        neighbours, or that of an earlier call is extended where a tenth of the passages is new.

        Args:
            documents: A stream; it is never held in memory as a whole.
            progress: Called a few times a second and after each commit.
            total: Number of documents in the stream, for the remaining time in `progress`.
            remove_missing: Delete the documents of the index that the stream does not hold.
            keep: Says of a document's id that it stays nevertheless.
            stop: Set it to end early, with what was read committed.

        Returns:
            What became of every document.

        Raises:
            RetrieverError: Another writer is at work, the disk is full, or the embedder failed for good. What `progress`
                had acknowledged is safe.
        """
        with self._writing, made_or_unmade(self.path):
            report = self._write(documents, progress, total, stop=stop, remove_missing=remove_missing, keep=keep)
            snapshot = self._snapshot()
            if snapshot.manifest.embedder is not None:
                report.advice = link(self._open(), self._approximate, report, stop=stop, progress=progress)
        report.advice = report.advice or advice(snapshot.manifest, snapshot.passages)
        return report

    def _write(
        self, documents: Iterable[Document], progress: ProgressCallback | None, total: int | None, **options: Any
    ) -> IndexReport:
        manifest = create(self.path, self._embedder, self._chunker)
        index = open_engine(self.path)
        with engine_writer(index, self.path) as writer:
            # Another process may have added fields until the lock was ours, or put another index in its place.
            manifest = Manifest.read(self.path) or manifest
            check_embedder(manifest, self._embedder, self.path)
            run = Indexing(
                writer,
                self._open(),
                manifest,
                self.path,
                chunker=chunker_for(manifest, self._chunker),
                embedder=self._embedder,
                progress=progress,
                total=total,
            )
            return run.run(documents, **options)

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Delete documents; ids that are not there are passed over.

        Returns:
            How many were deleted.
        """
        with self._writing:
            reader = self._open()
            with engine_writer(open_engine(self.path), self.path) as writer, engine_errors(self.path):
                snapshot = reader.snapshot()
                found = [doc_id for doc_id in dict.fromkeys(doc_ids) if snapshot.has_document(doc_id)]
                for doc_id in found:
                    writer.delete_documents_by_term("doc", doc_id)
                writer.commit()
        return len(found)

    async def aindex(self, documents: Iterable[Document], **options: Any) -> IndexReport:
        """`index`, in a thread. Cancelled, it ends soon, and what was read is committed first."""
        stop: threading.Event = options.setdefault("stop", threading.Event())
        work = asyncio.ensure_future(asyncio.to_thread(self.index, documents, **options))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([work])
            raise

    def _open(self) -> Reader:
        with self._opening:
            if self._reader is None:
                manifest = Manifest.read(self.path)
                if manifest is None:
                    raise RetrieverError(
                        f"there is no index at {self.path}; `pyrlm index PATH… --to {self.path}` makes one"
                    )
                check_embedder(manifest, self._embedder, self.path)
                self._reader = Reader(self.path, approximate=self._approximate is not False)
            return self._reader

    def _snapshot(self) -> Snapshot:
        snapshot = self._open().snapshot()
        # The folder may have been replaced by another index since it was opened.
        check_embedder(snapshot.manifest, self._embedder, self.path)
        return snapshot
