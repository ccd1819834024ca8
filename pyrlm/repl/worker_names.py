"""The names that code finds: builtins, modules, the text, host functions, its answer. Standard library only.

Refusals here are for honest code: they say what to do instead. What hostile code can't do, `isolation` sees to.
"""

from __future__ import annotations

import builtins
import collections
import itertools
import json
import math
import re
import sys

from pyrlm.repl.common import ERROR_KINDS, ERRORS, HANDED_ON, SUB_AGENTS, error_named
from pyrlm.repl.wire import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrlm.repl.worker_channel import Channel

__all__ = ["GIVEN_MODULES", "guarded_builtins", "host_functions", "names_of", "seed_random"]

_MODULES = frozenset(
    """\
    __future__ __main__ _strptime abc array ast asyncio base64 binascii bisect builtins calendar cmath codecs collections
    colorsys configparser contextlib contextvars copy copyreg csv dataclasses datetime decimal difflib email enum errno
    fnmatch fractions functools graphlib hashlib heapq hmac html inspect io ipaddress itertools json keyword linecache locale
    logging math mimetypes numbers operator plistlib pprint queue quopri random re reprlib secrets shlex statistics string
    stringprep struct textwrap threading time timeit token tokenize tomllib traceback types typing unicodedata uuid
    warnings weakref zlib zoneinfo
    """.split()  # noqa: SIM905 - a list of names reads better than a column of literals
)
_PARTS = {"concurrent": {"futures"}, "urllib": {"parse"}, "xml": {"etree"}}
"""Packages of which only some modules can be imported."""
_SHOWN = "re, json, math, collections, itertools, functools, datetime, statistics, random, string, textwrap, csv, io, …"

_SYS_NAMES = (
    *(
        "maxsize",
        "maxunicode",
        "version",
        "version_info",
        "float_info",
        "int_info",
        "hash_info",
        "byteorder",
        "platform",
    ),
    *(
        "implementation",
        "getsizeof",
        "getrefcount",
        "getrecursionlimit",
        "setrecursionlimit",
        "intern",
        "exc_info",
        "exit",
    ),
    *("get_int_max_str_digits", "set_int_max_str_digits", "exception", "float_repr_style"),
)


class _Sys(type(sys)):  # type: ignore[misc]  # the type of modules
    """What code gets as `sys`: its facts, and the streams."""

    def __init__(self) -> None:
        super().__init__("sys", "A part of sys: there are no files, arguments or modules here.")
        for name in _SYS_NAMES:
            setattr(self, name, getattr(sys, name, None))
        self.argv = [""]

    @property
    def stdout(self) -> Any:
        return sys.stdout

    @stdout.setter
    def stdout(self, stream: Any) -> None:
        sys.stdout = stream

    @property
    def stderr(self) -> Any:
        return sys.stderr

    @stderr.setter
    def stderr(self, stream: Any) -> None:
        sys.stderr = stream


class Namespace:
    """An object whose attributes are functions, such as `ctx`; it can't be changed.

    Args:
        name: What code calls it.
        members: Its functions by name.
    """

    def __init__(self, name: str, members: dict[str, Any]) -> None:
        self.__dict__.update(members)
        self.__dict__["__name__"] = name

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{self.__dict__['__name__']} can't be changed; keep values in variables of your own")

    __delattr__ = __setattr__  # type: ignore[assignment]  # with one argument less, and as final

    def __repr__(self) -> str:
        members = [name for name in self.__dict__ if not name.startswith("_")]
        return f"<{self.__dict__['__name__']}: {', '.join(members)}>"


_seeds: list[int] = []


def seed_random(seed: int | None) -> None:
    """Seed `random` when code first imports it; None leaves it as it is."""
    if seed is not None:
        _seeds.append(seed)


def _seeded(module: Any) -> Any:
    if _seeds and "random" in sys.modules:
        sys.modules["random"].seed(_seeds.pop())
    return module


