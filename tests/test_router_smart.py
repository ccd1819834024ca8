"""SmartRouter with scripted models: each route, each signal, one budget, one trace, one cache."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from pyrlm import Context, DiskCache, Policy, Price, RouterConfig, SmartRouter, Trace
from pyrlm.adapters import FakeAdapter, ModelResponse
from pyrlm.errors import (
    AuthenticationError,
    ConfigurationError,
    ContextLengthError,
    MaxTokensExceeded,
    ModelUnavailableError,
    NestedRunError,
    PriceUnknownError,
)
from pyrlm.routers import RecordedRun
from pyrlm.routers.prefix import prompt_bound
from pyrlm.tokens import counter_for

TEXT = "The warranty lasts 24 months.\nThe battery is not covered.\nReturns go to Lyon.\n"
LONG = "Nothing of interest happened on that day in the quiet harbour town.\n" * 1_500
QUERY = "How long is the warranty?"
GOOD = "24 months\n<quotes>\n<quote>The warranty lasts 24 months.</quote>\n</quotes>"
FALSE = "36 months\n<quotes>\n<quote>The warranty lasts 36 months.</quote>\n</quotes>"
LOOP = ["```python\nhits = ctx.find('warranty')\nprint(hits[0][2], P[:29])\n```", "FINAL: 24 months"]


def route(script, query=QUERY, context=TEXT, *, run=None, rules=(), **options):
    adapter = FakeAdapter(script, rules=list(rules))
    return SmartRouter(adapter, **options).run(query, context, **(run or {})), adapter


def kinds(result):
    return [step.kind for step in result.trace.steps]


def routes(result):
    return [(attempt.route, attempt.status) for attempt in result.attempts]


def test_a_small_text_is_one_direct_call():
    result, adapter = route([GOOD])
    assert (result.output, result.status, result.method) == ("24 months", "answered", "baseline")
    assert len(adapter.calls) == 1
    assert TEXT in adapter.calls[0].text
    assert [citation.text for citation in result.citations] == ["The warranty lasts 24 months."]
    assert result.coverage == 1.0
    assert routes(result) == [("baseline", "accepted")]
    assert kinds(result) == ["run_started", "route", "route", "direct_call", "run_finished"]
    assert result.tokens_used == result.usage.total_tokens == result.attempts[0].tokens > 0
    assert result.verified is None


def test_a_result_unpacks_and_is_json():
    result, _ = route([GOOD])
    output, trace = result
    assert output == "24 months"
    assert isinstance(trace, Trace)
    data = json.loads(json.dumps(result.as_dict()))
    assert data["decision"]["rule"] == 5
    assert data["attempts"][0]["status"] == "accepted"


@pytest.mark.parametrize("context", [TEXT, [TEXT], Context.from_text(TEXT), Context.from_documents(["x", TEXT])])
def test_every_kind_of_context_is_taken(context):
    assert route([GOOD], context=context)[0].output == "24 months"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("NO_ANSWER", "does not hold the answer"),
        ("I don't know.", "does not hold the answer"),
        (FALSE, "quotes are not in the text"),
        ("", "empty"),
        (ModelResponse("", finish_reason="content_filter"), "refused"),
        (ModelResponse("", refusal="I can't help with that."), "I can't help"),
        (ContextLengthError("maximum context length is 10 tokens"), "too long"),
    ],
)
def test_a_signal_of_failure_leads_to_the_loop(reply, reason):
    result, adapter = route([reply, *LOOP])
    assert (result.output, result.status, result.method) == ("24 months", "answered", "rlm")
    assert routes(result) == [("baseline", "rejected"), ("rlm", "accepted")]
    assert reason in result.attempts[0].reason
    assert kinds(result).count("direct_call") == 1
    [escalation] = result.trace.of_kind("escalation")
    assert reason in escalation.reason
    assert escalation.data == {"from": "baseline", "to": "rlm"}
    assert "36 months" not in adapter.calls[1].text, "an answer that failed is not passed on"


def test_without_escalation_the_signal_is_only_reported():
    result, adapter = route(["NO_ANSWER"], run={"escalate": False})
    assert (result.output, result.status, len(adapter.calls)) == ("", "unanswered", 1)
    assert routes(result) == [("baseline", "rejected")]
    result, _ = route([FALSE], run={"route": "baseline"})
    assert result.output == "36 months"
    assert result.citations == ()
    assert "not in the text" in " ".join(result.notes)


def test_a_loop_without_an_answer_says_so():
    result, _ = route(["NO_ANSWER", LOOP[0], "FINAL: NO_ANSWER", "FINAL: NO_ANSWER"])
    assert (result.output, result.status, result.method) == ("", "unanswered", "rlm")
    assert "without an answer" in result.attempts[-1].reason


def test_where_no_route_is_left_it_says_what_it_would_take():
    config = RouterConfig(context_window=2_000)
    result, _ = route(["FINAL: NO_ANSWER", "FINAL: NO_ANSWER"], query="Where is the pump?", context=LONG, config=config)
    assert (result.decision.rule, result.status) == (6, "unanswered")
    assert result.decision.escalation == ("refuse",)
    needed = result.decision.tokens.high + 500 + config.overhead_tokens
    assert f"{needed:,} tokens" in result.notes[-1]


def test_a_cut_reply_is_asked_for_again_with_more_room_before_anything_else():
    result, adapter = route([ModelResponse("24 mon", finish_reason="length"), GOOD])
    assert (result.output, result.method) == ("24 months", "baseline")
    first, second = adapter.calls
    assert first.messages == second.messages
    assert second.max_tokens > first.max_tokens >= 1_024
    assert "asked again" in result.trace.of_kind("escalation")[0].reason


def test_a_reply_that_is_cut_twice_goes_on_to_the_next_route_and_is_not_asked_a_third_time():
    cut = ModelResponse("24 mon", finish_reason="length")
    result, _ = route([cut, cut, *LOOP])
    assert result.method == "rlm"
    assert kinds(result).count("direct_call") == 2
    result, _ = route([cut, cut], run={"escalate": False})
    assert (result.output, result.status, result.limit) == ("24 mon", "limit", "answer_tokens")


def test_there_is_no_small_default_cap():
    _, adapter = route([GOOD])
    assert adapter.calls[0].max_tokens >= 2_000


def test_a_look_up_in_a_longer_text_is_one_call_on_found_passages():
    text = LONG[:60_000] + "The warranty of the zirconium pump lasts 24 months.\n" + LONG[:60_000]
    reply = "24 months\n<quotes><quote>The warranty of the zirconium pump lasts 24 months.</quote></quotes>"
    config = RouterConfig(literal_tokens=8_000, context_window=128_000)
    result, adapter = route([reply], query="What is the warranty of the zirconium pump?", context=text, config=config)
    assert (result.method, result.decision.rule) == ("select", 9)
    assert len(adapter.calls) == 1
    assert "zirconium pump lasts" in adapter.calls[0].text
    assert len(adapter.calls[0].text) < 0.4 * len(text)
    [citation] = result.citations
    assert text[citation.start : citation.end] == citation.text
    assert citation.line == 1 + text[: citation.start].count("\n")
    assert 0 < result.coverage < 0.4


def test_where_no_passage_is_found_nothing_is_asked_and_the_loop_takes_over():
    config = RouterConfig(literal_tokens=8_000, context_window=128_000)
    result, _ = route(
        ["```python\nprint(lenP())\n```", "FINAL: NO_ANSWER", "FINAL: NO_ANSWER"],
        query="What is the zirconium quota?",
        context=LONG,
        config=config,
    )
    assert routes(result) == [("select", "rejected"), ("rlm", "rejected")]
    assert result.attempts[0].tokens == 0
    assert kinds(result).count("direct_call") == 0
    assert result.status == "unanswered"


def test_a_pattern_answers_without_a_model_and_proves_it():
    documents = ["Invoice no: A-17\n", "nothing", "Invoice no: B-99\n"]
    result, adapter = route([], query="All invoice numbers", context=documents, run={"pattern": r"no: (\w-\d+)"})
    assert adapter.calls == []
    assert result.value == ["A-17", "B-99"]
    assert (result.output, result.method, result.cost_usd) == ("A-17\nB-99", "deterministic", 0.0)
    assert [documents[citation.doc][citation.start : citation.end] for citation in result.citations] == ["A-17", "B-99"]
    assert [citation.doc for citation in result.citations] == [0, 2]


def test_a_marker_that_is_nowhere_leaves_the_question_to_the_table():
    result, _ = route([GOOD], run={"marker": "Guarantee:"})
    assert routes(result) == [("deterministic", "rejected"), ("baseline", "accepted")]
    assert result.output == "24 months"


def test_without_a_text_nothing_is_asked():
    for run in ({}, {"route": "rlm"}):
        adapter = FakeAdapter(["x"])
        with pytest.raises(ConfigurationError, match="context=") as caught:
            SmartRouter(adapter).run(QUERY, **run)
        assert adapter.calls == []
        assert [step.kind for step in caught.value.trace.steps] == ["run_started"]
    for empty in ("", [""]):
        result, adapter = route([], context=empty)
        assert (result.status, result.method, adapter.calls) == ("unanswered", "refuse", [])
        assert "empty" in result.notes[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"profile": "fast"}, "deterministic_first"),
        ({"kind": "hard"}, "multi_hop"),
        ({"route": "direct"}, "baseline"),
        ({"pattern": "("}, "regular expression"),
        ({"pattern": "a", "marker": "b"}, "not both"),
    ],
)
def test_an_argument_that_cannot_be_used_names_what_can(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        route([GOOD], run=arguments)


def test_options_that_do_not_exist_are_refused_with_those_that_do():
    with pytest.raises(ConfigurationError, match=r"repl_backand.*repl_backend"):
        SmartRouter(FakeAdapter([]), repl_backand="exec")
    for query in ("", "  ", None):
        with pytest.raises(ConfigurationError, match="question"):
            SmartRouter(FakeAdapter([])).run(query, TEXT)


def test_a_keyword_of_a_run_that_does_not_exist_is_named_and_nothing_is_begun(tmp_path):
    adapter = FakeAdapter([GOOD])
    router = SmartRouter(adapter, trace_path=tmp_path / "trace.jsonl")
    for ask in (router.run, router.decide):
        with pytest.raises(
            TypeError, match=r"unexpected keyword argument 'rout'; expected some of profile, route, kind"
        ):
            ask(QUERY, TEXT, rout="baseline")
    with pytest.raises(TypeError, match="'escalate'"):
        router.decide(QUERY, TEXT, escalate=False)
    assert not adapter.calls
    assert not (tmp_path / "trace.jsonl").exists()


def test_the_direct_call_obeys_the_budget():
    result, adapter = route([], policy=Policy(max_total_tokens=100))
    assert (result.status, result.limit, adapter.calls) == ("limit", "max_total_tokens", [])
    assert any("100" in note for note in result.notes)


def test_a_limit_met_on_the_way_keeps_what_was_paid_for():
    cut = ModelResponse("24 mon", finish_reason="length", usage={"prompt_tokens": 300, "completion_tokens": 4_000})
    result, _ = route([cut], policy=Policy(max_total_tokens=4_500))
    assert (result.output, result.status) == ("24 mon", "limit")
    assert result.tokens_used == 4_300
    assert "limit" in kinds(result)


def test_a_cut_reply_is_not_asked_again_where_the_limits_leave_no_more_room():
    cut = ModelResponse("24 mon", finish_reason="length", usage={"prompt_tokens": 100, "completion_tokens": 400})
    result, adapter = route([cut], policy=Policy(max_total_tokens=900), run={"escalate": False})
    assert (result.output, result.status, len(adapter.calls)) == ("24 mon", "limit", 1)
    assert "no room for more" in result.trace.of_kind("limit")[0].reason


def test_time_ends_a_direct_call():
    adapter = FakeAdapter([GOOD], delay=30.0)
    result = SmartRouter(adapter, policy=Policy(max_seconds=0.2)).run(QUERY, TEXT)
    assert (result.status, result.limit, result.output) == ("limit", "max_seconds", "")
    assert result.elapsed < 10


def test_many_small_documents_are_one_text_of_the_prompt():
    result, adapter = route(["17"], query="How many are there?", context=[f"item {number}" for number in range(200)])
    assert result.output == "17"
    assert adapter.calls[0].text.count("<text>") == 1
    assert "item 0\n\nitem 1" in adapter.calls[0].text


def test_recorded_runs_come_from_results():
    result, _ = route(
        ["NO_ANSWER", *LOOP], config=RouterConfig(price=Price(input_usd_per_mtok=1.0, output_usd_per_mtok=1.0))
    )
    records = RecordedRun.of(result)
    assert [record.route for record in records] == ["baseline", "rlm"]
    assert sum(record.tokens for record in records) == result.tokens_used
    assert sum(record.cost_usd for record in records) == pytest.approx(result.cost_usd)
    config = RouterConfig(recorded_runs=records * 10)
    assert set(SmartRouter(FakeAdapter([]), config=config).decide(QUERY, TEXT).predicted) == {"baseline", "rlm"}
    assert RouterConfig(recorded_runs=[result] * 10) == config
    with pytest.raises(ConfigurationError, match=r"recorded_runs holds a dict: expected results of SmartRouter\.run"):
        RouterConfig(recorded_runs=[{"tokens": 5}])
    with pytest.raises(ConfigurationError, match="recorded_runs=RouterResult: expected a list"):
        RouterConfig(recorded_runs=result)


def test_a_limit_can_be_raised_with_trace_and_result():
    big = Policy(max_total_tokens=9_000)
    usage = {"prompt_tokens": 300, "completion_tokens": 8_600}
    with pytest.raises(MaxTokensExceeded) as caught:
        route([ModelResponse("NO_ANSWER", usage=usage)], policy=big, on_limit="raise")
    assert caught.value.result.tokens_used == 8_900
    assert "direct_call" in [step.kind for step in caught.value.trace.steps]


def test_an_unreachable_model_is_a_result_with_its_trace_or_raised():
    failure = ModelUnavailableError("no connection")
    result, adapter = route([failure])
    assert (result.status, result.output) == ("error", "")
    assert "no connection" in result.error
    assert len(adapter.calls) == 1, "no other route is tried on a model that can't be reached"
    assert result.trace.of_kind("direct_call")[0].error
    with pytest.raises(ModelUnavailableError) as caught:
        route([failure], on_limit="raise")
    assert caught.value.trace.of_kind("direct_call")


def test_a_wrong_key_is_always_raised_and_keeps_the_trace():
    with pytest.raises(AuthenticationError) as caught:
        route([AuthenticationError("set LLM_API_KEY")])
    assert [step.kind for step in caught.value.trace.steps][-1] == "run_finished"


def test_a_money_limit_without_a_price_is_refused_before_anything_is_spent():
    adapter = FakeAdapter([GOOD], model="a-model-nobody-knows")
    with pytest.raises(PriceUnknownError):
        SmartRouter(adapter, policy=Policy(max_cost_usd=1.0)).run(QUERY, TEXT)
    assert adapter.calls == []
    price = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=2.0)
    router = SmartRouter(adapter, policy=Policy(max_cost_usd=1.0), config=RouterConfig(price=price))
    result = router.run(QUERY, TEXT)
    assert result.cost_usd == pytest.approx(price.cost(result.usage))


def test_the_price_of_the_configuration_holds_in_the_loop_too():
    price = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=2.0)
    result, _ = route(LOOP, run={"route": "rlm"}, config=RouterConfig(price=price))
    assert result.cost_usd == pytest.approx(price.cost(result.usage))


def test_the_second_run_comes_from_the_cache(tmp_path):
    cache = DiskCache(tmp_path)
    adapter = FakeAdapter([GOOD])
    router = SmartRouter(adapter, cache=cache)
    first, second = router.run(QUERY, TEXT), router.run(QUERY, TEXT)
    assert (first.output, second.output) == ("24 months", "24 months")
    assert second.citations == first.citations
    assert len(adapter.calls) == 1
    assert (second.tokens_used, second.attempts[0].tokens) == (0, 0)
    assert "cache_hit" in kinds(second)


def test_what_a_loop_kept_for_its_last_call_is_free_for_the_next_route():
    text = "".join(f"Harbour {number} was quiet.\n" for number in range(900))
    loop = ModelResponse("FINAL: NO_ANSWER", usage={"prompt_tokens": 1_000, "completion_tokens": 10})
    config = RouterConfig(aggregate_tokens=1_000, context_window=200_000)
    script = ["```python\nx = ask('how many', P[:99])\n```", "one", loop, "900"]

    def run(limit):
        return route(script, query="How many harbours are there?", context=text, config=config, policy=limit)

    free, adapter = run(Policy(max_total_tokens=None))
    prompt = prompt_bound(counter_for("fake"), adapter.calls[-1].messages)
    before = free.tokens_used - free.attempts[-1].tokens
    assert [attempt.route for attempt in free.attempts] == ["rlm", "baseline"]
    tight, _ = run(Policy(max_total_tokens=before + prompt + 20))
    assert (tight.method, tight.output) == ("baseline", "900")


def test_the_listener_and_the_file_get_every_event(tmp_path):
    events = []
    path = tmp_path / "trace.jsonl"
    result, _ = route(["NO_ANSWER", *LOOP], event_listener=events.append, trace_path=path)
    assert [event.step_id for event in events] == [step.step_id for step in result.trace.steps]
    assert Trace.from_json(path.read_text(encoding="utf-8")).steps == result.trace.steps


def test_a_listener_that_fails_does_not_end_the_run():
    def listener(_):
        raise ValueError("[/b]")

    assert route([GOOD], event_listener=listener)[0].output == "24 months"


def test_one_policy_serves_many_runs_at_once():
    adapter = FakeAdapter(rules=[("warranty", GOOD)], delay=0.01)
    router = SmartRouter(adapter, policy=Policy(max_total_tokens=7_000))

    async def many():
        return await asyncio.gather(*(router.arun(QUERY, TEXT) for _ in range(30)))

    results = asyncio.run(many())
    assert [result.output for result in results] == ["24 months"] * 30
    assert len({id(result.trace) for result in results}) == 30
    threads = [threading.Thread(target=lambda: results.append(router.run(QUERY, TEXT))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 34


def test_run_works_inside_a_running_loop_and_says_where_it_cannot():
    router = SmartRouter(FakeAdapter(rules=[("warranty", GOOD)]))

    async def inside():
        return router.run(QUERY, TEXT)

    assert asyncio.run(inside()).output == "24 months"
    from pyrlm import portal

    with pytest.raises(NestedRunError):
        portal.run(inside())


def test_the_callers_instruction_is_told_on_every_route():
    for run, script in (({"route": "baseline"}, [GOOD]), ({"route": "rlm"}, LOOP)):
        _, adapter = route(script, run=run, instruction="Answer in French.")
        assert "Answer in French." in adapter.calls[0].text


def test_calibration_is_learned_and_can_be_put_in():
    reply = ModelResponse(GOOD, usage={"prompt_tokens": 400, "completion_tokens": 10})
    result, _ = route([reply])
    assert result.calibration is not None
    again, _ = route([reply], config=RouterConfig(calibration=result.calibration))
    assert again.decision.tokens.best == pytest.approx(result.decision.tokens.best * result.calibration, rel=0.05)
    assert again.calibration == pytest.approx(result.calibration, rel=0.05)


def test_an_aggregate_that_read_little_of_the_text_says_so():
    script = ["```python\nanswer = ask('count', P[:100])\n```", "one", "FINAL_VAR: answer"]
    text = "".join(f"Harbour {number} was quiet on day {number * 7}.\n" for number in range(500))
    result, _ = route(script, query="How many harbours are mentioned?", context=text, run={"route": "rlm"})
    assert result.status == "answered"
    assert result.coverage < 0.1
    assert "min_coverage" in result.notes[0]


def test_tokens_decide_and_not_characters():
    router = SmartRouter(FakeAdapter([]))
    chinese, english = router.decide(QUERY, "今天天气很好，" * 1_100), router.decide(QUERY, "A fine day. " * 640)
    assert english.rule == 5
    assert chinese.rule != 5
    assert english.tokens.best < chinese.tokens.best


def test_decide_is_what_run_does_and_asks_nothing():
    adapter = FakeAdapter([GOOD])
    router = SmartRouter(adapter)
    decision = router.decide(QUERY, TEXT)
    assert adapter.calls == []
    assert router.run(QUERY, TEXT).decision == decision == router.decide(QUERY, TEXT)


def test_a_cancelled_run_leaves_nothing_behind():
    adapter = FakeAdapter([GOOD], delay=5.0)

    async def cancelled():
        task = asyncio.create_task(SmartRouter(adapter).arun(QUERY, TEXT))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert asyncio.run(cancelled()) == []
