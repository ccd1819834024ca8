"""The way to a cluster: one client an event loop, made when first needed; retries; errors that name the cause."""

from __future__ import annotations

import asyncio
import random
import time
import weakref
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from pyrlm.errors import ConfigurationError
from pyrlm.redact import register_secret
from pyrlm.retrievers.es_closing import close_with
from pyrlm.retrievers.es_errors import explain, is_worth_repeating
from pyrlm.retrievers.es_security import AUTHORIZATION, keep_secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from elasticsearch import AsyncElasticsearch

__all__ = ["Connection", "server_url"]

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0
PORT: Final = 9200
LOOPBACK: Final = ("localhost", "127.", "[::1]")


def server_url(host: str) -> str:
    """Complete an address: ``localhost`` is ``http://localhost:9200``, ``es.example.org`` is ``https://…:9200``.

    With a scheme and without a port: 9200 for http, 443 for https.

    Raises:
        ConfigurationError: It is no address.
    """
    if "://" not in host:
        host = f"{'http' if host.startswith(LOOPBACK) else 'https'}://{host}"
        default = PORT
    else:
        default = 443 if host.startswith("https:") else PORT
    try:
        parts = urlsplit(host)
        port = parts.port or default
    except ValueError as error:
        raise ConfigurationError(f"can't read the address of the cluster: {error}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError("give the address of the cluster as http(s)://name:port")
    keep_secret(unquote(parts.username or ""), unquote(parts.password or ""))
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    return f"{parts.scheme}://{user}{name}:{port}{parts.path.rstrip('/')}"


class Connection:
    """Requests to one cluster.

    Args:
        options: Arguments of `AsyncElasticsearch`.
        client: A client that is there already, in place of `options`. An asynchronous one is used as it is, so that it
            is bound to the loop that uses it first; of a synchronous one the addresses and credentials are taken.
        timeout: Seconds for a request.
        retry_seconds: How long connection failures and 429, 502, 503, 504 are tried again.
    """

    def __init__(
        self, options: Mapping[str, Any], *, client: object = None, timeout: float, retry_seconds: float
    ) -> None:
        self.timeout = timeout
        self.retry_seconds = retry_seconds
        self._options = dict(options)
        self._given = client
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncElasticsearch] = (
            weakref.WeakKeyDictionary()
        )
        self.clients_to_close = (self._clients, client)
        close_with(self, *self.clients_to_close)

    def client(self) -> AsyncElasticsearch:
        """The client of the running loop."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = self._made()
        return client

    def _made(self) -> AsyncElasticsearch:
        import elasticsearch  # noqa: PLC0415 - 150 ms

        if isinstance(self._given, elasticsearch.AsyncElasticsearch):
            return self._given.options(max_retries=0, request_timeout=self.timeout)
        options = self._options
        if self._given is not None:
            options = _options_of(self._given)
        try:
            # It would repeat a request at once; here that takes pauses.
            return elasticsearch.AsyncElasticsearch(**options, request_timeout=self.timeout, max_retries=0)
        except (ValueError, TypeError, OSError) as error:
            raise ConfigurationError(f"no client of Elasticsearch can be made: {error}") from None

    async def call(
        self,
        doing: str,
        request: Callable[[AsyncElasticsearch], Awaitable[Any]],
        *,
        index: str = "",
    ) -> Any:
        """Make a request, again while that can help, and return the body of the reply.

        Args:
            doing: What is tried, for the error.
            request: Makes the request with the client that it is given.
            index: The index asked, for the error.

        Raises:
            RetrieverError: It failed for good; says why.
        """
        client = self.client()
        began = time.monotonic()
        pause = FIRST_PAUSE
        while True:
            try:
                return (await request(client)).body
            except Exception as error:  # noqa: BLE001 - whatever it was, its cause is named
                over = time.monotonic() + pause > began + self.retry_seconds
                if over or not is_worth_repeating(error):
                    # The client's exceptions hold the request: they are not chained.
                    raise explain(error, doing=doing, index=index, seconds=self.timeout) from None
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads requests, no secret
            pause = min(2 * pause, LONGEST_PAUSE)

    async def aclose(self) -> None:
        """Close the running loop's client."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None and client.transport is not getattr(self._given, "transport", None):
            await client.close()


def _options_of(client: Any) -> dict[str, Any]:
    """Where a synchronous client points to, for an asynchronous one."""
    import elasticsearch  # noqa: PLC0415

    if not isinstance(client, elasticsearch.Elasticsearch):
        raise ConfigurationError(
            f"client must be an AsyncElasticsearch or an Elasticsearch, got {type(client).__name__}"
        )
    nodes: Sequence[Any] = [node.config for node in client.transport.node_pool.all()]
    headers = {name: value for name, value in client._headers.items() if name != "user-agent"}  # noqa: SLF001 - the client keeps credentials nowhere else
    for name, value in headers.items():
        if name == AUTHORIZATION:
            register_secret(value.rpartition(" ")[2])
    return {"hosts": nodes, "headers": headers}
