"""The adapters over HTTP: the real SDK against a real server on loopback, with its faults."""

from __future__ import annotations

import asyncio
import io
import logging
import subprocess
import sys
import threading
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import openai
import pytest
from openai_server import Cut, Drip, Drop, LoopbackServer, Raw, Reply, Stall, Status, rate_limited, too_long

from pyrlm.adapters import (
    PRESETS,
    AzureOpenAIAdapter,
    GenericChatAdapter,
    ModelResponse,
    OpenAICompatAdapter,
    Usage,
    acomplete,
    base,
    failures,
    get_adapter,
    retrying,
)
from pyrlm.errors import (
    AuthenticationError,
    BadReplyError,
    ConfigurationError,
    ContextLengthError,
    ModelError,
    ModelUnavailableError,
    RateLimitError,
)

HELLO = [{"role": "user", "content": "hello"}]
KEY = "sk-loopback-0123456789"
VARIABLES = [
    name
    for prefix in ("LLM", "OPENAI", "AZURE_OPENAI", "OPENROUTER", "OLLAMA")
    for name in (f"{prefix}_API_KEY", f"{prefix}_BASE_URL", f"{prefix}_ENDPOINT", f"{prefix}_API_VERSION")
] + ["AZURE_ACCOUNT_NAME", "HF_TOKEN", "GEMINI_API_KEY", "TOGETHER_API_KEY", "FIREWORKS_API_KEY"]


@pytest.fixture(autouse=True)
def _no_keys_and_short_waits(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(failures, "FIRST_WAIT", 0.01)


def adapter_for(server, **options):
    return OpenAICompatAdapter("test-model", **{"base_url": server.url, "api_key": KEY, **options})


def ask(adapter, messages=HELLO, max_tokens=16, temperature=None, **options):
    return asyncio.run(acomplete(adapter, messages, max_tokens, temperature, **options))


def ask_and_note(adapter, **options):
    """The reply, and the retries that were told while it was fetched."""
    told = []

    async def main():
        base.on_retry.set(told.append)
        return await acomplete(adapter, HELLO, 16, None, **options)

    return asyncio.run(main()), told


async def until(reached):
    while not reached():  # noqa: ASYNC110 - the server runs on another loop, in another thread
        await asyncio.sleep(0.01)


# The request and the reply


def test_the_request_is_the_protocols_and_the_reply_is_read():
    with LoopbackServer(["four"]) as server:
        reply = ask(adapter_for(server), [{"role": "system", "content": "ü"}, *HELLO], 9, 0.5)
    request = server.requests[0]
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "test-model",
        "messages": [{"role": "system", "content": "ü"}, *HELLO],
        "max_tokens": 9,
        "temperature": 0.5,
    }
    assert reply == ModelResponse(
        "four", usage=Usage(input_tokens=2, output_tokens=1), finish_reason="stop", model="test-model"
    )


def test_options_pass_through_over_the_default_ones():
    with LoopbackServer() as server:
        adapter = adapter_for(server, default_options={"seed": 1, "stop": ["x"]}, default_headers={"x-team": "search"})
        ask(
            adapter,
            seed=2,
            reasoning_effort="low",
            extra_body={"top_k": 4},
            extra_headers={"x-run": "7"},
            extra_query={"q": "1"},
        )
    request = server.requests[0]
    sent = {name: value for name, value in request.body.items() if name not in {"model", "messages", "max_tokens"}}
    assert sent == {"seed": 2, "stop": ["x"], "reasoning_effort": "low", "top_k": 4}
    assert (request.headers["x-team"], request.headers["x-run"], request.query) == ("search", "7", {"q": "1"})


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (Reply(None), ModelResponse("", usage=Usage(input_tokens=2), finish_reason="stop", model="test-model")),
        (Reply("x", usage=None), ModelResponse("x", finish_reason="stop", model="test-model")),
        (
            Reply([{"type": "text", "text": "a"}, {"type": "output_text", "text": "b"}, "c"], usage=None),
            ModelResponse("abc", finish_reason="stop", model="test-model"),
        ),
        (
            Reply(None, usage=None, refusal="I can't help with that.", finish_reason="content_filter"),
            ModelResponse("", finish_reason="content_filter", model="test-model", refusal="I can't help with that."),
        ),
        (
            Reply(
                "cut",
                usage={"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": 5},
                finish_reason="length",
            ),
            ModelResponse(
                "cut",
                usage=Usage(input_tokens=12, output_tokens=3, cached_input_tokens=5),
                finish_reason="length",
                model="test-model",
            ),
        ),
        ({"choices": [{"message": {"content": "bare"}}]}, ModelResponse("bare")),
        ({"choices": [{"message": {"content": "odd"}}], "usage": "none", "model": 7}, ModelResponse("odd")),
    ],
)
def test_replies_of_every_shape_are_read(sent, expected):
    with LoopbackServer([sent]) as server:
        assert ask(adapter_for(server)) == expected


