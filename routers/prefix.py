"""What questions about one text have in common in their prompts: the text before the question, counted and read once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pyrlm.adapters.base import Message
from pyrlm.prompts import QUESTION_SEAM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from pyrlm.tokens import TokenCounter

__all__ = ["SharedPrefix", "prompt_bound", "text_before_question"]

_LONG_CHARS = 4096
_CACHEABLE_TOKENS = 1024
"""The shortest prefix that OpenAI's prompt cache keeps, and Anthropic's for most models (their documentation, 2026)."""

_KEPT = 100
"""Texts that are remembered as read; each call on found passages begins with other ones."""

_SEAM_TOKENS = 2
"""Tokens by which two parts may have fewer than the whole, for a tokenizer that merges across the cut."""


def text_before_question(message: Message) -> tuple[str, str]:
    """Cut the content of a message of a route of one call into the text and what comes after it; the text may be empty."""
    head, seam, tail = message["content"].rpartition(QUESTION_SEAM)
    return head, seam + tail


def prompt_bound(counter: TokenCounter, messages: Sequence[Message]) -> int:
    """Return a number that the prompt's tokens don't pass; a long text in it is counted once for all its questions."""
    whole: list[Message] = []
    tails = 0
    for message in messages:
        head, tail = text_before_question(message)
        if len(head) < _LONG_CHARS:
            whole.append(message)
        else:
            whole.append(Message(role=message["role"], content=head))
            tails += counter.upper_bound(tail) + _SEAM_TOKENS
    return counter.upper_bound_messages(whole) + tails


class SharedPrefix:
    """Of calls made side by side whose prompts begin with the same long text, lets one go first.

    Providers read a prompt's beginning from their cache once a call that began with it has been answered. Calls that
    are made before that each pay for the whole text, so the others wait for the first answer, once for each text and
    system message. A first call that fails holds nobody up.
    """

    def __init__(self) -> None:
        self._first: dict[int, asyncio.Event] = {}

    @asynccontextmanager
    async def turn(self, messages: Sequence[Message], counter: TokenCounter) -> AsyncIterator[Callable[[], None]]:
        """Wait until the beginning of `messages` has been read by the provider, or be the call that it reads.

        Yields what to call where the reply came from a cache of ours: the provider has read nothing, and the next
        call is the first.
        """
        key = _key(messages, counter)
        while key is not None and (first := self._first.get(key)) is not None and not first.is_set():
            await first.wait()
        if key is None or key in self._first:
            yield lambda: None
            return
        if len(self._first) > _KEPT:
            self._first = {known: first for known, first in self._first.items() if not first.is_set()}
        first = self._first[key] = asyncio.Event()
        try:
            yield lambda: _drop(self._first, key)
        finally:
            first.set()


def _drop(known: dict[int, asyncio.Event], key: int) -> None:
    known.pop(key, None)


def _key(messages: Sequence[Message], counter: TokenCounter) -> int | None:
    """Return what the beginning is known by; None where it is too short for any provider's cache."""
    parts = [text_before_question(message)[0] or message["content"] for message in messages[:2]]
    if len(parts[-1]) < _CACHEABLE_TOKENS or counter.upper_bound(parts[-1]) < _CACHEABLE_TOKENS:
        return None
    return hash(tuple(parts))
