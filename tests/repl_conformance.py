"""What every REPL backend does, as one table of cases; `test_repl_conformance.py` runs each on every backend.

A backend of one's own is checked by adding it to `BACKENDS` there. A case is a list of steps; a step is code and what
must come of it. Nothing may be skipped for a backend.
"""

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from pyrlm.context import Context
from pyrlm.errors import ReplCrashedError
from pyrlm.repl.functions import context_functions
from pyrlm.repl.protocol import Execution, Setup

TEXT = ["Alpha one.\nBeta two.\n", "Zürich 中文 😀 needle\nInvoice no: 4711 \nlast line of two"]
NESTED = {
    "list": [1, 2.5, 1.0, True, None, "ü中😀\ud800", 2**100, -(2**63), float("inf")],
    ("tuple", 1): {3: "three", None: b"\x00\xff"},
    "set": {1, 2},
    "frozen": frozenset({"a"}),
    "when": [dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC), dt.timedelta(days=1, microseconds=5)],
    "money": Decimal("1.10"),
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """Code, and what must come of it; what isn't given isn't looked at, but an error is never overlooked."""

    code: str
    stdout: str | None = None
    has: tuple[str, ...] = ()
    error_type: str | None = None
    error_has: tuple[str, ...] = ()
    check: Callable[[Execution], bool] | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """Steps in one REPL; `options` go to its Setup."""

    name: str
    steps: tuple[Step, ...]
    options: dict = field(default_factory=dict)


class Host:
    """The host functions of the cases, and what they saw."""

    def __init__(self):
        self.in_flight = 0
        self.enough = asyncio.Event()
        self.seen = []

    async def echo(self, value):
        self.seen.append(value)
        return value

    async def together(self, number: int, of: int):
        """Answer only when `of` calls are in flight at the same time."""
        self.in_flight += 1
        if self.in_flight >= of:
            self.enough.set()
        await self.enough.wait()
        self.in_flight -= 1
        return number * 2

    async def slow(self, seconds: float):
        await asyncio.sleep(seconds)
        return "done"

    async def batch(self, prompts):
        return await asyncio.gather(*(self.together(n, len(prompts)) for n, _ in enumerate(prompts)))

    async def fails(self, kind: str):
        errors = {
            "value": ValueError("bad value"),
            "key": KeyError("missing"),
            "own": UnheardError("odd"),
            "time": TimeoutError("late"),
        }
        raise errors[kind]

    async def nested(self):
        return NESTED

    async def unspeakable(self):
        return object()

    def functions(self):
        names = ("echo", "together", "slow", "batch", "fails", "nested", "unspeakable")
        return {name: getattr(self, name) for name in names} | {"tool.shout": self.shout}

    async def shout(self, text, times=1):
        return text.upper() * times


class UnheardError(Exception):
    """No builtin exception."""


def step(code, **expected):
    return Step(code=code, **expected)


def case(name, *steps, **options):
    return Case(name=name, steps=steps, options=options)


