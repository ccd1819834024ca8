"""The text in Monty: `P`, `context` and `CONTEXT` are a real string there, handed over when code first names one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pyrlm.repl.monty_rewrite import UnsupportedError, rewrite
from pyrlm.repl.monty_surrogates import inward

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyrlm.context import Context
    from pyrlm.repl.monty_rewrite import Known, Rewritten
    from pyrlm.repl.protocol import Setup

__all__ = [
    "MAX_CHARS",
    "RESTORE",
    "check",
    "hand_over",
    "host_object",
    "memory",
    "prepared",
    "size",
    "wanted",
]

MAX_CHARS = 60_000_000
"""Characters up to which naming `P` hands the text over; a message to the worker may have 255 MiB."""
_HEAP = 384 << 20
_MAX_CODE = 500_000
RESTORE = "P = context = CONTEXT = _pyrlm_P"
_NAMES = re.compile(r"\b(?:P|context|CONTEXT)\b")
_GIVEN = frozenset({"P", "context", "CONTEXT"})


def _chars(context: Context) -> int:
    texts = context.texts
    return sum(map(len, texts)) + max(len(texts) - 1, 0) * len(context.separator)


def size(context: Context) -> int:
    """Return an upper bound of the text's bytes in the worker, 0 where it is too long to be handed over."""
    if _chars(context) > MAX_CHARS:
        return 0
    return (
        sum(len(t) if t.isascii() else len(t.encode("utf-8", "replace")) for t in context.texts)
        + len(context.texts) * 8
    )


def memory(setup: Setup) -> int:
    """Return the bytes that the interpreter may use: its own, and the text as it comes and as it is kept."""
    return 2 * (0 if setup.context is None else size(setup.context)) + min(setup.memory_bytes, _HEAP)


def wanted(context: Context | None, code: str, known: Known) -> bool:
    """Whether the text must be there and as given when `code` runs."""
    return context is not None and _chars(context) <= MAX_CHARS and bool(_NAMES.search(code) or _GIVEN & known.names)


def prepared(code: str, known: Known, context: Context | None) -> Rewritten:
    """Return `code` in the form that Monty runs.

    Raises:
        ValueError, SyntaxError: It is too long, or no Python.
        UnsupportedError: It uses what Monty lacks, or names a text that is too long to be handed over.
    """
    if len(code) > _MAX_CODE:
        raise ValueError(f"the code has {len(code):,} characters; at most {_MAX_CODE:,} are run at once")
    made = rewrite(code, known, echo=True)
    check(context, code, made.known)
    return made


def check(context: Context | None, code: str, known: Known) -> None:
    """Raise `UnsupportedError` for code that names a text which is too long to be handed over."""
    if context is None or _chars(context) <= MAX_CHARS or _GIVEN & known.names:
        return
    found = _NAMES.search(code)
    if found is None or re.search(rf"\b{found.group()}\b\s*=[^=]", code):
        return
    import ast  # noqa: PLC0415

    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name) and node.id in _GIVEN:
            raise UnsupportedError(
                f"{node.id}: the text has {_chars(context):,} characters, and this backend holds at most {MAX_CHARS:,} "
                "as a string. Use ctx.find(pattern, regex=True), ctx.slice(start, end), ctx.chunk(size), peek(), tail()",
                node,
            )


def hand_over(context: Context | None, plain: Callable[[str, dict[str, Any]], Any]) -> int:
    """Send the text to the worker, where documents are joined; return the number of messages."""
    assert context is not None
    if len(context.texts) == 1:
        plain("_pyrlm_P = _pyrlm_text", {"_pyrlm_text": inward(context.texts[0])})
        plain("_pyrlm_text = None", {})
        return 2
    inputs = {"_pyrlm_text": inward(list(context.texts)), "_pyrlm_sep": context.separator}
    plain("_pyrlm_P = _pyrlm_sep.join(_pyrlm_text)", inputs)
    plain("_pyrlm_text = None", {})
    return 2


class _Context:
    """What `ctx` is in the worker: a name and the methods that may be called; the text stays in the host."""


def host_object(methods: Sequence[str]) -> Any:
    """Return an object for the sandbox of which `methods` may be called, and nothing else reached."""
    from pydantic_monty import ClassInstance  # noqa: PLC0415 - see MontyThread.open

    return ClassInstance(_Context(), allowed_methods=set(methods))
