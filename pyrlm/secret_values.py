"""What is secret in an environment, in headers, in arguments and in addresses that an application hands to a program.

A registered secret is blanked out of every text of the process, documents included. So a value is one where its name
says so (`pyrlm.secret_names`), or where it is too odd to stand in a document by chance: numbers, words, paths and plain
addresses are none.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
from typing import TYPE_CHECKING

from pyrlm.redact import register_secret
from pyrlm.secret_names import is_secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["register_address", "register_arguments", "register_values"]

_KNOWN = re.compile(
    r"((sk|pk|rk)[-_]|glpat-|pypi-|xox[a-z]-|xapp-|(gh[opsur]|github_pat|hf|npm|ntn|sbp|dop_v1|shpat|shpss|lin_api)_)"
    r"(?=[\w-]*([A-Za-z0-9]{16}|\d))[\w-]{12,}|(AKIA|ASIA|AIza|ya29\.|eyJ)[\w.-]{12,}"
)
"""How keys of well-known services begin."""
_NOTHING = re.compile(
    r"(?i)true|false|none|null|undefined|disabled|enabled|required|optional|default|bearer|basic|digest|negotiate|oauth2?"
    r"|password|secret|changeme|changeit|administrator|anonymous|placeholder|localhost|postgres(ql)?|mongodb|production"
    r"|development"
)
"""No secrets, even under the name of one; to blank them would mangle every text."""
_SCHEME = re.compile(r"(?i)(bearer|basic|token|apikey|digest|negotiate|bot|key)\s+(?=\S)")
_ADDRESS = re.compile(r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s\"'<>,;|{}]+")
_PAIR = re.compile(
    r"(?<![\w.-])([\w.-]{1,80})[\"']?\s*[=:]\s*(?:\"([^\"]*)\"|'([^']*)'|((?:(?i:bearer|basic|token)\s+)?[^\s,;&|\"'{}\[\]]+))"
)
_ASSIGNED = re.compile(r"(?s)-{0,2}([\w.-]+)\s*[=:]\s*(.+)")
_SEPARATORS = re.compile(r"[\s_\-./:,;=@+(){}\[\]\"'|&?<>\\*]+")
_ORDINARY = re.compile(
    r"\d{1,8}|\w{1,3}|[A-Za-z]{2,20}\d{1,2}|\d{1,5}[A-Za-z]{1,3}|[A-Za-z]?[a-z]{1,20}([A-Z][a-z]{1,20}){1,5}"
)
_PATHS = re.compile(r"([A-Za-z]:)?[~.]{0,2}[/\\][^:;\"'\n]*([:;]([A-Za-z]:)?[~.]{0,2}[/\\][^:;\"'\n]*)*")
_RANDOM = re.compile(
    r"(?=.*[a-z])(?=.*[A-Z])(?=.*\d)[\w\-+/=.~]{16,}|(?=.*\d)(?=.*[a-f])[\da-f]{32,}|(?=.*\d)[\dA-F]{32,}"
)
_MAX_WORD = 20
_MAX_ODD = 12  # of a part of a path: a temporary folder
_LEAST = 8
_MIN_LINE = 24  # of a value of several lines: a certificate, a private key


def register_values(named: Mapping[str, str]) -> None:
    """Register the values of variables or headers: all but those that are plainly harmless."""
    for name, value in named.items():
        _register(name, value)


def register_arguments(arguments: Sequence[str]) -> None:
    """Register what follows a flag such as ``--api-key``, ``NAME=value`` of such a name, and what looks like a key."""
    flag = ""
    for argument in arguments:
        assigned = _ASSIGNED.fullmatch(argument)
        name, value = (assigned[1], assigned[2]) if assigned else (flag, argument)
        if _is_named(name, value) and not value.startswith(("--", "//")):
            _register(name, value)
        _register_parts(argument)
        for word in re.split(r"[\s=:,;\"']+", _ADDRESS.sub(" ", argument)):
            if _looks_like_key(word):
                register_secret(word)
        flag = argument.lstrip("-") if argument.startswith("-") and not assigned else ""


def register_address(address: str) -> None:
    """Register what is secret in an address: its password, and keys among its parameters and the parts of its path."""
    from urllib.parse import parse_qsl, unquote, urlsplit  # noqa: PLC0415 - `import pyrlm` need not wait for it

    try:
        parts = urlsplit(address)
    except ValueError:  # a password with a bracket
        register_secret(address)
        return
    login = parts.netloc.rpartition("@")[0]
    user, _, password = login.partition(":")
    if password or _looks_like_key(user):
        for secret in (address, f"{login}@"):
            register_secret(secret)
        for secret in (password or user, unquote(password or user)):
            if _is_named("password", secret):
                register_secret(secret)
        register_secret(base64.b64encode(unquote(login).encode()).decode())
    for name, value in [*parse_qsl(parts.query), *parse_qsl(parts.fragment)]:
        if _is_named(name, value) or _looks_like_key(value):
            register_secret(value)
    for part in parts.path.split("/"):
        if _looks_like_key(part):
            register_secret(part)


def _register(name: str, value: str) -> None:
    value = value.strip()
    held = _of_json(name, value)
    for inner, item in held:
        _register(inner, item)
    if not held and not _ADDRESS.fullmatch(value) and _is_secret(name, value):
        _register_credentials(value)
        lines = value.splitlines()
        for line in lines if len(lines) > 1 else ():
            if len(line) >= _MIN_LINE and not line.startswith("-----"):
                register_secret(line)
    _register_parts(value)


def _of_json(name: str, value: str) -> list[tuple[str, str]]:
    """Return the strings in a value that is JSON, by their names: as a whole it may be part of another JSON text."""
    try:
        waiting = [(name, json.loads(value))] if value[:1] in {"{", "["} else []
    except (ValueError, RecursionError):
        return []
    found = []
    while waiting:
        inner, item = waiting.pop()
        if isinstance(item, dict):
            waiting += item.items()
        elif isinstance(item, list):
            waiting += [(inner, each) for each in item]
        elif isinstance(item, str):
            found.append((inner, item))
    return found


def _register_credentials(value: str) -> None:
    """Register a value, and what follows the scheme in it where it is a header's."""
    register_secret(value)
    scheme = _SCHEME.match(value)
    if scheme:
        _register_login(scheme[1], value[scheme.end() :])


