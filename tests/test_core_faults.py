"""What goes wrong inside a run, and what the run makes of it: nothing paid for is lost, and no limit is passed."""

from __future__ import annotations

import asyncio
import copy
import itertools
import os
import pickle
import signal
import time
from pathlib import Path

import pytest

from pyrlm import RLM, Policy, Price, Stage
from pyrlm.adapters import FakeAdapter, ModelResponse
from pyrlm.errors import (
    AuthenticationError,
    ConfigurationError,
    ContextLengthError,
    MaxSecondsExceeded,
    MaxSubcallsExceeded,
    ModelError,
    ModelUnavailableError,
    PriceUnknownError,
    ReplUnavailableError,
)

TEXT = "The warranty lasts 24 months.\nThe battery is not covered.\nReturns go to Lyon.\n" * 40
LINES = "\n".join(f"line {number}: some words of a text, {number * 7} in all" for number in range(1000))
SUB = "You are a sub-LLM"


def python(code):
    return f"```python\n{code}\n```"


def run(script, query="How long is the warranty?", context=TEXT, rules=(), **options):
    adapter = FakeAdapter(script, rules=list(rules))
    return RLM(adapter, **options).run(query, context), adapter


def last_user(adapter, call=-1):
    return adapter.calls[call].messages[-1]["content"]


# Answers


def test_final_with_a_word_is_the_variable_of_that_name_or_else_the_text():
    result, _ = run([python("lyon = P.splitlines()[2]\nprint(lyon)"), "FINAL(lyon)"])
    assert result.output == "Returns go to Lyon."
    result, _ = run([python("print(P[:80])"), "FINAL(Lyon)"])
    assert result.output == "Lyon"


def test_an_answer_of_fallback_code_ends_the_run():
    result, adapter = run(
        ["Hmm."] * 5, invalid_response_limit=2, fallback_code="FINAL(extract_after('warranty lasts', 10))"
    )
    assert result.output.startswith("24 months")
    assert len(adapter.calls) == 2


def test_an_answer_beside_code_that_failed_is_not_taken():
    script = [python("answer = 'a draft'"), python("answer = P[1:][0/0]") + "\nFINAL_VAR: answer", "FINAL: 24 months"]
    result, adapter = run(script)
    assert result.output == "24 months"
    assert "ZeroDivisionError" in last_user(adapter)
    assert "failed" in last_user(adapter)


def test_an_empty_answer_does_not_take_the_place_of_a_better_one():
    script = ["It is 24 months, I think.", python("empty = ''"), "FINAL_VAR: empty", ModelError("gone")]
    with pytest.raises(ModelError) as caught:
        run(script)
    assert caught.value.output == "It is 24 months, I think."


def test_no_message_without_text_is_sent():
    _, adapter = run([ModelResponse(""), ModelResponse("  \n"), "FINAL: 24 months"])
    assert all(message["content"].strip() for call in adapter.calls for message in call.messages)


def test_a_subcall_is_not_required_where_none_can_be_made():
    stages = (Stage(name="search", subcalls=0),)
    rlm = RLM(FakeAdapter(["FINAL: 24 months"] * 8), require_subcall_before_final=True)
    assert asyncio.run(rlm.arun("How long?", TEXT, stages=stages)).output == "24 months"


def test_a_subcall_is_not_required_again_when_the_sub_model_does_not_answer():
    sub = FakeAdapter([ModelUnavailableError("no server")] * 9)
    script = [python("print(P[:30], llm_query('q'))"), "FINAL: 24 months", "FINAL: 24 months"]
    result, _ = run(script, subcall_adapter=sub, require_subcall_before_final=True)
    assert result.output == "24 months"
    assert result.steps == 2


# Limits


def test_a_run_that_stops_asking_at_the_subcall_limit_may_go_on():
    script = [
        python("answers = llm_batch(['a', 'b', 'c', 'd'])"),
        python("good = [a for a in answers if 'failed' not in a]"),
        python("total = len(good)\nprint(total)"),
        "FINAL_VAR: total",
    ]
    result, _ = run(script, rules=[(SUB, "yes")], policy=Policy(max_subcalls=2))
    assert result.value == 2
    assert result.limits_met == ("max_subcalls",)


