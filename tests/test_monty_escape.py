"""The escape corpora, and attacks on what is Monty's own, on the monty backend."""

import asyncio

import pytest
from escapes import TIMEOUT, attempts, host_that_can_be_hurt, run_all

from pyrlm.context import Context
from pyrlm.errors import ReplCrashedError
from pyrlm.repl.monty import MontyRepl
from pyrlm.repl.protocol import Setup

KINDS = sorted({one["kind"] for one in attempts()})
GRACE = 2.0
NOISE = 4.0  # seconds that a busy machine may add


@pytest.mark.parametrize("kind", KINDS)
def test_no_attempt_succeeds(kind):
    chosen = [one for one in attempts() if one["kind"] == kind]
    with host_that_can_be_hurt() as got:
        outcomes = asyncio.run(run_all(chosen, got, MontyRepl))
    assert len(outcomes) == len(chosen)
    assert [outcome for outcome in outcomes if outcome.succeeded] == []
    assert [outcome for outcome in outcomes if not outcome.next_step_works] == []
    assert [outcome for outcome in outcomes if outcome.seconds > TIMEOUT + GRACE + NOISE] == []


ATTACKS = {
    "a prompt of a gigabyte": "llm_query('x' * 10**9)",
    "a batch of a gigabyte": "llm_batch(['x' * 10**6] * 1000)",
    "a billion calls": "for i in range(10**9):\n    try:\n        llm_query('a')\n    except Exception:\n        pass",
    "a billion calls, all caught": "while True:\n    try:\n        llm_query('a')\n    except:\n        pass",
    "look-ups of unknown names": "while True:\n    try:\n        nothing_here\n    except NameError:\n        pass",
    "files by the billion": "while True:\n    try:\n        open('/etc/passwd')\n    except Exception:\n        pass",
    "sleeps by the billion": "import time\nwhile True:\n    time.sleep(0.0001)",
    "one long sleep": "import time\ntime.sleep(10**9)",
    "tasks without end": "import asyncio\nts = []\nwhile True:\n    ts.append(asyncio.create_task(llm_query('a')))",
    "a million calls at once": "import asyncio\nawait asyncio.gather(*[llm_query('x') for i in range(10**6)])",
    "waits that never end, caught": "import asyncio\ne = asyncio.Event()\nwhile True:\n    try:\n        await e.wait()\n    except:\n        pass",
    "sleeps of no time, caught": "import asyncio\nwhile True:\n    try:\n        await asyncio.sleep(0)\n    except:\n        pass",
    "computing beside a call": "import asyncio\nt = asyncio.create_task(llm_query('a'))\nwhile not t.over:\n    pass",
    "a wait of more than a clock counts": "import asyncio\nawait asyncio.wait_for(asyncio.Event().wait(), 10**400)",
    "a wait of no number": "import asyncio\nawait asyncio.wait_for(asyncio.Event().wait(), float('nan'))",
    "threads that start threads": "import threading\ndef f():\n    llm_query('a')\n    threading.Thread(target=f).start()\n    f()\nf()",
    "a flood of output": "while True:\n    print('x' * 100_000)",
    "the host object's class": "ctx.find.__self__.__class__.__init__.__globals__",
    "the host object's attributes": "print([getattr(ctx, n) for n in ('texts', '_metadata', '__dict__', '__class__')])",
    "a method not allowed": "ctx.__init__()",
    "a host object as argument": "llm_query(ctx)",
    "code in an argument": "llm_query({'$dict': [[['unhashable'], 1]]})",
    "too deep an argument": "x = []\nfor i in range(100_000):\n    x = [x]\nllm_query(x)",
    "an argument that holds itself": "x = []\nx.append(x)\nllm_query(x)",
    "code nested too deeply": "x = " + "(" * 5000 + "1" + ")" * 5000,
    "an endless expression": "x = " + "-" * 100_000 + "1",
    "a chain of a hundred thousand": "x = " + "+".join(["1"] * 100_000),
    "a pattern that runs for hours": "re.match('(a*)*b', 'a' * 100_000)",
    "another one": "re.search(r'(x+x+)+y', 'x' * 5_000)",
    "a pattern with a look-behind": "re.findall(r'(?<=(a|aa)+)b', 'a' * 50_000)",
    "a repr that never ends": "class A:\n    def __repr__(self):\n        while True:\n            pass\na = A()\na",
    "an equality that never ends": "class A:\n    def __eq__(self, other):\n        while True:\n            pass\nA() in [1]",
    "powers of powers": "x = 10 ** 10 ** 10",
    "shifts": "x = 1 << (1 << 40)",
    "strings that double": "s = 'ab'\nwhile True:\n    s += s",
    "dictionaries that grow": "d = {}\ni = 0\nwhile True:\n    d[i] = [i] * 100\n    i += 1",
    "generators that never end": "def g():\n    while True:\n        yield 1\nx = list(g())",
    "FINAL again and again": "while True:\n    try:\n        FINAL(1)\n    except:\n        pass",
    "helpers of the layer replaced": "_pyrlm_show = llm_query\n_pyrlm_w_llm_query = len\n_pyrlm_none = 5\nnext(iter([]), 3)",
    "helpers of the layer called": "_pyrlm_host_FINAL(open)",
    "exec of exec": "exec('exec(\"import os; os.system(1)\")')",
    "an exception of a megabyte": "raise ValueError('\\x1b[2J' * 10**6)",
    "control characters": "print('\\x1b]0;owned\\x07\\u202e\\ud800')",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_on_monty_end(name):
    asyncio.run(attack(ATTACKS[name]))


async def attack(code):
    sizes = []

    async def llm_query(prompt, model=None):
        sizes.append(len(prompt))
        return "reply"

    async def llm_batch(prompts):
        return ["reply" for _ in prompts]

    setup = Setup(
        context=Context.from_text("some text"),
        functions={"llm_query": llm_query, "llm_batch": llm_batch},
        timeout=0.5,
        memory_bytes=256 << 20,
        max_output_chars=1_000,
        max_host_calls=100,
    )
    repl = MontyRepl()
    await repl.start(setup)
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        result = await repl.run(code)
        assert len(result.stdout) <= 1_000
        assert len(result.error or "") < 6_000
        assert result.host_calls <= 200
    except ReplCrashedError:
        await repl.start(setup)
    assert loop.time() - began < 0.5 + GRACE + NOISE
    assert sum(sizes) < 256 << 20
    assert (await repl.run("print(6 * 7, llm_query('x'))")).stdout == "42 reply\n"
    await repl.close()
