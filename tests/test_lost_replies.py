"""Replies that break off: charged, within the limits, and told."""

from __future__ import annotations

import asyncio

import openai
import pytest
from openai_server import Broken, Cut, Drop, LoopbackServer, Raw, Reply, Stall, Status, rate_limited

from pyrlm import RLM, Policy, SmartRouter
from pyrlm.adapters import CommandAdapter, FallbackAdapter, OpenAICompatAdapter, failures
from pyrlm.errors import MaxTokensExceeded, ModelError
from pyrlm.pricing import Price

TEXT = "The warranty of the pump lasts two years. " * 60
PRICE = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=10.0)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(failures, "FIRST_WAIT", 0.01)


def model(server, **options):
    return OpenAICompatAdapter(
        "m", **({"base_url": server.url, "api_key": "none", "context_window": 100_000, "price": PRICE} | options)
    )


def run(adapter, **policy):
    return SmartRouter(adapter, policy=Policy(**policy)).run("How long does it last?", TEXT, escalate=False)


def sent_tokens(server):
    return sum(sum(len(message["content"]) for message in body["messages"]) // 4 for body in server.bodies)


BEGAN = {
    "half": Drop("half"),
    "headers": Drop("headers"),
    "cut": Cut(),
    "garbled": Raw(b"{"),
    "stalled": Stall(20),
}


@pytest.mark.parametrize("fault", BEGAN)
def test_a_reply_that_breaks_off_is_charged(fault):
    with LoopbackServer(["Two years."]) as server:
        whole = run(model(server))
    with LoopbackServer([BEGAN[fault], "Two years."]) as server:
        result = run(model(server, timeout=0.4 if fault == "stalled" else 20))
    assert (result.status, server.count) == ("answered", 2)
    assert result.usage.input_tokens >= 2 * whole.usage.input_tokens
    assert result.usage.estimated
    assert result.cost_usd >= 2 * whole.usage.input_tokens / 1e6
    assert result.costs.total.usage == result.usage
    assert result.costs.total.cost_usd == pytest.approx(result.cost_usd)


@pytest.mark.parametrize("kind", [openai.OpenAI, openai.AsyncOpenAI])
def test_with_a_client_of_ones_own_it_is_charged_too(kind):
    with LoopbackServer([Drop("half"), "Two years."]) as server:
        client = kind(base_url=server.url, api_key="none")
        adapter = OpenAICompatAdapter("m", client=client, context_window=100_000, price=PRICE)
        assert run(adapter).usage.input_tokens >= 1.5 * sent_tokens(server) / 2


@pytest.mark.parametrize("fault", [Status(503, "down"), rate_limited(0.01), Drop(), Status(400, "bad")])
def test_a_request_without_a_reply_costs_nothing(fault):
    with LoopbackServer(["Two years."]) as server:
        whole = run(model(server))
    with LoopbackServer([fault, "Two years."]) as server:
        try:
            result = run(model(server))
        except ModelError as error:
            result = error.result
    assert result.usage.input_tokens in {0, whole.usage.input_tokens}


def test_a_request_that_never_reached_a_server_costs_nothing():
    with LoopbackServer() as server:
        adapter = model(server, retry_seconds=0)
    result = run(adapter)
    assert (result.status, result.usage.total_tokens, result.cost_usd) == ("error", 0, 0.0)


@pytest.mark.parametrize("limit", [{"max_total_tokens": 2600}, {"max_cost_usd": 0.0026}])
def test_broken_replies_pass_no_limit(limit):
    with LoopbackServer([Drop("half")] * 5 + ["Two years."]) as server:
        result = run(model(server), **limit)
    assert server.count < 6
    assert sent_tokens(server) <= 2600
    assert sent_tokens(server) <= result.usage.total_tokens <= 2600
    assert result.status == "limit"


def test_after_a_broken_reply_the_next_asks_for_what_is_left():
    with LoopbackServer([Drop("half"), "Two years."]) as server:
        result = run(model(server), max_total_tokens=6000)
    first, second = (body["max_tokens"] for body in server.bodies)
    assert result.output == "Two years."
    assert second < first
    assert second + sent_tokens(server) <= 6000
    assert result.usage.total_tokens <= 6000


def test_a_call_that_fails_for_good_is_charged_what_it_lost():
    with LoopbackServer(lambda _: Raw(b"{")) as server:
        result = run(model(server))
    assert (result.status, server.count) == ("error", 2)
    assert result.usage.input_tokens >= sent_tokens(server)
    assert result.costs.total.failed == 1
    assert result.costs.total.usage == result.usage


def test_a_model_that_broke_off_is_charged_beside_the_one_that_answered():
    with LoopbackServer(lambda _: Raw(b"{")) as first, LoopbackServer(["Two years."]) as second:
        result = run(FallbackAdapter([model(first, retry_seconds=0), model(second)]))
    assert result.output == "Two years."
    assert result.usage.input_tokens >= sent_tokens(first) + 0.9 * sent_tokens(second)


def test_a_stream_is_charged_with_what_had_come():
    words = " ".join(["years"] * 200)
    with LoopbackServer([Broken("close", after=150, reply=Reply(words)), "Two years."]) as server:
        router = SmartRouter(model(server, retry_seconds=0))
        *_, last = router.stream("How long does it last?", TEXT, escalate=False)
    result = last.result
    assert (result.output, server.count) == ("Two years.", 2)
    assert result.usage.output_tokens >= 100
    assert result.usage.input_tokens >= 0.9 * sent_tokens(server)


@pytest.mark.parametrize("how", ["end", "close"])
def test_a_stream_that_ends_before_its_first_text_is_charged(how):
    with LoopbackServer([Broken(how, after=1), "Two years."]) as server:
        *_, last = SmartRouter(model(server)).stream("How long does it last?", TEXT, escalate=False)
    assert (last.result.output, server.count) == ("Two years.", 2)
    assert last.result.usage.input_tokens >= 0.9 * sent_tokens(server)


def test_a_step_counts_once_however_often_its_reply_broke_off():
    with LoopbackServer([Drop("half"), Drop("half"), "FINAL: x"]) as server:
        result = RLM(model(server), policy=Policy(max_steps=1)).run("q", "text")
    assert (result.output, result.steps) == ("x", 1)


def test_a_limit_that_broken_replies_have_used_up_is_named():
    async def main(adapter):
        return await RLM(adapter, policy=Policy(max_total_tokens=2600), on_limit="raise").arun("q", TEXT)

    with LoopbackServer(lambda _: Drop("half")) as server, pytest.raises(MaxTokensExceeded) as caught:
        asyncio.run(main(model(server)))
    assert caught.value.result.usage.total_tokens <= 2600
    assert sent_tokens(server) <= 2600


@pytest.mark.parametrize("how", ["time", "parser"])
def test_a_command_that_was_killed_or_not_understood_is_charged(how):
    command = ["sh", "-c", "cat >/dev/null; sleep 20" if how == "time" else "cat >/dev/null; echo some words"]
    options = {"timeout": 0.5} if how == "time" else {"response_parser": lambda output: output["text"]}
    result = run(CommandAdapter(command, context_window=100_000, price=PRICE, **options))
    assert result.status == "error"
    assert result.usage.input_tokens >= len(TEXT) // 5
    assert (result.usage.output_tokens > 0) == (how == "parser")


def test_what_was_lost_is_charged_again_when_a_run_is_resumed(tmp_path):
    down = [True]

    def answer(body):
        texts = [message["content"] for message in body["messages"]]
        if "sub-LLM" in texts[0]:
            return Raw(b"{")
        if not any(message["role"] == "assistant" for message in body["messages"]):
            return "```python\nprint(llm_query('How long? ' + context))\n```"
        return Status(400, "down") if down[0] else "FINAL: two years"

    path = tmp_path / "run.db"
    with LoopbackServer(answer) as server:
        rlm = RLM(model(server))
        with pytest.raises(ModelError) as caught:
            rlm.run("q", TEXT, checkpoint=path)
        down.clear()
        down.append(False)
        count = server.count
        result = rlm.resume(path)
        assert server.count == count + 1
    before = caught.value.result.usage
    assert before.input_tokens >= 2 * len(TEXT) // 5
    assert result.output == "two years"
    assert result.usage.input_tokens > before.input_tokens
    assert result.costs.total.usage == result.usage
