"""The file of a durable run: one SQLite database, to which every outcome is added in a transaction of its own.

Written ahead (WAL) with ``synchronous=NORMAL``: what was committed is in the system's hands, so that killing this process
loses nothing of it; a power failure may lose the last moments, whose calls are then made again, and never the file.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from pyrlm.errors import CheckpointError
from pyrlm.journal_file import as_checkpoint_errors, connect
from pyrlm.journal_marks import Marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Journal", "Record"]

_APPLICATION = 0x5079524C
_VERSION = 2
_SQUEEZED_FROM = 2_000
"""Bytes from which an entry is compressed."""
_LEVEL = 1

_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE pieces (number INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE records (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    scope TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, occurrence INTEGER NOT NULL,
    elapsed REAL NOT NULL, body BLOB NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Record:
    """What came of one thing that a run did.

    Attributes:
        seq: Its number in the file, in the order of writing.
        scope: Which sub-agent did it; empty for the run itself.
        kind: What it was: a call, a tool, a search, a step, …
        key: Hash of what was asked.
        occurrence: How often the same had been asked in this scope before.
        elapsed: Seconds of the run's time.
        body: The outcome, in JSON types.
    """

    seq: int
    scope: str
    kind: str
    key: str
    occurrence: int
    elapsed: float
    body: dict[str, Any]


class Journal:
    """One file, open for one run. Another process that opens it meanwhile gets an error.

    Safe to use from several threads. A key that this process knows stands in it as a mark, see `pyrlm.journal_marks`.

    Attributes:
        path: The file.
        marks: Of its keys.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, marks: Marks | None = None) -> None:
        self.path = path
        self.marks = marks or Marks.new()
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    def create(cls, path: Path, facts: dict[str, Any], pieces: Iterable[bytes], marks: Marks | None = None) -> Self:
        """Make the file, readable by its owner alone; facts and pieces are there whole or not at all.

        A run that has ended is replaced, as is a file whose making was interrupted.

        Raises:
            CheckpointError: The file holds a run that has not ended, or something else, or can't be written.
        """
        with as_checkpoint_errors(path), suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        journal = cls(path, connect(path), marks)
        rows = {
            "marks": json.dumps(journal.marks.salt),
            **{name: journal._json(value) for name, value in facts.items()},
        }
        try:
            journal._check_free()
            with journal._transaction() as connection:
                for table in ("facts", "pieces", "records"):
                    connection.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in _TABLES.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {_VERSION}")
                connection.executemany("INSERT INTO pieces (data) VALUES (?)", ((piece,) for piece in pieces))
                connection.executemany("INSERT INTO facts VALUES (?, ?)", rows.items())
        except BaseException:
            journal.close()
            raise
        return journal

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file of a run that was begun.

        Raises:
            CheckpointError: There is no such file, another process writes it, or it holds no run that can be read.
        """
        if not path.is_file():
            raise CheckpointError(f"{str(path)!r}: there is no such file; checkpoint=… of a run makes one.")
        journal = cls(path, connect(path))
        try:
            journal._check_whole()
            with journal._reading() as connection:
                salt = connection.execute("SELECT value FROM facts WHERE name = 'marks'").fetchone()
            journal.marks = Marks(json.loads(salt[0]))
        except BaseException:
            journal.close()
            raise
        return journal

    def _check_free(self) -> None:
        if self._holds_run() and not self._has_ended():
            name = str(self.path)
            raise CheckpointError(
                f"checkpoint={name!r} holds a run that has not ended: go on with it by resume({name!r}), or give another file."
            )

    def _check_whole(self) -> None:
        name = str(self.path)
        if not self._holds_run():
            raise CheckpointError(
                f"{name!r} holds no run: it was stopped before anything was recorded. Start it again with checkpoint=…"
            )
        with self._reading() as connection:
            problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise CheckpointError(f"{name!r} is damaged: {problem}")

    def _holds_run(self) -> bool:
        """Tell whether there is a run in the file; False for an empty one.

        Raises:
            CheckpointError: It is something else, or of another version.
        """
        with self._reading() as connection:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not tables and application in {0, _APPLICATION}:
            return False
        if application != _APPLICATION:
            raise CheckpointError(f"{str(self.path)!r} is a database of another program, not the file of a run.")
        if version != _VERSION:
            raise CheckpointError(
                f"{str(self.path)!r} was written in version {version} of the format; this pyrlm reads version {_VERSION}."
            )
        return True

    def _has_ended(self) -> bool:
        with self._reading() as connection:
            return connection.execute("SELECT 1 FROM facts WHERE name = 'end'").fetchone() is not None

    def facts(self) -> dict[str, Any]:
        """Return all facts by name.

        Raises:
            CheckpointError: They hold a key that this process does not have.
        """
        with self._reading() as connection:
            rows = connection.execute("SELECT name, value FROM facts").fetchall()
        return {name: json.loads(self.marks.show(value.encode(), self.path)) for name, value in rows}

    def note(self) -> Any:
        """Return the fact ``"note"``, whatever keys it held left out of it."""
        with self._reading() as connection:
            value: str = connection.execute("SELECT value FROM facts WHERE name = 'note'").fetchone()[0]
        return json.loads(self.marks.blank(value.encode()))

    def put(self, name: str, value: Any) -> None:
        """Write one fact in the place of the former one."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, self._json(value)))

    def take_out(self, name: str, seqs: Iterable[int]) -> None:
        """Take out a fact and some records, all or nothing."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM facts WHERE name = ?", (name,))
            connection.executemany("DELETE FROM records WHERE seq = ?", ((seq,) for seq in seqs))

    def pieces(self) -> list[bytes]:
        """Return what `create` was given."""
        with self._reading() as connection:
            return [data for (data,) in connection.execute("SELECT data FROM pieces ORDER BY number")]

    def records(self) -> list[Record]:
        """Return all records in their order.

        Raises:
            CheckpointError: One of them can't be read, or holds a key that this process does not have.
        """
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT seq, scope, kind, key, occurrence, elapsed, body FROM records ORDER BY seq"
            ).fetchall()
        try:
            return [
                Record(
                    seq,
                    scope,
                    kind,
                    key,
                    occurrence,
                    elapsed,
                    json.loads(self.marks.show(_unsqueezed(body), self.path)),
                )
                for seq, scope, kind, key, occurrence, elapsed, body in rows
            ]
        except (ValueError, zlib.error) as error:
            raise CheckpointError(f"{str(self.path)!r} is damaged: a record can't be read ({error}).") from error

    def write(self, about: tuple[str, str, str, int], elapsed: float, body: dict[str, Any]) -> None:
        """Add one record; when this returns, it outlives the process.

        Args:
            about: Scope, kind, key and occurrence, see `Record`.
            elapsed: Seconds of the run's time.
            body: The outcome, in JSON types.

        Raises:
            CheckpointError: It can't be written.
        """
        row = (*about, elapsed, _squeezed(self._json(body)))
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO records (scope, kind, key, occurrence, elapsed, body) VALUES (?, ?, ?, ?, ?, ?)", row
            )

    def close(self) -> None:
        """Close the file. May be called more than once."""
        with self._lock, suppress(sqlite3.Error):
            self._connection.close()

    def _json(self, value: Any) -> str:
        text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))  # halves of surrogate pairs stay escaped
        return self.marks.hide(text.encode()).decode()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, as_checkpoint_errors(self.path):
            yield self._connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, as_checkpoint_errors(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise


def _squeezed(text: str) -> bytes:
    data = text.encode()
    return zlib.compress(data, _LEVEL) if len(data) >= _SQUEEZED_FROM else data


def _unsqueezed(data: bytes) -> bytes:
    return data if data[:1] == b"{" else zlib.decompress(data)