def test_a_run_that_is_told_and_asks_again_is_ended():
    with pytest.raises(MaxSubcallsExceeded) as caught:
        run(
            [python("a = llm_query('a')"), python("b = llm_query('b')"), python("c = llm_query('c')"), "FINAL: yes"],
            rules=[(SUB, "yes")],
            policy=Policy(max_subcalls=1),
        )
    assert caught.value.output == "yes"


@pytest.mark.parametrize("without", ["root", "sub", "named"])
def test_money_with_an_unknown_price_is_refused_before_anything_is_sent(without):
    price = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=1.0)
    adapters = {name: FakeAdapter(["FINAL: x"]) for name in ("root", "sub", "named")}
    for name, adapter in adapters.items():
        adapter.price = None if name == without else price
    rlm = RLM(
        adapters["root"],
        subcall_adapter=adapters["sub"],
        subcall_models={"big": adapters["named"]},
        policy=Policy(max_cost_usd=1.0),
    )
    with pytest.raises(PriceUnknownError, match="price") as caught:
        rlm.run("How long?", TEXT)
    assert not any(adapter.calls for adapter in adapters.values())
    assert caught.value.trace.steps


def test_answers_of_the_step_that_time_stopped_reach_the_last_call():
    async def slow_or_not(messages, max_tokens, temperature):
        await asyncio.sleep(60 if "Q3" in messages[-1]["content"] else 0)
        return ModelResponse("the warranty is 24 months")

    class Sub:
        acomplete = staticmethod(slow_or_not)

    adapter = FakeAdapter(
        [python("a = llm_batch(['Q1', 'Q2', 'Q3'])")], rules=[("max_seconds is met", "FINAL: 24 months")]
    )
    with pytest.raises(MaxSecondsExceeded) as caught:
        RLM(adapter, subcall_adapter=Sub(), policy=Policy(max_seconds=1.5)).run("How long?", TEXT)
    assert caught.value.output == "24 months"
    assert last_user(adapter).count("the warranty is 24 months") == 2
    calls = caught.value.trace.of_kind("subcall")
    assert sum(step.error is not None for step in calls) == 1, "the call that was cancelled is in the trace too"


def test_the_last_call_does_not_send_two_messages_of_the_user_in_a_row():
    _, adapter = run([python("print(P[:29])")] * 2 + ["FINAL: 24"], policy=Policy(max_steps=2), on_limit="return")
    roles = [message["role"] for message in adapter.calls[-1].messages]
    assert all(before != after for before, after in itertools.pairwise(roles))
    assert "max_steps is met" in last_user(adapter)
    assert "Output:\nThe warranty" in last_user(adapter)


def test_a_tiny_budget_ends_with_its_limit_and_inside_it():
    for limit in (10, 600, 1200, 2000, 3000):
        result, _ = run([python("print(P[:3000])")] * 30, policy=Policy(max_total_tokens=limit), on_limit="return")
        assert result.limit == "max_total_tokens"
        assert result.usage.total_tokens <= limit


def test_no_limits_at_all():
    policy = Policy(max_steps=None, max_subcalls=None, max_total_tokens=None)
    result, adapter = run([python(f"print({n})") for n in range(50)] + ["FINAL: 49"], policy=policy)
    assert result.output == "49"
    assert not any("[Left:" in call.text for call in adapter.calls)


# Models that fail


def test_a_wrong_key_is_raised_at_once_whatever_was_asked_for():
    adapter = FakeAdapter([AuthenticationError("wrong key"), "FINAL: x"])
    with pytest.raises(AuthenticationError) as caught:
        RLM(adapter, on_limit="return").run("How long?", TEXT)
    assert len(adapter.calls) == 1
    assert caught.value.trace.steps


def test_a_model_that_fails_is_a_result_where_that_was_asked_for():
    result, _ = run([python("found = P[:29]\nprint(found)"), ModelError("gone")], on_limit="return")
    assert result.status == "error"
    assert result.incomplete
    assert [variable.name for variable in result.variables] == ["found"]