def test_text_that_is_no_unicode_goes_out_and_comes_in_without_breaking():
    with LoopbackServer([Raw(b'{"choices": [{"message": {"content": "\\ud83d\\ude00 \\ud83d"}}]}')]) as server:
        reply = ask(adapter_for(server), [{"role": "user", "content": "half a pair: \udc80"}])
    assert server.bodies[0]["messages"][0]["content"] == "half a pair: \ufffd"
    assert reply.text == "\U0001f600 \ufffd"


def test_parameters_that_a_model_refuses_are_learned_once():
    with LoopbackServer(refuse=["max_tokens", "temperature"]) as server:
        adapter = adapter_for(server)
        first, told = ask_and_note(adapter)
        for _ in range(2):
            assert ask(adapter, temperature=0.0).text == "ok"
    assert (first.text, told) == ("ok", [])
    assert [set(body) - {"model", "messages"} for body in server.bodies] == [
        {"max_tokens"},
        {"max_completion_tokens"},
        {"max_completion_tokens", "temperature"},
        {"max_completion_tokens"},
        {"max_completion_tokens"},
    ]


def test_many_first_calls_at_once_learn_the_same():
    async def main(adapter):
        return await asyncio.gather(*(acomplete(adapter, HELLO, 16, 0.0) for _ in range(8)))

    with LoopbackServer(refuse=["max_tokens", "temperature"]) as server:
        replies = asyncio.run(main(adapter_for(server)))
    assert [reply.text for reply in replies] == ["ok"] * 8


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.",
        "Invalid 'max_tokens': integer below minimum value.",
    ],
)
def test_another_refusal_of_max_tokens_is_not_taken_for_an_unknown_parameter(message):
    reply = Status(400, message, code="invalid_value", param="max_tokens")
    with LoopbackServer([reply]) as server, pytest.raises(ModelError, match=message[:20]):
        ask(adapter_for(server))
    assert len(server.requests) == 1


def test_a_server_that_knows_neither_name_is_not_asked_for_ever():
    with LoopbackServer(refuse=["max_tokens", "max_completion_tokens"]) as server, pytest.raises(ModelError):
        ask(adapter_for(server))
    assert len(server.requests) == 2


def test_reasoning_models_of_openai_start_with_the_newer_parameter():
    assert "max_completion_tokens" in OpenAICompatAdapter("gpt-5-mini", api_key=KEY)._body(HELLO, 5, None, {})
    assert "max_completion_tokens" in OpenAICompatAdapter("o3", api_key=KEY)._body(HELLO, 5, None, {})
    assert "max_tokens" in OpenAICompatAdapter("gpt-4.1", api_key=KEY)._body(HELLO, 5, None, {})
    assert "max_tokens" in OpenAICompatAdapter("o3", base_url="http://localhost:1/v1")._body(HELLO, 5, None, {})


# Faults that pass

