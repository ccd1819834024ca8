"""What the cache takes two models for: adapters that differ in anything that can change an answer share no reply."""

from __future__ import annotations

import asyncio
import functools
import sys

import anthropic
import openai
import pytest
from openai_server import LoopbackServer

from pyrlm import RLM, DiskCache
from pyrlm.adapters import (
    AnthropicAdapter,
    AzureOpenAIAdapter,
    CommandAdapter,
    ExtractiveAdapter,
    FallbackAdapter,
    GenericChatAdapter,
    OpenAICompatAdapter,
)
from pyrlm.adapters.identity import cache_identity, code_digest
from pyrlm.cached_calls import key_of
from pyrlm.calls import Call
from pyrlm.models import Model

HELLO = [{"role": "user", "content": "hello"}]
SECRET = "sk-very-secret-0123456789"
URL = "http://127.0.0.1:9/v1"


def key(adapter, **values):
    call = Call(messages=HELLO, purpose="subcall", kind="subcall", max_tokens=16, cached=True, **values)
    return key_of(DiskCache("never-opened"), Model(adapter, context_window=8000), call)


def first(data):
    return data["choices"][0]["message"]["content"]


def second(data):
    return data["choices"][1]["message"]["content"]


def generic(model="a", parser=first, **options):
    def build(messages, max_tokens, temperature, **_):
        return {"model": model, "messages": messages, "max_tokens": max_tokens}

    return GenericChatAdapter(base_url=URL, payload_builder=build, response_parser=parser, **options)


def azure(deployment="dep-a", **options):
    return AzureOpenAIAdapter(deployment, model="gpt-4.1", endpoint="http://127.0.0.1:9", api_key="none", **options)


def command(*arguments, **options):
    return CommandAdapter(["sh", "-c", "echo $LLM_MODEL", *arguments], **options)


def compatible(**options):
    return OpenAICompatAdapter("m", **({"base_url": URL, "api_key": "none"} | options))


def claude(**options):
    return AnthropicAdapter("m", **({"base_url": URL, "api_key": "none"} | options))


def openai_client(**options):
    return OpenAICompatAdapter("m", client=openai.OpenAI(base_url=URL, api_key="none", **options))


def claude_client(**options):
    return AnthropicAdapter("m", client=anthropic.Anthropic(base_url=URL, api_key="none", **options))


DIFFER = {
    "payload": lambda: (generic("a"), generic("b")),
    "parser": lambda: (generic(), generic(parser=second)),
    "headers": lambda: (generic(), generic(headers={"x-portkey-provider": "groq"})),
    "deployment": lambda: (azure(), azure("dep-b")),
    "api version": lambda: (azure(), azure(api_version="2030-01-01")),
    "azure headers": lambda: (azure(), azure(default_headers={"x-route": "b"})),
    "default headers": lambda: (compatible(), compatible(default_headers={"x-portkey-provider": "groq"})),
    "secret header": lambda: (
        compatible(default_headers={"x-portkey-virtual-key": SECRET}),
        compatible(default_headers={"x-portkey-virtual-key": SECRET[::-1]}),
    ),
    "claude's headers": lambda: (claude(), claude(default_headers={"anthropic-beta": "context-1m"})),
    "client's headers": lambda: (openai_client(), openai_client(default_headers={"x-route": "b"})),
    "client's query": lambda: (openai_client(), openai_client(default_query={"route": "b"})),
    "claude client's headers": lambda: (claude_client(), claude_client(default_headers={"x-route": "b"})),
    "option names": lambda: (compatible(), compatible(option_names={"seed": "random_seed"})),
    "environment": lambda: (command(env={"LLM_MODEL": "a"}), command(env={"LLM_MODEL": "b"})),
    "arguments": lambda: (command(), command("x")),
    "folder": lambda: (command(), command(cwd="/")),
    "input": lambda: (command(), command(input="argument")),
    "command's parser": lambda: (command(response_parser=str.upper), command(response_parser=str.lower)),
    "a member": lambda: (FallbackAdapter([azure(), command()]), FallbackAdapter([azure("dep-b"), command()])),
    "share": lambda: (ExtractiveAdapter(), ExtractiveAdapter(min_share=0.9)),
}


@pytest.mark.parametrize("case", DIFFER)
def test_adapters_that_can_answer_differently_share_no_reply(case):
    one, other = DIFFER[case]()
    again, _ = DIFFER[case]()
    assert key(one) == key(again)
    assert key(one) != key(other)


