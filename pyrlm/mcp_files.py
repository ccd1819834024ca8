"""The JSON files in which other clients keep their MCP servers, read as they write them.

Claude Desktop, Claude Code, Cursor and Windsurf write ``{"mcpServers": {name: entry}}``, Gemini CLI the same among other
settings, VS Code ``{"servers": {…}}``, or ``{"mcp": {"servers": {…}}}`` in its settings, with comments. What they call
an entry's keys and how they name variables is in their documentation of 2025 and 2026.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrlm.errors import ConfigurationError
from pyrlm.secret_values import register_values

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["read_file", "translated"]

_COMMENTS = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])')
_VARIABLE = re.compile(r"\$\{([^${}]+)\}")
_NAMED = re.compile(r"(?:env:)?(\w+)(?::-(.*))?", re.DOTALL)
_ASKED = re.compile(r"(?:input|command|config|prompt):.+")
_BARE = re.compile(r"\$([A-Za-z_]\w*)")
_ENTRY_KEYS = ("command", "url", "httpUrl", "serverUrl")
_KEPT = ("command", "args", "env", "cwd", "headers", "required", "connect_timeout")
_TRANSPORTS = {"local": "stdio", "remote": "http"}
_MAX_SECONDS = 3_600
"""A time limit above it is in milliseconds, as Claude Code and Gemini CLI write it; of the others none takes an hour."""


def read_file(path: Path) -> Mapping[str, object]:
    """Return the entries of the servers by their names, as they stand in the file, without those that it leaves out.

    Raises:
        ConfigurationError: It can't be read, or holds no servers.
    """
    document = _parsed(path)
    servers = _servers(document)
    if servers is None:
        raise ConfigurationError(
            f"mcp_servers: {str(path)!r} has no object 'mcpServers' (or 'servers', as VS Code calls it)."
        )
    rules = document.get("mcp")
    allowed, excluded = (rules.get(key) if isinstance(rules, dict) else None for key in ("allowed", "excluded"))
    return {
        name: entry
        for name, entry in servers.items()
        if not (isinstance(allowed, list) and name not in allowed)
        and not (isinstance(excluded, list) and name in excluded)
    }


def _parsed(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"mcp_servers: {str(path)!r} can't be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigurationError(f"mcp_servers: {str(path)!r} is no text in UTF-8.") from error
    try:
        document = json.loads(text)
    except ValueError as error:
        bare = _TRAILING.sub(r"\1", _COMMENTS.sub(r"\1", text))
        try:
            document = json.loads(bare)
        except ValueError:
            raise ConfigurationError(f"mcp_servers: {str(path)!r} is no JSON: {error}.") from error
    return document if isinstance(document, dict) else {}


def _servers(document: Mapping[str, Any]) -> dict[str, object] | None:
    settings = document.get("mcp")
    for place in (document, settings if isinstance(settings, dict) else {}):
        for key in ("mcpServers", "servers"):
            if isinstance(place.get(key), dict):
                return dict(place[key])
    bare = document and all(
        isinstance(item, dict) and any(key in item for key in _ENTRY_KEYS) for item in document.values()
    )
    return dict(document) if bare else None


def translated(name: str, entry: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return an entry in the words of the option `mcp_servers`; keys that are meant for other clients are left out.

    Raises:
        ConfigurationError: A variable that it names is not set, or a file that it names can't be read.
    """
    try:
        return _translated(entry, path)
    except LookupError as error:
        raise ConfigurationError(f"mcp_servers: {name!r} {error.args[0]}.") from error


def _translated(entry: Mapping[str, Any], path: Path) -> dict[str, Any]:
    found = {key: _filled(entry[key], path) for key in _KEPT if entry.get(key) is not None}
    for key in ("command", "cwd"):
        if found.get(key) == "":
            del found[key]
    address = next((key for key in ("httpUrl", "url", "serverUrl") if entry.get(key)), None)
    if address is not None:
        found["url"] = _filled(entry[address], path)
    kind = entry.get("type") or entry.get("transport") or entry.get("transportType")
    if kind is not None:
        found["type"] = _TRANSPORTS.get(kind, kind) if isinstance(kind, str) else kind
    elif address == "httpUrl":
        found["type"] = "http"
    seconds = entry.get("timeout")
    if seconds is not None:
        large = isinstance(seconds, int | float) and seconds > _MAX_SECONDS
        found["timeout"] = seconds / 1_000 if large else seconds
    for key in ("env", "headers"):
        if isinstance(found.get(key), dict):
            found[key] = {name: _text(value) for name, value in found[key].items() if value is not None}
    if entry.get("envFile"):
        found["env"] = {**_env_file(_filled(entry["envFile"], path)), **found.get("env", {})}
    return found


def _text(value: object) -> object:
    """Return what a variable or a header is set to; its number or truth value need not stand in quotes."""
    if isinstance(value, str):
        return _BARE.sub(lambda found: os.environ.get(found[1], found[0]), value)
    return json.dumps(value) if isinstance(value, int | float) else value


def _env_file(name: object) -> dict[str, str]:
    try:
        lines = Path(str(name)).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise LookupError(f"names envFile={str(name)!r}, which can't be read: {type(error).__name__}") from error
    pairs = (line.strip().removeprefix("export ").partition("=") for line in lines)
    return {
        key.strip(): re.sub(r"""^(["'])(.*)\1$""", r"\2", value.strip())
        for key, equals, value in pairs
        if equals and not key.startswith("#")
    }


def _filled(value: Any, path: Path) -> Any:
    """Put the variables that a file names in their places."""
    if isinstance(value, list):
        return [_filled(item, path) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, path) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    return _VARIABLE.sub(lambda found: _variable(found, path), value)


def _variable(found: re.Match[str], path: Path) -> str:
    if _ASKED.fullmatch(found[1]):
        raise LookupError(f"asks for {found[0]}, which its own client fills in; here a variable of the environment can")
    folder = path.absolute().parent
    folder = folder.parent if folder.name.startswith(".") else folder  # .vscode, .cursor, .gemini
    places = {"workspaceFolder": folder, "workspaceFolderBasename": folder.name, "userHome": Path.home()}
    if found[1] in {*places, "/", "pathSeparator"}:
        return str(places.get(found[1], os.sep))
    named = _NAMED.fullmatch(found[1])
    if named is None:  # of a shell
        return found[0]
    value = os.environ.get(named[1], named[2])
    if value is None:
        raise LookupError(f"names ${{{named[1]}}}, which is not set here")
    register_values({named[1]: value})
    return value
