"""A corpus on a cluster: what `ElasticsearchRetriever` has beside its searches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from pyrlm import portal
from pyrlm.errors import RetrieverError
from pyrlm.retrievers.es_bulk import BulkSender
from pyrlm.retrievers.es_doctor import Diagnosis, diagnose
from pyrlm.retrievers.es_own import check_embedder
from pyrlm.retrievers.es_scan import count, document_ids, scan
from pyrlm.retrievers.es_writing import Indexing
from pyrlm.retrievers.manifest import Manifest
from pyrlm.retrievers.opening import chunker_for, default_chunker

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Mapping

    from pyrlm.retrievers.chunking import PassageSplitter
    from pyrlm.retrievers.embeddings import Embedder
    from pyrlm.retrievers.es_connection import Connection
    from pyrlm.retrievers.es_indices import Indices
    from pyrlm.retrievers.es_layout import Layout
    from pyrlm.retrievers.filters import FieldType
    from pyrlm.retrievers.protocol import Document, StoredDocument
    from pyrlm.retrievers.reports import IndexReport, ProgressCallback

__all__ = ["Corpus"]

DELETED_AT_A_TIME: Final = 1_000


class Corpus:
    """Writing, counting and closing; every method that waits has a twin for a running loop (``aindex``, …).

    The plain methods run on the one background loop of the process, so that they work from scripts and threads.
    """

    _connection: Connection
    _indices: Indices
    _embedder: Embedder | None
    _chunker: PassageSplitter | None
    _analyzer: str
    _shards: int
    _indexing_retry_seconds: float

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def close(self) -> None:
        """Close the connections that the plain methods opened; the next call opens them again."""
        portal.run(self._connection.aclose())

    async def aclose(self) -> None:
        """Close the connections that this loop opened; the next call opens them again."""
        await self._connection.aclose()

    @property
    def has_vectors(self) -> bool:
        """Whether `vector_search` works: the retriever has an embedder."""
        return self._embedder is not None

    @property
    def fields(self) -> Mapping[str, FieldType]:
        """The metadata fields that filters can use, and their types."""
        return portal.run(self.afields())

    async def afields(self) -> Mapping[str, FieldType]:
        """`fields`, from a running loop."""
        return (await self._indices.layout(again=True)).schema

    def count(self) -> int:
        """Number of documents."""
        return portal.run(self.acount())

    async def acount(self) -> int:
        """`count`, from a running loop."""
        layout = await self._layout()
        if layout.own is not None:
            return await count(self._connection, layout, {"term": {"chunk": 0}})
        return await count(self._connection, layout)

    def count_passages(self) -> int:
        """Number of passages."""
        return portal.run(self.acount_passages())

    async def acount_passages(self) -> int:
        """`count_passages`, from a running loop."""
        return await count(self._connection, await self._layout())

    def diagnose(self) -> Diagnosis:
        """Look at the cluster and the index: versions, licence, mapping, number of documents, what will not work."""
        return portal.run(self.adiagnose())

    async def adiagnose(self) -> Diagnosis:
        """`diagnose`, from a running loop."""
        return await diagnose(self._connection, self._indices, self._embedder)

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
        layout = await self._ready(made_with)
        run = await self._run(layout, layout.index, made_with, progress=progress, total=total, stop=stop)
        run.seen = set() if remove_missing else None
        report = await run.run(documents)
        if run.seen is not None and not report.interrupted:
            ids = document_ids(self._connection, layout.index)
            missing = [doc_id async for doc_id in ids if doc_id not in run.seen and not (keep and keep(doc_id))]
            report.deleted = await self.adelete(missing)
        return report

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
            done = not report.interrupted and (report.indexed > 0 or not report.failed)
            if done:
                await self._indices.swap(name)
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
        layout = await self._layout()
        if layout.own is None:
            raise self._foreign()
        wanted = list(dict.fromkeys(doc_ids))
        sender = BulkSender(self._connection, layout.index, self._indexing_retry_seconds)
        if wanted:
            await self._indices.refresh(layout.index)
        deleted: set[str] = set()
        for start in range(0, len(wanted), DELETED_AT_A_TIME):
            query = {"terms": {"doc_id": wanted[start : start + DELETED_AT_A_TIME]}}
            actions = []
            async for found in scan(self._connection, layout.index, query, _source=["doc_id"]):
                actions.append({"_op_type": "delete", "_id": found["_id"]})
                deleted.add(found["_source"]["doc_id"])
            outcome = await sender.send(actions)
            if outcome.failed:
                reason = next(iter(outcome.failed.values()))
                raise RetrieverError(f"{len(outcome.failed)} passages could not be deleted: {reason}", retryable=True)
        if deleted:
            await self._indices.refresh(layout.index)
        return len(deleted)

    async def _layout(self) -> Layout:
        layout = await self._indices.layout()
        check_embedder(layout, self._embedder)
        return layout

    async def _ready(self, made_with: Manifest | None) -> Layout:
        """The layout of an index that documents can be written to, made where there is none."""
        layout = await self._indices.layout_or_none()
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
        elif (made_with.embedder, made_with.dimensions) != (made, layout.dimensions):
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
            fields=await self._indices.typed(target, layout.schema, made_with),
            fresh=await count(self._connection, layout) == 0,
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
