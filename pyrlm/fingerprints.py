"""What a durable run rests on, by name: options, versions and the code of tools. Resuming it says which of them differ.

Values are short texts: numbers and names as they are, long texts and code as a hash, models by class, name and endpoint.
Keys are in none of them.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import platform
from collections.abc import Mapping, Sequence
from enum import Enum
from importlib import metadata
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pyrlm.policy import Policy
from pyrlm.redact import redact
from pyrlm.repl import make_repl

if TYPE_CHECKING:
    from pyrlm.rlm import RLM

__all__ = ["differences", "fingerprint_of", "versions"]

_CHANGE_NOTHING = frozenset({"cache", "event_listener", "trace_path", "on_limit", "output_schema", "retriever"})
"""Options that are no matter of what a run does, or have a fingerprint of their own."""
_DEFAULTS = {"policy": Policy()}
_SHORT = 60
_MAX_DEPTH = 6


def fingerprint_of(rlm: RLM, options: Mapping[str, Any]) -> dict[str, str]:
    """Return what the options of a run are, by dotted names such as ``"policy.max_steps"``; `options` are further ones."""
    found: dict[str, str] = {}
    for field in dataclasses.fields(rlm):
        if field.name not in _CHANGE_NOTHING:
            _describe(field.name, _given(rlm, field.name), found, 0)
    for name, value in options.items():
        _describe(name, value, found, 0)
    retriever = rlm.retriever
    found["retriever"] = "None" if retriever is None else type(retriever).__qualname__
    _describe_repl(rlm.repl_backend, found)
    _describe_servers(rlm.mcp_servers, found)
    return found


def _given(rlm: RLM, name: str) -> Any:
    value = getattr(rlm, name)
    return _DEFAULTS.get(name) if value is None else value


def versions() -> dict[str, str]:
    """Return the versions that decide what replayed code does."""
    from pyrlm import __version__  # noqa: PLC0415 - it is this package

    return {
        "pyrlm": __version__,
        "python": platform.python_version(),
        "pydantic-monty": _version_of("pydantic-monty"),
    }


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return a line for each name whose value is not what it was."""
    lines = []
    for name in sorted(then.keys() | now.keys()):
        before, after = then.get(name, "not there"), now.get(name, "not there")
        if before != after:
            hashed = before.startswith("sha256:") and after.startswith("sha256:")
            lines.append(f"{name} is another one" if hashed else f"{name} was {before}, is {after}")
    return lines


def _version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _describe(name: str, value: Any, found: dict[str, str], depth: int) -> None:
    if _is_adapter(value):
        found[name] = _adapter(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type) and depth < _MAX_DEPTH:
        _describe_fields(name, value, found, depth)
    elif isinstance(value, Mapping) and depth < _MAX_DEPTH:
        for key, item in value.items():
            _describe(f"{name}.{key}", item, found, depth + 1)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes) and depth < _MAX_DEPTH:
        for number, item in enumerate(value):
            _describe(f"{name}.{_name_of(item) or number}", item, found, depth + 1)
    elif callable(value):
        found[name] = _code(value)
    else:
        found[name] = _plain(value)


def _describe_fields(name: str, value: Any, found: dict[str, str], depth: int) -> None:
    for field in dataclasses.fields(value):
        _describe(f"{name}.{field.name}", getattr(value, field.name), found, depth + 1)


def _describe_repl(backend: Any, found: dict[str, str]) -> None:
    repl = make_repl(backend)
    found["repl_backend"] = str(getattr(repl, "name", type(repl).__qualname__))
    found["repl_backend.hash_seed"] = str(getattr(repl, "hash_seed", None))


def _describe_servers(servers: Any, found: dict[str, str]) -> None:
    """Name MCP servers by what is started or asked; their keys, environment and headers are left out."""
    from pyrlm.mcp_config import read_servers  # noqa: PLC0415 - most runs have none

    for name in [name for name in found if name.partition(".")[0] == "mcp_servers"]:
        del found[name]
    for server in read_servers(servers):
        found[f"mcp_servers.{server.name}"] = (
            redact(_endpoint(server.url)) if server.url else _hash("\0".join([server.command or "", *server.args]))
        )


def _is_adapter(value: Any) -> bool:
    return not isinstance(value, type) and any(
        callable(getattr(value, name, None)) for name in ("complete", "acomplete")
    )


def _adapter(adapter: Any) -> str:
    model, endpoint = (getattr(adapter, name, None) for name in ("model", "endpoint"))
    parts = [type(adapter).__qualname__, str(model) if isinstance(model, str) else ""]
    parts.append(_endpoint(endpoint) if isinstance(endpoint, str) else "")
    options = getattr(adapter, "default_options", None)
    if options:
        parts.append(_hash(repr(sorted(options.items(), key=lambda item: str(item[0])))))
    return redact(" ".join(part for part in parts if part))


def _endpoint(address: str) -> str:
    """Return an address without user, password and parameters."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else address


def _name_of(item: Any) -> str:
    called = getattr(item, "called", None)
    return called if isinstance(called, str) else str(getattr(item, "__name__", ""))


def _code(function: Any) -> str:
    """Return a hash of the source of a callable, of its code where there is no source."""
    while isinstance(function, functools.partial):
        function = function.func
    if not (inspect.isroutine(function) or inspect.isclass(function)):
        function = type(function)
    try:
        return _hash(inspect.getsource(function))
    except (OSError, TypeError):
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        parts = (
            (code.co_code, code.co_names, code.co_varnames)
            if code is not None
            else getattr(function, "__qualname__", "")
        )
        return _hash(repr(parts))


def _plain(value: Any) -> str:
    if isinstance(value, Enum):
        return repr(value.value)
    if isinstance(value, str) and len(value) > _SHORT:
        return _hash(value)
    if value is None or isinstance(value, str | bool | int | float):
        return redact(repr(value))
    return type(value).__qualname__


def _hash(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
