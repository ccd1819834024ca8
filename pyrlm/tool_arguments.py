"""The signature of a tool: how it is shown to the model, and how the arguments that code gives are checked against it."""

from __future__ import annotations

import functools
import inspect
import typing
from typing import TYPE_CHECKING, Any

from pyrlm.redact import redact
from pyrlm.tool_calls import brief
from pyrlm.tool_types import checkable, noted, resolved, spelled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Arguments"]

_EMPTY = inspect.Parameter.empty
_RESULT = "return"  # no parameter can have this name
_MAX_DEFAULT = 24
"""Longest default that is shown: an API key among the defaults is longer."""
_MAX_ANNOTATION = 80
_MAX_NOTE = 200
_MAX_ERRORS = 3
_SAMPLES: dict[Any, str] = {str: "'…'", int: "1", float: "0.5", bool: "True", list: "[…]", dict: "{…}"}


class Arguments:
    """The parameters of one tool. What `functools.partial` has bound by name is neither shown nor can it be given.

    Args:
        name: What code calls the tool.
        function: The tool.

    Attributes:
        signature: For code: without annotations, and with short, plain defaults only; None where it can't be found out.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._name = name
        self._function = function
        self._given = _given_signature(function)
        self._returned: Any = None
        self._hints: dict[str, Any] = {}
        if self._given is not None:
            self._hints, self._returned = _hints(self._given, function)
        self._adapters: dict[str, Any] | None = None
        self.signature = None if self._given is None else _bare(self._given)

    @property
    def shown(self) -> str:
        """The signature with annotations, for the prompt."""
        if self._given is None:
            return "(…)"
        parts = [
            _parameter(self._default(name), parameter, self._hints.get(name))
            for name, parameter in self._given.parameters.items()
        ]
        returned = self._given.return_annotation
        return f"({', '.join(_with_marks(parts, self._given))})" + (
            f" -> {_annotation(returned, self._returned)}" if returned is not _EMPTY else ""
        )

    @property
    def notes(self) -> str:
        """What annotations say of the parameters beside their types; empty where they say nothing."""
        told = {name: redact(noted(hint)) for name, hint in self._hints.items()}
        return "; ".join(f"{name}: {_cut(note, _MAX_NOTE)}" for name, note in told.items() if note)

    @property
    def example(self) -> str:
        """A call with what has to be given."""
        parameters = [] if self._given is None else list(self._given.parameters.values())
        needed = [p for p in parameters if p.default is _EMPTY and p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}]
        given = [
            sample if p.kind is p.POSITIONAL_ONLY else f"{p.name}={sample}"
            for p in needed
            for sample in [_SAMPLES.get(typing.get_origin(self._hints.get(p.name)) or self._hints.get(p.name), "…")]
        ]
        return f"{self._name}({', '.join(given)})"

    def prepare(self) -> None:
        """Make what the checks need; importing pydantic for it takes a tenth of a second."""
        if self._adapters is None:
            self._adapters = {name: _adapter(hint) for name, hint in self._hints.items()}

    @property
    def prepared(self) -> bool:
        """Whether `prepare` has nothing to do."""
        return self._adapters is not None or not self._hints

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments as the annotations want them: numbers for digits, models for dicts.

        Raises:
            TypeError: One is missing, too many, or of another type.
            ValueError: One has a value that the annotation does not allow.
        """
        if self._given is None:
            return tuple(args), dict(kwargs)
        try:
            bound = self._given.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self._name}{self.shown}: {error}") from None
        for name, value in bound.arguments.items():
            if (self._adapters or {}).get(name) is not None:
                bound.arguments[name] = self._checked(name, value)
        return bound.args, bound.kwargs

    def _checked(self, name: str, value: Any) -> Any:
        assert self._given is not None  # only what has a signature has adapters
        parameter = self._given.parameters[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            return tuple(self._one(name, item) for item in value)
        if parameter.kind is parameter.VAR_KEYWORD:
            return {key: self._one(key, item, of=name) for key, item in value.items()}
        return value if value is parameter.default else self._one(name, value)

    def _one(self, name: str, value: Any, *, of: str | None = None) -> Any:
        from pydantic import ValidationError  # noqa: PLC0415 - slow to import

        assert self._given is not None
        assert self._adapters is not None
        parameter = of or name
        try:
            return self._adapters[parameter].validate_python(value)
        except ValidationError as error:
            problems = error.errors(include_url=False)
        expected = _annotation(self._given.parameters[parameter].annotation, self._hints.get(parameter))
        told = "; ".join(_problem(name, problem) for problem in problems[:_MAX_ERRORS])
        more = f"; and {len(problems) - _MAX_ERRORS} more" if len(problems) > _MAX_ERRORS else ""
        kind = TypeError if all(problem["type"].endswith("_type") for problem in problems) else ValueError
        raise kind(f"{self._name}({name}): expected {expected}; {told}{more}")

    def _default(self, name: str) -> Any:
        assert self.signature is not None
        return self.signature.parameters[name].default


def _problem(name: str, problem: Mapping[str, Any]) -> str:
    place = name + "".join(f"[{part!r}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])
    given = problem["input"]
    return f"{place}: {problem['msg']}, got {brief(given)} ({type(given).__name__})"


def _given_signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some builtins have none
        return None
    bound = function.keywords if isinstance(function, functools.partial) else {}
    return signature.replace(parameters=[p for name, p in signature.parameters.items() if name not in bound])


def _bare(signature: inspect.Signature) -> inspect.Signature:
    parameters = [
        p.replace(annotation=_EMPTY, default=p.default if p.default is _EMPTY else _plain_default(p.default))
        for p in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters, return_annotation=_EMPTY)


class _Something:
    """A default that is not shown."""

    def __repr__(self) -> str:
        return "…"


_SOMETHING = _Something()


def _plain_default(value: Any) -> Any:
    if value is None or type(value) in {bool, int, float}:
        return value
    if type(value) is str and len(value) <= _MAX_DEFAULT and redact(value) == value:
        return value
    return value if type(value) in {tuple, list, dict} and not value else _SOMETHING


def _parameter(default: Any, parameter: inspect.Parameter, hint: Any) -> str:
    star = (
        "*" if parameter.kind is parameter.VAR_POSITIONAL else "**" if parameter.kind is parameter.VAR_KEYWORD else ""
    )
    annotated = "" if parameter.annotation is _EMPTY else f": {_annotation(parameter.annotation, hint)}"
    equals = " = " if annotated else "="
    return f"{star}{parameter.name}{annotated}" + ("" if default is _EMPTY else f"{equals}{default!r}")


def _with_marks(parts: list[str], signature: inspect.Signature) -> list[str]:
    """Put in the star after which parameters go by name."""
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    keyword = inspect.Parameter.KEYWORD_ONLY
    if keyword in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        parts.insert(kinds.index(keyword), "*")
    return parts


def _annotation(annotation: Any, hint: Any) -> str:
    text = redact(" ".join(spelled(annotation, hint).replace("typing.", "").split()))
    return _cut(text, _MAX_ANNOTATION)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def _hints(signature: inspect.Signature, function: Callable[..., Any]) -> tuple[dict[str, Any], Any]:
    """Return the annotations of parameters and that of the result as types.

    Those that can't be resolved are left out, and not checked.
    """
    hints: dict[str, Any] = {}
    origin = _origin(function)
    code, cells = getattr(origin, "__code__", None), getattr(origin, "__closure__", None) or ()
    local = {} if code is None else dict(_filled(code.co_freevars, cells))
    annotations = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    for name, annotation in {**annotations, _RESULT: signature.return_annotation}.items():
        if annotation is _EMPTY:
            continue
        try:
            hints[name] = resolved(annotation, getattr(origin, "__globals__", {}), local)
        except Exception:  # noqa: BLE001, S112 - names that exist for type checkers alone, or are not defined yet
            continue
    return hints, hints.pop(_RESULT, None)


def _filled(names: Sequence[str], cells: Sequence[Any]) -> list[tuple[str, Any]]:
    found = []
    for name, cell in zip(names, cells, strict=False):
        try:
            found.append((name, cell.cell_contents))
        except ValueError:  # not assigned yet
            continue
    return found


def _origin(function: Any) -> Any:
    """Return the function that was defined, below partials, wrappers, methods and callable objects."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type):
        return vars(function).get("__init__", function)
    if not hasattr(function, "__code__") and not hasattr(function, "__func__") and not hasattr(function, "__wrapped__"):
        function = type(function).__call__
    function = inspect.unwrap(function)
    return getattr(function, "__func__", function)


def _adapter(hint: Any) -> Any:
    """Return pydantic's validator for a type; None for what it can't check."""
    from pydantic import ConfigDict, TypeAdapter  # noqa: PLC0415 - slow to import
    from pydantic.errors import PydanticUserError  # noqa: PLC0415

    for config in (None, ConfigDict(arbitrary_types_allowed=True)):
        try:
            return TypeAdapter(checkable(hint), config=config)
        except (PydanticUserError, TypeError, NameError):
            continue
    return None