def test_an_inherited_variable_is_part_of_the_key(monkeypatch):
    adapter = command(inherit_env=["LLM_MODEL"])
    monkeypatch.setenv("LLM_MODEL", "a")
    before = key(adapter)
    monkeypatch.setenv("LLM_MODEL", "b")
    assert key(adapter) != before


def test_who_pays_is_no_part_of_the_key():
    assert key(compatible(api_key=SECRET)) == key(compatible())
    assert key(compatible(default_headers={"Authorization": f"Bearer {SECRET}"})) == key(compatible())


@pytest.mark.parametrize(
    "adapter",
    [
        lambda: command(env={"API_KEY": SECRET}),
        lambda: generic(headers={"x-api-key": SECRET, "x-gateway-key": SECRET}),
        lambda: openai_client(default_headers={"x-gateway-key": SECRET}, default_query={"key": SECRET}),
    ],
)
def test_no_secret_stands_in_what_goes_into_the_key(adapter):
    assert SECRET not in str(cache_identity(adapter(), HELLO, 16, None, {}))


def test_models_behind_one_address_each_answer_for_themselves(tmp_path):
    code = "```python\nFINAL(llm_query('Which model are you?'))\n```"

    def answer(body):
        return code if "sub-LLM" not in str(body["messages"]) else f"I am {body['model']}"

    def run(server, model, cache):
        def build(messages, max_tokens, temperature, **_):
            return {"model": model, "messages": messages, "max_tokens": max_tokens}

        adapter = GenericChatAdapter(
            base_url=server.url, payload_builder=build, response_parser=first, context_window=50_000
        )
        return RLM(adapter, cache=cache).run("q", "text").output

    with LoopbackServer(answer) as server, DiskCache(tmp_path) as cache:
        outputs = [run(server, model, cache) for model in ("a", "b", "a", "b")]
    assert outputs == ["I am a", "I am b", "I am a", "I am b"]
    assert server.count == 6  # a root call a run, and one sub-call a model


def test_a_payload_that_cannot_be_built_is_an_error_of_the_call(tmp_path):
    def build(*_):
        raise LookupError("no such template")

    adapter = GenericChatAdapter(base_url=URL, payload_builder=build, response_parser=first, context_window=8000)
    with DiskCache(tmp_path) as cache, pytest.raises(Exception, match="no such template"):
        RLM(adapter, cache=cache).run("q", "text")
    assert key(adapter) is None


class Own:
    """An adapter of one's own that tells what it is."""

    model = "own"

    def __init__(self, tone):
        self.tone = tone

    def cache_identity(self, messages, max_tokens, temperature, **options):
        return {"tone": self.tone}

    def complete(self, messages, max_tokens):
        return self.tone


class Other(Own):
    pass


def test_an_adapter_of_ones_own_tells_what_it_is():
    assert key(Own("kind")) == key(Own("kind"))
    assert len({key(Own("kind")), key(Own("stern")), key(Other("kind"))}) == 3


def parser_of(field, reader=str):
    return lambda data: reader(data[field])


def by_field(field, data):
    return data[field]


def test_functions_are_told_apart_by_what_they_do():
    functions = [
        parser_of("a"),
        parser_of("b"),
        parser_of("a", reader=repr),
        lambda data: data["a"],
        lambda data: data["b"],
        lambda data: data["a"] in {"x", "y"},
        lambda data, name="a": data[name],
        lambda data, name="b": data[name],
        functools.partial(by_field, "a"),
        functools.partial(by_field, "b"),
        str.upper,
        str.lower,
        Own("x").complete,
        None,
    ]
    assert len({code_digest(function) for function in functions}) == len(functions)
    assert code_digest(parser_of("a")) == code_digest(parser_of("a"))


def test_the_digest_of_a_function_is_that_of_another_process():
    program = (
        "from pyrlm.adapters.identity import code_digest\n"
        "print(code_digest(lambda data: data['a'] in {'x', 'yy', 'zzz', 'q', 'r'}))"
    )

    async def run(seed):
        adapter = CommandAdapter(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, inherit_env=["PYTHONPATH"]
        )
        return (await adapter.acomplete(HELLO, 16)).text

    digests = {asyncio.run(run(seed)) for seed in ("1", "2", "3")}
    assert len(digests) == 1
    assert len(digests.pop()) == 64
