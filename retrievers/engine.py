"""The engine's one writer of an index folder, its errors, and folders that come to nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Final

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.manifest import NAME, Manifest
from pyrlm.retrievers.reading import ENGINE_FOLDER, open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import tantivy

__all__ = ["engine_errors", "engine_writer", "made_or_unmade", "threads"]

HEAP_BYTES_A_THREAD: Final = 64_000_000


def threads() -> int:
    """Threads of the engine's writer: one core is left to Python."""
    return max(1, min(4, (os.cpu_count() or 1) - 1))


@contextlib.contextmanager
def engine_writer(index: tantivy.Index, folder: Path) -> Iterator[tantivy.IndexWriter]:
    """The one writer of a folder. What was not committed when the block ends is dropped.

    Raises:
        RetrieverError: Another writer holds the folder, or the engine failed (a full disk, say).
    """
    try:
        writer = index.writer(HEAP_BYTES_A_THREAD * threads(), threads())
    except ValueError as error:
        if "Lock" in str(error):
            raise RetrieverError(
                f"another writer is at work in {folder}: an index takes one at a time; wait for it, or stop it",
                retryable=True,
            ) from error
        raise RetrieverError(f"can't write the index at {folder}: {error}") from error
    try:
        yield writer
    except BaseException:
        with contextlib.suppress(ValueError):
            writer.rollback()
        raise
    finally:
        # Also what lets go of the folder's lock.
        with contextlib.suppress(ValueError):
            writer.wait_merging_threads()


@contextlib.contextmanager
def made_or_unmade(folder: Path) -> Iterator[None]:
    """Where the block fails, an index that it has made and that holds nothing is removed again.

    It would bind the next try to what this one failed of: its embedder, its chunker.
    """
    was_there = folder.exists()
    if Manifest.read(folder) is not None:
        yield
        return
    try:
        yield
    except BaseException:
        with contextlib.suppress(RetrieverError, OSError):
            _unmake(folder, was_there=was_there)
        raise


def _unmake(folder: Path, *, was_there: bool) -> None:
    index = open_engine(folder)
    with engine_writer(index, folder):  # so that nobody else is writing to it
        if index.searcher().num_docs:
            return
        (folder / NAME).unlink()
    shutil.rmtree(folder / ENGINE_FOLDER)
    if not was_there:
        folder.rmdir()


@contextlib.contextmanager
def engine_errors(folder: Path) -> Iterator[None]:
    """Name what failed where the engine raises: a full disk, a folder that was removed."""
    try:
        yield
    except ValueError as error:
        hint = "; is the disk full, or the folder read-only?" if "writer was killed" in str(error) else ""
        raise RetrieverError(f"writing the index at {folder} failed: {error}{hint}") from error
