"""The loop: 30 steps, bytes sent, limits, the cached second run."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import tempfile
import time

from benchmarks.harness import Row, TunedSDK, paired, server
from pyrlm import RLM, DiskCache, Policy
from pyrlm.adapters import OpenAICompatAdapter
from pyrlm.repl import ReplPool

STEPS = 30
CODE = "```python\nhits = ctx.find('line {n}00:')\nprint({n}, hits[:1])\n```"
TEXT = "\n".join(f"line {number}: some words of a text that is searched" for number in range(20_000))
ROOM = Policy(max_total_tokens=None)


def script() -> list[str]:
    """Thirty steps of code and an answer; enough for many runs."""
    return [*(CODE.format(n=n) for n in range(STEPS)), "FINAL: done"]


def ours(url: str, **options: object) -> object:
    """One run of the loop with an adapter of its own."""
    adapter = OpenAICompatAdapter("m", base_url=url, api_key="test-key")
    return RLM(adapter, policy=ROOM, **options).run("What is there?", TEXT)  # type: ignore[arg-type]


async def by_hand(url: str, system: str) -> None:
    """The same conversation with the tuned SDK and plain exec in this process: no isolation, no limits, no trace."""
    async with TunedSDK(url) as sdk:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": "What is there?"}]
        names = {"P": TEXT, "find": TEXT.find}
        while True:
            reply = await sdk.ask(messages, 4096)
            if reply.startswith("FINAL:"):
                return
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(
                    reply.strip("`").removeprefix("python\n").replace("ctx.find", "find").replace("hits[:1]", "hits"),
                    names,
                )
            messages += [{"role": "assistant", "content": reply}, {"role": "user", "content": out.getvalue()}]


def thirty_steps() -> Row:
    """Wall time of 30 steps with isolation on, against the same conversation by hand."""
    runs = 8
    with server(script=script() * (2 * runs + 2)) as process:
        ours(process.url)
        asyncio.run(by_hand(process.url, "s" * 3000))
        mine, tuned, ratio = paired(
            lambda: _timed(lambda: ours(process.url)),
            lambda: _timed(lambda: asyncio.run(by_hand(process.url, "s" * 3000))),
            runs - 1,
        )
    aim = tuned + STEPS * 0.0005
    return Row("30 steps, s", f"{mine:.3f}", f"{tuned:.3f} tuned SDK", f"{ratio:.2f}", f"≤ {aim:.3f}", mine <= aim)


def thirty_steps_warm() -> Row:
    """The same with a worker that has been started beforehand, as an application that runs many queries has."""
    runs = 8
    with server(script=script() * (2 * runs + 2)) as process, ReplPool() as pool:
        ours(process.url, repl_backend=pool.repl)
        asyncio.run(by_hand(process.url, "s" * 3000))
        mine, tuned, ratio = paired(
            lambda: _timed(lambda: ours(process.url, repl_backend=pool.repl)),
            lambda: _timed(lambda: asyncio.run(by_hand(process.url, "s" * 3000))),
            runs - 1,
        )
    aim = tuned + STEPS * 0.0005
    return Row(
        "30 steps, warm worker, s", f"{mine:.3f}", f"{tuned:.3f} tuned SDK", f"{ratio:.2f}", f"≤ {aim:.3f}", mine <= aim
    )


def _timed(work: object) -> float:
    started = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - started


def bytes_sent() -> Row:
    """Bytes of all prompts of 31 calls, and those that do not repeat the prompt before."""
    with server(script=script()) as process:
        result = ours(process.url)
        total = process.stats()["bytes"]
    sent: list[str] = []
    fresh = 0
    adapter_calls = _prompts()
    for prompt in adapter_calls:
        text = json.dumps(prompt, ensure_ascii=False)[:-1]
        before = sent[-1] if sent else ""
        fresh += len(text.encode()) - (len(before.encode()) if text.startswith(before) else 0)
        sent.append(text)
    assert result is not None
    ok = total < 200_000 and fresh < 10_000
    return Row(
        "prompt bytes of 31 calls, KB (outside the prefix)",
        f"{total / 1000:.0f} ({fresh / 1000:.0f})",
        "",
        "",
        "< 200 (10)",
        ok,
    )


def _prompts() -> list[list[dict[str, str]]]:
    from pyrlm.adapters import FakeAdapter

    adapter = FakeAdapter(script())
    RLM(adapter, policy=ROOM).run("What is there?", TEXT)
    return [[dict(message) for message in call.messages] for call in adapter.calls]


def limits_hold() -> Row:
    """Tokens spent by a batch and by a loop under a limit of 8,000, and sub-calls served under a limit of 8."""
    from pyrlm.adapters import FakeAdapter

    def spent(replies: list[str], **limits: int) -> tuple[int, int]:
        adapter = FakeAdapter(replies, rules=[("You are a sub-LLM", "word " * 80), ("is met", "FINAL: best")])
        result = RLM(adapter, policy=Policy(**limits), on_limit="return").run("What?", TEXT)
        return result.usage.total_tokens, result.subcalls

    batch = ["```python\na = llm_batch([P[:2000] + str(n) for n in range(40)])\n```", "FINAL: done"]
    loop = [f"```python\nprint({n}, P[:3000])\n```" for n in range(40)]
    many = ["```python\na = llm_batch([str(n) for n in range(32)])\n```", "FINAL: done"]
    one, two = spent(batch, max_total_tokens=8000)[0], spent(loop, max_total_tokens=8000)[0]
    served = spent(many, max_subcalls=8)[1]
    ok = one <= 8000 and two <= 8000 and served == 8
    return Row(
        "limit of 8,000 tokens: batch / loop; of 8 calls: served", f"{one} / {two}; {served}", "", "", "≤ 8,000; 8", ok
    )


def cached_again() -> Row:
    """Requests that the same 64 sub-calls cost a second time."""
    code = "```python\na = llm_batch([f'Q{n}' for n in range(64)])\n```"
    with (
        tempfile.TemporaryDirectory() as folder,
        server(script=[code, "FINAL: done"] * 2) as root,
        server() as sub,
        DiskCache(folder) as cache,
    ):
        for _ in range(2):
            adapter = OpenAICompatAdapter("m", base_url=root.url, api_key="test-key")
            small = OpenAICompatAdapter("s", base_url=sub.url, api_key="test-key")
            RLM(adapter, subcall_adapter=small, cache=cache).run("What?", TEXT)
        again = sub.stats()["requests"] - 64
    return Row("the same 64 sub-calls again: requests", str(again), "64 tuned SDK", "", "0", again == 0)


ROWS = (thirty_steps, thirty_steps_warm, bytes_sent, limits_hold, cached_again)
