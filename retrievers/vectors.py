"""Exact cosine search over the vectors of one state of the index, with numpy.

The vectors lie in the index itself, beside their passages, so that both are written in one atomic commit. Reading
100,000 of 384 dimensions takes a second; the matrix is therefore kept in a file named after the passages that it holds,
mapped into memory, and a changed index reads only the vectors that are new.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from pyrlm.errors import RetrieverError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import tantivy
    from numpy.typing import NDArray

__all__ = ["VectorTable"]

REWRITE_SHARE: Final = 10
"""The file is written again when a tenth of the rows is new; fewer are read from the index at each start."""


class VectorTable:
    """The vectors of all passages, by row. Doesn't change.

    Args:
        searcher: One state of the index.
        dimensions: Numbers in a vector.
        cache: Folder for the matrix; it may be lost or read-only.
    """

    def __init__(self, searcher: tantivy.Searcher, dimensions: int, cache: Path) -> None:
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
    ) -> list[tuple[int, float]]:
        """The `count` rows (of `rows`, where given) with the greatest cosine to a vector of unit length, and it."""
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
