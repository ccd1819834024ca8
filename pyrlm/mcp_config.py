"""MCP servers as they are given: a dict, or the JSON file that other clients use for it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyrlm.errors import ConfigurationError
from pyrlm.secret_names import register_named

__all__ = ["Server", "check_servers", "read_servers"]

_KEYS = frozenset(
    {"command", "args", "env", "cwd", "url", "headers", "required", "timeout", "connect_timeout", "type", "disabled"}
)
_TYPES = frozenset({None, "stdio", "http", "streamable-http", "streamable_http", "streamableHttp"})
_VARIABLE = re.compile(r"\$\{(?:env:)?(\w+)(?::-([^}]*))?\}")
_MAX_NAME = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One MCP server.

    Attributes:
        name: What code calls it.
        command: Program to start; it talks over its standard input and output.
        args: Its arguments.
        env: Its environment, beside HOME, LOGNAME, PATH, SHELL, TERM and USER. It gets nothing else of the host's.
        cwd: Its working folder; the host's by default.
        url: Address of a server that runs already (streamable HTTP), in the place of `command`.
        headers: Sent with every request to `url`.
        required: Whether the run ends where it can't be reached.
        timeout: Seconds for each call.
        connect_timeout: Seconds for its start, until it has listed what it has.
    """

    name: str
    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    required: bool = False
    timeout: float = 60.0
    connect_timeout: float = 30.0


def check_servers(option: object) -> None:
    """Check the option `mcp_servers`.

    Raises:
        ConfigurationError: It can't be used, or the MCP library is missing.
    """
    if read_servers(option) and importlib.util.find_spec("mcp") is None:
        raise ConfigurationError("mcp_servers needs the MCP library: pip install 'pyrlm[mcp]'.")


def read_servers(option: object) -> tuple[Server, ...]:
    """Return the servers of the option `mcp_servers`; those marked as disabled are left out.

    Args:
        option: A dict of servers by name, or the path of a JSON file with such a dict under ``"mcpServers"``. In a file,
            ``${NAME}`` and ``${NAME:-default}`` stand for variables of the host's environment, and keys that are meant
            for other clients are ignored.

    Raises:
        ConfigurationError: It can't be used; the message names server and key.
    """
    if option is None:
        return ()
    from_file = isinstance(option, str | os.PathLike)
    servers = _read_file(Path(option)) if isinstance(option, str | os.PathLike) else option
    if isinstance(servers, Mapping) and set(servers) == {"mcpServers"}:
        servers = servers["mcpServers"]
    if not isinstance(servers, Mapping):
        raise ConfigurationError(
            f"mcp_servers={type(servers).__name__}: expected a dict of servers by name, or the path of a JSON file."
        )
    found = [_server(name, entry, from_file=from_file) for name, entry in servers.items() if not _disabled(entry)]
    return tuple(found)


def _disabled(entry: object) -> bool:
    return isinstance(entry, Mapping) and entry.get("disabled") is True


def _read_file(path: Path) -> object:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"mcp_servers: {str(path)!r} can't be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigurationError(f"mcp_servers: {str(path)!r} is no JSON: {error}.") from error
    if not isinstance(document, dict) or "mcpServers" not in document:
        raise ConfigurationError(f"mcp_servers: {str(path)!r} has no object 'mcpServers'.")
    return document["mcpServers"]


def _server(name: object, entry: object, *, from_file: bool) -> Server:
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _MAX_NAME:
        raise ConfigurationError(
            f"mcp_servers: {name!r:.80}: expected a name of 1 to {_MAX_NAME} characters on one line."
        )
    if not isinstance(entry, Mapping):
        raise _wrong(name, "", entry, "an object with 'command' or 'url'")
    values = {key: _filled(name, entry[key]) if from_file else entry[key] for key in entry if key in _KEYS}
    unknown = sorted(str(key) for key in set(entry) - _KEYS)
    if unknown and not from_file:
        raise _wrong(name, unknown[0], entry[unknown[0]], f"one of {', '.join(sorted(_KEYS))}")
    kind = values.pop("type", None)
    if kind not in _TYPES:
        raise _wrong(name, "type", kind, "'stdio' or 'http' (streamable HTTP)")
    values.pop("disabled", None)
    if isinstance(values.get("cwd"), os.PathLike):
        values["cwd"] = os.fspath(values["cwd"])
    _check(name, values)
    if "args" in values:
        values["args"] = tuple(values["args"])
    for part in ("env", "headers"):
        register_named(values.get(part, {}))
    return Server(name=name, **values)


def _check(name: str, values: Mapping[str, Any]) -> None:
    if ("command" in values) == ("url" in values):
        raise _wrong(name, "", dict.fromkeys(values, ...), "either 'command' or 'url'")
    for key in ("command", "url", "cwd"):
        if key in values and not (isinstance(values[key], str) and values[key]):
            raise _wrong(name, key, values[key], "a string")
    if "url" in values and not values["url"].startswith(("http://", "https://")):
        raise _wrong(name, "url", values["url"], "an address that begins with http:// or https://")
    args = values.get("args", ())
    if isinstance(args, str) or not isinstance(args, list | tuple) or not all(isinstance(item, str) for item in args):
        raise _wrong(name, "args", args, "a list of strings")
    for key in ("env", "headers"):
        pairs = values.get(key, {})
        if not isinstance(pairs, Mapping) or not all(isinstance(item, str) for pair in pairs.items() for item in pair):
            raise ConfigurationError(f"mcp_servers: {name!r}: {key}: expected an object of strings by name.")
    _check_numbers(name, values)


def _check_numbers(name: str, values: Mapping[str, Any]) -> None:
    for key in ("timeout", "connect_timeout"):
        seconds = values.get(key, 1)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
            raise _wrong(name, key, seconds, "seconds above 0")
    if not isinstance(values.get("required", False), bool):
        raise _wrong(name, "required", values["required"], "true or false")


def _wrong(name: str, key: str, given: object, expected: str) -> ConfigurationError:
    place = f"mcp_servers: {name!r}" + (f": {key}" if key else "")
    return ConfigurationError(f"{place}={given!r:.200}: expected {expected}.")


def _filled(name: str, value: Any) -> Any:
    """Put the variables of the host's environment that a file names in their places."""
    if isinstance(value, list):
        return [_filled(name, item) for item in value]
    if isinstance(value, dict):
        return {key: _filled(name, item) for key, item in value.items()}
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        found = os.environ.get(match[1], match[2])
        if found is None:
            raise ConfigurationError(f"mcp_servers: {name!r} names ${{{match[1]}}}, which is not set here.")
        return found

    return _VARIABLE.sub(variable, value)
