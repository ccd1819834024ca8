"""What the worker pool starts: Monty's own binary, behind the layers of isolation that this system has."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import weakref
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pyrlm.errors import ReplUnavailableError
from pyrlm.repl.monty_launch import PROBE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Launcher", "probe"]

_LAYERS = ("limits", "no_new_privileges", "landlock", "seccomp")


def _binary() -> Path:
    """Return the binary of the installed runtime: not of PATH or of an environment variable, which others may set."""
    name = "monty.exe" if sys.platform == "win32" else "monty"
    folders = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent)]
    user = (
        sysconfig.get_path("scripts", f"{os.name}_user") if f"{os.name}_user" in sysconfig.get_scheme_names() else None
    )
    for folder in [*folders, *([user] if user else [])]:
        path = Path(folder) / name
        if path.is_file():
            return path
    raise ReplUnavailableError(
        f"repl_backend='monty': its binary is not in {folders[0]}; install it with `pip install pydantic-monty`."
    )


def _words(binary: Path) -> list[str]:
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("monty_launch.py")), str(binary)]


@cache
def probe(binary: Path) -> dict[str, str]:
    """Return the layers of isolation that are missing on this system, each with the reason."""
    if os.name != "posix":
        return dict.fromkeys(_LAYERS, f"{sys.platform} has none")
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter and a file of ours
            [*_words(binary), PROBE], capture_output=True, check=True, env={}, timeout=30, stdin=subprocess.DEVNULL
        )
        return dict(json.loads(done.stdout))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise ReplUnavailableError(f"Monty's worker could not be locked: {error}") from error


class Launcher:
    """A script in a private folder that locks itself and becomes Monty's worker.

    Args:
        strict: Whether to refuse where a layer is missing.

    Attributes:
        path: What the pool is to start.
        layers: The layers of isolation that the worker starts behind.
        missing: Those that are missing, each with the reason.
        close: Removes the script.
    """

    def __init__(self, *, strict: bool) -> None:
        binary = _binary()
        self.missing: Mapping[str, str] = probe(binary)
        self.layers = tuple(layer for layer in _LAYERS if layer not in self.missing)
        if strict and self.missing:
            lacking = "; ".join(f"{layer} ({reason})" for layer, reason in self.missing.items())
            raise ReplUnavailableError(
                f"isolation='strict', and layers are missing on this system for Monty's worker: {lacking}. Use "
                "isolation='best_effort' where that is enough."
            )
        self.path = str(binary)
        self.close: Callable[[], object] = lambda: None
        if os.name == "posix":
            folder = tempfile.mkdtemp(prefix="pyrlm-monty-")
            # not only by close(): a start that is cancelled while this is made hands it to nobody
            self.close = weakref.finalize(self, _remove, folder, os.getpid())
            script = Path(folder) / "monty"
            script.write_text(f'#!/bin/sh\nexec env -i {shlex.join(_words(binary))} "$@"\n', encoding="utf-8")
            script.chmod(0o700)
            self.path = str(script)


def _remove(folder: str, pid: int) -> None:
    if os.getpid() == pid:  # a fork leaves alone what is its parent's
        shutil.rmtree(folder, ignore_errors=True)
