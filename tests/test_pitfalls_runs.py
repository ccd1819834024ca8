"""Whatever ends a run, and however it was started: what was paid for comes back, counted as the server counted it."""

from __future__ import annotations

import asyncio

import pytest
from openai_server import LoopbackServer, Reply, Stall, Status, too_long
from pitfalls import PRICE, TEXT, adapter_of, is_sub, python

from pyrlm import RLM, Policy, SmartRouter, Trace
from pyrlm.errors import PyRLMError

GONE = {"x-should-retry": "false"}
LONG = python("found = P[:29]\nprint(found)\n" + "# so far\n" * 60)

ENDS = {
    "steps": (None, Policy(max_steps=3)),
    "tokens": (None, Policy(max_total_tokens=9_000)),
    "money": (None, Policy(max_cost_usd=0.2)),
    "seconds": (Stall(60), Policy(max_seconds=2.5)),
    "sub-calls": ("subcalls", Policy(max_subcalls=2)),
    "provider fails": (Status(500, "gone", headers=GONE), Policy()),
    "provider refuses": (Status(400, "no"), Policy()),
    "provider has no quota": (Status(402, "pay first"), Policy()),
    "prompt too long": (too_long(900, 1_000), Policy()),
    "no replies of use": ("Hmm.", Policy()),
    "the same again": (LONG, Policy()),
}


class Counting:
    """A model of one useful step, after which comes what ends the run; it counts what it was paid for."""

    def __init__(self, then):
        self.then, self.tokens, self.asked = then, 0, 0

    def __call__(self, body):
        self.asked += 1
        if is_sub(body):
            return self.paid(body, "a sub-answer")
        if sum(message["role"] == "assistant" for message in body["messages"]) == 0 and self.asked == 1:
            return self.paid(body, LONG)
        if self.then is None:
            return self.paid(body, python(f"print({self.asked}, P[:200])\n" + "# more\n" * 20))
        if self.then == "subcalls":
            return self.paid(body, python(f"print({self.asked}, llm_batch(['a', 'b', 'c', 'd']))"))
        return self.paid(body, self.then) if isinstance(self.then, str) else self.then

    def paid(self, body, text):
        given = sum(len(message["content"]) for message in body["messages"]) // 4
        written = len(text) // 4
        self.tokens += given + written
        usage = {"prompt_tokens": given, "completion_tokens": written, "total_tokens": given + written}
        return Reply(text, usage=usage)


def raised(work):
    try:
        return work()
    except PyRLMError as error:
        caught = error
    assert caught.result is not None
    assert caught.result.trace is caught.trace
    return caught.result


def by_stream(adapter, policy, **options):
    router = SmartRouter(adapter, policy=policy, **options)
    events = list(router.stream("How long?", TEXT, route="rlm"))
    assert events[-1].kind == "result"
    return events[-1].result


def by_session(adapter, policy, **options):
    with RLM(adapter, policy=policy, **options).session(TEXT) as session:
        result = raised(lambda: session.ask("How long?"))
        assert session.costs.total.usage.total_tokens == result.usage.total_tokens
        return result


def by_many(adapter, policy, **options):
    router = SmartRouter(adapter, policy=policy, **options)
    [item] = router.run_many(["How long?"], TEXT, route="rlm")
    return item.result


WAYS = {
    "run": lambda adapter, policy, **o: raised(lambda: RLM(adapter, policy=policy, **o).run("How long?", TEXT)),
    "run, returned": lambda a, policy, **o: RLM(a, policy=policy, on_limit="return", **o).run("How long?", TEXT),
    "arun": lambda adapter, policy, **o: raised(
        lambda: asyncio.run(RLM(adapter, policy=policy, **o).arun("How long?", TEXT))
    ),
    "router": lambda adapter, policy, **o: SmartRouter(adapter, policy=policy, **o).run("How long?", TEXT, route="rlm"),
    "router, raised": lambda adapter, policy, **o: raised(
        lambda: SmartRouter(adapter, policy=policy, on_limit="raise", **o).run("How long?", TEXT, route="rlm")
    ),
    "stream": by_stream,
    "session": by_session,
    "many": by_many,
}


PAIRS = [(end, way) for end in ENDS for way in WAYS if end != "seconds" or way in {"run", "stream", "session"}]


@pytest.mark.parametrize(("end", "way"), PAIRS)
def test_what_was_paid_for_comes_back(end, way, tmp_path):
    then, policy = ENDS[end]
    model, path = Counting(then), tmp_path / "trace.jsonl"
    with LoopbackServer(model) as server:
        adapter = adapter_of(server, price=PRICE, retry_seconds=0)
        result = WAYS[way](adapter, policy, trace_path=path, max_tokens=800)
    assert result.status in {"limit", "error", "answered", "unanswered"}
    assert result.usage.total_tokens == model.tokens > 500
    assert result.cost_usd > 0
    first = result.trace.of_kind("repl_exec")[0]
    assert first.stdout == "The warranty lasts 24 months.\n", "what the first step found is there"
    assert result.trace.of_kind("root_call")[0].output == LONG
    assert result.trace.of_kind("run_finished")
    kept = Trace.from_json(path.read_text())
    assert [step.kind for step in kept] == [step.kind for step in result.trace]
    assert Trace.from_json(result.trace.to_json()).usage == result.trace.usage
