"""MCP servers as they are given: a dict, or the JSON file that other clients use for it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pyrlm.errors import ConfigurationError
from pyrlm.mcp_files import read_file, translated
from pyrlm.secret_values import register_address, register_arguments, register_values

__all__ = ["Server", "check_servers", "read_servers"]

_KEYS = (
    *("command", "args", "env", "cwd", "url", "headers", "required", "timeout", "connect_timeout"),
    *("type", "disabled", "enabled"),
)
_TYPES = frozenset({None, "stdio", "http", "streamable-http", "streamable_http", "streamableHttp", "sse"})
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
        url: Address of a server that runs already, in the place of `command`.
        sse: Whether `url` has the older transport, HTTP with SSE, and not streamable HTTP.
        headers: Sent with every request to `url`.
        required: Whether the run ends where it can't be reached.
        timeout: Seconds for each call.
        connect_timeout: Seconds for its start, until it has listed what it has.
        problem: Why it can't even be tried; of an entry in a file that other clients own.
    """

    name: str
    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    url: str | None = None
    sse: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    required: bool = False
    timeout: float = 60.0
    connect_timeout: float = 30.0
    problem: str = ""


def check_servers(option: object) -> None:
    """Check the option `mcp_servers`.

    Raises:
        ConfigurationError: It can't be used, or the MCP library is missing.
    """
    if read_servers(option) and importlib.util.find_spec("mcp") is None:
        raise ConfigurationError("mcp_servers needs the MCP library: pip install 'pyrlm[mcp]'.")


def read_servers(option: object) -> tuple[Server, ...]:
    """Return the servers of the option `mcp_servers`; those that are switched off are left out.

    Args:
        option: A dict of servers by name, or the path of a JSON file that other clients use for it (`pyrlm.mcp_files`). In
            a file, ``${NAME}`` and ``${NAME:-default}`` stand for variables of the host's environment, keys that are
            meant for other clients are ignored, and an entry that can't be used is a server that does not start.

    Raises:
        ConfigurationError: It can't be used; the message names server and key.
    """
    if option is None:
        return ()
    if isinstance(option, str | os.PathLike):
        path = Path(option)
        return tuple(_of_file(name, entry, path) for name, entry in read_file(path).items() if not _is_off(entry))
    servers = option["mcpServers"] if isinstance(option, Mapping) and set(option) == {"mcpServers"} else option
    if not isinstance(servers, Mapping):
        raise ConfigurationError(
            f"mcp_servers={type(servers).__name__}: expected a dict of servers by name, or the path of a JSON file."
        )
    return tuple(_server(name, entry) for name, entry in servers.items() if not _is_off(entry))


def _is_off(entry: object) -> bool:
    return isinstance(entry, Mapping) and (entry.get("disabled") is True or entry.get("enabled") is False)


def _of_file(name: str, entry: object, path: Path) -> Server:
    """Return a server of a file that other clients own: a bad entry is a server that can't be started."""
    try:
        _check_truths(name, entry)
        return _server(name, translated(name, entry, path) if isinstance(entry, Mapping) else entry)
    except ConfigurationError as error:
        if isinstance(entry, Mapping) and entry.get("required") is True:
            raise
        shown = "".join(char if char.isprintable() else " " for char in name)[:_MAX_NAME]
        return Server(name=shown or "unnamed", problem=str(error))


def _server(name: object, entry: object) -> Server:
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _MAX_NAME:
        raise ConfigurationError(
            f"mcp_servers: {name!r:.80}: expected a name of 1 to {_MAX_NAME} characters on one line."
        )
    if not isinstance(entry, Mapping):
        raise _wrong(name, "", "an object with 'command' or 'url'", entry)
    unknown = sorted(str(key) for key in entry if key not in _KEYS)
    if unknown:
        raise _wrong(name, unknown[0], f"one of {', '.join(_KEYS)}")
    values = {key: entry[key] for key in entry if key not in {"type", "disabled", "enabled"}}
    kind = entry.get("type")
    if kind is not None and (not isinstance(kind, str) or kind not in _TYPES):
        raise ConfigurationError(f"mcp_servers: {name!r}: type={kind!r:.80}: expected 'stdio', 'http' or 'sse'.")
    if isinstance(values.get("cwd"), os.PathLike):
        values["cwd"] = os.fspath(values["cwd"])
    _check(name, values)
    _check_truths(name, entry)
    values["args"] = tuple(values.get("args", ()))
    register_values({**values.get("env", {}), **values.get("headers", {})})
    register_arguments(values["args"])
    url = values.get("url", "")
    register_address(url)
    return Server(name=name, sse=kind == "sse" or (kind is None and urlsplit(url).path.endswith("/sse")), **values)


def _check(name: str, values: Mapping[str, Any]) -> None:
    if ("command" in values) == ("url" in values):
        raise _wrong(name, "", "either 'command' or 'url'", dict.fromkeys(values))
    for key in ("command", "url", "cwd"):
        if key in values and not (isinstance(values[key], str) and values[key]):
            raise _wrong(name, key, "a string", values[key])
    if "url" in values and not values["url"].startswith(("http://", "https://")):
        raise _wrong(name, "url", "an address that begins with http:// or https://", values["url"])
    args = values.get("args", ())
    if not isinstance(args, list | tuple) or not all(isinstance(item, str) for item in args):
        raise _wrong(name, "args", "a list of strings", args)
    for key in ("env", "headers"):
        pairs = values.get(key, {})
        if not isinstance(pairs, Mapping) or not all(isinstance(item, str) for pair in pairs.items() for item in pair):
            raise _wrong(name, key, "an object of strings by name", pairs)
    for key in ("timeout", "connect_timeout"):
        seconds = values.get(key, 1)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
            raise ConfigurationError(f"mcp_servers: {name!r}: {key}={seconds!r:.80}: expected seconds above 0.")


def _check_truths(name: str, entry: object) -> None:
    for key in ("required", "disabled", "enabled"):
        if isinstance(entry, Mapping) and not isinstance(entry.get(key, False), bool):
            raise ConfigurationError(f"mcp_servers: {name!r}: {key}={entry[key]!r:.80}: expected true or false.")


def _wrong(name: str, key: str, expected: str, given: object = None) -> ConfigurationError:
    """Return an error that tells the keys or the type of what was given: the value itself may be secret."""
    place = f"mcp_servers: {name!r}" + (f": {key}" if key else "")
    had = ""
    if isinstance(given, Mapping):
        had = f", got {', '.join(map(str, given)) or 'none'}"
    elif given is not None:
        had = f", got {type(given).__name__}"
    return ConfigurationError(f"{place}: expected {expected}{had}.")
