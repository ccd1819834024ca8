"""What all adapters over HTTP share: the SDK's client, retries, errors, time limits."""

from __future__ import annotations

import asyncio
import inspect
import json
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from pyrlm.adapters.base import Usage
from pyrlm.adapters.calling import in_thread
from pyrlm.adapters.completion import read_completion, well_formed, without_thinking
from pyrlm.adapters.failures import Origin, RequestFailed, bad_reply, failed_connection, failed_status
from pyrlm.adapters.identity import client_identity
from pyrlm.adapters.parameters import Parameters, check_rate_limit, check_seconds, check_whole, without_extra
from pyrlm.adapters.rate_limit import limiter_for
from pyrlm.adapters.retrying import with_retries
from pyrlm.adapters.sdk import Library, LoopClients, Sdk, load, preload
from pyrlm.adapters.sent_secrets import keep_secret, register_options, register_sent
from pyrlm.errors import ConfigurationError
from pyrlm.redact import redact

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    import httpx2

    from pyrlm.adapters.base import Message, ModelResponse
    from pyrlm.adapters.rate_limit import RateLimit, Slot
    from pyrlm.pricing import Price

__all__ = ["HttpChatAdapter"]

_CONNECT_SECONDS = 10.0
_FAILED = 400
_REQUEST_OPTIONS = {"extra_headers": "headers", "extra_query": "params"}
_BAD_GATEWAY = 502
_CLIENTS = {"openai": ("AsyncOpenAI", "OpenAI"), "anthropic": ("AsyncAnthropic", "Anthropic")}


