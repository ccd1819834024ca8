"""Data in and typed answers out: contexts and queries as data, schemas, sub-calls that give data, values in the trace."""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
import json
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_server import llama  # noqa: F401 - a fixture
from pydantic import BaseModel
from typing_extensions import TypedDict

from pyrlm import RLM, Context, Policy
from pyrlm.adapters import FakeAdapter
from pyrlm.data import DataContext
from pyrlm.errors import ConfigurationError, MaxStepsExceeded, ReplUnavailableError, RunStalled
from pyrlm.outline import outline
from pyrlm.output import OutputSchema, bounded_schema, json_in
from pyrlm.repl import make_repl
from pyrlm.repl.protocol import Setup

BACKENDS = pytest.mark.parametrize("backend", ["exec", "monty"])


class Item(BaseModel):
    name: str
    price: float
    bought: dt.date | None = None


@dataclass(frozen=True)
class Point:
    x: int
    y: int


class Row(TypedDict):
    key: str
    n: int


class Colour(enum.Enum):
    RED = "red"


def python(code):
    return f"```python\n{code}\n```"


def run(script, query="How many?", context=None, *, call=None, rules=(), **options):
    adapter = FakeAdapter(script, rules=list(rules))
    return RLM(adapter, **options).run(query, context, **(call or {})), adapter


def last_user(adapter, call=-1):
    return adapter.calls[call].messages[-1]["content"]


def printed(result):
    return [step.stdout for step in result.trace.of_kind("repl_exec")]


# Data as a context


@BACKENDS
def test_data_is_in_the_repl_as_data_with_its_types(backend):
    data = {"when": dt.date(2024, 2, 29), "sum": Decimal("1.10"), "tags": {"b"}, 5: (1, 2), "rows": [{"a": None}]}
    code = "print(context == P == CONTEXT, context['when'].year, context['sum'], 'b' in context['tags'], context[5])"
    result, _ = run([python(code), python("FINAL(context['rows'])")], context=data, repl_backend=backend)
    assert printed(result)[0] == "True 2024 1.10 True (1, 2)\n"
    assert result.value == [{"a": None}]


@BACKENDS
def test_names_of_data_are_put_back_and_ctx_does_not_exist(backend):
    script = [python("P = context = CONTEXT = 5"), python("print(P['a'], context is P)\nctx"), "FINAL: 1"]
    result, adapter = run(script, context={"a": 1}, repl_backend=backend)
    assert printed(result)[1].startswith("1 True")
    assert "ctx" in result.trace.of_kind("repl_exec")[1].error
    assert "ctx.find(pattern" not in adapter.calls[0].text


@pytest.mark.parametrize(
    ("given_context", "expected"),
    [
        (Item(name="pen", price=2, bought=dt.date(2024, 1, 2)), {"name": "pen", "price": 2.0, "bought": dt.date(2024, 1, 2)}),
        ([Item(name="pen", price=2)], [{"name": "pen", "price": 2.0, "bought": None}]),
        ([Point(1, 2)], [{"x": 1, "y": 2}]),
        (pd.DataFrame({"a": [1, 2], "t": [pd.Timestamp("2024-01-02"), pd.NaT]}), [{"a": 1, "t": pd.Timestamp(2024, 1, 2).to_pydatetime()}, {"a": 2, "t": None}]),
        (pl.DataFrame({"a": [1], "d": [dt.date(2024, 1, 2)], "l": [[1, 2]]}), [{"a": 1, "d": dt.date(2024, 1, 2), "l": [1, 2]}]),
        ({"frame": pl.DataFrame({"a": [1]}), "c": Colour.RED}, {"frame": [{"a": 1}], "c": "red"}),
        (({"a": 1},), ({"a": 1},)),
    ],
)  # fmt: skip
def test_models_dataclasses_and_frames_become_plain_data(given_context, expected):
    context = Context.of(given_context)
    assert isinstance(context, DataContext)
    assert context.data == expected
    result, _ = run([python("FINAL(context)")], context=given_context)
    assert result.value == expected


def test_a_list_of_strings_stays_documents():
    assert not isinstance(Context.of(["a", "b"]), DataContext)
    assert Context.of(["a", "b"]).num_documents == 2


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"f": print}, r"context\['f'\].*can't cross"),
        ({"f": object()}, "object of type object"),
        ([{"a": [[[1]] * 2]}, {"b": 1j}], "type complex"),
    ],
)
def test_what_can_not_cross_is_named_with_its_place(bad, told):
    with pytest.raises(ConfigurationError, match=told):
        RLM(FakeAdapter([])).run("q", bad)


def test_data_that_contains_itself_is_refused():
    data = []
    data.append(data)
    with pytest.raises(ConfigurationError, match="contains itself"):
        RLM(FakeAdapter([])).run("q", {"a": data})


def test_data_that_is_too_big_for_the_pipe_is_refused_before_anything_is_spent():
    adapter = FakeAdapter([])
    with pytest.raises(ConfigurationError, match=r"at most .* cross.*from_text"):
        RLM(adapter).run("q", {"a": ["x" * 1_000_000] * 170})
    assert adapter.calls == []