def _register_login(scheme: str, secret: str) -> None:
    """Register what follows the scheme in a header, and the password that Basic encodes."""
    found = [secret]
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, UnicodeDecodeError):
            found.append(base64.b64decode(secret).decode().partition(":")[2])
    for value in found:
        if _is_named("authorization", value):
            register_secret(value)


def _register_parts(text: str) -> None:
    """Register the secrets in a text that holds more: addresses, and pairs as in ``host=db password=…`` or JSON."""
    for address in _ADDRESS.findall(text):
        register_address(address)
    for found in _PAIR.finditer(_ADDRESS.sub(" ", text)):
        value = next((part for part in found.groups()[1:] if part), "").strip()
        if _is_named(found[1], value):
            _register_credentials(value)


def _is_secret(name: str, value: str) -> bool:
    return _is_named(name, value) or _looks_secret(value)


def _is_named(name: str, value: str) -> bool:
    return is_secret(name, value) and not _is_harmless(value)


def _looks_secret(value: str) -> bool:
    if _is_harmless(value):
        return False
    return bool(_KNOWN.search(value)) or (len(value) >= _LEAST and not _is_plain(value))


def _is_harmless(value: str) -> bool:
    return bool(_NOTHING.fullmatch(value)) or _is_path(value)


def _is_plain(value: str) -> bool:
    """Whether it is made of words and short numbers only, as names, versions, addresses, dates and locales are."""
    return all(_is_ordinary(piece) for piece in _SEPARATORS.split(value))


def _is_ordinary(piece: str) -> bool:
    if not piece or _ORDINARY.fullmatch(piece):
        return True
    return piece.isalpha() and len(piece) <= _MAX_WORD and piece in {piece.lower(), piece.upper(), piece.capitalize()}


def _is_path(value: str) -> bool:
    pieces = _SEPARATORS.split(value)
    return bool(_PATHS.fullmatch(value)) and all(len(piece) <= _MAX_ODD or _is_ordinary(piece) for piece in pieces)


def _looks_like_key(text: str) -> bool:
    """Whether it can hardly be anything but a key: it begins as one, or is long and at random."""
    return bool(_KNOWN.fullmatch(text)) or bool(_RANDOM.fullmatch(text) and not _is_plain(text))