def test_an_adapter_that_turns_out_wrong_half_way_loses_no_trace():
    class Odd:
        def __init__(self):
            self.calls = 0

        def complete(self, messages, max_tokens, temperature):
            self.calls += 1
            return python("found = 1") if self.calls == 1 else 42

    with pytest.raises(ConfigurationError, match="returned int") as caught:
        RLM(Odd()).run("How long?", TEXT)
    assert caught.value.trace.of_kind("repl_exec")
    assert caught.value.result.steps == 1


def test_a_prompt_that_stays_too_long_ends_in_a_short_last_call():
    refused = ContextLengthError("too long")
    adapter = FakeAdapter([python("print(P[:29])"), *[refused] * 4], rules=[("no more code runs", "FINAL: 24 months")])
    result = RLM(adapter, on_limit="return").run("How long?", TEXT)
    assert result.output == "24 months"
    assert result.status == "error"


def test_a_print_out_that_is_too_long_for_the_model_is_shortened():
    def model(messages):
        size = sum(len(message["content"]) for message in messages)
        if size > 8000:
            return ContextLengthError("too long", limit=2000)
        return "FINAL: 24 months" if len(messages) > 2 else python("print(P[:7900])")

    adapter = FakeAdapter([model] * 10)
    result = RLM(adapter, max_output_chars=7900).run("How long?", TEXT * 10)
    assert result.output == "24 months"
    assert "last_output" in last_user(adapter)


def test_a_reply_cap_that_the_model_refuses_is_taken_back():
    cut = ModelResponse("```python\nprint('half", finish_reason="length")
    script = [cut, ModelError("max_tokens is too large: 200", status=400), python("print(P[:29])"), "FINAL: 24 months"]
    result, adapter = run(script, max_tokens=100)
    assert result.output == "24 months"
    assert [call.max_tokens for call in adapter.calls][:3] == [100, 200, 100]


def test_the_reply_cap_stays_inside_a_small_window():
    adapter = FakeAdapter(["FINAL: 24 months"], context_window=4096)
    RLM(adapter, max_tokens=4096).run("How long?", TEXT)
    assert adapter.calls[0].max_tokens < 4096 - len(adapter.calls[0].text) // 6


def test_a_sub_model_that_is_down_is_not_asked_for_every_item():
    sub = FakeAdapter([ModelUnavailableError("no server answers")] * 300)
    script = [
        python("a = llm_batch([str(n) for n in range(100)])\nprint(sum('failed' in x for x in a), a[-1])"),
        "FINAL: none",
    ]
    _, adapter = run(script, subcall_adapter=sub)
    assert len(sub.calls) <= 20
    assert "100 [sub-call failed: " in last_user(adapter)
    assert "no server answers" in last_user(adapter)


def test_a_sub_model_that_recovers_is_asked_again_in_the_next_step():
    script = [
        python("a = llm_batch([str(n) for n in range(60)])"),
        python("sub = llm_query('again')\nprint(sub)"),
        "FINAL: yes",
    ]
    used = []

    class Recovering:
        async def acomplete(self, messages, max_tokens, temperature):
            used.append(messages[-1]["content"])
            if messages[-1]["content"] == "again":
                return ModelResponse("yes")
            raise ModelUnavailableError("down")

    result, _ = run(script, subcall_adapter=Recovering())
    assert result.output == "yes"
    assert len(used) < 30


def test_a_cap_that_code_names_is_kept():
    sub = FakeAdapter([ModelResponse("yes, because", finish_reason="length")] * 3)
    run([python("print(llm_query('yes or no?', max_tokens=3))"), "FINAL: yes"], subcall_adapter=sub)
    assert [call.max_tokens for call in sub.calls] == [3]


def test_a_cut_subcall_is_asked_again_once_with_more_room():
    sub = FakeAdapter([ModelResponse("half an", finish_reason="length"), "half an answer"])
    result, _ = run([python("print(llm_query('sum up'))"), "FINAL: half an answer"], subcall_adapter=sub)
    assert [call.max_tokens for call in sub.calls] == [1024, 2048]
    assert result.output == "half an answer"


# The REPL


class Killing:
    """A model that kills the run's worker before it gives its last replies."""

    def __init__(self, replies, kill_before):
        self.replies, self.kill_before, self.calls = replies, kill_before, []

    def complete(self, messages, max_tokens, temperature):
        number = len(self.calls)
        self.calls.append([dict(message) for message in messages])
        if number == self.kill_before:
            for pid in exec_workers():
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.2)
        return self.replies[number]


