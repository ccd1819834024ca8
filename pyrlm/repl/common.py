"""What host and worker both use: the names `peek`, `tail`, `lenP`, … and the methods of `ctx`; cutting; errors by name.

The worker loads this module too: standard library only.
"""

from __future__ import annotations

import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrlm.textapi import TextAPI

__all__ = [
    "ABSTENTION",
    "ERRORS",
    "ERROR_KINDS",
    "FAILED",
    "HANDED_ON",
    "SUB_AGENTS",
    "cut_middle",
    "error_named",
    "extract_after",
    "pick_first_answer",
    "text_names",
]

ABSTENTION = "NO_ANSWER"
"""What a sub-model answers when its piece doesn't hold the answer."""
FAILED = "[sub-call failed:"
"""What the string begins with that stands in the place of a failed item of a batch."""
ERRORS = {"es_search": "RetrieverError"}
"""Names of errors of host functions that code may catch, each there with its function.

In CPython a class of its own below RuntimeError; Monty, which has no such classes, has another name of RuntimeError.
"""
ERROR_KINDS: dict[str, type[Exception]] = {
    name: type(name, (RuntimeError,), {"__module__": "builtins"}) for name in ERRORS.values()
}
"""Their classes: one each, so that code which names it catches what the host raises, and nothing else."""
SUB_AGENTS = frozenset({"rlm_query", "rlm_query_batch", "rlm_query_batched"})
"""Host functions that start sub-agents."""
HANDED_ON = frozenset({"functions", "tools"})
"""Their arguments that may hold functions of the code, which go by name: the host has their source."""


def text_names(api: TextAPI) -> dict[str, Callable[..., Any]]:
    """Return the functions that code calls, by name; the methods of `ctx` by dotted names."""

    def peek(n: int = 2000) -> str:
        """Return the first `n` characters."""
        return api.slice(0, max(n, 0))

    def tail(n: int = 2000) -> str:
        """Return the last `n` characters."""
        return api.slice(max(api.len_chars - max(n, 0), 0), None)

    def find(pattern: str, regex: bool = False, ignore_case: bool = False, max_results: int = 100) -> list[Any]:
        """Return tuples (start, end, text, doc, line) of the matches, with global offsets."""
        return api.find(pattern, regex, ignore_case, max_results)

    def after(marker: str, max_len: int = 128) -> str | None:
        """Return what follows `marker` on its line, at most `max_len` characters; None where it isn't there."""
        return extract_after(api, marker, max_len)

    after.__name__ = "extract_after"
    return {
        "peek": peek,
        "tail": tail,
        "lenP": lambda: api.len_chars,
        "extract_after": after,
        "pick_first_answer": pick_first_answer,
        "ctx.find": find,
        "ctx.slice": api.slice,
        "ctx.chunk": api.chunk,
        "ctx.chunk_documents": api.chunk_documents,
        "ctx.get_document": api.get_document,
        "ctx.document_lengths": api.document_lengths,
        "ctx.num_documents": lambda: api.num_documents,
        "ctx.len_chars": lambda: api.len_chars,
    }


def error_named(name: str, message: str) -> Exception:
    """Return the builtin exception of that name; where there is none, a subclass of RuntimeError that has the name."""
    kind = ERROR_KINDS.get(name) or getattr(builtins, name, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)) or issubclass(kind, (UnicodeError, ExceptionGroup)):
        kind = type(name, (RuntimeError,), {"__module__": "builtins"})
    error: Exception = kind(message)
    return error


def cut_middle(text: str, limit: int, note: str = "") -> str:
    """Return `text` by head and tail with its full size said in between, where it is longer than `limit` characters.

    Args:
        text: Any text.
        limit: Characters of the result.
        note: What else is said where it was cut, such as where the whole is.
    """
    if len(text) <= limit:
        return text
    between = f"\n[… cut: {len(text):,} characters in all{note} …]\n"
    room = max(limit - len(between), 0)
    tail = room // 3
    return text[: room - tail] + between + (text[-tail:] if tail else "")


def extract_after(api: TextAPI, marker: str, max_len: int = 128) -> str | None:
    """Return what follows the first `marker`: to the end of the line that it begins on, without spaces around it.

    At most `max_len` characters are read; where the marker ends its line, the answer is taken from the next one with
    text. None where the marker isn't there.
    """
    found = api.find(marker, max_results=1)
    if not found:
        return None
    following = api.slice(found[0][1], found[0][1] + max(max_len, 0)).strip()
    return following.splitlines()[0].strip() if following else ""


def pick_first_answer(answers: list[str]) -> str | None:
    """Return the first of `answers` that is neither an abstention nor a failed sub-call; None where there is none."""
    for answer in answers:
        if isinstance(answer, str) and answer.strip():
            text = answer.strip()
            if text.rstrip(".") != ABSTENTION and not text.startswith(FAILED):
                return answer
    return None
