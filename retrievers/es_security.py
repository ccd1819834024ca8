"""Who a cluster is, and who asks it: certificates and credentials, as arguments of its client."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from pyrlm.errors import ConfigurationError
from pyrlm.redact import register_secret

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

__all__ = ["credentials", "keep_secret", "trust", "without_user"]

AUTHORIZATION: Final = "authorization"


def keep_secret(user: str, password: str) -> None:
    """Keep a password out of messages, also in the form in which requests carry it."""
    register_secret(password)
    if password:
        register_secret(_encoded(user, password))


def credentials(hosts: Sequence[str], api_key: str | None, basic_auth: tuple[str, str] | None) -> dict[str, Any]:
    """Arguments of the client that say who asks: a key, or user and password, which may also stand in an address.

    User and password are encoded here, in UTF-8 (RFC 7617): the client takes ASCII alone.

    Raises:
        ConfigurationError: They are given twice.
    """
    register_secret(api_key)
    users = {
        (unquote(parts.username), unquote(parts.password or "")) for parts in map(urlsplit, hosts) if parts.username
    }
    users |= {basic_auth} if basic_auth is not None else set()
    if len(users) + (api_key is not None) > 1:
        raise ConfigurationError(
            "give one of api_key, basic_auth and a user in the address, and the same for all hosts"
        )
    if not users:
        return {} if api_key is None else {"api_key": api_key}
    [(user, password)] = users
    keep_secret(user, password)
    return {"headers": {AUTHORIZATION: f"Basic {_encoded(user, password)}"}}


def without_user(url: str) -> str:
    """An address without the user in it."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def trust(ca_certs: str | None, *, verify_certs: bool) -> dict[str, Any]:
    """Arguments of the client that say which certificates are trusted.

    The name in the certificate is always checked; the client by itself would not, where the address is a number.

    Args:
        ca_certs: File or folder of certificate authorities; None: the system's and certifi's.
        verify_certs: False: any certificate.

    Raises:
        ConfigurationError: The authorities can't be read.
    """
    if not verify_certs:
        return {"verify_certs": False}
    return {"ssl_context": _context(ca_certs)}


def _context(ca_certs: str | None) -> ssl.SSLContext:
    import ssl  # noqa: PLC0415 - only where it is needed
    from pathlib import Path  # noqa: PLC0415

    if ca_certs is None:
        import certifi  # noqa: PLC0415 - comes with the client

        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())
        return context
    path = Path(ca_certs)
    if not path.exists():
        raise ConfigurationError(f"ca_certs: there is no file {ca_certs}")
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=ca_certs)
        return ssl.create_default_context(cafile=ca_certs)
    except OSError as error:
        raise ConfigurationError(f"ca_certs: {ca_certs} holds no certificate that can be read ({error})") from None


def _encoded(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()
