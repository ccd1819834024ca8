"""Schemas that are Python types, checked by pydantic."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import PydanticSerializationError

from pyrlm.output import Checked, OutputSchema, cannot, limited, path_of

__all__ = ["TypedSchema"]

_REFUSED = (PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError, TypeError, NameError)


class TypedSchema(OutputSchema):
    """A pydantic model, or any type that TypeAdapter takes.

    Args:
        schema: The type.

    Raises:
        ConfigurationError: Pydantic can't make a schema of it.
    """

    def __init__(self, schema: Any) -> None:
        if isinstance(schema, str | int | float | list | tuple | None):
            raise cannot(schema, f"a value of type {type(schema).__name__} is no type")
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(schema)
            self.json_schema = self._adapter.json_schema()
        except _REFUSED as error:
            raise cannot(schema, f"pydantic can't use it ({str(error).splitlines()[0][:200]})") from None

    def _check(self, value: Any) -> Checked:
        try:
            return self._typed(self._adapter.validate_python(value))
        except ValidationError as error:
            return _failed(error)

    def _check_json(self, text: str) -> Checked:
        try:
            return self._typed(self._adapter.validate_json(text))
        except ValidationError as error:
            return _failed(error)

    def _typed(self, value: Any) -> Checked:
        try:
            text = self._adapter.dump_json(value).decode("utf-8")
        except (PydanticSerializationError, UnicodeDecodeError):  # bytes that are no UTF-8
            text = str(value)
        return Checked(value=value, text=text)


def _failed(error: ValidationError) -> Checked:
    problems = (
        (path_of(item["loc"]), f"{item['msg']} (got {item['input']!r:.60})")
        for item in error.errors(include_url=False, include_context=False)
    )
    return Checked(problems=limited(problems))
