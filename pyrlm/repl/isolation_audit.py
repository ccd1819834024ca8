"""The audit hook: refuses what Python announces as an audit event, with an error that says what to do instead.

It is the one layer of systems without Landlock and seccomp, and there no wall: code that corrupts the interpreter from
inside gets past it. On Linux it makes the refusals of the kernel readable.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["REFUSED_MODULES", "install"]

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MAX_THREADS = 64

# Modules with functions that announce nothing. They are put out of reach once the worker has what it needs of them.
REFUSED_MODULES = (
    "_ctypes",
    "ctypes",
    "_posixsubprocess",
    "_multiprocessing",
    "_posixshmem",
    "_testcapi",
    "faulthandler",
)


def install(folders: Sequence[str]) -> None:
    """Add the hook to this process; files and folders under `folders` can be read. It can't be taken off again."""
    roots = tuple(folder.rstrip("/") + "/" for folder in folders)
    for name in REFUSED_MODULES:
        sys.modules.pop(name, None)
    sys.modules["_posixsubprocess"] = _placeholder("_posixsubprocess", "fork_exec")  # asyncio imports it, to no use
    for holder in filter(None, (os, sys.modules.get("posix"))):  # tells the host's name and announces nothing
        if hasattr(holder, "uname"):
            del holder.uname
    _cap_threads()
    sys.addaudithook(_file_hook(roots))
    sys.addaudithook(_hook())


def _cap_threads() -> None:
    """Cap the threads of code where Python announces none (before 3.12); `threading` is loaded later, and finds this."""
    import _thread  # noqa: PLC0415 - beside the only function that needs it

    start, count = _thread.start_new_thread, _thread._count  # noqa: SLF001 - `threading` isn't loaded yet

    def start_new_thread(*args: Any) -> int:
        if count() >= _MAX_THREADS:
            raise RuntimeError(f"can't start new thread: at most {_MAX_THREADS} at once")
        return start(*args)

    _thread.start_new_thread = start_new_thread


def _placeholder(name: str, function: str) -> Any:
    def refuse(*_: object) -> None:
        raise PermissionError(f"{name}.{function} is not available here: code can't start processes")

    module = type(sys)(name)
    setattr(module, function, refuse)
    return module


def _file_hook(roots: tuple[str, ...]) -> Any:
    abspath = os.path.abspath

    def readable(path: object) -> bool:
        if isinstance(path, bytes):
            path = path.decode("utf-8", "surrogateescape")
        return isinstance(path, str) and (abspath(path) + "/").startswith(roots)

    # Events are compared with literals: constants of a code object can't be changed from within.
    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            writing = isinstance(args[2], int) and args[2] & _WRITING
            if writing or not readable(args[0]):
                raise PermissionError("files can't be opened here: the text is in P and ctx, results go in variables")
        elif event in {"os.listdir", "os.scandir"} and not readable(args[0]):
            raise PermissionError("folders can't be listed here: the text is in P and ctx")

    return hook


def _hook() -> Any:
    thread_count = sys.modules["_thread"]._count  # noqa: SLF001 - the threading module isn't loaded yet

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "import":
            if args[0] in {"_ctypes", "ctypes", "_posixsubprocess", "_multiprocessing", "_posixshmem", "_testcapi"}:
                raise ImportError(f"{args[0]} is not available here")
        elif event in {"_thread.start_new_thread", "_thread.start_joinable_thread"}:
            if thread_count() >= _MAX_THREADS:
                raise RuntimeError(f"can't start new thread: at most {_MAX_THREADS} at once")
        elif event == "socket.__new__" and args[1] == 1:
            return  # AF_UNIX: the pair by which asyncio wakes itself
        elif event.startswith(_REFUSED) and event not in {"os.listdir", "os.scandir", "builtins.id"}:
            raise PermissionError(f"{event} is not permitted here: code has no files, network or processes")

    return hook


_REFUSED = (
    *("os.", "shutil.", "tempfile.", "glob.", "pathlib.", "fcntl.", "mmap.", "sqlite3."),
    *(
        "socket.",
        "http.",
        "urllib.",
        "ftplib.",
        "smtplib.",
        "poplib.",
        "imaplib.",
        "telnetlib.",
        "nntplib.",
        "webbrowser.",
    ),
    *("subprocess.", "pty.", "ctypes.", "signal.", "resource.", "syslog.", "winreg.", "msvcrt."),
    *("gc.", "builtins.", "sys.addaudithook", "cpython.PyInterpreterState"),
)