def test_the_first_message_shows_an_outline_and_never_the_data():
    data = {"secret_rows": [{"id": number, "text": f"row {number} " * 50} for number in range(10_000)]}
    _, adapter = run(["FINAL: 1"], context=data)
    first = last_user(adapter)
    assert "context['secret_rows']: list, 10,000 items" in first
    assert "context['secret_rows'][i]['id']: int: 0" in first
    assert "row 9999" not in first
    assert len(first) < 3_500


@pytest.mark.parametrize(
    "data",
    [
        {f"key {number}": "v" for number in range(100_000)},
        ["x" * 1_000_000, {"a": "y" * 1_000_000}],
        {"k" * 1_000_000: 1},
        [{f"k{number}": 1 for number in range(5_000)}],
        {"n": 10**6_000},
    ],
    ids=["many keys", "long items", "a long key", "wide records", "a huge number"],
)
def test_the_outline_is_bounded_for_data_that_is_large_in_one_way(data):
    assert len(outline(data)) <= 2_400


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates() | st.decimals()
KEYS = st.text() | st.integers() | st.tuples(st.integers(), st.text())
NESTED = st.recursive(
    LEAVES,
    lambda below: st.lists(below) | st.dictionaries(KEYS, below) | st.tuples(below, below) | st.frozensets(KEYS),
    max_leaves=60,
)


@settings(max_examples=200, deadline=None)
@given(NESTED, st.integers(200, 3_000))
def test_the_outline_of_any_data_is_bounded_and_begins_at_the_top(data, limit):
    shown = outline(data, max_chars=limit)
    assert len(shown) <= limit
    assert shown.startswith("context: ")
    assert len(shown.splitlines()) <= 1_000


@BACKENDS
def test_a_query_may_be_data(backend):
    result, adapter = run(
        [python("FINAL(sorted(query['ids']))")], query={"ids": [3, 1], "what": "sort"}, repl_backend=backend
    )
    assert result.value == [1, 3]
    assert 'Question: {"ids":[3,1],"what":"sort"}' in last_user(adapter)


def test_a_query_of_any_size_is_shown_bounded():
    _, adapter = run(["FINAL: 1"], query=["word"] * 100_000)
    assert len(last_user(adapter)) < 25_000


@pytest.mark.parametrize("query", [5, None, object(), {"f": print}])
def test_a_query_that_is_neither_text_nor_data_is_refused(query):
    with pytest.raises(ConfigurationError, match="query"):
        RLM(FakeAdapter([])).run(query, "text")


# Schemas


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        (Item, '{"name": "pen", "price": 2}', Item(name="pen", price=2)),
        (list[Item], 'Here it is:\n```json\n[{"name": "pen", "price": 2}]\n```', [Item(name="pen", price=2)]),
        (int, "42", 42),
        (str, "plain words", "plain words"),
        (str, "42", "42"),
        (Literal["yes", "no"], "yes", "yes"),
        (dt.date, "2024-02-29", dt.date(2024, 2, 29)),
        (Row, '{"key": "a", "n": 1}', {"key": "a", "n": 1}),
        (Point, '{"x": 1, "y": 2}', Point(1, 2)),
        (set[int], "[1, 1, 2]", {1, 2}),
        ({"type": "array", "items": {"type": "integer"}}, "[1, 2]", [1, 2]),
        ({"type": "string"}, "plain words", "plain words"),
    ],
)
def test_a_text_answer_becomes_the_typed_object(schema, text, value):
    result, adapter = run([f"FINAL: {text}"], output_schema=schema)
    assert result.value == value
    assert type(result.value) is type(value)
    assert OutputSchema.of(schema).check_text(result.output).value == value, "the output is JSON of the value"
    assert "JSON Schema" in last_user(adapter, 0)


@BACKENDS
def test_values_of_the_repl_are_checked_with_their_types(backend):
    code = "import datetime\nFINAL([{'name': 'pen', 'price': 2, 'bought': datetime.date(2024, 1, 2)}])"
    result, _ = run([python(code)], call={"output_schema": list[Item]}, repl_backend=backend)
    assert result.value == [Item(name="pen", price=2, bought=dt.date(2024, 1, 2))]
    assert json.loads(result.output)[0]["bought"] == "2024-01-02"


@BACKENDS
def test_an_answer_that_does_not_fit_goes_back_with_every_path_and_keeps_the_variables(backend):
    script = [
        python("items = [{'name': 'pen', 'price': 'dear'}, {'price': 1}]\nFINAL(items)"),
        python("items[0]['price'] = 3\nitems[1]['name'] = 'cap'\nFINAL_VAR('items')"),
    ]
    result, adapter = run(script, output_schema=list[Item], repl_backend=backend)
    assert "[0].price: Input should be a valid number" in last_user(adapter)
    assert "[1].name: Field required" in last_user(adapter)
    assert [item.price for item in result.value] == [3.0, 1.0]
    assert result.steps == 2
    assert [step.reason for step in result.trace.of_kind("guard")] == ["schema"]


