"""OpenAI's models on Azure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrlm.adapters.failures import Origin
from pyrlm.adapters.identity import own_identity
from pyrlm.adapters.keys import check_key, check_url, first_set, register_headers
from pyrlm.adapters.openai_compat import check_model
from pyrlm.adapters.streaming import StreamingChatAdapter
from pyrlm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from openai import AsyncAzureOpenAI

    from pyrlm.adapters.rate_limit import RateLimit
    from pyrlm.adapters.sdk import Sdk
    from pyrlm.pricing import Price

__all__ = ["AzureOpenAIAdapter"]

_API_VERSION = "2024-10-21"  # the last of Azure's dated versions that is generally available


class AzureOpenAIAdapter(StreamingChatAdapter):
    """A deployment of Azure OpenAI, asked through the official SDK's Azure client.

    Args:
        deployment: Name of the deployment.
        api_key: Default: AZURE_OPENAI_API_KEY.
        endpoint: Default: OPENAI_ENDPOINT, then AZURE_OPENAI_ENDPOINT, then ``https://NAME.openai.azure.com`` with the
            name in AZURE_ACCOUNT_NAME.
        api_version: Default: AZURE_OPENAI_API_VERSION, then OPENAI_API_VERSION, then ``2024-10-21``.
        token_provider: Function that returns a Microsoft Entra token, asynchronous or not, in place of a key.
        model: Name of the model behind the deployment, for prices and windows (default: the deployment's name).
        timeout: Seconds that one request may take, to the end of its reply (default 120).
        retry_seconds: How long after its first failure a request may still be repeated (default 120). 0: never.
        context_window: Tokens that the model takes in (default: looked up by name).
        price: What a million tokens cost (default: looked up by name).
        default_headers: HTTP headers sent with every request.
        default_options: Parameters sent with every request, such as ``{"seed": 7}``.
        rate_limit: Requests, tokens and concurrency that this endpoint is limited to, over all runs of the process.

    Raises:
        ConfigurationError: Key or endpoint are missing, or an argument can't be used.
    """

    def __init__(
        self,
        deployment: str,
        *,
        api_key: str | None = None,
        endpoint: str | None = None,
        api_version: str | None = None,
        token_provider: Callable[[], str | Awaitable[str]] | None = None,
        model: str | None = None,
        timeout: float = 120.0,
        retry_seconds: float = 120.0,
        context_window: int | None = None,
        price: Price | None = None,
        default_headers: Mapping[str, str] | None = None,
        default_options: Mapping[str, Any] | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        check_model(deployment, "deployment")
        address = check_url(endpoint or _endpoint(), "endpoint")
        version = api_version or first_set(("AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION")) or _API_VERSION
        key = _key(api_key, token_provider)
        headers = register_headers(default_headers)

        def make_client(sdk: Sdk) -> AsyncAzureOpenAI:
            made: AsyncAzureOpenAI = sdk.library.AsyncAzureOpenAI(
                azure_endpoint=address,
                azure_deployment=deployment,
                api_version=version,
                api_key=key,
                azure_ad_token_provider=token_provider,
                default_headers=headers,
                http_client=sdk.http_client(),
                max_retries=0,
            )
            return made

        super().__init__(
            Origin(model=model or deployment, endpoint=address, key_variables=("AZURE_OPENAI_API_KEY",)),
            asked_model=deployment,
            path="/chat/completions",
            timeout=timeout,
            retry_seconds=retry_seconds,
            context_window=context_window,
            price=price,
            default_options=default_options,
            rate_limit=rate_limit,
            at_openai=True,
            make_client=make_client,
            identity=own_identity(headers, api_version=version),
        )

    @property
    def deployment(self) -> str:
        """Name of the deployment."""
        return self._asked_model


def _endpoint() -> str:
    endpoint = first_set(("OPENAI_ENDPOINT", "AZURE_OPENAI_ENDPOINT"))
    name = first_set(("AZURE_ACCOUNT_NAME",))
    if endpoint is None and name is None:
        raise ConfigurationError(
            "no Azure endpoint: set OPENAI_ENDPOINT (https://NAME.openai.azure.com) or AZURE_ACCOUNT_NAME, or pass endpoint."
        )
    return endpoint or f"https://{name}.openai.azure.com"


def _key(given: str | None, token_provider: object) -> str | None:
    if token_provider is not None:
        if given is not None:
            raise ConfigurationError("api_key and token_provider were both given: pass one of them.")
        return None
    key = given or first_set(("AZURE_OPENAI_API_KEY",))
    if key is None:
        raise ConfigurationError("no Azure key: set AZURE_OPENAI_API_KEY, or pass api_key or token_provider.")
    return check_key(key)
