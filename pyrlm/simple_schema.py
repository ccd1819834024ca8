"""Schemas as model-written code gives them: a JSON Schema dict, or a simple form such as ``{"name": "str"}``."""

from __future__ import annotations

import ast
import json
from typing import Any

__all__ = ["as_json_schema"]

_NAMES: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "string": {"type": "string"},
    "int": {"type": "integer"},
    "integer": {"type": "integer"},
    "float": {"type": "number"},
    "number": {"type": "number"},
    "bool": {"type": "boolean"},
    "boolean": {"type": "boolean"},
    "None": {"type": "null"},
    "null": {"type": "null"},
    "any": {},
    "Any": {},
    "object": {"type": "object"},
    "dict": {"type": "object"},
    "list": {"type": "array"},
    "array": {"type": "array"},
    "date": {"type": "string", "description": "a date, YYYY-MM-DD", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
}
_LISTS = frozenset({"list", "List", "array", "set", "tuple", "Sequence"})
_JSON_TYPES = frozenset({"string", "integer", "number", "boolean", "null", "object", "array"})
_SIGNS = {"properties": dict, "$ref": str, "$schema": str, "$defs": dict, "anyOf": list, "oneOf": list, "allOf": list}
_MAX_CHARS = 10_000
_MAX_FORM = 500
_MAX_DEPTH = 30
_PAIR = 2


def as_json_schema(schema: Any) -> dict[str, Any]:
    """Return a JSON Schema for what code gave as `schema`.

    Simple forms: ``"int"``, ``"list[str]"``, ``"dict[str, float]"``, ``"str | None"``, ``"Literal['a', 'b']"``;
    ``{"name": "str", "items": ["int"]}`` for an object with these fields, all of them needed; ``["str"]`` for a list.

    Raises:
        ValueError: It is none of these; says what is expected.
    """
    made = schema if isinstance(schema, dict) and _is_json_schema(schema) else _form(schema, 0)
    if len(json.dumps(made, default=str)) > _MAX_CHARS:
        raise ValueError(f"schema=: more than {_MAX_CHARS:,} characters; ask for less at once")
    if _uses(made, "patternProperties"):
        raise ValueError("schema=: patternProperties can't be used here; write additionalProperties")
    return made


def _is_json_schema(schema: dict[Any, Any]) -> bool:
    kind = schema.get("type")
    if any(isinstance(schema.get(name), form) for name, form in _SIGNS.items()):
        return True
    if isinstance(schema.get("enum"), list) and (kind is None or kind in _JSON_TYPES):
        return True
    if isinstance(kind, list):
        return all(item in _JSON_TYPES for item in kind)
    # {"type": "string"} is a schema; {"type": "string", "name": "string"} has two fields.
    return kind in _JSON_TYPES and not any(isinstance(v, str) and v in _NAMES for k, v in schema.items() if k != "type")


def _form(form: Any, depth: int) -> dict[str, Any]:
    if depth > _MAX_DEPTH:
        raise _unknown("…")
    if isinstance(form, str):
        return _named(form)
    if isinstance(form, list) and len(form) == 1:
        return {"type": "array", "items": _form(form[0], depth + 1)}
    if isinstance(form, dict) and form and all(isinstance(key, str) for key in form):
        if _is_json_schema(form):
            return form
        fields = {key: _form(item, depth + 1) for key, item in form.items()}
        return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    raise _unknown(form)


def _named(form: str) -> dict[str, Any]:
    if form in _NAMES:
        return dict(_NAMES[form])
    try:
        if len(form) > _MAX_FORM:
            raise _unknown(form)
        return _type(ast.parse(form.strip(), mode="eval").body, form)
    except (SyntaxError, RecursionError, MemoryError):
        raise _unknown(form) from None


def _type(node: ast.expr, form: str) -> dict[str, Any]:
    match node:
        case ast.Name(id=name) if name in _NAMES:
            return dict(_NAMES[name])
        case ast.Constant(value=None):
            return {"type": "null"}
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return {"anyOf": [_type(left, form), _type(right, form)]}
        case ast.Subscript(value=ast.Name(id=name), slice=inner):
            return _of_items(name, inner, form)
    raise _unknown(form)


def _of_items(name: str, inner: ast.expr, form: str) -> dict[str, Any]:
    parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if name == "Literal":
        return {"enum": [_constant(part, form) for part in parts]}
    if name in {"dict", "Dict"} and len(parts) == _PAIR:
        return {"type": "object", "additionalProperties": _type(parts[1], form)}
    if len(parts) == 1 and name == "Optional":
        return {"anyOf": [_type(inner, form), {"type": "null"}]}
    if len(parts) == 1 and name in _LISTS:
        return {"type": "array", "items": _type(inner, form)}
    raise _unknown(form)


def _constant(node: ast.expr, form: str) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | bool | None):
        return node.value
    raise _unknown(form)


def _uses(schema: Any, keyword: str) -> bool:
    if isinstance(schema, dict):
        return keyword in schema or any(_uses(item, keyword) for item in schema.values())
    return isinstance(schema, list) and any(_uses(item, keyword) for item in schema)


def _unknown(form: Any) -> ValueError:
    return ValueError(
        f"schema={form!r:.80}: expected a JSON Schema dict, or a form such as "
        '{"name": "str", "age": "int | None"}, "list[str]", ["int"], "Literal[\'yes\', \'no\']"'
    )
