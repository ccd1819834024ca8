"""Models of one's own: an adapter is any object with `complete` or `acomplete`; HTTP services need two functions.

    python examples/own_model.py
    LLM_BASE_URL=http://localhost:8080/v1 python examples/own_model.py --model openai-compatible:llama3.2

Shown are a synchronous and an asynchronous adapter, one that adds to another (here: it counts retries), a JSON API of
another shape, Azure, and scripted replies for an application's tests.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from typing import TYPE_CHECKING, Any

from pyrlm import RLM, SmartRouter
from pyrlm.adapters import (
    PRESETS,
    AsyncModelAdapter,
    AzureOpenAIAdapter,
    ExtractiveAdapter,
    FakeAdapter,
    FakeCall,
    GenericChatAdapter,
    Message,
    ModelAdapter,
    ModelResponse,
    OpenAICompatAdapter,
    Preset,
    Retry,
    Usage,
    acomplete,
    get_adapter,
)
from pyrlm.adapters.base import on_retry

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT = "The kettle boils at 96 degrees.\n\nThe tea is stored in the blue tin.\n"
QUESTION = "Where is the tea stored?"


class LastSentence:
    """A synchronous model, called in a worker thread: it says the last sentence of what it reads."""

    model = "last-sentence"
    context_window = 4_096  # tokens; without it a small window is assumed

    def complete(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None, **options: Any
    ) -> ModelResponse:
        """Answer; a model that samples would use `temperature`, and `options` are what the caller passed beyond."""
        del temperature, options
        text = messages[-1]["content"].partition("</text>")[0].strip()
        sentence = text.splitlines()[-1][: max_tokens * 4]
        reply = f"{sentence}\n<quotes>\n<quote>{sentence}</quote>\n</quotes>"
        return ModelResponse(reply, usage=Usage(input_tokens=len(text) // 4, output_tokens=len(reply) // 4))


class Polite:
    """An asynchronous model around another one: it adds a rule to every system message."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.model = f"polite-{inner.model}"
        self.context_window = inner.context_window

    async def acomplete(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None, **options: Any
    ) -> ModelResponse:
        """Ask the inner model, as pyrlm would: synchronous or not."""
        first = Message(role="system", content=messages[0]["content"] + "\nBe polite.")
        return await acomplete(self.inner, [first, *messages[1:]], max_tokens, temperature, **options)


def payload(messages: Sequence[Message], max_tokens: int, temperature: float | None, **options: Any) -> dict[str, Any]:
    """The body of one request to the service below."""
    text = "\n\n".join(message["content"] for message in messages)
    return {"prompt": text, "limit": max_tokens, "temperature": temperature} | options


def json_api(url: str) -> GenericChatAdapter:
    """A service that takes ``{"prompt", "limit", …}`` and gives back ``{"reply", "used"}``."""
    return GenericChatAdapter(
        base_url=url,
        path="/generate",
        model="in-house",
        context_window=8_192,
        payload_builder=payload,
        response_parser=lambda data: ModelResponse(data["reply"], usage=data.get("used")),
    )


def scripted() -> None:
    """Test an application without a model: rules by pattern, then a script; every call is kept."""
    adapter = FakeAdapter(['```python\nFINAL(ask("Where is the tea?", P))\n```'])
    adapter.add_rule(r"You are a sub-\w+", "In the blue tin.", regex=True)
    result = RLM(adapter).run(QUESTION, TEXT)
    calls: list[FakeCall] = adapter.calls
    print(f"scripted: {result.output} ({len(calls)} calls, {calls[-1].max_tokens} tokens at most in the last)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="extractive:")
    parser.add_argument("--json-api", help="address of a service as json_api describes it")
    options = parser.parse_args()

    own, wrapped = LastSentence(), Polite(ExtractiveAdapter())
    print(f"complete: {isinstance(own, ModelAdapter)}, acomplete: {isinstance(wrapped, AsyncModelAdapter)}")
    for adapter in (own, wrapped):
        print(f"{adapter.model}: {SmartRouter(adapter).run(QUESTION, TEXT).output}")
    scripted()

    retries: list[Retry] = []
    on_retry.set(retries.append)
    messages = [Message(role="user", content=f"{TEXT}\nQuestion: {QUESTION}")]
    response = asyncio.run(acomplete(get_adapter(options.model), messages, 60, 0.0))
    print(f"{options.model} said {response.text!r} after {len(retries)} retries")
    if options.json_api:
        print(f"in-house: {SmartRouter(json_api(options.json_api)).run(QUESTION, TEXT).output}")

    preset: Preset = PRESETS["ollama"]
    local = OpenAICompatAdapter("llama3.2", base_url=preset.base_url, api_key="none", context_window=8_192)
    print(f"{local.model} at {preset.base_url}; providers by name: {', '.join(sorted(PRESETS))}")
    if os.environ.get("AZURE_OPENAI_API_KEY"):
        print(f"azure: {SmartRouter(AzureOpenAIAdapter('my-deployment')).run(QUESTION, TEXT).output}")


if __name__ == "__main__":
    main()
