"""Filters on metadata: one small form for every retriever, checked against the fields that the index has.

::

    {"status": "final"}                          equal
    {"status": ["final", "draft"]}               any of these
    {"year": {"gte": 2018, "lt": 2021}}          range: gte, gt, lte, lt
    {"path": {"prefix": "docs/"}}                strings that begin so
    {"author": {"exists": true}}                 has the field (false: hasn't)
    {"status": {"not": ["draft", "void"]}}       the opposite of any condition above
    {"status": "final", "year": 2019}            both
    {"or": [{"year": 2019}, {"year": 2021}]}     also "and" with a list, and "not" with one filter

A field that holds several values matches if one of them does. Date fields take `date`, `datetime` and ISO 8601 strings;
``2019``, ``2019-05`` and ``2019-05-31`` mean the whole year, month or day, and a time without a zone is UTC. What can't
match because of a wrong name or type is an error that lists what there is, never an empty result.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.dates import parse_date

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["And", "Exists", "FieldType", "Node", "Not", "Or", "Prefix", "Range", "Schema", "Terms", "parse_filters"]

FieldType = Literal["keyword", "number", "boolean", "date", "text"]
"""Type of a metadata field. ``text`` is analysed text, as existing clusters have it: only `exists` can ask for it."""

Schema = Mapping[str, FieldType]
"""The metadata fields of an index."""

BOUNDS = ("gte", "gt", "lte", "lt")
OPERATORS = (*BOUNDS, "prefix", "exists", "not")
MAX_DEPTH = 20
MAX_VALUES = 1_000
MAX_FIELDS_LISTED = 40
INTEGER_LIMIT = 1 << 63

_EXAMPLES = {"keyword": '"final"', "number": "2019", "boolean": "true", "date": '"2019-05-31"', "text": "-"}


@dataclass(frozen=True, slots=True)
class Terms:
    """The field equals one of the values (all strings, all numbers or all booleans)."""

    field: str
    values: tuple[str | int | float | bool, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """One value of the field lies within all bounds; on date fields the bounds are aware datetimes in UTC, gte and lt."""

    field: str
    type: FieldType
    gte: str | float | datetime | None = None
    gt: str | float | datetime | None = None
    lte: str | float | datetime | None = None
    lt: str | float | datetime | None = None


@dataclass(frozen=True, slots=True)
class Prefix:
    """One value of the field begins with `prefix`."""

    field: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Exists:
    """The document has the field."""

    field: str


@dataclass(frozen=True, slots=True)
class Not:
    """The document doesn't match `node`."""

    node: Node


