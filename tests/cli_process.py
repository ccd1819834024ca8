"""The command line as a shell sees it: real processes, with a home of their own and no keys."""

from __future__ import annotations

import os
import subprocess
import sys

COMMAND = [sys.executable, "-c", "from pyrlm.cli import main; main()"]


def environment(home, **more):
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}
    kept.pop("PYRLM_MODEL", None)
    return kept | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "COLUMNS": "160"} | more


def pyrlm(home, *arguments, stdin=None, **more):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=home, env=environment(home, **more), input=stdin, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip


def started(home, *arguments, stderr=subprocess.PIPE, **more):
    """Start a command and return at once."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)], cwd=home, env=environment(home, **more), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=stderr, text=stderr is subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
