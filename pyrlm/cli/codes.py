"""Exit codes, the same for every command."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode", "code_of"]


class ExitCode(IntEnum):
    """How a command ended."""

    ANSWERED = 0
    ERROR = 1
    USAGE = 2
    UNANSWERED = 3
    LIMIT = 4


def code_of(status: str) -> ExitCode:
    """Return the exit code for a result's status."""
    return {
        "answered": ExitCode.ANSWERED,
        "unanswered": ExitCode.UNANSWERED,
        "limit": ExitCode.LIMIT,
    }.get(status, ExitCode.ERROR)
