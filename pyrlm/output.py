"""Schemas of answers: what an answer has to be, shown to the model, checked, and made into a typed object."""

from __future__ import annotations

import json
import re
import reprlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyrlm.errors import ConfigurationError
from pyrlm.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

__all__ = ["Checked", "OutputSchema", "Problem", "bounded_schema", "json_in", "problem_of", "shown_input"]

Problem = tuple[str, str]
"""Where an answer does not fit, such as ``items[2].price`` (empty for all of it), and why."""

_MAX_PROBLEMS = 10
_MAX_MESSAGE = 200
_MAX_SHOWN = 3_000
_MAX_INPUT = 60
_CHECKERS = ("pydantic", "pyrlm", "jsonschema", "dataclasses")
_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of checking an answer: the typed value and its JSON, or why it does not fit.

    Attributes:
        value: The typed value; None where it does not fit.
        text: Its JSON; empty where it does not fit.
        problems: Path and message of each error, at most ten; empty where it fits.
    """

    value: Any = None
    text: str = ""
    problems: tuple[Problem, ...] = ()

    def told(self) -> str:
        """Return the errors as lines for a model."""
        return "\n".join(f"- {path}: {why}" if path else f"- {why}" for path, why in self.problems)


class OutputSchema(ABC):
    """What an answer has to be; made by `of`. Its subclasses check; this class tells texts and values apart.

    Attributes:
        json_schema: As a JSON Schema.
    """

    json_schema: dict[str, Any]

    @staticmethod
    def of(schema: Any) -> OutputSchema:
        """Make a schema of a pydantic model, of any type that pydantic's TypeAdapter takes, or of a JSON Schema dict.

        Raises:
            ConfigurationError: It is none of these.
        """
        if isinstance(schema, OutputSchema):
            return schema
        if isinstance(schema, dict):
            from pyrlm.output_json import JsonSchema  # noqa: PLC0415 - jsonschema takes 60 ms to import

            return JsonSchema(schema)
        from pyrlm.output_typed import TypedSchema  # noqa: PLC0415 - pydantic takes 100 ms to import

        return TypedSchema(schema)

    def check_value(self, value: Any) -> Checked:
        """Check an answer as a REPL held it; a string that does not fit as it is may hold JSON that does."""
        checked = self._check(value)
        if checked.problems and isinstance(value, str):
            return self._by_json(value, checked)
        return checked

    def check_text(self, text: str) -> Checked:
        """Check an answer given as text: as JSON, in a fence or not, else as the string that it is."""
        as_json = self._by_json(text, None)
        if not as_json.problems:
            return as_json
        as_string = self._check(text.strip())
        return as_json if as_string.problems else as_string

    def _by_json(self, text: str, otherwise: Checked | None) -> Checked:
        found = json_in(text)
        if found is None:
            why = "expected JSON alone, and found none" if "{" not in text and "[" not in text else "no valid JSON"
            return otherwise or Checked(problems=(("", f"{why}: {_cut(text)!r}"),))
        return self._check_json(found)

    @abstractmethod
    def _check(self, value: Any) -> Checked:
        """Check a value."""

    @abstractmethod
    def _check_json(self, text: str) -> Checked:
        """Check a text that is valid JSON."""

    def whole(self) -> str:
        """Return the schema for a prompt, whatever its size."""
        return json.dumps(self.json_schema, ensure_ascii=False, separators=(",", ":"), default=str)

    def shown(self) -> str:
        """Return the schema for a prompt, of bounded size."""
        return bounded_schema(self.json_schema)


def limited(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return at most ten problems of bounded length, with a word on what was left out."""
    result: list[Problem] = []
    for path, why in problems:
        if len(result) == _MAX_PROBLEMS:
            result.append(("", "and more errors"))
            break
        result.append((path[:_MAX_MESSAGE], _cut(why)))
    return tuple(result)


def path_of(steps: Iterable[Any]) -> str:
    """Return a path such as ``items[2].price``."""
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path


def problem_of(error: Exception) -> Problem:
    """Return what a check says that raised `error`, and whose code did: a validator of the application's own may do so."""
    where = _raised_by(error.__traceback__)
    return "", redact(f"{type(error).__name__}: {error}{f' (raised by {where})' if where else ''}")


def _raised_by(tb: TracebackType | None) -> str:
    while tb is not None:
        frame = tb.tb_frame
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in _CHECKERS:
            return frame.f_code.co_qualname
        tb = tb.tb_next
    return ""


class _Shown(reprlib.Repr):
    def repr_int(self, value: int, level: int) -> str:
        return (
            super().repr_int(value, level) if value.bit_length() <= 4 * _MAX_INPUT else f"{value.bit_length():,} bits"
        )


def shown_input(value: Any) -> str:
    """Return a repr of bounded size of what did not fit, whatever the size of that."""
    return _shown.repr(value)[:_MAX_INPUT]


_shown = _Shown()
_shown.maxstring = _shown.maxother = _MAX_INPUT


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + "…"


def json_in(text: str) -> str | None:
    """Return the JSON that a reply holds: the whole of it, that of a fence, or the one value within prose; else None."""
    for candidate in _candidates(text):
        try:
            json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        return candidate
    return None


def _candidates(text: str) -> Iterator[str]:
    stripped = text.strip()
    yield stripped
    yield from (found[1].strip() for found in _FENCE.finditer(text))
    for opening, closing in (("{", "}"), ("[", "]")):
        start, end = stripped.find(opening), stripped.rfind(closing)
        if 0 <= start < end:
            yield stripped[start : end + 1]


def bounded_schema(schema: dict[str, Any], limit: int = _MAX_SHOWN) -> str:
    """Return a JSON Schema in `limit` characters: whole, without titles and descriptions, or cut with a word on it."""
    for shown in (
        schema,
        _without(schema, {"title"}),
        _without(schema, {"title", "description", "examples", "default"}),
    ):
        text = json.dumps(shown, ensure_ascii=False, separators=(",", ":"), default=str)
        if len(text) <= limit:
            return text
    return f"{text[:limit]}… [cut here: {len(text):,} characters; errors will name what else does not fit]"


def _without(schema: Any, names: set[str], *, properties: bool = False) -> Any:
    """Leave out keywords; names of properties are none."""
    if isinstance(schema, list):
        return [_without(item, names) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without(item, names, properties=not properties and key in {"properties", "$defs", "definitions"})
        for key, item in schema.items()
        if properties or key not in names or isinstance(item, dict)
    }


def cannot(schema: object, why: str) -> ConfigurationError:
    """Return the error for a schema that can't be used."""
    return ConfigurationError(
        f"output_schema={schema!r:.100}: {why}. Expected a pydantic model, a type such as list[Model] or int, a TypedDict, "
        "a dataclass, or a JSON Schema as a dict."
    )
