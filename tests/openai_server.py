"""A real HTTP server on 127.0.0.1 that speaks the OpenAI chat protocol, with faults on demand.

In a test::

    with LoopbackServer(["first reply", Reply("second", usage=None), rate_limited(0.1), "third"]) as server:
        adapter = OpenAICompatAdapter("m", base_url=server.url, api_key="test-key")
        ...
    server.bodies[0]["messages"]      # JSON bodies in the order of arrival
    server.requests[0].headers        # with lower-case names; also .path, .query, .time, .body, .size
    server.max_in_flight              # most requests that were open at once

The model is a list (one item a request, in order of arrival; when it is used up the server answers 400 and says so), or
a function of the request's JSON body, asynchronous or not, called in the server's thread (default: always ``"ok"``).
An item of the list, or what the function returns, is one of

    "text"                             a reply with counted usage (four characters a token)
    Reply(text, usage=…, …)            a reply of any other shape: missing usage, null content, refusal, delay
    {"choices": …}                     the whole JSON body
    Status(429, "…", headers={…})      an error in OpenAI's shape; see also `rate_limited`, `too_long`, `refused`
    Raw(b"{'no json", …)               these bytes, status 200 by default: malformed JSON, an HTML page of a proxy
    Cut(Reply("…"))                    the first half of that reply's JSON, as a complete HTTP response
    Drop()                             the connection is closed without an answer
    Drop(after="headers")              … after the headers; after="half": in the middle of the body
    Stall(seconds=60)                  headers at once, the body after that time (or when the client goes away)
    Drip(seconds=60)                   headers at once, then the body in a hundred pieces over that time
    Broken("error", after=2)           a stream that goes wrong after two pieces: "error", "close", "end", "garbage"
                                       or "stall"

A body with ``"stream": true`` gets a `Reply` as server-sent events, a word a piece, with usage where
``stream_options`` asks for it.

Whole-server behaviour: `delay` (seconds a request), `api_key` (others get 401), `context_window` (tokens; longer prompts
are refused as OpenAI does), `refuse` (parameters answered with 400 as newer models do), `usage` ("openai", "anthropic"
or None). Azure's paths (``/openai/deployments/NAME/chat/completions?api-version=…``) and any other path work the same.
GET ``/stats`` gives ``{"requests", "max_in_flight", "bytes"}``.

As a process of its own, for measurements, ``python tests/openai_server.py --delay 0.05`` prints its URL and serves until
its standard input is closed; `LoopbackProcess` does that for you.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

COUNTED = "counted"


@dataclass(frozen=True)
class Reply:
    """A chat completion. `usage` is COUNTED, None (left out) or a mapping; `content` None is JSON's null.

    `pause` is the time between two pieces of a stream.
    """

    content: str | list[Any] | None = "ok"
    usage: Mapping[str, Any] | str | None = COUNTED
    finish_reason: str | None = "stop"
    refusal: str | None = None
    delay: float = 0.0
    reasoning: str | None = None
    pause: float = 0.0


@dataclass(frozen=True)
class Broken:
    """A stream of that reply that goes wrong after so many pieces."""

    how: str = "error"
    after: int = 2
    reply: Reply = Reply("one two three four")


@dataclass(frozen=True)
class Status:
    """An error response; the body is OpenAI's `{"error": {…}}`, or `body` where given."""

    status: int
    message: str = "an error"
    code: str | None = None
    type: str = "invalid_request_error"
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """A response of these bytes."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"


@dataclass(frozen=True)
class Cut:
    """The first half of a reply's JSON, with the headers of a complete response."""

    reply: Reply = Reply("a reply that is cut")


@dataclass(frozen=True)
class Drop:
    """A connection closed by the server: after the `"request"`, the `"headers"` or `"half"` of the body."""

    after: str = "request"


@dataclass(frozen=True)
class Stall:
    """A response whose headers come at once and whose body comes after `seconds`."""

    seconds: float = 60.0


