"""OpenAI, and every server that speaks its chat protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pyrlm.adapters.failures import Origin
from pyrlm.adapters.identity import own_identity
from pyrlm.adapters.keys import check_url, find_key, first_set, register_headers
from pyrlm.adapters.streaming import StreamingChatAdapter
from pyrlm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openai import AsyncOpenAI, OpenAI

    from pyrlm.adapters.base import Message
    from pyrlm.adapters.rate_limit import RateLimit
    from pyrlm.adapters.sdk import Sdk
    from pyrlm.pricing import Price

__all__ = ["OpenAICompatAdapter"]

_OPENAI = "https://api.openai.com/v1"


class OpenAICompatAdapter(StreamingChatAdapter):
    """A model behind the OpenAI chat protocol, asked through the official SDK.

    Args:
        model: The model's name, as the server knows it.
        api_key: Default: the first of `key_variables` that is set. Servers on this machine or a private network need
            none.
        base_url: Default: LLM_BASE_URL, then OPENAI_BASE_URL, then OpenAI's own address.
        client: An `openai.AsyncOpenAI` or `openai.OpenAI` of one's own, used with its key and address. An asynchronous
            one belongs to one event loop; a synchronous one is called in a thread.
        timeout: Seconds that one request may take, to the end of its reply (default 120).
        retry_seconds: How long after its first failure a request may still be repeated (default 120). 0: never.
        context_window: Tokens that the model takes in (default: looked up by name).
        price: What a million tokens cost (default: looked up by name).
        default_headers: HTTP headers sent with every request.
        default_options: Parameters sent with every request, such as ``{"seed": 7}``.
        rate_limit: Requests, tokens and concurrency that this endpoint is limited to, over all runs of the process.
        key_variables: Environment variables looked up for the key, in this order.
        option_names: Options that the server takes under another name than OpenAI, such as ``{"seed": "random_seed"}``.

    Raises:
        ConfigurationError: There is no key for a server that is not local, or an argument can't be used.
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        client: AsyncOpenAI | OpenAI | None = None,
        timeout: float = 120.0,
        retry_seconds: float = 120.0,
        context_window: int | None = None,
        price: Price | None = None,
        default_headers: Mapping[str, str] | None = None,
        default_options: Mapping[str, Any] | None = None,
        rate_limit: RateLimit | None = None,
        key_variables: Sequence[str] = ("LLM_API_KEY", "OPENAI_API_KEY"),
        option_names: Mapping[str, str] | None = None,
    ) -> None:
        check_model(model)
        if client is not None:
            refuse_beside_client(api_key=api_key, base_url=base_url, default_headers=default_headers)
            url, key, key_variables = client_address(client), "", ()
        else:
            url = check_url(base_url or first_set(("LLM_BASE_URL", "OPENAI_BASE_URL")) or _OPENAI)
            key = find_key(api_key, key_variables, url)
        headers = register_headers(default_headers)

        def make_client(sdk: Sdk) -> AsyncOpenAI:
            made: AsyncOpenAI = sdk.library.AsyncOpenAI(
                api_key=key, base_url=url, default_headers=headers, http_client=sdk.http_client(), max_retries=0
            )
            return made

        super().__init__(
            Origin(model=model, endpoint=url, key_variables=tuple(key_variables)),
            asked_model=model,
            path="/chat/completions",
            timeout=timeout,
            retry_seconds=retry_seconds,
            context_window=context_window,
            price=price,
            default_options=default_options,
            rate_limit=rate_limit,
            client=client,
            at_openai="openai" in url,
            make_client=make_client,
            identity=own_identity(headers, option_names=dict(option_names or {})),
        )
        self._option_names = dict(option_names or {})

    def _body(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None, options: dict[str, Any]
    ) -> Any:
        named = {self._option_names.get(name, name): value for name, value in options.items()}
        return super()._body(messages, max_tokens, temperature, named)


def check_model(model: str, name: str = "model") -> None:
    """Raise `ConfigurationError` where `model` is no name."""
    if not isinstance(model, str) or not model.strip():
        raise ConfigurationError(f'{name}={model!r}: expected the name of a model, such as "gpt-4.1".')


def refuse_beside_client(**given: object) -> None:
    """Raise `ConfigurationError` for arguments that a client of one's own already holds."""
    for name, value in given.items():
        if value is not None:
            raise ConfigurationError(f"{name} and client were both given: set it in the client.")


def client_address(client: Any) -> str:
    """The address of a client that was handed in, without user, password and parameters."""
    parts = urlsplit(str(getattr(client, "base_url", "")))
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else parts.path
    return address.rstrip("/") or type(client).__name__
