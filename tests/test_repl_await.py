"""Code that awaits, gathers, makes tasks and threads: the same on both backends, and side by side on both."""

import asyncio
import re
from dataclasses import dataclass

import pytest
from repl_await import BACKENDS, steps


@dataclass(frozen=True, kw_only=True)
class Case:
    code: str
    out: str
    want: int = 1
    most: int | None = None


CASES = {
    "await at top level": Case(
        code="r = [await f(d) for f in (llm_query, rlm_query, es_search, tool) for d in 'ab']\nprint(r)",
        out="['<a>', '<b>', '<a>', '<b>', '<a>', '<b>', '<a>', '<b>']\n",
    ),
    "await of a batch": Case(code="print(await llm_batch(['a', 'b']))", out="['<a>', '<b>']\n"),
    "await of a value": Case(code="x = llm_query('a')\nprint(await x, await x, await 5)", out="<a> <a> 5\n"),
    "a schema as second argument": Case(
        code="x = await llm_query('a', {'type': 'object'})\nprint(x['said'], (await rlm_query('b', schema={}))[0])",
        out="a <\n",
    ),
    "await within expressions": Case(
        code="print({d: (await llm_query(d)).upper() for d in 'ab'}, f\"{await llm_query('c')}\")\n"
        "if await llm_query('d'):\n    print('yes')",
        out="{'a': '<A>', 'b': '<B>'} <c>\nyes\n",
    ),
    "gather of a list": Case(
        code="import asyncio\nprint(await asyncio.gather(*[llm_query(c) for c in 'abc']))",
        out="['<a>', '<b>', '<c>']\n",
        want=3,
    ),
    "asyncio is there without an import": Case(
        code="print(await asyncio.gather(*[llm_query(c) for c in 'ab']))", out="['<a>', '<b>']\n", want=2
    ),
    "gather of calls": Case(
        code="import asyncio\nprint(await asyncio.gather(llm_query('a'), rlm_query('b'), tool('c')))",
        out="['<a>', '<b>', '<c>']\n",
        want=3,
    ),
    "gather of a map": Case(
        code="import asyncio\nprint(await asyncio.gather(*map(llm_query, 'abc')))",
        out="['<a>', '<b>', '<c>']\n",
        want=3,
    ),
    "gather of a generator": Case(
        code="from asyncio import gather\nprint(await gather(*(llm_query(c) for c in 'abc')))",
        out="['<a>', '<b>', '<c>']\n",
        want=3,
    ),
    "gather of a list made before": Case(
        code="import asyncio\ntasks = [llm_query(c) for c in 'abc']\nr = await asyncio.gather(*tasks)\nprint(r)",
        out="['<a>', '<b>', '<c>']\n",
        want=3,
    ),
    "gather of a list made by append": Case(
        code="import asyncio\nasync def main():\n    tasks = []\n    for c in 'abc':\n        tasks.append(llm_query(c))\n"
        "    print(len(tasks))\n    return await asyncio.gather(*tasks)\nprint(asyncio.run(main()))",
        out="3\n['<a>', '<b>', '<c>']\n",
        want=3,
    ),
    "gather of variables": Case(
        code="import asyncio\na = llm_query('a')\nb = rlm_query('b')\nx, y = await asyncio.gather(a, b)\nprint(x, y)",
        out="<a> <b>\n",
        want=2,
    ),
    "a list that is read too is a list of values": Case(
        code="import asyncio\nt = [llm_query(c) for c in 'ab']\nprint(t)\nprint(await asyncio.gather(*t))",
        out="['<a>', '<b>']\n['<a>', '<b>']\n",
        most=1,
    ),
    "gather of values": Case(
        code="import asyncio\nx = llm_query('a')\nprint(await asyncio.gather(x, llm_query('b')))",
        out="['<a>', '<b>']\n",
    ),
    "functions of the code": Case(
        code="import asyncio\nasync def ask(c):\n    return c + await llm_query(c)\n"
        "async def main():\n    return await asyncio.gather(*[ask(c) for c in 'abc'])\nprint(asyncio.run(main()))",
        out="['a<a>', 'b<b>', 'c<c>']\n",
        want=3,
    ),
    "functions of an earlier step are known": Case(
        code="import asyncio\nask = llm_query\nprint(await asyncio.gather(*[ask(c) for c in 'ab']))",
        out="['<a>', '<b>']\n",
        want=2,
    ),
    "create_task": Case(
        code="import asyncio\nasync def main():\n    ts = [asyncio.create_task(llm_query(c)) for c in 'abc']\n"
        "    return [await t for t in ts]\nprint(asyncio.run(main()))",
        out="['<a>', '<b>', '<c>']\n",
        want=3,
    ),
    "a task begins when its maker waits": Case(
        code="import asyncio\nasync def f(c):\n    print('begin', c)\n    await asyncio.sleep(0)\n    print('end', c)\n"
        "    return c\nasync def main():\n    t = asyncio.create_task(f('t'))\n    print('made')\n    print(await f('m'))\n"
        "    print(await t, t.done(), t.result())\nasyncio.run(main())",
        out="made\nbegin m\nbegin t\nend m\nm\nend t\nt True t\n",
    ),
    "errors returned": Case(
        code="import asyncio\nr = await asyncio.gather(llm_query('a'), fails('ValueError'), return_exceptions=True)\n"
        "print(r[0], type(r[1]).__name__, r[1])",
        out="<a> ValueError no ValueError\n",
    ),
    "an error of its own class": Case(
        code="import asyncio\nclass Odd(Exception):\n    pass\nasync def f(c):\n    await llm_query(c)\n    raise Odd(c)\n"
        "try:\n    await asyncio.gather(f('a'), llm_query('b'))\nexcept Odd as e:\n    print('caught', e)\n"
        "r = await asyncio.gather(f('c'), return_exceptions=True)\nprint(isinstance(r[0], Odd))\n"
        "try:\n    await asyncio.create_task(f('d'))\nexcept Odd as e:\n    print('caught', e)",
        out="caught a\nTrue\ncaught d\n",
    ),
    "a semaphore": Case(
        code="import asyncio\nsem = asyncio.Semaphore(2)\nasync def ask(c):\n    async with sem:\n        return await llm_query(c)\n"
        "print(await asyncio.gather(*(ask(c) for c in 'abcdef')))",
        out="['<a>', '<b>', '<c>', '<d>', '<e>', '<f>']\n",
        want=2,
        most=2,
    ),
    "a task group": Case(
        code="import asyncio\nasync with asyncio.TaskGroup() as tg:\n    ts = [tg.create_task(llm_query(c)) for c in 'abc']\n"
        "print([t.result() for t in ts])",
        out="['<a>', '<b>', '<c>']\n",
        want=3,
    ),
    "a queue and its workers": Case(
        code="import asyncio\nq = asyncio.Queue()\nout = []\nasync def work():\n    while True:\n        x = await q.get()\n"
        "        out.append(await llm_query(x))\n        q.task_done()\nfor c in 'abcdef':\n    q.put_nowait(c)\n"
        "ws = [asyncio.create_task(work()) for _ in range(3)]\nawait q.join()\nfor w in ws:\n    w.cancel()\n"
        "r = await asyncio.gather(*ws, return_exceptions=True)\nprint(sorted(out), len(r), ws[0].cancelled())",
        out="['<a>', '<b>', '<c>', '<d>', '<e>', '<f>'] 3 True\n",
        want=3,
        most=3,
    ),
    "a time limit": Case(
        code="import asyncio\nprint(await asyncio.wait_for(llm_query('a'), 60))\n"
        "try:\n    await asyncio.wait_for(forever(), 0.01)\nexcept asyncio.TimeoutError:\n    print('late')",
        out="<a>\nlate\n",
    ),
    "as completed": Case(
        code="import asyncio\nout = []\nfor f in asyncio.as_completed([llm_query(c) for c in 'abc']):\n    out.append(await f)\n"
        "print(sorted(out))",
        out="['<a>', '<b>', '<c>']\n",
        want=3,
    ),
    "wait": Case(
        code="import asyncio\ndone, left = await asyncio.wait([asyncio.create_task(llm_query(c)) for c in 'abc'])\n"
        "print(sorted(t.result() for t in done), left)",
        out="['<a>', '<b>', '<c>'] set()\n",
        want=3,
    ),
    "to_thread and run_in_executor": Case(
        code="import asyncio\nasync def main():\n    loop = asyncio.get_running_loop()\n"
        "    more = [loop.run_in_executor(None, llm_query, c) for c in 'cd']\n"
        "    return await asyncio.gather(*[asyncio.to_thread(llm_query, c) for c in 'ab'], *more)\nprint(asyncio.run(main()))",
        out="['<a>', '<b>', '<c>', '<d>']\n",
        want=4,
    ),
    "sleeps side by side": Case(
        code="import asyncio\nasync def f(c):\n    await asyncio.sleep(0.2)\n    return c\n"
        "print(len(await asyncio.gather(*[f(c) for c in range(100)])))",
        out="100\n",
    ),
    "an async context manager of its own": Case(
        code="import asyncio\nclass Asker:\n    async def ask(self, c):\n        return await llm_query(c)\n"
        "    async def __aenter__(self):\n        return self\n    async def __aexit__(self, kind, e, tb):\n"
        "        print('left by', e)\n        return True\nasync def f():\n    async with Asker() as a:\n"
        "        return await asyncio.gather(*[a.ask(c) for c in 'ab'])\nprint(await f())\n"
        "async with Asker():\n    raise ValueError('x')\nprint('after')",
        out="left by None\n['<a>', '<b>']\nleft by x\nafter\n",
        want=2,
    ),
    "an executor": Case(
        code="from concurrent.futures import ThreadPoolExecutor, as_completed\ndef work(c):\n    return c + llm_query(c)\n"
        "with ThreadPoolExecutor(max_workers=4) as ex:\n    fs = [ex.submit(work, c) for c in 'abcdefgh']\n"
        "    print([f.result() for f in fs])\n    print(list(ex.map(rlm_query, 'xyz')))\n"
        "    fs = {ex.submit(llm_query, c): c for c in 'ab'}\n    print(sorted(fs[f] + f.result() for f in as_completed(fs)))",
        out="['a<a>', 'b<b>', 'c<c>', 'd<d>', 'e<e>', 'f<f>', 'g<g>', 'h<h>']\n['<x>', '<y>', '<z>']\n['a<a>', 'b<b>']\n",
        want=4,
        most=4,
    ),
    "an executor's errors": Case(
        code="from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor() as ex:\n"
        "    f = ex.submit(fails, 'KeyError')\n    try:\n        f.result()\n    except KeyError:\n        print('caught')\n"
        "    print(type(f.exception()).__name__)\n    seen = []\n    try:\n"
        "        for r in ex.map(lambda c: fails('OSError') if c == 'b' else c, 'abc'):\n            seen.append(r)\n"
        "    except OSError:\n        print(seen)",
        out="caught\nKeyError\n['a']\n",
    ),
    "threads with a lock": Case(
        code="import threading\nout, lock = [], threading.Lock()\ndef work(c):\n    with lock:\n        out.append('+')\n"
        "    r = llm_query(c)\n    with lock:\n        out.append(r)\n"
        "ts = [threading.Thread(target=work, args=(c,)) for c in 'abc']\nfor t in ts:\n    t.start()\nfor t in ts:\n    t.join()\n"
        "print(out[:3], sorted(out[3:]), ts[0].is_alive())",
        out="['+', '+', '+'] ['<a>', '<b>', '<c>'] False\n",
        want=3,
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_code_that_awaits(backend, name):
    case = CASES[name]
    host, (done,) = asyncio.run(steps(backend, case.code, want=case.want))
    assert done.error is None, done.error
    assert done.stdout == case.out
    assert host.most >= case.want or case.want == 1
    assert case.most is None or host.most <= case.most


# Tasks that are begun first and gathered later: each way to begin them, with each way to wait for them

LATER = {
    "tasks": "ts = [asyncio.create_task(F(c)) for c in 'abc']\nr = await asyncio.gather(*ts)",
    "tasks, the last line awaits": "ts = [asyncio.create_task(F(c)) for c in 'abc']\n(r := await asyncio.gather(*ts))[:0]",
    "tasks by append": "ts = []\nfor c in 'abc':\n    ts.append(asyncio.create_task(F(c)))\nr = await asyncio.gather(*ts)",
    "tasks by +=": "ts = []\nfor c in 'abc':\n    ts += [asyncio.create_task(F(c))]\nr = await asyncio.gather(*ts)",
    "annotated": "ts: list = [F(c) for c in 'abc']\nr = await asyncio.gather(*ts)",
    "variables": "a = asyncio.create_task(F('a'))\nb = asyncio.create_task(F('b'))\nr = [*await asyncio.gather(a, b, F('c'))]",
    "ensure_future": "ts = [asyncio.ensure_future(F(c)) for c in 'abc']\nr = await asyncio.gather(*ts)",
    "a loop's tasks": "loop = asyncio.get_running_loop()\nts = [loop.create_task(F(c)) for c in 'abc']\nr = await asyncio.gather(*ts)",
    "wait_for": "ts = [asyncio.wait_for(F(c), timeout=60) for c in 'abc']\nr = await asyncio.gather(*ts)",
    "shield": "ts = [asyncio.shield(F(c)) for c in 'abc']\nr = await asyncio.gather(*ts)",
    "in main": "async def main():\n    ts = [asyncio.create_task(F(c)) for c in 'abc']\n    return await asyncio.gather(*ts)\nr = asyncio.run(main())",
    "run amid await": "x = await F('x')\nasync def main():\n    return await asyncio.gather(*[F(c) for c in 'abc'])\nr = asyncio.run(main())",
    "a loop run amid await": "await asyncio.sleep(0)\nasync def main():\n    return await asyncio.gather(*[F(c) for c in 'abc'])\n"
    "r = asyncio.get_event_loop().run_until_complete(main())",
    "wait": "ts = [asyncio.create_task(F(c)) for c in 'abc']\nd, _ = await asyncio.wait(ts)\nr = sorted(t.result() for t in d)",
    "wait of calls": "d, _ = await asyncio.wait([F(c) for c in 'abc'])\nr = sorted(t.result() for t in d)",
    "wait for the first": "ts = {asyncio.create_task(F(c)) for c in 'abc'}\nr = []\nwhile ts:\n"
    "    d, ts = await asyncio.wait(ts, return_when=asyncio.FIRST_COMPLETED)\n    r += [t.result() for t in d]\nr.sort()",
    "as_completed": "ts = [asyncio.create_task(F(c)) for c in 'abc']\nr = sorted([await t for t in asyncio.as_completed(ts)])",
    "a group, then gather": "async with asyncio.TaskGroup() as g:\n    ts = [g.create_task(F(c)) for c in 'abc']\nr = await asyncio.gather(*ts)",
    "a task of a gathering": "t = asyncio.create_task(asyncio.gather(*[F(c) for c in 'abc']))\nr = await t",
    "pairs": "ts = [(c, asyncio.create_task(F(c))) for c in 'abc']\nr = await asyncio.gather(*[t for _, t in ts])",
    "values of a dict": "ts = {c: asyncio.create_task(F(c)) for c in 'abc'}\nr = await asyncio.gather(*ts.values())",
    "a lambda": "ts = list(map(lambda c: asyncio.create_task(F(c)), 'abc'))\nr = await asyncio.gather(*ts)",
    "one name again": "ts = []\nfor c in 'abc':\n    x = F(c)\n    ts.append(asyncio.create_task(x))\nr = await asyncio.gather(*ts)",
    "to_thread in tasks": "ts = [asyncio.create_task(asyncio.to_thread(F, c)) for c in 'abc']\nr = await asyncio.gather(*ts)",
    "run_in_executor": "loop = asyncio.get_running_loop()\nts = [loop.run_in_executor(None, F, c) for c in 'abc']\nr = await asyncio.gather(*ts)",
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", LATER)
def test_tasks_begun_first_and_waited_for_later(backend, name):
    function = ["llm_query", "rlm_query", "tool"][len(name) % 3]
    code = "import asyncio\n" + re.sub(r"\bF\b", function, LATER[name])
    host, (done, after) = asyncio.run(steps(backend, code, "print([*r])", want=3))
    assert done.error is None, done.error
    assert after.stdout == "['<a>', '<b>', '<c>']\n"
    assert host.most == 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_values_in_the_place_of_awaitables_are_awaited_as_what_they_are(backend):
    code = (
        "import asyncio\nt = list(map(asyncio.create_task, [llm_query(c) for c in 'ab']))\nprint(await asyncio.gather(*t))\n"
        "t = [asyncio.create_task(c) for c in [llm_query('c')]]\nprint(await asyncio.wait_for(t[0], 60))"
    )
    _, (done,) = asyncio.run(steps(backend, code))
    assert (done.error, done.stdout) == (None, "['<a>', '<b>']\n<c>\n")


@pytest.mark.parametrize("backend", BACKENDS)
def test_functions_of_the_code_that_are_named_like_those_of_asyncio_get_values(backend):
    code = (
        "class Job:\n    def run(self, x):\n        return x.upper()\n    def wait(self, xs):\n        return ''.join(xs)\n"
        "def gather(x, y):\n    return x + y\nasync def f(job):\n    return job.run(llm_query('a'))\njob = Job()\n"
        "print(await f(job), Job().run(llm_query('b')), job.wait([llm_query('c')]), gather(llm_query('d'), llm_query('e')))"
    )
    _, (done,) = asyncio.run(steps(backend, code))
    assert (done.error, done.stdout) == (None, "<A> <B> <c> <d><e>\n")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_lock_of_an_earlier_step_can_be_waited_for(backend):
    code = (
        "import asyncio\nlock = asyncio.Semaphore(1)\nasync def ask(c):\n    async with lock:\n        return await llm_query(c)\n"
        "r = await asyncio.gather(*[ask(c) for c in 'abc'])"
    )
    main = "async def main():\n    return await asyncio.gather(*[ask(c) for c in 'de'])\nprint(asyncio.run(main()))"
    host, (_, again, ran) = asyncio.run(
        steps(backend, code, "print(await asyncio.gather(*[ask(c) for c in 'xy']))", main)
    )
    assert (again.error, again.stdout) == (None, "['<x>', '<y>']\n")
    assert (ran.error, ran.stdout) == (None, "['<d>', '<e>']\n")
    assert host.most == 1
