"""From paths, folders and globs to files: sorted, each once, without hidden and machine-made folders."""

from __future__ import annotations

import glob
import os
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pyrlm.readers import Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["expand"]

_INDEX = ("manifest.json", os.path.join("text", "meta.json"))  # noqa: PTH118 - paths stay strings, as they were given
"""What a folder holds that is an index of `pyrlm`."""

_MADE = frozenset({"node_modules", "__pycache__", "site-packages", "venv", "CVS", "_darcs"})


def expand(arguments: list[str], skip: Callable[[Skipped], None]) -> Iterator[str]:
    """Yield the files that `arguments` name: files, folders with all below, globs (``**`` too), ``-`` as it is.

    In folders, names that begin with a dot, virtual environments, indices of `pyrlm` and folders such as ``node_modules``
    are passed over in silence; an argument that names nothing is reported to `skip`. Links to folders are followed once.
    """
    seen: set[str] = set()
    for argument in arguments:
        found = False
        for path in _of_argument(argument, skip):
            found = True
            real = path if path == "-" else os.path.realpath(path)
            if real not in seen:
                seen.add(real)
                yield path
        if not found:
            skip(Skipped(argument, _why_nothing(argument)))


def _why_nothing(argument: str) -> str:
    if os.path.isdir(argument):  # noqa: PTH112 - paths stay strings, as they were given
        return "an index, no documents" if _is_index(argument) else "no files in this folder"
    if glob.has_magic(argument):
        return "no file matches"
    return "no such file or folder"


def _of_argument(argument: str, skip: Callable[[Skipped], None]) -> Iterator[str]:
    if argument == "-" or not argument:
        yield from ["-"] if argument else []
    elif os.path.isdir(argument):  # noqa: PTH112
        yield from [] if _is_index(argument) else _below(argument, skip)
    elif os.path.lexists(argument) or not glob.has_magic(argument):
        yield from [argument] if os.path.lexists(argument) else []
    elif "**" in argument:
        yield from _deep_glob(argument, skip)
    else:
        for path in sorted(glob.glob(argument)):  # noqa: PTH207
            yield from _of_argument(path, skip)


def _deep_glob(pattern: str, skip: Callable[[Skipped], None]) -> Iterator[str]:
    """Match a glob with ``**`` by our own walk: `glob` enters links without end and machine-made folders."""
    parts = pattern.replace(os.sep, "/").split("/")
    fixed = next(place for place, part in enumerate(parts) if glob.has_magic(part))
    root = "/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else ".")
    for path in _below(root, skip):
        names = os.path.relpath(path, root).replace(os.sep, "/").split("/")
        if _fits(names, parts[fixed:]):
            yield path if fixed else os.path.normpath(path)


def _fits(names: list[str], parts: list[str]) -> bool:
    if not parts or not names:
        return not parts and not names
    if parts[0] == "**":
        return len(parts) == 1 or any(_fits(names[start:], parts[1:]) for start in range(len(names)))
    return fnmatchcase(names[0], parts[0]) and _fits(names[1:], parts[1:])


def _below(folder: str, skip: Callable[[Skipped], None]) -> Iterator[str]:
    """Yield the files below `folder`, by name, files and folders mixed; each folder is entered once."""
    entered: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if path != folder and not os.path.isdir(path):  # noqa: PTH112
            yield path
            continue
        try:
            status = os.stat(path)  # noqa: PTH116
            if (status.st_dev, status.st_ino) not in entered:
                entered.add((status.st_dev, status.st_ino))
                waiting += sorted(_entries(path), reverse=True)
        except OSError as error:
            skip(Skipped(path, error.strerror or str(error)))


def _entries(folder: str) -> Iterator[str]:
    """Yield what a folder holds but for hidden names and what programs made: packages, caches, environments."""
    for name in os.listdir(folder):  # noqa: PTH208
        path = os.path.join(folder, name)  # noqa: PTH118
        made = name in _MADE or os.path.exists(os.path.join(path, "pyvenv.cfg")) or _is_index(path)  # noqa: PTH110, PTH118
        if not name.startswith(".") and not (made and os.path.isdir(path)):  # noqa: PTH112
            yield path


def _is_index(folder: str) -> bool:
    return all(os.path.exists(os.path.join(folder, name)) for name in _INDEX)  # noqa: PTH110, PTH118
