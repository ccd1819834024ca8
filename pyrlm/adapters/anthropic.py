"""Anthropic's models, asked through the official SDK."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from pyrlm.adapters.anthropic_body import MessagePieces, message_body, read_message
from pyrlm.adapters.failures import Origin, failed_status
from pyrlm.adapters.identity import own_identity
from pyrlm.adapters.keys import check_url, find_key, first_set, register_headers
from pyrlm.adapters.openai_compat import check_model, client_address, refuse_beside_client
from pyrlm.adapters.streaming import StreamingChatAdapter
from pyrlm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anthropic import Anthropic, AsyncAnthropic

    from pyrlm.adapters.base import Message, ModelResponse
    from pyrlm.adapters.failures import RequestFailed
    from pyrlm.adapters.rate_limit import RateLimit
    from pyrlm.adapters.sdk import Sdk
    from pyrlm.adapters.streaming import Pieces
    from pyrlm.pricing import Price

__all__ = ["AnthropicAdapter"]

_ADDRESS = "https://api.anthropic.com"
_KEY_VARIABLES = ("ANTHROPIC_API_KEY",)
_URL_HINT = "that the base URL is the one before /v1"
_CACHE = ("conversation", "always", "never")
# In a stream an error has no status of its own: https://docs.anthropic.com/en/api/errors
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class AnthropicAdapter(StreamingChatAdapter):
    """A model behind Anthropic's Messages API. Needs the extra: ``pip install "pyrlm[anthropic]"``.

    System messages at the start are sent apart from the others, and messages of one role in a row as one. Prompt-cache
    marks stand behind the system prompt and, in a conversation, behind the last message and the one before it that was
    marked last time; so each step of a loop reads from the cache what the step before wrote.

    `stop` and `reasoning_effort` are sent under Anthropic's names, and a `response_format` with a JSON schema as its
    structured output. `seed` has no counterpart there and is left out. Thinking is turned on by an option, such as
    ``thinking={"type": "adaptive"}``; it is not part of the reply's text and is never sent back. It counts against the
    tokens of a reply, so that ``budget_tokens`` has to be below `RLM.max_tokens` (4,096) and `RLM.subcall_max_tokens`.

    Args:
        model: The model's name.
        api_key: Default: ANTHROPIC_API_KEY.
        base_url: Default: ANTHROPIC_BASE_URL, then Anthropic's own address.
        client: An `anthropic.AsyncAnthropic` or `anthropic.Anthropic` of one's own, used with its key and address.
        prompt_cache: ``"conversation"`` (default) marks messages only where the model has answered before: what is
            written to the cache costs more, and a single question is not read again. ``"always"`` marks them in every
            call, for questions that repeat one long text. ``"never"`` sets no marks.
        timeout: Seconds that one request may take, to the end of its reply (default 120).
        retry_seconds: How long after its first failure a request may still be repeated (default 120). 0: never.
        context_window: Tokens that the model takes in (default: looked up by name).
        price: What a million tokens cost (default: looked up by name).
        default_headers: HTTP headers sent with every request.
        default_options: Parameters sent with every request, such as ``{"thinking": {"type": "adaptive"}}``.
        rate_limit: Requests, tokens and concurrency that this endpoint is limited to, over all runs of the process.

    Raises:
        ConfigurationError: The SDK is not installed, there is no key, or an argument can't be used.
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        client: AsyncAnthropic | Anthropic | None = None,
        prompt_cache: Literal["conversation", "always", "never"] = "conversation",
        timeout: float = 120.0,
        retry_seconds: float = 120.0,
        context_window: int | None = None,
        price: Price | None = None,
        default_headers: Mapping[str, str] | None = None,
        default_options: Mapping[str, Any] | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        _check(model, prompt_cache)
        _kind_of((default_options or {}).get("thinking"))
        if client is not None:
            refuse_beside_client(api_key=api_key, base_url=base_url, default_headers=default_headers)
            url, key = client_address(client), ""
        else:
            url = check_url(base_url or first_set(("ANTHROPIC_BASE_URL",)) or _ADDRESS)
            key = find_key(api_key, _KEY_VARIABLES, url)
        headers = register_headers(default_headers)

        def make_client(sdk: Sdk) -> AsyncAnthropic:
            made: AsyncAnthropic = sdk.library.AsyncAnthropic(
                api_key=key, base_url=url, default_headers=headers, http_client=sdk.http_client(), max_retries=0
            )
            return made

        super().__init__(
            Origin(model=model, endpoint=url, key_variables=() if client else _KEY_VARIABLES, url_hint=_URL_HINT),
            asked_model=model,
            path="/v1/messages",
            timeout=timeout,
            retry_seconds=retry_seconds,
            context_window=context_window,
            price=price,
            default_options=default_options,
            rate_limit=rate_limit,
            library="anthropic",
            client=client,
            make_client=make_client,
            identity=own_identity(headers),
        )
        self._cache = prompt_cache

    def _body(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None, options: dict[str, Any]
    ) -> Any:
        body = message_body(self._asked_model, messages, options, cache=self._cache)
        thinks = _kind_of(body.get("thinking")) != "disabled"
        return self._parameters.fit(body, max_tokens, None if thinks else temperature)

    def _read(self, data: Any) -> ModelResponse:
        return read_message(data)

    def _failed(self, data: dict[str, Any], headers: Mapping[str, str]) -> RequestFailed:
        error = data["error"]
        kind = error.get("type") if isinstance(error, dict) else None
        return failed_status(_STATUSES.get(str(kind), 500), headers, data, self._origin)

    def _streamed(self, body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "stream": True}

    def _pieces(self) -> Pieces:
        return MessagePieces()


def _kind_of(thinking: object) -> str:
    if thinking is None:
        return "disabled"
    if not isinstance(thinking, Mapping):
        raise ConfigurationError(f'thinking={thinking!r}: expected a dict such as {{"type": "adaptive"}}.')
    return str(thinking.get("type", "disabled"))


def _check(model: str, prompt_cache: str) -> None:
    check_model(model)
    if prompt_cache not in _CACHE:
        raise ConfigurationError(f"prompt_cache={prompt_cache!r}: expected one of {', '.join(_CACHE)}.")
    try:
        installed = find_spec("anthropic") is not None
    except ValueError:  # a module that was put in its place by hand
        installed = False
    if not installed:
        raise ConfigurationError('AnthropicAdapter needs the package anthropic: pip install "pyrlm[anthropic]".')
