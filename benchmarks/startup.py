"""Starting: the import, the first request of a fresh process, many short queries through one router."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

from benchmarks.harness import Row, TunedSDK, best, server
from pyrlm import Policy, SmartRouter
from pyrlm.adapters import OpenAICompatAdapter

_OURS = """
import sys
from pyrlm import SmartRouter
from pyrlm.adapters import OpenAICompatAdapter
SmartRouter(OpenAICompatAdapter("m", base_url=sys.argv[1], api_key="test-key")).run("What is it?", "a short text")
"""
_SDK = """
import sys
from openai import OpenAI
OpenAI(base_url=sys.argv[1], api_key="test-key").chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
"""


def _python(code: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


def importing() -> Row:
    """Import of the package and its public face above Python's own start."""
    base = best(lambda: _python("pass"), 7)
    mine = best(lambda: _python("import pyrlm"), 7)
    extra = (mine - base) * 1000
    return Row(
        "import pyrlm above Python's start, ms",
        f"{extra:.0f}",
        f"{base * 1000:.0f} Python",
        f"{mine / base:.2f}",
        "< 60",
        extra < 60,
    )


def first_request() -> Row:
    """A fresh process from its start to its first answer."""
    with server() as process:
        mine = best(lambda: _python(_OURS, process.url), 5)
        floor = best(lambda: _python(_SDK, process.url), 5)
    return Row(
        "process start to first answer, s",
        f"{mine:.2f}",
        f"{floor:.2f} SDK",
        f"{mine / floor:.2f}",
        f"≤ {floor + 0.1:.2f}",
        mine <= floor + 0.1,
    )


def short_queries() -> Row:
    """Two hundred questions about a short text through one router, one after another."""
    count = 200

    async def tuned(url: str) -> float:
        async with TunedSDK(url) as sdk:
            messages = [{"role": "system", "content": "s" * 500}, {"role": "user", "content": "a short text"}]
            await sdk.ask(messages)
            started = time.perf_counter()
            for _ in range(count):
                await sdk.ask(messages)
            return (time.perf_counter() - started) / count

    def ours(url: str) -> float:
        router = SmartRouter(
            OpenAICompatAdapter("m", base_url=url, api_key="test-key"), policy=Policy(max_total_tokens=None)
        )
        router.run("What is it?", "a short text", escalate=False)
        started = time.perf_counter()
        for number in range(count):
            router.run(f"What is it? {number}", "a short text", escalate=False)
        return (time.perf_counter() - started) / count

    with server() as process:
        pairs = [(ours(process.url), asyncio.run(tuned(process.url))) for _ in range(3)]
    mine, floor = min(a for a, _ in pairs) * 1000, min(b for _, b in pairs) * 1000
    return Row(
        "200 short queries through one router, ms each",
        f"{mine:.2f}",
        f"{floor:.2f} tuned SDK",
        f"{mine / floor:.2f}",
        f"≤ {floor + 0.3:.2f}",
        mine <= floor + 0.3,
    )


ROWS = (importing, first_request, short_queries)
