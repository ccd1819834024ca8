"""Objects as plain data: models, dataclasses, frames, arrays and the like become what a REPL can hold."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
from collections.abc import Mapping, MappingView, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import TYPE_CHECKING, Any

from pyrlm.errors import WireError
from pyrlm.repl import wire

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["converter", "crossing", "plain"]

_BASES = (str, int, float, bytes)
_AS_THEY_ARE = frozenset({*_BASES, bool, type(None)})
_ARRAYS = frozenset({"numpy", "pandas", "polars"})
_TEXTS = frozenset({"uuid", "ipaddress", "fractions", "zoneinfo", "pydantic", "pydantic_core"})
"""Packages whose objects, other than models, are best told as text: an id, an address, a URL."""


def crossing(value: Any, place: str = "value") -> tuple[Any, Any]:
    """Return `value` as it can cross to a REPL, and its encoded form: what can cross as it is stays of its type.

    Raises:
        WireError: It holds an object that has no such form.
    """
    try:
        return value, wire.encode(value, place)
    except WireError:
        pass
    try:
        made = plain(value)
    except WireError as error:
        raise WireError(f"{place}: {error}") from None
    return made, wire.encode(made, place)


def plain(value: Any, depth: int = 0) -> Any:
    """Return `value` as plain data, as far as it can be.

    Models and dataclasses become dicts, frames and structured arrays lists of records, arrays and series lists, numpy's
    scalars Python's own, Enums their values; paths, UUIDs, URLs and addresses text. The index of a pandas frame or series is
    a column of the records, unless it is an unnamed range; a name that is there twice gets a suffix. Moments with a time zone
    of a library's own get its offset, and those in nanoseconds are cut to microseconds. Nothing is imported for it, and
    other objects stay as they are.

    Raises:
        WireError: It is nested too deeply, contains itself, or has keys that would become one.
    """
    kind = type(value)
    if kind in _AS_THEY_ARE or (
        kind is dict and _AS_THEY_ARE.issuperset({*map(type, value), *map(type, value.values())})
    ):
        return value
    if depth > wire.MAX_DEPTH:
        raise WireError(f"it is nested deeper than {wire.MAX_DEPTH} levels, or contains itself")
    convert = converter(value)
    if convert is not None:
        return plain(convert(), depth + 1)
    if isinstance(value, Mapping):
        return _mapped([(plain(key, depth + 1), plain(item, depth + 1)) for key, item in value.items()])
    if isinstance(value, Sequence | AbstractSet | ValuesView) and not isinstance(value, _BASES):
        return _collected(value, [plain(item, depth + 1) for item in value])
    return _without_subclass(value)


def _mapped(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    for key, _ in pairs:
        if isinstance(key, dict | list | set):
            raise WireError(f"a key would become a {type(key).__name__}, which can't be one")
    made = dict(pairs)
    if len(made) < len(pairs):
        raise WireError("two of its keys would become one")
    return made


def _collected(source: Any, items: list[Any]) -> Any:
    """Return `items` in the kind of container that `source` is; a list where that would lose some, or their order."""
    if isinstance(source, tuple):
        return tuple(items)
    if not isinstance(source, AbstractSet) or isinstance(source, MappingView):
        return items
    try:
        made = frozenset(items) if isinstance(source, frozenset) else set(items)
    except TypeError:  # dataclasses that have become dicts
        return items
    return made if len(made) == len(items) else items


def _without_subclass(value: Any) -> Any:
    """Return the plain value of a subclass of a type that can cross, which itself can't."""
    for base in _BASES:
        if isinstance(value, base):
            return base(value)  # type: ignore[arg-type]  # each base takes its own instances
    if isinstance(value, dt.datetime | dt.time):
        return _moment(value)
    if isinstance(value, dt.date):
        return dt.date(value.year, value.month, value.day)
    return dt.timedelta(value.days, value.seconds, value.microseconds) if isinstance(value, dt.timedelta) else value


def _moment(value: dt.datetime | dt.time) -> dt.datetime | dt.time:
    """Return a date with time, or a time, whose zone can cross: one of a library's own gives way to its offset."""
    zone = value.tzinfo
    if zone is not None and type(zone) is not dt.timezone and not getattr(zone, "key", None):
        offset = value.utcoffset()
        zone = None if offset is None else dt.timezone(offset)
    clock = dt.time(value.hour, value.minute, value.second, value.microsecond, zone, fold=value.fold)
    return (
        clock if isinstance(value, dt.time) else dt.datetime.combine(dt.date(value.year, value.month, value.day), clock)
    )


def converter(value: Any) -> Callable[[], Any] | None:
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
    if isinstance(value, bytearray | memoryview):
        return lambda: bytes(value)
    return _of_package(value, kind.__module__.partition(".")[0])


def _of_package(value: Any, package: str) -> Callable[[], Any] | None:
    if package in _ARRAYS:
        from pyrlm.plain_arrays import converter as of_arrays  # noqa: PLC0415 - only where there are any

        return of_arrays(value, package)
    if package in _TEXTS:
        return lambda: str(value)
    return value.__fspath__ if isinstance(value, os.PathLike) else None
