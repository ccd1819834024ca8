"""A scripted model for tests and examples: no network, no key, the same replies every time."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pyrlm.adapters.base import Message, ModelResponse, Usage
from pyrlm.errors import ConfigurationError

if TYPE_CHECKING:
    from pyrlm.pricing import Price

__all__ = ["FakeAdapter", "FakeCall"]

_CHARS_PER_TOKEN = 4  # the usual rule of thumb for English; any fixed figure makes the counts repeatable

Reply: TypeAlias = str | ModelResponse | Exception | Callable[[Sequence[Message]], "Reply"]
"""What a rule or a line of the script may be."""


class FakeCall(NamedTuple):
    """One call that a `FakeAdapter` received."""

    messages: list[Message]
    max_tokens: int
    temperature: float | None
    options: dict[str, Any]

    @property
    def text(self) -> str:
        """The contents of all messages, joined by line breaks: the text that rules are matched on."""
        return _joined(self.messages)


class FakeAdapter:
    """Answers from rules and a script.

    A call is answered by the first rule whose pattern occurs in the text of all its messages, system prompt included,
    joined by line breaks; rules can be used any number of times. Where no rule matches, the next line of the script is
    used. A sub-call's system prompt holds the words "You are a sub-LLM", so one rule can answer all sub-calls.

    A reply is a string, a `ModelResponse` (returned as it is, so a missing usage stays missing), an exception (raised),
    or a function of the messages that returns any of these.

    Args:
        script: Replies in the order of the calls; any iterable, read one reply a call.
        rules: ``(pattern, reply)`` pairs; a string is looked for as it is, a compiled pattern by `re.Pattern.search`.
        model: Name that the replies carry.
        usage: Usage of every reply that is a string (default: one token for four characters, rounded up).
        delay: Seconds that every call takes (default 0).
        context_window: Tokens that this model is said to take in (default 128,000, as of most hosted models).
        price: What a million tokens cost (default: looked up by name).

    Attributes:
        calls: Every call received, in order.
    """

    def __init__(
        self,
        script: Iterable[Reply] | None = None,
        *,
        rules: Iterable[tuple[str | re.Pattern[str], Reply]] = (),
        model: str = "fake",
        usage: Usage | Mapping[str, Any] | None = None,
        delay: float = 0.0,
        context_window: int | None = 128_000,
        price: Price | None = None,
    ) -> None:
        if isinstance(script, str | ModelResponse):
            raise ConfigurationError(
                f"FakeAdapter(script={type(script).__name__}): expected a list of replies; write [reply]."
            )
        self.model = model
        self.context_window = context_window
        self.price = price
        self.calls: list[FakeCall] = []
        self._script = iter(script or ())
        self._used = 0
        self._usage = usage
        self._delay = delay
        self._rules: list[tuple[re.Pattern[str], Reply]] = []
        self._lock = threading.Lock()
        for pattern, reply in rules:
            self.add_rule(pattern, reply)

    def __repr__(self) -> str:
        return f"FakeAdapter(model={self.model!r}, calls={len(self.calls)}, rules={len(self._rules)})"

    def add_rule(self, pattern: str | re.Pattern[str], response: Reply, *, regex: bool = False) -> None:
        """Answer with `response` whenever `pattern` is found; rules added earlier are tried first.

        Args:
            pattern: Text looked for in all messages of a call, or a compiled pattern.
            response: The reply.
            regex: Read a string `pattern` as a regular expression (`re.search`).

        Raises:
            ConfigurationError: `pattern` is no valid regular expression.
        """
        try:
            compiled = re.compile(pattern if regex or isinstance(pattern, re.Pattern) else re.escape(pattern))
        except re.error as error:
            raise ConfigurationError(f"add_rule({pattern!r}): no valid regular expression: {error}.") from None
        with self._lock:
            self._rules.append((compiled, response))

    async def acomplete(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None, **options: Any
    ) -> ModelResponse:
        """Answer from the rules, then from the script.

        Raises:
            ConfigurationError: No rule matches and the script is used up.
        """
        reply = self._next(messages, max_tokens, temperature, options)
        if self._delay:
            await asyncio.sleep(self._delay)
        return self._respond(reply, messages)

    def complete(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None, **options: Any
    ) -> ModelResponse:
        """The same for synchronous callers."""
        reply = self._next(messages, max_tokens, temperature, options)
        if self._delay:
            time.sleep(self._delay)
        return self._respond(reply, messages)

    def _next(
        self, messages: Sequence[Message], max_tokens: int, temperature: float | None, options: dict[str, Any]
    ) -> Reply:
        call = FakeCall([message.copy() for message in messages], max_tokens, temperature, options)
        with self._lock:
            self.calls.append(call)
            for pattern, reply in self._rules:
                if pattern.search(call.text):
                    return reply
            for reply in self._script:
                self._used += 1
                return reply
            last = call.messages[-1]["content"][-200:] if call.messages else ""
            raise ConfigurationError(
                f"FakeAdapter: no reply for call {len(self.calls)}: {len(self._rules)} rules, none matches, and the "
                f"{self._used} replies of the script are used up. Add a reply or a rule. The last message ends with: {last!r}"
            )

    def _respond(self, reply: Reply, messages: Sequence[Message]) -> ModelResponse:
        while callable(reply) and not isinstance(reply, Exception):
            reply = reply(messages)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, ModelResponse):
            return reply
        if not isinstance(reply, str):
            raise ConfigurationError(
                f"FakeAdapter: a reply is of type {type(reply).__name__}; expected a string, a ModelResponse, an "
                "exception, or a function of the messages that returns one of these."
            )
        usage = self._usage
        if usage is None:
            usage = Usage(input_tokens=sum(_tokens(m["content"]) for m in messages), output_tokens=_tokens(reply))
        return ModelResponse(reply, usage=usage, finish_reason="stop", model=self.model)


def _joined(messages: Sequence[Message]) -> str:
    return "\n".join(message["content"] for message in messages)


def _tokens(text: str) -> int:
    return -(-len(text) // _CHARS_PER_TOKEN)
