"""Schemas that are JSON Schema dicts, checked by `jsonschema`, safe against schemas that model-written code gives.

A reference is never fetched, patterns end by a time limit, and references are followed a bounded number of times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jsonschema import ValidationError, validators
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from pyrlm.data import json_text, plain
from pyrlm.output import Checked, OutputSchema, cannot, limited, path_of
from pyrlm.patterns import timed_engine

__all__ = ["JsonSchema"]

_MAX_REFERENCES = 10_000
_PATTERN_SECONDS = 2.0


class JsonSchema(OutputSchema):
    """A JSON Schema; the draft is the one that `$schema` names, else 2020-12. Values that fit are JSON types.

    Args:
        schema: The schema.

    Raises:
        ConfigurationError: It is no valid JSON Schema.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self.json_schema = schema
        draft = validators.validator_for(schema, default=validators.validator_for({}))
        try:
            json.dumps(schema)
            draft.check_schema(schema)
        except SchemaError as error:
            place = path_of(error.absolute_path) or "the schema"
            raise cannot(schema, f"it is no valid JSON Schema: {place}: {error.message[:200]}") from None
        except (TypeError, ValueError, RecursionError) as error:
            raise cannot(schema, f"it is no JSON ({str(error)[:200]})") from None
        self._draft = draft

    def _check(self, value: Any) -> Checked:
        try:
            text = json_text(plain(value))
            data = json.loads(text, parse_constant=_no_json)
            problems = self._problems(data)
        except (TypeError, ValueError, RecursionError) as error:
            return Checked(problems=limited([("", f"{type(error).__name__}: {error}")]))
        return Checked(problems=problems) if problems else Checked(value=data, text=text)

    def _check_json(self, text: str) -> Checked:
        return self._check(json.loads(text))

    def _problems(self, data: Any) -> tuple[tuple[str, str], ...]:
        validator = _guarded(self._draft)(self.json_schema, registry=Registry())
        try:
            return limited((path_of(error.absolute_path), error.message) for error in validator.iter_errors(data))
        except RecursionError:
            return (("", "the schema or the value is nested too deeply to be checked"),)
        except (Unresolvable, _TooManyError, TimeoutError, re.error, ValueError) as error:
            return (("", f"the schema can't be used: {str(error)[:200]}"),)


def _no_json(constant: str) -> Any:
    raise ValueError(f"{constant} is no value of JSON")


class _TooManyError(Exception):
    """References were followed too often."""


Keyword = Callable[[Any, Any, Any, Mapping[str, Any]], Any]


def _guarded(draft: Any) -> Any:
    """Return the validator class of `draft` with bounds, for one check."""
    followed = 0

    def reference(original: Keyword) -> Keyword:
        def follow(validator: Any, target: Any, instance: Any, schema: Mapping[str, Any]) -> Any:
            nonlocal followed
            followed += 1
            if followed > _MAX_REFERENCES:
                raise _TooManyError(f"its references were followed {_MAX_REFERENCES:,} times")
            return original(validator, target, instance, schema)

        return follow

    bounded: dict[str, Any] = {
        name: reference(draft.VALIDATORS[name])
        for name in ("$ref", "$dynamicRef", "$recursiveRef")
        if name in draft.VALIDATORS
    }
    extend: Callable[..., Any] = validators.extend
    return extend(draft, {**bounded, "pattern": _pattern, "patternProperties": _pattern_properties})


def _pattern(validator: Any, pattern: str, instance: Any, _: Mapping[str, Any]) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not _found(pattern, instance):
        yield ValidationError(f"{instance!r:.60} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, _: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        for pattern, below in patterns.items():
            for key, item in instance.items():
                if _found(pattern, key):
                    yield from validator.descend(item, below, path=key, schema_path=pattern)


def _found(pattern: str, text: str) -> bool:
    return next(iter(timed_engine(_PATTERN_SECONDS)(pattern, 0)(text)), None) is not None
