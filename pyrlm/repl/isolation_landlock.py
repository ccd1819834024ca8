"""Landlock: the process can read the standard library and the system's shared libraries, and nothing else.

Constants from Linux's ``include/uapi/linux/landlock.h``; the three system call numbers are the same on every
architecture. What Landlock doesn't govern is metadata: existence, size and time of a file can still be asked for.
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

__all__ = ["restrict"]

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

_EXECUTE = 1 << 0
_READ_FILE = 1 << 2
_READ_DIR = 1 << 3
_HANDLED = (1 << 13) - 1  # ABI 1: execute, write, read, list, remove, make anything
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15  # ABI 2, 3, 5
_NET = (1 << 0) | (1 << 1)  # ABI 4: bind and connect TCP
_SCOPED = (1 << 0) | (1 << 1)  # ABI 6: abstract unix sockets and signals, to processes outside
_ABI_REFER, _ABI_TRUNCATE, _ABI_NET, _ABI_IOCTL, _ABI_SCOPED = 2, 3, 4, 5, 6

_FOREIGN_PACKAGES = frozenset({"site-packages", "dist-packages"})  # not part of the standard library
_SYSTEM_LIBRARIES = ("/lib/", "/lib64", "/usr/lib/", "/usr/lib64")
_LOADER_CACHE = "/etc/ld.so.cache"


def restrict(libc: Any, folders: Iterable[str], program: str | None = None) -> None:
    """Restrict this process and all that it will start; `program` is the one that it may start or become.

    Raises OSError where the kernel can't or may not.
    """
    import ctypes  # noqa: PLC0415 - shut by the audit hook afterwards

    def call(number: int, *args: Any) -> int:
        result = int(libc.syscall(number, *args))
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"Landlock: {os.strerror(code)}")
        return result

    abi = call(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION)
    attributes = _ruleset(abi)
    rules = call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    try:
        for path, access in [*_rules(folders), *_program_rules(program)]:
            try:
                file = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                call(_ADD_RULE, rules, _RULE_PATH_BENEATH, struct.pack("=Qi", access, file), 0)
            finally:
                os.close(file)
        call(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _ruleset(abi: int) -> bytes:
    handled = _HANDLED
    handled |= _REFER if abi >= _ABI_REFER else 0
    handled |= _TRUNCATE if abi >= _ABI_TRUNCATE else 0
    handled |= _IOCTL_DEV if abi >= _ABI_IOCTL else 0
    fields = [handled]
    fields += [_NET] if abi >= _ABI_NET else []
    fields += [_SCOPED] if abi >= _ABI_SCOPED else []
    return struct.pack(f"={len(fields)}Q", *fields)


def _rules(folders: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield paths and the access to them."""
    for folder in folders:
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        if not _FOREIGN_PACKAGES.intersection(entry.name for entry in entries):
            yield folder, _READ_FILE | _READ_DIR
            continue
        # Installed packages lie inside this one: its files and folders are allowed one by one. Without the right to
        # list it, Python's importer would find nothing there, so names (and no contents) of packages can be listed.
        yield folder, _READ_DIR
        for entry in entries:
            if entry.name not in _FOREIGN_PACKAGES:
                yield entry.path, _READ_FILE | (_READ_DIR if entry.is_dir() else 0)
    yield _LOADER_CACHE, _READ_FILE
    for folder in _library_folders():
        yield from _shared_libraries(folder)


def _program_rules(program: str | None) -> Iterator[tuple[str, int]]:
    """Yield the program and the loaders of shared libraries, which the kernel starts for it."""
    if program is None:
        return
    yield program, _EXECUTE | _READ_FILE
    for folder in {*_library_folders(), "/lib", "/lib64"}:
        try:
            names = os.listdir(folder)  # noqa: PTH208 - see isolation
        except OSError:
            continue
        for name in names:
            if name.startswith(("ld-linux", "ld-musl", "ld64", "ld-2")):
                yield f"{folder}/{name}", _EXECUTE | _READ_FILE


def _library_folders() -> set[str]:
    """Return the folders of the shared libraries that this process has mapped: modules need more from there."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - see isolation
        paths = {line.split(None, 5)[-1].rstrip("\n") for line in file if ".so" in line}
    return {os.path.dirname(path) for path in paths if path.startswith("/")}  # noqa: PTH120


def _shared_libraries(folder: str) -> Iterator[tuple[str, int]]:
    """Yield a folder of the system's libraries whole, of any other only the libraries in it."""
    of_system = folder.startswith(_SYSTEM_LIBRARIES) and _FOREIGN_PACKAGES.isdisjoint(folder.split("/"))
    if of_system and not os.__file__.startswith(folder + "/"):
        yield folder, _READ_FILE | _READ_DIR
        return
    for entry in os.scandir(folder):
        if ".so" in entry.name and not entry.is_dir():
            yield entry.path, _READ_FILE
