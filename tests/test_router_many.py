"""SmartRouter.run_many against a real server: shared budget, text, prefix and limits; failures, early ends, back-pressure."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from contextlib import aclosing, suppress
from itertools import count, islice
from pathlib import Path

import pytest
from openai_server import LoopbackServer, Reply, Status

from pyrlm import Context, DiskCache, Policy, Price, RouterConfig, SmartRouter, Trace
from pyrlm.adapters import FakeAdapter, OpenAICompatAdapter
from pyrlm.errors import ConfigurationError, MaxTokensExceeded, NestedRunError, PyRLMError
from pyrlm.retrievers import Document, EmbeddedRetriever

TEXT = "The warranty lasts 24 months.\nThe battery is not covered.\nReturns go to Lyon.\n"
LONG = TEXT + "Nothing of interest happened on that day in the quiet harbour town.\n" * 120
GOOD = "24 months\n<quotes>\n<quote>The warranty lasts 24 months.</quote>\n</quotes>"


def over(server, **options):
    adapter = OpenAICompatAdapter("m", base_url=server.url, api_key="test-key", retry_seconds=0)
    return SmartRouter(adapter, **options)


def questions(number):
    return [f"How long is warranty {n}?" for n in range(number)]


class Together:
    """A model that answers once so many requests are under way at the same time, or after ten seconds."""

    def __init__(self, number, reply=GOOD):
        self.number, self.reply, self.here, self.all_here = number, reply, 0, asyncio.Event()

    async def __call__(self, body):
        self.here += 1
        if self.here >= self.number:
            self.all_here.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.all_here.wait(), 10)
        await asyncio.sleep(0.05)
        return self.reply


def asked(body):
    """The question of a prompt of one call."""
    return body["messages"][-1]["content"].rpartition("Question: ")[2]


def settled(server):
    """Wait until the server has noticed that clients went away."""
    deadline = time.monotonic() + 20
    while server.in_flight and time.monotonic() < deadline:
        time.sleep(0.02)
    return not server.in_flight


def reached(server, number):
    """Wait until so many requests are under way."""
    deadline = time.monotonic() + 10
    while server.in_flight < number and time.monotonic() < deadline:
        time.sleep(0.02)


def children():
    """The processes that any thread of this one has started."""
    lists = Path("/proc/self/task").glob("*/children")
    return {pid for path in lists for pid in path.read_text().split()}


def test_every_question_is_answered_once_and_names_its_place():
    with LoopbackServer(lambda body: f"about {asked(body)}") as server:
        items = list(over(server).run_many(questions(25), TEXT))
    assert sorted(item.index for item in items) == list(range(25))
    for item in items:
        assert item.query == f"How long is warranty {item.index}?"
        assert item.result.output == f"about {item.query}"
        assert item.error is None
        assert [step.kind for step in item.result.trace][:2] == ["run_started", "route"]
    assert len(server.bodies) == 25


def test_answers_come_as_they_are_ready_and_not_in_order():
    others = threading.Event()

    async def reply(body):
        if "warranty 0" in asked(body):
            await asyncio.to_thread(others.wait, 10)
        return GOOD

    order = []
    with LoopbackServer(reply) as server:
        for item in over(server).run_many(questions(4), TEXT):
            order.append(item.index)
            if len(order) == 3:
                others.set()
    assert order[-1] == 0


def test_model_calls_of_all_runs_together_stay_under_the_limit():
    with LoopbackServer(Together(3)) as server:
        list(over(server, max_concurrent_subcalls=3).run_many(questions(12), TEXT, concurrency=12))
        assert server.max_in_flight == 3
    with LoopbackServer(Together(4)) as server:
        list(over(server).run_many(questions(12), TEXT, concurrency=4))
        assert server.max_in_flight == 4


def test_one_failure_stays_one():
    def reply(body):
        return Status(500, "out") if "warranty 3" in asked(body) else GOOD

    with LoopbackServer(reply) as server:
        router = over(server, on_limit="raise")
        items = {item.index: item for item in router.run_many([*questions(6), "", {"find": "x"}], TEXT, escalate=False)}
    assert sorted(items) == list(range(8))
    assert {index for index, item in items.items() if item.error is not None} == {3, 6}
    assert isinstance(items[3].error, PyRLMError)
    assert items[3].result.status == "error"
    assert isinstance(items[6].error, ConfigurationError)
    assert items[6].result is None
    assert items[7].query == {"find": "x"}
    assert items[7].result.status == "answered"


def test_what_the_questions_themselves_raise_comes_after_the_answers_to_those_before():
    def source():
        yield from questions(3)
        raise OSError("the file of questions is gone")

    answered = []
    with LoopbackServer(lambda body: Reply(GOOD, delay=0.2)) as server, pytest.raises(OSError, match="is gone"):
        for item in over(server).run_many(source(), TEXT):
            answered.append(item.index)
    assert sorted(answered) == [0, 1, 2]


@pytest.mark.parametrize(
    ("queries", "options", "message"),
    [
        ("one question", {}, "one question; pass a list"),
        ({"a": 1}, {}, "one question; pass a list"),
        (None, {}, "expected a list"),
        (["q"], {"concurrency": 0}, "a whole number above 0"),
        (["q"], {"concurrency": True}, "a whole number above 0"),
        (["q"], {"checkpoint": "run.db"}, "holds one run"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_begun(queries, options, message):
    with pytest.raises(ConfigurationError, match=message):
        SmartRouter(FakeAdapter([])).run_many(queries, TEXT, **options)


def test_a_keyword_that_does_not_exist_is_named_at_once():
    with pytest.raises(TypeError, match="'concurency'"):
        SmartRouter(FakeAdapter([])).run_many(["q"], TEXT, concurency=3)


def test_a_context_that_cannot_be_used_is_one_error_and_not_one_for_each_question():
    with pytest.raises(ConfigurationError, match="bytes"):
        list(SmartRouter(FakeAdapter([])).run_many(questions(5), b"bytes"))


def test_the_first_question_about_a_long_text_goes_ahead_so_that_the_providers_cache_holds_it():
    answered = []

    async def reply(body):
        await asyncio.sleep(0.2 if not answered else 0.01)
        answered.append(time.monotonic())
        return "24 months"

    with LoopbackServer(reply) as server:
        items = list(over(server).run_many(questions(8), LONG, route="baseline"))
        later = [request.time for request in server.requests[1:]]
    assert len(items) == 8
    assert min(later) >= answered[0]


def test_a_short_text_is_no_reason_to_wait():
    with LoopbackServer(Together(8)) as server:
        list(over(server).run_many(questions(8), TEXT))
        assert server.max_in_flight == 8


def test_a_first_question_that_fails_holds_nobody_up():
    together = Together(5, "24 months")

    def reply(body):
        return Status(400, "no") if "warranty 0" in asked(body) else together(body)

    with LoopbackServer(reply) as server:
        items = list(over(server).run_many(questions(6), LONG, route="baseline", escalate=False))
        assert sum(item.result.status == "answered" for item in items) == 5
        assert server.max_in_flight == 5


def test_a_first_question_that_our_own_cache_answers_is_not_the_one_that_the_provider_has_read(tmp_path):
    with LoopbackServer(lambda body: Reply("24 months", delay=0.1)) as server, DiskCache(tmp_path) as cache:
        router = over(server, cache=cache)
        router.run(questions(1)[0], LONG, route="baseline")
        sent = len(server.requests)
        list(router.run_many(questions(6), LONG, route="baseline"))
        second, *rest = [request.time for request in server.requests[sent:]]
        assert min(rest) - second >= 0.1


def test_one_budget_holds_for_all_runs_together():
    with LoopbackServer(lambda body: Reply(GOOD, usage={"prompt_tokens": 400, "completion_tokens": 100})) as server:
        items = list(
            over(server).run_many(questions(40), TEXT, total_policy=Policy.only(max_total_tokens=6_000), escalate=False)
        )
    paid = sum(item.result.tokens_used for item in items)
    answered = [item for item in items if item.result.status == "answered"]
    stopped = [item for item in items if item.result.status == "limit"]
    assert len(items) == len(answered) + len(stopped) == 40
    assert 3_000 <= paid <= 6_000
    assert len(server.bodies) == len(answered) < 13
    assert {item.result.limit for item in stopped} == {"max_total_tokens"}


def test_neither_the_runs_own_limits_nor_those_of_all_can_be_passed():
    price = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=1.0)
    with LoopbackServer(lambda body: GOOD) as server:
        router = over(server, config=RouterConfig(price=price), policy=Policy(max_total_tokens=900))
        items = list(
            router.run_many([*questions(3), "why " * 2_000], TEXT, total_policy=Policy.only(max_cost_usd=0.01))
        )
    assert {item.result.status for item in items if item.index < 3} == {"answered"}
    long = next(item.result for item in items if item.index == 3)
    assert (long.status, long.limit) == ("limit", "max_total_tokens")


def test_the_time_of_all_runs_together_ends_those_under_way_and_those_to_come():
    with LoopbackServer(lambda body: Reply(GOOD, delay=120)) as server:
        items = list(
            over(server).run_many(questions(12), TEXT, concurrency=4, total_policy=Policy.only(max_seconds=0.5))
        )
    assert {item.result.limit for item in items} == {"max_seconds"}
    assert len(items) == 12
    assert "max_seconds=0.5" in items[0].result.attempts[0].reason


def test_an_errors_text_names_the_limit_of_all(tmp_path):
    adapter = FakeAdapter(rules=[("", GOOD)])
    router = SmartRouter(adapter, on_limit="raise")
    items = list(router.run_many(questions(2), TEXT, total_policy=Policy.only(max_total_tokens=10)))
    assert all(isinstance(item.error, MaxTokensExceeded) for item in items)
    assert not adapter.calls


def test_leaving_early_cancels_what_is_under_way_and_asks_no_more():
    with LoopbackServer(lambda body: GOOD if "warranty 0" in asked(body) else Reply(GOOD, delay=60)) as server:
        for item in over(server).run_many(questions(1_000), TEXT, concurrency=5):
            assert item.index == 0
            break
        gc.collect()
        assert settled(server)
        assert len(server.requests) <= 6


def test_a_loop_left_early_leaves_no_process():
    before = children()
    script = ["```python\nprint(len(P))\n```", "FINAL: done"]

    def reply(body):
        said = [message["content"] for message in body["messages"] if message["role"] == "assistant"]
        return script[len(said)] if len(said) < 1 or "warranty 0" in str(body) else Reply("FINAL: late", delay=60)

    with LoopbackServer(reply) as server:
        items = over(server).run_many(questions(30), TEXT, route="rlm", concurrency=3)
        assert next(items).result.output == "done"
        assert children() - before
        items.close()
        assert settled(server)
        assert children() <= before


def test_cancelling_the_asynchronous_iterator_leaves_no_task_and_no_request():
    async def use(server):
        before = asyncio.all_tasks()

        async def consume():
            async with aclosing(over(server).arun_many(questions(50), TEXT, concurrency=5)) as items:
                async for _ in items:
                    pass

        task = asyncio.create_task(consume())
        await asyncio.to_thread(reached, server, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == before

    with LoopbackServer(lambda body: Reply(GOOD, delay=60)) as server:
        asyncio.run(use(server))
        assert settled(server)


def test_it_does_not_run_ahead_of_its_consumer():
    taken = []

    def endless():
        for number in count():
            taken.append(number)
            yield f"How long is warranty {number}?"

    adapter = FakeAdapter(rules=[("", GOOD)])
    items = SmartRouter(adapter).run_many(endless(), TEXT, concurrency=4)
    first = list(islice(items, 10))
    time.sleep(0.3)
    assert len({item.index for item in first}) == 10
    assert 10 <= len(adapter.calls) <= len(taken) <= 10 + 2 * 4
    items.close()


def test_a_thousand_questions_from_a_generator():
    adapter = FakeAdapter(rules=[("", GOOD)])
    total = sum(1 for _ in SmartRouter(adapter).run_many((f"How long is {n}?" for n in range(1_000)), TEXT))
    assert total == len(adapter.calls) == 1_000


def test_each_run_has_its_own_trace_and_one_file_holds_all(tmp_path):
    path = tmp_path / "many.jsonl"
    heard = []
    with LoopbackServer(lambda body: f"about {asked(body)}") as server:
        router = over(server, trace_path=path, event_listener=heard.append)
        items = list(router.run_many(questions(9), TEXT))
    lines = path.read_text().splitlines()
    assert {json.loads(line)["run"] for line in lines} == set(range(9))
    for item in items:
        assert Trace.from_json_lines(lines, run=item.index).steps == item.result.trace.steps
    assert len(lines) == len(heard) == sum(len(item.result.trace) for item in items)


def test_a_text_is_counted_once_for_all_questions(monkeypatch):
    counted = []
    from pyrlm import tokens

    count_tokens, features = tokens.count_tokens, tokens.features_of
    monkeypatch.setattr(tokens, "count_tokens", lambda *a: counted.append(len(a[1])) or count_tokens(*a))
    monkeypatch.setattr(tokens, "features_of", lambda text, name: counted.append(len(text)) or features(text, name))
    router = SmartRouter(FakeAdapter(rules=[("", "24 months")], model="counted-once"))
    text = Context.from_text(LONG * 3)
    assert len(list(router.run_many(questions(20), text, route="baseline"))) == 20
    assert sum(counted) < 6 * len(LONG * 3)


def test_it_works_inside_a_running_loop_and_says_where_it_cannot():
    router = SmartRouter(FakeAdapter(rules=[("", GOOD)]))

    async def inside():
        return [item.index for item in router.run_many(questions(3), TEXT)]

    assert sorted(asyncio.run(inside())) == [0, 1, 2]

    def listener(_):
        next(router.run_many(["q"], TEXT))

    heard = []

    def noting(step):
        try:
            listener(step)
        except NestedRunError as error:
            heard.append(error)

    SmartRouter(FakeAdapter([GOOD]), event_listener=noting).run("How long?", TEXT)
    assert heard


def test_many_threads_share_one_router():
    router = SmartRouter(FakeAdapter(rules=[("", GOOD)]))
    found: list[int] = []

    def use():
        found.append(sum(1 for _ in router.run_many(questions(20), TEXT)))

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [20] * 6


def test_an_iterator_that_was_never_used_costs_nothing():
    before = threading.active_count()
    for _ in range(5):
        SmartRouter(FakeAdapter([])).run_many(questions(3), TEXT)
    gc.collect()
    assert threading.active_count() <= before + 1


def test_many_questions_and_streams_over_an_index_without_a_text(tmp_path):
    retriever = EmbeddedRetriever(tmp_path / "corpus.idx")
    retriever.index([Document("note/1", TEXT), Document("note/2", "The kettle boils at 96 degrees.")])
    router = SmartRouter(FakeAdapter(rules=[("", GOOD)]), retriever=retriever)
    items = list(router.run_many(questions(8)))
    assert {(item.result.output, item.result.method) for item in items} == {("24 months", "retrieval")}
    assert all(item.result.citations[0].doc_id == "note/1" for item in items)
    events = list(router.stream(questions(1)[0]))
    assert "".join(event.text for event in events if event.kind == "text") == events[-1].result.output == "24 months"
