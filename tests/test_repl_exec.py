"""The exec backend: what the conformance table doesn't ask of every backend."""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from pyrlm.context import Context
from pyrlm.errors import ReplCrashedError, ReplUnavailableError, WireError
from pyrlm.repl import exec_host, worker_names
from pyrlm.repl.exec_host import ExecRepl
from pyrlm.repl.exec_pool import ReplPool
from pyrlm.repl.isolation import LAYERS
from pyrlm.repl.protocol import Setup


@contextlib.asynccontextmanager
async def started(repl=None, **options):
    repl = repl or ExecRepl()
    await repl.start(Setup(**{"timeout": 5.0, "isolation": "strict", **options}))
    try:
        yield repl
    finally:
        await repl.close()


def run(*codes, **options):
    """Run pieces of code in one REPL and return the last result."""

    async def main():
        async with started(**options) as repl:
            for code in codes:
                result = await repl.run(textwrap.dedent(code))
            return result

    return asyncio.run(main())


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "XZ"
    except OSError:
        return True


def wait_until(condition):
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


def gatherer(of):
    """A host function that answers only when `of` calls are in flight together."""
    flying = 0
    enough = asyncio.Event()

    async def together(value=0):
        nonlocal flying
        flying += 1
        if flying >= of:
            enough.set()
        await enough.wait()
        return value

    return {"together": together}


def test_every_layer_is_on_here():
    async def main():
        async with started() as repl:
            assert repl.layers == LAYERS
            assert repl.missing == {}

    asyncio.run(main())


def test_the_worker_has_two_descriptors_an_empty_environment_and_an_empty_folder():
    result = run("""
        mods = json.codecs.__builtins__['__import__']('sys').modules
        found = []
        for fd in range(64):
            try:
                mods['os'].fstat(fd)
                found.append(fd)
            except OSError:
                pass
        print(len(found), set(mods['os'].environ) - {'LC_CTYPE'})  # Python itself sets that one
        try:
            print(mods['os'].getcwd())
        except FileNotFoundError:
            print('no folder')
    """)
    assert result.stdout == "5 {'PYTHONHASHSEED'}\nno folder\n"


def test_a_cancelled_run_leaves_no_process():
    async def main():
        async with started() as repl:
            pid = repl._process.pid
            running = asyncio.create_task(repl.run("while True: pass"))
            await asyncio.sleep(0.05)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            await repl.close()
            assert gone(pid)
            assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


@pytest.mark.parametrize("after", [0.0, 0.001, 0.01, 0.03, 0.1])
def test_a_cancelled_start_leaves_no_process(after):
    context = Context.from_text("中文 text " * 3_000_000)

    async def main():
        repl = ExecRepl()
        starting = asyncio.create_task(repl.start(Setup(context=context)))
        await asyncio.sleep(after)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        await repl.close()

    before = children()
    asyncio.run(main())
    assert wait_until(lambda: children() <= before)


def children():
    pids = {pid for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()}
    return {pid for pid in pids if not gone(pid)}


def test_descriptors_and_threads_do_not_grow():
    run("1")
    before = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    for _ in range(5):
        run("1", context=Context.from_text("x"))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before[0]
    assert threading.active_count() <= before[1] + 1


def test_closing_ends_a_step_that_is_waited_for():
    async def main():
        async with started() as repl:
            running = asyncio.create_task(repl.run("while True: pass"))
            await asyncio.sleep(0.05)
            await repl.close()
            with pytest.raises(ReplCrashedError, match="closed"):
                await asyncio.wait_for(running, 5)

    asyncio.run(main())


