"""What changes a corpus on a cluster: documents in, documents out, and the whole of it anew."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pyrlm import portal
from pyrlm.errors import RetrieverError
from pyrlm.retrievers.embeddings import same_model
from pyrlm.retrievers.es_bulk import BulkSender
from pyrlm.retrievers.es_errors import ClusterError
from pyrlm.retrievers.es_own import check_embedder
from pyrlm.retrievers.es_scan import count, document_ids, scan
from pyrlm.retrievers.es_writing import Indexing
from pyrlm.retrievers.manifest import Manifest
from pyrlm.retrievers.opening import chunker_for, default_chunker

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from pyrlm.retrievers.chunking import PassageSplitter
    from pyrlm.retrievers.embeddings import Embedder
    from pyrlm.retrievers.es_connection import Connection
    from pyrlm.retrievers.es_indices import Indices
    from pyrlm.retrievers.es_layout import Layout
    from pyrlm.retrievers.protocol import Document, StoredDocument
    from pyrlm.retrievers.reports import IndexReport, ProgressCallback

__all__ = ["Changes"]

DELETED_AT_A_TIME: Final = 1_000
NOT_FOUND: Final = 404


class Changes:
    """Writing to an index of a cluster; every method that waits has a twin for a running loop (``aindex``, …)."""

    _connection: Connection
    _indices: Indices
    _embedder: Embedder | None
    _chunker: PassageSplitter | None
    _analyzer: str
    _shards: int
    _indexing_retry_seconds: float

    def index(self, documents: Iterable[Document | StoredDocument], **options: Any) -> IndexReport:
        """Add documents, and replace those whose content, title or metadata changed; see `aindex`."""
        return portal.run(self.aindex(documents, **options))

    async def aindex(
        self,
        documents: Iterable[Document | StoredDocument],
        *,
        progress: ProgressCallback | None = None,
        total: int | None = None,
        remove_missing: bool = False,
        keep: Callable[[str], bool] | None = None,
        stop: threading.Event | None = None,
        made_with: Manifest | None = None,
    ) -> IndexReport:
        """Add documents, and replace those whose content, title or metadata changed.

        An index that isn't there yet is made. A document that is there already, word for word, is left alone: after a
        crash the same call goes on where it stopped. Requests that the cluster has no room for, and lost connections,
        are tried again for as long as the retriever was told to; then indexing ends, and the report names the documents
        that were read and are not in.

        Args:
            documents: A stream, read in a thread; never held in memory as a whole. With `made_with` also documents as
                another index holds them, with passages and vectors.
            progress: Called a few times a second.
            total: Number of documents in the stream, for the remaining time in `progress`.
            remove_missing: Delete the documents of the index that the stream does not hold.
            keep: Says of a document's id that it stays nevertheless.
            stop: Set it to end early.
            made_with: Manifest of the index that `documents` come from; a new index is made in the same way.

        Returns:
            What became of every document that was read.

        Raises:
            RetrieverError: The index can't be made or read, wasn't made by pyrlm or not in this way, or the cluster or
                the embedder failed before anything was written.
        """
        there = await self._indices.layout_or_none()
        layout = await self._ready(there, made_with)
        [target] = layout.indices
        try:
            run = await self._run(layout, target, made_with, progress=progress, total=total, stop=stop)
            run.seen = set() if remove_missing else None
            return await self._finished(run, target, documents, keep)
        except Exception as error:
            if isinstance(error, ClusterError) and error.status == NOT_FOUND:
                await self._indices.generations.check_in_place(target)
            if there is None and not (isinstance(error, ClusterError) and error.retryable):
                await self._unmake(layout, target)
            raise

    async def _finished(
        self,
        run: Indexing,
        target: str,
        documents: Iterable[Document | StoredDocument],
        keep: Callable[[str], bool] | None,
    ) -> IndexReport:
        report = await run.run(documents)
        # Before anything is deleted, and before anything is called safe.
        await self._indices.generations.check_in_place(target)
        if run.seen is not None and not report.interrupted:
            ids = document_ids(self._connection, target)
            missing = [doc_id async for doc_id in ids if doc_id not in run.seen and not (keep and keep(doc_id))]
            report.deleted = await self._delete(target, missing)
        return report

    async def _unmake(self, layout: Layout, target: str) -> None:
        """Leave no index behind that was made for nothing: it would bind the next try to what this one failed of."""
        with contextlib.suppress(RetrieverError):
            await self._indices.refresh(target)
            if await count(self._connection, replace(layout, index=target)) == 0:
                await self._indices.drop(target)
                self._indices.forget()

    def rebuild(self, documents: Iterable[Document | StoredDocument], **options: Any) -> IndexReport:
        """Index documents anew and put the result in place of the present index; see `arebuild`."""
        return portal.run(self.arebuild(documents, **options))

    async def arebuild(
        self,
        documents: Iterable[Document | StoredDocument],
        *,
        progress: ProgressCallback | None = None,
        total: int | None = None,
        stop: threading.Event | None = None,
        made_with: Manifest | None = None,
    ) -> IndexReport:
        """Index documents into a new index, then move the alias to it in one step and delete the old one.

        Searches find the old index until the new one is complete. It may be made in another way: with another embedder,
        chunker or analyzer. Where indexing ends early, or nothing could be indexed, the old index stays.

        Arguments, result and errors as in `aindex`.
        """
        manifest = made_with or self._manifest()
        name = await self._indices.create_next(manifest, analyzer=self._analyzer, shards=self._shards)
        done = False
        try:
            run = Indexing(
                self._indices,
                name,
                alias=await self._indices.generations.writable(name),
                fields=await self._indices.typed(name, {}, made_with),
                fresh=True,
                chunker=chunker_for(manifest, self._chunker) if made_with is None else None,
                embedder=self._embedder,
                vectors=bool(manifest.dimensions),
                retry_seconds=self._indexing_retry_seconds,
                progress=progress,
                total=total,
                stop=stop,
            )
            report = await run.run(documents)
            await self._indices.generations.check_there(name)
            done = not report.interrupted and (report.indexed > 0 or not report.failed)
            if done:
                await self._indices.swap(name)
        except ClusterError as error:
            if error.status == NOT_FOUND:
                await self._indices.generations.check_there(name)
            raise
        finally:
            if not done:
                await self._indices.drop(name)
                self._indices.forget()
        return report

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Delete documents; ids that are not there are passed over.

        Returns:
            How many were deleted.
        """
        return portal.run(self.adelete(doc_ids))

    async def adelete(self, doc_ids: Iterable[str]) -> int:
        """`delete`, from a running loop."""
        layout = await self._indices.layout(again=True)
        check_embedder(layout, self._embedder)
        if layout.own is None:
            raise self._foreign()
        [target] = layout.indices
        return await self._delete(target, doc_ids)

    async def _delete(self, target: str, doc_ids: Iterable[str]) -> int:
        wanted = list(dict.fromkeys(doc_ids))
        # Deletions make no index that isn't there.
        sender = BulkSender(self._connection, target, None, self._indexing_retry_seconds)
        if wanted:
            await self._indices.refresh(target)
        deleted: set[str] = set()
        for start in range(0, len(wanted), DELETED_AT_A_TIME):
            query = {"terms": {"doc_id": wanted[start : start + DELETED_AT_A_TIME]}}
            actions = []
            async for found in scan(self._connection, target, query, _source=["doc_id"]):
                actions.append({"_op_type": "delete", "_id": found["_id"]})
                deleted.add(found["_source"]["doc_id"])
            outcome = await sender.send(actions)
            if outcome.failed:
                reason = next(iter(outcome.failed.values()))
                raise RetrieverError(f"{len(outcome.failed)} passages could not be deleted: {reason}", retryable=True)
        if deleted:
            await self._indices.refresh(target)
        return len(deleted)

    async def _ready(self, layout: Layout | None, made_with: Manifest | None) -> Layout:
        """The layout of an index that documents can be written to, made where there is none."""
        if set(self._indices.name) & {"*", ","}:
            raise RetrieverError(f"{self._indices.name!r} is a pattern, which can be read: name one index to write to")
        if layout is None:
            manifest = made_with or self._manifest()
            await self._indices.create(manifest, analyzer=self._analyzer, shards=self._shards)
            layout = await self._indices.layout()
        if layout.own is None:
            raise self._foreign()
        made = layout.own.get("embedder")
        if made_with is None:
            check_embedder(layout, self._embedder)
            if (made is None) != (self._embedder is None):
                has = (
                    f"vectors of {made}: open it with that embedder" if made else "no vectors: open it without embedder"
                )
                raise RetrieverError(f"index {layout.index!r} has {has} to add documents, or use `rebuild`")
        elif made_with.dimensions != layout.dimensions or not same_model(made_with.embedder or "", made or ""):
            raise RetrieverError(
                f"index {layout.index!r} has vectors of {made}, the documents come with those of {made_with.embedder}"
            )
        if self._chunker is not None and self._chunker.name != layout.own["chunker"]:
            raise RetrieverError(
                f"index {layout.index!r} holds passages cut by {layout.own['chunker']}, not by {self._chunker.name}: "
                "leave the chunker out, or use `rebuild`"
            )
        return layout

    async def _run(self, layout: Layout, target: str, made_with: Manifest | None, **options: Any) -> Indexing:
        await self._indices.refresh(target)
        manifest = Manifest(chunker=str((layout.own or {})["chunker"]))
        return Indexing(
            self._indices,
            target,
            alias=await self._indices.generations.writable(target),
            fields=await self._indices.typed(target, layout.schema, made_with),
            fresh=await count(self._connection, replace(layout, index=target)) == 0,
            chunker=chunker_for(manifest, self._chunker) if made_with is None else None,
            embedder=self._embedder,
            vectors=layout.vector is not None,
            retry_seconds=self._indexing_retry_seconds,
            **options,
        )

    def _manifest(self) -> Manifest:
        embedder = self._embedder
        return Manifest(
            chunker=(self._chunker or default_chunker(embedder)).name,
            embedder=embedder.name if embedder is not None else None,
            dimensions=embedder.dimensions if embedder is not None else 0,
        )

    def _foreign(self) -> RetrieverError:
        return RetrieverError(
            f"index {self._indices.name!r} was not made by pyrlm, which only reads it; name another one to write to"
        )
