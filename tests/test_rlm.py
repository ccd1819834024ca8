"""The loop, with scripted models and the real REPL."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from pyrlm import RLM, Context, Policy, Stage, Trace
from pyrlm.adapters import FakeAdapter, ModelResponse
from pyrlm.errors import (
    ConfigurationError,
    ContextLengthError,
    InvalidRepliesExceeded,
    MaxSecondsExceeded,
    MaxStepsExceeded,
    MaxSubcallsExceeded,
    MaxTokensExceeded,
    ModelError,
    NestedRunError,
    RunStalled,
)

TEXT = "The warranty lasts 24 months.\nThe battery is not covered.\nReturns go to Lyon.\n" * 40


def python(code):
    return f"```python\n{code}\n```"


def run(script, query="How long is the warranty?", context=TEXT, rules=(), **options):
    adapter = FakeAdapter(script, rules=list(rules))
    return RLM(adapter, **options).run(query, context), adapter


def last_user(adapter, call=-1):
    return adapter.calls[call].messages[-1]["content"]


def test_code_is_run_its_output_shown_and_the_answer_taken():
    result, adapter = run([python("hits = ctx.find('warranty')\nprint(hits[0][4], P[:29])"), "FINAL: 24 months"])
    assert result.output == "24 months"
    assert result.status == "answered"
    assert result.grounded is True
    assert "1 The warranty lasts 24 months." in last_user(adapter)
    assert result.steps == 2


def test_a_result_unpacks_and_holds_the_variables():
    result, _ = run([python("n = len(P)\nwords = ['a'] * 3"), "FINAL_VAR: n"])
    output, trace = result
    assert output == str(len(TEXT))
    assert result.value == len(TEXT)
    assert isinstance(trace, Trace)
    assert {variable.name: variable.type for variable in result.variables} == {"n": "int", "words": "list"}


def test_bare_code_and_rules_for_subcalls():
    adapter = FakeAdapter(
        script=[
            "piece = peek(80)\nsummary = llm_query(f'Sum up: {piece}')\nanswer = f'It says {summary}'",
            "FINAL_VAR: answer",
        ]
    )
    adapter.add_rule("You are a sub-LLM", "warranty terms")
    output, trace = RLM(adapter).run("Summarise.", Context.from_text(TEXT))
    assert output == "It says warranty terms"
    assert [step.kind for step in trace.calls] == ["root_call", "subcall", "root_call"]
    subcall = trace.of_kind("subcall")[0]
    assert subcall.parent == trace.of_kind("root_call")[0].step_id


def test_final_in_code_ends_the_run_with_value_and_quotes():
    code = "line = P.splitlines()[0]\nFINAL({'months': 24, 'line': line}, quotes=[line])\nprint('never')"
    result, _ = run([python(code)])
    assert result.value == {"months": 24, "line": "The warranty lasts 24 months."}
    assert json.loads(result.output) == result.value
    assert result.citations[0].text == "The warranty lasts 24 months."
    assert result.steps == 1


def test_an_unknown_variable_is_answered_with_the_names_there_are():
    result, adapter = run([python("found = 1"), "FINAL_VAR: answer", "FINAL_VAR: found"])
    assert result.output == "1"
    assert "no variable 'answer'" in last_user(adapter)
    assert "found" in last_user(adapter)


def test_a_final_beside_code_is_only_taken_when_its_words_are_in_the_output():
    guessed, adapter = run([python("print(P[:29])") + "\nFINAL: 99 years", "FINAL: 24 months"])
    assert guessed.output == "24 months"
    assert "before you saw it" in last_user(adapter)
    assert "24 months" in last_user(adapter)
    seen, _ = run([python("print(P[:29])") + "\nFINAL: 24 months"])
    assert seen.output == "24 months"
    assert seen.steps == 1


def test_an_answer_spelled_out_in_code_before_any_output_is_asked_for_again():
    result, adapter = run([python("x = ctx.find('warranty')\nFINAL('99 years')"), "FINAL: 24 months"])
    assert result.output == "24 months"
    assert "before you saw it" in last_user(adapter)


def test_code_may_say_that_it_found_nothing():
    result, _ = run([python("hits = ctx.find('submarine')\nif not hits:\n    FINAL('NO_ANSWER')")])
    assert result.status == "unanswered"
    assert result.steps == 1


def test_false_quotes_are_objected_to_once_and_never_shown_as_citations():
    script = [python("print(P[:29])"), python("FINAL('24 months', quotes=['The warranty lasts 99 years.'])")] * 2
    result, adapter = run([*script[:2], script[1]])
    assert "not in the text" in last_user(adapter)
    assert result.output == "24 months"
    assert result.citations == ()
    assert result.quotes_missing == ("The warranty lasts 99 years.",)


def test_errors_go_back_as_text_and_variables_stay():
    result, adapter = run([python("a = 1\nb = a / 0"), python("print(a + 1)"), "FINAL: 2"])
    assert "ZeroDivisionError" in last_user(adapter, 1)
    assert "b = a / 0" in last_user(adapter, 1)
    assert last_user(adapter).startswith("Output:\n2")
    assert result.output == "2"


def test_the_same_code_again_and_again_ends_early_with_the_best_answer():
    script = [python("print(P[:29])")] * 5 + ["FINAL: 24 months"]
    result, adapter = run(script, on_limit="return")
    assert result.status == "limit"
    assert result.limit == "stalled"
    assert result.output == "24 months"
    assert "ran this very code before" in last_user(adapter, 2)
    assert len(adapter.calls) == 6


def test_a_final_var_that_never_exists_ends_early():
    with pytest.raises(RunStalled) as caught:
        run(["FINAL_VAR: nothing"] * 20)
    assert len(caught.value.trace.calls) < 10


def test_prose_is_corrected_up_to_the_limit_and_is_the_best_answer_then():
    with pytest.raises(InvalidRepliesExceeded) as caught:
        run(["I think it is two years."] * 10, invalid_response_limit=3)
    assert caught.value.output == "I think it is two years."
    assert len(caught.value.trace.calls) == 3
    assert len(caught.value.trace.of_kind("correction")) == 3


def test_fallback_code_is_run_once_before_the_run_is_given_up():
    result, adapter = run(
        ["Hmm.", "Hmm.", "FINAL: 24 months"], invalid_response_limit=2, fallback_code="print(ctx.find('warranty')[0])"
    )
    assert result.output == "24 months"
    assert "This code was run for you" in last_user(adapter)


def test_at_the_step_limit_one_more_call_asks_for_the_best_answer():
    script = [python(f"print({number}, P[:29])") for number in range(3)] + ["FINAL: about **24 months**"]
    with pytest.raises(MaxStepsExceeded) as caught:
        run(script, policy=Policy(max_steps=3))
    assert caught.value.output == "about **24 months**"
    assert caught.value.result.incomplete
    assert [step.kind for step in caught.value.trace.calls] == ["root_call"] * 3 + ["last_call"]


def test_by_option_a_limit_returns_an_incomplete_result():
    result, _ = run(
        [python("print(1)"), python("print(2)"), "FINAL_VAR: missing"], policy=Policy(max_steps=2), on_limit="return"
    )
    assert result.status == "limit"
    assert result.output == ""


def test_a_subcall_limit_serves_what_it_allows_and_tells_the_rest():
    script = [
        python("answers = llm_batch([f'Q{n}' for n in range(32)])\nprint(sum('failed' not in a for a in answers))"),
        "FINAL: 8",
    ]
    result, adapter = run(script, rules=[("You are a sub-LLM", "yes")], policy=Policy(max_subcalls=8))
    assert result.output == "8"
    assert result.subcalls == 8
    assert sum("You are a sub-LLM" in call.text for call in adapter.calls) == 8
    assert result.limits_met == ("max_subcalls",)


def test_a_run_that_goes_on_asking_past_the_subcall_limit_is_ended_by_it():
    script = [python(f"print(llm_query('Q{n}'))") for n in range(6)] + ["FINAL: yes"]
    with pytest.raises(MaxSubcallsExceeded) as caught:
        run(script, rules=[("You are a sub-LLM", "yes")], policy=Policy(max_subcalls=1))
    assert len(caught.value.trace.calls) <= 6


def test_a_token_limit_holds_in_a_batch_and_keeps_the_results():
    script = [
        python(
            "answers = llm_batch([P[:2000] + str(n) for n in range(40)])\nprint([a[:9] for a in answers if 'failed' not in a])"
        ),
        "FINAL: done",
    ]
    result, _ = run(
        script, rules=[("You are a sub-LLM", "word " * 100)], policy=Policy(max_total_tokens=8000), on_limit="return"
    )
    assert result.usage.total_tokens <= 8000
    assert result.subcalls >= 1


def test_a_token_limit_ends_a_loop_with_an_answer_inside_the_limit():
    script = [python(f"print({n}, P[:3000])") for n in range(40)]
    adapter = FakeAdapter(script)
    adapter.add_rule("max_total_tokens is met", "FINAL: 24 months")
    with pytest.raises(MaxTokensExceeded) as caught:
        RLM(adapter, policy=Policy(max_total_tokens=8000)).run("How long?", TEXT)
    assert caught.value.output == "24 months"
    assert caught.value.result.usage.total_tokens <= 8000


def test_time_over_ends_a_run_with_the_call_kept_in_reserve():
    adapter = FakeAdapter([python("print(P[:29])")])
    adapter.add_rule("max_seconds is met", "FINAL: 24 months")
    slow = FakeAdapter([python("while True: pass")] * 3, rules=[("max_seconds is met", "FINAL: 24 months")])
    with pytest.raises(MaxSecondsExceeded) as caught:
        RLM(slow, policy=Policy(max_seconds=2), repl_timeout=60).run("How long?", TEXT)
    assert caught.value.output == "24 months"


def test_a_policy_can_be_used_again():
    policy = Policy(max_steps=2)
    for _ in range(3):
        result, _ = run([python("print(P[:29])"), "FINAL: 24 months"], policy=policy)
        assert result.output == "24 months"


def test_a_prompt_refused_as_too_long_is_cut_and_sent_again():
    refused = ContextLengthError("too long", limit=2_000)
    script = [python(f"print({n}, P[:3000])") for n in range(4)] + [refused, "FINAL: 24 months"]
    result, adapter = run(script)
    assert result.output == "24 months"
    assert len(adapter.calls[-1].text) < len(adapter.calls[-2].text)
    assert result.trace.of_kind("compaction")


def test_a_provider_that_fails_for_good_loses_nothing():
    with pytest.raises(ModelError) as caught:
        run([python("found = P[:29]\nprint(found)"), ModelError("gone")])
    assert caught.value.result.status == "error"
    assert caught.value.result.usage.total_tokens > 0
    assert [variable.name for variable in caught.value.result.variables] == ["found"]


def test_a_cut_reply_is_asked_for_again_with_more_room_and_not_run():
    cut = ModelResponse("```python\nprint('half", finish_reason="length")
    result, adapter = run([cut, python("print(P[:29])"), "FINAL: 24 months"], max_tokens=100)
    assert result.output == "24 months"
    assert adapter.calls[1].max_tokens == 200
    assert "cut by the limit of 100 tokens" in last_user(adapter, 1)


@pytest.mark.parametrize("reply", ["", "   ", "<think>nothing</think>"])
def test_an_empty_reply_is_told_so(reply):
    result, adapter = run([reply, "FINAL: 24 months"])
    assert result.output == "24 months"
    assert "FINAL" in last_user(adapter)


def test_guards_turn_back_answers_without_code_or_subcalls():
    result, adapter = run(
        ["FINAL: x", python("print(P[:29])"), "FINAL: 24 months", python("print(llm_query('q'))"), "FINAL: 24 months"],
        rules=[("You are a sub-LLM", "24 months")],
        require_repl_before_final=True,
        require_subcall_before_final=True,
    )
    assert result.output == "24 months"
    assert "No code has run" in last_user(adapter, 1)
    assert "No sub-call" in adapter.calls[3].messages[-1]["content"]


def test_a_variable_named_by_the_option_ends_the_run():
    result, adapter = run([python("answer = 24")], auto_finalize_var="answer")
    assert result.value == 24
    assert len(adapter.calls) == 1


def test_a_killed_worker_is_replaced_and_the_model_told_what_was_lost():
    result, _adapter = run(
        [
            python("kept = 1"),
            python("import os\nx = [0] * (1 << 40)"),
            python("print('still here')"),
            "FINAL: still here",
        ],
    )
    assert result.output == "still here"


def test_the_prompt_stays_small_and_does_not_grow_with_the_text():
    sizes = []
    for text in (TEXT * 10, TEXT * 2000):
        _, adapter = run(["FINAL: x"], context=text)
        sizes.append(len(adapter.calls[0].text))
    assert max(sizes) < 5000
    assert abs(sizes[0] - sizes[1]) < 10


def test_the_system_message_is_the_same_for_every_run():
    systems = {
        run(["FINAL: x"], query=q, context=t)[1].calls[0].messages[0]["content"]
        for q, t in [("a", TEXT), ("b", "short")]
    }
    assert len(systems) == 1


def test_what_is_left_of_the_limits_is_told_from_half_on():
    script = [python(f"print({n})") for n in range(4)] + ["FINAL: 3"]
    _, adapter = run(script, policy=Policy(max_steps=6))
    assert "[Left:" not in last_user(adapter, 1)
    assert "[Left: 3 steps" in last_user(adapter, 3)


def test_a_second_stage_opens_subcalls_only_when_the_first_gives_no_grounded_answer():
    stages = (Stage(name="search", subcalls=0, require_grounded=True), Stage(name="ask", subcalls=1))
    adapter = FakeAdapter(
        [
            python("print(llm_query('q'))"),
            "FINAL: NO_ANSWER",
            python("print(llm_batch(['q', 'r']))"),
            "FINAL: 24 months",
        ]
    )
    adapter.add_rule("You are a sub-LLM", "24 months")
    result = asyncio.run(RLM(adapter).arun("How long?", TEXT, stages=stages))
    assert "NameError" in last_user(adapter, 1)
    assert "llm_query" not in adapter.calls[0].messages[0]["content"]
    assert "llm_batch" in last_user(adapter, 2)
    assert "used up" in adapter.calls[-1].messages[-1]["content"]
    assert result.subcalls == 1


def test_run_works_inside_a_running_loop_and_from_many_threads():
    async def inside():
        return run(["FINAL: a"])[0].output

    assert asyncio.run(inside()) == "a"
    outputs = {}

    def work(number):
        outputs[number] = run([python(f"print({number} * 2)"), f"FINAL: {number * 2}"])[0].output

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == {number: str(number * 2) for number in range(8)}


def test_a_nested_run_is_an_error_that_says_what_to_do():
    errors = []

    def listener(step):
        try:
            run(["FINAL: inner"])
        except NestedRunError as error:
            errors.append(str(error))

    result, _ = run(["FINAL: outer"], event_listener=listener)
    assert result.output == "outer"
    assert "arun" in errors[0]


def test_a_listener_that_fails_does_not_end_the_run():
    def listener(step):
        raise RuntimeError("view broke")

    assert run(["FINAL: x"], event_listener=listener)[0].output == "x"


def test_wrong_options_are_named():
    with pytest.raises(ConfigurationError, match="on_limit='stop'"):
        RLM(FakeAdapter([]), on_limit="stop")
    with pytest.raises(ConfigurationError, match="max_tokens=0"):
        RLM(FakeAdapter([]), max_tokens=0)
    with pytest.raises(ConfigurationError, match="instance"):
        RLM(FakeAdapter)


def test_a_trace_round_trips_and_its_file_can_be_read_when_cut(tmp_path):
    path = tmp_path / "trace.jsonl"
    result, _ = run([python("print(P[:29])"), "FINAL: 24 months"], trace_path=path)
    assert Trace.from_json(result.trace.to_json()).steps == result.trace.steps
    text = path.read_text()
    assert Trace.from_json(text).steps == result.trace.steps
    assert Trace.from_json(text[:-20]).steps == result.trace.steps[:-1]
