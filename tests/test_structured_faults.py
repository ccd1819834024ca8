"""Answers and schemas at their edges: what JSON can't hold, validators that raise, long integers, references to nowhere."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, computed_field, field_validator, model_validator

from pyrlm import RLM, Context, DiskCache, Policy, SmartRouter
from pyrlm.adapters import FakeAdapter
from pyrlm.adapters.base import ModelResponse
from pyrlm.errors import ConfigurationError
from pyrlm.output import OutputSchema
from pyrlm.value_text import NoJsonError, as_text, exact_json, json_text

BACKENDS = pytest.mark.parametrize("backend", ["exec", "monty"])
BIG = 10**5_000
TEXT = "The warranty lasts 24 months.\n"


def python(code):
    return f"```python\n{code}\n```"


def run(script, query="q", context=TEXT, *, rules=(), **options):
    adapter = FakeAdapter(script, rules=list(rules))
    return RLM(adapter, **options).run(query, context), adapter


def last_user(adapter, call=-1):
    return adapter.calls[call].messages[-1]["content"]


# What JSON can't hold


class Blob(BaseModel):
    raw: bytes


BYTES = [
    (bytes, b"\xff"),
    (list[bytes], [b"\xff"]),
    (list, [b"\xff", 1]),
    (dict, {"a": b"\xff"}),
    (Any, [b"\xff"]),
    (dict[str, bytes], {"a": b"\xff"}),
]


@BACKENDS
@pytest.mark.parametrize(("schema", "value"), BYTES)
def test_bytes_that_are_no_text_are_the_answer_where_they_fit(backend, schema, value):
    result, _ = run([python(f"v = {value!r}\nFINAL(v)")], output_schema=schema, repl_backend=backend)
    assert (result.status, result.value) == ("answered", value)
    assert "\\xff" in json.dumps(json.loads(result.output))


@BACKENDS
def test_a_model_with_bytes_in_it_is_the_answer_and_its_run_resumes(backend, tmp_path):
    path = tmp_path / "run.db"
    rlm = RLM(FakeAdapter([python("FINAL([{'raw': b'\\xff'}])")]), output_schema=list[Blob], repl_backend=backend)
    assert rlm.run("q", TEXT, checkpoint=path).value == [Blob(raw=b"\xff")]
    again = RLM(FakeAdapter([]), output_schema=list[Blob], repl_backend=backend)
    assert again.resume(path).value == [Blob(raw=b"\xff")]


@pytest.mark.parametrize("schema", [str, list[str], list, Any])
def test_half_a_surrogate_pair_is_an_answer(schema):
    value = "\ud800" if schema is str else ["\ud800"]
    result, _ = run([python("FINAL('\\ud800')" if schema is str else "FINAL(['\\ud800'])")], output_schema=schema)
    assert result.value == value


@BACKENDS
@pytest.mark.parametrize(
    ("schema", "code", "told"),
    [
        ({"type": "object"}, "{'a': {1: 'one', '1': 'uno'}}", "- a: two keys are '1' in JSON"),
        ({"type": "string"}, "b'\\xff'", "- bytes that are no UTF-8"),
        ({"type": "array"}, "[0, [b'\\xff']]", "- [1][0]: bytes that are no UTF-8"),
        ({"type": "array"}, "[10**5000]", "- [0]: an integer of 16,610 bits has too many digits for JSON"),
    ],
)
def test_what_json_would_lose_is_told_and_costs_a_step(backend, schema, code, told):
    script = [python(f"v = {code}\nFINAL(v)"), python("FINAL(v if False else type(v)())")]
    result, adapter = run(script, output_schema=schema, repl_backend=backend)
    assert told in last_user(adapter)
    assert (result.status, result.steps) == ("answered", 2)


def test_text_in_bytes_and_keys_of_other_types_fit_a_json_schema():
    value = {1: b"abc", None: {(1, 2): True}}
    assert OutputSchema.of({"type": "object"}).check_value(value).value == {"1": "abc", "None": {"(1, 2)": True}}


def test_no_key_is_lost_in_the_output():
    result, _ = run([python("FINAL([{1: 'one', '1': 'uno'}, {2: None}])")])
    assert result.output == "[{1: 'one', '1': 'uno'}, {2: None}]"
    result, _ = run([python("FINAL([{1: 'one', '2': True}])")])
    assert result.output == '[{"1": "one", "2": true}]'


def test_no_key_is_lost_on_the_way_to_a_model():
    data = {1: "one", "1": "uno"}
    adapter = FakeAdapter(["x"] * 3)
    SmartRouter(adapter).run("Which?", {"names": data}, escalate=False)
    assert '{"names":[[1,"one"],["1","uno"]]}' in adapter.calls[0].text
    _, asked = run(["FINAL: x"], query=data)
    assert 'Question: [[1,"one"],["1","uno"]]' in last_user(asked)


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=3)
KEYS = st.integers(-2, 2) | st.sampled_from(["1", "-1", "None", "True"]) | st.none() | st.booleans()
NESTED = st.recursive(LEAVES, lambda below: st.lists(below) | st.dictionaries(KEYS, below), max_leaves=20)


def leaves(data):
    if isinstance(data, dict | list):
        return [leaf for item in (data.values() if isinstance(data, dict) else data) for leaf in leaves(item)]
    return [data]


def listed(data):
    """Return JSON that was read with lists of pairs as the dicts that they are of."""
    if isinstance(data, dict):
        return [leaf for item in data.values() for leaf in listed(item)]
    return [leaf for item in data for leaf in listed(item)] if isinstance(data, list) else [data]


@settings(max_examples=200, deadline=None)
@given(NESTED)
def test_json_of_any_data_can_be_read_and_the_exact_one_has_every_leaf(data):
    assert len(listed(json.loads(json_text(data)))) >= len(leaves(data))
    assert isinstance(as_text(data), str)
    try:
        exact = json.loads(exact_json(data))
    except NoJsonError:
        return
    assert len(listed(exact)) == len(leaves(data))
    assert exact_json(data) == json_text(data)


# Validators that raise


class Stripped(BaseModel):
    name: str

    @field_validator("name", mode="before")
    @classmethod
    def without_space(cls, value):
        return value.strip()


class Looked(BaseModel):
    name: int

    @model_validator(mode="after")
    def known(self):
        return {5: self}[self.name]


class Inverse(BaseModel):
    name: int

    @computed_field
    @property
    def inverse(self) -> float:
        return 1 / (self.name - 7)


@dataclass
class Part:
    name: int

    def __post_init__(self):
        self.share = 1 / (self.name - 7)


RAISING = [
    (Stripped, 7, "'pen'", "AttributeError: 'int' object has no attribute 'strip' (raised by Stripped.without_space)"),
    (Looked, 7, "5", "KeyError: 7 (raised by Looked.known)"),
    (Inverse, 7, "5", "ZeroDivisionError: division by zero (raised by Inverse.inverse)"),
    (Part, 7, "5", "ZeroDivisionError: division by zero (raised by Part.__post_init__)"),
]


@BACKENDS
@pytest.mark.parametrize(("schema", "bad", "good", "told"), RAISING)
def test_a_validator_that_raises_is_told_and_the_variables_are_kept(backend, schema, bad, good, told):
    script = [python(f"v = {{'name': {bad}}}\nFINAL(v)"), python(f"v['name'] = {good}\nFINAL_VAR('v')")]
    result, adapter = run(script, output_schema=schema, repl_backend=backend)
    assert told in last_user(adapter)
    assert "There is no variable" not in last_user(adapter)
    assert isinstance(result.value, schema)
    assert [step.reason for step in result.trace.of_kind("guard")] == ["schema"]


@pytest.mark.parametrize(("schema", "bad", "good", "told"), RAISING)
def test_a_validator_that_raises_is_told_on_the_direct_route(schema, bad, good, told):
    good = good.replace("'", '"')
    adapter = FakeAdapter([f'{{"name": {bad}}}', f'{{"found": true, "quotes": [], "answer": {{"name": {good}}}}}'])
    result = SmartRouter(adapter, output_schema=schema).run("q", TEXT)
    assert told in last_user(adapter)
    assert isinstance(result.value, schema)
    assert result.method == "baseline"


def test_a_name_that_stands_for_nothing_is_told_as_before():
    result, adapter = run(["FINAL_VAR: nothing", "FINAL: 5"])
    assert "There is no variable 'nothing'" in last_user(adapter)
    assert result.output == "5"


# Long integers


@BACKENDS
@pytest.mark.parametrize("schema", [None, int, Any])
@pytest.mark.parametrize("way", ["FINAL(v)", "FINAL_VAR('v')", "line"])
def test_an_integer_of_any_length_is_an_answer(backend, schema, way):
    reply = python("v = 10**5000") + "\nFINAL_VAR: v" if way == "line" else python(f"v = 10**5000\n{way}")
    result, _ = run([reply], output_schema=schema, repl_backend=backend)
    assert (result.value == BIG, result.steps) == (True, 1)
    assert int(result.output.strip('"'), 16) == BIG


@pytest.mark.parametrize("code", ["[v]", "{'n': [v]}", "{v: 1}", "{v}", "(1, {'n': frozenset({v})})"])
def test_long_integers_within_others_arrive(code):
    result, _ = run([python(f"v = 10**5000\nFINAL({code})")])
    v = BIG
    assert (result.value == eval(code, {"v": v}), result.steps) == (True, 1)
    assert hex(v) in result.output


def test_a_result_with_long_integers_is_json_too():
    adapter = FakeAdapter([python("FINAL({'n': [10**5000, {10**5000}]})")] * 3)
    held = json.loads(json.dumps(SmartRouter(adapter).run("q", TEXT, route="rlm").as_dict()))
    assert held["value"] == {"n": [hex(BIG), f"{{{hex(BIG)}}}"]}


@BACKENDS
def test_long_integers_go_in(backend):
    data = {"n": BIG, BIG: [1]}
    code = "FINAL((context['n'] % 7, len(context), query[0] % 11))"
    result, adapter = run([python(code)], query=[BIG], context=data, repl_backend=backend)
    assert result.value == (BIG % 7, 2, BIG % 11)
    assert hex(BIG)[:2_000] in last_user(adapter)


def test_what_did_not_fit_is_shown_bounded_whatever_it_is():
    script = [python("FINAL([10**5000, ['x' * 10**6], {10**5000: 1}])"), 'FINAL: ["a"]']
    result, adapter = run(script, output_schema=list[str])
    assert "- [0]: Input should be a valid string (got 16,610 bits)" in last_user(adapter)
    assert len(last_user(adapter)) < 1_000
    assert (result.value, result.steps) == (["a"], 2)


class Grown(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def longer(cls, value):
        return value**5_000


def test_a_validator_may_make_an_integer_long():
    result, _ = run([python("FINAL({'n': 10})")], output_schema=Grown)
    assert (result.value.n == BIG, result.steps) == (True, 1)


class Dated(BaseModel):
    at: dt.datetime
    n: int


def test_the_rest_of_an_answer_with_a_long_integer_is_written_as_ever():
    at = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)
    written = [json.loads(OutputSchema.of(Dated).check_value({"at": at, "n": n}).text) for n in (5, BIG)]
    assert written == [{"at": "2024-02-29T12:00:00Z", "n": 5}, {"at": "2024-02-29T12:00:00Z", "n": hex(BIG)}]


@BACKENDS
@pytest.mark.parametrize("schema", [int, list[float], Any, dict[str, Decimal]])
def test_a_number_that_would_take_hours_to_be_written_is_told(backend, schema):
    code = "from decimal import Decimal\nv = {'a': [1, Decimal('1E+999999999')]}\nFINAL(v)"
    result, adapter = run([python(code), "FINAL: NO_ANSWER"], output_schema=schema, repl_backend=backend)
    assert "a number of 999,999,999 digits is too long" in last_user(adapter)
    assert result.steps == 2


def test_a_schema_that_makes_its_check_fail_is_told():
    result, adapter = run([python("FINAL(10**400)"), "FINAL: 1.5"], output_schema={"multipleOf": 0.5})
    assert "OverflowError" in last_user(adapter)
    assert result.value == 1.5
    with pytest.raises(ConfigurationError, match="repetition"):
        OutputSchema.of({"pattern": "a{99999999999}"})


# The same code again


@BACKENDS
def test_code_that_fails_again_and_again_ends_the_run(backend):
    adapter = FakeAdapter(rules=[("", python("x = 1 / 0"))])
    result = RLM(adapter, on_limit="return", repl_backend=backend).run("q", TEXT)
    assert result.limit == "stalled"
    assert len(adapter.calls) == 6, "five times the code, and the last call"
    assert "You ran this very code before" in adapter.calls[2].messages[-1]["content"]


# Replies that do not fit, and the cache


def test_a_sub_calls_reply_that_does_not_fit_is_not_kept(tmp_path):
    replies = iter(["bad", "bad2", "5"])
    rules = [("You are a sub-LLM", lambda _: next(replies))]
    values = []
    for paid in (2, 1, 0):
        script = [python("FINAL(llm_query('x', schema='int'))")]
        result, _ = run(script, rules=rules, cache=DiskCache(tmp_path / "cache"))
        values.append(result.value)
        assert result.subcalls == paid
    assert values[0].startswith("[sub-call failed: the reply does not fit")
    assert values[1:] == [5, 5]


def test_a_direct_reply_that_does_not_fit_is_not_kept(tmp_path):
    replies = ["bad", "bad2", '{"found": true, "quotes": [], "answer": 5}']
    adapter = FakeAdapter(replies)
    for status, calls in (("unanswered", 2), ("answered", 3), ("answered", 3)):
        router = SmartRouter(adapter, output_schema=int, cache=DiskCache(tmp_path / "cache"))
        assert router.run("How many?", TEXT, escalate=False).status == status
        assert len(adapter.calls) == calls


def test_what_does_not_fit_goes_neither_in_nor_out(tmp_path):
    async def reply():
        return ModelResponse("bad")

    async def kept(fits):
        await cache.fetch("key", reply, fits)
        return await cache.get("key")

    cache = DiskCache(tmp_path / "cache")
    assert asyncio.run(kept(lambda text: text != "bad")) is None
    assert asyncio.run(kept(None)).text == "bad"
    assert asyncio.run(cache.fetch("key", reply, lambda text: text != "bad"))[1] == "miss"
    assert asyncio.run(cache.fetch("key", reply, lambda text: text == "bad"))[1] == "hit"


def test_an_abstention_is_kept(tmp_path):
    adapter = FakeAdapter(['{"found": false, "quotes": [], "answer": null}'])
    for _ in range(2):
        router = SmartRouter(adapter, output_schema=int, cache=DiskCache(tmp_path / "cache"))
        assert router.run("How many?", TEXT, escalate=False).status == "unanswered"
    rules = [("You are a sub-LLM", "NO_ANSWER")]
    for paid in (1, 0):
        script = [python("FINAL(llm_query('x', schema='int'))")]
        result, _ = run(script, rules=rules, cache=DiskCache(tmp_path / "cache"))
        assert result.subcalls == paid


# References to nowhere


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/X"}}},
        {"$ref": "#/nope"},
        {"$ref": "#anchor"},
        {"prefixItems": [{"$dynamicRef": "#/nope"}]},
        {"$ref": "#/parts/A", "parts": {"A": {"$ref": "#/parts/B"}}},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "#/allOf/x", "allOf": [{}]},
        {"$ref": "http://["},
        {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"$ref": "#/definitions/b"}}},
    ],
    ids=str,
)
def test_a_reference_to_nowhere_is_refused_before_anything_is_paid(schema):
    adapter = FakeAdapter([])
    with pytest.raises(ConfigurationError, match=r"reference .* points to nothing in it"):
        RLM(adapter).run("q", TEXT, output_schema=schema)
    with pytest.raises(ConfigurationError, match="points to nothing"):
        SmartRouter(adapter, output_schema=schema).run("q", TEXT)
    assert adapter.calls == []


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"$ref": "#/$defs/X", "$defs": {"X": {"type": "integer"}}}, 5),
        ({"$defs": {"X": {"$anchor": "x", "type": "integer"}}, "$ref": "#x"}, 5),
        ({"$id": "http://own/", "$defs": {"X": {"$id": "x", "type": "integer"}}, "$ref": "http://own/x"}, 5),
        ({"$id": "http://own/", "$defs": {"X": {"$id": "in/x", "$ref": "y"}, "Y": {"$id": "in/y"}}, "$ref": "in/x"}, 5),
        ({"properties": {"below": {"$ref": "#"}, "$ref": {"type": "string"}}}, {"below": {"below": {}}, "$ref": "x"}),
        ({"enum": [{"$ref": "#/nope"}]}, {"$ref": "#/nope"}),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, {"type": "integer"}),
        ({"$dynamicRef": "#node", "$defs": {"a": {"$dynamicAnchor": "node", "type": "integer"}}}, 5),
        ({"$schema": "https://json-schema.org/draft/2019-09/schema", "items": {"$recursiveRef": "#"}}, [[]]),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "items": {"$ref": "#"}}, [[]]),
    ],
    ids=str,
)
def test_references_that_can_be_resolved_are(schema, value):
    assert OutputSchema.of(schema).check_value(value).problems == ()


@pytest.mark.parametrize("schema", [{"$schema": 5}, {"$schema": []}, {"$schema": {}}, {"$ref": 5}, {"$id": 5}], ids=str)
def test_a_schema_that_is_malformed_anywhere_is_a_configuration_error(schema):
    with pytest.raises(ConfigurationError, match="no valid JSON Schema"):
        OutputSchema.of(schema)


@BACKENDS
def test_a_sub_calls_schema_that_points_nowhere_is_an_error_in_the_code(backend):
    result, adapter = run(
        [python("llm_query('q', schema={'$ref': '#/nope'})"), "FINAL: 1"],
        repl_backend=backend,
        policy=Policy(max_subcalls=5),
    )
    error = result.trace.of_kind("repl_exec")[0].error
    assert "schema=" in error
    assert "'#/nope' points to nothing" in error
    assert (len(adapter.calls), result.subcalls) == (2, 0)


# Fields of an answer that are named as those of the object that is asked for


class Found(BaseModel):
    answer: str | None
    found: bool


class Nested(BaseModel):
    answer: Any
    found: bool


class Tree(BaseModel):
    answer: str
    found: bool
    below: list[Tree] = []


@pytest.mark.parametrize(
    ("schema", "reply", "value"),
    [
        (Found, '{"answer": "5", "found": true}', Found(answer="5", found=True)),
        (Found, '{"answer": "5", "found": false}', Found(answer="5", found=False)),
        (Found, '{"answer": null, "found": false}', Found(answer=None, found=False)),
        (Found, '{"found": true, "quotes": [], "answer": {"answer": "5", "found": false}}', Found(answer="5", found=False)),
        (Found, '{"found": false, "quotes": [], "answer": null}', None),
        (Tree, '{"answer": "5", "found": true}', Tree(answer="5", found=True)),
        (Nested, '{"found": true, "answer": {"answer": "5", "found": true}}', Nested(answer="5", found=True)),
        (dict, '{"found": true, "answer": {"a": 1}}', {"a": 1}),
        (dict, '{"found": false, "quotes": [], "answer": null}', None),
        ({"properties": {"answer": {"type": "integer"}, "found": {}}, "required": ["answer"]}, '{"answer": 5, "found": false}', {"answer": 5, "found": False}),
    ],
)  # fmt: skip
def test_a_direct_answer_may_have_the_fields_of_the_object_around_it(schema, reply, value):
    adapter = FakeAdapter([reply])
    result = SmartRouter(adapter, output_schema=schema).run("q", TEXT, escalate=False)
    assert result.value == value
    assert result.status == ("answered" if value is not None else "unanswered")
    assert len(adapter.calls) == 1


# No records


@BACKENDS
@pytest.mark.parametrize("empty", [[], (), {}], ids=str)
def test_an_empty_list_is_data_as_an_empty_dict_is(backend, empty):
    script = [python("print(repr(context))\nFINAL(len(context))")]
    result, adapter = run(script, context=empty, repl_backend=backend)
    assert result.trace.of_kind("repl_exec")[0].stdout == f"{empty!r}\n"
    assert result.value == 0
    assert f"context: {type(empty).__name__}, 0" in last_user(adapter, 0)


def test_a_question_about_no_records_is_asked():
    adapter = FakeAdapter(["0"])
    result = SmartRouter(adapter).run("How many orders are there?", [], escalate=False)
    assert (result.output, result.method) == ("0", "baseline")
    assert Context.of([""]).num_documents == 1, "an empty document is none of data"


def test_a_sub_agent_is_not_started_over_nothing():
    code = "FINAL([rlm_query('q', nothing) for nothing in ([], {}, '')])"
    result, adapter = run([python(code)], context=[{"a": 1}])
    assert all("the context was empty" in said for said in result.value)
    assert len(adapter.calls) == 1
