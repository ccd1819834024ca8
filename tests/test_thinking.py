"""Thinking that stands in the text of replies: no data, no answer, and never sent back, on any route."""

from __future__ import annotations

import asyncio

import pytest
from openai_server import LoopbackServer
from openai_server import Reply as Served
from pydantic import BaseModel

from pyrlm import RLM, DiskCache, ExecutionProfile, SmartRouter
from pyrlm.adapters import FakeAdapter, GenericChatAdapter, ModelResponse, OpenAICompatAdapter
from pyrlm.adapters.calling import acomplete

BACKENDS = pytest.mark.parametrize("backend", ["exec", "monty"])
TEXT = "The warranty lasts two years.\n"
HARMONY = "<|channel|>analysis<|message|>MUSING<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>"
FORMS = [
    "<think>MUSING</think>\n{}",
    "MUSING\n</think>\n\n{}",
    "<thought>MUSING</thought>{}",
    "[THINK]MUSING[/THINK]{}",
    "◁think▷MUSING◁/think▷{}",
    "<think>MUSING</think>\n<think>MUSING</think>\n{}",
    HARMONY,
]
IN_FORMS = pytest.mark.parametrize("form", FORMS)


class Term(BaseModel):
    years: int


def python(code):
    return f"```python\n{code}\n```"


def sub(reply, code, **options):
    root = FakeAdapter([python(f"{code}\nFINAL(x)")])
    return RLM(root, subcall_adapter=FakeAdapter(rules=[("", reply)]), **options).run("q", TEXT)


# Sub-calls


@BACKENDS
@IN_FORMS
def test_what_a_sub_model_thinks_is_no_data(form, backend):
    code = """x = [llm_query('Which month?'), *llm_batch(['Which month?'] * 2), ask('Which month?', 'text'),
    *ask_chunks('Which month?', ['text']), ask_chunks_first('Which month?', ['text'])]"""
    assert sub(form.format("May"), code, repl_backend=backend).value == ["May"] * 6


@IN_FORMS
@pytest.mark.parametrize(
    ("schema", "said", "data"), [("int", "7", 7), ({"a": "int"}, '{"a": 1}', {"a": 1}), (["str"], '["x"]', ["x"])]
)
def test_a_sub_model_that_thinks_gives_data_of_a_schema(form, schema, said, data):
    result = sub(form.format(said), f"x = llm_query('How many?', schema={schema!r})")
    assert (result.value, len(result.trace.of_kind("subcall"))) == (data, 1)


def test_a_second_request_for_data_holds_no_thinking():
    subs = FakeAdapter(["<think>MUSING</think>\nseven", "<think>MUSING</think>\n7"])
    root = FakeAdapter([python("x = llm_query('How many?', schema='int')\nFINAL(x)")])
    assert RLM(root, subcall_adapter=subs).run("q", TEXT).value == 7
    assert [message["content"] for message in subs.calls[1].messages if message["role"] == "assistant"] == ["seven"]


def test_chunks_are_asked_on_where_only_the_thinking_says_something():
    reply = "<think>It might be May. NO_ANSWER?</think>\nNO_ANSWER"
    assert sub(reply, "x = ask_chunks_first('Which month?', ['a', 'b'])").value == "NO_ANSWER"


@pytest.mark.parametrize("reply", ["<think>MUSING</think>", "<think>MUSING"])
def test_a_sub_model_that_only_thinks_has_failed(reply):
    assert sub(reply, "x = llm_query('Which month?')").value == "[sub-call failed: the reply was empty]"


def test_a_reply_that_is_cut_while_it_thinks_is_asked_for_with_more_room_and_the_answer_counts():
    subs = FakeAdapter([ModelResponse("<think>MUSING for a long time", finish_reason="length"), "<think>M</think>May"])
    root = FakeAdapter([python("x = llm_query('Which month?')\nFINAL(x)")])
    assert RLM(root, subcall_adapter=subs).run("q", TEXT).value == "May"
    subs = FakeAdapter(rules=[("", ModelResponse("<think>MUSING", finish_reason="length"))])
    root = FakeAdapter([python("x = llm_query('Which month?')\nFINAL(x)")])
    told = RLM(root, subcall_adapter=subs).run("q", TEXT).value
    assert told.startswith("[sub-call failed: the reply was cut at")
    assert "MUSING" not in told


def test_a_reply_of_thinking_alone_is_not_kept_in_the_cache(tmp_path):
    cache = DiskCache(tmp_path)
    for reply, said in (("<think>MUSING", "[sub-call failed: the reply was empty]"), ("May", "May")):
        assert sub(reply, "x = llm_query('Which month?')", cache=cache).value == said
    router = SmartRouter(FakeAdapter(rules=[("", "<think>MUSING")]), cache=cache)
    assert router.run("q", TEXT, escalate=False).status == "unanswered"
    router = SmartRouter(FakeAdapter(rules=[("", "Two")]), cache=cache)
    assert router.run("q", TEXT, escalate=False).output == "Two"


