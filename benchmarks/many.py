"""Many questions through one router: what each costs beside the model, and `run_many` against a loop over `run`."""

from __future__ import annotations

import asyncio
import time

from benchmarks.harness import Row, TunedSDK, paired, server
from pyrlm import Policy, SmartRouter
from pyrlm.adapters import OpenAICompatAdapter

COUNT = 200
SHORT = "The warranty lasts 24 months.\nThe battery is not covered.\nReturns go to Lyon.\n"
LONG = "".join(f"line {number}: some words of a text that is asked about again and again\n" for number in range(800))
REPLY = "24 months\n<quotes>\n<quote>{}</quote>\n</quotes>"
QUESTIONS = [f"How long is warranty {number}?" for number in range(COUNT)]


def _router(url: str) -> SmartRouter:
    adapter = OpenAICompatAdapter("m", base_url=url, api_key="test-key", context_window=128_000)
    return SmartRouter(adapter, policy=Policy(max_total_tokens=None))


def _loop(router: SmartRouter, text: str) -> None:
    for question in QUESTIONS:
        assert router.run(question, text, route="baseline").status == "answered"


def _many(router: SmartRouter, text: str) -> None:
    assert all(item.result.status == "answered" for item in router.run_many(QUESTIONS, text, route="baseline"))


async def _tuned(url: str, text: str) -> float:
    """The same prompts by hand, one after another; returns the seconds without the making of the client."""
    async with TunedSDK(url) as sdk:
        await sdk.ask([{"role": "user", "content": "warm"}])
        started = time.perf_counter()
        for question in QUESTIONS:
            content = f"<text>\n{text}\n</text>\n\nQuestion: {question}"
            await sdk.ask([{"role": "system", "content": "s" * 600}, {"role": "user", "content": content}], 2048)
        return time.perf_counter() - started


def short_queries() -> Row:
    """A loop over `run` on a short text, each query against a call of the tuned SDK."""
    with server(reply=REPLY.format("The warranty lasts 24 months.")) as process:
        router = _router(process.url)
        _loop(router, SHORT)
        mine, floor, ratio = paired(lambda: _loop(router, SHORT), lambda: asyncio.run(_tuned(process.url, SHORT)), 5)
    mine, floor = mine / COUNT * 1000, floor / COUNT * 1000
    name, aim = f"{COUNT} short queries through one instance, ms each", floor + 0.3
    return Row(name, f"{mine:.2f}", f"{floor:.2f} tuned SDK", f"{ratio:.2f}", f"≤ {aim:.2f}", mine <= aim)


def _against_loop(name: str, text: str, quote: str, delay: float, aim: float) -> Row:
    with server(reply=REPLY.format(quote), delay=delay) as process:
        router = _router(process.url)
        _many(router, text)
        mine, floor, ratio = paired(lambda: _many(router, text), lambda: _loop(router, text), 3)
    return Row(name, f"{mine:.3f}", f"{floor:.3f} loop over run", f"{ratio:.2f}", f"≤ {aim}", ratio <= aim)


def no_delay() -> Row:
    """The model answers at once: what is shared is all that can be saved."""
    quote = "The warranty lasts 24 months."
    return _against_loop(f"{COUNT} queries by run_many, short text, s", SHORT, quote, 0.0, 0.9)


def a_delay() -> Row:
    """The model takes 20 ms: ten answers at a time."""
    quote = "The warranty lasts 24 months."
    return _against_loop(f"{COUNT} queries by run_many, 20 ms a call, s", SHORT, quote, 0.02, 0.2)


def a_long_text() -> Row:
    """A text of 60,000 characters, which a loop over `run` that is given a string takes in and counts each time."""
    quote = "line 300: some words of a text"
    return _against_loop(f"{COUNT} queries by run_many, 58 KB of text, s", LONG, quote, 0.0, 0.6)


ROWS = (short_queries, no_delay, a_delay, a_long_text)
