"""Errors of code as short text: the lines of the code that failed, then type and message. Standard library only."""

from __future__ import annotations

import re
import sys

from pyrlm.repl.common import cut_middle
from pyrlm.repl.worker_channel import CodeTimeout
from pyrlm.repl.worker_show import type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


__all__ = ["describe", "remember_sources"]

_MAX_MESSAGE = 2_000
_MAX_LINE = 200
_FIRST_FRAMES, _LAST_FRAMES = 3, 5
_MAX_CHAIN = 3
_MAX_GROUP = 5
_PATTERN = re.compile(r"\bre\.|\b(search|match|fullmatch|findall|finditer|subn?|split)\(")


def remember_sources(sources: dict[str, list[str]]) -> None:
    """Let Python's own traceback printing find the lines of the code, where the code uses it."""
    linecache = sys.modules.get("linecache")
    if linecache is not None:
        for name, lines in sources.items():
            linecache.cache[name] = (1, None, [line + "\n" for line in lines], name)


def describe(error: BaseException, sources: dict[str, list[str]], timeout: float) -> tuple[str, str]:
    """Return name and text of an error.

    Args:
        error: What the code raised.
        sources: The lines of all code that has run here, by file name; other frames aren't shown.
        timeout: Seconds that the code had.
    """
    frames = _frames(error.__traceback__, sources)
    lines = ["Traceback (most recent call last):", *_shown(frames)] if frames else []
    if isinstance(error, CodeTimeout):
        name, message = "TimeoutError", _timeout_message(frames, timeout)
    else:
        name, message = type_name(error), _message(error)
    lines.append(message)
    lines += _chain(error, sources)
    return name, cut_middle("\n".join(lines), 2 * _MAX_MESSAGE)


def _frames(tb: TracebackType | None, sources: dict[str, list[str]]) -> list[tuple[str, int, str, str]]:
    found: list[tuple[str, int, str, str]] = []
    while tb is not None:
        code = tb.tb_frame.f_code
        lines = sources.get(code.co_filename)
        if lines is not None:
            source = lines[tb.tb_lineno - 1] if 0 < tb.tb_lineno <= len(lines) else ""
            found.append((code.co_filename, tb.tb_lineno, code.co_name, source.strip()[:_MAX_LINE]))
        tb = tb.tb_next
    return found


def _shown(frames: list[tuple[str, int, str, str]]) -> list[str]:
    shown = [
        f'  File "{file}", line {line}{"" if name == "<module>" else f", in {name[:_MAX_LINE]}"}\n    {source}'
        for file, line, name, source in frames
    ]
    if len(shown) > _FIRST_FRAMES + _LAST_FRAMES:
        left_out = len(shown) - _FIRST_FRAMES - _LAST_FRAMES
        return [*shown[:_FIRST_FRAMES], f"  [… {left_out:,} calls …]", *shown[-_LAST_FRAMES:]]
    return shown


def _timeout_message(frames: list[tuple[str, int, str, str]], timeout: float) -> str:
    message = (
        f"TimeoutError: the code was stopped after {timeout:g} s, the limit of one step. Variables set before that line "
        "are kept. Work on a part of the data, or in several steps."
    )
    if frames and _PATTERN.search(frames[-1][3]):
        message += (
            " If that line matches a regular expression, it probably backtracks without end: avoid nested or adjacent "
            "repeats such as (a+)+ or .*.*, bound them ({0,50}), or search for a plain string first."
        )
    return message


def _message(error: BaseException) -> str:
    """Return what Python prints below a traceback; for syntax errors with line and caret."""
    if isinstance(error, MemoryError):
        return "MemoryError: the limit on memory was met. Work on smaller parts and `del` what is no longer needed."
    if isinstance(error, SystemExit):
        return (
            f"SystemExit: {str(error)[:_MAX_LINE]}\nexit() and sys.exit() don't end the REPL; end with FINAL(answer)."
        )
    import traceback  # noqa: PLC0415 - takes 4 ms

    formatted = "".join(traceback.TracebackException(type(error), error, None).format_exception_only()).strip()
    lines = [
        line if len(line) <= _MAX_MESSAGE else cut_middle(line, _MAX_MESSAGE)
        for line in formatted[: 10**6].splitlines()
    ]
    if isinstance(error, BaseExceptionGroup):
        lines += [f"  - {cut_middle(_message(inner), _MAX_LINE * 2)}" for inner in error.exceptions[:_MAX_GROUP]]
    return cut_middle("\n".join(lines), _MAX_MESSAGE)


def _chain(error: BaseException, sources: dict[str, list[str]]) -> list[str]:
    """Return a line or two for each exception that led to this one."""
    lines: list[str] = []
    for _ in range(_MAX_CHAIN):
        cause = error.__cause__
        word = "caused by"
        if cause is None and not error.__suppress_context__:
            cause, word = error.__context__, "while handling"
        if cause is None or isinstance(cause, CodeTimeout):
            break
        frames = _frames(cause.__traceback__, sources)
        where = f" (line {frames[-1][1]}: {frames[-1][3]})" if frames else ""
        lines.append(f"{word}: {cut_middle(_message(cause), _MAX_LINE * 2)}{where}")
        error = cause
    return lines