@dataclass(frozen=True)
class Drip:
    """A response whose body comes a little at a time, so that no single read takes long."""

    seconds: float = 60.0


def rate_limited(retry_after: float | str | None = None, *, milliseconds: bool = False) -> Status:
    """429, with Retry-After in seconds (or as the given string, or in milliseconds in the header that OpenAI uses)."""
    name = "retry-after-ms" if milliseconds else "retry-after"
    headers = {} if retry_after is None else {name: str(retry_after)}
    return Status(429, "Rate limit reached", code="rate_limit_exceeded", type="requests", headers=headers)


def too_long(limit: int = 8192, tokens: int = 10_000) -> Status:
    """400 as OpenAI answers a prompt that is longer than the model's window."""
    return Status(
        400,
        f"This model's maximum context length is {limit} tokens. However, your messages resulted in {tokens} tokens. "
        "Please reduce the length of the messages.",
        code="context_length_exceeded",
        param="messages",
    )


def refused(parameter: str) -> Status:
    """400 as newer OpenAI models answer `max_tokens` and `temperature`."""
    if parameter == "max_tokens":
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        return Status(400, message, code="unsupported_parameter", param=parameter)
    message = (
        f"Unsupported value: '{parameter}' does not support 0 with this model. Only the default (1) value is supported."
    )
    return Status(400, message, code="unsupported_value", param=parameter)


