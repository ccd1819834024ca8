"""What all measurements share: rows, repeats, the loopback server, and the tuned SDK that they are compared with."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from typing import TYPE_CHECKING, Self

from openai_server import LoopbackProcess, LoopbackServer, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LoopbackProcess", "LoopbackServer", "Reply", "Row", "TunedSDK", "best", "paired", "server"]


@dataclass
class Row:
    """One line of the table: ours, the floor, and whether the aim is met."""

    name: str
    ours: str
    floor: str
    ratio: str
    aim: str
    met: bool


def best(work: Callable[[], float | None], repeats: int) -> float:
    """Return the shortest of several times, in seconds: what noise adds is never negative."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        reported = work()
        times.append(reported if reported is not None else time.perf_counter() - started)
    return min(times)


def paired(
    ours: Callable[[], float | None], floor: Callable[[], float | None], repeats: int
) -> tuple[float, float, float]:
    """Run both in turn; return the shortest time of each, and the median of the ratios pair by pair."""
    pairs = [(best(ours, 1), best(floor, 1)) for _ in range(repeats)]
    return min(a for a, _ in pairs), min(b for _, b in pairs), statistics.median(a / b for a, b in pairs)


@contextmanager
def server(*, delay: float = 0.0, script: list[str] | None = None, reply: str = "ok") -> Iterator[LoopbackProcess]:
    """A loopback server in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--delay", str(delay), "--reply", reply]
        if script is not None:
            path = Path(folder) / "script.json"
            path.write_text(json.dumps(script))
            arguments += ["--script", str(path)]
        with LoopbackProcess(*arguments) as process:
            yield process


class TunedSDK:
    """The official SDK used by hand as fast as it goes: aiohttp transport, messages past its own transformation."""

    def __init__(self, url: str) -> None:
        from openai import AsyncOpenAI, DefaultAioHttpClient

        self.client = AsyncOpenAI(base_url=url, api_key="test-key", http_client=DefaultAioHttpClient(), max_retries=0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def ask(self, messages: list[dict[str, str]], max_tokens: int = 1024) -> str:
        """Make one call."""
        reply = await self.client.chat.completions.create(
            model="m", messages=[], max_tokens=max_tokens, extra_body={"messages": messages}
        )
        return reply.choices[0].message.content or ""

    async def batch(self, prompts: list[str], at_once: int) -> list[str]:
        """Make many calls, `at_once` in flight."""
        limit = asyncio.Semaphore(at_once)

        async def one(prompt: str) -> str:
            async with limit:
                return await self.ask([{"role": "system", "content": "s" * 300}, {"role": "user", "content": prompt}])

        return list(await asyncio.gather(*(one(prompt) for prompt in prompts)))