PASSING = {
    "429": rate_limited(0.01),
    "429 in milliseconds": rate_limited(10, milliseconds=True),
    "429 with a date": rate_limited(format_datetime(datetime.now(UTC) - timedelta(seconds=5), usegmt=True)),
    "429 with nonsense": rate_limited("soon"),
    "408": Status(408, "Request Timeout"),
    "409": Status(409, "Conflict"),
    "500": Status(500, "The server had an error"),
    "503 as a page": Raw(b"<html>Service Unavailable</html>", status=503, content_type="text/html"),
    "failure behind a gateway": {"error": {"message": "Provider returned error", "code": 502}},
    "dropped": Drop(),
    "dropped after the headers": Drop("headers"),
    "dropped half-way": Drop("half"),
    "cut JSON": Cut(),
    "malformed JSON": Raw(b'{"choices": [}'),
    "empty body": Raw(b""),
    "no text": Raw(b"\xff\xfe\x00"),
    "a page": Raw(b"<html>Sign in to the hotel's network</html>", content_type="text/html"),
    "no choices": {"choices": [], "usage": {"prompt_tokens": 4}},
    "null": Raw(b"null"),
    "no message": {"choices": [{"index": 0}]},
    "stalled": Stall(20),
    "dripping": Drip(20),
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_costs_one_more_request_and_is_told(fault):
    with LoopbackServer([PASSING[fault], "answer"]) as server:
        reply, told = ask_and_note(adapter_for(server, timeout=0.4 if fault in {"stalled", "dripping"} else 20))
    assert reply.text == "answer"
    assert len(server.requests) == 2
    assert [retry.attempt for retry in told] == [1]
    assert "test-model" in told[0].reason
    assert told[0].delay >= 0


def test_retry_after_is_heeded_before_the_next_request():
    with LoopbackServer([rate_limited(0.3), "answer"]) as server:
        reply, told = ask_and_note(adapter_for(server))
    assert reply.text == "answer"
    assert told[0].delay >= 0.3
    assert server.requests[1].time - server.requests[0].time >= 0.3


# Faults that don't

LASTING = {
    "401": (Status(401, "Incorrect API key provided"), AuthenticationError, "Set LLM_API_KEY or OPENAI_API_KEY"),
    "403": (Status(403, "You don't have access"), AuthenticationError, "Set LLM_API_KEY or OPENAI_API_KEY"),
    "404": (Status(404, "The model does not exist"), ModelError, r"'test-model' at http://127\.0\.0\.1.* answered 404"),
    "400": (Status(400, "Invalid 'stop'"), ModelError, "Invalid 'stop'"),
    "402": (Status(402, "Insufficient credits"), RateLimitError, "quota or credit used up"),
    "quota": (Status(429, "You exceeded your quota", code="insufficient_quota"), RateLimitError, "quota"),
    "long wait": (rate_limited(3600), RateLimitError, r"asks to wait 3600 s; retry_seconds=120 leaves 120 s"),
    "too long": (too_long(8192), ContextLengthError, "the prompt is too long"),
    "413": (Raw(b"<h1>413 Payload Too Large</h1>", status=413), ContextLengthError, "the prompt is too long"),
    "told not to": (Status(503, "gone", headers={"x-should-retry": "false"}), ModelError, "gone"),
}


@pytest.mark.parametrize("fault", LASTING)
def test_a_fault_that_stays_is_not_asked_again(fault):
    reply, kind, words = LASTING[fault]
    with LoopbackServer([reply, "never sent"]) as server, pytest.raises(kind, match=words) as caught:
        ask(adapter_for(server))
    assert type(caught.value) is kind
    assert len(server.requests) == 1
    assert (caught.value.model, caught.value.attempts) == ("test-model", 1)
    assert caught.value.__cause__ is None


def test_refusals_of_long_prompts_carry_the_limit():
    llama = Status(400, "too long", type="exceed_context_size_error", extra={"n_prompt_tokens": 9000, "n_ctx": 4096})
    with LoopbackServer([too_long(8192), llama]) as server:
        adapter = adapter_for(server)
        for limit in (8192, 4096):
            with pytest.raises(ContextLengthError) as caught:
                ask(adapter)
            assert (caught.value.limit, caught.value.status) == (limit, 400)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Status(503, "overloaded"), ModelUnavailableError),
        (rate_limited(), RateLimitError),
        (Drop(), ModelUnavailableError),
    ],
)
def test_repeating_ends_with_the_retry_time_and_says_how_often(fault, kind):
    with LoopbackServer(lambda _: fault) as server, pytest.raises(kind, match=r"requests in \d") as caught:
        ask(adapter_for(server, retry_seconds=0.15))
    assert len(server.requests) == caught.value.attempts > 1


def test_no_repeats_where_none_are_wanted():
    with LoopbackServer([Status(503, "overloaded"), "never sent"]) as server, pytest.raises(ModelUnavailableError):
        ask(adapter_for(server, retry_seconds=0))
    assert len(server.requests) == 1


def test_a_garbled_reply_is_asked_for_once_more_only():
    replies = [Raw(b"{"), Raw(b"<html>"), "never sent"]
    with LoopbackServer(replies) as server, pytest.raises(BadReplyError, match="is no JSON: <html>") as caught:
        ask(adapter_for(server))
    assert (len(server.requests), caught.value.attempts) == (2, 2)


