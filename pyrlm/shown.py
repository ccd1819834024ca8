"""A model's reply handed on while it is written, to whoever shows it."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol

from pyrlm.adapters.base import Retry, on_retry
from pyrlm.adapters.calling import acomplete, astream
from pyrlm.errors import BadReplyError, ModelUnavailableError, RateLimitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrlm.adapters.base import Message, ModelResponse

__all__ = ["TextSink", "acomplete_shown"]


class TextSink(Protocol):
    """Takes a reply's text as it comes."""

    def write(self, text: str) -> None:
        """Take the next piece."""
        ...

    def withdraw(self, reason: str) -> None:
        """Take back all that was written: the reply broke off and is asked for again."""
        ...


async def acomplete_shown(
    adapter: Any,
    messages: Sequence[Message],
    max_tokens: int,
    temperature: float | None,
    *,
    sink: TextSink,
    options: dict[str, Any],
) -> ModelResponse:
    """Ask `adapter` as `acomplete` does, and hand the text to `sink` as it comes.

    A reply that breaks off in the middle, which an adapter repeats by itself where nothing was handed out yet, is
    withdrawn and asked for again as a whole.

    Raises:
        ModelError: As for `acomplete`.
    """
    written = False
    try:
        async with aclosing(astream(adapter, messages, max_tokens, temperature, **options)) as items:
            async for item in items:
                if not isinstance(item, str):
                    return item
                written = True
                sink.write(item)
    except (BadReplyError, ModelUnavailableError, RateLimitError) as error:
        if not written:
            raise
        sink.withdraw(f"the reply broke off: {error}")
        told = on_retry.get()
        if told is not None:
            told(Retry(attempt=1, reason=str(error), delay=0.0))
    return await acomplete(adapter, messages, max_tokens, temperature, **options)
