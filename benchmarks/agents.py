"""Sub-agents side by side, and tools called ten thousand times."""

from __future__ import annotations

import asyncio
import time

from benchmarks.harness import LoopbackServer, Reply, Row, TunedSDK, best
from pyrlm import RLM, Policy
from pyrlm.adapters import FakeAdapter, OpenAICompatAdapter

ROOM = Policy(max_total_tokens=None, max_subcalls=None)
TEXT = "word " * 4_000
CHILDREN = 16
DELAY = 0.05
REPEATS = 5
CALLS = 10_000


def _model(body: dict) -> Reply:
    messages = body["messages"]
    if len(messages) < 2 or "You are a sub-agent" not in messages[1]["content"]:
        code = f"r = rlm_query_batch('n?', ctx.chunk({len(TEXT) // CHILDREN}))"
        return Reply(f"```python\n{code}\n```" if len(messages) == 2 else "FINAL_VAR: r")
    return Reply("```python\nFINAL(len(P))\n```", delay=DELAY)


def _children(backend: str) -> tuple[float, float]:
    """Seconds from the start of the code until all children have asked, and until all have answered."""
    with LoopbackServer(_model) as server:
        rlm = RLM(OpenAICompatAdapter("m", base_url=server.url, api_key="test-key"), policy=ROOM, repl_backend=backend)
        result = rlm.run("q?", TEXT)
        assert result.value == [len(TEXT) // CHILDREN] * CHILDREN, result.output
        first, *asked = sorted(request.time for request in server.requests)[: CHILDREN + 1]
        return asked[-1] - first, result.trace.of_kind("repl_exec")[0].data["waited"]


def _calls_alone() -> float:
    """Seconds that the tuned SDK needs for sixteen calls of the same delay."""

    async def calls(url: str) -> float:
        async with TunedSDK(url) as sdk:
            started = time.perf_counter()
            await sdk.batch(["x"] * CHILDREN, CHILDREN)
            return time.perf_counter() - started

    with LoopbackServer(lambda _: Reply("ok", delay=DELAY)) as server:
        return asyncio.run(calls(server.url))


def _row_of_children(backend: str) -> Row:
    runs = [_children(backend) for _ in range(REPEATS)]
    asked, answered = min(a for a, _ in runs), min(b for _, b in runs)
    floor = best(_calls_alone, REPEATS)
    return Row(
        f"{CHILDREN} children on {backend}: until all have asked / answered, s",
        f"{asked:.3f} / {answered:.3f}",
        f"{floor:.3f} tuned SDK, {CHILDREN} calls",
        f"{answered / floor:.1f}",
        "asked ≤ 0.5",
        asked <= 0.5,
    )


def sixteen_children() -> Row:
    """Sixteen sub-agents in workers of their own."""
    return _row_of_children("exec")


def sixteen_children_on_monty() -> Row:
    """The same on the other backend."""
    return _row_of_children("monty")


def double(x: int) -> int:
    """Return twice `x`."""
    return 2 * x


async def adouble(x: int) -> int:
    """Return twice `x`."""
    return 2 * x


def _ten_thousand(tool: object, code: str) -> float:
    """Microseconds of each of ten thousand calls."""
    rlm = RLM(FakeAdapter([f"```python\n{code}\n```", "FINAL_VAR: s"]), tools=[tool], policy=ROOM, repl_timeout=120)
    result = rlm.run("q?", "a text")
    assert result.value == CALLS * (CALLS - 1), result.output
    step = result.trace.of_kind("repl_exec")[0]
    return (step.elapsed + step.data["waited"]) / CALLS * 1e6


def _in_a_thread() -> float:
    """Microseconds of a call of the same function in a thread, with nothing around it."""

    async def calls() -> float:
        started = time.perf_counter()
        for n in range(CALLS):
            await asyncio.to_thread(double, n)
        return (time.perf_counter() - started) / CALLS * 1e6

    return asyncio.run(calls())


def _row_of_tools(name: str, tool: object, code: str) -> Row:
    ours = min(_ten_thousand(tool, code) for _ in range(2))
    floor = min(_in_a_thread() for _ in range(2))
    return Row(
        f"10,000 tool calls, {name}, µs each",
        f"{ours:.0f}",
        f"{floor:.0f} asyncio.to_thread",
        f"{ours / floor:.1f}",
        "≤ 1,643 (dspy's host call)",
        ours <= 1_643,
    )


def asynchronous_tools() -> Row:
    """One after another, an asynchronous function."""
    return _row_of_tools("one by one, async", adouble, f"s = sum(adouble(n) for n in range({CALLS}))")


def synchronous_tools() -> Row:
    """One after another, a synchronous function: a thread each, so that a slow one can be given a time limit."""
    return _row_of_tools("one by one, sync", double, f"s = sum(double(n) for n in range({CALLS}))")


def tools_in_a_batch() -> Row:
    """All in one batch."""
    return _row_of_tools("in one tool_batch", adouble, f"s = sum(tool_batch('adouble', list(range({CALLS}))))")


ROWS = (sixteen_children, sixteen_children_on_monty, asynchronous_tools, synchronous_tools, tools_in_a_batch)
