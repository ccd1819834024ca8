"""Filters as queries of Elasticsearch. They are checked before: what comes here fits the mapping."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.dates import LAST
from pyrlm.retrievers.filters import INTEGER_LIMIT, And, Exists, Node, Not, Or, Prefix, Range, Terms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrlm.retrievers.es_layout import Field, Layout

__all__ = ["MAX_KEYWORD_CHARS", "compile_filter"]

MAX_KEYWORD_CHARS: Final = 8_191
"""Of a string that can be filtered: four bytes each at most, and a term of the index has at most 32,766."""

EXACT: Final = 2**53
"""From here on floating-point numbers can't tell integers apart."""

_MILLISECOND: Final = timedelta(milliseconds=1)


def compile_filter(node: Node, layout: Layout) -> dict[str, Any]:
    """The documents that match `node`, as a query for filter context."""
    match node:
        case And(nodes):
            return {"bool": {"filter": [compile_filter(part, layout) for part in nodes]}}
        case Or(nodes):
            return _any([compile_filter(part, layout) for part in nodes])
        case Not(part):
            return {"bool": {"must_not": [compile_filter(part, layout)]}}
        case _:
            field = layout.fields[node.field]
            query = _leaf(node, field)
            return {"nested": {"path": field.nested, "query": query}} if field.nested else query


def _any(queries: list[dict[str, Any]]) -> dict[str, Any]:
    if len(queries) < 2:  # noqa: PLR2004
        return queries[0] if queries else {"match_none": {}}
    return {"bool": {"should": queries, "minimum_should_match": 1}}


def _leaf(node: Terms | Prefix | Exists | Range, field: Field) -> dict[str, Any]:
    match node:
        case Terms(name, values):
            if field.limit and any(isinstance(value, str) and len(value) > field.limit for value in values):
                raise RetrieverError(f"field {name!r}: strings of more than {field.limit} characters can't be filtered")
            return _terms(field, values)
        case Prefix(name, prefix):
            if field.limit and len(prefix) > field.limit:
                raise RetrieverError(f"field {name!r}: a prefix has at most {field.limit} characters")
            return {"prefix": {field.path: {"value": prefix}}}
        case Exists():
            found: list[dict[str, Any]] = [{"exists": {"field": field.path}}]
            if field.limit:  # a value that is too long for the index is there nevertheless
                found.append({"term": {"_ignored": field.path}})
            return _any(found)
        case Range(type="date"):
            return {"range": {field.path: {**_moments(node), "format": "strict_date_optional_time"}}}
        case Range():
            return _range(field, node)


def _terms(field: Field, values: tuple[Any, ...]) -> dict[str, Any]:
    if field.whole is None:
        return {"terms": {field.path: list(values)}}
    whole = [int(value) for value in values if int(value) == value and -INTEGER_LIMIT <= int(value) < INTEGER_LIMIT]
    other = [value for value in values if int(value) != value or not -INTEGER_LIMIT <= int(value) < INTEGER_LIMIT]
    pairs = ((field.whole, whole), (field.path, other))
    return _any([{"terms": {path: some}} for path, some in pairs if some])


def _moments(node: Range) -> dict[str, str]:
    """Bounds at the resolution of the index: whole milliseconds, outwards."""
    bounds = {}
    if isinstance(node.gte, datetime):
        bounds["gte"] = _iso(node.gte - timedelta(microseconds=node.gte.microsecond % 1000))
    if isinstance(node.lt, datetime) and node.lt < LAST:
        rest = node.lt.microsecond % 1000
        bounds["lt"] = _iso(node.lt - timedelta(microseconds=rest) + (_MILLISECOND if rest else timedelta()))
    return bounds


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _range(field: Field, node: Range) -> dict[str, Any]:
    named = (("gte", node.gte), ("gt", node.gt), ("lte", node.lte), ("lt", node.lt))
    bounds: dict[str, Any] = {name: value for name, value in named if value is not None}
    if field.whole is None or all(abs(value) < EXACT for value in bounds.values()):
        return {"range": {field.path: bounds}}
    # Big integers are compared as integers; all others, and what no integer of the index can hold, as they are.
    pieces = (
        (field.path, {"gt": -EXACT, "lt": EXACT}),
        (field.whole, {"gte": EXACT, "lte": INTEGER_LIMIT - 1}),
        (field.whole, {"gte": -INTEGER_LIMIT, "lte": -EXACT}),
        (field.path, {"gte": INTEGER_LIMIT}),
        (field.path, {"lt": -INTEGER_LIMIT}),
    )
    common = [(path, _common(bounds, piece)) for path, piece in pieces]
    return _any([{"range": {path: both}} for path, both in common if both is not None])


def _common(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any] | None:
    """Bounds of the values that lie within both; None where there can be none."""
    lower = [(bounds[name], name == "gt") for bounds in (first, second) for name in ("gte", "gt") if name in bounds]
    upper = [(bounds[name], name == "lte") for bounds in (first, second) for name in ("lte", "lt") if name in bounds]
    both: dict[str, Any] = {}
    if lower:
        low, strict = max(lower)
        both["gt" if strict else "gte"] = _written(low)
    if upper:
        high, inclusive = min(upper)
        both["lte" if inclusive else "lt"] = _written(high)
    if lower and upper and (low > high or (low == high and (strict or not inclusive))):
        return None
    return both


def _written(value: float) -> float:
    """A bound as JSON should have it: big integers with all of their digits, not as 1e18."""
    return int(value) if EXACT <= abs(value) <= INTEGER_LIMIT else value
