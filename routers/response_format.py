"""`response_format` of chat completions for an answer with its quotes, and refusals of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pyrlm.errors import ModelError

__all__ = ["refuses_format", "response_format"]

_REFUSED_WITH = frozenset({400, 404, 422})
_NAMED = re.compile(r"response_format|json_schema|structured output|grammar", re.IGNORECASE)
_OF_THE_SCHEMA = re.compile(r"invalid schema|schema is not|failed to parse grammar|json_schema\.schema", re.IGNORECASE)
_NOT_STRICT = frozenset({"patternProperties", "oneOf", "allOf", "not", "if", "prefixItems", "propertyNames"})
_LEFT_OUT = frozenset({"title", "default", "examples"})
"""Keywords that say nothing of what fits, and that strict schemas may not hold."""


def response_format(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the option for an object of ``found``, ``quotes`` and ``answer``, whose root is an object for any schema.

    Where every object in it names its fields, it is marked as strict, with all fields required, as OpenAI asks for it.
    """
    envelope = _envelope(schema)
    strict = _strict(envelope)
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": strict is not None, "schema": strict or envelope},
    }


def _envelope(schema: dict[str, Any]) -> dict[str, Any]:
    moved = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    answer = {name: item for name, item in schema.items() if name not in {*moved, "$schema", "$id"}}
    envelope = {
        "type": "object",
        "properties": {
            "found": {"type": "boolean"},
            "quotes": {"type": "array", "items": {"type": "string"}},
            "answer": {"anyOf": [_repointed(answer), {"type": "null"}]},
        },
        "required": ["found", "quotes", "answer"],
        "additionalProperties": False,
    }
    return envelope | {name: _repointed(item) for name, item in moved.items()}


def _repointed(part: Any) -> Any:
    """Let references to the whole schema, or into it, point to where it stands now; definitions stay at the root."""
    if isinstance(part, list):
        return [_repointed(item) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        name: _target(item) if name == "$ref" and isinstance(item, str) else _repointed(item)
        for name, item in part.items()
    }


def _target(reference: str) -> str:
    if not reference.startswith("#") or reference.startswith(("#/$defs/", "#/definitions/")):
        return reference
    return f"#/properties/answer/anyOf/0{reference[1:]}"


def _strict(part: Any, *, fields: bool = False) -> Any:
    """Return a schema in the strict form; None where it has none, as for objects with any keys."""
    if isinstance(part, list):
        items = [_strict(item) for item in part]
        return None if any(item is None for item in items) else items
    if not isinstance(part, dict):
        return part
    made: dict[str, Any] = {}
    for name, item in part.items():
        if not fields and name in _LEFT_OUT:
            continue
        plain = not fields and name in {"enum", "const", "required"}
        below = item if plain or item is None else _strict(item, fields=not fields and name in _NAMES_FIELDS)
        if (below is None and item is not None) or (not fields and name in _NOT_STRICT):
            return None
        made[name] = below
    return made if fields or made.get("type") != "object" else _closed(made)


_NAMES_FIELDS = frozenset({"properties", "$defs", "definitions"})


def _closed(made: dict[str, Any]) -> dict[str, Any] | None:
    if not isinstance(made.get("properties"), dict) or made.get("additionalProperties"):
        return None
    return made | {"required": list(made["properties"]), "additionalProperties": False}


def refuses_format(error: ModelError) -> Literal["schema", "option"] | None:
    """Tell whether a provider refuses `response_format`: this schema alone, or the option; None for other errors."""
    if error.status not in _REFUSED_WITH or not _NAMED.search(str(error)):
        return None
    return "schema" if _OF_THE_SCHEMA.search(str(error)) else "option"
