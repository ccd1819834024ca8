"""Sub-agents and limits: shares that can't be passed, answers that are kept, nothing that goes on afterwards."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_server import LoopbackServer, Reply, Status

import pyrlm.shares as shares_module
from pyrlm import RLM, Policy
from pyrlm.adapters import FakeAdapter, OpenAICompatAdapter
from pyrlm.adapters.base import Usage
from pyrlm.budget import Budget
from pyrlm.effects import NO_RECORD
from pyrlm.errors import (
    MaxSubcallsExceeded,
    MaxSubcallTokensExceeded,
    ModelError,
    PolicyError,
    PriceUnknownError,
)
from pyrlm.pricing import Price
from pyrlm.shares import LEAST_CALLS, LEAST_TOKENS, Left, Shares, divide
from pyrlm.subcall_tally import Tally
from pyrlm.trace import Recorder

PIECES = "word " * 4_000
AGENTS = "r = rlm_query_batch([(f'number {n}', c) for n, c in enumerate(ctx.chunk(1250))])\nprint(r)"
PRICE = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=4.0)


def fenced(code):
    return f"```python\n{code}\n```"


def is_child(messages):
    return "You are a sub-agent" in messages[1]["content"]


def serve(child, root=AGENTS):
    """Return a model for the loopback server: `child` answers sub-agents, the root starts sixteen and gives their answers."""

    def model(body):
        messages = body["messages"]
        if len(messages) < 2 or "sub-LLM" in messages[0]["content"]:
            return Reply("ok")
        if is_child(messages):
            return child(messages)
        return Reply(fenced(root) if len(messages) == 2 else "FINAL_VAR: r")

    return LoopbackServer(model)


def endless(messages):
    return Reply("FINAL: best" if "The limit" in messages[-1]["content"] else fenced(f"print('step', {len(messages)})"))


def ask(server, policy, **options):
    options.setdefault("on_limit", "return")
    adapter = OpenAICompatAdapter("m", base_url=server.url, api_key="test-key", price=PRICE)
    return RLM(adapter, policy=policy, **options).run("q?", PIECES)


amounts = st.one_of(st.none(), st.integers(0, 10**7))


@given(amounts, amounts, st.one_of(st.none(), st.floats(0, 1e4)), st.integers(0, 300))
def test_shares_are_equal_and_leave_the_run_something(calls, tokens, cost, count):
    left = Left(calls=calls, tokens=tokens, cost_usd=cost)
    shares = divide(left, count)
    assert len(shares) <= count
    for had, name, least in ((calls, "max_subcalls", LEAST_CALLS), (tokens, "max_total_tokens", LEAST_TOKENS)):
        given_out = [getattr(share, name) for share in shares]
        if had is None:
            assert given_out == [None] * len(shares)
        else:
            assert sum(given_out) <= 0.8 * had
            assert all(amount >= least for amount in given_out)
    if cost is not None:
        assert sum(share.max_cost_usd for share in shares) <= 0.8 * cost + 1e-9
    if len(shares) < count and cost != 0:
        short = len(shares) + 1
        assert (calls is not None and int(0.8 * calls) // short < LEAST_CALLS) or (
            tokens is not None and int(0.8 * tokens) // short < LEAST_TOKENS
        )


def test_those_that_ask_at_once_are_equal_and_later_ones_take_of_the_rest():
    async def main():
        budget = Budget(Policy(max_subcalls=1_000, max_total_tokens=1_000_000, max_cost_usd=10.0))
        shares = Shares(budget, Tally(Recorder()), NO_RECORD, lambda: True)
        async with AsyncExitStack() as stack:

            async def take():
                return (await stack.enter_async_context(shares.taken(["1.1"])))[0]

            taken = await asyncio.gather(*(take() for _ in range(10)))
            later = await take()
            for share in taken:
                shares.give_back(share)
            again = await take()
        return [share.policy for share in (*taken, later, again)]

    *taken, later, again = asyncio.run(main())
    assert [p.max_total_tokens for p in taken] == [80_000] * 10
    assert [p.max_subcalls for p in taken] == [80] * 10
    assert later.max_total_tokens == 160_000
    assert later.max_cost_usd == pytest.approx(1.6)
    assert again.max_total_tokens > 600_000


def test_who_comes_when_others_have_all_waits_for_what_they_leave():
    async def main():
        budget = Budget(Policy(max_subcalls=10, max_total_tokens=None))
        shares = Shares(budget, Tally(Recorder()), NO_RECORD, lambda: True)
        async with AsyncExitStack() as stack:

            async def take(*scopes):
                return await stack.enter_async_context(shares.taken(scopes))

            first = await take("1.1", "1.2", "1.3", "1.4")
            late = [asyncio.create_task(take("1.5")), asyncio.create_task(take("1.6", "1.7"))]
            await asyncio.sleep(0.05)
            assert not any(task.done() for task in late)
            for share in first:
                shares.give_back(share)
            (one,), two = await asyncio.gather(*late)
            assert [share.policy.max_subcalls for share in (one, *two)] == [2, 2, 2]
            last = asyncio.create_task(take("1.8"))
            for share in (one, *two):
                agent = share.child(share.policy, as_subcalls=True)
                for purpose in ("root", "last"):
                    agent.settle(agent.reserve(purpose, prompt_tokens=1, max_tokens=1), Usage(), None)
                shares.give_back(share)
            return budget.left().subcalls, await last

    left, last = asyncio.run(main())
    assert (left, type(last[0])) == (4, Budget)


@pytest.mark.parametrize("backend", ["exec", "monty"])
@pytest.mark.parametrize("size", [3_000_000, 500_000])
def test_contexts_that_fill_the_pipe_are_divided_together(backend, size, monkeypatch):
    counts = []
    monkeypatch.setattr(shares_module, "divide", lambda left, count: counts.append(count) or divide(left, count))
    code = f"r = await asyncio.gather(*[rlm_query('Sum up', context=str(i) * {size}) for i in range(12)])\nFINAL(r)"
    adapter = FakeAdapter(rules=[("You are a sub-agent", "FINAL: ok"), ("", fenced(code))])
    result = RLM(adapter, repl_backend=backend, policy=Policy(max_subcalls=60)).run("q?", "text")
    assert result.value == ["ok"] * 12
    assert counts == [12]


def test_a_batch_that_is_half_served_waits_for_nobody():
    async def main():
        shares = Shares(Budget(Policy(max_subcalls=5)), Tally(Recorder()), NO_RECORD, lambda: True)
        async with asyncio.timeout(10), shares.taken(["1.1", "1.2", "1.3"]) as taken:
            return taken

    first, second, third = asyncio.run(main())
    assert (first.policy.max_subcalls, second.policy.max_subcalls) == (2, 2)
    assert isinstance(third, MaxSubcallsExceeded)


def test_a_shortage_names_the_limit_that_was_set():
    async def main():
        policy = Policy.only(max_subcall_tokens=20_000)
        shares = Shares(Budget(policy), Tally(Recorder()), NO_RECORD, lambda: True)
        async with shares.taken([f"1.{n}" for n in range(9)]) as taken:
            return taken[-1]

    refused = asyncio.run(main())
    assert isinstance(refused, MaxSubcallTokensExceeded)
    assert "max_subcall_tokens: what is left, 20,000 tokens" in str(refused)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3_000), st.integers(1, 3_000)), max_size=60))
def test_no_order_of_calls_takes_a_share_or_the_whole_past_its_limit(calls):
    whole = Budget(Policy(max_total_tokens=40_000, max_subcalls=50))
    shares = [whole.child(p) for p in divide(Left(calls=50, tokens=40_000), 4)]
    agents = [share.child(share.policy, as_subcalls=True) for share in shares]
    held = []
    for number, prompt, reply in calls:
        try:
            held.append((agents[number], agents[number].reserve("root", prompt_tokens=prompt, max_tokens=reply)))
        except PolicyError:
            continue
        if len(held) % 3 == 0:
            agent, reservation = held.pop(0)
            agent.settle(reservation, Usage(input_tokens=reservation.prompt_tokens // 2, output_tokens=1))
    for share in shares:
        meters = share.summary()
        for name in ("max_total_tokens", "max_subcalls"):
            assert meters[name]["used"] + meters[name]["reserved"] <= meters[name]["limit"]
    meters = whole.summary()
    assert meters["max_total_tokens"]["used"] + meters["max_total_tokens"]["reserved"] <= 40_000
    assert meters["max_steps"]["used"] == meters["max_steps"]["reserved"] == 0, "a sub-agent's steps are sub-calls here"


def test_an_endless_child_spends_its_share_and_the_others_answer():
    def child(messages):
        return endless(messages) if "number 3" in messages[1]["content"] else Reply(fenced("FINAL(len(P))"))

    with serve(child) as server:
        result = ask(server, Policy(max_total_tokens=400_000))
        served = len(server.requests)
    assert result.status == "answered"
    others = [value for n, value in enumerate(result.value) if n != 3]
    assert others == [1250] * 15
    assert result.value[3].startswith("best [incomplete: max_")
    used = sum(
        s.usage.total_tokens for s in result.trace.calls if s.kind == "sub_root_call" and "step" in (s.output or "")
    )
    assert used <= 400_000 * 0.8 / 16
    assert served == len(result.trace.calls)


@pytest.mark.parametrize(
    "policy",
    [
        Policy(max_total_tokens=70_000),
        Policy(max_total_tokens=None, max_cost_usd=0.06),
        Policy(max_total_tokens=None, max_subcalls=40),
        Policy(max_total_tokens=None, max_subcall_tokens=60_000),
    ],
)
def test_sixteen_endless_children_stay_within_the_limit(policy):
    with serve(endless) as server:
        result = ask(server, policy)
        served = len(server.requests)
        usage = sum(s.usage.total_tokens for s in result.trace.calls)
        children = sum(s.usage.total_tokens for s in result.trace.calls if s.depth == 1)
        cost = sum(s.cost_usd for s in result.trace.calls)
        time.sleep(0.2)
        assert len(server.requests) == served, "nothing goes on paying afterwards"
    assert served == len(result.trace.calls)
    assert usage <= (policy.max_total_tokens or usage)
    assert children <= (policy.max_subcall_tokens or children)
    assert cost <= (policy.max_cost_usd or cost)
    assert result.subcalls <= policy.max_subcalls
    assert result.subcalls == sum(s.depth == 1 for s in result.trace.calls)
    assert len(result.value) == 16
    assert all("[incomplete: max_" in v or v.startswith("[sub-call failed: max_") for v in result.value), result.value


def test_where_there_is_too_little_for_all_the_first_ones_run():
    with serve(lambda _: Reply(fenced("FINAL(len(P))"))) as server:
        result = ask(server, Policy(max_total_tokens=34_000))
    answered = [value for value in result.value if value == 1250]
    assert 4 <= len(answered) <= 6
    assert result.value[: len(answered)] == answered
    assert all("divided among 16 sub-agents" in value for value in result.value[len(answered) :])
    assert "max_total_tokens" in result.limits_met


def test_a_wrong_key_of_the_childrens_model_is_an_answer_too():
    with serve(None) as server, LoopbackServer([], api_key="right-key") as locked:
        children = OpenAICompatAdapter(
            "child", base_url=locked.url, api_key="sk-wrong-key-12345678901234567890", price=PRICE
        )
        result = ask(server, Policy(max_total_tokens=None), subagent_adapters=[children])
    assert all(value.startswith("[sub-call failed: ") for value in result.value)
    assert "12345678901234567890" not in str(result.value) + result.trace.to_json()


def test_a_price_that_is_not_known_is_refused_before_anything_is_spent():
    with serve(endless) as server:
        adapter = OpenAICompatAdapter("m", base_url=server.url, api_key="test-key", price=PRICE)
        children = OpenAICompatAdapter("nobody-knows", base_url=server.url, api_key="test-key")
        rlm = RLM(adapter, subagent_adapters=[children], policy=Policy(max_cost_usd=1.0))
        with pytest.raises(PriceUnknownError, match="nobody-knows"):
            rlm.run("q?", PIECES)
        assert not server.requests


def workers():
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # the thread has ended meanwhile
            found |= set((task / "children").read_text().split())
    return found


@pytest.mark.parametrize("backend", ["exec", "monty"])
def test_a_cancelled_run_leaves_no_child_behind(backend):
    asked = threading.Semaphore(0)

    def child(_):
        asked.release()
        return Reply("FINAL: never", delay=30)

    before = workers()
    with serve(child) as server:

        async def main():
            adapter = OpenAICompatAdapter("m", base_url=server.url, api_key="test-key")
            rlm = RLM(adapter, policy=Policy(max_total_tokens=None), repl_backend=backend)
            running = asyncio.create_task(rlm.arun("q?", PIECES))
            for _ in range(16):
                assert await asyncio.to_thread(asked.acquire, timeout=60)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            left = asyncio.all_tasks() - {asyncio.current_task()}
            return {task.get_coro().__qualname__ for task in left if "pyrlm" in str(task.get_coro())}

        assert not asyncio.run(main())
        served = len(server.requests)
        time.sleep(0.3)
        assert len(server.requests) == served
    if backend == "exec":  # Monty's workers belong to a pool, which outlives a run
        assert workers() <= before


def test_the_last_call_of_a_sub_agent_of_a_sub_agent_takes_not_the_one_kept_for_its_parent():
    share = Budget(Policy.only(max_subcalls=9)).child(Policy.only(max_subcalls=4), keeps_a_call=True)
    agent = share.child(share.policy, as_subcalls=True)
    below = agent.child(Policy.only(max_subcalls=2), keeps_a_call=True)
    deep = below.child(below.policy, as_subcalls=True)
    for _ in range(3):
        agent.reserve("subcall", prompt_tokens=1, max_tokens=9)
    with pytest.raises(PolicyError, match="max_subcalls=4"):
        deep.reserve("last", prompt_tokens=1, max_tokens=9)
    agent.reserve("last", prompt_tokens=1, max_tokens=9)


def test_shares_are_the_same_when_a_durable_run_is_repeated(tmp_path, monkeypatch):
    crashed = threading.Event()

    def model(body):
        if is_child(body["messages"]):
            return Reply(fenced("FINAL(len(P))"))
        if len(body["messages"]) == 2:
            return Reply(fenced(AGENTS))
        return Reply("FINAL_VAR: r") if crashed.is_set() else Status(400, "the host has crashed")

    def limits(trace):
        ends = [step for step in trace.of_kind("run_finished") if step.depth == 1]
        return sorted(step.data["budget"]["max_total_tokens"]["limit"] for step in ends)

    with LoopbackServer(model) as server:
        adapter = OpenAICompatAdapter("m", base_url=server.url, api_key="test-key")
        rlm = RLM(adapter, policy=Policy(max_total_tokens=70_000))
        with pytest.raises(ModelError, match="the host has crashed") as caught:
            rlm.run("q?", PIECES, checkpoint=tmp_path / "run.db")
        before, served = limits(caught.value.trace), len(server.requests)
        assert 10 <= len(before) < 16
        crashed.set()
        monkeypatch.setattr(shares_module, "_HANDED_ON", 0.5)
        result = rlm.resume(tmp_path / "run.db")
        assert len(server.requests) == served + 1
    assert limits(result.trace) == before
    assert [value for value in result.value if isinstance(value, int)] == [1250] * len(before)
