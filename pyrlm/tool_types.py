"""Annotations of tools: as they are told to the model, and as pydantic can check them."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import types
import typing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["checkable", "noted", "resolved", "spelled"]

_BOUNDS = (str, int, float)


def resolved(annotation: Any, names: dict[str, Any], local: dict[str, Any], *, extras: bool = True) -> Any:
    """Return an annotation as a type, with or without what `Annotated` says beside it.

    Raises:
        Exception: It can't be resolved: it names what exists for type checkers alone, or is not defined yet.
    """
    one = types.SimpleNamespace(__annotations__={"it": annotation})
    return typing.get_type_hints(one, names, local, include_extras=extras)["it"]


def spelled(annotation: Any, hint: Any) -> str:
    """Return an annotation as it is shown: as it was written, or the type alone where `Annotated` says more of it.

    Args:
        annotation: The annotation, a string where its module has annotations of that kind.
        hint: The same as a type; None where it can't be resolved.
    """
    if hint is not None:
        bare = resolved(hint, {}, {}, extras=False)
        if bare != hint:
            return inspect.formatannotation(bare)
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def noted(hint: Any) -> str:
    """Return what `Annotated` says of a type, in a few words: descriptions, and bounds such as ``ge=1``."""
    return ", ".join(dict.fromkeys(" ".join(note.split()) for note in _notes(hint)))


def _notes(hint: Any) -> Iterator[str]:
    parts = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Annotated:
        for said in hint.__metadata__:
            yield from _said(said)
        parts = parts[:1]
    for part in parts:
        yield from _notes(part)


def _said(said: Any) -> Iterator[str]:
    """Read one piece of metadata: a string, a `Doc`, pydantic's `Field`, a bound of annotated_types."""
    text = said if isinstance(said, str) else getattr(said, "description", None) or getattr(said, "documentation", None)
    if isinstance(text, str) and text.strip():
        yield text
    inner = getattr(said, "metadata", None)
    if isinstance(inner, list):
        for bound in inner:
            yield from _said(bound)
    elif dataclasses.is_dataclass(said) or type(said).__module__.startswith("pydantic"):
        bounds = vars(said) if hasattr(said, "__dict__") else {f: getattr(said, f) for f in _field_names(said)}
        yield from (f"{name}={value!r}" for name, value in bounds.items() if type(value) in _BOUNDS)


def _field_names(said: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(said)] if dataclasses.is_dataclass(said) else []


def checkable(hint: Any) -> Any:
    """Return a type with each `typing.TypedDict` as one of typing_extensions: below Python 3.12 pydantic takes no other.

    Of a TypedDict that contains itself the inner ones are not checked.
    """
    return hint if sys.version_info >= (3, 12) else _converted(hint, ())


def _converted(hint: Any, within: tuple[Any, ...]) -> Any:
    if typing.is_typeddict(hint):
        return typing.Any if hint in within else _typed_dict(hint, (*within, hint))
    args = typing.get_args(hint)
    made = tuple(_converted(arg, within) for arg in args)
    if all(new is old for new, old in zip(made, args, strict=True)):
        return hint
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return typing.Annotated[(made[0], *hint.__metadata__)]
    if origin in {typing.Union, types.UnionType}:
        return functools.reduce(lambda one, other: typing.Union[one, other], made)  # noqa: UP007 - of any forms
    return hint.copy_with(made) if hasattr(hint, "copy_with") else origin[made]


def _typed_dict(hint: Any, within: tuple[Any, ...]) -> Any:
    import typing_extensions as more  # noqa: PLC0415 - pydantic has it, and only such types need it

    make: Any = more.TypedDict
    fields = {}
    for name, kind in typing.get_type_hints(hint, include_extras=True).items():
        said = typing.get_origin(kind)
        given = typing.get_args(kind)[0] if said in {typing.Required, typing.NotRequired} else kind
        needed = (
            said is typing.Required if said in {typing.Required, typing.NotRequired} else name in hint.__required_keys__
        )
        made = _converted(given, within)
        fields[name] = more.Required[made] if needed else more.NotRequired[made]
    typed = make(hint.__name__, fields)
    if hasattr(hint, "__pydantic_config__"):
        typed.__pydantic_config__ = hint.__pydantic_config__
    return typed