CASES = [
    case(
        "names of the text",
        step("print(len(P), P == context, CONTEXT == P, lenP())", stdout=f"{len(chr(10).join(TEXT)) + 1} True True {len(chr(10).join(TEXT)) + 1}\n"),
        step("print(peek(5), tail(3), peek(0) == '')", stdout="Alpha two True\n"),
        step("print(ctx.find('needle')[0][2:])", stdout="('needle', 1, 1)\n"),
        step("s, e, *_ = ctx.find('needle')[0]\nprint(ctx.slice(s, e), P[s:e])", stdout="needle needle\n"),
        step("print(ctx.find(r'b\\w+', regex=True, ignore_case=True)[0][2])", stdout="Beta\n"),
        step("print(ctx.num_documents(), ctx.document_lengths(), ctx.get_document(0)[:5])", stdout="2 [21, 53] Alpha\n"),
        step("print(len(ctx.chunk(10)), len(ctx.chunk_documents(1)))", has=(" 2",)),
        step("print(extract_after('Invoice no:'), extract_after('nowhere'))", stdout="4711 None\n"),
        step("print(pick_first_answer(['NO_ANSWER', '[sub-call failed: x]', 'yes', 'no']))", stdout="yes\n"),
    ),
    case(
        "modules without import",
        step("print(re.findall(r'\\d+', 'a1b22'), json.dumps({'a': 1}), math.floor(2.5), collections.Counter('aab')['a'])", stdout="['1', '22'] {\"a\": 1} 2 2\n"),
        step("print(list(itertools.islice(itertools.count(), 3)))", stdout="[0, 1, 2]\n"),
    ),
    case(
        "variables persist",
        step("x = [1]\ndef add(n):\n    x.append(n)\n    return y + len(x)"),
        step("y = 10\nprint(add(5), x)", stdout="12 [1, 5]\n"),
        step("_tmp = 3\nx.append(_tmp)"),
        step("print(x, _tmp)", stdout="[1, 5, 3] 3\n"),
    ),
    case(
        "names given are put back",
        step("P = 'gone'; echo = None; ctx = 5; FINAL = 1"),
        step("print(len(P) > 20, echo('x'), ctx.find('needle')[0][2])", stdout="True x needle\n"),
    ),
    case("last expression", step("1 + 1", stdout="2\n"), step("'a\\nb'", stdout="'a\\nb'\n"), step("None", stdout=""), step("x = 5", stdout="")),
    case("print and last expression", step("print('first')\n[1, 2]", stdout="first\n[1, 2]\n")),
    case("prints of a loop are no echo", step("for i in range(3):\n    i", stdout="")),
    case("prints before an error are kept", step("print('before')\n1/0", stdout="before\n", error_type="ZeroDivisionError")),
    case(
        "print-out is cut by head and tail",
        step("print('<' + 'x' * 5000 + '>')", has=("<x", "x>\n", "5,003"), check=lambda e: len(e.stdout) <= 500 and e.stdout_chars == 5003),
        step("print(len(last_output), last_output[:2], last_output[-2:] == '>' + chr(10))", stdout="5003 <x True\n"),
        max_output_chars=500,
    ),
    case(
        "a value of fifty megabytes is shown in little",
        step("big = 'ab' * 25_000_000"),
        step("big", has=("'abab",), check=lambda e: len(e.stdout) <= 2_000),
        step("rows = [[n, str(n)] for n in range(300_000)]\nrows", has=("[[0, '0'], [1, '1']",), check=lambda e: len(e.stdout) <= 2_000),
        max_output_chars=2_000,
        timeout=20.0,
    ),
    case("error with its line", step("a = 1\nb = 2\nc = a + missing_name\n", error_type="NameError", error_has=("line 3", "missing_name"))),
    case(
        "error in a function of an earlier step",
        step("def f(n):\n    total = 10\n    return total / n"),
        step("f(0)", error_type="ZeroDivisionError", error_has=("line 3", "division by zero")),
    ),
    case("syntax error with its line", step("x = 1\ny = = 2", error_type="SyntaxError", error_has=("line 2",)), step("print(1)", stdout="1\n")),
    case("what was set before an error stays", step("kept = 41\nraise ValueError('stop')", error_type="ValueError", error_has=("stop",)), step("kept + 1", stdout="42\n")),
    case("a long error message is cut", step("raise ValueError('x' * 1_000_000)", error_type="ValueError", check=lambda e: len(e.error) < 6_000)),
    case("exceptions are caught as written", step("try:\n    {}['a']\nexcept KeyError as e:\n    print('caught', e)", stdout="caught 'a'\n")),
    case("Unicode", step("s = 'ü中😀'\nprint(s, len(s), s[::-1])", stdout="ü中😀 3 😀中ü\n"), step("print('Zürich' in P, P.count('😀'))", stdout="True 1\n")),
    case(
        "fifty megabytes there and back",
        step("big = '中' * 1000 + 'a' * 50_000_000\nback = echo(big)\nprint(back == big, len(back))", stdout="True 50001000\n"),
        timeout=30.0,
    ),
    case(
        "nested data there and back",
        step("value = nested()\nback = echo(value)\nprint(back == value, type(value['list'][2]).__name__, type(value['list'][3]).__name__)", stdout="True float bool\n"),
        step("print(list(value) == ['list', ('tuple', 1), 'set', 'frozen', 'when', 'money'])", stdout="True\n"),
        step("FINAL(value)", check=lambda e: e.final.value == NESTED and list(e.final.value) == list(NESTED)),
    ),
    case(
        "what can't cross is an error that says so",
        step("echo([1, lambda: 2])", error_has=("function", "can't cross")),
        step("unspeakable()", error_has=("object",)),
        step("FINAL([x for x in (len,)])", error_has=("can't cross",), check=lambda e: e.final is None),
        step("print('alive')", stdout="alive\n"),
    ),
    case(
        "errors of host functions",
        step("try:\n    fails('value')\nexcept ValueError as e:\n    print('caught', e)", stdout="caught bad value\n"),
        step("try:\n    fails('key')\nexcept KeyError:\n    print('key')", stdout="key\n"),
        step("try:\n    fails('time')\nexcept TimeoutError as e:\n    print(e)", stdout="late\n"),
        step("try:\n    fails('own')\nexcept RuntimeError as e:\n    print('odd' in str(e))", stdout="True\n"),
        step("x = 1\nfails('value')", error_type="ValueError", error_has=("line 2", "bad value")),
        step("echo(1, 2, 3)", error_type="TypeError", error_has=("echo",)),
        step("echo()", error_type="TypeError", error_has=("value",)),
    ),
    case("dotted names and keywords", step("print(tool.shout('ab'), tool.shout('x', times=3), tool.shout(text='y'))", stdout="AB XXX Y\n")),
    case(
        "calls in comprehensions and loops",
        step("print([echo(n) for n in range(3)], {n: echo(str(n)) for n in range(2)}, sum(echo(n) for n in [1, 2]))", stdout="[0, 1, 2] {0: '0', 1: '1'} 3\n"),
    ),
    case("a batch is in flight at the same time", step("print(batch(['p'] * 50)[-1])", stdout="98\n")),
    case("waiting for the host doesn't count", step("print(slow(1.2))", stdout="done\n", check=lambda e: e.waited > 0.9 and e.host_calls == 1), timeout=1.0),
    case(
        "time is limited",
        step("x = 1\nwhile True:\n    x += 1", error_type="TimeoutError"),
        step("print('next')", stdout="next\n"),
        timeout=0.5,
    ),
    case("sleeping is limited", step("import time\ntime.sleep(60)", error_type="TimeoutError"), step("print('next')", stdout="next\n"), timeout=0.5),
    case("memory is limited", step("x = 'a' * 10**13", error_type="MemoryError"), step("print('next')", stdout="next\n")),
    case(
        "host calls are limited",
        step("done = 0\nfor n in range(20):\n    echo(n)\n    done += 1", error_type="RuntimeError", error_has=("5",)),
        step("print(done)", stdout="5\n"),
        max_host_calls=5,
    ),
    case(
        "FINAL",
        step("print('shown')\nFINAL(42)\nprint('never')", stdout="shown\n", check=lambda e: e.final.value == 42 and e.final.name is None and e.final.quotes == ()),
        step("FINAL({'a': [1, (2,)]}, quotes=['Alpha', 'Beta'])", check=lambda e: e.final.value == {"a": [1, (2,)]} and e.final.quotes == ("Alpha", "Beta")),
        step("FINAL(0)", check=lambda e: e.final is not None and e.final.value == 0),
        step("FINAL(None, quotes='one')", check=lambda e: e.final.value is None and e.final.quotes == ("one",)),
        step("def done():\n    FINAL('from within')\ndone()", check=lambda e: e.final.value == "from within"),
        step("for n in range(5):\n    if n == 3:\n        FINAL(n)", check=lambda e: e.final.value == 3),
        step("print('no answer')", check=lambda e: e.final is None),
    ),
    case(
        "the first FINAL counts",
        step("try:\n    FINAL(1)\nexcept Exception:\n    pass\nFINAL(2)", check=lambda e: e.final.value == 1),
    ),
    case(
        "FINAL_VAR",
        step("answer = [1, 2]"),
        step("FINAL_VAR('answer')", check=lambda e: e.final.value == [1, 2] and e.final.name == "answer"),
        step("FINAL_VAR('answr')", error_type="NameError", error_has=("answr", "answer"), check=lambda e: e.final is None),
    ),
    case("SHOW_VARS", step("total = 5\nnames = ['a']"), step("print(SHOW_VARS())", has=("total", "int", "5", "names", "list"))),
]  # fmt: skip
"""The table."""


