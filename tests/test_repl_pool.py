"""A pool of workers started beforehand."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from pyrlm import RLM
from pyrlm.adapters import FakeAdapter
from pyrlm.repl import ReplPool

SCRIPT = ["```python\nprint(len(P))\n```", "FINAL: 6"]


def workers():
    found = set()
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if (
                f"\nPPid:\t{os.getpid()}\n" in status.read_text()
                and b"exec_worker" in (status.parent / "cmdline").read_bytes()
            ):
                found.add(int(status.parent.name))
        except OSError:
            continue
    return found


def settled(condition):
    until = time.monotonic() + 10
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def test_runs_take_waiting_workers_and_the_pool_leaves_none():
    before = workers()
    with ReplPool(2) as pool:
        assert settled(lambda: len(workers() - before) == 2)  # a forked process shows its own command once it has begun
        for _ in range(5):
            assert RLM(FakeAdapter(SCRIPT), repl_backend=pool.repl).run("How long?", "a text").output == "6"
    assert workers() - before == set()


def test_a_pool_in_a_loop_of_ones_own():
    async def main():
        async with ReplPool(1) as pool:
            rlm = [RLM(FakeAdapter(SCRIPT), repl_backend=pool.repl) for _ in range(4)]
            results = await asyncio.gather(*(one.arun("How long?", "a text") for one in rlm))
        return [result.output for result in results]

    before = workers()
    assert asyncio.run(main()) == ["6"] * 4
    assert workers() - before == set()


def test_what_one_run_defined_is_not_there_in_the_next():
    with ReplPool(1) as pool:
        RLM(FakeAdapter(["```python\nsecret = 1\n```", "FINAL: x"]), repl_backend=pool.repl).run("?", "a text")
        result = RLM(
            FakeAdapter(["```python\nprint('secret' in dir())\n```", "FINAL: False"]), repl_backend=pool.repl
        ).run("?", "a text")
        assert result.trace.of_kind("repl_exec")[0].stdout.strip() == "False"
