"""A chat front end: progress while it works, the answer as it is written, what does not hold taken back.

    python examples/chat_stream.py
    python examples/chat_stream.py --model openai:gpt-4.1 --question "What does it cost?" notes.md

Without a model it uses `ExtractiveAdapter`, whose reply is typed out here word by word, as a provider streams it. Quotes
and thinking never reach the screen; an answer that is turned down is withdrawn, with the reason.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from pyrlm import Context, SmartRouter
from pyrlm.adapters import acomplete, get_adapter
from pyrlm.routers import ProgressEvent, ResultEvent, StreamEvent, TextEvent, WithdrawnEvent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

NOTICE = """\
The library is closed on Mondays and on public holidays.

Books may be kept for four weeks. The loan can be extended twice unless another reader has asked for the book.

A lost card is replaced at the desk for five euros.
"""


class Typed:
    """Gives the replies of a model that can't stream a word at a time: all that an adapter needs is `astream`."""

    def __init__(self, adapter: Any) -> None:
        self.adapter = adapter
        self.model, self.context_window = adapter.model, getattr(adapter, "context_window", None)

    async def acomplete(self, messages: Any, max_tokens: int, temperature: float | None = None) -> Any:
        """Answer at once."""
        return await acomplete(self.adapter, messages, max_tokens, temperature)

    async def astream(
        self, messages: Any, max_tokens: int, temperature: float | None = None
    ) -> AsyncGenerator[Any, None]:
        """Yield the words, then the whole reply."""
        reply = await self.acomplete(messages, max_tokens, temperature)
        for word in reply.text.split(" "):
            yield f"{word} "
            await asyncio.sleep(0.01)
        yield reply


def show(event: StreamEvent) -> None:
    """Show one event; a page in a browser would do the same with four kinds of messages."""
    if isinstance(event, TextEvent):
        print(event.text, end="", flush=True)
    elif isinstance(event, WithdrawnEvent):
        print(f"\n[withdrawn: {event.reason}]")
    elif isinstance(event, ProgressEvent):
        print(f"  … {event.step.kind}", file=sys.stderr)
    elif isinstance(event, ResultEvent):
        result = event.result
        print(f"\n[{result.status} by {result.method}, {len(result.citations)} citations, {result.tokens_used} tokens]")


async def chat(router: SmartRouter, question: str, context: Context) -> None:
    """Show a run as it goes; closing the stream early would cancel it."""
    async with aclosing(router.astream(question, context)) as events:
        async for event in events:
            show(event)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="files, folders or globs; without any, a short notice is read")
    parser.add_argument("--question", default="How many weeks may books be kept?")
    parser.add_argument("--model", default="extractive:")
    options = parser.parse_args()

    context = Context.from_files(options.paths) if options.paths else Context.from_text(NOTICE)
    adapter = get_adapter(options.model)
    router = SmartRouter(adapter if hasattr(adapter, "astream") else Typed(adapter))
    asyncio.run(chat(router, options.question, context))
    for event in router.stream("When is it closed?", context):  # the same without asyncio
        show(event)


if __name__ == "__main__":
    main()