class HttpChatAdapter:
    """Base of the adapters that send one POST request a call through the SDK's client.

    Attributes:
        model: Name of the model.
        endpoint: Where it is asked; holds no secret.
        context_window: Tokens that the model takes in, where known.
        price: What a million tokens cost, where the caller has said so.
        default_options: Options sent with every request.
        rate_limit: Limits shared with the other adapters of this endpoint.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        asked_model: str,
        path: str,
        timeout: float,
        retry_seconds: float,
        context_window: int | None,
        price: Price | None,
        default_options: Mapping[str, Any] | None,
        at_openai: bool = False,
        sends_key: bool = True,
        library: Library = "openai",
        rate_limit: RateLimit | None = None,
        client: Any = None,
        make_client: Callable[[Sdk], Any] | None = None,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        check_seconds(timeout=timeout, retry_seconds=retry_seconds)
        check_rate_limit(rate_limit)
        if client is not None and not callable(getattr(client, "post", None)):
            names = " or ".join(f"{library}.{kind}" for kind in _CLIENTS[library])
            raise ConfigurationError(
                f"client={type(client).__name__}: expected an {names}; for another kind of client write an adapter of "
                "your own with complete(messages, max_tokens, temperature)."
            )
        self.model = origin.model
        self.endpoint = origin.endpoint
        self.context_window = context_window
        self.price = price
        self.default_options = dict(default_options or {})
        self.rate_limit = rate_limit
        self._library: Library = library
        self._origin, self._path, self._asked_model = origin, path, asked_model
        self._parameters = Parameters(origin.model, at_openai=at_openai)
        self._sends_key = sends_key
        self._timeout, self._retry_seconds = float(timeout), float(retry_seconds)
        self._client = client
        self._identity = {
            "model": asked_model,
            **(identity or {}),
            **(client_identity(client) if client is not None else {}),
        }
        self._clients = LoopClients(make_client) if make_client is not None and client is None else None
        keep_secret(self.default_options, client)
        preload(library)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r}, endpoint={self.endpoint!r})"

    async def acomplete(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None = None, **options: Any
    ) -> ModelResponse:
        """Ask the model.

        Args:
            messages: Chat messages, oldest first.
            max_tokens: Most tokens that the reply may have.
            temperature: Sampling temperature; None leaves it to the provider.
            options: Parameters of the request, passed on as they are (`seed`, `stop`, `response_format`,
                `reasoning_effort`, …), over those of `default_options`. `extra_body`, `extra_headers` and `extra_query`
                mean what they mean in the SDK; `timeout` is seconds for this request. A limit of the reply among them
                is sent where it is below `max_tokens`, and a temperature that the model refuses is left out.

        Raises:
            AuthenticationError: The key is missing, wrong or not allowed. Not retried.
            ContextLengthError: The prompt is too long for the model. Not retried.
            RateLimitError: Too many requests until the retry time was over, or the quota is used up.
            ModelUnavailableError: No connection, time-outs or 5xx until the retry time was over.
            BadReplyError: The reply could not be read, twice.
            ModelError: Another refusal of the provider, in its words.
        """
        options, wire = self._options(options)
        sdk = await load(self._library)
        tokens = self._expected_tokens(messages, max_tokens)

        def body() -> Any:
            return self._body(messages, max_tokens, temperature, dict(options))

        async def request() -> ModelResponse:
            return await self._ask(sdk, body, wire, tokens)

        return await with_retries(request, model=self.model, seconds=self._retry_seconds)

    def _options(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The options that go into the body, and those of the request itself."""
        register_options(given)
        options = {**self.default_options, **given}
        check_whole(options)
        wire = {"timeout": options.pop("timeout", None) or self._timeout}
        wire |= {name: options.pop(key) for key, name in _REQUEST_OPTIONS.items() if options.get(key) is not None}
        return options, wire

    def cache_identity(
        self,
        messages: Sequence[Message],  # noqa: ARG002 - for adapters whose request isn't told by these
        max_tokens: int,  # noqa: ARG002
        temperature: float | None = None,  # noqa: ARG002
        **options: Any,  # noqa: ARG002
    ) -> dict[str, Any]:
        """What can change the answer to a request beside model, endpoint and options, in JSON types, without secrets."""
        return self._identity

    async def aclose(self) -> None:
        """Close the connections of the running event loop. A client that was handed in is left alone."""
        if self._clients is not None:
            await self._clients.aclose()

    def _body(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None, options: dict[str, Any]
    ) -> Any:
        body = {"model": self._asked_model, "messages": without_thinking(messages), **without_extra(options)}
        return self._parameters.fit(body, max_tokens, temperature)

    def _read(self, data: Any) -> ModelResponse:
        return read_completion(data)

    async def _ask(self, sdk: Sdk, body: Callable[[], Any], wire: dict[str, Any], tokens: int) -> ModelResponse:
        """One request that is read as a whole."""
        async with self._sent(sdk, body, wire, tokens) as (response, slot):
            reply = self._understand(response)
            if slot is not None and isinstance(reply.usage, Usage):
                slot.used(reply.usage.total_tokens)
            return reply

    @asynccontextmanager
    async def _sent(
        self, sdk: Sdk, body: Callable[[], Any], wire: dict[str, Any], tokens: int, *, stream: bool = False
    ) -> AsyncGenerator[tuple[httpx2.Response, Slot | None], None]:
        """The response to one request, made again at once where the model takes a parameter by another name, or not at all.

        The request keeps its place under the rate limit until the block ends. Each parameter is refused once: one that
        the next body still holds can't be helped.
        """
        limiter = limiter_for(self.rate_limit, self.endpoint)
        sent, refusals = body(), set[str]()
        while True:
            async with limiter.slot(tokens) if limiter is not None else nullcontext() as slot:
                try:
                    response = await self._send(sdk, sent, wire, stream=stream)
                except sdk.library.APIStatusError as refused:
                    register_sent(refused.request)
                    status, told = refused.response.status_code, _parsed(refused.response)
                    if slot is not None:
                        slot.used(0)
                    name = self._parameters.learn(status, told, sent)
                    if name is not None and name not in refusals and name not in (sent := body()):
                        refusals.add(name)
                        continue
                    raise failed_status(status, refused.response.headers, told, self._origin) from None
                register_sent(response.request)
                try:
                    yield response, slot
                except RequestFailed as failed:
                    failed.began = failed.began or failed.status is None
                    raise
                return

    def _expected_tokens(self, messages: Sequence[Message], max_tokens: int) -> int:
        """What a call is counted with under the rate limit until its usage is known."""
        if self.rate_limit is None or self.rate_limit.tokens_per_minute is None:
            return 0
        return max_tokens + sum(len(message["content"].encode(errors="replace")) for message in messages) // 4

    async def _send(self, sdk: Sdk, body: Any, wire: dict[str, Any], *, stream: bool) -> httpx2.Response:
        seconds = wire["timeout"]
        limits = sdk.timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
        options = {**wire, "timeout": limits, "max_retries": 0}
        if not self._sends_key:
            options["headers"] = {"Authorization": sdk.omit, **wire.get("headers", {})}
        try:
            async with asyncio.timeout(seconds):
                return await self._post(sdk, body, options, stream=stream)
        except sdk.network_errors as error:
            raise failed_connection(error, self._origin, seconds) from None
        except (TypeError, ValueError) as error:
            cleaned = _well_formed(body)
            if isinstance(error, UnicodeEncodeError) and cleaned != body:
                return await self._send(sdk, cleaned, wire, stream=stream)
            told = redact(f"{type(error).__name__}: {error}")
            raise ConfigurationError(f"{self._origin}: the request can't be written: {told}") from None

    async def _post(self, sdk: Sdk, body: Any, options: dict[str, Any], *, stream: bool) -> httpx2.Response:
        """The SDK's own `post`, with the plain HTTP response as its result.

        It skips the SDK's walk through the messages and its response models, which cost more than the request itself,
        and keeps its authentication, headers, URLs and errors.
        """
        client: Any = self._client if self._clients is None else await self._clients.get(sdk)
        asked = {"cast_to": sdk.response, "body": body, "options": options, "stream": stream}
        response: httpx2.Response
        if inspect.iscoroutinefunction(client.post):
            response = await client.post(self._path, **asked)
        else:
            response = await in_thread(client.post, self._path, **asked)
        return response

    def _understand(self, response: httpx2.Response) -> ModelResponse:
        try:
            data = json.loads(response.content)
        except ValueError:
            raise bad_reply("is no JSON", response.text, self._origin) from None
        if isinstance(data, dict) and data.get("error") and not data.get("choices"):
            raise self._failed(data, response.headers)  # gateways pass on a failure behind them with status 200
        try:
            return self._read(data)
        except ConfigurationError:
            raise
        except ValueError as problem:
            raise bad_reply(str(problem), response.text, self._origin) from None

    def _failed(self, data: dict[str, Any], headers: Mapping[str, str]) -> RequestFailed:
        """What an error says that came with status 200."""
        error = data["error"]
        code = error.get("code") if isinstance(error, dict) else None
        status = code if isinstance(code, int) and code >= _FAILED else _BAD_GATEWAY
        return failed_status(status, headers, data, self._origin)


def _parsed(response: httpx2.Response) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:
        return response.text


def _well_formed(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, dict):
        return {_well_formed(key): _well_formed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_well_formed(item) for item in value]
    return value
