"""Anthropic's models: the real SDK against a real server on loopback, with a prompt cache that works."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextlib import aclosing

import anthropic
import pytest
from anthropic_server import AnthropicServer
from hypothesis import given
from hypothesis import strategies as st
from openai_server import Broken, Drop, Raw, Reply, Stall, Status

from pyrlm.adapters import AnthropicAdapter, ModelResponse, Usage, acomplete, base, failures, get_adapter
from pyrlm.adapters.anthropic_body import message_body
from pyrlm.errors import (
    AuthenticationError,
    BadReplyError,
    ConfigurationError,
    ContextLengthError,
    ModelError,
    ModelUnavailableError,
    RateLimitError,
)
from pyrlm.pricing import Price

HELLO = [{"role": "user", "content": "hello"}]
KEY = "sk-ant-loopback-0123456789"
ROLES = ("system", "user", "assistant", "developer")


@pytest.fixture(autouse=True)
def _no_keys_and_short_waits(monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "LLM_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(failures, "FIRST_WAIT", 0.01)


def adapter_for(server, **options):
    return AnthropicAdapter("claude-test", **{"base_url": server.url, "api_key": KEY, **options})


def ask(adapter, messages=HELLO, max_tokens=16, temperature=None, **options):
    return asyncio.run(acomplete(adapter, messages, max_tokens, temperature, **options))


def chat(*contents):
    """Messages of a loop: system prompt, then user and assistant in turn."""
    roles = ["system", *(("user", "assistant")[n % 2] for n in range(len(contents) - 1))]
    return [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]


# The request and the reply


def test_the_request_is_the_apis_and_the_reply_is_read():
    with AnthropicServer(["four"], api_key=KEY) as server:
        reply = ask(adapter_for(server), chat("be brief", "two and two?"), 9, 0.5)
    request = server.requests[0]
    assert request.path == "/v1/messages"
    assert request.body == {
        "model": "claude-test",
        "max_tokens": 9,
        "temperature": 0.5,
        "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "two and two?"}]}],
    }
    assert reply == ModelResponse(
        "four",
        usage=Usage(input_tokens=5, output_tokens=1, written_input_tokens=2),
        finish_reason="stop",
        model="claude-test",
    )


def test_options_go_under_anthropics_names():
    schema = {"type": "object", "properties": {}}
    with AnthropicServer() as server:
        adapter = adapter_for(server, default_options={"top_k": 4, "seed": 1}, default_headers={"x-team": "search"})
        ask(
            adapter,
            stop="END",
            reasoning_effort="minimal",
            seed=7,
            response_format={"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}},
            extra_body={"metadata": {"user_id": "u"}},
            extra_headers={"x-run": "7"},
        )
        ask(adapter, temperature=0.5, thinking={"type": "enabled", "budget_tokens": 1024}, reasoning_effort="high")
    first, second = (
        {name: value for name, value in body.items() if name not in {"model", "messages", "max_tokens"}}
        for body in server.bodies
    )
    assert first == {
        "top_k": 4,
        "stop_sequences": ["END"],
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": schema}},
        "metadata": {"user_id": "u"},
    }
    # The API takes no other temperature than its own beside thinking.
    assert second == {
        "top_k": 4,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"effort": "high"},
    }
    assert (server.requests[0].headers["x-team"], server.requests[0].headers["x-run"]) == ("search", "7")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (Reply("", usage=None), ModelResponse("", finish_reason="stop")),
        (Reply("cut", finish_reason="length", usage=None), ModelResponse("cut", finish_reason="length")),
        (
            Reply("cut", finish_reason="model_context_window_exceeded", usage=None),
            ModelResponse("cut", finish_reason="length"),
        ),
        (Reply("x", finish_reason="stop_sequence", usage=None), ModelResponse("x", finish_reason="stop")),
        (Reply("x", reasoning="secret thoughts", usage=None), ModelResponse("x", finish_reason="stop")),
        (
            Reply("", finish_reason="content_filter", refusal="It declined.", usage=None),
            ModelResponse("", finish_reason="content_filter", refusal="It declined."),
        ),
        (
            Reply("x", usage={"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": 5}),
            ModelResponse("x", Usage(input_tokens=12, output_tokens=3, cached_input_tokens=5), "stop"),
        ),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_replies_of_every_shape_are_read(sent, expected, streamed):
    with AnthropicServer([sent]) as server:
        reply = stream(adapter_for(server))[-1] if streamed else ask(adapter_for(server))
    assert reply == ModelResponse(
        expected.text, expected.usage, expected.finish_reason, model="claude-test", refusal=expected.refusal
    )


def test_a_refused_temperature_is_learned_once():
    with AnthropicServer(refuse=["temperature"]) as server:
        adapter = adapter_for(server)
        for _ in range(2):
            assert ask(adapter, temperature=0.0).text == "ok"
    assert ["temperature" in body for body in server.bodies] == [True, False, False]


@given(st.lists(st.builds(dict, role=st.sampled_from(ROLES), content=st.sampled_from(["", " ", "a", "b\n", "c"]))))
def test_every_list_of_messages_becomes_one_that_the_api_takes(messages):
    body = message_body("m", messages, {}, cache="always")
    roles = [turn["role"] for turn in body["messages"]]
    assert roles == [("user", "assistant")[n % 2] for n in range(len(roles))]
    assert roles
    blocks = [*body.get("system", []), *(block for turn in body["messages"] for block in turn["content"])]
    assert all(block["text"].strip() for block in blocks)
    assert sum("cache_control" in block for block in blocks) <= 4
    said = [message["content"] for message in messages if message["content"].strip()]
    assert [block["text"] for block in blocks if not block["text"].startswith("[")] == said


def test_messages_of_one_role_in_a_row_are_one_message():
    messages = [*chat("one", "q1", "a1", "q2"), {"role": "user", "content": "more"}]
    messages = [{"role": "system", "content": "zero"}, *messages, {"role": "system", "content": "late"}]
    body = message_body("m", messages, {}, cache="never")
    assert [block["text"] for block in body["system"]] == ["zero", "one"]
    assert [(turn["role"], [block["text"] for block in turn["content"]]) for turn in body["messages"]] == [
        ("user", ["q1"]),
        ("assistant", ["a1"]),
        ("user", ["q2", "more", "late"]),
    ]


def test_thinking_is_not_sent_back():
    messages = chat("s", "q1", "<think>secret thoughts</think>\n\nthe `<think>answer</think>`", "q2")
    with AnthropicServer() as server:
        ask(adapter_for(server), messages)
    assert server.bodies[0]["messages"][1]["content"][0]["text"] == "the `<think>answer</think>`"


# The prompt cache


def test_each_step_of_a_conversation_reads_what_the_step_before_sent():
    text = "word " * 400
    with AnthropicServer(lambda _: Reply("answer " * 10)) as server:
        adapter, messages, usages = adapter_for(server), chat("system " * 100, text), []
        for step in range(5):
            reply = ask(adapter, messages)
            usages.append(reply.usage)
            messages += [
                {"role": "assistant", "content": reply.text},
                {"role": "user", "content": f"output {step} " * 30},
            ]
    sizes = [usage.input_tokens for usage in usages]
    # The first question is not marked, as it may be the only one: from the second step on it is in the cache.
    assert [usage.cached_input_tokens for usage in usages] == [0, 175, sizes[1], sizes[2], sizes[3]]
    assert [usage.cached_input_tokens + usage.written_input_tokens for usage in usages[1:]] == sizes[1:]


def test_a_single_question_writes_only_the_system_prompt():
    with AnthropicServer() as server:
        usages = [ask(adapter_for(server), chat("system " * 100, f"text {n} " * 100)).usage for n in range(2)]
    assert [(usage.cached_input_tokens, usage.written_input_tokens) for usage in usages] == [(0, 175), (175, 0)]


def test_marks_in_every_call_or_none():
    for cache, cached in (("always", 300), ("never", 0)):
        with AnthropicServer() as server:
            adapter = adapter_for(server, prompt_cache=cache)
            usages = [ask(adapter, [{"role": "user", "content": "text " * 240}]).usage for _ in range(2)]
            ask(adapter, chat("s", *"abcdefg"))
        assert usages[1].cached_input_tokens == cached
        assert cache == "always" or "cache_control" not in str(server.bodies)
    with pytest.raises(ConfigurationError, match="prompt_cache='auto': expected one of conversation, always, never"):
        AnthropicAdapter("m", api_key=KEY, prompt_cache="auto")


def test_a_step_of_many_messages_still_reads_the_step_before():
    with AnthropicServer() as server:
        adapter = adapter_for(server)
        first = ask(adapter, chat("s", "q1", "a1", "q2"))
        many = [{"role": "user", "content": f"part {n}"} for n in range(30)]
        second = ask(adapter, [*chat("s", "q1", "a1", "q2"), {"role": "assistant", "content": "a2"}, *many])
    assert second.usage.cached_input_tokens == first.usage.input_tokens


def test_written_tokens_cost_their_own_price():
    price = Price(
        input_usd_per_mtok=4.0, output_usd_per_mtok=8.0, cached_input_usd_per_mtok=0.5, cache_write_usd_per_mtok=5.0
    )
    usage = Usage(input_tokens=1000, output_tokens=100, cached_input_tokens=400, written_input_tokens=500)
    # 100 fresh at 4, 400 read at 0.5, 500 written at 5, 100 out at 8.
    assert price.cost(usage) == pytest.approx((400 + 200 + 2500 + 800) / 1e6)
    assert (usage + usage).written_input_tokens == 1000


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_what_is_written_never_passes_the_upper_cost(prompt, cached, written):
    price = Price(input_usd_per_mtok=4.0, output_usd_per_mtok=8.0, cache_write_usd_per_mtok=5.0)
    usage = Usage(input_tokens=prompt, cached_input_tokens=cached, written_input_tokens=written)
    assert price.cost(usage) <= price.upper_cost(prompt, 0) + 1e-9


# Faults

PASSING = {
    "429": Status(429, "rate limited", headers={"retry-after": "0.01"}),
    "529": Status(529, "Overloaded"),
    "500": Status(500, "Internal server error"),
    "dropped": Drop(),
    "dropped half-way": Drop("half"),
    "malformed JSON": Raw(b'{"content": [}'),
    "no content": {"type": "message", "role": "assistant"},
    "stalled": Stall(20),
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_costs_one_more_request_and_is_told(fault):
    told = []

    async def main(adapter):
        base.on_retry.set(told.append)
        return await acomplete(adapter, HELLO, 16)

    with AnthropicServer([PASSING[fault], "answer"]) as server:
        reply = asyncio.run(main(adapter_for(server, timeout=0.4 if fault == "stalled" else 20)))
    assert (reply.text, len(server.requests), [retry.attempt for retry in told]) == ("answer", 2, [1])


def test_retry_after_is_heeded():
    with AnthropicServer([Status(529, "Overloaded", headers={"retry-after": "0.3"}), "answer"]) as server:
        ask(adapter_for(server))
    assert server.requests[1].time - server.requests[0].time >= 0.3


LASTING = {
    "401": (Status(401, "invalid x-api-key"), AuthenticationError, "Set ANTHROPIC_API_KEY to a key"),
    "403": (Status(403, "not allowed"), AuthenticationError, "Set ANTHROPIC_API_KEY"),
    "404": (Status(404, "model: claude-test"), ModelError, "the base URL is the one before /v1"),
    "400": (Status(400, "top_k: Input should be greater"), ModelError, "top_k: Input"),
    "credit": (Status(400, "Your credit balance is too low to access the API."), RateLimitError, "credit used up"),
    "too long": (Status(400, "prompt is too long: 212345 tokens > 200000 maximum"), ContextLengthError, "too long"),
    "413": (Status(413, "Request exceeds the maximum size"), ContextLengthError, "too long"),
    "long wait": (Status(429, "slow", headers={"retry-after": "900"}), RateLimitError, "asks to wait 900 s"),
}


@pytest.mark.parametrize("fault", LASTING)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_fault_that_stays_is_not_asked_again(fault, streamed):
    reply, kind, words = LASTING[fault]
    with AnthropicServer([reply, "never sent"]) as server, pytest.raises(kind, match=words) as caught:
        (stream if streamed else ask)(adapter_for(server))
    assert (type(caught.value), len(server.requests)) == (kind, 1)
    assert caught.value.__cause__ is None
    assert KEY not in str(caught.value)


def test_refusals_of_long_prompts_carry_the_limit():
    with AnthropicServer(context_window=50) as server, pytest.raises(ContextLengthError) as caught:
        ask(adapter_for(server), [{"role": "user", "content": "word " * 400}])
    assert caught.value.limit is None or caught.value.limit == 50


def test_a_garbled_reply_is_asked_for_once_more_only():
    with AnthropicServer([Raw(b"{"), Raw(b"[]"), "never"]) as server, pytest.raises(BadReplyError, match="type list"):
        ask(adapter_for(server))
    assert len(server.requests) == 2


# In pieces


def stream(adapter, messages=HELLO, **options):
    async def main():
        async with aclosing(adapter.astream(messages, 16, None, **options)) as items:
            return [item async for item in items]

    return asyncio.run(main())


def test_text_comes_in_pieces_and_the_whole_reply_at_the_end():
    with AnthropicServer([Reply("one two three", reasoning="let me see")]) as server:
        *texts, reply = stream(adapter_for(server), chat("s", "q"))
    assert texts == ["one", " two", " three"]
    assert reply.text == "one two three"
    assert reply.usage == Usage(input_tokens=2, output_tokens=4, written_input_tokens=1)
    assert server.bodies[0]["stream"] is True


@pytest.mark.parametrize("how", ["error", "close", "end", "garbage"])
def test_a_fault_before_the_first_text_costs_one_more_request(how):
    with AnthropicServer([Broken(how, after=1), "the answer"]) as server:
        *texts, _ = stream(adapter_for(server))
    assert (texts, len(server.requests)) == (["the", " answer"], 2)


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("error", ModelUnavailableError, "answered 529: Overloaded"),
        ("close", ModelUnavailableError, "the connection failed"),
        ("end", ModelUnavailableError, "ended before it was complete"),
        ("garbage", BadReplyError, "is no JSON"),
    ],
)
def test_a_fault_after_the_first_text_is_an_error(how, kind, words):
    with AnthropicServer([Broken(how, after=5), "never sent"]) as server:
        with pytest.raises(kind, match=words + ".*broke off after 7 characters"):
            stream(adapter_for(server))
        assert len(server.requests) == 1


# Clients, keys, names


def test_calls_over_loops_and_threads_lose_no_reply():
    async def fan_out(adapter):
        return await asyncio.gather(*(acomplete(adapter, HELLO, 16) for _ in range(10)))

    replies = []
    with AnthropicServer() as server:
        adapter = adapter_for(server)

        def work():
            for _ in range(2):
                replies.extend(asyncio.run(fan_out(adapter)))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [reply.text for reply in replies] == ["ok"] * 60
    assert not adapter._clients._held


@pytest.mark.parametrize("make", [anthropic.AsyncAnthropic, anthropic.Anthropic])
def test_clients_of_ones_own_are_used_with_their_key(make):
    with AnthropicServer([Status(500, "once"), "answer", "one two"], api_key=KEY) as server:
        client = make(api_key=KEY, base_url=server.url, max_retries=5)
        adapter = AnthropicAdapter("claude-test", client=client)

        async def main():
            whole = await acomplete(adapter, HELLO, 16)
            return [whole.text, *[item async for item in adapter.astream(HELLO, 16)][:2]]

        assert asyncio.run(main()) == ["answer", "one", " two"]
        assert adapter.endpoint == server.url
        if make is anthropic.Anthropic:
            client.close()
    with pytest.raises(ConfigurationError, match=r"expected an anthropic\.AsyncAnthropic or anthropic\.Anthropic"):
        AnthropicAdapter("m", client=object())


def test_where_the_key_and_the_address_come_from(monkeypatch):
    with pytest.raises(ConfigurationError, match="set ANTHROPIC_API_KEY"):
        get_adapter("anthropic:claude-x")
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    assert get_adapter("anthropic:claude-x").endpoint == "https://api.anthropic.com"
    with AnthropicServer(api_key=KEY) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url + "/")
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "another-credential")
        adapter = get_adapter("anthropic:claude-x", default_options={"top_k": 3})
        assert ask(adapter).text == "ok"
    assert "another-credential" not in str(server.requests[0].headers)
    assert (type(adapter), adapter.model, server.bodies[0]["top_k"]) == (AnthropicAdapter, "claude-x", 3)


def test_the_sdk_is_imported_in_the_background_and_only_where_it_is_asked_for():
    code = (
        "import sys; from pyrlm.adapters import AnthropicAdapter, get_adapter; print('anthropic' in sys.modules); "
        "get_adapter('anthropic:x', api_key='k-123456'); import threading; "
        "print('pyrlm-import-anthropic' in [t.name for t in threading.enumerate()], 'openai' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert out.split() == ["False", "True", "False"]


def test_a_missing_sdk_is_told_with_the_extra():
    code = (
        "import sys; sys.modules['anthropic'] = None\n"
        "from pyrlm.adapters import AnthropicAdapter\n"
        "try:\n AnthropicAdapter('m', api_key='k-123456')\nexcept Exception as error: print(type(error).__name__, error)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert out.startswith("ConfigurationError")
    assert 'pip install "pyrlm[anthropic]"' in out
