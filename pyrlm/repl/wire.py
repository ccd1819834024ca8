"""The codec of the pipe between host and REPL, and of traces: JSON with tags for what JSON lacks.

Values keep their type and order exactly, or are refused with a `WireError` that names type and place. Nothing is ever
pickled, and no foreign object is asked for its repr. A tagged value is an object with one key that starts with ``$``:

=================  =====================================================================
``$int``           hexadecimal digits, for integers of more than 64 bits
``$float``         ``nan``, ``inf`` or ``-inf``
``$tuple``         items; likewise ``$set`` and ``$frozenset``
``$dict``          pairs, for keys that are no strings or look like a tag
``$bytes``         base64
``$decimal``       digits
``$date``          ISO 8601; likewise ``$time`` and ``$datetime``: ``[iso, fold, zone]``
``$timedelta``     ``[days, seconds, microseconds]``
=================  =====================================================================

A frame is a message of four bytes of length (little endian) and as many bytes of UTF-8 JSON, in which lone surrogates
stand as they are. The worker loads this module too: standard library only.
"""

from __future__ import annotations

import json
import struct
from binascii import a2b_base64, b2a_base64

from pyrlm.errors import WireError

TYPE_CHECKING = False  # `typing` costs the worker 3 ms of its start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["HEADER", "MAX_DEPTH", "MAX_FRAME", "WireError", "decode", "dumps", "encode", "loads", "pack"]

MAX_DEPTH = 100
"""Levels of nesting that cross."""
MAX_FRAME = 160 << 20
"""Bytes of one frame: a text of 50 million Chinese characters crosses."""
HEADER = struct.Struct("<I")

_MAX_BRACKETS = 2_000_000  # each makes an object of some 60-230 bytes on the other side
_MAX_COMMAS = 20_000_000  # each makes an item of 8-32 bytes
_MAX_COLLISIONS = 1_000  # equal hashes make sets and dicts quadratic; honest values have next to none
_SMALL_FRAME = 1 << 20
_MAX_NAME = 100
_INT64 = 1 << 63
_ATOMS = frozenset({str, bool, type(None)})
_CONTAINERS = frozenset({list, dict})

_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode
_from_json = json.JSONDecoder().decode


def encode(value: Any, place: str = "value") -> Any:
    """Return `value` as what JSON can hold, with tags.

    Args:
        value: Anything; Counter, defaultdict and OrderedDict become a dict, a named tuple a tuple.
        place: What a `WireError` calls the value, such as ``"argument 1"``.

    Raises:
        WireError: It holds an object of a type that can't cross, or is nested deeper than `MAX_DEPTH`.
    """
    if type(value) in _ATOMS:
        return value
    return _encode(value, place, 0)


def _encode(value: Any, place: str, depth: int) -> Any:
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is int:
        return value if -_INT64 <= value < _INT64 else {"$int": format(value, "x")}
    if kind is float:
        return value if value - value == 0 else {"$float": str(value)}
    if depth >= MAX_DEPTH:
        raise WireError(f"{place[:80]}…: nested deeper than {MAX_DEPTH} levels, or contains itself")
    if kind is list:
        return _encode_items(value, place, depth)
    if kind is dict:
        return _encode_dict(value, place, depth)
    encoder = _ENCODERS.get(kind) or _rare_encoder(kind)
    if encoder is None:
        raise WireError(f"{place}: object of type {_type_name(kind)} can't cross{_hint(kind)}")
    return encoder(value, place, depth)


