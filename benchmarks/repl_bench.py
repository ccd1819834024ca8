"""The exec REPL, each figure as a ratio to a floor of the same run: `python -m benchmarks.repl_bench`.

Rows: start over Python's own start, one execution, 10,000 host calls, a loop of the code, 50 MB handed over, 200 MB of
half Chinese text loaded and searched three times with the memory of host and worker.
"""

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from pyrlm.context import Context
from pyrlm.repl.exec_host import ExecRepl
from pyrlm.repl.exec_pool import ReplPool
from pyrlm.repl.protocol import Setup

LOOP = "n = 0\nfor i in range(5_000_000):\n    n += i"
CALLS = 10_000
ECHO = "import os\nwhile True:\n    d = os.read(0, 100)\n    if not d: break\n    os.write(1, d)"


def best(action, times=15):
    found = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        found.append(time.perf_counter() - began)
    return min(found), statistics.median(found)


def bare_python():
    subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], env={}, check=True)


def pipe_round_trip():
    """Seconds for a byte to another Python process and back, the floor of any call to another process."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        there, back = child.stdin.fileno(), child.stdout.fileno()
        began = time.perf_counter()
        for _ in range(CALLS):
            os.write(there, b"x")
            os.read(back, 1)
        seconds = (time.perf_counter() - began) / CALLS
        child.stdin.close()
    return seconds


async def starts(make, times=15):
    found = []
    for _ in range(times):
        repl = make()
        began = time.perf_counter()
        await repl.start(Setup())
        found.append(time.perf_counter() - began)
        await repl.close()
        await asyncio.sleep(0.05)  # time for a pool to fill again
    return min(found), statistics.median(found)


async def pooled_starts():
    pool = ReplPool(2)
    await pool.fill()
    found = await starts(lambda: ExecRepl(pool=pool))
    await pool.close()
    return found


async def figures():
    async def echo(value):
        return value

    repl = ExecRepl()
    await repl.start(Setup(functions={"echo": echo}, timeout=60, max_host_calls=10**6))
    found = {}
    began = time.perf_counter()
    for _ in range(2_000):
        await repl.run("x = 1")
    found["execution"] = (time.perf_counter() - began) / 2_000
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        await repl.run(f"for i in range({CALLS}): echo('x')")
        seconds.append(time.perf_counter() - began)
    found["call"] = min(seconds) / CALLS
    found["loop"] = min([(await repl.run(LOOP)).elapsed for _ in range(3)])
    await repl.run("big = 'x' * 50_000_000")
    began = time.perf_counter()
    await repl.run("back = echo(big)")
    found["50 MB"] = time.perf_counter() - began
    await repl.close()
    return found


def half_chinese(size):
    page = ("The quick brown fox jumps. " + "敏捷的棕色狐狸跳过了懒狗这是一个很长的句子。\n") * 2_000
    texts = []
    while size > 0:
        texts.append(f"{page}{len(texts)}")
        size -= sys.getsizeof(texts[-1])
    return [*texts, "the needle 针在这里"]


def peak(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


async def big_text():
    texts = half_chinese(200_000_000)
    size = sum(map(sys.getsizeof, texts))
    began = time.perf_counter()
    plain = "\n\n".join(texts)
    plain.find("needle"), plain.find("针在"), plain.find("nowhere at all")
    floor = time.perf_counter() - began
    del plain
    repl = ExecRepl()
    host_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    began = time.perf_counter()
    await repl.start(Setup(context=Context.from_documents(texts), timeout=60))
    await repl.run("found = [ctx.find('needle'), ctx.find('针在'), ctx.find('nowhere at all')]")
    seconds = time.perf_counter() - began
    worker = peak(repl._process.pid)  # noqa: SLF001 - the process is what is measured
    await repl.close()
    joined_once = size  # the floor's own join, which the peak of this process holds too
    return size, floor, seconds, host_before - joined_once, worker


def main():
    python, _ = best(bare_python)
    trip = pipe_round_trip()
    cold, cold_median = asyncio.run(starts(ExecRepl))
    warm, warm_median = asyncio.run(pooled_starts())
    found = asyncio.run(figures())
    host_loop = min(best(lambda: exec(LOOP, {}), 3))
    size, floor, seconds, host, worker = asyncio.run(big_text())
    rows = [
        ("start, every layer on", f"{cold * 1e3:.1f} ms (median {cold_median * 1e3:.1f})", f"Python alone {python * 1e3:.1f} ms", f"+{(cold - python) * 1e3:.1f} ms"),
        ("start from a pool", f"{warm * 1e3:.1f} ms (median {warm_median * 1e3:.1f})", f"Python alone {python * 1e3:.1f} ms", f"{warm / python:.2f}"),
        ("one execution", f"{found['execution'] * 1e6:.0f} us", f"pipe there and back {trip * 1e6:.0f} us", f"{found['execution'] / trip:.1f}"),
        ("one host call", f"{found['call'] * 1e6:.0f} us", f"pipe there and back {trip * 1e6:.0f} us", f"{found['call'] / trip:.1f}"),
        ("loop of 5 M turns", f"{found['loop']:.3f} s", f"host {host_loop:.3f} s", f"{found['loop'] / host_loop:.2f}"),
        ("50 MB string there and back", f"{found['50 MB']:.2f} s", "", f"{100 / found['50 MB']:.0f} MB/s"),
        ("200 MB loaded, three searches", f"{seconds:.2f} s", f"join and find in the host {floor:.2f} s", f"{seconds / floor:.1f}"),
        ("memory, host and worker", f"{(host + worker) / 1e6:.0f} MB", f"text {size / 1e6:.0f} MB", f"{(host + worker - 150e6) / size:.2f} x text + 150 MB"),
    ]  # fmt: skip
    for name, ours, floor_text, ratio in rows:
        print(f"{name:32} {ours:28} {floor_text:36} {ratio}")


if __name__ == "__main__":
    main()
