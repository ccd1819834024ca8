"""Schemas of sub-calls and of routes of one call; final values as the REPL held them, in the result and in the trace."""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import dataclass
from decimal import Decimal

import pytest
from llama_server import llama  # noqa: F401 - a fixture
from openai_server import LoopbackServer, Status
from pydantic import BaseModel

from pyrlm import RLM, DiskCache, Policy, SmartRouter, Trace
from pyrlm.adapters import FakeAdapter, OpenAICompatAdapter
from pyrlm.errors import ConfigurationError
from pyrlm.routers.response_format import response_format
from pyrlm.simple_schema import as_json_schema

BACKENDS = pytest.mark.parametrize("backend", ["exec", "monty"])
TEXT = "The warranty lasts 24 months.\nThe battery is not covered.\n"
FITTING = '{"found": true, "quotes": ["The warranty lasts 24 months."], "answer": {"months": 24}}'


class Warranty(BaseModel):
    months: int


@dataclass
class Pair:
    a: int
    b: str


def python(code):
    return f"```python\n{code}\n```"


def run(script, context=None, *, rules=(), **options):
    adapter = FakeAdapter(script, rules=list(rules))
    return RLM(adapter, **options).run("How many?", context), adapter


def printed(result):
    return [step.stdout for step in result.trace.of_kind("repl_exec")]


# Sub-calls


@BACKENDS
@pytest.mark.parametrize(
    "call",
    [
        "llm_query('who?', schema={'name': 'str', 'age': 'int'})",
        "llm_query('who?', {'name': 'str', 'age': 'int'})",
        "llm_query('who?', schema={'type': 'object', 'required': ['name', 'age']})",
        "llm_batch(['who?'], schema={'name': 'str', 'age': 'int'})[0]",
        "llm_query_batch(['who?'], schema={'name': 'str', 'age': 'int'}, parallel=False)[0]",
        "llm_batch(['who?'], {'name': 'str', 'age': 'int'})[0]",
    ],
)
def test_a_sub_call_with_a_schema_gives_data(backend, call):
    rules = [("You are a sub-LLM", '```json\n{"name": "Ann", "age": 41}\n```')]
    result, _ = run([python(f"found = {call}\nFINAL(found['age'] + 1)")], rules=rules, repl_backend=backend)
    assert result.value == 42


def test_a_reply_that_does_not_fit_is_asked_for_once_more_with_the_errors():
    replies = iter(['{"name": 5}', '{"name": "Ann"}'])
    rules = [("You are a sub-LLM", lambda _: next(replies))]
    result, adapter = run([python("FINAL(llm_query('who?', {'name': 'str'}))")], rules=rules)
    assert result.value == {"name": "Ann"}
    assert "name: 5 is not of type 'string'" in adapter.calls[2].messages[-1]["content"]
    assert result.subcalls == 2


def test_a_second_reply_that_does_not_fit_fails_the_item_alone():
    rules = [("bad", "one, two"), ("You are a sub-LLM", "[1]")]
    code = "FINAL(llm_batch(['good', 'bad', 'good'], schema='list[int]'))"
    result, _ = run([python(code)], rules=rules)
    assert result.value[0] == result.value[2] == [1]
    assert result.value[1].startswith("[sub-call failed: the reply does not fit the schema")
    assert result.subcalls == 4


def test_an_abstention_and_a_limit_come_through_a_schema():
    rules = [("You are a sub-LLM", "NO_ANSWER")]
    assert run([python("FINAL([llm_query('q', 'x') if False else llm_query('q', schema='int')])")], rules=rules)[
        0
    ].value == ["NO_ANSWER"]
    result, _ = run(
        [python("FINAL([llm_query('q', schema='int')])")], rules=rules, policy=Policy(max_subcalls=0), on_limit="return"
    )
    assert result.value[0].startswith("[sub-call failed: ")


def test_the_cache_tells_schemas_apart(tmp_path):
    code = "FINAL([llm_query('q', schema='int'), llm_query('q', schema='list[int]'), llm_query('q')])"
    rules = [("array", "[7]"), ("integer", "7"), ("You are a sub-LLM", "seven")]
    for paid in (3, 0):
        result, _ = run([python(code)], rules=rules, cache=DiskCache(tmp_path / "cache"))
        assert result.value == [7, [7], "seven"]
        assert result.subcalls == paid


@pytest.mark.parametrize(
    "schema", ["'foo'", "5", "{'a': 'bar'}", "[]", "'__import__(\"os\")'", "{'patternProperties': {'(a+)+$': {}}, '$ref': '#'}"]
)  # fmt: skip
def test_what_is_no_schema_is_an_error_in_the_code(schema):
    result, adapter = run([python(f"llm_query('q', schema={schema})"), "FINAL: 1"])
    assert "schema=" in result.trace.of_kind("repl_exec")[0].error
    assert len(adapter.calls) == 2