def test_a_server_that_is_not_there_is_named():
    with LoopbackServer() as server:
        adapter = adapter_for(server, retry_seconds=0.05)
    with pytest.raises(ModelUnavailableError, match=r"no server answers at http://127\.0\.0\.1.*Is it running"):
        ask(adapter)


def test_a_server_that_is_not_there_is_given_up_long_before_the_retry_time(monkeypatch):
    monkeypatch.setattr(retrying, "_BRIEFLY_SECONDS", 0.05)
    with LoopbackServer() as server:
        adapter = adapter_for(server)
    with pytest.raises(ModelUnavailableError, match="no server answers"):
        asyncio.run(asyncio.wait_for(acomplete(adapter, HELLO, 16), 20))


def test_a_server_that_is_being_started_is_waited_for():
    with LoopbackServer() as server:
        adapter, port = adapter_for(server), server._port

    async def main():
        task = asyncio.create_task(acomplete(adapter, HELLO, 16))
        await asyncio.sleep(0.05)
        with LoopbackServer(["up"], port=port):
            return (await task).text

    assert asyncio.run(asyncio.wait_for(main(), 20)) == "up"


def test_a_connection_that_the_server_closed_meanwhile_costs_no_answer():
    async def main():
        with LoopbackServer(["before"]) as server:
            adapter = adapter_for(server)
            texts = [(await acomplete(adapter, HELLO, 16)).text]
        with LoopbackServer(["after"], port=server._port):
            return [*texts, (await acomplete(adapter, HELLO, 16)).text]

    assert asyncio.run(main()) == ["before", "after"]


def test_a_cancelled_call_leaves_no_request_behind():
    async def main(server):
        adapter = adapter_for(server)
        task = asyncio.create_task(acomplete(adapter, HELLO, 16))
        await until(lambda: server.in_flight)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not server.in_flight)
        return len(server.requests), (await acomplete(adapter, HELLO, 16)).text

    with LoopbackServer([Stall(60), "next"]) as server:
        assert asyncio.run(asyncio.wait_for(main(server), 20)) == (1, "next")


def test_a_cancelled_wait_between_requests_ends_at_once():
    async def main(server):
        task = asyncio.create_task(acomplete(adapter_for(server), HELLO, 16))
        await until(lambda: server.requests)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with LoopbackServer([rate_limited(60), "never sent"]) as server:
        asyncio.run(asyncio.wait_for(main(server), 20))
    assert len(server.requests) == 1


# Loops, threads, clients of one's own


def test_two_hundred_calls_over_loops_and_threads_lose_no_reply():
    async def fan_out(adapter):
        return await asyncio.gather(*(acomplete(adapter, HELLO, 16) for _ in range(25)))

    replies = []
    with LoopbackServer() as server:
        adapter = adapter_for(server)

        def work():
            for _ in range(2):
                replies.extend(asyncio.run(fan_out(adapter)))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [reply.text for reply in replies] == ["ok"] * 200
    assert len(server.requests) == 200
    assert not adapter._clients._held


def test_calls_at_once_are_on_the_wire_at_once():
    async def main(adapter):
        await asyncio.gather(*(acomplete(adapter, HELLO, 16) for _ in range(120)))

    async def reply(_):
        await until(lambda: server.max_in_flight == 120)
        return "all here"

    with LoopbackServer(reply) as server:
        asyncio.run(asyncio.wait_for(main(adapter_for(server)), 30))
        assert server.max_in_flight == 120


def test_an_adapter_that_was_closed_opens_again():
    async def main(adapter):
        await acomplete(adapter, HELLO, 16)
        await adapter.aclose()
        assert not adapter._clients._held
        await adapter.aclose()
        return (await acomplete(adapter, HELLO, 16)).text

    with LoopbackServer() as server:
        assert asyncio.run(main(adapter_for(server))) == "ok"


