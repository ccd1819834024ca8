"""Outages, quotas and wrong keys of commands and of adapters of one's own, told by class, status and words."""

from __future__ import annotations

import asyncio
import socket
import urllib.error

import anthropic
import httpx2
import openai
import pytest
from openai_server import LoopbackServer, Status

from pyrlm import SmartRouter
from pyrlm.adapters import CommandAdapter, FakeAdapter, FallbackAdapter, OpenAICompatAdapter, acomplete
from pyrlm.errors import (
    AuthenticationError,
    ConfigurationError,
    ContextLengthError,
    ModelError,
    ModelUnavailableError,
    RateLimitError,
)

HELLO = [{"role": "user", "content": "hello"}]
REQUEST = httpx2.Request("POST", "http://127.0.0.1:9/v1")


def saying(text, code=1):
    return CommandAdapter(["sh", "-c", f"printf '%s' \"$SAID\" >&2; exit {code}"], env={"SAID": text}, model="cli")


class Own:
    """An adapter that fails."""

    model = "own"

    def __init__(self, error):
        self.error = error

    def complete(self, messages, max_tokens):
        raise self.error


def ask(adapter, **options):
    return asyncio.run(acomplete(adapter, HELLO, 16, None, **options))


def response(status):
    return httpx2.Response(status, request=REQUEST)


def caused(error, cause):
    error.__cause__ = cause
    return error


LIMITED = [
    "Claude AI usage limit reached|1749924000",
    "You've hit your session limit · resets 3pm",
    "5-hour limit reached ∙ resets 7pm",
    "Error: Quota exceeded for quota metric 'Gemini 2.5 Pro Requests'",
    '{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}',
    "You exceeded your current quota, please check your plan and billing details.",
    "stream error: 429 Too Many Requests",
    "Your credit balance is too low to access the Anthropic API",
    "An error occurred (ThrottlingException) when calling the InvokeModel operation",
    "HTTP 429",
]
OUT = [
    "529 overloaded",
    'API Error: 529 {"type":"error","error":{"type":"overloaded_error"}}',
    "API Error: 500 internal",
    "503 Service Unavailable",
    "status code: 502",
    "Error: connect ECONNREFUSED 127.0.0.1:11434",
    "could not connect to ollama app, is it running?",
    "curl: (7) Failed to connect to localhost port 1: Connection refused",
    "TypeError: fetch failed",
    "Temporary failure in name resolution",
    "API Error (Request timed out.)",
]
NO_KEY = ["Invalid API key · Please run /login", "Error: 401 Unauthorized", "authentication_error: invalid x-api-key"]
OTHER = [
    "unknown option --modell",
    "Traceback (most recent call last): KeyError: 'text'",
    "wrote 503 lines",
    "error in line 429 of the template",
    "",
]
TEXTS = [
    *((text, RateLimitError) for text in LIMITED),
    *((text, ModelUnavailableError) for text in OUT),
    *((text, AuthenticationError) for text in NO_KEY),
    *((text, ModelError) for text in OTHER),
    ("API Error: 400 prompt is too long: 210000 tokens > 200000 maximum", ContextLengthError),
]


@pytest.mark.parametrize(("text", "kind"), TEXTS)
def test_a_command_says_why_it_failed(text, kind):
    with pytest.raises(ModelError) as caught:
        ask(saying(text))
    assert type(caught.value) is kind
    assert text[:60] in str(caught.value)


@pytest.mark.parametrize(("text", "kind"), TEXTS)
def test_an_exception_says_why_it_was_raised(text, kind):
    with pytest.raises(ModelError) as caught:
        ask(Own(RuntimeError(text)))
    assert type(caught.value) is kind


ERRORS = {
    "openai 429": (lambda: openai.RateLimitError("no", response=response(429), body=None), RateLimitError, 429),
    "openai 503": (
        lambda: openai.InternalServerError("no", response=response(503), body=None),
        ModelUnavailableError,
        503,
    ),
    "openai 401": (
        lambda: openai.AuthenticationError("no", response=response(401), body=None),
        AuthenticationError,
        401,
    ),
    "openai 400": (lambda: openai.BadRequestError("no", response=response(400), body=None), ModelError, 400),
    "openai connection": (lambda: openai.APIConnectionError(request=REQUEST), ModelUnavailableError, None),
    "openai time-out": (lambda: openai.APITimeoutError(request=REQUEST), ModelUnavailableError, None),
    "anthropic 529": (
        lambda: anthropic.InternalServerError("no", response=response(529), body=None),
        ModelUnavailableError,
        529,
    ),
    "httpx": (lambda: httpx2.ConnectError("no", request=REQUEST), ModelUnavailableError, None),
    "httpx 502": (
        lambda: httpx2.HTTPStatusError("no", request=REQUEST, response=response(502)),
        ModelUnavailableError,
        502,
    ),
    "urllib 429": (lambda: urllib.error.HTTPError("http://x", 429, "no", {}, None), RateLimitError, 429),
    "urllib": (lambda: urllib.error.URLError("no"), ModelUnavailableError, None),
    "OSError": (lambda: OSError(113, "No such host"), ModelUnavailableError, None),
    "gaierror": (lambda: socket.gaierror(-2, "unknown"), ModelUnavailableError, None),
    "TimeoutError": (TimeoutError, ModelUnavailableError, None),
    "caused": (
        lambda: caused(RuntimeError("it failed"), ConnectionResetError(104, "reset")),
        ModelUnavailableError,
        None,
    ),
    "a file": (lambda: FileNotFoundError(2, "No such file", "prompt.txt"), ModelError, None),
    "a disk": (lambda: OSError(28, "No space left", "prompt.txt"), ModelError, None),
    "a bug": (lambda: KeyError("text"), ModelError, None),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_exception_is_read_by_class_and_status(case):
    make, kind, status = ERRORS[case]
    with pytest.raises(ModelError) as caught:
        ask(Own(make()))
    assert type(caught.value) is kind
    assert caught.value.status == status


@pytest.mark.parametrize(
    "first",
    [
        lambda: saying("Claude AI usage limit reached"),
        lambda: saying("529 overloaded"),
        lambda: Own(openai.RateLimitError("no", response=response(429), body=None)),
        lambda: Own(openai.APIConnectionError(request=REQUEST)),
        lambda: Own(OSError(113, "No route")),
        lambda: Own(TimeoutError()),
    ],
)
def test_the_next_model_is_asked_where_a_command_or_an_adapter_of_ones_own_is_out(first):
    reply = ask(FallbackAdapter([first(), FakeAdapter(["here"], model="two")]))
    assert (reply.text, reply.answered_by) == ("here", "two")


# Options that not every model takes


def with_a_command(server, first="42"):
    return FallbackAdapter(
        [
            OpenAICompatAdapter("gpt-4.1", base_url=server.url, api_key="none", retry_seconds=0, context_window=99_000),
            CommandAdapter(["sh", "-c", f"echo {first}"], context_window=99_000),
        ]
    )


@pytest.mark.parametrize("down", [False, True])
def test_a_schema_is_answered_beside_a_model_that_takes_no_options(down):
    with LoopbackServer(lambda _: Status(503, "down") if down else "41") as server:
        result = SmartRouter(with_a_command(server)).run("What number?", "The number is 42.", output_schema=int)
    assert result.value == (42 if down else 41)
    assert "response_format" in server.bodies[0]


def test_an_option_that_a_model_does_not_take_is_told_before_any_is_asked():
    with LoopbackServer() as server, pytest.raises(ConfigurationError, match="CommandAdapter doesn't take 'seed'"):
        ask(with_a_command(server), seed=7)
    assert server.count == 0
