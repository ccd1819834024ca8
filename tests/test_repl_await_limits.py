"""Code that awaits: errors, limits, what is left behind when a step ends; and what Monty says of what it lacks."""

import ast
import asyncio
import threading

import pytest
from repl_await import BACKENDS, Host, steps

from pyrlm.repl.awaited import gathered_calls
from pyrlm.repl.protocol import Setup


@pytest.mark.parametrize("kind", ["ValueError", "KeyError", "TimeoutError", "OSError", "RateLimited"])
@pytest.mark.parametrize(
    "code",
    [
        "await asyncio.gather(llm_query('a'), fails({!r}))",
        "await fails({!r})",
        "await asyncio.create_task(fails({!r}))",
    ],
    ids=["gathered", "awaited", "task"],
)
def test_a_host_function_that_raises_does_so_alike(kind, code):
    async def main():
        both = []
        for backend in BACKENDS:
            text = f"import asyncio\ntry:\n    {code.format(kind)}\nexcept Exception as e:\n    caught = e\n"
            shown = (
                "print([c.__name__ for c in (KeyError, OSError, ValueError, RuntimeError) if isinstance(caught, c)])"
            )
            _, (_, shown, plain) = await steps(backend, text, shown, f"import asyncio\n1\n{code.format(kind)}")
            both.append(shown.stdout)
            assert plain.error_type == kind or kind in plain.error
            assert f"no {kind}" in plain.error
            assert code.format(kind) in plain.error, "the line of the code is not shown"
        assert both[0] == both[1]

    asyncio.run(main())


@pytest.mark.parametrize("backend", BACKENDS)
def test_waiting_for_the_host_is_not_time_of_the_code(backend):
    code = "import asyncio\nr = await asyncio.gather(*[slow(n) for n in range(4)])\nprint(r)"

    async def slow(number):
        await asyncio.sleep(0.8)
        return number

    _, (done,) = asyncio.run(steps(backend, code, functions={"slow": slow}, timeout=0.5))
    assert done.stdout == "[0, 1, 2, 3]\n"
    assert done.waited >= 0.7
    assert done.elapsed < 0.5


@pytest.mark.parametrize("backend", BACKENDS)
def test_computing_beside_a_call_is_time_of_the_code(backend):
    code = (
        "import asyncio\nasync def burn():\n    await asyncio.sleep(0.01)\n    while True:\n        pass\n"
        "await asyncio.gather(forever(), burn())"
    )
    _, (done, after) = asyncio.run(steps(backend, code, "print(1)", timeout=0.5))
    assert done.error_type == "TimeoutError"
    assert done.elapsed >= 0.03
    assert backend == "exec" or "undone" in done.error
    assert after.stdout == "1\n"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "code",
    [
        "import asyncio\nawait asyncio.gather(*[forever() for _ in range(3)], fails('ValueError'))",
        "import asyncio\nasync def f():\n    await llm_query('a')\n    FINAL(7)\nawait asyncio.gather(forever(), f(), forever())",
        "import asyncio\nasync def f():\n    await llm_query('a')\n    FINAL(7)\nt = asyncio.create_task(f())\nawait forever()",
        "import asyncio\nasync def main():\n    t = asyncio.create_task(forever())\n    await asyncio.sleep(0)\nasyncio.run(main())",
    ],
    ids=["an error", "an answer", "an answer of a task", "a task left over"],
)
def test_what_is_outstanding_ends_with_the_step(backend, code):
    host, (done, after) = asyncio.run(steps(backend, code, "print(await llm_query('x'))"))
    assert host.now == 0
    assert (done.final.value if done.final else None) == (7 if "FINAL" in code else None), done.error
    assert after.stdout == "<x>\n"


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_cap_on_calls_holds_for_calls_side_by_side(backend):
    code = (
        "import asyncio\nr = await asyncio.gather(*[llm_query(str(n)) for n in range(50)], return_exceptions=True)\n"
        "print(len(r), sum(isinstance(x, RuntimeError) for x in r))"
    )
    host, (done,) = asyncio.run(steps(backend, code, max_host_calls=20))
    assert done.stdout == "50 30\n"
    assert host.ended == 20


@pytest.mark.parametrize("backend", BACKENDS)
def test_cancelling_the_run_cancels_the_calls_and_leaves_nothing(backend):
    async def main():
        host, repl = Host(1), BACKENDS[backend]()
        before = set(threading.enumerate())
        await repl.start(Setup(functions=host.functions(), timeout=5.0))
        code = "import asyncio\nawait asyncio.gather(*[forever() for _ in range(5)])"
        running = asyncio.create_task(repl.run(code))
        while host.now < 5:  # noqa: ASYNC110 - the code has no event to give
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await repl.close()
        assert host.now == 0
        assert len(asyncio.all_tasks()) == 1
        left = [thread.name for thread in set(threading.enumerate()) - before]
        assert [name for name in left if name.startswith("pyrlm")] == []

    asyncio.run(main())


