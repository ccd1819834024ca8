"""The monty backend: the conformance table, what is its own, and what it leaves behind."""

import asyncio
import gc
import os
import signal
import tempfile
import threading
from pathlib import Path

import pytest
from repl_conformance import CASES, check_crash_and_replacement, check_variables, run_case

from pyrlm.context import Context
from pyrlm.errors import ReplCrashedError, ReplUnavailableError, WireError
from pyrlm.repl.monty import MontyRepl
from pyrlm.repl.monty_worker import Launcher
from pyrlm.repl.protocol import Setup


def kill(repl):
    os.kill(repl._thread.pid, signal.SIGKILL)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_case(case):
    asyncio.run(run_case(MontyRepl, case))


def test_a_killed_worker_is_replaced():
    asyncio.run(check_crash_and_replacement(MontyRepl, kill))


def test_variables_are_listed_and_fetched():
    asyncio.run(check_variables(MontyRepl))


def test_the_notes_for_the_prompt_are_short():
    assert 0 < len(MontyRepl.language_notes) <= 400


def test_closing_and_cancelling_leave_no_thread_and_no_process():
    async def main():
        before = threading.active_count()
        started = asyncio.Event()

        async def forever():
            started.set()
            await asyncio.Event().wait()

        pids = []
        for code in ("while True:\n    pass", "forever()", "import time\ntime.sleep(4)"):
            repl = MontyRepl()
            await repl.start(Setup(functions={"forever": forever}, timeout=5.0))
            pids.append(repl._thread.pid)
            running = asyncio.create_task(repl.run(code))
            await asyncio.wait({running}, timeout=0.2)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            await repl.close()
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        assert started.is_set()
        threads = [t.name for t in threading.enumerate() if t.name.startswith("pyrlm-monty")]
        assert threads == []
        assert threading.active_count() <= before + 5

    asyncio.run(main())


def test_a_start_that_is_cancelled_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    async def main():
        for turns in range(4):
            starting = asyncio.create_task(MontyRepl().start(Setup()))
            for _ in range(turns):
                await asyncio.sleep(0)
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
        await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(main())
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_script_that_a_forked_process_still_holds_is_waited_for(monkeypatch):
    made = Launcher.__init__

    def held(self, **options):
        made(self, **options)
        threading.Timer(0.3, os.close, [os.open(self.path, os.O_WRONLY)]).start()

    monkeypatch.setattr(Launcher, "__init__", held)

    async def main():
        repl = MontyRepl()
        await repl.start(Setup())
        result = await repl.run("1 + 1")
        await repl.close()
        return result.stdout

    assert asyncio.run(main()) == "2\n"


def test_many_sessions_wait_for_the_host_at_once():
    async def main():
        waiting, enough = [], asyncio.Event()

        async def together():
            waiting.append(1)
            if len(waiting) == 8:
                enough.set()
            await enough.wait()
            return "all"

        repls = [MontyRepl() for _ in range(8)]
        await asyncio.gather(*(repl.start(Setup(functions={"together": together})) for repl in repls))
        results = await asyncio.gather(*(repl.run("together()") for repl in repls))
        assert [result.stdout for result in results] == ["'all'\n"] * 8
        await asyncio.gather(*(repl.close() for repl in repls))

    asyncio.run(main())


def run_steps(*steps, **options):
    async def main():
        repl = MontyRepl()
        await repl.start(Setup(**{"timeout": 1.0, **options}))
        try:
            return [await repl.run(step) for step in steps]
        finally:
            await repl.close()

    return asyncio.run(main())


def test_a_stopped_step_is_undone_and_says_so():
    first, stopped, after = run_steps("x = 1\nseen = [1]", "seen.append(2)\nwhile True:\n    x += 1", "print(x, seen)")
    assert first.error is None
    assert "as they were before it" in stopped.error
    assert after.stdout == "1 [1]\n"


def test_host_names_work_after_a_stopped_step():
    async def echo(value):
        return value

    results = run_steps(
        "while True:\n    pass",
        "print(echo(1), ctx.find('text')[0][2], P)",
        functions={"echo": echo},
        context=Context.from_text("a text"),
        timeout=0.5,
    )
    assert results[1].stdout == "1 text a text\n"


def test_a_hopeless_pattern_ends_with_the_likely_trouble():
    for code in ("re.match(r'(a+)+$', 'a' * 5_000 + 'b')", "re.search(r'(x+x+)+y', 'x' * 10_000)"):
        (result,) = run_steps(code)
        assert result.error is None or "repeat" in result.error