def test_a_type_in_a_schema_says_what_to_write():
    result, _ = run([python("llm_query('q', schema={'a': list[str]})"), "FINAL: 1"])
    assert "hand over its name as a string" in result.trace.of_kind("repl_exec")[0].error


def test_simple_forms():
    assert as_json_schema("list[dict[str, int | None]]") == {
        "type": "array",
        "items": {"type": "object", "additionalProperties": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
    }
    assert as_json_schema({"type": "str"})["properties"] == {"type": {"type": "string"}}
    assert as_json_schema({"type": "string"}) == {"type": "string"}


# Values

VALUES = [
    "__import__('datetime').date(2024, 2, 29)",
    "{1, 2}",
    "(1, (2, 'x'))",
    "__import__('decimal').Decimal('1.10')",
    "b'\\x00\\xff'",
    "2 ** 100",
    "{2: 'b', 1: 'a', (1, 2): None}",
    "[1.0, True, 0, None, float('inf')]",
]
HELD = [
    dt.date(2024, 2, 29),
    {1, 2},
    (1, (2, "x")),
    Decimal("1.10"),
    b"\x00\xff",
    2**100,
    {2: "b", 1: "a", (1, 2): None},
    [1.0, True, 0, None, math.inf],
]


@BACKENDS
@pytest.mark.parametrize(
    ("code", "held"), list(zip(VALUES, HELD, strict=True)), ids=[str(value)[:20] for value in HELD]
)
def test_a_final_value_arrives_as_the_repl_held_it_and_the_trace_keeps_it(backend, code, held):
    code = code.replace("__import__('datetime')", "datetime").replace("__import__('decimal')", "decimal")
    result, _ = run([python(f"import datetime, decimal\nanswer = {code}\nFINAL(answer)")], repl_backend=backend)
    for value in (result.value, Trace.from_json(result.trace.to_json()).value):
        assert value == held
        assert repr(value) == repr(held), "types and order are kept"


@BACKENDS
def test_nan_arrives(backend):
    result, _ = run([python("FINAL({'x': float('nan')})")], repl_backend=backend)
    assert math.isnan(result.value["x"])
    assert math.isnan(Trace.from_json(result.trace.to_json()).value["x"])


@BACKENDS
def test_a_value_that_can_not_cross_costs_a_step_and_says_why(backend):
    script = [python("f = lambda: 1\nFINAL([f])"), python("FINAL([f()])")]
    result, adapter = run(script, repl_backend=backend)
    assert "can't cross" in adapter.calls[1].messages[-1]["content"]
    assert result.value == [1]
    assert result.steps == 2


def test_typed_values_and_long_ones_in_the_trace():
    result, _ = run([python("FINAL({'months': 3})")], output_schema=Warranty)
    assert Trace.from_json(result.trace.to_json()).value == {"months": 3}
    result, _ = run([python("FINAL(['x' * 50_000])")])
    facts = result.trace.of_kind("run_finished")[0].data
    assert "50,004 characters" in facts["value_left_out"]
    assert "value" not in facts


# Routes of one call


def route(script, context=TEXT, *, call=None, **options):
    adapter = FakeAdapter(script)
    return SmartRouter(adapter, **options).run("How long?", context, **(call or {})), adapter


@pytest.mark.parametrize("reply", [FITTING, f"Sure:\n```json\n{FITTING}\n```", '{"months": 24}'])
def test_the_direct_route_gives_the_typed_object(reply):
    result, adapter = route([reply], call={"output_schema": Warranty})
    assert (result.value, result.output, result.method) == (Warranty(months=24), '{"months":24}', "baseline")
    assert adapter.calls[0].options["response_format"]["type"] == "json_schema"
    if reply != '{"months": 24}':
        assert [citation.text for citation in result.citations] == ["The warranty lasts 24 months."]
    assert result.trace.value == result.as_dict()["value"] == {"months": 24}


def test_a_direct_answer_that_does_not_fit_is_corrected_once_then_the_loop_takes_over():
    bad = '{"found": true, "quotes": [], "answer": {"months": "many"}}'
    result, adapter = route([bad, FITTING], output_schema=Warranty)
    assert result.value == Warranty(months=24)
    assert "months: Input should be a valid integer" in adapter.calls[1].messages[-1]["content"]
    result, adapter = route([bad, bad, python("FINAL({'months': 24})")], output_schema=Warranty)
    assert (result.value, result.method) == (Warranty(months=24), "rlm")
    assert "does not fit the schema" in result.attempts[0].reason


def test_a_direct_route_may_abstain_and_nothing_that_does_not_fit_is_an_answer():
    result, _ = route(['{"found": false, "quotes": [], "answer": null}'], output_schema=int, call={"escalate": False})
    assert (result.status, result.value, result.output) == ("unanswered", None, "")
    result, _ = route(["many", "many"], output_schema=int, call={"escalate": False})
    assert (result.status, result.value, result.output) == ("unanswered", None, "")


def test_found_values_fit_the_schema_or_the_next_route_is_taken():
    result, adapter = route([], call={"pattern": r"(\d+) months", "output_schema": int})
    assert (result.value, result.method, adapter.calls) == (24, "deterministic", [])
    result, _ = route([FITTING], call={"pattern": r"The (\w+)", "output_schema": Warranty})
    assert (result.value, result.method) == (Warranty(months=24), "baseline")


def test_data_takes_the_routes_that_read_all_of_it():
    rows = [{"id": number, "city": "Lyon"} for number in range(20)]
    result, adapter = route(["20"], rows, output_schema=int)
    assert (result.value, result.method, result.coverage) == (20, "baseline", 1.0)
    assert '{"id":19,"city":"Lyon"}' in adapter.calls[0].text
    many = [{"id": number, "city": "Lyon"} for number in range(20_000)]
    result, _ = route([python("FINAL(len(context))")], many, output_schema=int)
    assert (result.value, result.method, result.coverage) == (20_000, "rlm", None)
    decision = SmartRouter(FakeAdapter([])).decide("What is the city of id 7?", many)
    assert decision.route == "rlm"
    assert "data" in decision.rejected["select"]


@pytest.mark.parametrize("call", [{"route": "select"}, {"pattern": "x"}, {"marker": "x"}])
def test_routes_that_search_a_text_are_refused_for_data(call):
    with pytest.raises(ConfigurationError, match="data"):
        route([], [{"a": 1}], call=call)


def test_a_query_as_data_is_data_on_the_route_of_the_loop():
    adapter = FakeAdapter([python("FINAL(query['n'] + 1)")])
    result = SmartRouter(adapter).run({"n": 1}, TEXT, route="rlm")
    assert result.value == 2


def ask(server, schema=Warranty, times=1):
    adapter = OpenAICompatAdapter("some-model", base_url=server.url, api_key="test-key", context_window=16_000)
    router = SmartRouter(adapter, output_schema=schema)
    return [router.run("How long is the warranty?", TEXT, escalate=False) for _ in range(times)]


def test_the_provider_gets_a_strict_schema_whose_root_is_an_object():
    with LoopbackServer(['{"found": true, "quotes": [], "answer": [{"months": 24}]}']) as server:
        [result] = ask(server, list[Warranty])
        sent = server.bodies[0]["response_format"]["json_schema"]
    assert result.value == [Warranty(months=24)]
    assert sent["strict"] is True
    assert sent["schema"]["type"] == "object"
    assert sent["schema"]["$defs"]["Warranty"]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("message", "asked"),
    [
        ("Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.", [True, False, False]),
        ("Invalid schema for response_format 'answer': bad.", [True, False, False]),
    ],
)  # fmt: skip
def test_a_refused_response_format_is_learned(message, asked):
    with LoopbackServer([Status(400, message, param="response_format"), FITTING, FITTING]) as server:
        results = ask(server, times=2)
        assert ["response_format" in body for body in server.bodies] == asked
    assert [result.value for result in results] == [Warranty(months=24)] * 2