def test_a_host_that_is_killed_takes_its_worker_along():
    host = """
        import asyncio
        from pyrlm.repl.exec_host import ExecRepl
        from pyrlm.repl.protocol import Setup
        async def main():
            repl = ExecRepl()
            await repl.start(Setup(timeout=60))
            print(repl._process.pid, flush=True)
            await repl.run("while True: pass")
        asyncio.run(main())
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(host)], stdout=subprocess.PIPE, text=True) as process:
        pid = int(process.stdout.readline())
        assert not gone(pid)
        process.kill()
        assert wait_until(lambda: gone(pid))


def test_an_abandoned_repl_is_ended_with_its_object():
    async def main():
        repl = ExecRepl()
        await repl.start(Setup())
        return repl._process.pid

    pid = asyncio.run(main())
    __import__("gc").collect()
    assert wait_until(lambda: gone(pid))


def test_threads_of_the_code_stand_still_between_steps():
    async def main():
        async with started() as repl:
            await repl.run(
                """import threading\ndef burn():\n    while True: pass\nthreading.Thread(target=burn, daemon=True).start()"""
            )
            state = lambda: Path(f"/proc/{repl._process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
            assert await asyncio.to_thread(wait_until, lambda: state() == "T")
            assert (await repl.run("print('works')")).stdout == "works\n"

    asyncio.run(main())


def test_an_interrupt_that_is_swallowed_comes_again_and_variables_live():
    code = """
        kept = 'yes'
        while True:
            try:
                while True:
                    try: pass
                    except: pass
            except BaseException:
                pass
    """
    result = run(code, "print(kept)", timeout=0.3)
    assert result.stdout == "yes\n"


def test_each_interrupt_says_how_long_and_what_to_do():
    result = run("while True: pass", timeout=0.3)
    assert "0.3 s" in result.error
    assert "part" in result.error
    assert "repeat" not in result.error


def test_a_pattern_that_backtracks_is_stopped_and_said_so():
    result = run("x = 5", "import re\nre.match(r'(a|aa)+$', 'a' * 60 + '!')", timeout=0.3)
    assert result.error_type == "TimeoutError"
    assert "backtracks" in result.error
    assert "line 2" in result.error


def test_c_code_that_cannot_be_interrupted_is_killed():
    with pytest.raises(ReplCrashedError, match=r"0\.3 s"):
        run("max(itertools.count())", timeout=0.3)


def test_a_crashed_repl_can_be_started_again():
    async def main():
        async with started(timeout=0.3) as repl:
            with pytest.raises(ReplCrashedError):
                await repl.run("max(itertools.count())")
            with pytest.raises(ReplCrashedError):
                await repl.run("1")
            await repl.start(Setup())
            assert (await repl.run("1 + 1")).stdout == "2\n"

    asyncio.run(main())


def test_processor_time_counts_while_a_thread_waits_for_the_host():
    async def slow():
        await asyncio.sleep(30)

    code = "import threading\nthreading.Thread(target=slow, daemon=True).start()\nwhile True: pass"
    result = run(code, functions={"slow": slow}, timeout=0.4)
    assert result.error_type == "TimeoutError"


def test_calls_of_a_step_end_with_it():
    ended = []

    async def slow():
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            ended.append(1)
            raise

    code = "import threading\nt = threading.Thread(target=slow, daemon=True)\nt.start()\nimport time\ntime.sleep(0.2)"

    async def main():
        async with started(functions={"slow": slow}) as repl:
            await repl.run(code)
            assert ended == [1]
            assert (await repl.run("t.join(2)\nprint(t.is_alive())")).stdout == "False\n"

    asyncio.run(main())


@pytest.mark.parametrize(
    "code",
    [
        "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(12) as p:\n    r = list(p.map(together, range(12)))\nr",
        "import asyncio\nr = await asyncio.gather(*[together(n) for n in range(12)])\nr",
        "import asyncio\nr = await asyncio.gather(*(together(n) for n in range(12)))\nr",
        "import asyncio\nasync def one(n):\n    return await together(n)\nasync def main():\n    return await asyncio.gather(*map(one, range(12)))\nasyncio.run(main())",
        "import asyncio\nasync def main():\n    tasks = [asyncio.create_task(together(n)) for n in range(12)]\n    return [await t for t in tasks]\nasyncio.run(main())",
    ],
)
def test_calls_are_in_flight_together(code):
    result = run(code, functions=gatherer(12))
    assert result.stdout == f"{list(range(12))}\n", result.error


def test_a_value_that_is_no_awaitable_can_be_awaited_and_gathered():
    async def ask(q):
        return q.upper()

    code = """
        import asyncio
        one = await ask('a')
        tasks = [ask(c) for c in 'bc']
        rest = await asyncio.gather(*tasks)
        print(one, rest, [await ask('d')])
    """
    assert run(code, functions={"ask": ask}).stdout == "A ['B', 'C'] ['D']\n"


def test_standard_error_is_shown_in_order():
    code = "import sys\nprint('a')\nprint('b', file=sys.stderr)\nsys.stdout.write('c\\n')\nimport logging\nlogging.warning('d')"
    assert run(code).stdout == "a\nb\nc\nWARNING:root:d\n"


def test_printing_four_hundred_megabytes_kills_nothing():
    result = run(
        "for _ in range(400): print('x' * 999_999)", "print(len(last_output), 'not kept' in last_output)", timeout=30.0
    )
    length, said = result.stdout.split()
    assert 1_000_000 < int(length) < 20_000_000
    assert said == "True"


def test_a_class_of_the_code_cannot_break_the_echo():
    result = run("class A:\n    def __repr__(self): raise SystemExit\nA()")
    assert result.error_type == "SystemExit"
    assert run("class A:\n    def __repr__(self): return 5\nprint('x')\nA()").stdout.startswith("x\n<A")


def test_refusals_say_what_to_do_instead():
    assert "P and ctx" in run("import os").error
    assert "P and ctx" in run("open('x')").error
    assert "no module 'urllib.request'" in run("from urllib import request").error
    assert "no module 'numpy'" in run("import numpy as np").error
    assert "nobody" in run("input()").error
    assert "FINAL(answer)" in run("exit()").error
    assert "can't be changed" in run("ctx.find = 5", context=Context.from_text("x")).error


def test_every_listed_module_can_be_imported():
    parts = ["concurrent.futures", "urllib.parse", "xml.etree.ElementTree"]
    code = f"for name in {sorted(worker_names._MODULES) + parts}:\n    __import__(name)\nprint('all')"
    result = run(code, timeout=30.0)
    assert result.error is None
    assert result.stdout == "all\n"


def test_modules_that_need_more_than_python_work():
    code = """
        import uuid, hashlib, zoneinfo, datetime, random, secrets, decimal, statistics, dataclasses, enum
        @dataclasses.dataclass
        class Row:
            name: str
            n: int = 0
        class Colour(enum.Enum):
            RED = 1
        moment = datetime.datetime(2024, 6, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin'))
        print(len(str(uuid.uuid4())), hashlib.sha256(b'x').hexdigest()[:4], moment.utcoffset(), secrets.randbelow(1), Row('a'), Colour.RED)
    """
    assert run(code).stdout == "36 2d71 2:00:00 0 Row(name='a', n=0) Colour.RED\n"


def test_sys_has_its_facts_and_no_modules():
    assert (
        run("import sys\nprint(sys.maxsize > 0, sys.version_info >= (3, 11), hasattr(sys, 'modules'))").stdout
        == "True True False\n"
    )


def test_traceback_names_calls_and_causes_in_few_lines():
    code = "def inner(): return {}['k']\ndef outer():\n    try: inner()\n    except KeyError as e: raise ValueError('outer failed') from e\nouter()"
    error = run(code).error
    assert "line 5\n    outer()" in error
    assert "ValueError: outer failed" in error
    assert "caused by: KeyError: 'k'" in error
    assert "pyrlm" not in error


def test_a_recursion_without_end_is_short():
    result = run("def f(n): return f(n + 1)\nf(0)")
    assert result.error_type == "RecursionError"
    assert result.error.count("\n") < 25


def test_syntax_errors_show_a_caret():
    assert "^" in run("x = (1,\ny = 2").error


def test_variables_and_a_context_that_is_no_text():
    result = run("print(context['a'], CONTEXT is context, n + 1)", variables={"context": {"a": [1, (2,)]}, "n": 2**70})
    assert result.stdout == f"[1, (2,)] True {2**70 + 1}\n"
    with pytest.raises(WireError, match="variables"):
        run("1", variables={"f": object()})


def test_text_arrives_as_it_is():
    texts = ["a\ud800b", "", "中" * 3_000_000 + "\udc00", "😀" * 10]

    async def same(piece, start):
        return joined[start : start + len(piece)] == piece

    joined = "--".join(texts)
    code = f"ok = len(P) == {len(joined)} and all(same(P[i:i + 1_000_000], i) for i in range(0, len(P), 1_000_000))\nprint(ok, ctx.document_lengths())"
    result = run(code, context=Context.from_documents(texts, separator="--"), functions={"same": same}, timeout=20.0)
    assert result.stdout == f"True {[len(text) for text in texts]}\n"


def test_sets_have_the_same_order_in_every_run():
    assert run("print(set('abcdefgh'))").stdout == run("print(set('abcdefgh'))").stdout


def test_many_loops_and_threads_at_once():
    found = []

    def work(n):
        found.append(run(f"x = {n}", "print(x)").stdout)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [f"{n}\n" for n in range(6)]


def test_a_pool_hands_out_workers_once():
    async def main():
        pool = ReplPool(2)
        await pool.fill()
        waiting = {worker.pid for worker in pool._ready}
        async with started(ExecRepl(pool=pool)) as repl:
            assert repl._process.pid in waiting
            await repl.run("x = 1")
        async with started(ExecRepl(pool=pool)) as repl:
            assert (await repl.run("x")).error_type == "NameError"
        dead = pool._ready[0].pid
        os.kill(dead, signal.SIGKILL)
        assert wait_until(lambda: gone(dead))
        async with started(ExecRepl(pool=pool)) as repl:
            assert (await repl.run("1 + 1")).stdout == "2\n"
        pids = [worker.pid for worker in pool._ready]
        await pool.close()
        assert all(map(gone, pids))

    asyncio.run(main())


def test_less_isolation_is_told_once(caplog, monkeypatch):
    monkeypatch.setattr(exec_host, "_warned", set())
    repl = ExecRepl()
    with caplog.at_level(logging.WARNING, logger="pyrlm"):
        repl._judge_layers({"seccomp": "not here"})
        repl._judge_layers({"seccomp": "not here"})
    assert [record.message for record in caplog.records if "seccomp (not here)" in record.message].__len__() == 1
    assert "seccomp" not in repl.layers
    repl._setup = Setup(isolation="strict")
    with pytest.raises(ReplUnavailableError, match=r"seccomp \(not here\).*monty"):
        repl._judge_layers({"seccomp": "not here"})


def test_fifty_threads_fit_into_the_memory_limit():
    code = "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(50) as p:\n    print(sum(p.map(together, range(50))))"
    assert run(code, functions=gatherer(50), memory_bytes=256 << 20).stdout == "1225\n"
