r"""Regular expressions from models, run in the host: in the syntax of `re`, but with an end.

`re` can't be stopped and holds the interpreter's lock while it runs; a pattern such as ``(a+)+$`` can keep it busy for
years. The `regex` package takes a time-out and frees the lock. Patterns are first compiled by `re`, so that only its
syntax is accepted, and what `regex` alone would read as its own (``{d}`` as a fuzzy match, ``[[:alpha:]]``) is escaped.
Known differences that stay: ``\w`` takes in combining marks and leaves out such digits as ``²``, ``\s`` leaves out
the control characters U+001C to U+001F, and new digits and letters follow the Unicode version of each.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from pyrlm.textapi import bad_pattern, re_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyrlm.textapi import Engine, Spanned

__all__ = ["pattern_trouble", "timed_engine"]

_SHOWN = 200  # characters of a pattern shown in a message
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(?!\d*,?\d*\})|\{\}", re.DOTALL)
_TROUBLES = (
    (
        r"\((?:[^()\\]|\\.)*(?:[^()\\]|\\.)[+*](?:[^()\\]|\\.)*\)(?:[+*]|\{\d*,)",
        "a group that repeats something is itself repeated, as in (a+)+ or (\\w+\\s*)*; repeat once: [\\w\\s]+",
    ),
    (
        r"\((?:[^()\\]|\\.)*\|(?:[^()\\]|\\.)*\)(?:[+*]|\{\d*,)",
        "alternatives that may match the same characters are repeated, as in (a|ab)*; use a character class, [ab]*",
    ),
    (
        r"(?:\.|\\[swSWD]|\[[^\]]*\])[+*].*(?:\.|\\[swSWD]|\[[^\]]*\])[+*]",
        "several open-ended parts follow each other, as in .*x.*y; bound them, [^\\n]{0,200}, or find one literally",
    ),
    (r"\\[1-9]|\(\?P=", "it refers back to a group, which is tried anew at every place; find the parts one by one"),
)


def pattern_trouble(pattern: str) -> str:
    """Say in a clause why `pattern` is likely to run for long, and what to write in its place."""
    for shape, advice in _TROUBLES:
        if re.search(shape, pattern[:300], re.DOTALL):
            return advice
    return (
        "it matches too little text that is fixed; begin with a literal word, bound each repetition, {0,200}, "
        "or search literally with regex=False"
    )


def _only_re(pattern: str) -> str:
    """Escape what `re` reads as plain characters and `regex` would not."""

    def escape(token: re.Match[str]) -> str:
        text = token[0]
        if text.startswith("["):
            return "[" + text[1:].replace("\\[", "[").replace("[", "\\[")
        return text if text.startswith("\\") else "\\" + text

    return _TOKEN.sub(escape, pattern)


def timed_engine(timeout: float) -> Engine:
    """Make an engine for `pyrlm.textapi.TextAPI` with which each `find` ends after `timeout` seconds.

    A search that does not end raises TimeoutError, one that needs more memory than `regex` grants itself (about
    600 MB) ValueError; both name what is likely to be wrong with the pattern.
    """

    def compile_pattern(pattern: str, flags: int) -> Callable[[str], Iterator[Spanned]]:
        import regex  # noqa: PLC0415 - costs 20 ms, and most runs never search by pattern

        deadline = time.monotonic() + timeout
        re_engine(pattern, flags)
        flags_of_regex = regex.VERSION0
        for name in ("IGNORECASE", "MULTILINE", "DOTALL", "VERBOSE", "ASCII"):
            if flags & getattr(re, name):
                flags_of_regex |= getattr(regex, name)
        try:
            compiled = regex.compile(_only_re(pattern), flags_of_regex)
        except (regex.error, OverflowError, RecursionError) as error:
            raise bad_pattern(pattern, error) from None

        def scan(text: str) -> Iterator[Spanned]:
            shown = pattern if len(pattern) <= _SHOWN else pattern[:_SHOWN] + "…"
            try:
                yield from compiled.finditer(text, timeout=max(deadline - time.monotonic(), 1e-9))
            except TimeoutError:
                raise TimeoutError(
                    f"find: {shown!r} did not end within {timeout:g} s. Likely cause: {pattern_trouble(pattern)}."
                ) from None
            except MemoryError:
                raise ValueError(
                    f"find: {shown!r} needs too much memory on this text. Likely cause: {pattern_trouble(pattern)}."
                ) from None

        return scan

    return compile_pattern