async def run_case(make, chosen):
    """Run one case on a new REPL of `make`."""
    host, context = Host(), Context.from_documents(TEXT)
    functions = host.functions() | context_functions(context)
    repl = make()
    await repl.start(Setup(**{"context": context, "functions": functions, "timeout": 5.0, **chosen.options}))
    try:
        for one in chosen.steps:
            check_step(one, await repl.run(one.code))
    finally:
        await repl.close()


def check_step(one, result):
    shown = f"{one.code}\n→ {result.stdout[:2000]!r}\n{result.error}"
    if one.error_type is None and not one.error_has:
        assert result.error is None, shown
    else:
        assert result.error is not None, shown
        assert one.error_type in {None, result.error_type}, shown
        assert all(part in result.error for part in one.error_has), shown
    assert one.stdout is None or result.stdout == one.stdout, shown
    assert all(part in result.stdout for part in one.has), shown
    assert one.check is None or one.check(result), shown


async def check_crash_and_replacement(make, kill):
    """A REPL killed from outside says that its variables are lost, and a new one works."""
    repl = make()
    await repl.start(Setup(timeout=5.0))
    await repl.run("x = 1")
    kill(repl)
    with pytest.raises(ReplCrashedError, match=r"\w"):
        await repl.run("print(x)")
    await repl.close()
    await repl.close()
    again = make()
    await again.start(Setup(timeout=5.0))
    assert (await again.run("x")).error_type == "NameError"
    await again.close()


async def check_variables(make):
    """What code has defined is listed with types and short reprs, and can be fetched."""
    repl = make()
    await repl.start(Setup(timeout=5.0, variables={"given": [1, (2,)]}))
    await repl.run("n = 5\nbig = 'x' * 10_000_000\nt = (1, {2: 3})\nassert given == [1, (2,)]")
    listed = {variable.name: variable for variable in await repl.variables()}
    assert set(listed) == {"n", "big", "t"}
    assert (listed["n"].type, listed["n"].repr) == ("int", "5")
    assert all(len(variable.repr) <= 200 for variable in listed.values())
    assert await repl.get("t") == (1, {2: 3})
    with pytest.raises(KeyError):
        await repl.get("absent")
    await repl.close()