@pytest.mark.parametrize("make", [openai.AsyncOpenAI, openai.OpenAI])
def test_clients_of_ones_own_are_used_with_their_key_and_headers(make):
    with LoopbackServer([Status(500, "once"), "answer"], api_key=KEY) as server:
        client = make(api_key=KEY, base_url=server.url, default_headers={"x-mine": "1"}, max_retries=5)
        adapter = OpenAICompatAdapter("test-model", client=client)
        assert ask(adapter).text == "answer"
        assert server.requests[0].headers["x-mine"] == "1"
        assert adapter.endpoint == server.url
        with pytest.raises(ConfigurationError, match="base_url and client"):
            OpenAICompatAdapter("m", client=client, base_url=server.url)
        if make is openai.OpenAI:
            client.close()
    with pytest.raises(ConfigurationError, match=r"client=object: expected an openai\.AsyncOpenAI"):
        OpenAICompatAdapter("m", client=object())


def test_an_azure_client_of_ones_own_finds_its_deployment():
    with LoopbackServer() as server:
        client = openai.AsyncAzureOpenAI(api_key=KEY, azure_endpoint=server.origin, api_version="v1")
        ask(OpenAICompatAdapter("my-deployment", client=client))
    assert server.requests[0].path == "/openai/deployments/my-deployment/chat/completions"


SCRIPT = """
import asyncio, sys, threading
from pyrlm.adapters import OpenAICompatAdapter, acomplete
adapter = OpenAICompatAdapter("m", base_url=sys.argv[1], api_key="k-123456")
ticks = []
async def watch():
    while True:
        await asyncio.sleep(0.001)
        ticks.append("openai" in sys.modules and hasattr(sys.modules["openai"], "AsyncOpenAI"))
async def main():
    watcher = asyncio.create_task(watch())
    print((await acomplete(adapter, [{"role": "user", "content": "hi"}], 5)).text)
    watcher.cancel()
if sys.argv[2] == "run":
    asyncio.run(main())
    asyncio.run(main())
    print("blocked" if ticks.count(False) < 10 else "not-blocked")
else:
    loop = asyncio.new_event_loop()
    if sys.argv[2] == "thread":
        threading.Thread(target=loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(main(), loop).result()
    else:
        loop.run_until_complete(main())
"""


@pytest.mark.parametrize("way", ["run", "thread", "stopped"])
def test_a_process_ends_without_a_word_about_sessions_left_open(way):
    with LoopbackServer() as server:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "default::ResourceWarning", "-c", SCRIPT, server.url, way],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stdout.split() == (["ok", "ok", "not-blocked"] if way == "run" else ["ok"])
    # A loop that is never closed warns about itself; what is asserted is that no connection is left open.
    assert "nclosed client session" not in done.stderr
    assert "nclosed connector" not in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


def test_making_an_adapter_imports_the_sdk_in_the_background():
    code = (
        "import sys, pyrlm.adapters as a; x = a.OpenAICompatAdapter('m', api_key='k-123456'); "
        "import threading; print('openai' in sys.modules, [t.name for t in threading.enumerate()])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "pyrlm-import-openai" in out
    light = (
        "import sys, pyrlm.adapters; from pyrlm.adapters import FakeAdapter, acomplete; print('openai' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", light], capture_output=True, text=True, timeout=60, check=True).stdout
    assert out.strip() == "False"


# Keys


def test_where_the_key_and_the_address_come_from(monkeypatch):
    with LoopbackServer() as server:
        monkeypatch.setenv("LLM_BASE_URL", server.url + "/")
        monkeypatch.setenv("OPENAI_API_KEY", "from-openai-variable")
        ask(OpenAICompatAdapter("m"))
        monkeypatch.setenv("LLM_API_KEY", " from-llm-variable\n")
        ask(OpenAICompatAdapter("m"))
        ask(OpenAICompatAdapter("m", api_key="given-as-argument"))
    keys = [request.headers["authorization"].removeprefix("Bearer ") for request in server.requests]
    assert keys == ["from-openai-variable", "from-llm-variable", "given-as-argument"]


def test_a_missing_key_is_told_when_the_adapter_is_made():
    with pytest.raises(ConfigurationError, match="set LLM_API_KEY or OPENAI_API_KEY, or pass api_key"):
        OpenAICompatAdapter("gpt-4.1")
    for url in ("http://localhost:11434/v1", "http://10.0.0.7:8000/v1", "http://gpu-box/v1", "http://[::1]:1/v1"):
        OpenAICompatAdapter("m", base_url=url)
    with pytest.raises(ConfigurationError, match=r"no API key for https://api\.example\.com/v1"):
        OpenAICompatAdapter("m", base_url="https://api.example.com/v1")


