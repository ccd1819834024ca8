"""Several models as one: outages of real servers, and what a run, its trace and its bill then say."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_server import Broken, LoopbackServer, Raw, Reply, Status, rate_limited, too_long

from pyrlm import RLM, Policy
from pyrlm.adapters import (
    CommandAdapter,
    FakeAdapter,
    FallbackAdapter,
    ModelResponse,
    OpenAICompatAdapter,
    Usage,
    acomplete,
    astream,
    base,
    failures,
)
from pyrlm.errors import (
    AuthenticationError,
    ConfigurationError,
    ContextLengthError,
    ModelError,
    ModelUnavailableError,
    PriceUnknownError,
    RateLimitError,
)
from pyrlm.pricing import Price, PriceTier, highest_price

HELLO = [{"role": "user", "content": "hello"}]
KEY = "sk-loopback-0123456789"
CHEAP = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=2.0)
DEAR = Price(input_usd_per_mtok=10.0, output_usd_per_mtok=20.0)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(failures, "FIRST_WAIT", 0.01)


def model(server, name, **options):
    return OpenAICompatAdapter(name, **{"base_url": server.url, "api_key": KEY, "retry_seconds": 0, **options})


def ask(adapter, **options):
    told = []

    async def main():
        base.on_retry.set(told.append)
        return await acomplete(adapter, HELLO, 16, None, **options)

    return asyncio.run(main()), told


class Priced(FakeAdapter):
    """A scripted model with a price."""

    def __init__(self, script, *, price, **options):
        super().__init__(script, **options)
        self.price = price


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Status(503, "overloaded"), "503: overloaded"),
        (rate_limited(), "429"),
        (Status(402, "Insufficient credits"), "quota or credit used up"),
        (Raw(b"<html>gateway</html>"), "is no JSON"),
    ],
    ids=["503", "429", "402", "html"],
)
def test_the_next_model_is_asked_on_outage_and_quota_and_the_reason_is_told(fault, words):
    with LoopbackServer(lambda _: fault) as first, LoopbackServer() as second:
        adapter = FallbackAdapter([model(first, "one"), model(second, "two")])
        reply, told = ask(adapter)
    assert (reply.text, reply.answered_by) == ("ok", "two")
    assert told[-1].reason.startswith("one is out, asking two: ")
    assert words in told[-1].reason


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(too_long(), ContextLengthError), (Status(400, "bad"), ModelError), (Status(401, "no"), AuthenticationError)],
)
def test_the_next_model_is_not_asked_where_that_does_not_help(fault, kind):
    with LoopbackServer([fault, "ok"]) as first, LoopbackServer() as second:
        adapter = FallbackAdapter([model(first, "one"), model(second, "two")])
        with pytest.raises(kind) as caught:
            ask(adapter)
        assert type(caught.value) is kind
        assert ask(adapter)[0].answered_by == "one"
    assert not second.requests


def test_a_missing_right_may_be_an_outage_by_option():
    with LoopbackServer(api_key="another") as first, LoopbackServer() as second:
        adapter = FallbackAdapter([model(first, "one"), model(second, "two")], on_authentication=True)
        assert ask(adapter)[0].answered_by == "two"


def test_a_model_that_is_out_is_left_alone_and_then_tried_by_one_call():
    down = [True]

    def answer(_):
        return Status(503, "down") if down[0] else Reply("back", delay=0.2)

    async def eight(adapter):
        return await asyncio.gather(*(acomplete(adapter, HELLO, 16) for _ in range(8)))

    with LoopbackServer(answer) as first, LoopbackServer() as second:
        adapter = FallbackAdapter([model(first, "one"), model(second, "two")], cooldown_seconds=60)
        ask(adapter)
        _, told = ask(adapter)
        assert len(first.requests) == 1
        assert told[0].reason.startswith("one is left alone for ")
        assert "503: down" in told[0].reason
        down[0] = False
        adapter._members[0].out_until = 0.001  # the minute is over
        names = [reply.answered_by for reply in asyncio.run(eight(adapter))]
        assert sorted(names) == ["one"] + ["two"] * 7
        assert [reply.answered_by for reply in asyncio.run(eight(adapter))] == ["one"] * 8


def test_a_model_that_is_left_alone_is_asked_where_no_other_is_left():
    with LoopbackServer([Status(503, "down"), "up"]) as first, LoopbackServer(["ok", Status(503, "x")]) as second:
        adapter = FallbackAdapter([model(first, "one"), model(second, "two")])
        assert [ask(adapter)[0].answered_by for _ in range(2)] == ["two", "one"]


def test_where_all_are_out_the_error_has_all_reasons():
    with LoopbackServer(lambda _: Status(503, "down")) as first, LoopbackServer(lambda _: rate_limited()) as second:
        adapter = FallbackAdapter([model(first, "one"), model(second, "two")])
        with pytest.raises(RateLimitError, match=r"all 2 models are out: one: .*503: down.*; two: .*429") as caught:
            ask(adapter)
    assert (caught.value.model, caught.value.attempts) == ("one | two", 2)


def test_adapters_of_every_kind_may_stand_in():
    class Down:
        def complete(self, messages, *, max_tokens):
            raise ConnectionError("cable cut")

    reply, told = ask(FallbackAdapter([Down(), CommandAdapter(["cat"])]))
    assert (reply.text, reply.answered_by) == ("hello", "cat")
    assert "cable cut" in told[0].reason


def test_an_option_that_one_does_not_take_is_told_before_any_is_asked():
    fake = FakeAdapter(["x"])
    with pytest.raises(ConfigurationError, match="cat: CommandAdapter doesn't take 'seed'"):
        ask(FallbackAdapter([fake, CommandAdapter(["cat"])]), seed=7)
    assert not fake.calls


# What it says of itself


def test_its_name_window_and_price_are_those_of_all():
    adapter = FallbackAdapter(
        [
            Priced([], price=CHEAP, model="one", context_window=9_000),
            Priced([], price=DEAR, model="two", context_window=5_000),
        ]
    )
    assert (adapter.model, adapter.context_window) == ("one | two", 5_000)
    assert adapter.price.input_usd_per_mtok == 10.0
    assert FallbackAdapter([Priced([], price=CHEAP), FakeAdapter(model="unknown-model")]).price is None
    listed = FallbackAdapter([OpenAICompatAdapter(name, api_key=KEY) for name in ("gpt-4o", "gpt-4o-mini")])
    assert listed.price.input_usd_per_mtok == 2.5
    assert listed.context_window == 128_000


prices = st.builds(
    Price,
    input_usd_per_mtok=st.integers(0, 9),
    output_usd_per_mtok=st.integers(0, 9),
    cached_input_usd_per_mtok=st.none() | st.integers(0, 9),
    cache_write_usd_per_mtok=st.none() | st.integers(0, 9),
    tiers=st.lists(
        st.builds(
            PriceTier,
            above_tokens=st.integers(1, 99),
            input_usd_per_mtok=st.integers(0, 9),
            output_usd_per_mtok=st.integers(0, 9),
        ),
        max_size=2,
        unique_by=lambda tier: tier.above_tokens,
    ).map(lambda tiers: tuple(sorted(tiers, key=lambda tier: tier.above_tokens))),
)


@given(st.lists(prices, min_size=1, max_size=3), st.integers(0, 150), st.integers(0, 50), st.integers(0, 150))
def test_no_model_costs_more_than_the_highest_price(members, prompt, reply, cached):
    highest = highest_price(members)
    usage = Usage(input_tokens=prompt, output_tokens=reply, cached_input_tokens=min(cached, prompt))
    for price in members:
        assert price.cost(usage) <= highest.cost(usage) + 1e-12
        assert price.upper_cost(prompt, reply) <= highest.upper_cost(prompt, reply) + 1e-12


def test_a_run_is_charged_by_who_answered_and_its_trace_says_who_and_why():
    final = "FINAL: forty-two"
    cheap = Priced([ModelUnavailableError("the first is down")], price=CHEAP, model="cheap")
    dear = Priced([ModelResponse(final, usage=Usage(input_tokens=1000, output_tokens=100))], price=DEAR, model="dear")
    result = RLM(FallbackAdapter([cheap, dear])).run("what?", "a text")
    assert result.output == "forty-two"
    assert result.cost_usd == pytest.approx((1000 * 10 + 100 * 20) / 1e6)
    calls = [step for step in result.trace.steps if step.kind == "root_call"]
    assert [step.model for step in calls] == ["dear"]
    retries = [step.reason for step in result.trace.steps if step.kind == "retry"]
    assert retries == ["cheap is out, asking dear: the first is down"]


def test_a_run_that_the_first_model_answers_is_charged_by_its_price():
    usage = Usage(input_tokens=1000, output_tokens=100)
    cheap = Priced([ModelResponse("FINAL: x", usage=usage)], price=CHEAP, model="cheap")
    result = RLM(FallbackAdapter([cheap, Priced([], price=DEAR, model="dear")])).run("what?", "a text")
    assert result.cost_usd == pytest.approx((1000 * 1 + 100 * 2) / 1e6)


def test_a_money_limit_needs_the_prices_of_all():
    adapter = FallbackAdapter([Priced(["FINAL: x"], price=CHEAP), FakeAdapter(["FINAL: x"], model="unknown-model")])
    with pytest.raises(PriceUnknownError):
        RLM(adapter, policy=Policy(max_cost_usd=1.0)).run("what?", "a text")


# In pieces


def pieces(adapter):
    async def main():
        async with aclosing(astream(adapter, HELLO, 16)) as items:
            return [item async for item in items]

    return asyncio.run(main())


def test_the_next_model_streams_where_the_first_is_out():
    with LoopbackServer(lambda _: Status(503, "down")) as first, LoopbackServer(["one two"]) as second:
        *texts, reply = pieces(FallbackAdapter([model(first, "one"), model(second, "two")]))
    assert (texts, reply.answered_by) == (["one", " two"], "two")


def test_no_other_model_goes_on_with_a_reply_that_broke_off():
    with LoopbackServer([Broken("error", after=3), "whole"]) as first, LoopbackServer(["ok"]) as second:
        adapter = FallbackAdapter([model(first, "one"), model(second, "two")])
        with pytest.raises(ModelUnavailableError, match="broke off after 7 characters"):
            pieces(adapter)
        assert not second.requests
        assert pieces(adapter)[-1].answered_by == "two"


def test_any_adapter_can_be_read_in_pieces():
    assert pieces(FakeAdapter(["the whole"]))[0] == "the whole"
    assert [type(item) for item in pieces(FakeAdapter([ModelResponse("")]))] == [ModelResponse]

    class Own:
        async def astream(self, messages, *, max_tokens):
            yield "a"
            raise ConnectionError("cut")

        complete = None

        async def acomplete(self, messages, max_tokens):
            return "never"

    with pytest.raises(ModelUnavailableError, match="Own failed: ConnectionError: cut"):
        pieces(Own())


@pytest.mark.parametrize("wrong", [[], "gpt-4.1", None])
def test_misuse_is_told(wrong):
    with pytest.raises(ConfigurationError, match="expected a list of adapters"):
        FallbackAdapter(wrong)
    with pytest.raises(ConfigurationError, match="expected an object with complete"):
        FallbackAdapter([object()])
    with pytest.raises(ConfigurationError, match="cooldown_seconds=-1"):
        FallbackAdapter([FakeAdapter()], cooldown_seconds=-1)
