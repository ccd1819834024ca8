"""What a model is to pyrlm: messages in, a `ModelResponse` out.

Any object with a synchronous ``complete(messages, max_tokens, temperature, **options)`` or an asynchronous
``acomplete`` of the same signature is an adapter. Where both exist, ``acomplete`` is used; a synchronous one is called
in a worker thread. The arguments may be keyword-only, and `temperature` and `options` may be missing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, runtime_checkable

from pyrlm.errors import ConfigurationError

if TYPE_CHECKING:
    from pyrlm.pricing import Price

__all__ = [
    "AsyncModelAdapter",
    "Message",
    "ModelAdapter",
    "ModelResponse",
    "Retry",
    "Usage",
    "on_loss",
    "on_retry",
    "tell_loss",
]


class Message(TypedDict):
    """One chat message: `role` is ``"system"``, ``"user"`` or ``"assistant"``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one or several calls, added with ``+``.

    Attributes:
        input_tokens: Tokens of the prompt, cached ones included.
        output_tokens: Tokens of the reply, reasoning included.
        cached_input_tokens: Part of `input_tokens` that the provider read from its prompt cache.
        written_input_tokens: Part of `input_tokens` that the provider wrote to its prompt cache at a price of its own;
            0 where it doesn't tell.
        estimated: True where the provider sent no usage and the tokens were counted or estimated here.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    written_input_tokens: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_input_tokens=self.cached_input_tokens + other.cached_input_tokens,
            written_input_tokens=self.written_input_tokens + other.written_input_tokens,
            estimated=self.estimated or other.estimated,
        )

    @classmethod
    def parse(cls, raw: Usage | Mapping[str, Any] | object | None) -> Usage | None:
        """Read the usage of any provider: OpenAI's, Anthropic's, Ollama's and Gemini's keys are known.

        `raw` may be a mapping or the object of an SDK that has `model_dump`. Returns None where it is None or names no
        tokens at all, so that the caller counts them itself.
        """
        if raw is None or isinstance(raw, Usage):
            return raw
        if not isinstance(raw, Mapping):
            raw = raw.model_dump() if hasattr(raw, "model_dump") else vars(raw) if hasattr(raw, "__dict__") else {}
        output = _first_count(raw, "completion_tokens", "output_tokens", "eval_count", "candidatesTokenCount")
        prompt = _first_count(raw, "prompt_tokens", "input_tokens", "prompt_eval_count", "promptTokenCount")
        if output is None and prompt is None:
            return None
        # Anthropic counts cached tokens beside `input_tokens`, OpenAI counts them inside `prompt_tokens`.
        beside = (
            _first_count(raw, "cache_read_input_tokens") or 0,
            _first_count(raw, "cache_creation_input_tokens") or 0,
        )
        details = raw.get("prompt_tokens_details") or raw.get("input_tokens_details")
        inside = _first_count(details, "cached_tokens") if isinstance(details, Mapping) else 0
        return cls(
            input_tokens=(prompt or 0) + sum(beside),
            output_tokens=output or 0,
            cached_input_tokens=(inside or 0) + beside[0],
            written_input_tokens=beside[1],
        )


def _first_count(raw: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = raw.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return int(value)
    return None


@dataclass(frozen=True, slots=True)
class ModelResponse:
    """A model's reply.

    Attributes:
        text: The reply's text; empty where the model said nothing.
        usage: Tokens as the provider counted them (a `Usage`, or the provider's own mapping); None if it sent none.
        finish_reason: ``"stop"``, ``"length"`` (cut by the token limit), ``"content_filter"``, … or None.
        model: Name of the model that answered, where it differs from the one asked or is known better.
        refusal: The model's own words of refusal, where the provider reports them apart from the text.
        answered_by: Name of the model that answered, from an adapter that chooses among several; the trace shows it.
        price: Its price, by which the call is then charged; None: that of the adapter that was asked.
    """

    text: str
    usage: Usage | Mapping[str, Any] | None = None
    finish_reason: str | None = None
    model: str | None = None
    refusal: str | None = None
    answered_by: str | None = None
    price: Price | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise ConfigurationError(
                f"ModelResponse(text={type(self.text).__name__}): expected a string; an adapter that has no text "
                "passes an empty one."
            )


@runtime_checkable
class ModelAdapter(Protocol):
    """The protocol of a synchronous model of one's own.

    Optional attributes that pyrlm reads where they exist: `model` (str, for prices, windows and the cache key),
    `endpoint` (str, part of the cache key), `context_window` (int, tokens), `price` (`pyrlm.pricing.Price`), and the
    method ``cache_identity(messages, max_tokens, temperature, **options)``: what else can change the answer to a request
    (settings of the adapter's own), in JSON types, for the cache key.
    """

    def complete(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None, **options: Any
    ) -> ModelResponse:
        """Answer `messages` with at most `max_tokens` tokens; `temperature` None leaves it to the provider."""
        ...


@runtime_checkable
class AsyncModelAdapter(Protocol):
    """The protocol of an asynchronous model of one's own."""

    def acomplete(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None, **options: Any
    ) -> Awaitable[ModelResponse]:
        """Answer `messages` with at most `max_tokens` tokens; `temperature` None leaves it to the provider."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A request that failed and is about to be made again.

    Attributes:
        attempt: Number of the request that failed, from 1.
        reason: Why it failed, in one line.
        delay: Seconds until the next one.
    """

    attempt: int
    reason: str
    delay: float


on_retry: ContextVar[Callable[[Retry], None] | None] = ContextVar("pyrlm_on_retry", default=None)
"""Called by adapters before each repeated request, so that a run's trace shows it. Set by the run."""

on_loss: ContextVar[Callable[[str], None] | None] = ContextVar("pyrlm_on_loss", default=None)
"""Called by adapters with the text of a reply that began and broke off (empty where it is not known), before the request
is repeated or the error raised: its provider may bill it, so the run charges it. Set by the run."""


def tell_loss(text: str = "") -> None:
    """Tell the run of a reply that began and broke off after `text`; see `on_loss`."""
    told = on_loss.get()
    if told is not None:
        told(text)