def exec_workers():
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if int(parent) == os.getpid() and "exec_worker" in command and state != "Z":
            found.append(int(folder.name))
    return found


def test_a_worker_killed_before_final_var_is_replaced_and_told():
    model = Killing([python("found = 'x'"), "FINAL_VAR: found", python("print('anew')"), "FINAL: anew"], 1)
    result = RLM(model).run("How long?", TEXT)
    assert result.output == "anew"
    assert "found" in model.calls[2][-1]["content"]
    assert "started anew" in model.calls[2][-1]["content"]
    assert result.trace.of_kind("repl_replaced")


def test_a_worker_killed_between_steps_is_replaced_and_told():
    model = Killing([python("found = 'x'"), python("print(found)"), "FINAL: gone"], 1)
    result = RLM(model).run("How long?", TEXT)
    assert result.output == "gone"
    assert "started anew" in model.calls[2][-1]["content"]


def test_output_of_a_step_is_kept_when_listing_the_variables_kills_the_worker():
    code = "class Bad:\n    def __repr__(self):\n        while True:\n            try:\n                pass\n            except BaseException:\n                pass\nbad = Bad()\nprint(P[:29])"
    result, adapter = run([python(code), "FINAL: 24 months"], repl_timeout=0.5)
    assert result.output == "24 months"
    assert "The warranty lasts 24 months." in last_user(adapter)


def test_a_repl_that_cannot_start_is_an_error_with_the_trace():
    class Broken:
        name, language_notes = "broken", ""

        async def start(self, setup):
            raise ReplUnavailableError("no room for a worker")

        async def close(self):
            pass

    with pytest.raises(ReplUnavailableError, match="no room") as caught:
        RLM(FakeAdapter(["FINAL: x"]), repl_backend=Broken, on_limit="return").run("How long?", TEXT)
    assert caught.value.trace.steps


# Histories


@pytest.mark.short_history
def test_without_history_only_the_last_exchange_is_sent_and_counted():
    script = [python(f"print({n}, P[:2000])") for n in range(12)] + ["FINAL: 24"]
    result, adapter = run(script, conversation_history=False, policy=Policy(max_total_tokens=60_000), context=TEXT)
    assert result.output == "24"
    assert {len(call.messages) for call in adapter.calls[1:]} == {4}
    assert not result.trace.of_kind("compaction")
    assert result.steps == 13


def test_compaction_keeps_the_opening_the_last_exchange_and_what_the_stage_has_told():
    stages = (Stage(name="search", subcalls=0, require_grounded=True), Stage(name="ask"))
    adapter = FakeAdapter(["FINAL: NO_ANSWER", *(python(f"print({n}, P[:3000])") for n in range(8)), "FINAL: 24"])
    result = asyncio.run(RLM(adapter, max_history_tokens=6000).arun("How long?", TEXT, stages=stages))
    assert result.trace.of_kind("compaction")
    first, last = adapter.calls[0].messages, adapter.calls[-1].messages
    assert last[: len(first)] == first
    assert last[-1]["content"].startswith("Output:\n7 ")
    assert "llm_batch" in adapter.calls[-1].text
    roles = [message["role"] for message in last[1:]]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


# Results


def test_coverage_is_worked_out_when_it_is_asked_for_and_only_then(monkeypatch):
    asked = []
    from pyrlm import coverage

    original = coverage.matches
    monkeypatch.setattr(coverage, "matches", lambda *a: asked.append(1) or original(*a))
    result, _ = run([python("print(P[:400])"), "FINAL: 24 months"], context=LINES)
    assert not asked
    assert 0 < result.coverage < 0.1
    assert asked


def test_a_result_can_be_copied_and_pickled_and_keeps_its_coverage():
    result, _ = run([python("print(P[:400])"), "FINAL: 24 months"], context=LINES)
    for other in (copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert other.coverage == result.coverage
        assert other.output == "24 months"
        assert b"line 900:" not in pickle.dumps(other)


def test_a_question_that_is_no_text_is_refused_by_name():
    with pytest.raises(ConfigurationError, match="query=42"):
        RLM(FakeAdapter([])).run(42, TEXT)
