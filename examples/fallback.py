"""A model that may be out, one that steps in for it, limits of an endpoint, and an answer shown while it is written.

    python examples/fallback.py

Offline by default: a scripted outage, then the extractive adapter. The commented lines are what an application writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from pyrlm import SmartRouter
from pyrlm.adapters import (
    AnthropicAdapter,
    CommandAdapter,
    ExtractiveAdapter,
    FakeAdapter,
    FallbackAdapter,
    RateLimit,
    astream,
)
from pyrlm.errors import ModelUnavailableError

LETTER = "Dear Ada,\n\nThe key to the shed hangs behind the blue door.\n\nYours, Grace"


def models() -> FallbackAdapter:
    """Return a model that is out, and the one that answers in its place."""
    # AnthropicAdapter("claude-sonnet-4-5", rate_limit=RateLimit(requests_per_minute=50, tokens_per_minute=80_000))
    # CommandAdapter(["claude", "-p"], timeout=120)
    out = FakeAdapter([ModelUnavailableError("the first model is down for maintenance")])
    return FallbackAdapter([out, ExtractiveAdapter()], cooldown_seconds=60)


async def written(question: str) -> str:
    """Show an answer while it is written; a command is a model too."""
    echo = CommandAdapter([sys.executable, "-c", "print('Behind the blue door.')"])
    text = ""
    async with contextlib.aclosing(astream(echo, [{"role": "user", "content": question}], 64)) as pieces:
        async for piece in pieces:
            if isinstance(piece, str):
                text += piece
                print(piece, end="", flush=True)
    print()
    return text


def main() -> None:
    result = SmartRouter(models()).run("Where does the key to the shed hang?", LETTER)
    print(result.output)
    print("why:", *(step.reason for step in result.trace.of_kind("retry")))
    asyncio.run(written("Where is the key?"))
    print("limits are shared by all runs of a process:", RateLimit(requests_per_minute=50))
    print("with its own SDK and prompt cache:", AnthropicAdapter.__name__)


if __name__ == "__main__":
    main()
