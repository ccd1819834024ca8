"""SmartRouter.stream against a real server: what is shown, when, what is withdrawn, and that it is the run of `run`."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import aclosing

import pytest
from openai_server import Broken, LoopbackServer, Reply, Status

from pyrlm import DiskCache, Policy, SmartRouter, Trace
from pyrlm.adapters import FakeAdapter, OpenAICompatAdapter
from pyrlm.errors import AuthenticationError, ConfigurationError, ModelError

TEXT = "The warranty lasts 24 months.\nThe battery is not covered.\nReturns go to Lyon.\n"
QUERY = "How long is the warranty?"
ANSWER = "The warranty lasts 24 months, and the battery is not covered by it, as the text says on its second line."
QUOTES = "\n<quotes>\n<quote>The warranty lasts 24 months.</quote>\n</quotes>"
FALSE = "\n<quotes>\n<quote>The warranty lasts 36 months.</quote>\n</quotes>"
LOOP = ["```python\nhits = ctx.find('warranty')\nprint(hits[0][2], P[:29])\n```", f"FINAL: {ANSWER}{QUOTES}"]


def over(server, **options):
    adapter = OpenAICompatAdapter("m", base_url=server.url, api_key="test-key", retry_seconds=1)
    return SmartRouter(adapter, **options)


def seen(events):
    """What stood on the screen after each event, and the result."""
    screen, moments, result = "", [], None
    for event in events:
        if event.kind == "text":
            screen += event.text
        elif event.kind == "withdrawn":
            assert screen, "withdrawn though nothing was shown"
            screen = ""
        elif event.kind == "result":
            result = event.result
        moments.append(screen)
    assert screen == result.output
    return moments, result


def kinds(events):
    return [event.kind if event.kind != "progress" else event.step.kind for event in events]


def answer_of(replies, run=None, **options):
    with LoopbackServer(replies) as server:
        events = list(over(server, **options).stream(QUERY, TEXT, **(run or {})))
    return events, server


def settled(server):
    deadline = time.monotonic() + 10
    while server.in_flight and time.monotonic() < deadline:
        time.sleep(0.02)
    return not server.in_flight


def test_the_text_comes_word_by_word_between_the_steps_and_the_result_is_last():
    events, server = answer_of([ANSWER + QUOTES])
    moments, result = seen(events)
    order = kinds(events)
    assert order[:3] == ["run_started", "route", "route"]
    assert order[3] == "text"
    assert order[-3:] == ["direct_call", "run_finished", "result"]
    assert order.count("text") > 10
    assert moments[-1] == result.output == ANSWER
    assert server.bodies[0]["stream"] is True
    assert not any("quote" in moment for moment in moments)


def test_text_is_there_before_the_reply_ends():
    with LoopbackServer([Reply(ANSWER + QUOTES, pause=0.05)]) as server:
        started, first = time.monotonic(), None
        for event in over(server).stream(QUERY, TEXT):
            if event.kind == "text" and first is None:
                first = time.monotonic() - started
        whole = time.monotonic() - started
    assert first < whole - 0.6


def test_it_is_the_same_run_as_that_of_run(tmp_path):
    with LoopbackServer([ANSWER + QUOTES] * 2) as server:
        path, heard = tmp_path / "trace.jsonl", []
        plain = over(server).run(QUERY, TEXT)
        router = over(server, trace_path=path, event_listener=heard.append)
        events = list(router.stream(QUERY, TEXT))
    result = events[-1].result
    same = ("output", "status", "method", "usage", "cost_usd", "citations", "coverage", "decision", "calibration")
    assert [getattr(result, name) for name in same] == [getattr(plain, name) for name in same]
    steps = [event.step for event in events if event.kind == "progress"]
    assert steps == result.trace.steps == heard
    assert [step.kind for step in steps] == [step.kind for step in plain.trace]
    assert Trace.from_json(path.read_text()).steps == steps
    first, second = server.bodies
    assert {name: value for name, value in second.items() if not name.startswith("stream")} == first


@pytest.mark.parametrize("reply", ["NO_ANSWER", "The text does not say.", "NO_ANSWER: nothing is said." + QUOTES])
def test_what_says_that_there_is_no_answer_is_never_shown(reply):
    events, _ = answer_of([reply, *LOOP])
    moments, result = seen(events)
    assert result.method == "rlm"
    assert "withdrawn" not in kinds(events)
    assert not any(moment and not ANSWER.startswith(moment) for moment in moments)


def test_thinking_is_never_shown():
    events, _ = answer_of([f"<think>NO. It says 12.\n\nOr 24?</think>\n\n{ANSWER}{QUOTES}"])
    moments, _ = seen(events)
    assert all(ANSWER.startswith(moment) for moment in moments)
    events, _ = answer_of([Reply(ANSWER + QUOTES, reasoning="It says 12.")])
    assert all(ANSWER.startswith(moment) for moment in seen(events)[0])


def test_thinking_that_no_tag_opened_is_withdrawn_and_held_back_from_the_next_reply():
    with LoopbackServer([f"Let me look at the text first. </think>{ANSWER}{QUOTES}"] * 2) as server:
        router = over(server)
        first, second = (list(router.stream(QUERY, TEXT)) for _ in range(2))
    assert [event.reason for event in first if event.kind == "withdrawn"] == ["it was the model's thinking"]
    assert seen(first)[1].output == ANSWER
    assert "withdrawn" not in kinds(second)
    assert all(ANSWER.startswith(moment) for moment in seen(second)[0])


def test_an_answer_that_is_turned_down_is_withdrawn_with_the_reason_before_the_next_one_comes():
    events, _ = answer_of([ANSWER + FALSE, *LOOP])
    _, result = seen(events)
    order = kinds(events)
    withdrawn = next(event for event in events if event.kind == "withdrawn")
    assert "1 of 1 quotes are not in the text" in withdrawn.reason
    assert order.index("text") < order.index("withdrawn") < order.index("escalation") < order.index("root_call")
    assert (result.method, result.output) == ("rlm", ANSWER)


def test_an_answer_that_is_the_best_in_the_end_is_shown_again():
    events, _ = answer_of([ANSWER + QUOTES.replace("24", "24"), ANSWER], run={"escalate": False})
    assert seen(events)[1].status == "answered"
    long = "word " * 3_000
    events, _ = answer_of([Reply(long, finish_reason="length")] * 2, run={"escalate": False})
    order = kinds(events)
    assert seen(events)[1].limit == "answer_tokens"
    assert order.count("withdrawn") == 1
    assert "asked again with" in next(event.reason for event in events if event.kind == "withdrawn")


def test_a_final_answer_of_the_loop_is_shown_as_it_is_written():
    events, _ = answer_of(LOOP, run={"route": "rlm"})
    moments, _ = seen(events)
    assert kinds(events).count("text") > 10
    assert kinds(events).index("repl_exec") < kinds(events).index("text")
    assert all(ANSWER.startswith(moment) for moment in moments)


def test_a_final_answer_that_a_guard_turns_back_is_withdrawn():
    guessed = "FINAL: It lasts 36 months, as far as I can tell without having looked into the text at all."
    events, _ = answer_of([guessed, *LOOP], run={"route": "rlm"}, require_repl_before_final=True)
    _, result = seen(events)
    assert result.output == ANSWER
    assert [event.kind for event in events if event.kind == "withdrawn"] == ["withdrawn"]
    order = kinds(events)
    assert order.index("text") < order.index("withdrawn") < order.index("guard")


def test_a_value_that_code_hands_over_is_given_when_it_stands():
    events, _ = answer_of(["```python\nFINAL(6 * 7)\n```"], run={"route": "rlm"})
    _, result = seen(events)
    assert (result.value, result.output) == (42, "42")
    assert [event.text for event in events if event.kind == "text"] == ["42"]


def test_sub_calls_are_not_shown():
    code = "```python\nx = llm_query('What is said of ' + P[:29])\nprint(x)\n```"
    events, _ = answer_of(
        [code, "The piece says 24 months.", f"FINAL: {ANSWER}"], run={"route": "rlm", "profile": "semantic_batches"}
    )
    moments, result = seen(events)
    assert len(result.trace.of_kind("subcall")) == 1
    assert all(ANSWER.startswith(moment) for moment in moments)


def test_calls_that_check_an_answer_are_not_shown():
    second = "<quotes>\n<quote>The warranty lasts 24 months.</quote>\n</quotes>\nAnswer: 24 months, it says."
    events, _ = answer_of([ANSWER + QUOTES, second, "SAME"] * 2, run={"profile": "verify"})
    moments, result = seen(events)
    assert result.verified is not None
    assert not any("it says" in moment for moment in moments if result.output == ANSWER)
    assert kinds(events).count("withdrawn") <= (result.output != ANSWER)


@pytest.mark.parametrize("how", ["error", "close", "end", "garbage"])
def test_a_stream_that_breaks_in_the_middle_is_withdrawn_and_asked_for_again(how):
    broken = Broken(how, after=25, reply=Reply(ANSWER + QUOTES))
    events, server = answer_of([broken, ANSWER + QUOTES])
    moments, result = seen(events)
    order = kinds(events)
    assert result.output == ANSWER
    assert order.count("withdrawn") == 1
    assert order.index("text") < order.index("withdrawn") < order.index("retry")
    assert "broke off" in next(event.reason for event in events if event.kind == "withdrawn")
    assert len(server.bodies) == 2
    assert result.usage == next(step.usage for step in result.trace if step.kind == "direct_call")
    assert max(map(len, moments)) == len(ANSWER)


def test_a_stream_that_breaks_for_good_is_an_error_as_in_run():
    broken = Broken("error", after=25, reply=Reply(ANSWER + QUOTES))
    events, _ = answer_of([broken] + [Status(500, "out")] * 50, run={"escalate": False})
    order = kinds(events)
    assert events[-1].result.status == "error"
    assert order.index("text") < order.index("withdrawn")
    shown = []
    with LoopbackServer([broken] + [Status(500, "out")] * 50) as server, pytest.raises(ModelError):
        shown.extend(event.kind for event in over(server, on_limit="raise").stream(QUERY, TEXT, escalate=False))
    with LoopbackServer([broken] + [Status(500, "out")] * 50) as server:
        events = over(server, on_limit="raise").stream(QUERY, TEXT, escalate=False)
        with pytest.raises(ModelError):
            for event in events:
                shown.append(event.kind)
    assert "withdrawn" in shown[shown.index("text") :]


def test_a_failure_before_the_text_is_retried_as_in_run():
    events, _ = answer_of([Status(503, "busy"), ANSWER + QUOTES])
    assert "retry" in kinds(events)
    assert "withdrawn" not in kinds(events)
    assert seen(events)[1].output == ANSWER


def test_an_adapter_that_cannot_stream_gives_the_text_in_one_piece():
    events = list(SmartRouter(FakeAdapter([ANSWER + QUOTES])).stream(QUERY, TEXT))
    assert [event.text for event in events if event.kind == "text"] == [ANSWER]
    seen(events)


def test_an_answer_from_the_cache_comes_in_one_piece(tmp_path):
    with LoopbackServer([ANSWER + QUOTES]) as server, DiskCache(tmp_path) as cache:
        router = over(server, cache=cache)
        list(router.stream(QUERY, TEXT))
        events = list(router.stream(QUERY, TEXT))
    assert [event.text for event in events if event.kind == "text"] == [ANSWER]
    assert "cache_hit" in kinds(events)
    assert len(server.bodies) == 1


def test_an_answer_that_has_to_fit_a_schema_comes_when_it_is_whole():
    with LoopbackServer([json.dumps({"answer": 24, "quotes": []})] * 3) as server:
        events = list(over(server).stream(QUERY, TEXT, output_schema=int))
    assert kinds(events).count("text") == 1
    assert events[-1].result.value == 24


def test_a_pattern_needs_no_model_and_its_answer_is_text_too():
    events = list(SmartRouter(FakeAdapter([])).stream(QUERY, TEXT, pattern=r"(\d+) months"))
    assert seen(events)[1].output == "24"


def test_an_unanswered_run_ends_with_nothing_on_the_screen():
    events, _ = answer_of([ANSWER + FALSE, LOOP[0], *["FINAL: NO_ANSWER"] * 4])
    _, result = seen(events)
    assert (result.status, result.output) == ("unanswered", "")
    assert kinds(events).count("withdrawn") == 1


def test_the_budget_holds_as_in_run():
    with LoopbackServer([ANSWER + QUOTES] * 5) as server:
        result = list(over(server, policy=Policy(max_total_tokens=20)).stream(QUERY, TEXT))[-1].result
    assert (result.status, server.bodies) == ("limit", [])


def test_leaving_early_cancels_the_run_and_its_request():
    heard = []
    with LoopbackServer([Reply(ANSWER + QUOTES, pause=0.5)]) as server:
        for event in over(server, event_listener=heard.append).stream(QUERY, TEXT):
            if event.kind == "text":
                break
        assert settled(server)
    assert heard[-1].kind == "direct_call"
    assert heard[-1].error == "cancelled in flight"


def test_closing_the_asynchronous_stream_leaves_no_task():
    async def use(server):
        async with aclosing(over(server).astream(QUERY, TEXT)) as events:
            async for event in events:
                if event.kind == "text":
                    break
        return asyncio.all_tasks() - {asyncio.current_task()}

    with LoopbackServer([Reply(ANSWER + QUOTES, pause=0.5)]) as server:
        assert asyncio.run(use(server)) == set()
        assert settled(server)


def test_arguments_are_checked_at_once_and_errors_are_those_of_run():
    router = SmartRouter(FakeAdapter([ANSWER]))
    with pytest.raises(TypeError, match="'rout'"):
        router.stream(QUERY, TEXT, rout="rlm")
    with pytest.raises(ConfigurationError, match="empty query"):
        list(router.stream("", TEXT))
    with LoopbackServer([ANSWER], api_key="another") as server, pytest.raises(AuthenticationError):
        list(over(server).stream(QUERY, TEXT))


def test_a_listener_that_fails_or_waits_in_a_thread_does_not_spoil_the_stream():
    def fails(_):
        raise RuntimeError("a view that is broken")

    events, _ = answer_of([ANSWER + QUOTES], event_listener=fails)
    assert seen(events)[1].output == ANSWER


def test_streams_side_by_side_do_not_mix():
    def reply(body):
        asked = body["messages"][-1]["content"].rpartition("Question: ")[2]
        return Reply(f"{asked} " * 12, pause=0.01)

    found = {}

    def use(router, name):
        found[name] = seen(list(router.stream(name, TEXT)))[1].output

    with LoopbackServer(reply) as server:
        router = over(server)
        threads = [threading.Thread(target=use, args=(router, f"question{n}")) for n in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(text.split() == [name] * 12 for name, text in found.items())
    assert len(found) == 5