def test_a_json_schema_reports_paths_too():
    schema = {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"type": "integer"}}},
        "required": ["a", "b"],
    }
    result, adapter = run(['FINAL: {"a": [1, "x"]}', 'FINAL: {"a": [1], "b": 0}'], output_schema=schema)
    assert "a[1]: 'x' is not of type 'integer'" in last_user(adapter)
    assert "'b' is a required property" in last_user(adapter)
    assert result.value == {"a": [1], "b": 0}


def test_the_limits_hold_while_an_answer_does_not_fit():
    with pytest.raises(MaxStepsExceeded) as caught:
        run([f"FINAL: {word}" for word in ["a", "b", "c", "d"]], output_schema=int, policy=Policy(max_steps=3))
    assert caught.value.result.value is None
    assert caught.value.result.status == "limit"
    with pytest.raises(RunStalled):
        run(["FINAL: many"] * 9, output_schema=int)


def test_the_last_call_may_give_the_typed_answer():
    result, _ = run(["FINAL: many", "FINAL: 7"], output_schema=int, policy=Policy(max_steps=1), on_limit="return")
    assert (result.value, result.output, result.status) == (7, "7", "limit")


def test_an_abstention_needs_no_schema():
    result, _ = run(["FINAL: NO_ANSWER"], output_schema=list[Item])
    assert (result.status, result.value) == ("unanswered", None)
    result, _ = run(["FINAL: unknown"], output_schema=Literal["unknown", "known"])
    assert (result.status, result.value) == ("unanswered", None)
    result, _ = run(['FINAL: {"state": "unknown"}'], output_schema=dict[str, str])
    assert (result.status, result.value) == ("answered", {"state": "unknown"})


def test_an_answer_whose_fields_are_answer_and_quotes_is_not_taken_apart():
    class Both(BaseModel):
        answer: str
        quotes: list[str]

    result, _ = run(['FINAL: {"answer": "x", "quotes": ["y"]}'], context="some text", output_schema=Both)
    assert result.value == Both(answer="x", quotes=["y"])


def test_keys_of_the_schema_need_not_stand_in_the_print_out():
    reply = python("print(P)") + '\nFINAL: {"duration_in_months": 24, "certain": true}'
    result, _ = run([reply], context="The warranty lasts 24 months.", output_schema={"type": "object"})
    assert result.steps == 1
    assert result.grounded


@pytest.mark.parametrize("schema", [{"type": "nope"}, "int", 5, [Item], {"a": {1}}])
def test_what_is_no_schema_is_refused(schema):
    with pytest.raises(ConfigurationError, match="output_schema="):
        run([], output_schema=schema)


def test_schemas_are_shown_bounded():
    wide = {"type": "object", "properties": {f"field{n}": {"type": "string", "title": "T" * 50} for n in range(2_000)}}
    assert len(bounded_schema(wide)) < 3_200
    titled = {"type": "object", "properties": {"title": {"type": "string", "title": "T" * 5_000}}}
    assert json.loads(bounded_schema(titled)) == {"type": "object", "properties": {"title": {"type": "string"}}}


@pytest.mark.parametrize(
    ("schema", "value", "told"),
    [
        ({"$ref": "#"}, 1, "too deeply"),
        ({"pattern": "^(a+)+$"}, "a" * 60 + "b", "does not match|did not end"),
        ({"$defs": {**{f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}, "d40": {}}, "$ref": "#/$defs/d0"}, 1, "followed 10,000 times"),
        ({"type": "number"}, math.nan, "NaN"),
    ],
    ids=["endless", "pattern", "explosion", "nan"],
)  # fmt: skip
def test_a_hostile_json_schema_ends(schema, value, told):
    checked = OutputSchema.of(schema).check_value(value)
    assert checked.problems
    import re

    assert re.search(told, checked.told())


@given(st.text(max_size=40), st.recursive(st.none() | st.integers() | st.text(), lambda b: st.lists(b) | st.dictionaries(st.text(), b), max_leaves=8), st.booleans())  # fmt: skip
@settings(deadline=None)
def test_json_in_a_fence_is_found(before, value, tagged):
    text = f"{before.replace('`', '').replace('{', '').replace('[', '')}\n```{'json' if tagged else ''}\n{json.dumps(value)}\n```"
    assert json.loads(json_in(text)) == value


def test_data_that_monty_has_no_memory_for_says_what_to_do():
    repl = make_repl("monty")
    setup = Setup(variables={"context": {"a": [0.5] * 1_000_000}}, memory_bytes=16 << 20)
    with pytest.raises(ReplUnavailableError, match="use repl_backend='exec'"):
        asyncio.run(repl.start(setup))


def test_runs_side_by_side_keep_their_data_and_schemas_apart():
    async def both():
        runs = [
            RLM(FakeAdapter([python("FINAL(context['n'])")]), output_schema=schema).arun("q", {"n": number})
            for number, schema in ((1, int), (2, str), (3, dict))
        ]
        return await asyncio.gather(*runs, return_exceptions=True)

    first, *others = asyncio.run(both())
    assert first.value == 1
    assert all(isinstance(other, ConfigurationError) for other in others), "2 is no str, 3 no dict: asked again"
