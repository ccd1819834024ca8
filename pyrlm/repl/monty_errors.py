"""What the model is told of an error under Monty: the line of its own code, and what to write instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["describe", "hint", "limit_met", "not_started", "time_over"]

_MAX_MESSAGE = 2_000
_MAX_FRAMES = 4
_HINTS = (
    ("yield expressions", "Collect the values in a list and return it."),
    ("'del' statement", "Use d.pop(key), or set the name to None."),
    ("class inheritance", "Write functions, or one class without parents."),
    ("exception groups", "Use except."),
    ("method decorators", "Use plain methods."),
    ("class bodies containing", "Keep only methods and simple values in the class body."),
    (
        "cannot suspend in this synchronous context",
        "Call it in a for loop or a list comprehension, not inside a native callback.",
    ),
    ("module 'asyncio' has no attribute", "To ask side by side, use llm_batch(prompts) or asyncio.gather(*calls)."),
    ("No module named", "Importable here: {modules}."),
    ("'list' object is not an iterator", "Use iter(…) around it before next()."),
    ("nested quantifier", "Simplify the pattern."),
    ("Max stack size exceeded", "The pattern backtracks too much: avoid repeats inside repeats such as (a+)+."),
    ("backtrack", "The pattern backtracks too much: avoid repeats inside repeats such as (a+)+."),
)
_MODULES = (
    "re json math collections itertools functools datetime statistics random string textwrap difflib heapq bisect csv io "
    "html unicodedata hashlib base64 dataclasses enum typing operator copy fractions decimal calendar time"
)
_MODULE_CLASS = re.compile(r"type object '_pyrlm_mod_(\w+)'")
_OWN = re.compile(r"'?_pyrlm_(?:mod_|bound_|call_|attr_)?(\w+)'?")


def not_started(error: Exception, *, data: bool) -> str:
    """Say why there is no worker; `data` tells whether it was handed data."""
    text = f"Monty could not be started: {type(error).__name__}: {error}"
    if data and "memory" in text.lower():
        return (
            f"{text}. The data takes more memory than this backend has: use repl_backend='exec', or hand over a part."
        )
    return text


def time_over(code: str, limit: float) -> str:
    """Say that `code` ran for longer than `limit` seconds, and what to do about it."""
    advice = "work on a part of the data, or put the work into fewer steps"
    if re.search(r"\bre\.|regex|\.(?:search|match|findall|sub|finditer)\(", code):
        advice = "a regular expression with a repeat inside a repeat, such as (a+)+, can run for hours: simplify it"
    return f"TimeoutError: the code ran longer than its limit of {limit:g} s; {advice}."


def limit_met(error: tuple[str, str], failure: Any, code: str, limit: float, elapsed: float) -> tuple[str, str] | None:
    """Return type and text of the limit that stopped the code; None for an error of the code itself.

    Args:
        error: Type and text of what it ended with, of `describe`.
        failure: The same as Monty raised it.
        code: What ran.
        limit: Seconds that it may run.
        elapsed: Seconds that it ran.
    """
    kind, text = error
    raised = failure.display("type-msg")
    if kind == "TimeoutError" and ("feed time limit" in raised or elapsed >= 0.8 * limit):
        return kind, f"{text}\n{time_over(code, limit)}"
    if kind == "MemoryError" and "limit" in raised and "memory" in raised:
        return kind, f"{text}\nThe code used more memory than its limit; work in smaller pieces."
    return None


def hint(message: str) -> str:
    """Return what to write instead, for a message of Monty; empty where nothing is known."""
    for part, advice in _HINTS:
        if part in message:
            return " " + advice.format(modules=_MODULES)
    return ""


def _frames(error: Any, sources: Mapping[str, tuple[str, Sequence[int] | None]]) -> list[str]:
    found: list[str] = []
    for frame in error.traceback():
        if frame.filename not in sources:  # of the prelude
            continue
        source, lines = sources[frame.filename]
        number = frame.line
        if lines is not None and 1 <= number <= len(lines):
            number = lines[number - 1]
        code = source.splitlines()
        text = code[number - 1].strip()[:200] if 1 <= number <= len(code) else ""
        where = "" if frame.function_name in {None, "<module>"} else f" in {frame.function_name}"
        found.append(f"line {number}{where}: {text}")
    return found


def describe(error: Any, sources: Mapping[str, tuple[str, Sequence[int] | None]]) -> tuple[str, str]:
    """Return an error's type and a short traceback with the lines of the model's code.

    Args:
        error: A MontyRuntimeError or MontySyntaxError.
        sources: By what Monty calls each step: the model's code, and its line for each line that was run.
    """
    text = error.display("type-msg")[: _MAX_MESSAGE * 2]
    kind, colon, message = text.partition(": ")
    kind = kind.rsplit(".", 1)[-1].strip()
    message = _MODULE_CLASS.sub(lambda m: f"module '{m.group(1).replace('_', '.')}'", message)
    message = message.replace("The monty syntax parser does not yet support", "not supported here:")
    message = message.replace("external function '_pyrlm_later'", "a function of the host")
    message = _OWN.sub(r"\1", message)
    if len(message) > _MAX_MESSAGE:
        message = f"{message[:_MAX_MESSAGE]}… ({len(message):,} characters)"
    kind = {"PatternError": "error"}.get(kind, kind)
    frames = _frames(error, sources)
    shown = [*frames[:1], *frames[1:][-_MAX_FRAMES:]]
    advice = hint(message)
    end = "." if advice and not message.endswith(".") else ""
    summary = f"{kind}{colon if message else ''}{message}{end}{advice}"
    return kind, "\n".join(
        ["Traceback (most recent call last):", *(f"  {s}" for s in shown), summary] if shown else [summary]
    )
