"""Reading an index folder: one consistent state at a time, and the newest whenever it is asked for."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.manifest import Manifest
from pyrlm.retrievers.queries import FilterCompiler, text_query
from pyrlm.retrievers.records import ANALYZER, HEAD, analyzer, schema
from pyrlm.retrievers.vectors import VectorTable

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    import tantivy
    from numpy.typing import NDArray

    from pyrlm.retrievers.filters import Node

__all__ = ["ENGINE_FOLDER", "VECTORS_FOLDER", "Reader", "Snapshot", "open_engine"]

ENGINE_FOLDER = "text"
VECTORS_FOLDER = "vectors"
FILTERS_KEPT = 16


def open_engine(folder: Path, *, create: bool = False) -> tantivy.Index:
    """Open the engine's part of an index folder.

    Raises:
        RetrieverError: It is missing or damaged, or of another version of the engine.
    """
    import tantivy  # noqa: PLC0415

    path = folder / ENGINE_FOLDER
    try:
        if create:
            path.mkdir(parents=True, exist_ok=True)
            index = tantivy.Index(schema(), path=str(path), reuse=True)
        else:
            index = tantivy.Index.open(str(path))
        index.register_tokenizer(ANALYZER, analyzer())
        index.config_reader("manual")
    except (ValueError, OSError) as error:
        raise RetrieverError(f"can't open the index at {folder}: {error}; if it is damaged, index again") from error
    return index


class Snapshot:
    """One state of an index: what was committed when it was taken. Safe for use from many threads."""

    def __init__(self, index: tantivy.Index, manifest: Manifest, folder: Path, *, approximate: bool = False) -> None:
        self._approximate = approximate
        self.manifest = manifest
        self._folder = folder
        self._index = index
        self._searcher = index.searcher()
        self._titles = bool(self._searcher.terms_with_prefix("title", "", limit=1))
        self._lock = threading.Lock()
        self._vectors: VectorTable | None = None
        self._rows: dict[Node, NDArray[np.intp]] = {}

    @property
    def passages(self) -> int:
        """Number of passages."""
        return self._searcher.num_docs

    def documents(self) -> int:
        """Number of documents."""
        return self._count(_term("terms", HEAD))

    def has_document(self, doc_id: str) -> bool:
        """Whether there is a document of this id."""
        if not _is_text(doc_id):
            return False
        return self._searcher.doc_freq("doc", doc_id) > 0 and self._count(_term("doc", doc_id)) > 0

    def has_version(self, version: str) -> bool:
        """Whether the document is there with exactly this content."""
        # The cheap count includes deleted documents, so that it only tells of absence.
        return self._searcher.doc_freq("version", version) > 0 and self._count(_term("version", version)) > 0

    def find(self, words: Counter[str], node: Node | None, limit: int) -> list[tuple[tantivy.DocAddress, float]]:
        """The best passages by BM25."""
        import tantivy  # noqa: PLC0415

        query = text_query(words, titles=self._titles)
        if node is not None:
            silent = tantivy.Query.const_score_query(self._compiled(node), 0.0)
            query = tantivy.Query.boolean_query([(tantivy.Occur.Must, query), (tantivy.Occur.Must, silent)])
        return self._top(query, limit)

    def listing(self, node: Node, limit: int) -> list[tuple[tantivy.DocAddress, float]]:
        """The first passages of documents that match a filter, in no order of worth."""
        import tantivy  # noqa: PLC0415

        clauses = [(tantivy.Occur.Must, _term("terms", HEAD)), (tantivy.Occur.Must, self._compiled(node))]
        return self._top(tantivy.Query.const_score_query(tantivy.Query.boolean_query(clauses), 1.0), limit)

    def nearest(
        self, vector: NDArray[np.float32], node: Node | None, limit: int
    ) -> tuple[list[tuple[tantivy.DocAddress, float]], bool]:
        """The best passages by cosine, and whether approximately so; scores are (1 + cosine) / 2."""
        table = self.table()
        rows = None if node is None else self._allowed(node, table)
        found, approximate = table.nearest(vector, limit, rows)
        return [(table.address(row), (1.0 + cosine) / 2.0) for row, cosine in found], approximate

    def groups(self, addresses: Sequence[tantivy.DocAddress]) -> list[Any]:
        """For each passage, a number that stands for its document."""
        return self._searcher.fast_field_values("group", list(addresses))

    def payload(self, address: tantivy.DocAddress) -> dict[str, Any]:
        """What is stored of a passage."""
        stored = self._searcher.doc(address)
        payload: dict[str, Any] = json.loads((stored.get_first("payload") or b"{}").decode())
        payload["text"] = (stored.get_first("body") or b"").decode()
        return payload

    def vector(self, address: tantivy.DocAddress) -> bytes | None:
        """The vector of a passage: little-endian float32."""
        return self._searcher.doc(address).get_first("vector")

    def places(self, doc_id: str) -> list[tuple[int, tantivy.DocAddress]]:
        """The passages of a document in order, each with the offset of its first character."""
        found = self._all(_term("doc", doc_id)) if _is_text(doc_id) else []
        starts = self._searcher.fast_field_values("start", found)
        return sorted(((int(start or 0), address) for start, address in zip(starts, found, strict=True)), key=_first)

    def ids(self) -> Iterator[str]:
        """The ids of all documents."""
        for address in self._all(_term("terms", HEAD)):
            yield self.payload(address)["id"]

    def _compiled(self, node: Node) -> tantivy.Query:
        return FilterCompiler(self._index, self._searcher).compile(node)

    def _top(self, query: tantivy.Query, limit: int) -> list[tuple[tantivy.DocAddress, float]]:
        found = self._searcher.search(query, limit=limit, count=False).hits
        return [(address, float(score)) for score, address in found]

    def _count(self, query: tantivy.Query) -> int:
        count: int = self._searcher.search(query, limit=1, count=True).count  # type: ignore[attr-defined]  # missing in its stubs
        return count

    def _all(self, query: tantivy.Query) -> list[tantivy.DocAddress]:
        count = self._count(query)
        return [address for _, address in self._searcher.search(query, limit=count, count=False).hits] if count else []

    def table(self) -> VectorTable:
        """The vectors of all passages."""
        with self._lock:
            if self._vectors is None:
                cache = self._folder / VECTORS_FOLDER
                self._vectors = VectorTable(
                    self._searcher, self.manifest.dimensions, cache, approximate=self._approximate
                )
            return self._vectors

    def _allowed(self, node: Node, table: VectorTable) -> NDArray[np.intp]:
        kept = self._rows.get(node)
        if kept is None:
            kept = table.rows_of(self._all(self._compiled(node)))
            with self._lock:
                while len(self._rows) >= FILTERS_KEPT:
                    self._rows.pop(next(iter(self._rows)))
                self._rows[node] = kept
        return kept


class Reader:
    """Opens an index folder and follows what is committed to it, by this process or another.

    Args:
        folder: The folder.
        approximate: Whether to search vectors by a graph where there is one.

    Raises:
        RetrieverError: The folder holds no index that can be read.
    """

    def __init__(self, folder: Path, *, approximate: bool = False) -> None:
        self._approximate = approximate
        self._folder = folder
        self._index = open_engine(folder)
        self._commit = folder / ENGINE_FOLDER / "meta.json"
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._snapshot: Snapshot | None = None

    @property
    def vectors_folder(self) -> Path:
        """Where what is derived from the vectors lies."""
        return self._folder / VECTORS_FOLDER

    def forget(self) -> None:
        """Read the index again when it is asked for next."""
        with self._lock:
            self._seen = None

    def snapshot(self) -> Snapshot:
        """The newest state."""
        with self._lock:
            now = self._stamp()
            if self._snapshot is None or now != self._seen:
                manifest = Manifest.read(self._folder)
                if manifest is None:
                    raise RetrieverError(f"the index at {self._folder} has been removed")
                try:
                    self._index.reload()
                except ValueError as error:
                    raise RetrieverError(f"can't read the index at {self._folder}: {error}", retryable=True) from error
                self._snapshot, self._seen = (
                    Snapshot(self._index, manifest, self._folder, approximate=self._approximate),
                    now,
                )
            return self._snapshot

    def _stamp(self) -> tuple[int, int, int]:
        try:
            state = self._commit.stat()
        except OSError as error:
            raise RetrieverError(f"the index at {self._folder} can't be read: {error}") from error
        return state.st_mtime_ns, state.st_ino, state.st_size


def _term(field: str, value: str) -> tantivy.Query:
    import tantivy  # noqa: PLC0415

    return tantivy.Query.term_query(schema(), field, value, "basic")


def _is_text(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(value.encode())
    except UnicodeEncodeError:
        return False


def _first(pair: tuple[int, object]) -> int:
    return pair[0]
