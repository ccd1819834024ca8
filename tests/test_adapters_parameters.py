"""Parameters of requests: refused ones are learned and never asked again without end; no limit of one's own lifts a run's."""

from __future__ import annotations

import asyncio

import pytest
from anthropic_server import AnthropicServer
from hypothesis import given
from hypothesis import strategies as st
from openai_server import LoopbackServer, Reply

from pyrlm import RLM, Policy, SmartRouter
from pyrlm.adapters import (
    AnthropicAdapter,
    AzureOpenAIAdapter,
    GenericChatAdapter,
    OpenAICompatAdapter,
    acomplete,
    astream,
)
from pyrlm.adapters.parameters import Parameters
from pyrlm.errors import ConfigurationError, ModelError
from pyrlm.pricing import Price

HELLO = [{"role": "user", "content": "hello"}]
PRICE = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=10.0)


def compatible(server, **options):
    return OpenAICompatAdapter("m", base_url=server.url, api_key="none", context_window=100_000, **options)


def azure(server, **options):
    return AzureOpenAIAdapter("m", endpoint=server.origin, api_key="none", context_window=100_000, **options)


def claude(server, **options):
    return AnthropicAdapter("m", base_url=server.origin, api_key="none", context_window=100_000, **options)


def generic(server, payload):
    return GenericChatAdapter(
        base_url=server.url,
        payload_builder=payload,
        response_parser=lambda data: data["choices"][0]["message"]["content"],
        context_window=100_000,
    )


def ask(adapter, max_tokens=16, temperature=None, **options):
    return asyncio.run(acomplete(adapter, HELLO, max_tokens, temperature, **options))


def parameters(body):
    return {name: value for name, value in body.items() if name not in {"model", "messages", "system"}}


# Refused parameters


@pytest.mark.parametrize("kind", [compatible, azure, claude])
@pytest.mark.parametrize("options", [{"temperature": 0.5}, {"extra_body": {"temperature": 0.5}}])
def test_a_temperature_of_ones_own_that_is_refused_is_left_out(kind, options):
    serve = AnthropicServer if kind is claude else LoopbackServer
    with serve(refuse=["temperature"]) as server:
        adapter = kind(server, default_options=options)
        for _ in range(2):
            assert ask(adapter, temperature=0.1).text == "ok"
    assert [body.get("temperature") for body in server.bodies] == [0.5, None, None]


@pytest.mark.parametrize("kind", [compatible, azure])
@pytest.mark.parametrize("options", [{"max_tokens": 9}, {"extra_body": {"max_tokens": 9}}])
def test_a_limit_of_ones_own_goes_under_the_name_that_the_model_takes(kind, options):
    with LoopbackServer(refuse=["max_tokens"]) as server:
        adapter = kind(server, default_options=options)
        for _ in range(2):
            assert ask(adapter).text == "ok"
    assert [parameters(body) for body in server.bodies] == [
        {"max_tokens": 9},
        {"max_completion_tokens": 9},
        {"max_completion_tokens": 9},
    ]


def test_stream_options_of_ones_own_that_are_refused_are_left_out():
    async def main(adapter):
        return [item async for item in astream(adapter, HELLO, 16)]

    with LoopbackServer(refuse=["stream_options"]) as server:
        items = asyncio.run(main(compatible(server, default_options={"stream_options": {"include_usage": True}})))
    assert items[-1].text == "ok"
    assert ["stream_options" in body for body in server.bodies] == [True, False]


@pytest.mark.parametrize("fixed", [{"temperature": 0.5}, {"max_tokens": 9}, {"max_completion_tokens": 9}])
def test_a_payload_that_is_refused_is_one_error_in_the_providers_words(fixed):
    with LoopbackServer(refuse=list(fixed)) as server:
        adapter = generic(server, lambda messages, *_: {"messages": messages, **fixed})
        with pytest.raises(ModelError, match=f"'{next(iter(fixed))}'"):
            ask(adapter)
    assert server.count == 1


def test_a_payload_is_built_without_the_temperature_that_was_refused():
    def build(messages, max_tokens, temperature):
        return {"messages": messages, **({} if temperature is None else {"temperature": temperature})}

    with LoopbackServer(refuse=["temperature"]) as server:
        adapter = generic(server, build)
        assert [ask(adapter, temperature=0.5).text for _ in range(2)] == ["ok", "ok"]
    assert ["temperature" in body for body in server.bodies] == [True, False, False]


def test_a_payload_that_never_stays_the_same_is_not_asked_for_ever():
    names = ["max_tokens", "max_completion_tokens"]

    def build(messages, *_):
        names.reverse()
        return {"messages": messages, names[0]: 5}

    with LoopbackServer(refuse=["max_tokens", "max_completion_tokens"]) as server:
        with pytest.raises(ModelError, match="max_"):
            ask(generic(server, build))
        assert server.count <= 3


