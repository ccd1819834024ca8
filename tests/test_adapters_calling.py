"""Calling any adapter: the user's own ones, their faults, and the scripted one."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import os
import re
import threading
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrlm.adapters import FakeAdapter, ModelResponse, Usage, acomplete, astream
from pyrlm.adapters.calling import accepts_option
from pyrlm.adapters.wording import context_limit, is_context_length
from pyrlm.errors import ConfigurationError, ContextLengthError, ModelError, ModelUnavailableError, RateLimitError
from pyrlm.redact import register_secret

HELLO = [{"role": "user", "content": "hello"}]


def ask(adapter, messages=HELLO, max_tokens=16, temperature=None, **options):
    return asyncio.run(acomplete(adapter, messages, max_tokens, temperature, **options))


class Own:
    """A synchronous adapter as a user writes it; `reply` is returned, raised or called."""

    model = "own-model"

    def __init__(self, reply):
        self.reply = reply

    def complete(self, messages, max_tokens, temperature):
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply(messages, max_tokens, temperature) if callable(self.reply) else self.reply


def test_synchronous_adapter_runs_in_another_thread_with_the_callers_context():
    seen = {}
    variable = contextvars.ContextVar("variable", default="unset")

    def reply(messages, max_tokens, temperature):
        seen.update(thread=threading.get_ident(), variable=variable.get(), args=(messages, max_tokens, temperature))
        return ModelResponse("hi", usage={"prompt_tokens": 3, "completion_tokens": 1})

    async def main():
        variable.set("set by the caller")
        return await acomplete(Own(reply), HELLO, 16, 0.5)

    response = asyncio.run(main())
    assert (response.text, response.usage) == ("hi", Usage(input_tokens=3, output_tokens=1))
    assert seen["thread"] != threading.get_ident()
    assert seen["variable"] == "set by the caller"
    assert seen["args"] == (HELLO, 16, 0.5)


def test_acomplete_is_preferred_and_an_async_complete_is_awaited_on_the_loop():
    class Both:
        async def acomplete(self, messages, max_tokens, temperature):
            return "asynchronous"

        def complete(self, messages, max_tokens, temperature):
            return "synchronous"

    class AsyncComplete:
        async def complete(self, messages, max_tokens, temperature):
            return str(threading.get_ident())

    assert ask(Both()).text == "asynchronous"
    assert ask(AsyncComplete()).text == str(threading.get_ident())


def test_forty_synchronous_calls_are_in_flight_at_once():
    barrier = threading.Barrier(40)

    def reply(*_):
        barrier.wait(timeout=20)
        return "met"

    async def main():
        return await asyncio.gather(*(acomplete(Own(reply), HELLO, 16) for _ in range(40)))

    assert {response.text for response in asyncio.run(main())} == {"met"}


def test_foreign_exceptions_become_model_errors_with_their_cause():
    for error, kind in [
        (ValueError("boom"), ModelError),
        (ConnectionResetError("gone"), ModelUnavailableError),
        (TimeoutError(), ModelUnavailableError),
        (RuntimeError("This model's maximum context length is 8192 tokens, you asked 9000"), ContextLengthError),
    ]:
        with pytest.raises(kind, match="Own failed: " + type(error).__name__) as caught:
            ask(Own(error))
        assert type(caught.value) is kind
        assert repr(caught.value.__cause__) == repr(error)
        assert caught.value.model == "own-model"
    assert caught.value.limit == 8192


def test_an_exhausted_iterator_in_an_adapter_is_an_error_and_does_not_hang():
    replies = iter(())
    with pytest.raises(ModelError, match="StopIteration"):
        asyncio.run(asyncio.wait_for(acomplete(Own(lambda *_: next(replies)), HELLO, 16), 20))


def test_errors_of_pyrlm_and_cancellation_pass_through_unchanged():
    limit = RateLimitError("slow down", status=429, attempts=7)
    with pytest.raises(RateLimitError) as caught:
        ask(Own(limit))
    assert caught.value is limit

    class Slow:
        async def acomplete(self, messages, max_tokens, temperature):
            await asyncio.sleep(60)

    async def main():
        task = asyncio.create_task(acomplete(Slow(), HELLO, 16))
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())


def test_a_key_in_a_foreign_exception_is_in_no_part_of_the_traceback():
    secret = "sk-very-secret-123"
    register_secret(secret)
    with pytest.raises(ModelError) as caught:
        ask(Own(ValueError(f"header Authorization: Bearer {secret}")))
    assert "Bearer [secret]" in str(caught.value)
    assert secret not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("returned", [None, 5, {"text": "x"}, b"bytes"])
def test_another_type_than_a_response_is_named(returned):
    with pytest.raises(ConfigurationError, match=rf"Own returned {type(returned).__name__}"):
        ask(Own(lambda *_: returned))


def test_what_is_no_adapter_is_refused_with_what_to_do():
    with pytest.raises(ConfigurationError, match="adapter=int: expected an object with complete"):
        ask(5)
    with pytest.raises(ConfigurationError, match=r"pass an instance, Own\("):
        ask(Own)


def test_options_reach_adapters_that_take_them_and_are_refused_by_name_elsewhere():
    class Takes:
        def complete(self, messages, max_tokens, temperature, *, seed=None):
            return f"seed {seed}"

    assert ask(Takes(), seed=7).text == "seed 7"
    assert accepts_option(Takes(), "seed")
    assert not accepts_option(Takes(), "stop")
    assert accepts_option(FakeAdapter(), "stop")
    with pytest.raises(ConfigurationError, match=r"Own doesn't take the option 'seed'; add \*\*options"):
        ask(Own("x"), seed=7)


def keyword_only(messages, *, max_tokens=512, temperature=0.0):
    return locals()


def all_keyword_only(*, messages, temperature, max_tokens):
    return locals()


def another_order(messages, temperature=0.0, max_tokens=512):
    return locals()


def option_between(messages, seed=None, max_tokens=512, temperature=0.0):
    return locals()


def names_of_their_own(prompt, limit, heat):
    return {"messages": prompt, "max_tokens": limit, "temperature": heat}


def positional_only(messages, max_tokens, temperature, /):
    return locals()


def any_keyword(messages, **options):
    return {"messages": messages, **options}


def any_argument(*arguments):
    return dict(zip(("messages", "max_tokens", "temperature"), arguments, strict=True))


ALL_THREE = [
    keyword_only,
    all_keyword_only,
    another_order,
    option_between,
    names_of_their_own,
    positional_only,
    any_keyword,
    any_argument,
]


def adapter_with(method, asynchronous):
    """An adapter whose method has the signature of `method`, bound, as one written in a class."""
    seen = {}

    class Adapter:
        @functools.wraps(method)
        def complete(*arguments, **options):
            seen.update(method(*arguments[1:], **options))
            return "ok"

    parameters = list(inspect.signature(method).parameters.values())
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    Adapter.complete.__signature__ = inspect.Signature([own, *parameters])
    if asynchronous:
        plain = Adapter.complete

        @functools.wraps(plain)
        async def acomplete(*arguments, **options):
            return plain(*arguments, **options)

        Adapter.acomplete = acomplete
    return Adapter(), seen


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("method", ALL_THREE, ids=lambda method: method.__name__)
def test_adapters_take_their_arguments_by_place_or_by_name(method, asynchronous):
    adapter, seen = adapter_with(method, asynchronous)
    for temperature in (0.5, None):
        assert ask(adapter, HELLO, 16, temperature).text == "ok"
        assert {name: seen[name] for name in ("messages", "max_tokens", "temperature")} == {
            "messages": HELLO,
            "max_tokens": 16,
            "temperature": temperature,
        }


def without_temperature(messages, max_tokens):
    return locals()


def keyword_only_without_temperature(messages, *, max_tokens, seed=0):
    return locals()


def option_in_the_place_of_temperature(messages, max_tokens, seed=0):
    return locals()


@pytest.mark.parametrize(
    "method",
    [without_temperature, keyword_only_without_temperature, option_in_the_place_of_temperature],
    ids=lambda method: method.__name__,
)
def test_an_adapter_without_a_temperature_is_asked_without_one(method):
    adapter, seen = adapter_with(method, asynchronous=False)
    assert ask(adapter, HELLO, 16, 0.5).text == "ok"
    assert seen == {"messages": HELLO, "max_tokens": 16} | ({"seed": 0} if "seed" in seen else {})


def test_an_adapter_without_a_limit_of_the_reply_is_refused_before_it_is_asked():
    class NoLimit:
        def complete(self, messages):
            raise AssertionError("asked")

    with pytest.raises(ConfigurationError, match=r"NoLimit\.complete takes no max_tokens"):
        ask(NoLimit())


def test_two_adapters_of_one_class_may_differ_in_signature():
    first, second = Own(None), Own(None)
    first.complete = lambda messages, *, max_tokens, temperature: f"keywords {max_tokens}"
    second.complete = lambda messages, limit, heat: f"places {limit}"
    assert [ask(adapter).text for adapter in (first, second, first)] == ["keywords 16", "places 16", "keywords 16"]


def test_usage_objects_of_sdks_are_read():
    class SdkUsage:
        def model_dump(self):
            return {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}

    usage = ask(Own(lambda *_: ModelResponse("x", usage=SdkUsage()))).usage
    assert usage == Usage(input_tokens=5, output_tokens=2, cached_input_tokens=4)


def test_synchronous_adapters_work_in_a_forked_process():
    assert ask(Own("parent")).text == "parent"
    pid = os.fork()
    if pid == 0:
        try:
            response = asyncio.run(asyncio.wait_for(acomplete(Own("child"), HELLO, 16), 20))
            os._exit(0 if response.text == "child" else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# The scripted adapter


def test_rules_come_before_the_script_and_see_every_message():
    adapter = FakeAdapter(["first", "second"], rules=[("You are a sub-LLM", "from the rule")])
    sub = [{"role": "system", "content": "You are a sub-LLM."}, {"role": "user", "content": "hello"}]
    assert [ask(adapter).text, ask(adapter, sub).text, ask(adapter).text] == ["first", "from the rule", "second"]
    assert adapter.calls[1].messages == sub


def test_rules_are_literal_unless_they_are_regular_expressions():
    adapter = FakeAdapter()
    adapter.add_rule("a.c", "literal")
    adapter.add_rule(r"h.llo", "expression", regex=True)
    adapter.add_rule(re.compile("BYE", re.IGNORECASE), "compiled")
    assert ask(adapter, [{"role": "user", "content": "abc a.c"}]).text == "literal"
    assert ask(adapter).text == "expression"
    assert ask(adapter, [{"role": "user", "content": "bye"}]).text == "compiled"
    with pytest.raises(ConfigurationError, match="no valid regular expression"):
        adapter.add_rule("(", "x", regex=True)


def test_replies_may_be_responses_exceptions_and_functions():
    whole = ModelResponse("cut", finish_reason="length")
    adapter = FakeAdapter([whole, ValueError("boom"), lambda messages: messages[-1]["content"].upper()])
    assert ask(adapter) is whole
    with pytest.raises(ModelError, match="boom"):
        ask(adapter)
    assert ask(adapter).text == "HELLO"
    with pytest.raises(ConfigurationError, match="a reply is of type int"):
        ask(FakeAdapter([5]))


def test_a_script_that_is_used_up_says_so_and_loses_no_call():
    adapter = FakeAdapter(["one", "two"], rules=[("never", "x")])
    ask(adapter)
    ask(adapter, seed=3)
    with pytest.raises(ConfigurationError, match=r"call 3: 1 rules, none matches, and the 2 replies .* used up.*hello"):
        ask(adapter)
    assert [call.options for call in adapter.calls] == [{}, {"seed": 3}, {}]
    with pytest.raises(ConfigurationError, match=r"write \[reply\]"):
        FakeAdapter("one")


def test_calls_keep_the_messages_as_they_were():
    adapter, messages = FakeAdapter(["x"]), [{"role": "user", "content": "before"}]
    ask(adapter, messages, 99, 0.3)
    messages[0]["content"] = "after"
    assert adapter.calls[0] == ([{"role": "user", "content": "before"}], 99, 0.3, {})


@given(st.text(), st.text())
def test_scripted_usage_is_counted_the_same_each_time(prompt, reply):
    message = [{"role": "user", "content": prompt}]
    first, second = (FakeAdapter([reply]).complete(message, 16, None).usage for _ in range(2))
    assert first == second
    assert first.input_tokens * 4 >= len(prompt) > (first.input_tokens - 1) * 4
    assert first.output_tokens * 4 >= len(reply) > (first.output_tokens - 1) * 4


def test_a_script_serves_threads_and_loops_without_loss():
    adapter = FakeAdapter(map(str, range(200)))
    replies: list[str] = []

    async def main():
        replies.extend(r.text for r in await asyncio.gather(*(acomplete(adapter, HELLO, 16) for _ in range(50))))

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, replies)) == list(range(200))


# Refusals of prompts that are too long, as providers word them

REFUSALS = [
    ("This model's maximum context length is 8192 tokens. However, your messages resulted in 9012 tokens.", 8192),
    ("Error code: context_length_exceeded", None),
    ("Your input exceeds the context window of this model. Please adjust your input and try again.", None),
    ("request (2391 tokens) exceeds the available context size (2048 tokens), try increasing it", 2048),
    ('{"message": "too long", "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 4096}', 4096),
    ("prompt is too long: 212,345 tokens > 200,000 maximum", 200_000),
    ("The input token count (1196265) exceeds the maximum number of tokens allowed (1048576).", 1_048_576),
    ("`inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5000 `inputs` tokens", 4097),
    ("Please reduce the length of the messages or completion.", None),
    ("The decoder prompt (length 40960) is longer than the maximum model length of 32768.", 32_768),
    ("Input is too long for requested model.", None),
    ("This endpoint's maximum context length is 128000 tokens. However, you requested about 150000 tokens", 128_000),
    ("the input length exceeds the context length", None),
]


@pytest.mark.parametrize(("text", "limit"), REFUSALS)
def test_refusals_of_long_prompts_are_known_with_their_limit(text, limit):
    assert is_context_length(text)
    assert context_limit(text) == limit


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.",
        "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 31000.",
        "Invalid value: 'context'",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "The server is overloaded",
    ],
)
def test_other_refusals_are_not_taken_for_long_prompts(text):
    assert not is_context_length(text)


def test_public_names_are_sorted_and_all_there():
    import pyrlm.adapters

    names = pyrlm.adapters.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert dir(pyrlm.adapters) == sorted(names)
    assert all(
        getattr(pyrlm.adapters, name).__module__.startswith("pyrlm.adapters.") for name in names if name != "PRESETS"
    )
    with pytest.raises(AttributeError, match="no attribute 'OpenAIAdapter'"):
        pyrlm.adapters.OpenAIAdapter  # noqa: B018
    assert type(pyrlm.adapters.get_adapter("extractive:")) is pyrlm.adapters.ExtractiveAdapter
    with pytest.raises(ConfigurationError, match='write "extractive"'):
        pyrlm.adapters.get_adapter("extractive:x")


def test_a_model_may_be_named_wherever_one_is_taken(monkeypatch):
    from openai_server import LoopbackServer

    from pyrlm import RLM, SmartRouter
    from pyrlm.adapters import FallbackAdapter

    def reply(body):
        if "sub-LLM" in body["messages"][0]["content"]:
            return body["model"]
        if "You are a sub-agent" in body["messages"][1]["content"]:
            return f"FINAL: {body['model']}"
        code = "a, b = llm_query('x'), llm_query('x', model='other')\nc = rlm_query('y', P[:9])\nr = [a, b, c]"
        return f"```python\n{code}\n```" if len(body["messages"]) == 2 else "FINAL_VAR: r"

    with LoopbackServer(reply) as server:
        monkeypatch.setenv("VLLM_BASE_URL", server.url)
        models = {
            "subcall_adapter": "vllm:sub",
            "subcall_models": {"other": "vllm:other"},
            "subagent_adapters": ["vllm:agent"],
        }
        result = RLM("vllm:root", **models).run("q?", "a text of some words")
        assert result.value == ["sub", "other", "agent"]
        result = SmartRouter("vllm:root", **models).run(
            "q?", "a text of some words", route="rlm", profile="semantic_batches"
        )
        assert result.value == ["sub", "other", "agent"]
        assert RLM(FallbackAdapter(["vllm:root", "vllm:second"]), **models).run("q?", "words " * 9).value[0] == "sub"
    with pytest.raises(ConfigurationError, match="no provider is called 'nobody'"):
        RLM("nobody:x")
    with pytest.raises(ConfigurationError, match="expected a list of models"):
        RLM("vllm:root", subagent_adapters="vllm:agent")


def test_a_name_is_asked_like_an_adapter():
    messages = [
        {"role": "user", "content": "<text>\nThe warranty lasts two years.\n</text>\nHow long does the warranty last?"}
    ]

    async def main():
        return [item async for item in astream("extractive:", messages, 50)]

    assert asyncio.run(acomplete("extractive:", messages, 50)).model == "extractive"
    assert asyncio.run(main())[-1].model == "extractive"
    with pytest.raises(ConfigurationError, match="no provider is called"):
        asyncio.run(acomplete("nobody:", messages, 50))
