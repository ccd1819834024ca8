"""Tools: what may be one, how it is shown, checked, timed, called many times, and what never leaks."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import datetime as dt
import enum
import functools
import subprocess
import sys
import threading
import typing
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typing_extensions
from pydantic import AfterValidator, BaseModel, Field

from pyrlm import RLM, SmartRouter
from pyrlm.adapters import FakeAdapter
from pyrlm.errors import ConfigurationError
from pyrlm.redact import register_secret
from pyrlm.tool_arguments import Arguments
from pyrlm.tools import Tool

TEXT = "The warranty lasts 24 months.\n"
both = pytest.mark.parametrize("backend", ["exec", "monty"])


def python(code):
    return f"```python\n{code}\n```"


def run(steps, tools, backend="exec", **options):
    adapter = FakeAdapter([*map(python, steps), "FINAL: done"])
    return RLM(adapter, tools=tools, repl_backend=backend, **options).run("Which?", TEXT), adapter


def value(code, tools, backend="exec", **options):
    """Run code that sets `found`, and return it as the host gets it."""
    adapter = FakeAdapter([python(code), "FINAL_VAR: found"])
    return RLM(adapter, tools=tools, repl_backend=backend, **options).run("Which?", TEXT).value


def error_of(call, tools, backend="exec"):
    code = f"try:\n    {call}\n    found = 'no error'\nexcept Exception as e:\n    found = type(e).__name__ + ': ' + str(e)"
    return value(code, tools, backend)


class Point(BaseModel):
    x: int
    y: int = 0


@dataclasses.dataclass
class Line:
    start: Point
    label: str


class Colour(enum.Enum):
    RED = "red"


class Shop:
    """A shop."""

    def __init__(self):
        self.asked = []

    def price(self, item: str) -> float:
        """Price of an item."""
        self.asked.append(item)
        return 2.5

    async def stock(self, item: str) -> int:
        await asyncio.sleep(0)
        return len(item)

    def __call__(self, item: str) -> str:
        """Describe an item."""
        return f"a {item}"


@both
def test_any_callable_is_a_tool(backend):
    shop, factor = Shop(), 3

    def scaled(n: int) -> int:
        return n * factor

    async def later(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    tools = [
        scaled,
        later,
        shop.price,
        shop.stock,
        Tool(shop, name="describe"),
        functools.partial(pow, 2),
        Tool(lambda n, by=1: later(n + by - 1), name="wrapped"),
        Tool(functools.partial(later, 41), name="fixed"),
    ]
    with pytest.raises(ConfigurationError, match="'pow' is the name of something else"):
        RLM(FakeAdapter([]), tools=tools)
    tools[5] = Tool(functools.partial(pow, 2), name="power")
    code = (
        "found = [scaled(2), later(2), price('nut'), stock(item='nut'), describe('nut'), power(5), wrapped(1), fixed()]"
    )
    assert value(code, tools, backend) == [6, 3, 2.5, 3, "a nut", 32, 2, 42]
    assert shop.asked == ["nut"]


@both
def test_results_keep_their_types_and_models_become_dicts(backend):
    def facts():
        return {
            "date": dt.date(2024, 2, 29),
            "price": Decimal("1.10"),
            "pair": (1, 2.0),
            "names": {"a", "b"},
            "big": 2**70,
            "raw": b"\x00\xff",
            3: None,
        }

    def shapes():
        return [Point(x=1), Line(Point(x=2, y=3), "l"), Colour.RED]

    def handle():
        return threading.Lock()

    expected = facts() | {"shapes": [{"x": 1, "y": 0}, {"start": {"x": 2, "y": 3}, "label": "l"}, "red"]}
    got = value("found = facts()\nfound['shapes'] = shapes()", [facts, shapes], backend)
    assert got == expected
    assert list(got) == list(expected)
    assert type(got["pair"]) is tuple
    assert type(got["pair"][1]) is float
    told = error_of("handle()", [handle], backend)
    assert told.startswith("TypeError: the result of handle(): object of type lock can't cross; only the application ")


@both
def test_arguments_are_checked_and_the_error_says_what_was_wrong(backend):
    seen = []

    def order(
        item: str, count: Annotated[int, Field(gt=0)] = 1, size: Literal["s", "l"] = "s", *, at: Point | None = None
    ):
        seen.append((item, count, size, at))
        return count

    assert value("found = order('nut', '3', at={'x': 1})", [order], backend) == 3
    assert seen == [("nut", 3, "s", Point(x=1))]
    for call, kind, parts in (
        ("order(5)", "TypeError", ["order(item)", "expected str", "got 5 (int)"]),
        ("order('nut', 'many')", "ValueError", ["order(count)", "int", "got 'many' (str)"]),
        ("order('nut', 0)", "ValueError", ["order(count)", "greater than 0", "got 0 (int)"]),
        ("order('nut', size='xl')", "ValueError", ["order(size)", "'s' or 'l'", "got 'xl'"]),
        ("order('nut', at={'y': 1})", "ValueError", ["order(at)", "Point", "at.x: Field required"]),
        ("order()", "TypeError", ["order", "missing a required argument: 'item'"]),
        ("order('nut', colour='red')", "TypeError", ["order", "unexpected keyword argument 'colour'"]),
    ):
        told = error_of(call, [order], backend)
        assert told.startswith(kind + ": "), told
        assert all(part in told for part in parts), told
    assert len(seen) == 1


def test_what_is_not_annotated_or_cannot_be_resolved_passes():
    def loose(a, b: "NotThere" = None, *rest: int, **named: float):  # noqa: F821, UP037
        return [a, b, rest, named]

    got = value("found = loose([1], 'x', '2', c='1.5')", [loose])
    assert got == [[1], "x", (2,), {"c": 1.5}]
    assert "loose(rest): expected int" in error_of("loose(1, 2, 'x')", [loose])
    assert "loose(c): expected float" in error_of("loose(1, c='x')", [loose])


@both
def test_an_exception_has_its_name_and_no_secret(backend):
    register_secret("sk-tool-secret-987654")

    class OutOfStockError(Exception):
        pass

    def reserve():
        raise OutOfStockError("no nuts; key sk-tool-secret-987654; " + "x" * 10_000)

    def lookup():
        raise KeyError("nut")

    told = error_of("reserve()", [reserve], backend)
    told = told.removeprefix("RuntimeError: ")  # Monty has no exceptions but the builtin ones
    assert told.startswith("OutOfStockError: no nuts; key [secret];")
    assert len(told) < 3_000
    assert error_of("lookup()", [lookup], backend).startswith("KeyError: ")
    result, _ = run(["reserve()"], [reserve], backend)
    assert "sk-tool-secret" not in result.trace.to_json()


@both
def test_a_tool_that_exits_or_cancels_itself_does_not_end_the_run(backend):
    def leave():
        raise SystemExit(3)

    async def stop():
        raise asyncio.CancelledError

    async def leave_later():
        raise KeyboardInterrupt

    assert "leave raised SystemExit: 3" in error_of("leave()", [leave], backend)
    assert "stop was cancelled from within" in error_of("stop()", [stop], backend)
    assert "leave_later raised KeyboardInterrupt" in error_of("leave_later()", [leave_later], backend)


@both
def test_time_limits(backend):
    release = threading.Event()
    ended = []

    async def slow():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("slow")

    def stuck():
        release.wait(60)

    tools = [Tool(slow, timeout=0.1), Tool(stuck, timeout=0.1)]
    assert error_of("slow()", tools, backend) == "TimeoutError: slow took longer than its 0.1 s"
    assert error_of("stuck()", tools, backend) == "TimeoutError: stuck took longer than its 0.1 s"
    release.set()
    assert ended == ["slow"]

    def own():
        raise TimeoutError("the shop is closed")

    assert error_of("own()", [Tool(own, timeout=60)], backend) == "TimeoutError: the shop is closed"


@both
def test_a_batch_runs_side_by_side_under_the_limit_and_keeps_what_succeeded(backend):
    going, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(4, timeout=30)

    def lookup(key: str, limit: int = 1):
        nonlocal going, most
        with lock:
            going += 1
            most = max(most, going)
        together.wait()
        with lock:
            going -= 1
        if key == "bad":
            raise LookupError("no such key")
        return key * limit

    code = """\
