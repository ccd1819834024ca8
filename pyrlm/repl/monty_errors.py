"""What the model is told of an error under Monty: the line of its own code, and what to write instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["describe", "hint"]

_MAX_MESSAGE = 2_000
_MAX_FRAMES = 4
_HINTS = (
    ("yield expressions", "Collect the values in a list and return it."),
    ("'del' statement", "Use d.pop(key), or set the name to None."),
    ("class inheritance", "Write functions, or one class without parents."),
    ("exception groups", "Use except."),
    ("method decorators", "Use plain methods."),
    ("class bodies containing", "Keep only methods and simple values in the class body."),
    ("cannot suspend in this synchronous context", "Call it in a for loop or a list comprehension, not inside a native callback."),
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


def hint(message: str) -> str:
    """Return what to write instead, for a message of Monty; empty where nothing is known."""
    for part, advice in _HINTS:
        if part in message:
            return " " + advice.format(modules=_MODULES)
    return ""


def _frames(error: Any, lines: Sequence[int] | None) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    every = error.traceback()
    for frame in every:
        if frame.filename != every[0].filename:  # of the prelude, or of code of an earlier step
            continue
        number = frame.line
        if lines is not None and 1 <= number <= len(lines):
            number = lines[number - 1]
        where = "" if frame.function_name in {None, "<module>"} else f" in {frame.function_name}"
        found.append((number, where))
    return found


def describe(error: Any, source: str, lines: Sequence[int] | None) -> tuple[str, str]:
    """Return an error's type and a short traceback with the lines of the model's code.

    Args:
        error: A MontyRuntimeError or MontySyntaxError.
        source: The model's code.
        lines: The model's line for each line that was run.
    """
    text = error.display("type-msg")[: _MAX_MESSAGE * 2]
    kind, colon, message = text.partition(": ")
    kind = kind.rsplit(".", 1)[-1].strip()
    message = _MODULE_CLASS.sub(lambda m: f"module '{m.group(1).replace('_', '.')}'", message)
    message = message.replace("The monty syntax parser does not yet support", "not supported here:")
    message = _OWN.sub(r"\1", message)
    if len(message) > _MAX_MESSAGE:
        message = f"{message[:_MAX_MESSAGE]}… ({len(message):,} characters)"
    kind = {"PatternError": "error"}.get(kind, kind)
    code = source.splitlines()
    shown: list[str] = []
    frames = _frames(error, lines)
    for number, where in [*frames[:1], *frames[1:][-_MAX_FRAMES:]]:
        text_of = code[number - 1].strip() if 1 <= number <= len(code) else ""
        shown.append(f"line {number}{where}: {text_of[:200]}")
    advice = hint(message)
    end = "." if advice and not message.endswith(".") else ""
    summary = f"{kind}{colon if message else ''}{message}{end}{advice}"
    return kind, "\n".join(["Traceback (most recent call last):", *(f"  {s}" for s in shown), summary] if shown else [summary])
