"""Big texts and the REPL: 200 MB, half of it Chinese; loops; host calls."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

from benchmarks.harness import Row, best
from pyrlm.context import Context
from pyrlm.repl import make_repl
from pyrlm.repl.protocol import Setup

_BIG = """
import sys, time, threading, os
from pyrlm import RLM, Policy
from pyrlm.adapters import FakeAdapter
import openai
half = 50_000_000
text = "".join(f"entry {i}: plain words of a record\\n" for i in range(half // 33))[:half]
text += "汉字记录文本内容" * (half // 8) + " NEEDLE is 4711 "
def resident():
    total = 0
    for pid in [str(os.getpid()), *children()]:
        try:
            for line in open(f"/proc/{pid}/status"):
                if line.startswith("VmRSS"):
                    total += int(line.split()[1])
        except OSError:
            pass
    return total / 1000
def children():
    found = []
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                if f"PPid:\\t{os.getpid()}\\n" in open(f"/proc/{pid}/status").read():
                    found.append(pid)
            except OSError:
                pass
    return found
peak, going = 0.0, True
def watch():
    global peak
    while going:
        peak = max(peak, resident())
        time.sleep(0.02)
threading.Thread(target=watch, daemon=True).start()
code = ["print(ctx.find('NEEDLE'))", "print(ctx.find(r'entry 99999\\\\d:', regex=True)[:1])", "print(ctx.find('needle', ignore_case=True))"]
adapter = FakeAdapter([*(f"```python\\n{c}\\n```" for c in code), "FINAL: 4711"])
started = time.perf_counter()
if sys.argv[1] == "ours":
    result = RLM(adapter, repl_timeout=60).run("Where is the needle?", text)
    assert result.output == "4711" and all(s.error is None for s in result.trace.of_kind("repl_exec")), result.trace
else:
    import re
    text.find("NEEDLE"); next(re.finditer(r"entry 99999\\d:", text)); re.search("needle", text, re.IGNORECASE)
elapsed = time.perf_counter() - started
going = False
print(elapsed, max(peak, resident()), sys.getsizeof(text) / 1e6)
"""


def _big(which: str) -> tuple[float, float, float]:
    ran = subprocess.run([sys.executable, "-c", _BIG, which], capture_output=True, text=True, check=True)
    seconds, resident, size = map(float, ran.stdout.split())
    return seconds, resident, size


def two_hundred_megabytes() -> Row:
    """Load, three searches, the answer; and the memory of host and worker together at its highest."""
    runs = [(_big("ours"), _big("floor")) for _ in range(3)]
    mine, floor = min(a[0] for a, _ in runs), min(b[0] for _, b in runs)
    resident, size = max(a[1] for a, _ in runs), runs[0][0][2]
    aim = 2.2 * size + 150
    return Row(
        f"{size:.0f} MB, half Chinese, three searches: s / MB",
        f"{mine:.2f} / {resident:.0f}",
        f"{floor:.2f} / {runs[0][1][1]:.0f} plain Python",
        f"{mine / floor:.2f}",
        f"≤ 1 / {aim:.0f}",
        mine <= 1 and resident <= aim,
    )


async def _in_repl(code: str, repeats: int) -> float:
    calls = 0

    async def host(number: int) -> int:
        nonlocal calls
        calls += 1
        return number

    repl = make_repl("exec")
    await repl.start(
        Setup(context=Context.from_text("a text"), functions={"host": host}, timeout=120, max_host_calls=10**6)
    )
    try:
        return min([(await repl.run(code)).elapsed or 1e-9 for _ in range(repeats)])
    finally:
        await repl.close()


async def _waited(code: str, repeats: int) -> float:
    async def host(number: int) -> int:
        return number

    repl = make_repl("exec")
    await repl.start(
        Setup(context=Context.from_text("a text"), functions={"host": host}, timeout=120, max_host_calls=10**6)
    )
    times = []
    try:
        for _ in range(repeats):
            started = time.perf_counter()
            await repl.run(code)
            times.append(time.perf_counter() - started)
    finally:
        await repl.close()
    return min(times)


def five_million_turns() -> Row:
    """A plain loop in the worker against the same loop here."""
    code = "t = 0\nfor i in range(5_000_000):\n    t += i\n"
    names: dict[str, object] = {}
    compiled = compile(code, "loop", "exec")
    floor = best(lambda: exec(compiled, names), 3)
    mine = asyncio.run(_in_repl(code, 3))
    return Row(
        "5 M turns of a loop, s",
        f"{mine:.3f}",
        f"{floor:.3f} this process",
        f"{mine / floor:.2f}",
        "≤ 1.05",
        mine <= 1.05 * floor,
    )


def host_call() -> Row:
    """One call from the worker to the host and back."""
    count = 2000
    mine = asyncio.run(_waited(f"for i in range({count}):\n    host(i)\n", 5)) / count * 1e6
    return Row("host call, µs", f"{mine:.0f}", "", "", "≤ 60", mine <= 60)


ROWS = (two_hundred_megabytes, five_million_turns, host_call)
