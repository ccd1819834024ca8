"""Sub-calls: many at once, a later batch of the same run, one after another."""

from __future__ import annotations

import asyncio
import time

from benchmarks.harness import Row, TunedSDK, server
from pyrlm import RLM, Policy
from pyrlm.adapters import OpenAICompatAdapter

ROOM = Policy(max_total_tokens=None, max_subcalls=None)
DELAY = 0.05
REPEATS = 5


def _ours(root_url: str, sub_url: str, at_once: int) -> list[float]:
    """Run one script; return the seconds that each piece of code waited for its sub-calls."""
    rlm = RLM(
        OpenAICompatAdapter("m", base_url=root_url, api_key="test-key"),
        subcall_adapter=OpenAICompatAdapter("s", base_url=sub_url, api_key="test-key"),
        policy=ROOM,
        max_concurrent_subcalls=at_once,
        repl_timeout=60,
    )
    result = rlm.run("What?", "a text")
    return [step.elapsed + step.data["waited"] for step in result.trace.of_kind("repl_exec")]


async def _tuned(url: str, prompts: list[str], at_once: int, batches: int) -> list[float]:
    async with TunedSDK(url) as sdk:
        times = []
        for _ in range(batches):
            started = time.perf_counter()
            await sdk.batch(prompts, at_once)
            times.append(time.perf_counter() - started)
        return times


def _fan_out(count: int, at_once: int, batches: int) -> tuple[float, float]:
    """Return the shortest time of the last of several batches, ours and the tuned SDK's, measured in turn."""
    script = [f"```python\na{n} = llm_batch([f'{n}-{{i}}' for i in range({count})])\n```" for n in range(batches)]
    pairs = []
    with server(script=[*script, "FINAL: done"] * REPEATS) as root, server(delay=DELAY) as sub:
        for _ in range(REPEATS):
            mine = _ours(root.url, sub.url, at_once)[-1]
            prompts = [f"0-{i}" for i in range(count)]
            pairs.append((mine, asyncio.run(_tuned(sub.url, prompts, at_once, batches))[-1]))
    return min(a for a, _ in pairs), min(b for _, b in pairs)


def _row(name: str, mine: float, tuned: float) -> Row:
    return Row(name, f"{mine:.3f}", f"{tuned:.3f} tuned SDK", f"{mine / tuned:.2f}", "≤ 1.1", mine <= 1.1 * tuned)


def sixty_four() -> Row:
    """The first batch of a run: connections are opened in it."""
    return _row("64 sub-calls of 50 ms at once, s", *_fan_out(64, 64, 1))


def two_hundred_fifty_six() -> Row:
    """More calls than may be in flight."""
    return _row("256 sub-calls, 64 at a time, s", *_fan_out(256, 64, 1))


def later_batch() -> Row:
    """The third batch of the same run: connections are there."""
    return _row("a later batch of the same run, s", *_fan_out(64, 64, 3))


def one_after_another() -> Row:
    """Sub-calls in a plain loop of the code, without delay at the server."""
    count = 200
    code = f"```python\nfor i in range({count}):\n    x = llm_query(str(i))\n```"

    async def tuned(url: str) -> float:
        async with TunedSDK(url) as sdk:
            await sdk.batch(["warm"], 1)
            started = time.perf_counter()
            for number in range(count):
                await sdk.ask([{"role": "system", "content": "s" * 300}, {"role": "user", "content": str(number)}])
            return (time.perf_counter() - started) / count

    with server(script=[code, "FINAL: done"] * REPEATS) as root, server() as sub:
        pairs = [(_ours(root.url, sub.url, 10)[0] / count, asyncio.run(tuned(sub.url))) for _ in range(REPEATS)]
    mine, floor = min(a for a, _ in pairs) * 1000, min(b for _, b in pairs) * 1000
    return Row(
        "sub-calls one after another, ms each",
        f"{mine:.2f}",
        f"{floor:.2f} tuned SDK",
        f"{mine / floor:.2f}",
        f"≤ {floor + 0.2:.2f}",
        mine <= floor + 0.2,
    )


ROWS = (sixty_four, two_hundred_fifty_six, later_batch, one_after_another)