@pytest.mark.parametrize("key", ["sk-abc\ndef", "sk-äöü", "two words", "   "])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(key):
    with pytest.raises(ConfigurationError, match="holds characters that no key has") as caught:
        OpenAICompatAdapter("m", api_key=key)
    assert key.strip() not in str(caught.value) or not key.strip()


@pytest.mark.parametrize("url", ["https://user:pw-secret@host/v1", "https://host/v1?key=pw-secret"])
def test_an_address_that_holds_a_key_is_refused_without_being_shown(url):
    with pytest.raises(ConfigurationError) as caught:
        OpenAICompatAdapter("m", base_url=url, api_key=KEY)
    assert "pw-secret" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["", "localhost:8000", "ftp://host/v1", "https://"])
def test_an_address_that_is_none_is_refused(wrong):
    with pytest.raises(ConfigurationError):
        GenericChatAdapter(base_url=wrong, payload_builder=dict, response_parser=str)


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"timeout": "5"}, {"retry_seconds": -1}, {"timeout": float("inf")}]
)
def test_time_limits_that_are_none_are_refused(options):
    with pytest.raises(ConfigurationError, match="expected a number of seconds"):
        OpenAICompatAdapter("m", api_key=KEY, **options)


def test_other_misuse_is_told():
    with pytest.raises(ConfigurationError, match="expected the name of a model"):
        OpenAICompatAdapter("", api_key=KEY)
    with pytest.raises(ConfigurationError, match="header 'x-a'"):
        OpenAICompatAdapter("m", api_key=KEY, default_headers={"x-a": "ü"})
    with LoopbackServer() as server:
        with pytest.raises(ConfigurationError, match="replies are read as a whole"):
            ask(adapter_for(server), stream=True)
        with pytest.raises(ConfigurationError, match="can't be written"):
            ask(adapter_for(server), stop={1, 2})


def test_the_key_is_in_no_message_log_or_repr(caplog):
    caplog.set_level(logging.DEBUG)
    leak = f"you sent Authorization: Bearer {KEY} and sk-in-a-header-77"
    faults = [Status(status, leak) for status in (400, 401, 404, 429, 500)] + [
        Raw(leak.encode()),
        Raw(("x" * 456 + leak).encode()),
        {"error": {"message": leak, "code": 400}},
        too_long(),
        Drop(),
    ]
    seen = io.StringIO()
    with LoopbackServer(lambda _: faults[len(server.requests) - 1]) as server:
        adapter = adapter_for(server, retry_seconds=0, default_headers={"x-api-key": "sk-in-a-header-77"})
        for _ in faults:
            with pytest.raises(ModelError) as caught:
                ask_and_note(adapter)
            seen.write("".join(traceback.format_exception(caught.value)) + repr(vars(caught.value)))
    with LoopbackServer([faults[4], "ok"]) as server:
        _, told = ask_and_note(adapter_for(server))
    seen.write(repr(told) + repr(adapter) + str(vars(adapter)) + caplog.text)
    text = seen.getvalue()
    assert "[secret]" in text
    assert KEY not in text
    assert KEY[:9] not in text
    assert "sk-in-a-header-77" not in text


# Azure, other APIs, short names


def test_azure_uses_its_own_paths_and_header(monkeypatch):
    with LoopbackServer([Status(500, "once"), "answer", too_long()], api_key=KEY) as server:
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_ENDPOINT", server.origin + "/")
        monkeypatch.setenv("AZURE_OPENAI_API_VERSION", "2025-01-01")
        adapter = AzureOpenAIAdapter("my-deployment", model="gpt-4.1", default_options={"seed": 3})
        assert ask(adapter).text == "answer"
        with pytest.raises(ContextLengthError):
            ask(adapter)
    request = server.requests[1]
    assert request.path == "/openai/deployments/my-deployment/chat/completions"
    assert request.query == {"api-version": "2025-01-01"}
    assert request.headers["api-key"] == KEY
    assert "authorization" not in request.headers
    assert (request.body["model"], request.body["seed"], adapter.model) == ("my-deployment", 3, "gpt-4.1")


