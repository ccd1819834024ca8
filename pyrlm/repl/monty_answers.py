"""Plain data out of the sandbox, the answer that code gives, and what is said of code that was not run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrlm.errors import WireError
from pyrlm.repl.drive import Answer
from pyrlm.repl.monty_rewrite import UnsupportedError
from pyrlm.repl.monty_serve import FINISHED
from pyrlm.repl.monty_surrogates import outward
from pyrlm.repl.protocol import Execution, Final
from pyrlm.repl.wire import decode, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["finish", "plain", "refused"]


def plain(value: Any, place: str) -> Any:
    """Return a value of the sandbox as plain data. Raises WireError where it is none."""
    return outward(decode(encode(value, place)))


def finish(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Answer, Final | None]:
    """Take what `FINAL` or `FINAL_VAR` was called with; an error leaves the code running."""
    names = ("value", "quotes") if name == "FINAL" else ("name", "value")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    if "value" not in given or len(args) > len(names):
        return _wrong(f"{name} takes a value and, as quotes=[…], passages of the text"), None
    quotes = given.get("quotes") or ()
    quotes = [quotes] if isinstance(quotes, str) else quotes
    if not isinstance(quotes, (list, tuple)) or not all(isinstance(quote, str) for quote in quotes):
        return _wrong("FINAL: quotes must be strings, word for word as they stand in the text"), None
    try:
        value, passages = plain(given["value"], "the answer"), tuple(plain(quote, "a quote") for quote in quotes)
    except WireError as error:
        return _wrong(str(error)), None
    return FINISHED, Final(value=value, quotes=passages, name=str(given["name"]) if name == "FINAL_VAR" else None)


def _wrong(message: str) -> Answer:
    return Answer(error_type="TypeError", error=message)


def refused(code: str, error: BaseException) -> Execution:
    """Describe code that was not run at all."""
    line = error.lineno if isinstance(error, SyntaxError) else getattr(error, "line", None)
    lines = code.splitlines()
    where = ""
    if isinstance(line, int) and 1 <= line <= len(lines):
        where = f"Traceback (most recent call last):\n  line {line}: {lines[line - 1].strip()[:200]}\n"
    kind = "NotImplementedError" if isinstance(error, UnsupportedError) else type(error).__name__
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    if isinstance(error, (RecursionError, MemoryError)):
        message = "the code is nested too deeply"
    return Execution(error=f"{where}{kind}: {message}", error_type=kind)
