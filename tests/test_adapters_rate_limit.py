"""Limits of an endpoint, shared by all adapters, runs, loops and threads of a process."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import aclosing
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai_server import LoopbackServer, Reply, Status

from pyrlm.adapters import AnthropicAdapter, OpenAICompatAdapter, RateLimit, acomplete, failures, rate_limit
from pyrlm.adapters.rate_limit import Limiter, limiter_for
from pyrlm.errors import ConfigurationError, ModelError

HELLO = [{"role": "user", "content": "hello"}]
KEY = "sk-loopback-0123456789"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(failures, "FIRST_WAIT", 0.01)


@pytest.fixture
def window(monkeypatch):
    """A minute of half a second."""
    monkeypatch.setattr(rate_limit, "_WINDOW_SECONDS", 0.5)
    return 0.5


def adapter_for(server, limit, **options):
    return OpenAICompatAdapter("m", base_url=server.url, api_key=KEY, rate_limit=limit, **options)


async def gathered(adapter, count, max_tokens=16):
    return await asyncio.gather(*(acomplete(adapter, HELLO, max_tokens) for _ in range(count)))


def most_in_any(window, times):
    return max(sum(start <= other < start + window for other in times) for start in times)


def test_concurrency_is_shared_by_adapters_loops_and_threads():
    limit = RateLimit(concurrency=3)
    with LoopbackServer(delay=0.02) as server:
        threads = [
            threading.Thread(target=lambda: asyncio.run(gathered(adapter_for(server, RateLimit(concurrency=3)), 8)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        asyncio.run(gathered(adapter_for(server, limit), 8))
        for thread in threads:
            thread.join(60)
        assert (len(server.requests), server.max_in_flight) == (40, 3)


def test_in_no_minute_are_there_more_requests_than_allowed(window):
    with LoopbackServer() as server:
        adapters = [adapter_for(server, RateLimit(requests_per_minute=5)) for _ in range(2)]
        threads = [threading.Thread(target=lambda a=a: asyncio.run(gathered(a, 6))) for a in adapters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    times = [request.time for request in server.requests]
    assert len(times) == 12
    # Arrival differs from leaving by what the machine takes in between.
    assert most_in_any(window * 0.8, times) <= 5


def test_tokens_are_reserved_before_the_call_and_corrected_after_it(window):
    def model(_):
        return Reply("x", usage={"prompt_tokens": 10, "completion_tokens": 10})

    with LoopbackServer(model) as server:
        adapter = adapter_for(server, RateLimit(tokens_per_minute=100))
        asyncio.run(gathered(adapter, 6, max_tokens=60))
    limiter = limiter_for(adapter.rate_limit, adapter.endpoint)
    times = [request.time for request in server.requests]
    # One at a time passes at first (61 of 100 are reserved); each is corrected to 20, so more follow at once.
    assert most_in_any(window * 0.8, times) <= 5
    assert times[1] - times[0] < window
    assert limiter._tokens % 20 == 0


def test_a_refused_request_costs_no_tokens():
    with LoopbackServer([Status(400, "bad"), "ok"]) as server:
        adapter = adapter_for(server, RateLimit(tokens_per_minute=100))
        with pytest.raises(ModelError):
            asyncio.run(gathered(adapter, 1, max_tokens=90))
        asyncio.run(asyncio.wait_for(gathered(adapter, 1, max_tokens=90), 20))


def test_a_request_larger_than_the_limit_goes_when_nothing_else_does(window):
    with LoopbackServer() as server:
        adapter = adapter_for(server, RateLimit(tokens_per_minute=50))
        asyncio.run(asyncio.wait_for(gathered(adapter, 3, max_tokens=4000), 20))
    assert len(server.requests) == 3


def test_a_request_that_is_repeated_gives_its_place_to_others_meanwhile():
    async def main(server):
        adapter = adapter_for(server, RateLimit(concurrency=1))
        first = asyncio.create_task(acomplete(adapter, HELLO, 16))
        while not server.requests:  # noqa: ASYNC110 - the server runs in another thread
            await asyncio.sleep(0.01)
        second = await acomplete(adapter, HELLO, 16)
        assert not first.done()
        return second.text, (await first).text

    refused = Status(429, "slow down", headers={"retry-after": "1"})
    with LoopbackServer([refused, "second", "first"]) as server:
        assert asyncio.run(asyncio.wait_for(main(server), 20)) == ("second", "first")


@pytest.mark.parametrize("place", ["waiting", "in flight", "streaming"])
def test_who_is_cancelled_gives_its_place_back(place):
    async def main(server):
        adapter = adapter_for(server, RateLimit(concurrency=1))

        async def streamed():
            async with aclosing(adapter.astream(HELLO, 16)) as items:
                async for _ in items:
                    pass

        holder = asyncio.create_task(streamed() if place == "streaming" else acomplete(adapter, HELLO, 16))
        while not server.in_flight:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        waiters = [asyncio.create_task(acomplete(adapter, HELLO, 16)) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert len(server.requests) == 1
        cancelled = waiters.pop(0) if place == "waiting" else holder
        cancelled.cancel()
        await asyncio.wait([cancelled])
        if place == "waiting":
            holder.cancel()
        return [(await waiter).text for waiter in waiters]

    with LoopbackServer(lambda _: Reply("a b", pause=60) if place == "streaming" else "late") as server:
        server._model = _first(server._model if place == "streaming" else lambda _: Reply("x", delay=60))
        texts = asyncio.run(asyncio.wait_for(main(server), 20))
    assert texts == ["later"] * len(texts)


def _first(model):
    asked = []

    def answer(body):
        asked.append(body)
        return model(body) if len(asked) == 1 else "later"

    return answer


def test_a_loop_that_dies_with_waiters_holds_nobody_up():
    limiter = Limiter(RateLimit(concurrency=1))

    async def wait():
        async with limiter.slot():
            pass

    holding, done = threading.Event(), threading.Event()

    async def hold():
        async with limiter.slot():
            holding.set()
            while not done.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    holding.wait(20)
    loop = asyncio.new_event_loop()
    task = loop.create_task(wait())
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()  # without a word to its tasks
    done.set()
    asyncio.run(asyncio.wait_for(wait(), 20))
    thread.join(20)
    task._log_destroy_pending = False


def test_equal_limits_of_one_endpoint_are_one_and_others_are_not():
    limit = RateLimit(requests_per_minute=7)
    one = limiter_for(limit, "https://a")
    assert limiter_for(RateLimit(requests_per_minute=7), "https://a") is one
    assert limiter_for(limit, "https://b") is not one
    assert limiter_for(RateLimit(requests_per_minute=7, name="big model"), "https://a") is not one
    assert limiter_for(None, "https://a") is None


def test_a_forked_process_has_limits_of_its_own():
    limit = RateLimit(concurrency=1, name="fork")
    limiter = limiter_for(limit, "https://a")

    async def enter():
        async with limiter_for(limit, "https://a").slot():
            pass

    with limiter._lock:
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.run(asyncio.wait_for(enter(), 10))
                os._exit(0)
            finally:
                os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=40),
    st.integers(1, 10),
    st.integers(1, 100),
)
@settings(deadline=None)
def test_no_window_holds_more_than_the_limits_whatever_is_asked(calls, requests, tokens):
    """Time is the test's: it goes on only where the limiter would wait."""
    clock, entered = [0.0], []
    limiter = Limiter(RateLimit(requests_per_minute=requests, tokens_per_minute=tokens))

    async def main():
        for asked, used in calls:
            while True:
                waiter = rate_limit._Waiter(min(asked, tokens))
                delay = limiter._delay(waiter)
                if delay == 0.0:
                    break
                assert delay > 0
                clock[0] += delay
            limiter._queue.append(waiter)
            slot = limiter._admit(waiter)
            entered.append(slot)
            slot.used(min(used, slot.tokens))
            clock[0] += 1.0

    real, rate_limit.time = rate_limit.time, SimpleNamespace(monotonic=lambda: clock[0])
    try:
        asyncio.run(main())
    finally:
        rate_limit.time = real
    for slot in entered:
        inside = [other for other in entered if slot.entered <= other.entered < slot.entered + 60]
        assert len(inside) <= requests
        assert sum(other.tokens for other in inside) <= tokens


@pytest.mark.parametrize("wrong", [{}, {"concurrency": 0}, {"requests_per_minute": 1.5}, {"tokens_per_minute": True}])
def test_a_limit_that_is_none_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="RateLimit"):
        RateLimit(**wrong)
    with pytest.raises(ConfigurationError, match="expected a RateLimit"):
        AnthropicAdapter("m", api_key=KEY, rate_limit=500)
