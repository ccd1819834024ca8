"""The command line: ``pyrlm ask "QUESTION" PATH…`` and its kin. One file a command."""

from __future__ import annotations

from pyrlm.cli.main import main

__all__ = ["main"]