def test_a_tag_in_what_a_sub_model_quotes_stays():
    said = 'The template writes "<think>" first, and `</think>` last.'
    assert sub(said, "x = llm_query('What does it write?')").value == said


# Routes of one call


@IN_FORMS
@pytest.mark.parametrize(
    ("schema", "said", "value"),
    [
        (None, "Two", "Two"),
        (str, "Two", "Two"),
        (int, "2", 2),
        (int, '{"found": true, "quotes": [], "answer": 2}', 2),
        (Term, '{"years": 2}', Term(years=2)),
        (str, "NO_ANSWER", None),
    ],
)
def test_an_answer_of_one_call_is_what_stands_after_the_thinking(form, schema, said, value):
    router = SmartRouter(FakeAdapter(rules=[("", form.format(said).replace("MUSING", 'MUSING {"years": 9}'))]))
    result = router.run("q", TEXT, output_schema=schema, escalate=False)
    assert result.status == ("answered" if value is not None else "unanswered")
    assert result.value == value or value is None
    assert "MUSING" not in result.output


@pytest.mark.parametrize("schema", [None, str, int, Term])
@pytest.mark.parametrize("reply", ["<think>MUSING</think>", "<think>MUSING", '<think>{"years": 2}</think>\n'])
def test_a_reply_of_thinking_alone_is_no_answer(reply, schema):
    router = SmartRouter(FakeAdapter(rules=[("", reply)]))
    result = router.run("q", TEXT, output_schema=schema, escalate=False)
    assert (result.status, result.output) == ("unanswered", "")


@pytest.mark.parametrize("schema", [None, int])
def test_a_reply_of_thinking_alone_leads_to_the_loop_as_an_empty_one_does(schema):
    adapter = FakeAdapter(["<think>MUSING", *[python("FINAL(2)")] * 2])
    result = SmartRouter(adapter).run("q", TEXT, output_schema=schema)
    assert str(result.value) == "2"
    reasons = [step.reason for step in result.trace.of_kind("escalation")]
    assert reasons == ["the reply was empty"]


def test_an_answer_that_does_not_fit_is_sent_back_without_its_thinking():
    adapter = FakeAdapter(["<think>MUSING</think>\nseven", "<think>MUSING</think>\n7"])
    assert SmartRouter(adapter).run("q", TEXT, output_schema=int, escalate=False).value == 7
    assert [message["content"] for message in adapter.calls[1].messages if message["role"] == "assistant"] == ["seven"]


def test_semantic_batches_read_no_thinking():
    root = FakeAdapter([python("found = llm_batch(['Which month?'] * 3)\nFINAL(found)")])
    router = SmartRouter(root, subcall_adapter=FakeAdapter(rules=[("", "<think>MUSING</think>\nMay")]))
    result = router.run("q", TEXT, route="rlm", profile=ExecutionProfile.SEMANTIC_BATCHES)
    assert result.value == ["May"] * 3


# The conversation with the root model


@IN_FORMS
@pytest.mark.parametrize("prose", ["", "Let me look.\n"])
def test_thinking_of_the_root_is_not_sent_back(form, prose):
    if prose and form in {FORMS[1], HARMONY}:
        prose = ""  # there all before is thinking
    code = python("print(len(context))")
    with LoopbackServer([prose + form.format(code)] * 2 + ["FINAL: two years"]) as server:
        RLM(OpenAICompatAdapter("m", base_url=server.url, api_key="test-key")).run("q", TEXT)
    first, second = ([message["content"] for message in body["messages"]] for body in server.bodies[1:])
    assert "MUSING" not in "".join(second)
    assert sum("print(len(context))" in content for content in second) == 2
    assert second[: len(first)] == first


@IN_FORMS
def test_no_adapter_is_given_the_thinking(form):
    adapter = FakeAdapter([form.format(python("print(1)")), form.format("FINAL: two years")])
    assert RLM(adapter).run("q", TEXT).output == "two years"
    assert "MUSING" not in str(adapter.calls[1].messages)
    assert "print(1)" in str(adapter.calls[1].messages)


@IN_FORMS
def test_a_request_of_any_other_shape_holds_no_thinking(form):
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": form.format("hello")}]
    messages.append({"role": "user", "content": "form.format('<think>a user may say so</think>')"})
    with LoopbackServer([Served("ok")]) as server:
        adapter = GenericChatAdapter(
            base_url=server.url,
            payload_builder=lambda messages, *_, **__: {"messages": messages},
            response_parser=lambda data: data["choices"][0]["message"]["content"],
        )
        asyncio.run(acomplete(adapter, messages, 10))
    sent = server.bodies[0]["messages"]
    assert [message["content"] for message in sent] == ["hi", "hello", messages[2]["content"]]


def test_a_reply_of_thinking_alone_is_sent_back_as_an_empty_one():
    adapter = FakeAdapter(["<think>MUSING</think>", "FINAL: two years"])
    assert RLM(adapter).run("q", TEXT).output == "two years"
    assert [message["content"] for message in adapter.calls[1].messages if message["role"] == "assistant"] == [
        "(empty)"
    ]
