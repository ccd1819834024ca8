"""What the monty backend costs: start, executions a second, 10,000 host calls, a 50 MB text. `python -m benchmarks.monty_bench`."""

import asyncio
import resource
import time

from pyrlm.context import Context
from pyrlm.errors import ReplCrashedError
from pyrlm.repl.monty import MontyRepl
from pyrlm.repl.protocol import Setup

MEGABYTES = (1, 10, 50)


async def echo(value):
    return value


async def timed(repl, code):
    began = time.perf_counter()
    result = await repl.run(code)
    assert result.error is None, result.error
    return time.perf_counter() - began


async def small():
    repl = MontyRepl()
    began = time.perf_counter()
    await repl.start(Setup(functions={"echo": echo}, timeout=60.0, max_host_calls=20_000))
    print(f"start                          {1e3 * (time.perf_counter() - began):8.1f} ms")
    await repl.run("x = 0")
    began = time.perf_counter()
    for _ in range(500):
        await repl.run("x += 1\nx")
    print(f"executions                     {500 / (time.perf_counter() - began):8.0f} a second")
    seconds = await timed(repl, "for n in range(10_000):\n    echo(n)")
    print(f"host calls                     {1e6 * seconds / 10_000:8.0f} µs each of 10,000")
    seconds = await timed(
        repl, "def work(n):\n    t = 0\n    for i in range(n):\n        t += i * i % 7\n    return t\nwork(1_000_000)"
    )
    print(f"a loop of a million steps      {1e3 * seconds:8.0f} ms")
    await repl.close()


async def large(megabytes):
    text = ("The quick brown fox jumps over lazy dog number 12345. " * (megabytes * 20_000))[: megabytes * 1_000_000]
    repl = MontyRepl()
    await repl.start(Setup(context=Context.from_text(text), timeout=120.0, max_host_calls=20_000))
    print(f"text of {megabytes} MB")
    for what, code in (
        ("first use of P", "len(P)"),
        ("a later step that names P", "len(P)"),
        ("P.count(word)", "P.count('fox')"),
        ("P[middle]", "P[len(P)//2:len(P)//2+10]"),
        ("re.findall over P", "len(re.findall(r'number \\d+', P))"),
        ("re.search for what is absent", "re.search(r'unicorn', P)"),
        ("P.split()", "len(P.split())"),
        ("ctx.find", "len(ctx.find('number', max_results=10**9)) if len(P) < 2_000_000 else len(ctx.find('unicorn'))"),
    ):
        try:
            print(f"  {what:<28} {1e3 * await timed(repl, code):8.1f} ms")
        except (AssertionError, ReplCrashedError) as error:
            print(f"  {what:<28} {str(error).splitlines()[0][:70]}")
    await repl.close()


async def main():
    await small()
    for megabytes in MEGABYTES:
        await large(megabytes)
    print(f"peak of the host               {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:8.0f} MB")


if __name__ == "__main__":
    asyncio.run(main())