found = tool_batch("lookup", [{"key": "a"}, "b", ("c", 2), {"key": "bad"}, {"key": "e", "limit": 3}, "f", "g", "h"])
found.append(tool_batch("lookup", [{"kee": "a"}, 5]))"""
    found = value(code, [lookup], backend, max_concurrent_subcalls=4)
    assert found[:3] == ["a", "b", "cc"]
    assert found[3] == "[tool failed: LookupError: no such key]"
    assert found[4:8] == ["eee", "f", "g", "h"]
    assert [item.partition(":")[0] for item in found[8]] == ["[tool failed"] * 2
    assert most == 4
    assert "expected the name of a tool as a string (lookup), got 'lokup'" in error_of(
        "tool_batch('lokup', [])", [lookup], backend
    )
    assert "tool_batch(items): expected a list" in error_of("tool_batch('lookup', 'ab')", [lookup], backend)


def test_synchronous_tools_run_in_a_thread_with_the_callers_context():
    tenant = contextvars.ContextVar("tenant", default="nobody")

    def who():
        return [tenant.get(), threading.current_thread() is threading.main_thread()]

    async def who_async():
        return tenant.get()

    tenant.set("acme")
    for backend in ("exec", "monty"):
        assert value("found = [*who(), who_async()]", [who, who_async], backend) == ["acme", False, "acme"]


def test_each_call_is_an_event_with_bounded_arguments():
    register_secret("sk-argument-secret-1")

    def store(text: str, count: int = 1):
        return {"stored": len(text), "key": "sk-argument-secret-1"}

    result, _ = run(["store('x' * 290 + 'sk-argument-secret-1' + 'x' * 99_690, count=2)\nstore(1)"], [store])
    good, bad = result.trace.of_kind("tool_call")
    assert good.data["tool"] == "store"
    assert good.data["arguments"]["count"] == "2"
    assert len(good.data["arguments"]["1"]) < 1_000
    assert good.error is None
    assert "'stored': 100000" in good.output
    assert bad.error.startswith("TypeError: store(text)")
    assert good.parent == result.trace.of_kind("root_call")[0].step_id
    assert "sk-arg" not in result.trace.to_json()


def test_the_prompt_shows_name_signature_and_docstring():
    def lookup(key: str, limit: int = 10, *, exact: bool = False, token="a" * 40) -> dict[str, int]:
        """Look a key up
        in the shop's register.

        Args:
            key: Its name.
        """

    _, adapter = run([], [lookup, Tool(Shop().price, description="Costs.")])
    text = adapter.calls[0].text
    assert (
        "- lookup(key: str, limit: int = 10, *, exact: bool = False, token=…) -> dict[str, int]: "
        "Look a key up in the shop's register. Args: key: Its name. `lookup(key='…')`" in text
    )
    assert "- price(item: str) -> float: Costs. `price(item='…')`" in text
    assert "`tool_batch('lookup', [dict(key='…'), dict(key='…')])`" in text
    _, adapter = run([], [])
    assert "tool_batch" not in adapter.calls[0].text


def test_tools_are_told_beside_a_system_prompt_of_ones_own():
    def lookup(key: str):
        """Look a key up."""

    _, adapter = run([], [lookup], system_prompt="Write Python.")
    system, first = (message["content"] for message in adapter.calls[0].messages)
    assert system == "Write Python."
    assert "- lookup(key: str): Look a key up." in first


def test_the_prompt_stays_bounded_with_many_and_long_tools():
    def make(number):
        def tool(**kwargs):
            pass

        return Tool(tool, name=f"tool_{number}", description="word " * 1_000)

    _, adapter = run([], [make(number) for number in range(300)])
    assert len(adapter.calls[0].text) < 14_000
    assert "further tools: tool_" in adapter.calls[0].text


def test_docstrings_are_whole_as_far_as_there_is_room_and_no_tool_is_left_out_for_one():
    def make(number, words):
        def tool():
            pass

        return Tool(tool, name=f"tool_{number}", description="First. \n\n" + "word " * words + f"END{number}")

    _, adapter = run([], [make(number, 300) for number in range(10)])
    text = adapter.calls[0].text
    assert [number for number in range(10) if f"END{number}" in text] == [0, 1, 2]
    assert all(f"- tool_{number}(): First. " in text for number in range(10))
    _, adapter = run([], [make(0, 2_000)])
    assert "END0" not in adapter.calls[0].text
    assert 1_950 < 5 * adapter.calls[0].text.count("word") <= 2_000
    assert len(adapter.calls[0].text) < 8_000


def test_what_annotations_say_beside_the_type_is_shown_beside_the_docstring():
    def order(
        n: Annotated[int, Field(description="How many pieces,\nat least one.", ge=1)],
        names: list[Annotated[str, Field(max_length=3)]] | None = None,
        key: Annotated[str, "The customer's, not annotated-key-4711."] = "x",
        by: Annotated[float, AfterValidator(abs)] = 1.0,
    ) -> Annotated[dict[str, int], Field(description="By name.")]:
        """Order."""

    register_secret("annotated-key-4711")
    _, adapter = run([], [order])
    text = adapter.calls[0].text
    assert (
        "- order(n: int, names: list[str] | None = None, key: str = 'x', by: float = 1.0) -> dict[str, int]: "
        "Order. (n: How many pieces, at least one., ge=1; names: max_length=3; key: The customer's, not [secret].)"
        in text
    )
    assert "annotated-key" not in text
    assert "FieldInfo" not in text
    told = error_of("order(0)", [order])
    assert "ValueError: order(n): expected int; n: Input should be greater than or equal to 1" in told


class ExtendedDict(typing_extensions.TypedDict):
    k: int


class Inner(typing.TypedDict):
    x: int


class Base(typing.TypedDict):
    a: int


class Whole(Base, total=False):
    b: typing.Required[list[Inner]]
    c: dict[str, Inner | None]
    again: Whole


def test_every_typed_dict_is_checked():
    def typed(row: Whole):
        return row

    def many(rows: list[Inner], one: Annotated[Inner | None, "one"] = None, old: typing.List[Inner] = ()):  # noqa: UP006
        return "passed"

    def other(row: ExtendedDict):
        return "passed"

    good = {"a": 1, "b": [{"x": 2}], "again": {"a": 1, "b": []}}
    bad = [
        "typed({'b': [{'x': 1}]})",
        "typed({'a': 1})",
        "typed({'a': 1, 'b': [{'y': 1}]})",
        "typed({'a': 1, 'b': [], 'c': {'k': {'x': 'no'}}})",
        "many([{'y': 1}])",
        "many([], {'y': 1})",
        "many([], None, [{'y': 1}])",
        "other({})",
    ]
    tools = [typed, many, other]
    assert value(f"found = [typed({good!r}), many([{{'x': 1}}], {{'x': '2'}}), other({{'k': 1}})]", tools) == [
        good,
        "passed",
        "passed",
    ]
    for call in bad:
        assert ": expected " in error_of(call, tools), call


def test_what_a_partial_has_bound_is_neither_shown_nor_taken():
    def fetch(url: str, *, key: str):
        return key == "bound-key"

    tool = Tool(functools.partial(fetch, key="bound-key"), name="fetch")
    _, adapter = run([], [tool])
    assert "bound-key" not in adapter.calls[0].text
    assert "fetch(url: str)" in adapter.calls[0].text
    assert value("found = fetch('x')", [tool]) is True
    assert "unexpected keyword argument 'key'" in error_of("fetch('x', key='mine')", [tool])
    assert value("found = fetch.__doc__", [tool]) == "fetch(url), answered by the host."


def test_defaults_that_may_be_keys_do_not_reach_the_sandbox():
    def call(key="sk-" + "x" * 40, client=threading.local(), n=3):  # noqa: B008
        return 1

    assert str(Arguments("call", call).signature) == "(key=…, client=…, n=3)"
    assert value("found = call.__doc__", [call]) == "call(key=…, client=…, n=3), answered by the host."
    assert value("found = call()", [call]) == 1


def test_code_cannot_overwrite_a_tool_for_good():
    def lookup(key):
        return key

    result, _ = run(["lookup = lambda key: 'mine'", "found = lookup('a')", "print(found)"], [lookup])
    assert result.trace.of_kind("repl_exec")[2].stdout.strip() == "a"


@pytest.mark.parametrize(
    ("tools", "told"),
    [
        ([Tool(len, name="llm_query")], "'llm_query' is the name of something else in the REPL"),
        ([len], "'len' is the name of something else"),
        ([lambda x: x], "'<lambda>' is no name that code can call"),
        ([Tool(len, name="class")], "'class' is no name"),
        ([Tool(len, name="_hidden")], "'_hidden' is no name"),
        ([Tool(len, name="two"), Tool(len, name="two")], "'two' is the name of two tools"),
        ([Tool(len, name="size", timeout=0)], "Tool size: timeout=0: expected seconds above 0"),
        ([Tool(len, name="size", timeout="3")], "Tool size: timeout='3': expected seconds above 0"),
        ([Tool(len, name="size", timeout=True)], "timeout=True: expected seconds above 0"),
        ([Tool(len, name="size", timeout=float("nan"))], "timeout=nan: expected seconds above 0"),
        ([Tool(len, name=5)], "Tool: name=5: expected a string"),
        ([Tool(len, name="size", description=5)], "Tool: description=5: expected a string"),
        ([Tool(len, name="query")], "'query' is the name of something else in the REPL"),
        ([Tool(len, name="P2")], "'P2' is the name of something else in the REPL"),
        ([Tool(len, name="ctx13")], "'ctx13' is the name of something else in the REPL"),
        (["lookup"], "got str"),
        ("lookup", "tools=str: expected a list"),
        ({"lookup": len}, "tools=dict: expected a list"),
    ],
)
def test_tools_that_cannot_be_used_are_named(tools, told):
    for make in (RLM, SmartRouter):
        with pytest.raises(ConfigurationError) as caught:
            make(FakeAdapter([]), tools=tools)
        assert told in str(caught.value)


@both
def test_the_router_has_tools_on_its_loop(backend):
    def stock(item: str) -> int:
        return 7

    adapter = FakeAdapter([python("found = stock('nut')"), "FINAL_VAR: found"])
    router = SmartRouter(adapter, tools=[stock], repl_backend=backend)
    assert router.run("Which item is it?", TEXT, route="rlm").value == 7


def test_a_cancelled_run_ends_its_asynchronous_tools():
    async def scenario():
        begun, ended = asyncio.Event(), asyncio.Event()

        async def slow():
            begun.set()
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()

        task = asyncio.create_task(RLM(FakeAdapter([python("slow()")]), tools=[slow]).arun("Which?", TEXT))
        await asyncio.wait_for(begun.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(scenario())


GOOD = "24 months\n<quotes>\n<quote>The warranty lasts 24 months.</quote>\n</quotes>"
RULE = "Answer in French, and never name a competitor."
FRAMED = f"which hold whatever question and text say:\n<rules>\n{RULE}\n</rules>"


@pytest.mark.parametrize(
    ("route", "script"),
    [
        ("baseline", [GOOD]),
        ("select", [GOOD]),
        ("rlm", [python("print(P)"), "FINAL: 24 months"]),
    ],
)
def test_the_instruction_stands_apart_from_question_and_text_on_every_route(route, script):
    adapter = FakeAdapter(script)
    SmartRouter(adapter, instruction=RULE).run("How long does the warranty last?", TEXT, route=route, escalate=False)
    user = adapter.calls[0].messages[-1]["content"]
    assert user.count(RULE) == 1
    assert FRAMED in user
    before, _, after = user.partition(FRAMED)
    for part in (TEXT.strip(), "How long does the warranty last?"):
        assert (part in before) != (part in after)
    adapter = FakeAdapter(script)
    SmartRouter(adapter).run("How long does the warranty last?", TEXT, route=route, escalate=False)
    assert "<rules>" not in adapter.calls[0].text


@both
def test_the_example_runs(backend):
    script = Path(__file__).parent.parent / "examples" / "tools.py"
    ran = subprocess.run([sys.executable, script, "--backend", backend], capture_output=True, text=True, check=True)
    assert "['A-103', 'A-104']" in ran.stdout
    assert "[tool failed: LookupError: no such order]" in ran.stdout
    assert "refund(amount): expected int" in ran.stdout
    assert "refunded: ['A-103: 5 euros', 'A-104: 5 euros']" in ran.stdout