def test_other_refusals_are_not_taken_for_one_of_the_format():
    with LoopbackServer([Status(400, "Your account is not verified.")]) as server:
        [result] = ask(server)
    assert result.status == "error"
    assert "not verified" in result.error


def test_a_schema_without_a_strict_form_is_sent_as_it_is():
    sent = response_format({"type": "object", "additionalProperties": {"type": "integer"}})["json_schema"]
    assert sent["strict"] is False
    tree = {"type": "object", "properties": {"below": {"type": "array", "items": {"$ref": "#"}}}}
    moved = response_format(tree)["json_schema"]["schema"]["properties"]["answer"]["anyOf"][0]
    assert moved["properties"]["below"]["items"] == {"$ref": "#/properties/answer/anyOf/0"}


@pytest.mark.xdist_group("llama")
def test_a_real_server_writes_what_fits(llama):  # noqa: F811
    adapter = OpenAICompatAdapter("smollm2", base_url=llama.url, api_key="test-key", context_window=2_048)
    router = SmartRouter(adapter, policy=Policy(max_total_tokens=20_000), temperature=0.0)
    schema = {"type": "object", "properties": {"unit": {"enum": ["days", "months"]}}, "required": ["unit"]}
    result = router.run("In what unit is the warranty given?", TEXT, output_schema=schema, escalate=False)
    calls = result.trace.of_kind("direct_call")
    assert calls
    said = json.loads(calls[0].output)
    assert set(said) == {"found", "quotes", "answer"}, "the server's own grammar has written it"
    assert result.value is None or result.value["unit"] in {"days", "months"}


def test_the_example_runs():
    import subprocess
    import sys
    from pathlib import Path

    example = Path(__file__).parent.parent / "examples" / "structured.py"
    ran = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, check=True)
    assert "lid: complaints [1, 3], the latest on 02 April" in ran.stdout
    assert "delivery: complaints [2]" in ran.stdout
    assert "[0].latest: Field required" in ran.stdout
