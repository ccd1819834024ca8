"""Cosine search over the vectors of one state of the index: exact with numpy, or with candidates from a graph.

The vectors lie in the index itself, beside their passages, so that both are written in one atomic commit. Reading
100,000 of 384 dimensions takes a second; the matrix is therefore kept in a file named after the passages that it holds,
mapped into memory, and a changed index reads only the vectors that are new.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.graph import newest

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import tantivy
    from numpy.typing import NDArray

    from pyrlm.retrievers.graph import NeighbourGraph

__all__ = ["VectorTable"]

REWRITE_SHARE: Final = 10
"""The file is written again when a tenth of the rows is new; fewer are read from the index at each start."""
CANDIDATES: Final = 256
"""Passages that the graph chooses at least: their true cosines put right what 8 bits confuse."""
MANY_CANDIDATES: Final = 4_096
"""A filter that would need more of them is searched exactly: it leaves few passages."""
FEW_ROWS: Final = 5_000
"""Passages that are always compared exactly: 2 ms."""
OVERSAMPLING: Final = 2.0
"""Candidates, by how many of them a filter lets through on average."""


class VectorTable:
    """The vectors of all passages, by row. Doesn't change.

    Args:
        searcher: One state of the index.
        dimensions: Numbers in a vector.
        cache: Folder for the matrix and the graph; it may be lost or read-only.
        approximate: Whether to use a graph that is there.
    """

    def __init__(self, searcher: tantivy.Searcher, dimensions: int, cache: Path, *, approximate: bool = False) -> None:
        import numpy as np  # noqa: PLC0415
        import tantivy  # noqa: PLC0415

        self._searcher = searcher
        self._dimensions = dimensions
        found = searcher.search(tantivy.Query.all_query(), limit=max(searcher.num_docs, 1), count=False).hits
        addresses = [address for _, address in found]
        del found
        uids = np.array(searcher.fast_field_values("uid", addresses), dtype=np.uint64)
        order = np.argsort(uids)
        self.uids: NDArray[np.uint64] = uids[order]
        self._segments = np.array([address.segment_ord for address in addresses], dtype=np.int32)[order]
        self._docs = np.array([address.doc for address in addresses], dtype=np.int32)[order]
        self._matrix = self._load(cache)
        self._graph: NeighbourGraph | None = newest(cache, dimensions) if approximate else None
        if self._graph is not None:
            self._row_of_node = _places(self._graph.nodes, self.uids)
            covered = np.zeros(len(self.uids), dtype=bool)
            covered[self._row_of_node[self._row_of_node >= 0]] = True
            self._uncovered = np.flatnonzero(~covered)

    @property
    def matrix(self) -> NDArray[np.float32]:
        """The vectors, row by row."""
        return self._matrix

    def unlinked(self) -> int:
        """How many passages no graph holds."""
        return len(self.uids) if self._graph is None else len(self._uncovered)

    def __len__(self) -> int:
        return len(self.uids)

    def address(self, row: int) -> tantivy.DocAddress:
        """Where the passage of `row` lies in the index."""
        import tantivy  # noqa: PLC0415

        return tantivy.DocAddress(int(self._segments[row]), int(self._docs[row]))

    def rows_of(self, addresses: list[tantivy.DocAddress]) -> NDArray[np.intp]:
        """The rows of some passages, ascending."""
        import numpy as np  # noqa: PLC0415

        uids = np.array(self._searcher.fast_field_values("uid", addresses), dtype=np.uint64)
        return np.sort(np.searchsorted(self.uids, uids))

    def nearest(
        self, vector: NDArray[np.float32], count: int, rows: NDArray[np.intp] | None = None
    ) -> tuple[list[tuple[int, float]], bool]:
        """The rows with the greatest cosine to a vector of unit length.

        Args:
            vector: The vector.
            count: Most rows to return.
            rows: Rows to choose from, ascending; None: all.

        Returns:
            Pairs of row and cosine, best first; and whether a graph chose the candidates, so that one may be missing.
        """
        chosen = self._candidates(vector, count, rows)
        return self._exact(vector, count, rows if chosen is None else chosen), chosen is not None

    def _exact(self, vector: NDArray[np.float32], count: int, rows: NDArray[np.intp] | None) -> list[tuple[int, float]]:
        import numpy as np  # noqa: PLC0415

        few = rows is not None and len(rows) * 4 < len(self.uids)
        scores = (self._matrix[rows] if few else self._matrix) @ vector
        if rows is not None and not few:
            scores = scores[rows]
        count = min(count, len(scores))
        if count == 0:
            return []
        best = np.argpartition(-scores, count - 1)[:count]
        best = best[np.lexsort((best, -scores[best]))]
        places = best if rows is None else rows[best]
        return [(int(row), float(score)) for row, score in zip(places, scores[best], strict=True)]

    def _candidates(
        self, vector: NDArray[np.float32], count: int, rows: NDArray[np.intp] | None
    ) -> NDArray[np.intp] | None:
        """Rows that hold the nearest ones, by the graph, and all that it doesn't cover; None: better compare all."""
        import numpy as np  # noqa: PLC0415

        graph, allowed = self._graph, len(self.uids) if rows is None else len(rows)
        if graph is None or allowed <= FEW_ROWS:
            return None
        wanted = max(CANDIDATES, int(OVERSAMPLING * count * len(graph.nodes) / allowed))
        if wanted > MANY_CANDIDATES:
            return None
        found = self._row_of_node[graph.nearest(vector, wanted)]
        found, beside = np.sort(found[found >= 0]), self._uncovered
        if rows is not None:
            found, beside = found[_places(found, rows) >= 0], beside[_places(beside, rows) >= 0]
        if len(found) < min(count, allowed - len(beside)):
            return None
        merged: NDArray[np.intp] = np.union1d(found, beside)
        return merged

    def _load(self, cache: Path) -> NDArray[np.float32]:
        import numpy as np  # noqa: PLC0415

        name = blake2b(self.uids.tobytes(), digest_size=12).hexdigest()
        kept = _read(cache / f"{name}.npy", self._dimensions)
        if kept is not None and len(kept) == len(self.uids):
            return kept
        matrix = np.zeros((len(self.uids), self._dimensions), dtype=np.float32)
        missing = self._reuse(cache, matrix)
        for row in missing:
            matrix[row] = self._stored(int(row))
        if len(missing) * REWRITE_SHARE >= len(matrix):
            _write(cache, name, self.uids, matrix)
        return matrix

    def _reuse(self, cache: Path, matrix: NDArray[np.float32]) -> NDArray[np.intp]:
        """Fill in the rows that the last matrix on disk holds; return the others."""
        import numpy as np  # noqa: PLC0415

        missing = np.ones(len(self.uids), dtype=bool)
        for path in sorted(cache.glob("*.uids"), key=_modified, reverse=True)[:1]:
            old = _read(path.with_suffix(".npy"), self._dimensions)
            try:
                old_uids = np.frombuffer(path.read_bytes(), dtype=np.uint64)
            except (OSError, ValueError):
                continue
            if old is not None and len(old) == len(old_uids):
                _, here, there = np.intersect1d(self.uids, old_uids, assume_unique=True, return_indices=True)
                matrix[here] = old[there]
                missing[here] = False
        return np.flatnonzero(missing)

    def _stored(self, row: int) -> NDArray[np.float32]:
        import numpy as np  # noqa: PLC0415

        data = self._searcher.doc(self.address(row)).get_first("vector")
        if not isinstance(data, bytes) or len(data) != 4 * self._dimensions:
            raise RetrieverError("a passage of the index has no vector of its size; index the documents again")
        return np.frombuffer(data, dtype="<f4")


