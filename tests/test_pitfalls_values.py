"""Values keep their types on every way out of the REPL and into it; what the model is shown of its code."""

from __future__ import annotations

import datetime as dt
import math
from collections import OrderedDict
from decimal import Decimal
from pathlib import Path

import pytest
from openai_server import LoopbackServer, Reply
from pitfalls import BACKENDS, SUB, TEXT, adapter_of, last_user, python

from pyrlm import RLM, Context, SmartRouter
from pyrlm.adapters import FakeAdapter


def run(script, query="q", context=TEXT, rules=(), **options):
    adapter = FakeAdapter(script, rules=list(rules))
    return RLM(adapter, **options).run(query, context), adapter


VALUES = [
    {"a": 1},
    0,
    0.0,
    1.0,
    False,
    [],
    {},
    2**60,
    2**60 + 1,
    -(2**200),
    {3, 4},
    frozenset({"x"}),
    (1, (2, 3)),
    b"\x00\xff",
    dt.date(2024, 2, 29),
    dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC),
    dt.datetime.fromisoformat("2024-02-29T12:30:01.000005"),
    dt.timedelta(days=1, microseconds=7),
    Decimal("1.10"),
    {1: "a", None: "b", (1, 2): "c", "1": "d"},
    {"z": 1, "a": {"y": 2, "b": 3}},
    [1, "1", 1.0, True, None, Decimal(1)],
    math.inf,
    "a `fence`:\n```\ncode\n```\nend",
    "quotes ' and \" and \\ and 中文 😀",
]
SETUP = "import datetime\nfrom decimal import Decimal\nfrom math import inf\n"


@BACKENDS
@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30])
def test_a_value_keeps_its_type_on_every_way(backend, value):
    seen = []

    def keep(value):
        """Keep a value."""
        seen.append(value)
        return value

    written = f"{SETUP}value = {value!r}\n"
    ways = {
        "FINAL": [python(f"{written}FINAL(value)")],
        "FINAL_VAR": [python(written) + "\nFINAL_VAR: value"],
        "a tool": [python(f"{written}FINAL(keep(value))")],
        "inside others": [python(f"{written}FINAL({{'in': [value]}})")],
    }
    for way, script in ways.items():
        result, _ = run(script, tools=[keep], repl_backend=backend)
        got = result.value["in"][0] if way == "inside others" else result.value
        assert got == value, way
        assert type(got) is type(value), way
        assert repr(got) == repr(value) or isinstance(value, set | frozenset), way
        assert result.status == "answered", way
        assert isinstance(result.output, str), way
    assert type(seen[0]) is type(value)
    assert seen[0] == value


@BACKENDS
def test_nan_and_a_dict_of_another_kind_arrive(backend):
    result, _ = run([python("FINAL([float('nan'), -0.0])")], repl_backend=backend)
    assert math.isnan(result.value[0])
    assert math.copysign(1, result.value[1]) == -1
    code = "from collections import Counter, OrderedDict\nFINAL([Counter('aab'), OrderedDict([('z', 1), ('a', 2)])])"
    result, _ = run([python(code)], repl_backend=backend)
    assert result.value == [{"a": 2, "b": 1}, OrderedDict([("z", 1), ("a", 2)])]
    assert list(result.value[1]) == ["z", "a"]


@BACKENDS
@pytest.mark.parametrize(
    "code",
    [
        "from dataclasses import dataclass\n@dataclass\nclass Own:\n    a: int\nFINAL(Own(1))",
        "class Own: pass\nFINAL([{'deep': Own()}])",
        "FINAL(lambda: 1)",
        "FINAL(x for x in [1])",
        "a = []\na.append(a)\nFINAL(a)",
    ],
)
def test_what_cannot_cross_is_told_costs_a_step_and_loses_nothing(backend, code):
    result, adapter = run([python(f"kept = 7\n{code}"), python("FINAL(kept)")], repl_backend=backend)
    assert "cross" in last_user(adapter) or "contains itself" in last_user(adapter)
    assert result.value == 7
    assert result.steps == 2


@BACKENDS
def test_types_go_in_as_they_are(backend):
    data = {
        "when": dt.date(2024, 2, 29),
        1: {3, 4},
        "big": 2**60 + 1,
        "money": Decimal("1.10"),
        "raw": b"\x00",
        "f": 1.0,
    }
    code = "FINAL((context, type(context['f']).__name__, list(context)))"
    result, _ = run([python(code)], context=data, repl_backend=backend)
    assert result.value == (data, "float", list(data))


# What the model is shown of its code


@BACKENDS
def test_prints_echo_errors_and_lines_are_all_shown(backend):
    steps = [
        ("print('first')\n1 + 1", "Output:\nfirst\n2\n"),
        ("print('one')\nprint('two')\n{'a': [1]}", "Output:\none\ntwo\n{'a': [1]}\n"),
        ("import sys\nprint('before')\nsys.stderr.write('oops')\nx = 2\ny = x / 0", ("before\noops", "y = x / 0", "line 5")),
        ("x", "Output:\n2\n"),
        ("def use():\n    return x\n_tmp = 9\nx = 3", "The code ran and printed nothing."),
        ("print(use(), _tmp, end='')", "Output:\n3 9"),
        ("print('next')", "Output:\nnext\n"),
        ("def g(n):\n    return 1 / n\ndef h(n):\n    return g(n)\nh(0)", ("line 5", "line 2", "ZeroDivisionError")),
        ("total = 1\nfor i in range(4):\n    total += i\n    items = [i] * 2\ntotal, items", "Output:\n(7, [3, 3])\n"),
        ("items.append(9)\nitems", "Output:\n[3, 3, 9]\n"),
        ("x = = 1", ("SyntaxError", "line 1")),
        ("print(no_such)", ("NameError", "no_such")),
    ]  # fmt: skip
    _, adapter = run([*(python(code) for code, _ in steps), "FINAL: x"], repl_backend=backend)
    for call, (code, expected) in zip(adapter.calls[1:], steps, strict=True):
        shown = call.messages[-1]["content"].partition("\n\n[Left:")[0]
        if isinstance(expected, str):
            assert shown == expected, code
        else:
            assert all(part in shown for part in expected), f"{code}\n{shown}"