@given(
    refused=st.lists(st.sampled_from(["temperature", "max_tokens", "max_completion_tokens", "stream_options"])),
    own=st.dictionaries(st.sampled_from(["temperature", "max_tokens", "max_completion_tokens"]), st.just(3)),
)
def test_whatever_is_refused_each_name_is_learned_once(refused, own):
    known = Parameters("m", at_openai=False)
    for name in refused:
        sent = known.streamed(known.fit(own, 5, 0.5))
        if name not in sent:
            continue
        again = known.learn(400, {"error": {"code": "unsupported_parameter", "param": name}}, sent)
        assert again == name
        if name in {"temperature", "stream_options"}:
            assert name not in known.streamed(known.fit(own, 5, 0.5))
    assert sum(name in known.fit(own, 5, 0.5) for name in ("max_tokens", "max_completion_tokens")) == 1


def test_a_run_with_a_refused_parameter_ends():
    with LoopbackServer(lambda _: "FINAL: x", refuse=["temperature"]) as server:
        model = compatible(server, default_options={"temperature": 0.5})
        assert RLM(model, policy=Policy(max_seconds=20)).run("q", "t").output == "x"
    assert server.count == 2


# Limits of the reply


OWN_LIMITS = [
    {"max_tokens": 8000},
    {"max_completion_tokens": 8000},
    {"extra_body": {"max_tokens": 8000}},
    {"max_tokens": 9000, "max_completion_tokens": 8000},
    {"extra_body": {"n_predict": 8000}},
]


def spent(body):
    caps = [value for name, value in body.items() if name in {"max_tokens", "max_completion_tokens", "n_predict"}]
    return Reply("Two years.", usage={"prompt_tokens": 50, "completion_tokens": max(caps)})


@pytest.mark.parametrize("options", OWN_LIMITS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_limit_of_ones_own_lifts_no_limit_of_the_run(options, stream):
    policy = Policy(max_total_tokens=3000, max_cost_usd=0.02)
    with LoopbackServer(spent) as server:
        router = SmartRouter(compatible(server, default_options=options, price=PRICE), policy=policy)
        asked = ("How long?", "The warranty lasts two years.")
        if stream:
            *_, last = router.stream(*asked, escalate=False)
            result = last.result
        else:
            result = router.run(*asked, escalate=False)
    assert result.status == "answered"
    assert result.usage.total_tokens <= 3000
    assert result.cost_usd <= 0.02


@pytest.mark.parametrize("options", [{"max_tokens": 8000}, {"extra_body": {"max_tokens": 8000}}])
def test_a_limit_of_ones_own_lifts_no_limit_at_anthropic(options):
    with AnthropicServer() as server:
        ask(claude(server, default_options=options), 16)
        ask(claude(server, default_options=options), 9000)
    assert [body["max_tokens"] for body in server.bodies] == [16, 8000]


def test_the_smaller_of_two_limits_is_sent_under_one_name():
    with LoopbackServer() as server:
        for options in ({"max_tokens": 7}, {"max_completion_tokens": 7}, {"max_tokens": 7, "max_completion_tokens": 9}):
            ask(compatible(server, default_options=options))
        ask(compatible(server), extra_body={"max_tokens": 8, "top_k": 1})
        ask(compatible(server, default_options={"max_tokens": None}))
    assert [parameters(body) for body in server.bodies] == [
        {"max_tokens": 7},
        {"max_completion_tokens": 7},
        {"max_tokens": 7},
        {"max_tokens": 8, "top_k": 1},
        {"max_tokens": 16},
    ]


def test_a_payload_asks_for_no_more_than_the_call():
    with LoopbackServer() as server:
        ask(generic(server, lambda messages, *_: {"messages": messages, "max_tokens": 8000}))
        adapter = generic(server, lambda messages, limit, heat: {"messages": messages, "max_tokens": limit, "t": heat})
        adapter.default_options = {"max_tokens": 9, "temperature": 0.5}
        ask(adapter)
        ask(adapter, 5)
    assert [parameters(body) for body in server.bodies] == [
        {"max_tokens": 16},
        {"max_tokens": 9, "t": 0.5},
        {"max_tokens": 5, "t": 0.5},
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_tokens": -1}, "max_tokens=-1: expected a whole number of tokens, 1 or more"),
        ({"max_tokens": "500"}, "max_tokens='500'"),
        ({"max_completion_tokens": True}, "max_completion_tokens=True"),
        ({"extra_body": {"n_predict": -1}}, "n_predict=-1"),
        ({"n": 4}, "n=4: one reply is read"),
        ({"extra_body": {"n": 4}}, "n=4"),
        ({"extra_body": {"stream": True}}, "stream=True"),
        ({"extra_body": "top_k=4"}, "extra_body=str: expected a dict"),
    ],
)
def test_options_that_no_call_can_be_made_with_are_named(options, words):
    with LoopbackServer() as server, pytest.raises(ConfigurationError, match=words):
        ask(compatible(server, default_options=options))
    assert server.count == 0


@pytest.mark.parametrize("thinking", [True, "enabled"])
def test_thinking_that_is_no_dict_is_named(thinking):
    with pytest.raises(ConfigurationError, match=r'thinking=.*expected a dict such as \{"type": "adaptive"\}'):
        AnthropicAdapter("m", api_key="none", default_options={"thinking": thinking})
    with AnthropicServer() as server, pytest.raises(ConfigurationError, match="thinking="):
        ask(claude(server), thinking=thinking)