def _encode_items(items: Iterable[Any], place: str, depth: int) -> list[Any]:
    items = list(items)
    if _ATOMS.issuperset(map(type, items)):
        return items
    return [_encode(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(items)]


def _encode_dict(value: dict[Any, Any], place: str, depth: int) -> dict[str, Any]:
    if all(type(key) is str for key in value) and not (len(value) == 1 and next(iter(value)).startswith("$")):
        if _ATOMS.issuperset(map(type, value.values())):
            return dict(value)
        return {key: _encode(item, f"{place}[{key[:40]!r}]", depth + 1) for key, item in value.items()}
    return {
        "$dict": [
            [_encode(key, f"key {index} of {place}", depth + 1), _encode(item, f"{place}[…]", depth + 1)]
            for index, (key, item) in enumerate(value.items())
        ]
    }


_ENCODERS: dict[type, Callable[[Any, str, int], Any]] = {
    tuple: lambda v, place, depth: {"$tuple": _encode_items(v, place, depth)},
    set: lambda v, place, depth: {"$set": _encode_items(v, f"item of {place}", depth)},
    frozenset: lambda v, place, depth: {"$frozenset": _encode_items(v, f"item of {place}", depth)},
    bytes: lambda v, _place, _depth: {"$bytes": b2a_base64(v, newline=False).decode("ascii")},
}


def _rare_encoder(kind: type) -> Callable[[Any, str, int], Any] | None:
    """Find the encoder of a type whose module may not have been imported, or of a named tuple."""
    encoder = _RARE_ENCODERS.get(f"{kind.__module__}.{kind.__qualname__}")
    if encoder is None and issubclass(kind, tuple) and "_fields" in kind.__dict__:
        return _ENCODERS[tuple]
    return encoder


_RARE_ENCODERS: dict[str, Callable[[Any, str, int], Any]] = {
    "collections.Counter": _encode_dict,
    "collections.defaultdict": _encode_dict,
    "collections.OrderedDict": _encode_dict,
    "decimal.Decimal": lambda v, _place, _depth: {"$decimal": str(v)},
    "datetime.date": lambda v, _place, _depth: {"$date": v.isoformat()},
    "datetime.time": lambda v, place, _depth: {"$time": _moment(v, place)},
    "datetime.datetime": lambda v, place, _depth: {"$datetime": _moment(v, place)},
    "datetime.timedelta": lambda v, _place, _depth: {"$timedelta": [v.days, v.seconds, v.microseconds]},
}


def _moment(value: Any, place: str) -> list[Any]:
    zone = value.tzinfo
    naive = value.replace(tzinfo=None).isoformat()
    if zone is None:
        return [naive, value.fold, None]
    kind = f"{type(zone).__module__}.{type(zone).__qualname__}"
    if kind == "datetime.timezone":
        offset = zone.utcoffset(None)
        return [naive, value.fold, [offset.days, offset.seconds, offset.microseconds, zone.tzname(None)]]
    if kind == "zoneinfo.ZoneInfo" and zone.key:
        return [naive, value.fold, zone.key]
    raise WireError(f"{place}: time zone of type {kind} can't cross; use datetime.timezone or zoneinfo.ZoneInfo")


def _type_name(kind: type) -> str:
    name = type.__getattribute__(kind, "__qualname__")
    return name[:_MAX_NAME] if type(name) is str else "object"


def _hint(kind: type) -> str:
    """Say what to hand over in the place of an object of type `kind`."""
    if hasattr(kind, "__dataclass_fields__"):
        return "; hand over dataclasses.asdict(x)"
    if issubclass(kind, (str, int, float, bytes)):
        return "; hand over the plain value, such as x.value of an Enum or str(x)"
    return _HINTS.get(_type_name(kind), "; hand over str(x), or a dict or list of plain values")


_LISTED = ("generator", "map", "filter", "zip", "range", "dict_keys", "dict_values", "dict_items", "deque", "enumerate")
_CALLED = ("function", "builtin_function_or_method", "method")
_HINTS = dict.fromkeys(_LISTED, "; hand over list(x)") | dict.fromkeys(_CALLED, "; hand over the value that it returns")
_HINTS |= dict.fromkeys(("type", "GenericAlias"), "; hand over its name as a string, such as 'list[str]'")


def decode(data: Any) -> Any:
    """Return the value that `encode` made `data` of.

    Raises:
        WireError: `data` isn't what `encode` makes.
    """
    if type(data) not in _CONTAINERS:
        return data
    try:
        return _decode(data)
    except WireError:
        raise
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError, OSError) as error:
        raise WireError(f"malformed tagged value ({type(error).__name__})") from None


