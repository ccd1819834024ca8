"""What the worker pool starts: Monty's own binary, behind the layers of isolation that this system has."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pyrlm.errors import ReplUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Launcher"]

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


class Launcher:
    """A script in a private folder that locks itself and becomes Monty's worker.

    Args:
        strict: Whether to refuse where a layer is missing.

    Attributes:
        path: What the pool is to start.
        layers: The layers of isolation that the worker starts behind.
        missing: Those that are missing, each with the reason.
    """

    def __init__(self, *, strict: bool) -> None:
        binary = _binary()
        self.layers: tuple[str, ...] = ()
        self.missing: Mapping[str, str] = {}
        self._folder: str | None = None
        self.path = str(binary)
        if os.name != "posix":
            self.missing = dict.fromkeys(_LAYERS, f"{sys.platform} has none")
            if strict:
                raise ReplUnavailableError(f"isolation='strict', and {sys.platform} has no layers for Monty's worker.")
            return
        self._folder = tempfile.mkdtemp(prefix="pyrlm-monty-")
        script = Path(self._folder) / "monty"
        start = Path(__file__).with_name("monty_launch.py")
        words = [sys.executable, "-I", "-S", str(start), str(binary)]
        script.write_text(f'#!/bin/sh\nexec env -i {shlex.join(words)} "$@"\n', encoding="utf-8")
        script.chmod(0o700)
        self.path = str(script)
        self.layers = _LAYERS

    def close(self) -> None:
        """Remove the script."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