@dataclass(frozen=True, slots=True)
class And:
    """The document matches every one of `nodes`."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """The document matches at least one of `nodes`."""

    nodes: tuple[Node, ...]


Node = Terms | Range | Prefix | Exists | Not | And | Or


def parse_filters(filters: object, schema: Schema) -> Node | None:
    """Check `filters` against the fields of an index.

    Returns:
        The conditions; None where there are none (`filters` is None or empty).

    Raises:
        RetrieverError: A field, an operator or a type is wrong; the message lists the right ones.
    """
    if filters is None or filters == {}:
        return None
    return _filter(filters, schema, 0)


def _filter(filters: object, schema: Schema, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise RetrieverError(f"filters are nested deeper than {MAX_DEPTH} levels")
    if not isinstance(filters, Mapping) or not filters:
        raise RetrieverError(
            f'filters must be a dict such as {{"year": {{"gte": 2018}}}}, got {_shown(filters)}; '
            'several alternatives go under "or"'
        )
    nodes: list[Node] = []
    for name, condition in filters.items():
        if name in {"and", "or"}:
            nodes.append(_combined(name, condition, schema, depth))
        elif name == "not":
            nodes.append(Not(_filter(condition, schema, depth + 1)))
        else:
            field = _field(name, schema)
            nodes.append(_condition(field, schema[field], condition, depth))
    return nodes[0] if len(nodes) == 1 else And(tuple(nodes))


def _combined(operator: str, parts: object, schema: Schema, depth: int) -> Node:
    if not isinstance(parts, (list, tuple)) or not 0 < len(parts) <= MAX_VALUES:
        raise RetrieverError(f'"{operator}" takes a list of filters (1 to {MAX_VALUES}), got {_shown(parts)}')
    nodes = tuple(_filter(part, schema, depth + 1) for part in parts)
    return And(nodes) if operator == "and" else Or(nodes)


def _field(name: object, schema: Schema) -> str:
    if isinstance(name, str) and name in schema:
        return name
    fields = sorted(schema)
    listed = ", ".join(f"{field} ({schema[field]})" for field in fields[:MAX_FIELDS_LISTED])
    if len(fields) > MAX_FIELDS_LISTED:
        listed += f", and {len(fields) - MAX_FIELDS_LISTED} more"
    if isinstance(name, str) and name in OPERATORS:
        hint = f' ("{name}" is an operator: it stands inside a field, as in {{"year": {{"{name}": …}}}})'
    else:
        close = difflib.get_close_matches(str(name)[:100], fields, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise RetrieverError(f"no metadata field {_shown(name)}{hint}; fields: {listed or 'none in this index'}")


def _condition(field: str, kind: FieldType, condition: object, depth: int) -> Node:
    if not isinstance(condition, Mapping):
        return _any_of(field, kind, condition)
    for operator in condition:
        if operator not in OPERATORS:
            raise RetrieverError(
                f"no operator {_shown(operator)} (field {field!r}); operators: {', '.join(OPERATORS)}; "
                "a plain value means equal, a list any of its values"
            )
    if not condition or depth > MAX_DEPTH:
        raise RetrieverError(f"field {field!r}: give a value, a list of values or operators ({', '.join(OPERATORS)})")
    nodes: list[Node] = []
    bounds = {operator: value for operator, value in condition.items() if operator in BOUNDS}
    if bounds:
        nodes.append(_range(field, kind, bounds))
    if "prefix" in condition:
        nodes.append(_prefix(field, kind, condition["prefix"]))
    if "exists" in condition:
        nodes.append(_exists(field, condition["exists"]))
    if "not" in condition:
        nodes.append(Not(_condition(field, kind, condition["not"], depth + 1)))
    return nodes[0] if len(nodes) == 1 else And(tuple(nodes))


def _any_of(field: str, kind: FieldType, condition: object) -> Node:
    values = condition if isinstance(condition, (list, tuple, set, frozenset)) else [condition]
    if not 0 < len(values) <= MAX_VALUES:
        raise RetrieverError(f"field {field!r}: a list of 1 to {MAX_VALUES} values is needed, got {len(values)}")
    if kind == "date":
        days = tuple(Range(field, "date", gte=start, lt=end) for start, end in map(_dates(field), values))
        return days[0] if len(days) == 1 else Or(days)
    return Terms(field, tuple(_value(field, kind, value) for value in values))


def _range(field: str, kind: FieldType, bounds: Mapping[str, object]) -> Node:
    for pair in (("gte", "gt"), ("lte", "lt")):
        if all(name in bounds for name in pair):
            raise RetrieverError(f"field {field!r}: give {pair[0]} or {pair[1]}, not both")
    if kind == "boolean":
        raise RetrieverError(f"field {field!r} is boolean and has no ranges; write {{{field!r}: true}}")
    if kind == "date":
        return _date_range(field, bounds)
    return Range(field, kind, **{name: _value(field, kind, value) for name, value in bounds.items()})


def _date_range(field: str, bounds: Mapping[str, object]) -> Node:
    # A year, month or day is an interval: what is greater than it begins behind its end.
    spans = {name: _dates(field)(value) for name, value in bounds.items()}
    lower = spans["gte"][0] if "gte" in spans else spans["gt"][1] if "gt" in spans else None
    upper = spans["lte"][1] if "lte" in spans else spans["lt"][0] if "lt" in spans else None
    return Range(field, "date", gte=lower, lt=upper)


def _prefix(field: str, kind: FieldType, prefix: object) -> Node:
    if kind != "keyword":
        raise RetrieverError(f"field {field!r} is a {kind} field; prefix needs a keyword field")
    if not isinstance(prefix, str) or not prefix:
        raise RetrieverError(f"field {field!r}: prefix takes a string that is not empty, got {_shown(prefix)}")
    return Prefix(field, _encodable(field, prefix))


def _exists(field: str, wanted: object) -> Node:
    if not isinstance(wanted, bool):
        raise RetrieverError(f"field {field!r}: exists takes true or false, got {_shown(wanted)}")
    return Exists(field) if wanted else Not(Exists(field))


def _dates(field: str) -> Callable[[object], tuple[datetime, datetime]]:
    def parse(value: object) -> tuple[datetime, datetime]:
        span = parse_date(value)
        if span is None:
            raise _mismatch(field, "date", value)
        return span

    return parse


def _value(field: str, kind: FieldType, value: Any) -> str | int | float | bool:
    if kind == "text":
        raise RetrieverError(f"field {field!r} holds analysed text: only exists can filter it; search for its words")
    if kind == "boolean" and isinstance(value, bool):
        return value
    if kind == "keyword" and isinstance(value, str):
        return _encodable(field, value)
    if kind == "number" and isinstance(value, (int, float)) and not isinstance(value, bool):
        if isinstance(value, int) and -INTEGER_LIMIT <= value < INTEGER_LIMIT:
            return int(value)
        if isinstance(value, float) and math.isfinite(value):
            return float(value)
        raise RetrieverError(f"field {field!r}: {_shown(value)} is no number that an index can hold")
    raise _mismatch(field, kind, value)


def _encodable(field: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RetrieverError(f"field {field!r}: the value {_shown(text)} holds half a surrogate pair") from None
    return text


def _mismatch(field: str, kind: FieldType, value: object) -> RetrieverError:
    if value is None:
        return RetrieverError(f'field {field!r}: null is no value; for documents without it write {{"exists": false}}')
    return RetrieverError(
        f"field {field!r} is a {kind} field and can't be compared with {_shown(value)} "
        f"({type(value).__name__}); give a value such as {_EXAMPLES[kind]}"
    )


def _shown(value: object) -> str:
    try:
        text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    except Exception:  # noqa: BLE001 - a value whose repr fails, or an integer too long to print
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}…"  # noqa: PLR2004 - one line of a message