def _places(values: NDArray[Any], among: NDArray[Any]) -> NDArray[np.intp]:
    """Where each value stands in a sorted array; -1 where it doesn't."""
    import numpy as np  # noqa: PLC0415

    if not len(among):
        return np.full(len(values), -1, dtype=np.intp)
    at = np.minimum(np.searchsorted(among, values), len(among) - 1)
    return np.where(among[at] == values, at, -1)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read(path: Path, dimensions: int) -> NDArray[np.float32] | None:
    import numpy as np  # noqa: PLC0415

    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    good = matrix.dtype == np.float32 and matrix.ndim == 2 and matrix.shape[1] == dimensions  # noqa: PLR2004
    return matrix if good else None


def _write(cache: Path, name: str, uids: NDArray[np.uint64], matrix: NDArray[np.float32]) -> None:
    """Keep a matrix, and take away older ones. Where that can't be done, the next start reads the index again."""
    import numpy as np  # noqa: PLC0415

    part = cache / f"{name}.{os.getpid()}.part"
    try:
        cache.mkdir(exist_ok=True)
        with part.open("wb") as file:
            np.save(file, matrix, allow_pickle=False)
        part.replace(cache / f"{name}.npy")
        part.write_bytes(uids.tobytes())
        part.replace(cache / f"{name}.uids")
        for old in cache.iterdir():
            if old.suffix in {".npy", ".uids"} and old.stem != name:
                old.unlink(missing_ok=True)
    except OSError:
        return
