"""Frames and arrays of numpy, pandas and polars as plain data; they are known by their names, and none is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["converter"]

_FINE = ("ns]", "ps]", "fs]", "as]")
"""Ends of the numpy types of moments that are finer than Python's, which their `tolist` gives as integers."""


def converter(value: Any, package: str) -> Callable[[], Any] | None:
    """Return what turns an object of one of these packages into plainer data; None for what has no such form."""
    if package == "numpy":
        return _of_numpy(value)
    return _of_polars(value) if package == "polars" else _of_pandas(value)


def _of_polars(value: Any) -> Callable[[], Any] | None:
    return getattr(value, "to_dicts", None) or getattr(value, "to_list", None)


def _of_pandas(value: Any) -> Callable[[], Any] | None:
    known = _PANDAS.get(type(value).__name__)
    return getattr(value, "tolist", None) if known is None else lambda: known(value)


def _of_numpy(value: Any) -> Callable[[], Any] | None:
    kind = getattr(value, "dtype", None)
    if kind is None or not hasattr(value, "tolist"):
        return None
    if kind.names is not None:
        if not getattr(value, "shape", ()):
            return lambda: {name: value[name] for name in kind.names}
        return lambda: list(value)
    if kind.kind in "mM" and kind.str.endswith(_FINE):
        return lambda: value.astype(f"{kind.kind}8[us]").tolist()
    if kind.char == "g":
        return lambda: value.astype("float64").tolist()  # of long doubles `tolist` gives long doubles
    tolist: Callable[[], Any] = value.tolist
    return tolist


def _of_series(series: Any) -> Any:
    index = _index(series.index)
    if not index:
        return series.tolist()
    name = "value" if series.name is None else series.name
    return _rows([(name, series.tolist())], index, len(series))


def _records(frame: Any) -> list[dict[Any, Any]]:
    columns = [(name, frame.iloc[:, number].tolist()) for number, name in enumerate(frame.columns)]
    return _rows(columns, _index(frame.index), len(frame))


def _index(index: Any) -> list[tuple[Any, list[Any]]]:
    """Return the levels of an index as columns; none of one that only counts the rows."""
    if type(index).__name__ == "RangeIndex" and index.name is None:
        return []
    several = len(index.names) > 1
    names = [
        (f"level_{level}" if several else "index") if name is None else name for level, name in enumerate(index.names)
    ]
    return [(name, index.get_level_values(level).tolist()) for level, name in enumerate(names)]


def _rows(
    columns: list[tuple[Any, list[Any]]], index: list[tuple[Any, list[Any]]], length: int
) -> list[dict[Any, Any]]:
    """Return records, the index first; the frame's own columns keep their names where one is there twice."""
    names = _distinct([name for name, _ in [*columns, *index]])
    names = [*names[len(columns) :], *names[: len(columns)]]
    values = [values for _, values in [*index, *columns]]
    rows: Iterable[tuple[Any, ...]] = zip(*values, strict=True) if values else ((),) * length
    return [dict(zip(names, row, strict=True)) for row in rows]


def _distinct(names: list[Any]) -> list[Any]:
    taken = set(names)
    made: dict[Any, None] = {}
    for name in names:
        free, number = name, 2
        while free in made or (free is not name and free in taken):
            free, number = f"{name}_{number}", number + 1
        made[free] = None
    return list(made)


_PANDAS: dict[str, Callable[[Any], Any]] = {
    "DataFrame": _records,
    "Series": _of_series,
    "NaTType": lambda _: None,
    "NAType": lambda _: None,
    "Interval": str,
    "Period": str,
    "Timestamp": lambda value: value.to_pydatetime(warn=False),  # of nanoseconds, which are cut off
    "Timedelta": lambda value: value.to_pytimedelta(),
}
