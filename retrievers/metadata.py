"""Metadata of documents: which fields it has, of which types, and what a filter says about it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.dates import parse_date
from pyrlm.retrievers.filters import INTEGER_LIMIT, And, Exists, FieldType, Node, Not, Or, Prefix, Range, Terms

__all__ = ["Value", "evaluate", "field_values", "jsonable", "value_type"]

Value = str | int | float | bool | date
MAX_DEPTH = 20


def value_type(value: object) -> FieldType | None:
    """The type of field that `value` makes; None where metadata can't hold it."""
    if isinstance(value, str):
        return "keyword"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "number" if -INTEGER_LIMIT <= value < INTEGER_LIMIT else None
    if isinstance(value, float):
        return "number" if math.isfinite(value) else None
    return "date" if isinstance(value, date) else None


def field_values(metadata: Mapping[str, Any]) -> dict[str, list[Value]]:
    """List the values of each field: nested mappings become ``outer.inner``, lists several values; None is no value.

    Raises:
        RetrieverError: A value is of a type that metadata can't hold, or a name is no string; says which.
    """
    fields: dict[str, list[Value]] = {}
    _collect(metadata, "", 0, fields)
    return fields


def _collect(value: Any, name: str, depth: int, fields: dict[str, list[Value]]) -> None:
    if value_type(value) is not None:
        fields.setdefault(name, []).append(value)
    elif depth > MAX_DEPTH:
        raise RetrieverError(f"metadata field {name[:100]!r} is nested deeper than {MAX_DEPTH} levels")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str) or not key:
                raise RetrieverError(f"names of metadata fields are strings, got {key!r}")
            _collect(inner, f"{name}.{key}" if name else key, depth + 1, fields)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            _collect(inner, name, depth + 1, fields)
    elif value is not None:
        raise RetrieverError(f"metadata field {name!r} holds {_named(value)}, which can't be stored or filtered")


def _named(value: object) -> str:
    return "a number out of range" if isinstance(value, (int, float)) else f"a {type(value).__name__}"


def jsonable(value: Any) -> Any:
    """Metadata as JSON can hold it: dates as ISO 8601 strings, sets and tuples as lists."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Mapping):
        return {key: jsonable(inner) for key, inner in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((jsonable(inner) for inner in value), key=repr)
    if isinstance(value, (list, tuple)):
        return [jsonable(inner) for inner in value]
    return value.isoformat() if isinstance(value, date) else value


def evaluate(node: Node | None, metadata: Mapping[str, Any]) -> bool:
    """Whether a document with this metadata matches: what every retriever's filters must agree with."""
    return node is None or _matches(node, field_values(metadata))


def _matches(node: Node, fields: Mapping[str, list[Value]]) -> bool:  # noqa: PLR0911 - one case a kind of node
    match node:
        case And(nodes):
            return all(_matches(part, fields) for part in nodes)
        case Or(nodes):
            return any(_matches(part, fields) for part in nodes)
        case Not(part):
            return not _matches(part, fields)
        case Exists(field):
            return bool(fields.get(field))
        case Prefix(field, prefix):
            return any(isinstance(value, str) and value.startswith(prefix) for value in fields.get(field, ()))
        case Terms(field, values):
            return any(value in values for value in fields.get(field, ()))
        case Range():
            return any(_within(node, value) for value in fields.get(node.field, ()))


def _within(bounds: Range, value: Value) -> bool:
    placed: Any = value
    if bounds.type == "date" and not isinstance(value, datetime):
        span = parse_date(value)
        if span is None:
            return False
        placed = span[0]
    elif isinstance(value, datetime):
        placed = (parse_date(value) or (value,))[0]
    return not (
        (bounds.gte is not None and placed < bounds.gte)
        or (bounds.gt is not None and placed <= bounds.gt)
        or (bounds.lte is not None and placed > bounds.lte)
        or (bounds.lt is not None and placed >= bounds.lt)
    )