@BACKENDS
def test_a_long_print_out_shows_head_and_tail_and_its_size(backend):
    code = "print('the head')\nfor n in range(20_000): print('row', n)\nprint('the tail')"
    _, adapter = run([python(code), python("print(len(last_output))"), "FINAL: x"], repl_backend=backend)
    shown = last_user(adapter, 1)
    assert "the head" in shown
    assert "the tail" in shown
    assert len(shown) < 9_000
    assert f"{int(last_user(adapter).split()[1]):,}" in shown


WIDE = {
    "three strings of a megabyte": ["x" * 1_000_000] * 3,
    "a hundred thousand short strings": ["short"] * 100_000,
    "one text": "y" * 3_000_000,
    "a dict of many keys": {f"key {n}": n for n in range(100_000)},
    "a dict of long keys": {"k" * 100_000 + str(n): n for n in range(5)},
    "records": [{"id": n, "text": "z" * 500} for n in range(20_000)],
    "deep": {"a": [[[["b" * 100_000]]]]},
}


@BACKENDS
@pytest.mark.parametrize("what", WIDE)
def test_the_first_request_is_small_whatever_the_context(backend, what):
    _, adapter = run(["FINAL: x"], context=WIDE[what], repl_backend=backend)
    assert len(adapter.calls[0].text) < 8_000


@BACKENDS
def test_the_system_message_is_short_and_the_same_in_each_step(backend):
    _, adapter = run([python("print(P[:5])")] * 2 + ["FINAL: x"], repl_backend=backend)
    first, *others = (call.messages[0]["content"] for call in adapter.calls)
    assert len(first) < 4_300
    assert set(others) == {first}


def written():
    """Bytes that this process has handed to the system, through pipes too."""
    return int(Path("/proc/self/io").read_text().split("wchar: ")[1].split()[0])


@BACKENDS
@pytest.mark.parametrize("kind", ["text", "documents", "data"])
def test_a_context_crosses_once_and_not_each_step(backend, kind):
    size = 10_000_000
    context = {
        "text": "x" * size,
        "documents": Context.from_documents(["y" * (size // 10)] * 10),
        "data": {"rows": ["z" * 1_000] * (size // 1_000)},
    }[kind]
    script = [*(python(f"print({n}, len(context))") for n in range(6)), "FINAL: x"]
    after_step = [written()]  # read while the worker lives: what it wrote itself is not counted

    def note(step):
        if step.kind == "repl_exec":
            after_step.append(written())

    run(script, context=context, repl_backend=backend, event_listener=note)
    assert len(after_step) == 7
    assert after_step[-1] - after_step[0] < 1.5 * size
    assert after_step[-1] - after_step[1] < size / 100


@BACKENDS
def test_sixty_megabytes_are_worked_on(backend):
    text = "needle one\n" + "a line of no interest at all\n" * 2_150_000 + "needle two\n"
    code = "hits = ctx.find('needle')\nprint(len(hits), ctx.slice(hits[-1][0], hits[-1][1] + 4), lenP() > 60_000_000)"
    result, adapter = run([python(code), "FINAL: 2"], context=text, repl_backend=backend)
    assert last_user(adapter) == "Output:\n2 needle two True\n"
    assert result.output == "2"


@BACKENDS
def test_waiting_for_a_sub_call_is_not_the_codes_time(backend):
    def model(body):
        if SUB in body["messages"][0]["content"]:
            return Reply("late", delay=0.7)
        return python("a = llm_query('q')\nprint(a)") if len(body["messages"]) == 2 else "FINAL: x"

    with LoopbackServer(model) as server:
        result = RLM(adapter_of(server), repl_backend=backend, repl_timeout=0.5).run("q", TEXT)
    assert result.trace.of_kind("repl_exec")[0].stdout == "late\n"


# Routes


def test_scripts_of_all_kinds_are_weighed_by_tokens():
    router = SmartRouter(FakeAdapter([], model="gpt-4o"))
    chinese, english = "保修期为二十四个月。" * 4_000, "a b c d e " * 4_000
    assert len(chinese) == len(english)
    few, many = (router.decide("What is it about?", text) for text in (english, chinese))
    assert router.decide("What is it about?", "a " * 4_000).route == "baseline"
    assert router.decide("What is it about?", "保修" * 500).route == "baseline"
    assert few.as_dict() != many.as_dict()


def test_each_profile_says_something_else_to_the_model():
    first = {}
    for profile in ("DETERMINISTIC_FIRST", "SEMANTIC_BATCHES", "HYBRID", "VERIFY"):
        adapter = FakeAdapter(
            [python("print(llm_batch([P[:29]]))"), "FINAL: 24 months"] * 9, rules=[(SUB, "24 months")]
        )
        SmartRouter(adapter).run("How many complaints mention the battery?", TEXT * 12, profile=profile)
        first[profile] = "\n".join(message["content"] for message in adapter.calls[0].messages)
    assert len(set(first.values())) >= 3