def _decode(data: Any) -> Any:
    kind = type(data)
    if kind is list:
        if _CONTAINERS.isdisjoint(map(type, data)):
            return data
        return [_decode(item) for item in data]
    if kind is not dict:
        return data
    if len(data) == 1:
        ((tag, body),) = data.items()
        if tag.startswith("$"):
            return _DECODERS[tag](body)
    return {key: _decode(item) for key, item in data.items()}


def _items(body: Any) -> list[Any]:
    if type(body) is not list:
        raise WireError("malformed tagged value (no list)")
    return [_decode(item) for item in body]


def _hashable(items: list[Any]) -> list[Any]:
    """Refuse keys made to have the same hash: a million of them would keep the host busy for hours."""
    if len(items) > _MAX_COLLISIONS and len(items) - len(set(map(hash, items))) > _MAX_COLLISIONS:
        raise WireError("too many keys or set items of one hash")
    return items


def _decode_pairs(body: Any) -> dict[Any, Any]:
    pairs = [(_decode(key), _decode(item)) for key, item in body]
    _hashable([key for key, _ in pairs])
    return dict(pairs)


def _decode_moment(name: str, body: Any) -> Any:
    import datetime as dt  # noqa: PLC0415 - rarely met, and the worker starts faster without

    if name == "date":
        return dt.date.fromisoformat(body)
    if name == "timedelta":
        days, seconds, microseconds = body
        return dt.timedelta(days, seconds, microseconds)
    iso, fold, zone = body
    value = getattr(dt, name).fromisoformat(iso)
    return value.replace(tzinfo=_decode_zone(dt, zone), fold=fold)


def _decode_zone(dt: Any, zone: Any) -> Any:
    if zone is None:
        return None
    if type(zone) is str:
        from zoneinfo import ZoneInfo  # noqa: PLC0415 - reads its data when imported

        return ZoneInfo(zone)
    days, seconds, microseconds, name = zone
    offset = dt.timedelta(days, seconds, microseconds)
    plain = dt.timezone(offset)
    return plain if plain.tzname(None) == name else dt.timezone(offset, name)


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "$int": lambda body: int(body, 16),
    "$float": lambda body: {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}[body],
    "$tuple": lambda body: tuple(_items(body)),
    "$set": lambda body: set(_hashable(_items(body))),
    "$frozenset": lambda body: frozenset(_hashable(_items(body))),
    "$dict": _decode_pairs,
    "$bytes": lambda body: a2b_base64(body.encode("ascii")),
    "$decimal": lambda body: __import__("decimal").Decimal(body),  # late: the worker starts faster
    "$date": lambda body: _decode_moment("date", body),
    "$time": lambda body: _decode_moment("time", body),
    "$datetime": lambda body: _decode_moment("datetime", body),
    "$timedelta": lambda body: _decode_moment("timedelta", body),
}


def dumps(message: Any) -> bytes:
    """Return `message` (made of encoded values) as UTF-8 JSON; raises `WireError` where it is too big for a frame."""
    payload = _to_json(message).encode("utf-8", "surrogatepass")
    _check_size(payload)
    return payload


def loads(payload: bytes | bytearray) -> Any:
    """Return the message in `payload`, its values still encoded; raises `WireError` where it is no such JSON."""
    _check_size(payload)
    try:
        return _from_json(payload.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise WireError(f"malformed frame ({type(error).__name__})") from None


def _check_size(payload: bytes | bytearray) -> None:
    """Keep a few bytes of JSON from becoming gigabytes of objects on the other side."""
    size = len(payload)
    if size < _SMALL_FRAME:
        return
    if size > MAX_FRAME:
        raise WireError(f"{size / 1e6:,.0f} MB at once; at most {MAX_FRAME / 1e6:,.0f} MB cross, hand over parts")
    if payload.count(b"[") + payload.count(b"{") > _MAX_BRACKETS or payload.count(b",") > _MAX_COMMAS:
        raise WireError("too many items at once; hand over parts of a value as big as this")


def pack(message: Any) -> bytes:
    """Return the frame of `message`; raises `WireError` where it is too big."""
    payload = dumps(message)
    return HEADER.pack(len(payload)) + payload