def test_azure_takes_tokens_and_says_what_is_missing(monkeypatch):
    with LoopbackServer(api_key="a-token-of-entra") as server:
        ask(AzureOpenAIAdapter("d", endpoint=server.origin, token_provider=lambda: "a-token-of-entra"))
    with pytest.raises(ConfigurationError, match=r"set OPENAI_ENDPOINT .* or AZURE_ACCOUNT_NAME"):
        AzureOpenAIAdapter("d", api_key=KEY)
    monkeypatch.setenv("AZURE_ACCOUNT_NAME", "my-account")
    with pytest.raises(ConfigurationError, match="set AZURE_OPENAI_API_KEY"):
        AzureOpenAIAdapter("d")
    assert AzureOpenAIAdapter("d", api_key=KEY).endpoint == "https://my-account.openai.azure.com"


def test_azure_refusals_name_the_variable():
    words = "Set AZURE_OPENAI_API_KEY"
    with LoopbackServer(api_key="another") as server, pytest.raises(AuthenticationError, match=words) as caught:
        ask(AzureOpenAIAdapter("d", endpoint=server.origin, api_key=KEY))
    assert KEY not in str(caught.value)


def build(messages, max_tokens, temperature, **options):
    return {"prompt": messages[-1]["content"], "n": max_tokens, **options}


def test_other_apis_share_client_retries_and_errors():
    def parse(data):
        return ModelResponse(data["output"]["text"], usage=Usage.parse(data["meta"]))

    replies = [
        Status(503, "busy"),
        {"output": {"text": "hi"}, "meta": {"prompt_eval_count": 3, "eval_count": 2}},
        {"result": "another shape " + KEY},
        Status(401, "no"),
    ]
    with LoopbackServer(replies) as server:
        adapter = GenericChatAdapter(
            base_url=server.origin,
            path="/api/generate",
            payload_builder=build,
            response_parser=parse,
            headers={"x-api-key": KEY},
            model="other",
        )
        reply = ask(adapter, seed=1)
        with pytest.raises(BadReplyError, match=r"KeyError: 'output'.*another shape \[secret\]"):
            ask(adapter)
        with pytest.raises(AuthenticationError, match="Check the key that was passed"):
            ask(adapter)
    request = server.requests[1]
    assert (request.path, request.body) == ("/api/generate", {"prompt": "hello", "n": 16, "seed": 1})
    assert request.headers["x-api-key"] == KEY
    assert "authorization" not in request.headers
    assert reply == ModelResponse("hi", usage=Usage(input_tokens=3, output_tokens=2))
    assert len(server.requests) == 4


def test_other_apis_take_a_bearer_key_and_plain_text():
    with LoopbackServer([{"text": "hi"}, {"text": 5}]) as server:
        adapter = GenericChatAdapter(
            base_url=server.url, payload_builder=build, response_parser=lambda data: data["text"], api_key=KEY
        )
        assert ask(adapter).text == "hi"
        with pytest.raises(ConfigurationError, match="response_parser returned int"):
            ask(adapter)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("spec", "variables", "endpoint", "model"),
    [
        ("openai:gpt-4.1", {"OPENAI_API_KEY": KEY}, "https://api.openai.com/v1", "gpt-4.1"),
        ("OpenAI:gpt-4.1", {"LLM_API_KEY": KEY}, "https://api.openai.com/v1", "gpt-4.1"),
        ("gpt-4.1", {"OPENAI_API_KEY": KEY}, "https://api.openai.com/v1", "gpt-4.1"),
        ("llama3.2:3b", {"LLM_BASE_URL": "http://localhost:9/v1"}, "http://localhost:9/v1", "llama3.2:3b"),
        ("openai-compatible:m", {"LLM_BASE_URL": "http://localhost:9/v1"}, "http://localhost:9/v1", "m"),
        (
            "openrouter:openai/gpt-4.1:free",
            {"OPENROUTER_API_KEY": KEY},
            "https://openrouter.ai/api/v1",
            "openai/gpt-4.1:free",
        ),
        ("ollama:llama3.2:3b", {}, "http://localhost:11434/v1", "llama3.2:3b"),
        ("ollama:m", {"OLLAMA_BASE_URL": "http://box:1/v1"}, "http://box:1/v1", "m"),
        ("lmstudio:m", {}, "http://localhost:1234/v1", "m"),
        ("vllm:m", {}, "http://localhost:8000/v1", "m"),
        ("huggingface:org/m", {"HF_TOKEN": KEY}, "https://router.huggingface.co/v1", "org/m"),
        ("together:org/m", {"TOGETHER_API_KEY": KEY}, "https://api.together.xyz/v1", "org/m"),
        ("fireworks:m", {"FIREWORKS_API_KEY": KEY}, "https://api.fireworks.ai/inference/v1", "m"),
        ("groq:org/m", {"GROQ_API_KEY": KEY}, "https://api.groq.com/openai/v1", "org/m"),
        ("deepseek:m", {"DEEPSEEK_API_KEY": KEY}, "https://api.deepseek.com/v1", "m"),
        ("mistral:m", {"MISTRAL_API_KEY": KEY}, "https://api.mistral.ai/v1", "m"),
        ("xai:m", {"XAI_API_KEY": KEY}, "https://api.x.ai/v1", "m"),
        ("cerebras:m", {"CEREBRAS_API_KEY": KEY}, "https://api.cerebras.ai/v1", "m"),
        ("gemini:m", {"GOOGLE_API_KEY": KEY}, "https://generativelanguage.googleapis.com/v1beta/openai", "m"),
        ("azure:d", {"AZURE_OPENAI_API_KEY": KEY, "AZURE_ACCOUNT_NAME": "me"}, "https://me.openai.azure.com", "d"),
    ],
)
def test_short_names_find_the_provider(monkeypatch, spec, variables, endpoint, model):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    adapter = get_adapter(spec)
    assert (adapter.endpoint, adapter.model) == (endpoint, model)


