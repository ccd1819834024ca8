"""From paths, folders and globs to files: sorted, each once, without hidden and machine-made folders."""

from __future__ import annotations

import glob
import os
import re
from fnmatch import translate
from typing import TYPE_CHECKING

from pyrlm.readers import Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["expand"]

_MADE = frozenset({"node_modules", "__pycache__", "site-packages", "venv", "CVS", "_darcs"})


def expand(arguments: list[str], skip: Callable[[Skipped], None]) -> Iterator[str]:
    """Yield the files that `arguments` name: files, folders with all below, globs (``**`` too), ``-`` as it is.

    In folders, names that begin with a dot, virtual environments and folders such as ``node_modules`` are passed over
    in silence; an argument that names nothing is reported to `skip`. Links to folders are followed once.
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
        return "no files in this folder"
    if glob.has_magic(argument):
        return "no file matches"
    return "no such file or folder"


def _of_argument(argument: str, skip: Callable[[Skipped], None]) -> Iterator[str]:
    if argument == "-" or not argument:
        yield from ["-"] if argument else []
    elif os.path.isdir(argument):  # noqa: PTH112
        yield from _below(argument, skip, set())
    elif os.path.lexists(argument) or not glob.has_magic(argument):
        yield from [argument] if os.path.lexists(argument) else []
    elif "**" in argument:
        yield from _deep_glob(argument, skip)
    else:
        for path in sorted(glob.glob(argument)):  # noqa: PTH207
            yield from _of_argument(path, skip)


def _deep_glob(pattern: str, skip: Callable[[Skipped], None]) -> Iterator[str]:
    """Match a glob with ``**`` by our own walk: `glob` enters links without end and machine-made folders."""
    parts = pattern.split("/")
    fixed = next(place for place, part in enumerate(parts) if glob.has_magic(part))
    root = "/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else ".")
    shape = "".join(
        ("(?:[^/]+/)*" if place < len(parts) - 1 - fixed else ".*")
        if part == "**"
        else re.sub(r"\.\*", "[^/]*", translate(part)[4:-3]) + ("/" if place < len(parts) - 1 - fixed else "")
        for place, part in enumerate(parts[fixed:])
    )
    wanted = re.compile(shape, re.DOTALL)
    cut = 0 if root == "/" else len(root)
    for path in _below(root, skip, set()):
        if wanted.fullmatch(path[cut:].lstrip("/")):
            yield path if fixed else path[2:]


def _below(folder: str, skip: Callable[[Skipped], None], entered: set[tuple[int, int]]) -> Iterator[str]:
    """Yield the files below `folder`, by name, files and folders mixed. Recursion is as deep as the folders."""
    try:
        status = os.stat(folder)  # noqa: PTH116
        identity = (status.st_dev, status.st_ino)
        if identity in entered:
            return
        entered.add(identity)
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        skip(Skipped(folder, error.strerror or str(error)))
        return
    for entry in inside:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if entry.name not in _MADE and not os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):  # noqa: PTH110, PTH118
                yield from _below(entry.path, skip, entered)
        else:
            yield entry.path
