"""The file of a durable run as a database: opened for one process, its errors told in the words of runs."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyrlm.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["as_checkpoint_errors", "connect"]


def connect(path: Path) -> sqlite3.Connection:
    """Open the database, for this process alone.

    Raises:
        CheckpointError: Another process has it, or it is none.
    """
    with as_checkpoint_errors(path):
        connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("BEGIN IMMEDIATE")  # from now on no other process gets in
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def as_checkpoint_errors(path: Path) -> Iterator[None]:
    """Raise what goes wrong with the file as `CheckpointError`, which says what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise CheckpointError(
                f"{str(path)!r} is in use: a run writes it now. Wait for its end, or stop it first."
            ) from error
        raise CheckpointError(f"{str(path)!r} can't be used as the file of a run: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise CheckpointError(f"{str(path)!r} is not the file of a run, or is damaged: {error}.") from error
    except OSError as error:
        raise CheckpointError(f"{str(path)!r} can't be written: {error.strerror}.") from error
