"""The disk side of the reply cache: text by key, on diskcache. Used by one thread of a process."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    import diskcache

__all__ = ["Store", "user_directory"]

_log = logging.getLogger(__name__)
_DATABASE = "cache.db"  # diskcache's own name
_LOCK_SECONDS = 5.0
_PAUSE_SECONDS = 30.0
_OUT_OF_ORDER = ("locked", "busy", "full", "readonly", "read-only", "unable to open", "disk i/o", "permission")
T = TypeVar("T")


def user_directory() -> str:
    """Return pyrlm's folder in the user's cache folder, as this platform has it."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path("~/AppData/Local").expanduser())
    elif sys.platform == "darwin":
        base = str(Path("~/Library/Caches").expanduser())
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return str(Path(base) / "pyrlm" / "replies")


class Store:
    """Texts by key on disk.

    Nothing here raises: what can't be read is not there, what can't be written is not kept. A damaged database is
    removed and begun anew; one that can't be used (locked, no right to write, disk full) is left alone for a while,
    with one warning.

    Args:
        directory: Folder, made where needed.
        size_limit: Bytes on disk.
        expire: Seconds that a text is kept; None: no limit.
    """

    def __init__(self, directory: str, *, size_limit: int, expire: float | None) -> None:
        self._directory = Path(directory)
        self._size_limit = size_limit
        self._expire = expire
        self._cache: diskcache.Cache | None = None
        self._pause: dict[str, float] = {}
        self._warned = False

    def read(self, key: str) -> str | None:
        """Return the text of `key`, or None."""
        try:
            text = self._try("read", lambda found: found.get(key))
        except _BadRowError:
            _log.warning("An entry of the reply cache that is no text was removed unread.")
            self.remove(key)
            return None
        return text if isinstance(text, str) else None

    def write(self, key: str, text: str) -> bool:
        """Keep `text` under `key`; returns whether it was kept."""
        return bool(self._try("write", lambda found: found.set(key, text, expire=self._expire)))

    def remove(self, key: str) -> None:
        """Forget `key`."""
        self._try("write", lambda found: found.delete(key))

    def close(self) -> None:
        """Close the database."""
        opened, self._cache = self._cache, None
        if opened is not None:
            with contextlib.suppress(Exception):
                opened.close()

    def _try(self, what: str, work: Callable[[diskcache.Cache], T]) -> T | None:
        """Do `work`; after damage once more, on a new database."""
        for attempt in range(2):
            try:
                opened = self._open()
                if opened is None or time.monotonic() < self._pause.get(what, 0.0):
                    return None
                return work(opened)
            except _BadRowError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a file on disk can cause
                if attempt == 0 and not _is_out_of_order(error):
                    self._begin_anew(error)
                else:
                    self._pause_for("open" if self._cache is None else what, error)
                    return None
        return None

    def _open(self) -> diskcache.Cache | None:
        if self._cache is None and time.monotonic() >= self._pause.get("open", 0.0):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._probe()
            import diskcache  # noqa: PLC0415 - only where a cache is used

            self._cache = diskcache.Cache(
                str(self._directory),
                timeout=_LOCK_SECONDS,
                disk=_text_disk(),
                size_limit=self._size_limit,
                tag_index=0,
            )
        return self._cache

    def _probe(self) -> None:
        """Raise at once for what diskcache would try for a minute: a database that is locked or damaged."""
        if not (self._directory / _DATABASE).exists():
            return
        connection = sqlite3.connect(self._directory / _DATABASE, timeout=_LOCK_SECONDS, isolation_level=None)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        finally:
            connection.close()

    def _begin_anew(self, error: Exception) -> None:
        _log.warning("The reply cache in %s is damaged (%s) and is begun anew.", self._directory, error)
        self.close()
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                (self._directory / (_DATABASE + suffix)).unlink()

    def _pause_for(self, what: str, error: Exception) -> None:
        self._pause[what] = time.monotonic() + _PAUSE_SECONDS
        if not self._warned:
            self._warned = True
            name = str(error) or type(error).__name__
            _log.warning("The reply cache in %s can't be used (%s); calls go on without it.", self._directory, name)


class _BadRowError(Exception):
    """A row of the database holds something else than what `_TextDisk` writes."""


def _is_out_of_order(error: Exception) -> bool:
    """Tell a place that can't be used (leave it alone) from one that is damaged (begin anew)."""
    import diskcache  # noqa: PLC0415

    if isinstance(error, OSError | diskcache.Timeout):
        return True
    return isinstance(error, sqlite3.OperationalError) and any(word in str(error).lower() for word in _OUT_OF_ORDER)


@cache
def _text_disk() -> type[diskcache.Disk]:
    import diskcache  # noqa: PLC0415
    from diskcache.core import MODE_RAW  # noqa: PLC0415

    class TextDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache has no types
        """Keys and values are strings in the database. Nothing is unpickled, and no file beside it read or removed.

        diskcache reads a row's storage mode from the row itself: whoever can write the file could plant a pickle, or a
        file name outside of the folder.
        """

        def put(self, key: str) -> tuple[str, bool]:
            return key, True

        def get(self, key: Any, raw: bool) -> str:
            if raw and type(key) is str:
                return key
            raise _BadRowError

        def store(self, value: str, _read: bool, **_: Any) -> tuple[int, int, None, str]:
            return 0, MODE_RAW, None, value

        def fetch(self, mode: int, filename: str | None, value: Any, _read: bool) -> str:
            if mode == MODE_RAW and filename is None and type(value) is str:
                return value
            raise _BadRowError

        def remove(self, file_path: str) -> None:
            pass

    return TextDisk
