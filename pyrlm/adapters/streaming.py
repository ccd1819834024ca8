"""Replies that are read while they are written."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Protocol

from pyrlm.adapters.base import Usage, tell_loss
from pyrlm.adapters.calling import in_thread
from pyrlm.adapters.completion import CompletionPieces, well_formed
from pyrlm.adapters.failures import RequestFailed, bad_reply, failed_connection
from pyrlm.adapters.http_chat import HttpChatAdapter
from pyrlm.adapters.retrying import with_retries
from pyrlm.adapters.sdk import load
from pyrlm.adapters.sse import data_events
from pyrlm.errors import ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    import httpx2

    from pyrlm.adapters.base import Message, ModelResponse
    from pyrlm.adapters.rate_limit import Slot
    from pyrlm.adapters.sdk import Sdk

__all__ = ["Pieces", "StreamingChatAdapter"]


class Pieces(Protocol):
    """A reply of one provider, put together from its events."""

    complete: bool

    def feed(self, data: dict[str, Any]) -> str:
        """Take in one event; return the text that it adds. Raises ValueError or `RequestFailed`."""
        ...

    def response(self, text: str) -> ModelResponse:
        """The whole reply, of which `text` is the text."""
        ...


class StreamingChatAdapter(HttpChatAdapter):
    """An adapter whose replies can also be read in pieces."""

    async def astream(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None = None, **options: Any
    ) -> AsyncGenerator[str | ModelResponse, None]:
        """Ask the model; yield its text as it comes, then the whole reply as the last item.

        Arguments and errors are those of `acomplete`. A request that fails before the first piece of text is repeated
        like any other; one that fails later is not, as its text has been handed out. `timeout` counts the time spent
        waiting for the provider, not the caller's between two pieces. Close the generator (`contextlib.aclosing`) to
        end a reply early.
        """
        options, wire = self._options(options)
        sdk = await load(self._library)
        tokens = self._expected_tokens(messages, max_tokens)

        def body() -> Any:
            return self._streamed(self._body(messages, max_tokens, temperature, dict(options)))

        async def start() -> _Reading:
            async with AsyncExitStack() as stack:
                sent = self._sent(sdk, body, wire, tokens, stream=True)
                started = time.monotonic()
                response, slot = await stack.enter_async_context(sent)
                reading = _Reading(
                    self, sdk, response, slot, timeout=wire["timeout"], waited=time.monotonic() - started
                )
                stack.push_async_callback(reading.close_response)
                await reading.start()
                reading.stack = stack.pop_all()
                return reading

        reading = await with_retries(start, model=self.model, seconds=self._retry_seconds)
        async with reading.stack:
            try:
                async for text in reading:
                    yield text
            except RequestFailed as failed:
                tell_loss(reading.text)
                note = f" (the reply broke off after {len(reading.text):,} characters)"
                raise failed.error(self.model, 1, note) from None
            reply = reading.reply()
        yield reply

    def _streamed(self, body: dict[str, Any]) -> dict[str, Any]:
        return self._parameters.streamed(body)

    def _pieces(self) -> Pieces:
        return CompletionPieces()


class _Reading:
    """One response that is being read."""

    def __init__(
        self,
        adapter: StreamingChatAdapter,
        sdk: Sdk,
        response: httpx2.Response,
        slot: Slot | None,
        *,
        timeout: float,
        waited: float,
    ) -> None:
        self.stack = AsyncExitStack()
        self._adapter, self._sdk, self._response, self._slot = adapter, sdk, response, slot
        self._timeout, self._left = timeout, timeout - waited
        self._pieces = adapter._pieces()  # noqa: SLF001 - one module, two classes
        self._events = data_events(_chunks(response))
        self._texts: list[str] = []
        self._half = ""
        self._whole: ModelResponse | None = None
        self._ended = False

    @property
    def text(self) -> str:
        return "".join(self._texts)

    async def start(self) -> None:
        """Read to the first text, or to the end where there is none."""
        if "json" in self._response.headers.get("content-type", ""):  # a server that knows no other way
            content = await self._waited(_read(self._response))
            self._whole = self._adapter._understand(content)  # noqa: SLF001
            self._texts, self._ended = [self._whole.text], True
            return
        while not self._texts and not self._ended:
            await self._read_on()

    async def __aiter__(self) -> AsyncIterator[str]:
        given = 0
        while True:
            for text in self._texts[given:]:
                given += 1
                if text:
                    yield text
            if self._ended:
                return
            await self._read_on()

    async def _read_on(self) -> None:
        """Take in one event."""
        data = await self._waited(anext(self._events, None))
        if data is None or data.strip() == "[DONE]":
            self._end(done=data is not None)
            return
        try:
            event = json.loads(data)
        except ValueError:
            raise bad_reply("has an event that is no JSON", data, self._adapter._origin) from None  # noqa: SLF001
        if not isinstance(event, dict):
            raise bad_reply("has an event that is no JSON object", data, self._adapter._origin)  # noqa: SLF001
        if event.get("error") and not event.get("choices"):
            raise self._adapter._failed(event, self._response.headers)  # noqa: SLF001
        try:
            self._add(self._pieces.feed(event))
        except ValueError as problem:
            raise bad_reply(str(problem), data, self._adapter._origin) from None  # noqa: SLF001

    def _add(self, text: str) -> None:
        """Keep a piece of text; half of a surrogate pair waits for its other half."""
        text = self._half + text
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        whole = well_formed(text.removesuffix(self._half))
        if whole:
            self._texts.append(whole)

    def _end(self, *, done: bool) -> None:
        if not done and not self._pieces.complete:
            told = f"{self._adapter._origin}: the reply ended before it was complete"  # noqa: SLF001
            raise RequestFailed(ModelUnavailableError, told, again="yes")
        if self._half:
            self._texts.append(well_formed(self._half))
        self._ended = True

    def reply(self) -> ModelResponse:
        """The whole reply; its usage corrects the rate limit's count."""
        reply = self._whole or self._pieces.response(self.text)
        if self._slot is not None and isinstance(reply.usage, Usage):
            self._slot.used(reply.usage.total_tokens)
        return reply

    async def _waited(self, waiting: Any) -> Any:
        """The result of `waiting`, for as long as the time limit of the request has left."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._left):
                return await waiting
        except self._sdk.network_errors as error:
            raise failed_connection(error, self._adapter._origin, self._timeout) from None  # noqa: SLF001
        finally:
            self._left -= time.monotonic() - started

    async def close_response(self) -> None:
        await _settled(self._response.aclose if _is_async(self._response) else self._response.close)


def _is_async(response: httpx2.Response) -> bool:
    return hasattr(response.stream, "__aiter__")


async def _chunks(response: httpx2.Response) -> AsyncIterator[bytes]:
    if _is_async(response):
        async for chunk in response.aiter_bytes():
            yield chunk
        return
    chunks = response.iter_bytes()
    while (chunk := await in_thread(next, chunks, None)) is not None:
        yield chunk


async def _read(response: httpx2.Response) -> httpx2.Response:
    await _settled(response.aread if _is_async(response) else response.read)
    return response


async def _settled(method: Callable[[], Any]) -> Any:
    return await method() if inspect.iscoroutinefunction(method) else await in_thread(method)