def _import(name: str, globals_: Any = None, locals_: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    package, _, rest = name.partition(".")
    if name == "sys":
        return _SYS
    if package in _PARTS:
        wanted = {rest.partition(".")[0]} if rest else set(fromlist or ())
        if wanted <= _PARTS[package]:
            return builtins.__import__(name, globals_, locals_, fromlist, level)
        name = f"{package}.{min(wanted - _PARTS[package])}"
    elif package in _MODULES and level == 0:
        return _seeded(builtins.__import__(name, globals_, locals_, fromlist, level))
    raise ImportError(
        f"no module {name!r} here: code has no files, network, processes or installed packages. The text is in P and ctx. "
        f"Modules that compute are there: {_SHOWN}",
        name=name,
    )


def _refusal(name: str, instead: str) -> Callable[..., Any]:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(f"{name}() is not available here: {instead}")

    refuse.__name__ = name
    return refuse


def _exit(code: object = None) -> None:
    raise SystemExit(code)


def guarded_builtins(extra: dict[str, Any]) -> dict[str, Any]:
    """Return the builtins for code, with `extra` beside them."""
    guarded = dict(vars(builtins))
    for name in ("__loader__", "__spec__", "copyright", "credits", "license"):
        guarded.pop(name, None)
    guarded["__import__"] = _import
    guarded["open"] = _refusal(
        "open", "there are no files. The text is in P and ctx; io.StringIO(text) reads like a file"
    )
    guarded["input"] = _refusal("input", "nobody is there to answer; llm_query(...) asks a model where there is one")
    guarded["breakpoint"] = _refusal("breakpoint", "print what you want to see")
    guarded["help"] = _refusal("help", "SHOW_VARS() lists variables, dir(x) attributes")
    guarded["exit"] = guarded["quit"] = _exit
    return guarded | extra


def names_of(functions: dict[str, Any]) -> dict[str, Any]:
    """Return what code finds for `functions`: those of dotted names are attributes of objects."""
    plain = {name: function for name, function in functions.items() if "." not in name}
    groups: dict[str, dict[str, Any]] = {}
    for name, function in functions.items():
        owner, dot, member = name.partition(".")
        if dot:
            groups.setdefault(owner, {})[member] = function
    return plain | {owner: Namespace(owner, members) for owner, members in groups.items()}


def host_functions(channel: Channel, signatures: dict[str, str]) -> dict[str, Any]:
    """Return the functions that the host answers, by the name that code uses, and the errors that they raise."""
    errors = {error: ERROR_KINDS[error] for name, error in ERRORS.items() if name in signatures}
    return errors | {name: _host_function(channel, name, signature) for name, signature in signatures.items()}


def _by_name(value: Any) -> Any:
    """Return the names of functions and classes in a list, as the host knows their source; all else as it is."""
    if not isinstance(value, (list, tuple, set, frozenset)):
        value = [value]
    return [_name_of(item) if callable(item) else item for item in value]


def _name_of(item: Any) -> Any:
    """Return the variable that holds a function, the one of its own name where there are several."""
    names = [name for name, value in sys.modules["__main__"].__dict__.items() if value is item]
    own = getattr(item, "__name__", None)
    return own if own in names else (names or [item])[0]


class HostCall:
    """How a function of the host is called: at once, or begun now and answered later."""

    def __init__(self, channel: Channel, name: str) -> None:
        self.channel = channel
        self._name = name

    def sent(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, list[Any], dict[str, Any]]:
        """Return the call for the channel."""
        name = self._name
        if any(isinstance(value, Namespace) for value in (*args, *kwargs.values())):
            raise TypeError(f"{name}(): expected a text, got ctx; hand over P, or a part: ctx.slice(start, end)")
        for passed_on in HANDED_ON.intersection(kwargs) if name in SUB_AGENTS else ():
            if kwargs[passed_on] is not None:
                kwargs[passed_on] = _by_name(kwargs[passed_on])
        sent = [encode(value, f"argument {index} of {name}()") for index, value in enumerate(args, 1)]
        named = {key: encode(value, f"argument {key} of {name}()") for key, value in kwargs.items()}
        return name, sent, named

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any], arrived: Callable[[list[Any]], None]) -> int:
        """Send the call; `arrived` gets the answer. Return its key."""
        return self.channel.begin(*self.sent(args, kwargs), arrived)

    @staticmethod
    def value(answer: list[Any]) -> Any:
        """Return what the host has answered, or raise it."""
        if answer[0] == "reply":
            return decode(answer[2])
        raise error_named(answer[2], answer[3])


def _host_function(channel: Channel, name: str, signature: str) -> Callable[..., Any]:
    made = HostCall(channel, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        return made.value(channel.call(*made.sent(args, kwargs)))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"{name}{signature}, answered by the host."
    call.__dict__["answered_by_host"] = made
    return call


_SYS = _Sys()
GIVEN_MODULES = {"re": re, "json": json, "math": math, "collections": collections, "itertools": itertools}
"""Modules that are there without import."""
