"""What all runs of a router have cost: by model, depth and route, from any number of threads, in bounded memory."""

from __future__ import annotations

import json
import threading

import pytest

from pyrlm import DiskCache, Policy, Price, RouterConfig, SmartRouter
from pyrlm.adapters import FakeAdapter
from pyrlm.errors import ConfigurationError, ModelError
from pyrlm.events import TraceStep
from pyrlm.routers.cost_summary import Ledger

TEXT = "The warranty lasts 24 months.\nThe battery is not covered.\nReturns go to Lyon.\n"
QUERY = "How long is the warranty?"
GOOD = "24 months\n<quotes>\n<quote>The warranty lasts 24 months.</quote>\n</quotes>"
LOOP = ["```python\nhits = ctx.find('warranty')\nprint(hits[0][2], P[:29])\n```", "FINAL: 24 months"]
PRICE = RouterConfig(price=Price(input_usd_per_mtok=2.0, output_usd_per_mtok=8.0))


def test_nothing_was_spent_before_the_first_run():
    summary = SmartRouter(FakeAdapter([])).cost_summary()
    assert (summary.runs, summary.total.calls, summary.total.cost_usd) == (0, 0, 0.0)


def test_it_is_the_sum_of_the_results_by_model_depth_and_route():
    router = SmartRouter(FakeAdapter([GOOD, "NO_ANSWER", *LOOP]), config=PRICE)
    results = [router.run(QUERY, TEXT), router.run(QUERY, TEXT)]
    summary = router.cost_summary()
    assert summary.runs == 2
    assert summary.total.cost_usd == pytest.approx(sum(result.cost_usd for result in results))
    assert summary.total.usage.total_tokens == sum(result.tokens_used for result in results)
    assert {route: cost.calls for route, cost in summary.by_route.items()} == {"baseline": 2, "rlm": 2}
    assert {model: cost.calls for model, cost in summary.by_model.items()} == {"fake": 4}
    assert {depth: cost.calls for depth, cost in summary.by_depth.items()} == {0: 4}
    assert json.loads(json.dumps(summary.as_dict()))["by_route"]["rlm"]["calls"] == 2
    assert "2 runs" in str(summary)


def test_calls_that_check_an_answer_are_apart():
    second = "<quotes>\n<quote>The warranty lasts 24 months.</quote>\n</quotes>\nAnswer: 24 months"
    router = SmartRouter(FakeAdapter([GOOD, second]), config=PRICE, profile="verify")
    assert router.run(QUERY, TEXT).verified
    assert {route: cost.calls for route, cost in router.cost_summary().by_route.items()} == {
        "baseline": 1,
        "verification": 1,
    }


def test_runs_that_fail_count_with_what_they_had_spent():
    router = SmartRouter(FakeAdapter(["NO_ANSWER"]), config=PRICE, policy=Policy(max_total_tokens=1_000))
    assert router.run(QUERY, TEXT).status != "answered"
    with pytest.raises(ConfigurationError):
        router.run("", TEXT)
    summary = router.cost_summary()
    assert summary.runs == 2
    assert summary.total.calls >= 1
    assert summary.total.cost_usd > 0


def test_what_the_cache_saved_is_told_and_not_counted_as_spent(tmp_path):
    with DiskCache(tmp_path) as cache:
        router = SmartRouter(FakeAdapter([GOOD]), config=PRICE, cache=cache)
        paid = router.run(QUERY, TEXT)
        for _ in range(3):
            assert router.run(QUERY, TEXT).cost_usd == 0.0
    summary = router.cost_summary()
    assert (summary.runs, summary.cache_hits, summary.total.calls) == (4, 3, 1)
    assert summary.saved_tokens == 3 * paid.tokens_used
    assert summary.saved_usd == pytest.approx(3 * paid.cost_usd)
    assert "3 from the cache" in str(summary)


def test_many_questions_and_streams_and_threads_are_all_counted():
    router = SmartRouter(FakeAdapter(rules=[("", GOOD)]), config=PRICE)

    def use():
        for _ in range(5):
            router.run(QUERY, TEXT)
        list(router.run_many([QUERY] * 5, TEXT))
        list(router.stream(QUERY, TEXT))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    summary = router.cost_summary()
    assert summary.runs == summary.total.calls == 4 * 11


def test_an_unknown_price_is_said_and_hides_nothing():
    router = SmartRouter(FakeAdapter([GOOD]))
    router.run(QUERY, TEXT)
    total = router.cost_summary().total
    assert (total.cost_usd, total.unpriced) == (None, 1)


def test_memory_is_bounded_whatever_adapters_call_themselves():
    ledger = Ledger()
    for number in range(2_000):
        ledger.add([TraceStep(step_id=1, kind="subcall", model=f"model-{number}")])
    summary = ledger.summary()
    assert summary.runs == summary.total.failed == 2_000
    assert len(summary.by_model) <= 501
    assert summary.by_model["(others)"].failed == 1_500


def test_a_run_that_is_gone_on_with_is_not_paid_again(tmp_path):
    answers = [f"```python\nprint(llm_query('q'), P[{n}:29])\n```" for n in range(2)] + ["FINAL: 24 months"] * 3
    down, asked = threading.Event(), []
    down.set()

    def model(messages):
        asked.append(messages)
        if "You are a sub-LLM" in messages[0]["content"]:
            return "yes"
        turn = sum(message["role"] == "assistant" for message in messages)
        if turn == 1 and down.is_set():
            raise ModelError("the model is down")
        return answers[turn]

    path = tmp_path / "run.jsonl"
    router = SmartRouter(
        FakeAdapter(rules=[("", model)]), config=PRICE, on_limit="raise", cache=DiskCache(tmp_path / "c")
    )
    with pytest.raises(ModelError):
        router.run(QUERY, TEXT, route="rlm", profile="semantic_batches", checkpoint=path)
    before = router.cost_summary()
    down.clear()
    result = router.resume(path, TEXT)
    after = router.cost_summary()
    for _ in range(3):
        assert router.resume(path, TEXT).output == result.output
    summary = router.cost_summary()
    answered = sum(1 for _ in asked) - before.total.failed
    assert (before.total.calls, after.total.calls, after.cache_hits) == (2, answered, 1)
    assert (summary.total, summary.cache_hits, summary.saved_tokens) == (after.total, 1, after.saved_tokens)
    assert summary.total.cost_usd == pytest.approx(result.cost_usd)
    assert summary.runs == 5
