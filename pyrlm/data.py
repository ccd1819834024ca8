"""Data as a context: dicts, lists of records, models and frames become plain data that a REPL can hold."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import TYPE_CHECKING, Any

from pyrlm.context import Context
from pyrlm.errors import ConfigurationError, WireError
from pyrlm.repl import wire

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DataContext", "is_data", "json_text", "plain", "query_text"]

_FRAMES = frozenset({"pandas", "polars"})
_BASES = (str, int, float, bytes)
_AS_THEY_ARE = frozenset({*_BASES, bool, type(None)})
_MAX_DEPTH = wire.MAX_DEPTH


class DataContext(Context):
    """Data to answer questions over: `context` in the REPL is this value, with its types.

    As a text (for routes of one call, sizes, citations) it is its JSON, in which dates, sets and other types that JSON
    lacks stand as strings and lists.

    Args:
        source: A mapping, a list or set of anything but strings, a dataclass, a pydantic model, a pandas or polars
            frame (a list of records). See `plain`.

    Attributes:
        data: The plain data.

    Raises:
        ConfigurationError: It holds an object that can't be handed to a REPL (the message says where), or is bigger than
            what crosses at once (about 168 MB as JSON, two million lists and dicts).
    """

    data: Any

    def __init__(self, source: Any) -> None:
        try:
            self.data = plain(source)
            payload = wire.dumps(wire.encode(self.data, "context"))
        except (TypeError, RecursionError) as error:
            why = "it is nested too deeply, or contains itself" if isinstance(error, RecursionError) else str(error)
            raise ConfigurationError(
                f"The context can't be handed to the REPL as data: {why}. Leave that part out or convert it; what is too "
                "big can be given as text, Context.from_text(…), or as a list of strings."
            ) from None
        tagged = b'{"$' in payload
        super().__init__((json_text(self.data) if tagged else payload.decode("utf-8", "surrogatepass"),))

    def __repr__(self) -> str:
        return f"<DataContext: {type(self.data).__name__}, {self.len_chars:,} characters as JSON>"


def is_data(source: object) -> bool:
    """Whether `source` is data rather than text: a list or tuple of strings is documents, with bytes or None a mistake."""
    if isinstance(source, str | bytes | bytearray | memoryview | Context):
        return False
    if isinstance(source, Sequence):
        return not all(item is None or isinstance(item, str | bytes) for item in source)
    return isinstance(source, Mapping | AbstractSet) or _converter(source) is not None


def query_text(query: Any) -> str:
    """Return a query as text: a string as it is, a dict or list as JSON.

    Raises:
        ConfigurationError: It is neither, or holds what can't be written as data.
    """
    if isinstance(query, str):
        return query
    if isinstance(query, Mapping | list):
        try:
            value = plain(query)
            wire.encode(value, "query")
        except (TypeError, RecursionError) as error:
            raise ConfigurationError(f"The query can't be written as data: {error}.") from None
        return json_text(value)
    raise ConfigurationError(f"query={query!r:.80}: expected the question, a string, or a dict or list.")


def plain(value: Any, depth: int = 0) -> Any:
    """Return `value` with models and dataclasses as dicts, frames as lists of records, Enums as their values.

    Pandas and polars are recognised by the module of the type; neither is imported. Other objects stay as they are.
    """
    kind = type(value)
    if kind in _AS_THEY_ARE or (
        kind is dict and _AS_THEY_ARE.issuperset({*map(type, value), *map(type, value.values())})
    ):
        return value
    if depth > _MAX_DEPTH:
        raise WireError(f"it is nested deeper than {_MAX_DEPTH} levels, or contains itself")
    convert = _converter(value)
    if convert is not None:
        return plain(convert(), depth + 1)
    if isinstance(value, Mapping):
        return {plain(key, depth + 1): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, Sequence | AbstractSet) and not isinstance(value, _BASES):
        return _collected(value, [plain(item, depth + 1) for item in value])
    return _without_subclass(value)


def _collected(source: Any, items: list[Any]) -> Any:
    """Return `items` in the kind of container that `source` is."""
    if isinstance(source, tuple):
        return tuple(items)
    if not isinstance(source, AbstractSet):
        return items
    try:
        return frozenset(items) if isinstance(source, frozenset) else set(items)
    except TypeError:  # dataclasses that have become dicts
        return items


def _without_subclass(value: Any) -> Any:
    """Return the plain value of a subclass of str, int, float or bytes, whose own type can't cross."""
    for base in _BASES:
        if isinstance(value, base):
            return base(value)  # type: ignore[arg-type]  # each base takes its own instances
    return value


def _converter(value: Any) -> Callable[[], Any] | None:
    """Return what turns an object into plainer data; None for what has no such form."""
    kind = type(value)
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return lambda: {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(kind, "__pydantic_validator__") and hasattr(kind, "model_dump"):
        dump: Callable[[], Any] = value.model_dump
        return dump
    if isinstance(value, Enum):
        return lambda: value.value
    return _of_package(value, kind)


def _of_package(value: Any, kind: type) -> Callable[[], Any] | None:
    package = kind.__module__.partition(".")[0]
    if package == "numpy":
        return getattr(value, "tolist", None)
    return _of_frame(value, kind.__name__) if package in _FRAMES else None


def _of_frame(value: Any, name: str) -> Callable[[], Any] | None:
    if name in {"NaTType", "NAType"}:
        return lambda: None
    if name == "DataFrame":
        return value.to_dicts if hasattr(value, "to_dicts") else lambda: value.to_dict(orient="records")
    if name == "Series":
        return value.to_list  # type: ignore[no-any-return]  # of pandas or polars
    return getattr(value, "to_pydatetime", None) or getattr(value, "to_pytimedelta", None)


def json_text(value: Any) -> str:
    """Return plain data as compact JSON: other keys as their string, sets as lists, other types as their string."""
    return json.dumps(_as_json(value), ensure_ascii=False, separators=(",", ":"))


def _as_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_as_json(item) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
