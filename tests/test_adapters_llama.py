"""The adapters on a real model server: llama.cpp's own."""

from __future__ import annotations

import asyncio
import json

import pytest
from llama_server import N_CTX, llama  # noqa: F401 - `llama` is a fixture

from pyrlm.adapters import OpenAICompatAdapter, acomplete
from pyrlm.errors import BadReplyError, ContextLengthError, ModelError

pytestmark = pytest.mark.xdist_group("llama")


def say(text):
    return [{"role": "system", "content": "You are terse."}, {"role": "user", "content": text}]


def test_a_completion_with_the_servers_own_usage(llama):  # noqa: F811 - a fixture
    adapter = OpenAICompatAdapter(llama.model, base_url=llama.url)
    short = asyncio.run(acomplete(adapter, say("Say hello."), 8, 0.0, seed=1))
    longer = asyncio.run(acomplete(adapter, say("Say hello. " + "Please. " * 20), 8, 0.0))
    assert short.text
    assert short.model == llama.model
    assert 0 < short.usage.output_tokens <= 8
    assert short.finish_reason in {"length", "stop"}
    assert longer.usage.input_tokens - short.usage.input_tokens == pytest.approx(40, abs=5)
    assert not short.usage.estimated


def test_several_calls_at_once_are_answered(llama):  # noqa: F811
    async def main():
        adapter = OpenAICompatAdapter(llama.model, base_url=llama.url)
        return await asyncio.gather(*(acomplete(adapter, say(f"Count to {n}."), 4, 0.0) for n in range(4)))

    assert all(reply.usage.output_tokens for reply in asyncio.run(main()))


def test_a_prompt_beyond_the_window_is_refused_with_the_windows_size(llama):  # noqa: F811
    adapter = OpenAICompatAdapter(llama.model, base_url=llama.url)
    with pytest.raises(ContextLengthError) as caught:
        asyncio.run(acomplete(adapter, say("word " * (N_CTX + 500)), 8, 0.0))
    assert (caught.value.limit, caught.value.status, caught.value.attempts) == (N_CTX, 400, 1)


def test_a_schema_for_the_reply_is_kept(llama):  # noqa: F811
    adapter = OpenAICompatAdapter(llama.model, base_url=llama.url)
    schema = {
        "type": "object",
        "properties": {"found": {"type": "boolean"}},
        "required": ["found"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": schema}}
    reply = asyncio.run(acomplete(adapter, say("Is the sky blue?"), 48, 0.0, response_format=wanted))
    assert set(json.loads(reply.text)) == {"found"}


def test_its_other_refusals_are_model_errors(llama):  # noqa: F811
    adapter = OpenAICompatAdapter(llama.model, base_url=llama.url)
    with pytest.raises(ModelError, match="answered 400") as caught:
        asyncio.run(acomplete(adapter, [{"role": "nobody"}], 4, 0.0))
    assert not isinstance(caught.value, BadReplyError | ContextLengthError)