@dataclass(frozen=True)
class Request:
    """One request as it arrived; `time` is `time.monotonic()`, `size` the body's bytes."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    size: int
    time: float


class LoopbackServer:
    """The server, in a thread of its own; see the module's docstring."""

    first_text = 1
    """Number of the event of a stream that holds the first text."""

    def __init__(
        self,
        model: Iterable[Any] | Callable[[dict[str, Any]], Any] | None = None,
        *,
        delay: float = 0.0,
        api_key: str | None = None,
        context_window: int | None = None,
        refuse: Iterable[str] = (),
        usage: str | None = "openai",
        port: int = 0,
        log: bool = True,
    ) -> None:
        self._model = (lambda _: "ok") if model is None else model if callable(model) else _Script(model)
        self._delay, self._api_key, self._context_window = delay, api_key, context_window
        self._refuse, self._usage, self._port, self._log = tuple(refuse), usage, port, log
        self.requests: list[Request] = []
        self.in_flight = self.max_in_flight = self.count = self.bytes = 0
        self._ready = threading.Event()

    @property
    def bodies(self) -> list[Any]:
        """The JSON bodies, in the order of arrival."""
        return [request.body for request in self.requests]

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:PORT`, for Azure's endpoint."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """The base URL for OpenAI's client."""
        return f"{self.origin}/v1"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True)
        self._thread.start()
        if not self._ready.wait(30):
            raise RuntimeError("the loopback server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    async def serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = web.Server(self._handle, access_log=None, handler_cancellation=True)
        listener = await self._loop.create_server(server, "127.0.0.1", self._port, backlog=1024)
        self._port = listener.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        listener.close()
        await server.shutdown(timeout=0.01)  # 0 would mean: wait for ever

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/stats":
            return web.json_response({"requests": self.count, "max_in_flight": self.max_in_flight, "bytes": self.bytes})
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            return await self._answer(request)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        payload = await request.read()
        body = json.loads(payload) if payload else None
        self.count += 1
        self.bytes += len(payload)
        if self._log:
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.requests.append(
                Request(request.path, dict(request.query), headers, body, len(payload), time.monotonic())
            )
        if self._delay:
            await asyncio.sleep(self._delay)
        reply = self._refusal(request, body)
        if reply is None:
            reply = self._model(body)
            if inspect.isawaitable(reply):
                reply = await reply
        return await self._send(request, body, reply)

    def _refusal(self, request: web.BaseRequest, body: Any) -> Status | None:
        headers = request.headers
        key = headers.get("api-key") or headers.get("x-api-key") or headers.get("authorization", "")[7:]
        if self._api_key is not None and key != self._api_key:
            return Status(401, f"Incorrect API key provided: {key}.", code="invalid_api_key")
        for name in self._refuse:
            if name in body:
                return refused(name)
        tokens = _tokens(_prompt(body))
        if self._context_window is not None and tokens > self._context_window:
            return too_long(self._context_window, tokens)
        return None

    async def _send(self, request: web.BaseRequest, body: Any, reply: Any) -> web.StreamResponse:
        if isinstance(reply, str):
            reply = Reply(reply)
        if isinstance(reply, Reply):
            if reply.delay:
                await asyncio.sleep(reply.delay)
            if body.get("stream"):
                return await self._stream(request, body, reply)
            reply = self._completion(body, reply)
        if isinstance(reply, Broken):
            return await self._stream(request, body, reply.reply, reply)
        if isinstance(reply, dict):
            return web.Response(body=json.dumps(reply).encode(), content_type="application/json")
        if isinstance(reply, Status):
            return web.json_response(self._error(reply), status=reply.status, headers=reply.headers)
        if isinstance(reply, Raw):
            return web.Response(body=reply.body, status=reply.status, content_type=reply.content_type)
        if isinstance(reply, Cut):
            whole = json.dumps(self._completion(body, reply.reply)).encode()
            return web.Response(body=whole[: len(whole) // 2], content_type="application/json")
        return await self._misbehave(request, body, reply)

    async def _stream(
        self, request: web.BaseRequest, body: Any, reply: Reply, broken: Broken | None = None
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for number, event in enumerate(self._events(body, reply)):
            if broken is not None and number == broken.after:
                return await self._break(request, response, broken)
            await response.write(event.encode())
            if number >= self.first_text:
                await asyncio.sleep(reply.pause)
        await response.write_eof()
        return response

    async def _break(
        self, request: web.BaseRequest, response: web.StreamResponse, broken: Broken
    ) -> web.StreamResponse:
        if broken.how == "stall":
            await asyncio.sleep(60)
        elif broken.how == "close":
            await asyncio.sleep(0.05)
            if request.transport is not None:
                request.transport.close()
            return response
        elif broken.how == "error":
            await response.write(self._broken_event().encode())
        elif broken.how == "garbage":
            await response.write(b'data: {"choices": [}\n\n')
        await response.write_eof()
        return response

    def _broken_event(self) -> str:
        return _event({"error": {"message": "the engine failed", "type": "server_error", "code": None}})

    def _events(self, body: Any, reply: Reply) -> Iterator[str]:
        whole = self._completion(body, reply)
        head = {"id": whole["id"], "object": "chat.completion.chunk", "model": whole["model"]}

        def chunk(delta: Mapping[str, Any], reason: str | None = None) -> str:
            return _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

        yield chunk({"role": "assistant", "content": "", "refusal": None})
        if reply.reasoning:
            yield chunk({"reasoning_content": reply.reasoning})
        if reply.refusal:
            yield chunk({"refusal": reply.refusal})
        for piece in pieces(reply.content):
            yield chunk({"content": piece})
        yield chunk({}, reply.finish_reason)
        if (body.get("stream_options") or {}).get("include_usage") and "usage" in whole:
            yield _event({**head, "choices": [], "usage": whole["usage"]})
        yield "data: [DONE]\n\n"

    def _error(self, reply: Status) -> dict[str, Any]:
        error = {"message": reply.message, "type": reply.type, "param": reply.param, "code": reply.code}
        return {"error": error | reply.extra}

    async def _misbehave(self, request: web.BaseRequest, body: Any, reply: Drop | Stall | Drip) -> web.StreamResponse:
        whole = json.dumps(self._completion(body, Reply("late or never"))).encode()
        response = web.StreamResponse(headers={"content-type": "application/json", "content-length": str(len(whole))})
        if isinstance(reply, Stall):
            await response.prepare(request)
            await asyncio.sleep(reply.seconds)
            await response.write(whole)
            return response
        if isinstance(reply, Drip):
            await response.prepare(request)
            for start in range(0, len(whole), step := len(whole) // 100 + 1):
                await asyncio.sleep(reply.seconds / 100)
                await response.write(whole[start : start + step])
            return response
        if reply.after != "request":
            await response.prepare(request)
        if reply.after == "half":
            await response.write(whole[: len(whole) // 2])
        await asyncio.sleep(0)
        if request.transport is not None:
            request.transport.close()
        return response

    def _completion(self, body: Any, reply: Reply) -> dict[str, Any]:
        message = {"role": "assistant", "content": reply.content, "refusal": reply.refusal}
        if reply.reasoning:
            message["reasoning_content"] = reply.reasoning
        completion = {
            "id": f"chatcmpl-{self.count}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": (body or {}).get("model", "loopback"),
            "choices": [{"index": 0, "message": message, "finish_reason": reply.finish_reason, "logprobs": None}],
        }
        usage = self._counted(body, reply) if reply.usage is COUNTED else reply.usage
        return completion if usage is None else completion | {"usage": usage}

    def _counted(self, body: Any, reply: Reply) -> Mapping[str, Any] | None:
        prompt, output = _tokens(_prompt(body)), _tokens(str(reply.content or ""))
        if self._usage == "anthropic":
            return {"input_tokens": prompt, "output_tokens": output, "cache_read_input_tokens": 0}
        if self._usage is None:
            return None
        return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}


class _Script:
    def __init__(self, replies: Iterable[Any]) -> None:
        self._replies, self._used = iter(replies), 0

    def __call__(self, _: Any) -> Any:
        for reply in self._replies:
            self._used += 1
            return reply
        return Status(400, f"the {self._used} replies of the server's script are used up")


def pieces(content: Any) -> list[str]:
    """The words of a reply's text, each with the space before it."""
    return re.findall(r"\s*\S+\s*$|\s*\S+|\s+$", content or "")


def _event(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def _prompt(body: Any) -> str:
    messages = body.get("messages") if isinstance(body, dict) else None
    return "".join(str(message.get("content")) for message in messages or ())


def _tokens(text: str) -> int:
    return -(-len(text) // 4)


class LoopbackProcess:
    """The server as a process of its own, so that a measurement doesn't share its interpreter.

    `arguments` are those of the command line: ``LoopbackProcess("--delay", "0.05")``.
    """

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments

    def __enter__(self) -> Self:
        command = [sys.executable, __file__, *self._arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError("the loopback server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)

    def stats(self) -> dict[str, int]:
        """Requests so far, most at once, bytes of their bodies."""
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/stats") as response:
            return json.load(response)


async def _serve_until_eof(server: LoopbackServer) -> None:
    serving = asyncio.create_task(server.serve())
    await asyncio.to_thread(server._ready.wait)
    print(server.url, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server._stop.set()
    await serving


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the OpenAI chat protocol on 127.0.0.1 until stdin is closed.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds that each request takes")
    parser.add_argument("--reply", default="ok", help="text of every reply")
    parser.add_argument("--script", help="JSON file: list of reply texts, one a request; then --reply")
    parser.add_argument("--no-usage", action="store_true", help="leave usage out of the replies")
    arguments = parser.parse_args()
    script = iter(())
    if arguments.script:
        script = iter(json.loads(Path(arguments.script).read_text(encoding="utf-8")))
    server = LoopbackServer(
        lambda _: next(script, arguments.reply),
        delay=arguments.delay,
        port=arguments.port,
        usage=None if arguments.no_usage else "openai",
        log=False,
    )
    asyncio.run(_serve_until_eof(server))


if __name__ == "__main__":
    main()
