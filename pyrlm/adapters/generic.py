"""JSON APIs of any other shape, over the same client, retries and errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyrlm.adapters.base import ModelResponse
from pyrlm.adapters.completion import without_thinking
from pyrlm.adapters.failures import Origin, bad_reply
from pyrlm.adapters.http_chat import HttpChatAdapter
from pyrlm.adapters.identity import code_digest, digest, own_identity
from pyrlm.adapters.keys import PLACEHOLDER, check_key, check_url, register_headers
from pyrlm.errors import ConfigurationError
from pyrlm.secret_values import register_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openai import AsyncOpenAI

    from pyrlm.adapters.base import Message
    from pyrlm.adapters.rate_limit import RateLimit
    from pyrlm.adapters.sdk import Sdk
    from pyrlm.pricing import Price

__all__ = ["GenericChatAdapter"]


class GenericChatAdapter(HttpChatAdapter):
    """A model behind a JSON API of its own: one POST request a call, whose body and reply you describe.

    Args:
        base_url: Address of the API.
        payload_builder: ``payload_builder(messages, max_tokens, temperature, **options)`` returns the request's JSON
            body. `temperature` may be None; there are options only where a caller passes some.
        response_parser: ``response_parser(data)`` returns a `ModelResponse` or the text, from the reply's JSON.
        path: Path below `base_url` (default ``/chat/completions``).
        headers: HTTP headers sent with every request, such as ``{"x-api-key": key}``.
        api_key: Sent as ``Authorization: Bearer …``; None sends no such header.
        model: Name of the model, for errors, prices and the cache key.
        timeout: Seconds that one request may take, to the end of its reply (default 120).
        retry_seconds: How long after its first failure a request may still be repeated (default 120). 0: never.
        context_window: Tokens that the model takes in.
        price: What a million tokens cost (default: looked up by name).
        default_options: Options that every call passes to `payload_builder`.
        rate_limit: Requests, tokens and concurrency that this endpoint is limited to, over all runs of the process.

    Raises:
        ConfigurationError: An argument can't be used.
    """

    def __init__(
        self,
        *,
        base_url: str,
        payload_builder: Callable[..., Mapping[str, Any]],
        response_parser: Callable[[Any], ModelResponse | str],
        path: str = "/chat/completions",
        headers: Mapping[str, str] | None = None,
        api_key: str | None = None,
        model: str = "generic",
        timeout: float = 120.0,
        retry_seconds: float = 120.0,
        context_window: int | None = None,
        price: Price | None = None,
        default_options: Mapping[str, Any] | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        for name, function in (("payload_builder", payload_builder), ("response_parser", response_parser)):
            if not callable(function):
                raise ConfigurationError(f"{name}={function!r}: expected a function.")
        url = check_url(base_url)
        key = check_key(api_key) if api_key is not None else None
        sent_headers = register_headers(headers)

        def make_client(sdk: Sdk) -> AsyncOpenAI:
            made: AsyncOpenAI = sdk.library.AsyncOpenAI(
                api_key=key or PLACEHOLDER,  # never empty: the SDK would send the key in OPENAI_API_KEY
                base_url=url,
                default_headers=sent_headers,
                http_client=sdk.http_client(),
                max_retries=0,
            )
            return made

        super().__init__(
            Origin(model=model, endpoint=_endpoint(f"{url}/{path.lstrip('/')}")),
            asked_model=model,
            sends_key=key is not None or "authorization" in map(str.lower, sent_headers),
            path=path,
            timeout=timeout,
            retry_seconds=retry_seconds,
            context_window=context_window,
            price=price,
            default_options=default_options,
            rate_limit=rate_limit,
            make_client=make_client,
            identity=own_identity(sent_headers, path=digest(path), parser=code_digest(response_parser)),
        )
        self._build, self._parse = payload_builder, response_parser

    def _body(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None, options: dict[str, Any]
    ) -> Any:
        limit, own = options.pop("max_tokens", None) or max_tokens, options.pop("temperature", temperature)
        sent = own if self._parameters.takes_temperature() else None
        body = self._build(without_thinking(messages), min(limit, max_tokens), sent, **options)
        return self._parameters.capped(body, max_tokens) if isinstance(body, Mapping) else body

    def cache_identity(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None = None, **options: Any
    ) -> dict[str, Any]:
        """What can change the answer to a request: the body that is built for it, the code of `response_parser`, headers."""
        body = self._body(messages, max_tokens, temperature, {**self.default_options, **options})
        return {**self._identity, "body": body}

    def _read(self, data: Any) -> ModelResponse:
        try:
            reply = self._parse(data)
        except Exception as error:  # noqa: BLE001 - a function of the user's may raise anything
            why = f"response_parser failed on ({type(error).__name__}: {error})"
            raise bad_reply(why, json.dumps(data), self._origin, again="never") from None
        if isinstance(reply, str):
            return ModelResponse(reply)
        if not isinstance(reply, ModelResponse):
            raise ConfigurationError(
                f"response_parser returned {type(reply).__name__}; expected a ModelResponse or a string."
            )
        return reply


def _endpoint(address: str) -> str:
    """The address without its parameters, of which those that are keys are registered."""
    register_address(address)
    return address.partition("?")[0]
