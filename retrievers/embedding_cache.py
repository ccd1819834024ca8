"""Vectors kept on disk by the content of their texts, so that none is paid for twice."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.embeddings import unit_length

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pyrlm.retrievers.embeddings import Embedder

__all__ = ["CachedEmbedder"]

KEYS_A_QUERY: Final = 500
TABLE: Final = "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)"


class CachedEmbedder:
    """An embedder that remembers, in one SQLite file that threads and processes can share.

    The file holds bytes of numbers and nothing that would be executed on reading. A vector of 384 dimensions takes
    1.6 KB. Where the file can't be used, the embedder is asked each time.

    Args:
        embedder: Makes the vectors that are not there yet.
        path: The file, such as ``~/.cache/pyrlm/vectors.sqlite``.
        max_vectors: Vectors to keep; beyond them the oldest go.

    Raises:
        RetrieverError: The file's folder can't be made.
    """

    def __init__(self, embedder: Embedder, path: str | os.PathLike[str], *, max_vectors: int = 1_000_000) -> None:
        self._embedder = embedder
        self._path = Path(path).expanduser()
        self._max_vectors = max_vectors
        self._lock = threading.Lock()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RetrieverError(f"can't make the folder of the vector cache {self._path}: {error}") from error

    @property
    def name(self) -> str:
        """The embedder's."""
        return self._embedder.name

    @property
    def dimensions(self) -> int:
        """The embedder's."""
        return self._embedder.dimensions

    @property
    def max_tokens(self) -> int | None:
        """The embedder's."""
        return getattr(self._embedder, "max_tokens", None)

    @property
    def batch_size(self) -> int | None:
        """The embedder's."""
        return getattr(self._embedder, "batch_size", None)

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Make one vector of unit length for each text, asking the embedder only for those that are new."""
        import numpy as np  # noqa: PLC0415

        keys = [self._key(text) for text in texts]
        known = self._read(keys)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            made = self._embedder.embed(list(missing.values()))
            vectors = unit_length(made, len(missing), self.dimensions, self.name)
            fresh = dict(zip(missing, vectors, strict=True))
            self._write(fresh)
            known |= fresh
        return np.array([known[key] for key in keys], dtype=np.float32).reshape(len(keys), self.dimensions)

    def _key(self, text: str) -> bytes:
        named = f"{self.name}\x00{self.dimensions}\x00{text}"
        return blake2b(named.encode(errors="surrogatepass"), digest_size=20).digest()

    def _read(self, keys: list[bytes]) -> dict[bytes, NDArray[np.float32]]:
        import numpy as np  # noqa: PLC0415

        found: dict[bytes, NDArray[np.float32]] = {}
        size = 4 * self.dimensions
        with self._lock:
            try:
                with _opened(self._path) as connection:
                    for begin in range(0, len(keys), KEYS_A_QUERY):
                        some = keys[begin : begin + KEYS_A_QUERY]
                        marks = ",".join("?" * len(some))
                        for key, vector in connection.execute(
                            f"SELECT key, vector FROM vectors WHERE key IN ({marks})",  # noqa: S608 - question marks
                            some,
                        ):
                            if isinstance(vector, bytes) and len(vector) == size:
                                found[key] = np.frombuffer(vector, dtype="<f4")
            except sqlite3.Error:
                return found
        return found

    def _write(self, vectors: dict[bytes, NDArray[np.float32]]) -> None:
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]
        with self._lock:
            try:
                with _opened(self._path) as connection, connection:
                    connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
                    connection.execute(
                        "DELETE FROM vectors WHERE rowid <= (SELECT max(rowid) FROM vectors) - ?", (self._max_vectors,)
                    )
            except sqlite3.Error:
                return


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection:
        connection.execute(TABLE)
        yield connection
