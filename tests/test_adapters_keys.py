"""Keys, wherever they are given: a server or a command that echoes them puts them into no error, trace, file or log."""

from __future__ import annotations

import asyncio
import logging
import pickle
import secrets
import traceback

import anthropic
import openai
import pytest
from anthropic_server import AnthropicServer
from openai_server import Broken, LoopbackServer, Raw, Status

from pyrlm import RLM
from pyrlm.adapters import (
    AnthropicAdapter,
    AzureOpenAIAdapter,
    CommandAdapter,
    GenericChatAdapter,
    OpenAICompatAdapter,
    acomplete,
    astream,
    failures,
)
from pyrlm.errors import ConfigurationError, ModelError, PyRLMError

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(failures, "FIRST_WAIT", 0.01)


@pytest.fixture
def key():
    """A key that nothing in this process has registered."""
    return f"sk-{secrets.token_hex(12)}"


async def later(value):
    return value


def compatible(server, **options):
    return OpenAICompatAdapter(
        "m", **({"base_url": server.url, "api_key": "none", "context_window": 9000, "retry_seconds": 0} | options)
    )


def by_client(server, kind=openai.AsyncOpenAI, **options):
    client = kind(**({"base_url": server.url, "api_key": "none"} | options))
    return OpenAICompatAdapter("m", client=client, context_window=9000, retry_seconds=0)


def azure(server, **options):
    return AzureOpenAIAdapter("m", endpoint=server.origin, context_window=9000, retry_seconds=0, **options)


def generic(server, **options):
    return GenericChatAdapter(
        base_url=server.url,
        payload_builder=lambda messages, *_, **options: {"messages": messages, **options},
        response_parser=lambda data: data["choices"][0]["message"]["content"],
        context_window=9000,
        **options,
    )


def with_login(server, key):
    return server.url.replace("http://", f"http://user:{key}@")


PLACES = {
    "api_key": lambda server, key: compatible(server, api_key=key),
    "header": lambda server, key: compatible(server, default_headers={"X-Gateway-Key": key}),
    "credential": lambda server, key: compatible(server, default_headers={"X-Credential": key}),
    "pass": lambda server, key: compatible(server, default_headers={"x-pass": key}),
    "extra_headers": lambda server, key: compatible(
        server, default_options={"extra_headers": {"Authorization": f"Bearer {key}"}}
    ),
    "extra_query": lambda server, key: compatible(server, default_options={"extra_query": {"key": key}}),
    "extra_body": lambda server, key: compatible(
        server, default_options={"extra_body": {"provider": {"api_key": key}}}
    ),
    "azure": lambda server, key: azure(server, api_key=key),
    "token_provider": lambda server, key: azure(server, token_provider=lambda: key),
    "async token_provider": lambda server, key: azure(server, token_provider=lambda: later(key)),
    "client": lambda server, key: by_client(server, api_key=key),
    "client's headers": lambda server, key: by_client(server, default_headers={"Authorization": f"Bearer {key}"}),
    "client's query": lambda server, key: by_client(server, default_query={"key": key}),
    "client's function": lambda server, key: by_client(server, api_key=lambda: later(key)),
    "plain client's function": lambda server, key: by_client(server, openai.OpenAI, api_key=lambda: key),
    "client's address": lambda server, key: by_client(server, base_url=with_login(server, key)),
    "generic": lambda server, key: generic(server, headers={"x-token": key}),
    "path": lambda server, key: generic(server, path=f"/generate?key={key}"),
}


def refusing(key):
    """A model whose provider tells the key that it was sent."""
    return lambda _: Status(401, f"this key may not: {key}")


