"""Starts Monty's worker behind the same layers as the worker of `exec`: run as ``python -I -S monty_launch.py BINARY …``.

It locks itself (limits, no new privileges, Landlock, seccomp) and becomes the program; with ``--probe`` behind the program
it prints the layers that are missing here instead, as JSON. Standard library only.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["PROBE", "main"]

PROBE = "--probe"


def main(arguments: list[str]) -> None:
    """Lock this process and become the program ``arguments[0]``; the others are its own."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib costs 3 ms of the start
    sys.path.insert(0, os.path.dirname(os.path.dirname(here)))  # noqa: PTH120
    sys.modules["pyrlm"] = _folder("pyrlm", os.path.dirname(here))  # noqa: PTH120
    sys.modules["pyrlm.repl"] = _folder("pyrlm.repl", here)
    import json  # noqa: PLC0415 - once locked, nothing can be imported

    from pyrlm.repl import isolation  # noqa: PLC0415 - found by the path above

    missing = isolation.lock(
        memory_bytes=None, cpu_seconds=3600, host_pid=os.getppid(), audit=False, program=arguments[0]
    )
    if arguments[1:] == [PROBE]:
        sys.stdout.write(json.dumps(missing))
        return
    os.execv(arguments[0], ["monty", *arguments[1:]])  # noqa: S606 - the program that this file is for


def _folder(name: str, path: str) -> ModuleType:
    """Make an empty package, so that nothing but the modules asked for is loaded."""
    module = type(sys)(name)
    module.__path__ = [path]
    return module


if __name__ == "__main__":
    main(sys.argv[1:])
