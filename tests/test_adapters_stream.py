"""Replies read in pieces: the real SDKs against a real server, with faults in the middle of the stream."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_server import Broken, Drop, LoopbackServer, Reply, Status, rate_limited, refused, too_long

from pyrlm.adapters import ModelResponse, OpenAICompatAdapter, Usage, base, failures
from pyrlm.adapters.sse import data_events
from pyrlm.errors import (
    AuthenticationError,
    BadReplyError,
    ConfigurationError,
    ContextLengthError,
    ModelError,
    ModelUnavailableError,
)

HELLO = [{"role": "user", "content": "hello"}]
KEY = "sk-loopback-0123456789"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(failures, "FIRST_WAIT", 0.01)


def adapter_for(server, **options):
    return OpenAICompatAdapter("test-model", **{"base_url": server.url, "api_key": KEY, **options})


def stream(adapter, **options):
    """The pieces, the whole reply, and the retries that were told."""
    told = []

    async def main():
        base.on_retry.set(told.append)
        async with aclosing(adapter.astream(HELLO, 16, None, **options)) as items:
            return [item async for item in items]

    *texts, last = asyncio.run(main())
    assert isinstance(last, ModelResponse)
    assert all(isinstance(text, str) and text for text in texts)
    assert "".join(texts) == last.text
    return texts, last, told


def test_text_comes_in_pieces_and_the_whole_reply_at_the_end():
    with LoopbackServer(["one two three"]) as server:
        texts, reply, _ = stream(adapter_for(server), seed=7, stop=["x"], reasoning_effort="low")
    assert texts == ["one", " two", " three"]
    assert reply == ModelResponse(
        "one two three", usage=Usage(input_tokens=2, output_tokens=4), finish_reason="stop", model="test-model"
    )
    sent = {name: value for name, value in server.bodies[0].items() if name not in {"model", "messages", "max_tokens"}}
    assert sent == {
        "stream": True,
        "stream_options": {"include_usage": True},
        "seed": 7,
        "stop": ["x"],
        "reasoning_effort": "low",
    }


def test_a_piece_is_there_before_the_reply_is_written():
    async def main(adapter):
        async with aclosing(adapter.astream(HELLO, 16)) as items:
            return await anext(items)

    with LoopbackServer([Reply("one two three", pause=60)]) as server:
        assert asyncio.run(asyncio.wait_for(main(adapter_for(server)), 50)) == "one"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (Reply("", usage=None), ModelResponse("", finish_reason="stop", model="test-model")),
        (Reply("cut", finish_reason="length", usage=None), ModelResponse("cut", finish_reason="length")),
        (Reply("x", reasoning="secret thoughts", usage=None), ModelResponse("x", finish_reason="stop")),
        (
            Reply(None, refusal="I can't.", finish_reason="content_filter", usage=None),
            ModelResponse("", finish_reason="content_filter", refusal="I can't."),
        ),
        (Reply("a\u2028b \x85 c\x1c\U0001f600 d", usage=None), ModelResponse("a\u2028b \x85 c\x1c\U0001f600 d")),
        ({"choices": [{"message": {"content": "whole"}}]}, ModelResponse("whole")),
    ],
)
def test_replies_of_every_shape_are_read(sent, expected):
    with LoopbackServer([sent]) as server:
        _, reply, _ = stream(adapter_for(server))
    assert (reply.text, reply.refusal, reply.usage) == (expected.text, expected.refusal, None)
    assert reply.finish_reason == (expected.finish_reason or reply.finish_reason)


@pytest.mark.parametrize("make", [openai.AsyncOpenAI, openai.OpenAI])
def test_clients_of_ones_own_stream(make):
    with (
        LoopbackServer(["one two"]) as server,
        make(api_key=KEY, base_url=server.url)
        if make is openai.OpenAI
        else (_Kept(make(api_key=KEY, base_url=server.url))) as client,
    ):
        texts, _, _ = stream(OpenAICompatAdapter("m", client=client))
    assert texts == ["one", " two"]


class _Kept:
    def __init__(self, client):
        self.client = client

    def __enter__(self):
        return self.client

    def __exit__(self, *_):
        pass


# Faults


@pytest.mark.parametrize(
    "fault",
    [
        rate_limited(0.01),
        Status(503, "busy"),
        Drop(),
        Broken("error", after=1),
        Broken("close", after=1),
        Broken("end", after=0),
        Broken("garbage", after=1),
    ],
    ids=str,
)
def test_a_fault_before_the_first_text_costs_one_more_request(fault):
    with LoopbackServer([fault, "the answer"]) as server:
        texts, _, told = stream(adapter_for(server))
    assert texts == ["the", " answer"]
    assert len(server.requests) == 2
    assert [retry.attempt for retry in told] == [1]


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("error", ModelUnavailableError, "the engine failed"),
        ("close", ModelUnavailableError, "the connection failed"),
        ("end", ModelUnavailableError, "ended before it was complete"),
        ("garbage", BadReplyError, "has an event that is no JSON"),
        ("stall", ModelUnavailableError, r"no complete reply within 1 s"),
    ],
)
def test_a_fault_after_the_first_text_is_an_error_and_nothing_is_said_twice(how, kind, words):
    seen = []

    async def main(adapter):
        async with aclosing(adapter.astream(HELLO, 16)) as items:
            async for item in items:
                seen.append(item)

    with LoopbackServer([Broken(how, after=3), "never sent"]) as server:
        adapter = adapter_for(server, timeout=1 if how == "stall" else 30)
        with pytest.raises(ModelError, match=words + r".*broke off after 7 characters") as caught:
            asyncio.run(asyncio.wait_for(main(adapter), 30))
    assert type(caught.value) is kind
    assert seen == ["one", " two"]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(too_long(), ContextLengthError), (Status(401, "no"), AuthenticationError), (Status(400, "bad"), ModelError)],
)
def test_refusals_are_those_of_whole_replies(fault, kind):
    with LoopbackServer([fault, "never sent"]) as server, pytest.raises(kind):
        stream(adapter_for(server))
    assert len(server.requests) == 1


def test_a_server_that_knows_no_stream_options_is_asked_without():
    def model(body):
        return refused("stream_options") if "stream_options" in body else "ok"

    with LoopbackServer(model) as server:
        adapter = adapter_for(server)
        for _ in range(2):
            assert stream(adapter)[1].usage is None
    assert ["stream_options" in body for body in server.bodies] == [True, False, False]


def test_a_reply_that_is_left_early_leaves_no_request_behind():
    async def main(server):
        adapter = adapter_for(server)
        async with aclosing(adapter.astream(HELLO, 16)) as items:
            await anext(items)
        while server.in_flight:  # noqa: ASYNC110 - the server runs in another thread
            await asyncio.sleep(0.01)
        task = asyncio.create_task(anext(adapter.astream(HELLO, 16)))
        while not server.in_flight:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while server.in_flight:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    with LoopbackServer([Reply("one two", pause=60), Reply("", delay=60)]) as server:
        asyncio.run(asyncio.wait_for(main(server), 30))


def test_the_callers_own_time_between_pieces_is_not_the_providers():
    async def main(adapter):
        async with aclosing(adapter.astream(HELLO, 16)) as items:
            seen = []
            async for item in items:
                await asyncio.sleep(0.2)
                seen.append(item)
            return seen[-1].text

    with LoopbackServer(["a b c d e"]) as server:
        assert asyncio.run(main(adapter_for(server, timeout=0.8))) == "a b c d e"


def test_streaming_by_option_is_refused_with_what_to_use():
    with LoopbackServer() as server, pytest.raises(ConfigurationError, match="use astream"):
        stream(adapter_for(server), stream=True)


# Events


async def collected(chunks):
    async def source():
        for chunk in chunks:
            yield chunk

    return [data async for data in data_events(source())]


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 9),
)
def test_events_are_the_same_however_the_bytes_are_cut(texts, end, size):
    payloads = [json.dumps({"t": text}, ensure_ascii=False) for text in texts]
    wire = "".join(f": ping{end}event: x{end}data: {p}{end}{end}" for p in payloads).encode()
    chunks = [wire[start : start + size] for start in range(0, len(wire), size)]
    assert asyncio.run(collected(chunks)) == payloads


def test_events_of_several_lines_are_joined_and_the_last_needs_no_empty_line():
    assert asyncio.run(collected([b"data:1\ndata: 2\n\n\n\nid: 4\n\ndata: 3"])) == ["1\n2", "3"]