def links(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def shown(error):
    yield from (str(error), repr(error), "".join(traceback.format_exception(error)))
    yield repr(pickle.loads(pickle.dumps(error)).__dict__)
    for link in links(error):
        request = getattr(link, "request", None)
        yield from (str(link), str(request.headers.raw) if request is not None else "")


@pytest.mark.parametrize("place", PLACES)
def test_a_key_that_is_echoed_is_shown_nowhere(place, key, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    with LoopbackServer(refusing(key)) as server:
        adapter = PLACES[place](server, key)
        path = tmp_path / "trace.jsonl"
        with pytest.raises(ModelError) as caught:
            RLM(adapter, trace_path=path).run("q", "text", checkpoint=tmp_path / "run.db")
        assert any(key in f"{request.headers} {request.query} {request.body}" for request in server.requests) or (
            "address" in place
        )
    files = [file.read_bytes().decode(errors="replace") for file in tmp_path.iterdir()]
    logged = [record.getMessage() for record in caplog.records if record.name.startswith(("httpx2", "openai", "pyrlm"))]
    for text in (*shown(caught.value), *files, *logged, repr(adapter), adapter.endpoint, str(adapter.cache_identity)):
        assert key not in text


@pytest.mark.parametrize("place", ["token_provider", "client's function", "extra_query"])
@pytest.mark.parametrize("fault", ["garbled", "page", "broken"])
def test_a_key_in_a_garbled_reply_is_not_shown(place, fault, key):
    reply = {
        "garbled": Raw(f'{{"choices": [{{"text": "{key}"}}]}}'.encode()),
        "page": Raw(f"<html>{key}</html>".encode(), content_type="text/html"),
        "broken": Broken("garbage"),
    }[fault]

    async def main(adapter):
        return [item async for item in astream(adapter, HELLO, 16)]

    with LoopbackServer(lambda _: reply) as server:
        adapter = PLACES[place](server, key)
        for call in (acomplete(adapter, HELLO, 16), main(adapter)):
            with pytest.raises(ModelError) as caught:
                asyncio.run(call)
            assert all(key not in text for text in shown(caught.value))


@pytest.mark.parametrize(
    "make",
    [
        lambda server, key: AnthropicAdapter("m", base_url=server.origin, api_key=key),
        lambda server, key: AnthropicAdapter(
            "m", client=anthropic.Anthropic(base_url=server.origin, auth_token=key, api_key=None)
        ),
        lambda server, key: AnthropicAdapter(
            "m",
            client=anthropic.AsyncAnthropic(base_url=server.origin, api_key="none", default_headers={"x-token": key}),
        ),
    ],
)
def test_anthropics_keys_are_not_shown(make, key):
    with AnthropicServer(refusing(key)) as server, pytest.raises(ModelError) as caught:
        asyncio.run(acomplete(make(server, key), HELLO, 16))
    assert all(key not in text for text in shown(caught.value))


def test_a_request_that_fails_below_http_keeps_no_key(key):
    adapter = OpenAICompatAdapter("m", base_url="http://127.0.0.1:9/v1", api_key=key, retry_seconds=0)
    with pytest.raises(ModelError) as caught:
        asyncio.run(acomplete(adapter, HELLO, 16))
    assert all(key not in text for text in shown(caught.value))
    assert not any(hasattr(link, "request") for link in links(caught.value))


def test_labels_are_no_secrets():
    with LoopbackServer([Status(400, "invoices-2024 is no cache")]) as server:
        adapter = compatible(server, default_options={"prompt_cache_key": "invoices-2024"})
        with pytest.raises(ModelError, match="invoices-2024 is no cache"):
            asyncio.run(acomplete(adapter, HELLO, 16))


@pytest.mark.parametrize(
    "url",
    [
        "https://gw.example/v1#{key}",
        "user:{key}@gw.example/v1",
        "{key}@gw.example",
        "https://user:{key}@gw.example/v1",
        "https://gw.example/v1?key={key}",
        "gw.example/v1?key={key}",
        "https://user:{key}@[gw/v1",
        "ftp://user:{key}@gw.example",
    ],
)
def test_an_address_that_may_hold_a_key_is_refused_without_showing_it(url, key):
    for make in (
        lambda: OpenAICompatAdapter("m", base_url=url.format(key=key), api_key="none"),
        lambda: AzureOpenAIAdapter("m", endpoint=url.format(key=key), api_key="none"),
    ):
        with pytest.raises(ConfigurationError, match=r"expected an address|may hold a key") as caught:
            make()
        assert key not in "".join(traceback.format_exception(caught.value))


def test_a_client_with_a_login_in_its_address_is_named_without_it(key):
    client = openai.OpenAI(base_url=f"http://user:{key}@gw.example:8000/v1?x=1#frag", api_key="none")
    adapter = OpenAICompatAdapter("m", client=client)
    assert adapter.endpoint == "http://gw.example:8000/v1"
    assert key not in repr(adapter)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--api-key", "{key}"),
        ("--api-key={key}",),
        ("API_KEY={key}",),
        ("-H", "Authorization: Bearer {key}"),
        ("--url", "https://user:{key}@gw.example/v1"),
        ("{key}",),
    ],
)
def test_a_key_among_a_commands_arguments_is_not_shown(arguments, key):
    given = [argument.format(key=key) for argument in arguments]
    adapter = CommandAdapter(["sh", "-c", 'echo "bad arguments: $*" >&2; exit 2', "sh", *given])
    with pytest.raises(ModelError, match="bad arguments") as caught:
        asyncio.run(acomplete(adapter, HELLO, 16))
    assert all(key not in text for text in (*shown(caught.value), repr(adapter)))


@pytest.mark.parametrize(
    "command", [["no-such-program", "--api-key", "{key}"], "llm --api-key {key}", ["llm", "--api-key", "{key}", 7], []]
)
def test_a_command_that_cannot_be_used_is_named_without_its_arguments(command, key):
    fill = [command] if isinstance(command, str) else command
    filled = [part.format(key=key) if isinstance(part, str) else part for part in fill]
    given = filled[0] if isinstance(command, str) else filled
    with pytest.raises(ConfigurationError) as caught:
        CommandAdapter(given)
    assert key not in str(caught.value)


class Own:
    """An adapter whose error shows its key."""

    def __init__(self, key):
        self.adapter = OpenAICompatAdapter("m", base_url="http://127.0.0.1:9/v1", api_key=key)
        self.key = key

    def complete(self, messages, max_tokens):
        raise RuntimeError(f"refused: {self.key}")

    async def astream(self, messages, max_tokens):
        yield "a"
        raise RuntimeError(f"refused: {self.key}")


@pytest.mark.parametrize("stream", [False, True])
def test_an_exception_of_ones_own_that_shows_a_key_is_not_chained(stream, key):
    async def main():
        if stream:
            return [item async for item in astream(Own(key), HELLO, 16)]
        return await acomplete(Own(key), HELLO, 16)

    with pytest.raises(PyRLMError, match=r"refused: \[secret\]") as caught:
        asyncio.run(main())
    assert list(links(caught.value)) == [caught.value]