@pytest.mark.parametrize("backend", BACKENDS)
def test_variables_made_side_by_side_stay(backend):
    _, done = asyncio.run(
        steps(
            backend,
            "import asyncio\nfound = {}\nasync def ask(c):\n    found[c] = await llm_query(c)\n"
            "await asyncio.gather(*[ask(c) for c in 'ab'])\n",
            "sorted(found.items())",  # which came first is anyone's guess
            "print(await asyncio.gather(*[ask(c) for c in 'cd']), sorted(found))",
            want=2,
        )
    )
    assert done[1].stdout == "[('a', '<a>'), ('b', '<b>')]\n"
    assert done[2].stdout == "[None, None] ['a', 'b', 'c', 'd']\n"


# on Monty alone


def in_monty(code, **options):
    _, (done,) = asyncio.run(steps("monty", code, **options))
    return done


def test_what_can_never_come_is_an_error_that_keeps_the_variables():
    done = in_monty(
        "import asyncio\ne = asyncio.Event()\ntry:\n    await e.wait()\nexcept RuntimeError as x:\n    print(x)"
    )
    assert "never comes" in done.stdout
    assert done.error is None


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_task_of_an_earlier_step_says_that_it_has_ended(backend):
    begin = "import asyncio\nt = asyncio.create_task(llm_query('a'))\nawait asyncio.sleep(0)"
    _, (_, *late) = asyncio.run(steps(backend, begin, "await t", "await asyncio.gather(t)"))
    for done in late:
        assert "begin it anew" in done.error


def test_sleeps_side_by_side_are_not_added_up_and_a_long_one_ends():
    many = "import asyncio\nawait asyncio.gather(*[asyncio.sleep(0.3) for _ in range(50)])\nprint('slept')"
    assert in_monty(many, timeout=1.0).stdout == "slept\n"
    assert in_monty(
        "import asyncio\nawait asyncio.gather(asyncio.sleep(9), asyncio.sleep(8))", timeout=0.5
    ).error_type == ("TimeoutError")


@pytest.mark.parametrize("backend", BACKENDS)
def test_more_calls_than_may_be_outstanding_all_come(backend):
    code = "import asyncio\nr = await asyncio.gather(*[llm_query(str(n)) for n in range(700)])\nprint(len(set(r)))"
    host, (done,) = asyncio.run(steps(backend, code, want=256))
    assert done.stdout == "700\n"
    assert (host.ended, host.most) == (700, 256)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("async for x in y:\n    pass", "use for"),
        ("import asyncio\nasyncio.start_server", "llm_batch"),
        ("class A:\n    def __await__(self):\n        yield\nawait A()", "async def"),
    ],
)
def test_what_is_not_there_says_what_to_write(code, says):
    assert says in in_monty(code).error


# which calls are put off until they are gathered

GATHER = "await asyncio.gather(*t)"
PUT_OFF = {
    f"t = [f(c) for c in x]\n{GATHER}": 1,
    f"t = []\nfor c in x:\n    t.append(f(c))\n{GATHER}": 1,
    f"t = [f(1), g(2)]\nt += [f(3)]\nt.extend(f(c) for c in x)\nprint(len(t))\n{GATHER}": 4,
    f"async def m():\n    t = [f(c) for c in x]\n    return {GATHER}": 1,
    "a = f(1)\nb = f(2)\nawait asyncio.gather(a, b)": 2,
    f"t: list = [f(c) for c in x]\n{GATHER}": 1,
    "t = [f(c) for c in x]\nfor d in asyncio.as_completed(t):\n    await d": 1,
    "t = [f(c) for c in x]": 0,
    f"t = [f(c) for c in x]\nprint(t)\n{GATHER}": 0,
    f"t = [f(c) for c in x]\nr = t[0]\n{GATHER}": 0,
    f"t = [f(c) for c in x]\ndef h():\n    return t\n{GATHER}": 0,
    f"def h():\n    global t\n    t = [f(c) for c in x]\n    {GATHER[6:]}": 0,
    f"t.append(f(1))\n{GATHER}": 0,
    f"t = f(1)\n{GATHER}": 0,
    f"for t in [f(c) for c in x]:\n    {GATHER}": 0,
    f"t = u = [f(c) for c in x]\n{GATHER}": 0,
    "t = [f(c) for c in x]\nawait asyncio.gather(t)": 0,
    f"n = t.append(f(1))\nt = []\n{GATHER}": 0,
}


@pytest.mark.parametrize("code", PUT_OFF)
def test_which_calls_are_put_off(code):
    tree = ast.parse(code)
    found = gathered_calls(tree)
    assert len(found) == PUT_OFF[code]
    assert all(found[id(node)] is node for node in ast.walk(tree) if id(node) in found)
