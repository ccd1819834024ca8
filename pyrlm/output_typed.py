"""Schemas that are Python types, checked by pydantic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import PydanticSerializationError

from pyrlm.data import plain
from pyrlm.output import Checked, OutputSchema, cannot, limited, path_of, problem_of, shown_input
from pyrlm.value_text import json_text, longest_number

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TypedSchema"]

_MAX_DIGITS = 200_000
"""Pydantic makes integers of decimal numbers in time that grows with the square of their digits: this many take 0.1 s."""
_WRITTEN_DIGITS = 640
"""Digits that Python reads in JSON, whatever its limit (`sys.set_int_max_str_digits`) is set to."""
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
        return self._fitted(self._adapter.validate_python, value)

    def _check_json(self, text: str) -> Checked:
        return self._fitted(self._adapter.validate_json, text)

    def _fitted(self, validate: Callable[[Any], Any], given: Any) -> Checked:
        digits = longest_number(given)
        if digits > _MAX_DIGITS:
            return Checked(problems=(("", f"a number of {digits:,} digits is too long, {_MAX_DIGITS:,} are the most"),))
        try:
            value = validate(given)
            return Checked(value=value, text=self._json(value, written=digits <= _WRITTEN_DIGITS))
        except ValidationError as error:
            return _failed(error)
        except Exception as error:  # noqa: BLE001 - validators and serializers of the application's own raise anything
            return Checked(problems=limited([problem_of(error)]))

    def _json(self, value: Any, *, written: bool) -> str:
        """Return the JSON of a value that fits; of what JSON can't hold, such as bytes that are no UTF-8, a string."""
        try:
            if written:
                return self._adapter.dump_json(value).decode("utf-8")
            return json_text(self._adapter.dump_python(value, mode="json"))
        except (PydanticSerializationError, UnicodeError):
            return json_text(plain(self._adapter.dump_python(value)))


def _failed(error: ValidationError) -> Checked:
    problems = (
        (path_of(item["loc"]), f"{item['msg']} (got {shown_input(item['input'])})")
        for item in error.errors(include_url=False, include_context=False)
    )
    return Checked(problems=limited(problems))
