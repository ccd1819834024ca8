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
from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]  # it has no types
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import specification_with

from pyrlm.data import plain
from pyrlm.output import Checked, OutputSchema, cannot, limited, path_of, problem_of
from pyrlm.patterns import timed_engine
from pyrlm.value_text import NoJsonError, exact_json

__all__ = ["JsonSchema"]

_MAX_REFERENCES = 10_000
_PATTERN_SECONDS = 2.0
_REFERENCES = ("$ref", "$dynamicRef")
"""Those that may point anywhere; `$recursiveRef` points to the whole schema."""


class JsonSchema(OutputSchema):
    """A JSON Schema; the draft is the one that `$schema` names, else 2020-12. Values that fit are JSON types.

    Args:
        schema: The schema.

    Raises:
        ConfigurationError: It is no valid JSON Schema.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self.json_schema = schema
        try:
            json.dumps(schema)
            draft = validators.validator_for(schema, default=validators.validator_for({}))
            draft.check_schema(schema)
            nowhere = _points_nowhere(schema, draft)
        except SchemaError as error:
            place = path_of(error.absolute_path) or "the schema"
            raise cannot(schema, f"it is no valid JSON Schema: {place}: {error.message[:200]}") from None
        except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise cannot(schema, f"it is no valid JSON Schema ({str(error)[:200]})") from None
        if nowhere:
            raise cannot(
                schema,
                f"its reference {nowhere[:100]!r} points to nothing in it; references to other documents are not followed",
            )
        self._draft = draft

    def _check(self, value: Any) -> Checked:
        try:
            text = exact_json(plain(value))
            data = json.loads(text, parse_constant=_no_json)
            problems = self._problems(data)
        except NoJsonError as error:
            problems = limited([(path_of(error.path), str(error))])
        except Exception as error:  # noqa: BLE001 - jsonschema may raise anything for a schema that code has given
            problems = limited([problem_of(error)])
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


def _points_nowhere(schema: dict[str, Any], draft: Any) -> str:
    """Return a reference that can't be resolved, be it in the schema or in what others point to; empty where all can."""
    specification = specification_with(draft.ID_OF(draft.META_SCHEMA))
    root = specification.create_resource(schema)
    waiting = [(root, REGISTRY.resolver_with_root(root))]
    seen: set[int] = set()
    while waiting:
        resource, resolver = waiting.pop()
        part = resource.contents
        if not isinstance(part, dict) or id(part) in seen:
            continue
        seen.add(id(part))
        for target in (part[word] for word in _REFERENCES if isinstance(part.get(word), str)):
            try:
                found = resolver.lookup(target)
            except (Unresolvable, ValueError):
                return str(target)
            waiting.append((specification.create_resource(found.contents), found.resolver))
        waiting += [(below, resolver.in_subresource(below)) for below in resource.subresources()]
    return ""


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
        name: reference(draft.VALIDATORS[name]) for name in (*_REFERENCES, "$recursiveRef") if name in draft.VALIDATORS
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