def test_a_local_server_does_not_get_the_key_of_openai(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "belongs-to-openai")
    with LoopbackServer() as server:
        ask(get_adapter("ollama:m", base_url=server.url))
        ask(get_adapter("openai:m", base_url=server.url, default_options={"seed": 1}))
    assert [request.headers["authorization"] for request in server.requests] == [
        "Bearer none",
        "Bearer belongs-to-openai",
    ]


@pytest.mark.parametrize("provider", sorted(PRESETS))
def test_seed_stop_and_effort_reach_every_provider(provider):
    with LoopbackServer() as server:
        adapter = get_adapter(f"{provider}:m", base_url=server.url, api_key=KEY)
        ask(adapter, seed=7, stop=["x"], reasoning_effort="low")
    body = server.bodies[0]
    assert (body["random_seed" if provider == "mistral" else "seed"], body["stop"], body["reasoning_effort"]) == (
        7,
        ["x"],
        "low",
    )


def test_thinking_in_a_reply_is_not_sent_back():
    said = [*HELLO, {"role": "assistant", "content": "<think>secret</think>\n\nan `<think>answer</think>`"}, *HELLO]
    with LoopbackServer() as server:
        ask(adapter_for(server), said)
    assert [m["content"] for m in server.bodies[0]["messages"]] == ["hello", "an `<think>answer</think>`", "hello"]


def test_short_names_that_are_none_say_what_there_is():
    with pytest.raises(
        ConfigurationError, match=r"no provider is called 'opnai'; there are anthropic:, azure:, .*ollama:.*vllm:"
    ):
        get_adapter("opnai:gpt-4.1")
    with pytest.raises(ConfigurationError, match='write "openai:NAME"'):
        get_adapter("openai:")
    with pytest.raises(ConfigurationError, match="set LLM_BASE_URL"):
        get_adapter("openai-compatible:m")
    with pytest.raises(ConfigurationError, match="set OPENROUTER_API_KEY"):
        get_adapter("openrouter:m")
    with pytest.raises(ConfigurationError, match='expected "provider:model"'):
        get_adapter("  ")


def test_adapters_that_are_dropped_close_their_connections():
    code = (
        "import asyncio, gc, sys\n"
        "from pyrlm.adapters import OpenAICompatAdapter\n"
        "async def main():\n"
        "    for _ in range(3):\n"
        "        adapter = OpenAICompatAdapter('m', base_url=sys.argv[1], api_key='test-key')\n"
        "        asks = (adapter.acomplete([{'role': 'user', 'content': 'x'}], 5, None) for _ in range(20))\n"
        "        await asyncio.gather(*asks)\n"
        "        del adapter, asks\n"
        "        gc.collect()\n"
        "        await asyncio.sleep(0.01)\n"
        "asyncio.run(main())\n"
    )
    with LoopbackServer() as server:
        ran = subprocess.run(
            [sys.executable, "-c", code, server.url], capture_output=True, text=True, timeout=60, check=False
        )
    assert ran.returncode == 0, ran.stderr
    assert "Unclosed" not in ran.stderr
