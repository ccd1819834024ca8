"""Profiles differ in the calls that are made, seen by a real server; so do the signals that only a server gives."""

from __future__ import annotations

import pytest
from openai_server import LoopbackServer, Reply, Status, too_long

from pyrlm import Policy, RouterConfig, SmartRouter
from pyrlm.adapters import OpenAICompatAdapter
from pyrlm.routers.profiles import FEW_SUBCALLS, ExecutionProfile, profile_for, stages_of
from pyrlm.routers.query_kinds import QueryKind

FILLER = "Nothing of interest happened on that day in the quiet harbour town.\n" * 300
TEXT = FILLER + "The warranty of the pump lasts 24 months.\n" + FILLER
QUERY = "How long is the warranty of the pump?"
CONFIG = RouterConfig(context_window=200_000)
SUB = "You are a sub-LLM"


def python(code):
    return f"```python\n{code}\n```"


def ask(model, query=QUERY, context=TEXT, *, run=None, **options):
    """Run with two models of one server, so that root and sub-calls can be told apart."""
    with LoopbackServer(model) as server:
        root = OpenAICompatAdapter("root-model", base_url=server.url, api_key="test-key")
        sub = OpenAICompatAdapter("sub-model", base_url=server.url, api_key="test-key")
        options.setdefault("config", CONFIG)
        result = SmartRouter(root, subcall_adapter=sub, **options).run(query, context, **(run or {}))
    return result, server


def calls(server, model):
    return [body for body in server.bodies if body["model"] == model]


def scripted(root, sub="24 months"):
    """A model that answers root calls from a list and every sub-call alike."""
    replies = iter(root)
    return lambda body: sub if body["model"] == "sub-model" else next(replies, Status(400, "the script is used up"))


def test_deterministic_first_ends_in_a_stage_without_subcalls():
    found = python("for hit in ctx.find('warranty'):\n    print(ctx.slice(hit[0] - 4, hit[1] + 30))")
    result, server = ask(scripted([found, "FINAL: 24 months"]), run={"profile": "deterministic_first"})
    assert (result.output, result.method) == ("24 months", "rlm")
    assert len(calls(server, "root-model")) == 2
    assert calls(server, "sub-model") == []
    assert "llm_batch" not in calls(server, "root-model")[0]["messages"][0]["content"]
    assert result.trace.of_kind("stage") == []


def test_in_the_deterministic_stage_subcalls_do_not_exist():
    attempt = python("print(llm_query('How long is the warranty?'))")
    script = scripted([attempt, "FINAL: NO_ANSWER", "FINAL: NO_ANSWER", "NO_ANSWER"])
    result, server = ask(script, run={"profile": "deterministic_first"})
    assert calls(server, "sub-model") == []
    assert result.trace.of_kind("repl_exec")[0].error


def test_without_a_grounded_answer_deterministic_first_opens_a_few_subcalls():
    many = python(f"answers = llm_batch(['How long?'] * {FEW_SUBCALLS + 20})\nprint(answers[0])")
    result, server = ask(
        scripted(["FINAL: NO_ANSWER", many, "FINAL: 24 months"]), run={"profile": "deterministic_first"}
    )
    assert result.output == "24 months"
    assert len(calls(server, "sub-model")) == FEW_SUBCALLS
    assert [stage.data["stage"] for stage in result.trace.of_kind("stage")] == ["few_subcalls"]


