"""Answers that need no model: a pattern or a marker given by the caller, with offsets as proof."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyrlm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Extraction", "Found", "Plan", "extract"]

_MAX_AFTER = 128
"""Characters that are taken after a marker, as `extract_after` of the REPL takes by default."""

_REGEX_SIGNS = frozenset(r".^$*+?{}[]\|()")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One value with its place.

    Attributes:
        doc: Number of the document.
        start: First character of the value, within the document.
        end: One past its last character.
        text: The value, as it stands there.
    """

    doc: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """What a plan found.

    Attributes:
        found: Every value, in the order of the text.
        complete: False where the number of values or the time was limited.
        reason: Why it is not complete; empty otherwise.
    """

    found: tuple[Found, ...]
    complete: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to answer without a model.

    Attributes:
        pattern: Regular expression (syntax of the `regex` package, a superset of `re`); its first group, where it has
            one, is the value, else the whole match. A compiled `re` pattern keeps its flags.
        marker: Text after which the value stands: up to the end of the line, at most 128 characters.

    Raises:
        ConfigurationError: Both or none are given, one is empty, or the pattern can't be compiled.
    """

    pattern: str | re.Pattern[str] | None = None
    marker: str | None = None

    def __post_init__(self) -> None:
        if (self.pattern is None) == (self.marker is None):
            raise ConfigurationError("SmartRouter: pass either pattern=… or marker=…, not both.")
        given = self.marker if self.pattern is None else self.pattern
        text = given if isinstance(given, str) else getattr(given, "pattern", None)
        if not isinstance(text, str) or not text:
            name = "marker" if self.pattern is None else "pattern"
            raise ConfigurationError(f"SmartRouter: {name}={given!r}: expected a string that is not empty.")
        if self.pattern is not None:
            self.compiled()

    def compiled(self) -> Any:
        """Return the pattern compiled by `regex`; None for text without any sign of a regular expression."""
        if self.pattern is None or (isinstance(self.pattern, str) and not _REGEX_SIGNS & set(self.pattern)):
            return None
        import regex  # noqa: PLC0415 - heavy, and needed for this route alone

        text = self.pattern if isinstance(self.pattern, str) else self.pattern.pattern
        flags = 0 if isinstance(self.pattern, str) else _flags(self.pattern.flags)
        try:
            return regex.compile(text, flags)
        except regex.error as error:
            raise ConfigurationError(
                f"SmartRouter: pattern={text!r} is not a valid regular expression: {error}. "
                "re.escape(text) makes one that finds text as it stands."
            ) from None


def extract(plan: Plan, documents: Sequence[str], *, seconds: float, max_results: int) -> Extraction:
    """Find every value that `plan` describes.

    Args:
        plan: The pattern or the marker.
        documents: The texts.
        seconds: Time for the whole search; a pattern that takes longer (backtracking) ends incomplete.
        max_results: Most values that are returned.
    """
    found: list[Found] = []
    try:
        for value in _values(plan, documents, seconds):
            if len(found) == max_results:
                return Extraction(
                    found=tuple(found), complete=False, reason=f"only the first {max_results:,} are given"
                )
            found.append(value)
    except TimeoutError:
        reason = f"the search took longer than {seconds:g} s"
        return Extraction(found=tuple(found), complete=False, reason=reason)
    return Extraction(found=tuple(found))


def _values(plan: Plan, documents: Sequence[str], seconds: float) -> Iterator[Found]:
    if plan.marker is not None:
        for doc, at in _occurrences(documents, plan.marker):
            value = _after(documents[doc], at + len(plan.marker))
            if value is not None:
                yield Found(doc=doc, start=value[0], end=value[1], text=documents[doc][slice(*value)])
        return
    compiled = plan.compiled()
    if compiled is None:
        for doc, at in _occurrences(documents, str(plan.pattern)):
            end = at + len(str(plan.pattern))
            yield Found(doc=doc, start=at, end=end, text=documents[doc][at:end])
        return
    yield from _matches(compiled, documents, seconds)


def _occurrences(documents: Sequence[str], needle: str) -> Iterator[tuple[int, int]]:
    for doc, text in enumerate(documents):
        at = text.find(needle)
        while at >= 0:
            yield doc, at
            at = text.find(needle, at + len(needle))


def _after(text: str, start: int) -> tuple[int, int] | None:
    """Return where the value after a marker stands: the rest of its line, without white space around it."""
    end = text.find("\n", start, start + _MAX_AFTER)
    stop = min(len(text), start + _MAX_AFTER) if end < 0 else end
    value = text[start:stop]
    first = start + len(value) - len(value.lstrip())
    last = start + len(value.rstrip())
    return (first, last) if first < last else None


def _matches(compiled: Any, documents: Sequence[str], seconds: float) -> Iterator[Found]:
    deadline = time.monotonic() + seconds
    group = 1 if compiled.groups else 0
    for doc, text in enumerate(documents):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        # concurrent=True lets other threads run while a big text is searched
        for match in compiled.finditer(text, timeout=left, concurrent=True):
            start, end = match.span(group)
            if end > start:
                yield Found(doc=doc, start=start, end=end, text=text[start:end])


def _flags(flags: int) -> int:
    """Translate the flags of `re` into those of `regex`; their numbers are not all the same."""
    import regex  # noqa: PLC0415 - heavy, and needed for this route alone

    names = ("IGNORECASE", "MULTILINE", "DOTALL", "VERBOSE", "ASCII")
    return sum(int(getattr(regex, name)) for name in names if flags & getattr(re, name))