def test_a_text_too_long_for_a_string_points_to_ctx(monkeypatch):
    monkeypatch.setattr("pyrlm.repl.monty_text.MAX_CHARS", 1_000)
    context = Context.from_text("needle " + "x" * 2_000)
    refused, found, own = run_steps(
        "print(len(P))", "print(ctx.find('needle')[0][2])", "P = 'mine'\nprint(P)", context=context
    )
    assert "2,007 characters" in refused.error
    assert "ctx.find" in refused.error
    assert found.stdout == "needle\n"
    assert own.stdout == "mine\n"


def test_documents_are_one_text_there():
    context = Context.from_documents(["one", "zwei", "三"], separator=" | ")
    (result,) = run_steps("print(P, context is P, CONTEXT == context, len(P))", context=context)
    assert result.stdout == "one | zwei | 三 True True 14\n"


def test_lone_surrogates_cross_both_ways():
    async def echo(value):
        assert value == "a\ud800"
        return {"b\udfff": ["\ud900"]}

    (result,) = run_steps(
        "r = echo(P)\nprint(len(P), list(r.values())[0])\nFINAL(r)",
        functions={"echo": echo},
        context=Context.from_text("a\ud800"),
    )
    assert result.error is None
    assert result.final.value == {"b\udfff": ["\ud900"]}


def test_lone_surrogates_that_code_writes_are_kept():
    code = """\
r = ['\\ud800', f'{1}\\udfff', {'k\\udc80': '\\U0000dbff' 'b'}, re.sub('[\\ud800-\\udfff]', '?', P)]
match '\\ud800':
    case '\\ud800':
        print(r[0])
FINAL(r)"""
    (result,) = run_steps(code, context=Context.from_text("a\ud801"))
    assert result.error is None
    assert result.stdout == "\ud800\n"
    assert result.final.value == ["\ud800", "1\udfff", {"k\udc80": "\udbffb"}, "a?"]


def test_a_value_that_cannot_be_fetched_is_a_wire_error():
    async def main():
        repl = MontyRepl()
        await repl.start(Setup())
        await repl.run("f = [1, lambda: 2]\nr = range(3)")
        for name in ("f", "r"):
            with pytest.raises(WireError, match="can't cross"):
                await repl.get(name)
        await repl.close()
        with pytest.raises(ReplCrashedError):
            await repl.run("1")

    asyncio.run(main())


def test_host_calls_stand_inside_native_callbacks():
    async def score(text):
        return len(text)

    code = (
        "words = ['ccc', 'a', 'bb']\n"
        "print(sorted(words, key=score), list(map(score, words)), max(words, key=lambda w: score(w)), "
        "list(filter(lambda w: score(w) > 1, words)), any(score(w) == 3 for w in words))\n"
        "def g():\n    for w in words:\n        yield score(w)\n"
        "print(list(g()), [n + 1 for n in g()], sum(g()))\n"
        "for i, n in enumerate(g()):\n    print(i, n)\n    break\n"
        "print(re.sub(r'[abc]+', lambda m: str(score(m.group())), 'ccc a'))"
    )
    (result,) = run_steps(code, functions={"score": score})
    assert result.error is None
    assert result.stdout == "['a', 'bb', 'ccc'] [3, 1, 2] ccc ['ccc', 'bb'] True\n[3, 1, 2] [4, 2, 3] 6\n0 3\n3 1\n"
    assert result.host_calls == 3 + 3 + 3 + 3 + 1 + 9 + 1 + 2


def proc(repl, name):
    return Path(f"/proc/{repl._thread.pid}/{name}").read_text()


def test_the_worker_starts_behind_the_layers():
    async def main():
        repl = MontyRepl()
        await repl.start(Setup(isolation="strict"))
        assert repl.layers == ("limits", "no_new_privileges", "landlock", "seccomp")
        assert repl.missing == {}
        status = proc(repl, "status")
        assert "Seccomp:\t2" in status
        assert "NoNewPrivs:\t1" in status
        assert [
            line.split()[3:5] for line in proc(repl, "limits").splitlines() if line.startswith("Max file size")
        ] == [["0", "0"]]
        await repl.close()

    asyncio.run(main())


def test_strict_refuses_where_a_layer_is_missing(monkeypatch):
    monkeypatch.setattr("pyrlm.repl.monty_worker.probe", lambda _binary: {"seccomp": "none here"})

    async def main():
        repl = MontyRepl()
        with pytest.raises(ReplUnavailableError, match="seccomp"):
            await repl.start(Setup(isolation="strict"))
        await repl.start(Setup(isolation="best_effort"))
        assert repl.missing == {"seccomp": "none here"}
        assert "seccomp" not in repl.layers
        await repl.close()

    asyncio.run(main())