def test_semantic_batches_reads_with_parallel_subcalls_and_turns_an_answer_without_them_back():
    batch = python(
        "pieces = ctx.chunk(6000)\nanswers = ask_chunks('How long?', pieces)\nbest = pick_first_answer(answers)"
    )
    script = scripted(["FINAL: 24 months", batch, "FINAL_VAR: best"])
    result, server = ask(script, run={"profile": "semantic_batches"})
    assert result.output == "24 months"
    assert len(calls(server, "root-model")) == 3
    assert len(calls(server, "sub-model")) == -(-len(TEXT) // 6000)
    assert "sub-call" in calls(server, "root-model")[1]["messages"][-1]["content"]
    assert "llm_batch" in calls(server, "root-model")[0]["messages"][0]["content"]


def test_hybrid_narrows_down_without_subcalls_and_reads_what_it_found_in_the_same_session():
    narrow = python("passages = [ctx.slice(h[0] - 60, h[1] + 60) for h in ctx.find('warranty')]\nprint(len(passages))")
    read = python("answer = pick_first_answer(ask_chunks('How long?', passages))")
    script = scripted([narrow, "FINAL_VAR: passages", read, "FINAL_VAR: answer"])
    result, server = ask(script, run={"profile": "hybrid"})
    assert result.output == "24 months"
    [sub] = calls(server, "sub-model")
    assert "warranty of the pump" in sub["messages"][-1]["content"]
    roots = calls(server, "root-model")
    assert len(roots) == 4
    assert "llm_batch" not in roots[0]["messages"][0]["content"]
    assert [stage.data["stage"] for stage in result.trace.of_kind("stage")] == ["semantic"]


def test_verify_asks_an_independent_second_route():
    quote = "<quotes><quote>The warranty of the pump lasts 24 months.</quote></quotes>"
    result, server = ask([f"24 months\n{quote}", f"{quote}\nAnswer: 24 months"], run={"profile": "verify"})
    assert result.verified is True
    first, second = server.bodies
    assert first["messages"][0] != second["messages"][0]
    assert len(second["messages"][1]["content"]) < len(first["messages"][1]["content"])


def test_without_a_profile_the_kind_of_the_query_decides():
    assert {kind: profile_for(kind) for kind in QueryKind}.keys() == set(QueryKind)
    for kind in QueryKind:
        assert stages_of(ExecutionProfile.VERIFY, kind) == stages_of(profile_for(kind), kind)
    result, _ = ask(
        scripted(["FINAL: NO_ANSWER"] * 9), query="Label each line as dull or exciting.", run={"route": "rlm"}
    )
    assert result.profile is ExecutionProfile.SEMANTIC_BATCHES


@pytest.mark.parametrize("profile", ["deterministic_first", "semantic_batches", "hybrid"])
def test_a_small_text_stays_one_call_in_the_other_profiles(profile):
    result, server = ask(["24 months"], context="The warranty of the pump lasts 24 months.", run={"profile": profile})
    assert (result.method, len(server.bodies)) == ("baseline", 1)


def test_a_prompt_that_the_server_refuses_as_too_long_goes_on_to_the_next_route():
    quote = "<quotes><quote>The warranty of the pump lasts 24 months.</quote></quotes>"
    result, server = ask([too_long(), f"24 months\n{quote}"], query="What is the warranty of the pump?")
    assert [(attempt.route, attempt.status) for attempt in result.attempts] == [
        ("baseline", "rejected"),
        ("select", "accepted"),
    ]
    assert "too long" in result.attempts[0].reason
    assert server.bodies[0]["messages"] != server.bodies[1]["messages"]


def test_a_reply_cut_by_the_server_is_asked_again_with_a_larger_cap():
    cut = Reply("24 mon", finish_reason="length")
    result, server = ask([cut, "24 months"], context="The warranty lasts 24 months.")
    caps = [body.get("max_tokens") or body.get("max_completion_tokens") for body in server.bodies]
    assert result.output == "24 months"
    assert caps[1] > caps[0]


def test_one_budget_covers_all_routes_of_a_run():
    replies = iter(["NO_ANSWER", "NO_ANSWER", *(python(f"print({number})\nprint(peek(3000))") for number in range(60))])
    policy = Policy(max_total_tokens=60_000)
    result, server = ask(lambda _: next(replies), query="What is the colour of the pump?", policy=policy)
    billed = sum(step.usage.total_tokens for step in result.trace.calls)
    assert [attempt.route for attempt in result.attempts] == ["baseline", "select", "rlm"]
    assert (result.status, result.limit) == ("limit", "max_total_tokens")
    assert 30_000 < result.tokens_used == billed == sum(attempt.tokens for attempt in result.attempts) <= 60_000
    assert len(server.bodies) == len(result.trace.calls)


def test_what_a_stage_handed_over_is_not_taken_for_the_answer():
    narrow = python("passages = ['The warranty', 'of the pump']\nprint(len(passages))")
    script = scripted([narrow, "FINAL_VAR: passages", python("print(2)"), python("print(3)")])
    result, _ = ask(script, run={"profile": "hybrid", "escalate": False}, policy=Policy(max_steps=3))
    assert (result.output, result.status, result.limit) == ("", "limit", "max_steps")
