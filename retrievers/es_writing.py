"""Writing to a cluster: a stream of documents in batches, the next one made ready while one is sent."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.embeddings import embed, passage_input
from pyrlm.retrievers.es_actions import Work, actions_of, packs_vectors, version_of, work_of
from pyrlm.retrievers.es_bulk import BulkSender
from pyrlm.retrievers.es_errors import ClusterError
from pyrlm.retrievers.es_states import States
from pyrlm.retrievers.protocol import Document, StoredDocument
from pyrlm.retrievers.records import prepare
from pyrlm.retrievers.reports import Tally

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from pyrlm.retrievers.chunking import PassageSplitter
    from pyrlm.retrievers.embeddings import Embedder
    from pyrlm.retrievers.es_indices import Indices
    from pyrlm.retrievers.filters import FieldType
    from pyrlm.retrievers.reports import IndexReport, ProgressCallback

__all__ = ["Indexing"]

BATCH_DOCUMENTS: Final = 500
BATCH_CHARS: Final = 4_000_000
EMBED_PASSAGES: Final = 256
BAD_REQUEST: Final = 400
_END: Final = object()
"""Behind the last of a stream, which may hold anything."""


@dataclass(slots=True)
class _Batch:
    works: list[Work] = field(default_factory=list)
    ended: bool = False
    stopped: bool = False
    error: str = ""


class Indexing:
    """One run over a stream of documents.

    Args:
        indices: The index, which has to be there.
        target: Its own name; of a rebuild that of the index that is to take its place.
        alias: The alias of it that is written to; None: none.
        fields: The metadata fields that it has, and their types.
        fresh: Whether it is empty.
        chunker: Cuts documents.
        embedder: Makes vectors, for an index that has them.
        vectors: Whether the index has vectors.
        retry_seconds: How long to try again while nothing goes in at all.
        progress: Called now and then.
        total: Number of documents, for `progress`.
        stop: Set it to end early.
    """

    def __init__(
        self,
        indices: Indices,
        target: str,
        *,
        alias: str | None,
        fields: dict[str, FieldType],
        fresh: bool,
        chunker: PassageSplitter | None,
        embedder: Embedder | None,
        vectors: bool,
        retry_seconds: float,
        progress: ProgressCallback | None = None,
        total: int | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._indices = indices
        self._target = target
        self._fields = fields
        self._chunker = chunker
        self._embedder = embedder
        self._vectors = vectors
        self._stop = stop
        self._sender = BulkSender(indices.connection, target, alias, retry_seconds)
        self._states = States(indices.connection, target, fresh=fresh)
        self._packed = False
        self._tally = Tally(progress, total)
        self._report = self._tally.report
        self._read = 0
        self._kept_back: object = _END
        self.seen: set[str] | None = None

    async def run(self, documents: Iterable[Document | StoredDocument]) -> IndexReport:
        """Index the stream; see `ElasticsearchRetriever.index`."""
        self._packed = packs_vectors(await self._indices.server())
        stream = iter(documents)
        making = asyncio.ensure_future(self._make(stream))
        try:
            batch = await making
            while not batch.error:
                if not batch.ended:
                    making = asyncio.ensure_future(self._make(stream))
                batch.error = await self._send(batch.works)
                batch.works = []
                self._show()
                if batch.error or batch.ended:
                    break
                batch = await making
        except BaseException:
            making.cancel()
            await asyncio.wait([making])
            raise
        await self._finish(batch, making)
        self._show(now=True)
        return self._tally.done()

    async def _finish(self, batch: _Batch, making: asyncio.Future[_Batch]) -> None:
        """Name what was read and can't be written any more; let searches see what was."""
        self._report.interrupted = batch.stopped or bool(batch.error)
        if batch.error:
            named = {failure.doc_id for failure in self._report.failed}
            following = await making
            left = batch.works if following is batch else batch.works + following.works
            for doc_id in (work.record.document.doc_id[:200] for work in left):
                if doc_id not in named:
                    self._fail(doc_id, batch.error)
        # What was acknowledged is there, whether it can be seen yet or not.
        with contextlib.suppress(RetrieverError):
            await self._indices.refresh(self._target)

    async def _make(self, stream: Iterator[Document | StoredDocument]) -> _Batch:
        """Read a batch, and make ready what of it is new or changed."""
        batch = await asyncio.to_thread(self._take, stream)
        try:
            batch.works = await self._changed(batch.works)
            batch.works = await self._with_fields(batch.works)
            await asyncio.to_thread(self._cut_and_embed, batch.works)
            self._states.making(batch.works)
        except RetrieverError as error:
            if self._report.indexed + self._report.unchanged == 0:
                raise
            batch.error = str(error)
        return batch

    def _take(self, stream: Iterator[Document | StoredDocument]) -> _Batch:
        batch = _Batch()
        chars = 0
        ids: set[str] = set()
        while len(batch.works) < BATCH_DOCUMENTS and chars < BATCH_CHARS:
            if self._stop is not None and self._stop.is_set():
                batch.stopped = batch.ended = True
                break
            item = next(stream, _END) if self._kept_back is _END else self._kept_back
            self._kept_back = _END
            if item is _END:
                batch.ended = True
                break
            document = item.document if isinstance(item, StoredDocument) else item
            if str(getattr(document, "doc_id", "")) in ids:
                self._kept_back = item  # a batch holds a document once, so that its versions keep their order
                break
            self._read += 1
            work = self._checked(item, document)
            if work is not None:
                ids.add(work.record.document.doc_id)
                batch.works.append(work)
                chars += len(work.record.document.content)
        return batch

    def _checked(self, item: object, document: object) -> Work | None:
        doc_id = getattr(document, "doc_id", None)
        name = doc_id if isinstance(doc_id, str) and doc_id else f"#{self._read}"
        if self.seen is not None:
            self.seen.add(name)
        try:
            record = prepare(document, self._fields)
        except RetrieverError as error:
            self._fail(name, str(error))
            return None
        return work_of(record, item)

    async def _changed(self, works: list[Work]) -> list[Work]:
        found = await self._states.of([work.record.document.doc_id for work in works])
        changed = []
        for work in works:
            state = found.get(work.record.document.doc_id)
            if state is not None and state.is_whole(version_of(work.record)):
                self._report.unchanged += 1
                continue
            work.before = state.passages if state is not None else 0
            changed.append(work)
        return changed

    async def _with_fields(self, works: list[Work]) -> list[Work]:
        """Make the index know the metadata fields of these documents; without those that it can't have."""
        wanted: dict[str, FieldType] = {}
        for work in works:
            wanted = self._new_fields(work) | wanted
        if not wanted:
            return works
        try:
            await self._add_fields(wanted)
        except ClusterError as error:
            if error.status != BAD_REQUEST:
                raise
            # Each document finds out for itself.
        # A document may disagree with one before it about the type of a field that both bring.
        return [work for work in works if await self._is_fit(work)]

    def _new_fields(self, work: Work) -> dict[str, FieldType]:
        return {name: kind for name, kind in work.record.fields.items() if name not in self._fields}

    async def _add_fields(self, fields: dict[str, FieldType]) -> None:
        await self._indices.add_fields(self._target, fields)
        self._fields |= fields

    async def _is_fit(self, work: Work) -> bool:
        document = work.record.document
        try:
            work.record = prepare(document, self._fields)
            new = self._new_fields(work)
            if new:
                await self._add_fields(new)
        except RetrieverError as error:
            if isinstance(error, ClusterError) and error.status != BAD_REQUEST:
                raise
            self._fail(document.doc_id, str(error))
            return False
        return True

    def _cut_and_embed(self, works: list[Work]) -> None:
        for work in works:
            if not work.passages and self._chunker is not None:
                work.passages = self._chunker.split(work.record.document.content)
        waiting = [work for work in works if work.vectors is None]
        if not self._vectors or not waiting:
            return
        if self._embedder is None:
            raise RetrieverError("the index has vectors: open it with its embedder to add documents")
        texts = [passage_input(passage, work.record.document.title) for work in waiting for passage in work.passages]
        size = getattr(self._embedder, "batch_size", None) or EMBED_PASSAGES
        made: list[NDArray[np.float32]] = []
        for start in range(0, len(texts), size):
            made += list(embed(self._embedder, texts[start : start + size]))
        vectors = iter(made)
        for work in waiting:
            work.vectors = [next(vectors) for _ in work.passages]

    async def _send(self, works: list[Work]) -> str:
        """Send a batch; returns why it is in vain to send more, or an empty string."""
        if not works:
            return ""
        pairs = [(action, work) for work in works for action in actions_of(work, packed=self._packed)]
        outcome = await self._sender.send([action for action, _ in pairs])
        failed: dict[str, str] = {}
        for place, reason in outcome.failed.items():
            failed.setdefault(pairs[place][1].record.document.doc_id, reason)
        for work in works:
            doc_id = work.record.document.doc_id
            if doc_id in failed:
                self._fail(doc_id, failed[doc_id])
            else:
                self._report.indexed += 1
                self._report.passages += len(work.passages)
        self._states.sent(works, failed)
        if not outcome.stopped and self._states.is_due():
            await self._indices.refresh(self._target)
            self._states.refreshed()
        return outcome.stopped

    def _fail(self, name: str, reason: str) -> None:
        self._tally.fail(name, self._read, reason)

    def _show(self, *, now: bool = False) -> None:
        report = self._report
        acknowledged = report.indexed + report.unchanged
        self._tally.show(documents=self._read, passages=report.passages, acknowledged=acknowledged, now=now)
