"""Costs by model and by depth hold every paid call once, and their sum is what the budget counted."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrlm import RLM, Budget, Policy, SmartRouter, Trace
from pyrlm.adapters import FakeAdapter, ModelResponse
from pyrlm.adapters.base import Usage
from pyrlm.calls import Call, Caller
from pyrlm.costs import Cost, Costs
from pyrlm.errors import ModelError
from pyrlm.models import Model
from pyrlm.pricing import Price
from pyrlm.trace import Recorder

TEXT = "The warranty lasts 24 months.\nThe battery is not covered.\n" * 400
PRICES = [
    None,
    Price(input_usd_per_mtok=0.15, output_usd_per_mtok=0.6, cached_input_usd_per_mtok=0.075),
    Price(input_usd_per_mtok=1 / 3, output_usd_per_mtok=7.1),
]
UNLIMITED = Policy(max_steps=None, max_subcalls=None, max_total_tokens=None)


class Priced:
    """A model with a price of its own, that answers with the usage it is given and fails where there is none."""

    def __init__(self, number):
        self.model = f"model-{number}"
        self.price = PRICES[number]

    async def acomplete(self, messages, max_tokens, temperature, *, usage=None, **options):
        if usage is None:
            raise ModelError("out of order")
        return ModelResponse("ok", usage=usage)


usages = st.builds(
    lambda prompt, cached, reply: Usage(
        input_tokens=prompt, cached_input_tokens=min(prompt, cached), output_tokens=reply
    ),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.integers(0, 5_000),
)
calls = st.lists(
    st.tuples(
        st.integers(0, len(PRICES) - 1), st.integers(0, 3), st.none() | usages, st.sampled_from(["root", "subcall"])
    ),
    max_size=20,
)


async def made(plan, caller):
    for number, depth, usage, purpose in plan:
        at = caller
        for _ in range(depth):
            at = at.child(caller.budget, "agent", None)
        call = Call(
            messages=[{"role": "user", "content": "q"}],
            purpose=purpose,
            kind="root_call" if purpose == "root" else "subcall",
            max_tokens=10,
            options={"usage": usage},
        )
        try:
            await at.ask(Model(Priced(number)), call)
        except ModelError:
            assert usage is None


@settings(max_examples=60, deadline=None)
@given(calls)
def test_the_sum_is_what_the_budget_counted_to_the_last_digit(plan):
    recorder, budget = Recorder(), Budget(UNLIMITED)
    asyncio.run(made(plan, Caller(budget, recorder, None, 10)))
    costs = Costs.of(recorder.trace)
    for parts in (costs.by_model, costs.by_depth):
        whole = sum(parts.values(), Cost())
        assert whole.usage == budget.usage
        assert whole.cost_usd == budget.cost_usd
        assert whole.calls == sum(usage is not None for _, _, usage, _ in plan)
        assert whole.failed == sum(usage is None for _, _, usage, _ in plan)
        assert whole.unpriced == sum(usage is not None and PRICES[number] is None for number, _, usage, _ in plan)
    for number in range(len(PRICES)):
        own = [usage for model, _, usage, _ in plan if model == number and usage is not None]
        assert costs.by_model.get(f"model-{number}", Cost()).usage == sum(own, Usage())


@settings(max_examples=40, deadline=None)
@given(calls, st.integers(0, 20))
def test_costs_of_parts_add_up_to_those_of_the_whole(plan, cut):
    recorder = Recorder()
    asyncio.run(made(plan, Caller(Budget(UNLIMITED), recorder, None, 10)))
    steps = recorder.trace.steps
    whole = Costs.of(steps)
    assert Costs.of(steps[:cut]) + Costs.of(steps[cut:]) == whole
    assert sum([whole, whole], Costs()).total == whole.total + whole.total
    assert list((Costs.of(steps[:cut]) + Costs.of(steps[cut:])).by_model) == list(whole.by_model)
    assert Costs.of(Trace.from_json(recorder.trace.to_json())) == whole
    assert copy.deepcopy(whole) == pickle.loads(pickle.dumps(whole)) == whole
    json.dumps(whole.as_dict(), allow_nan=False)


def scripted(script=(), *, price=None, **options):
    adapter = FakeAdapter(list(script), **options)
    adapter.price = price
    return adapter


def rlm(**options):
    root = scripted(
        ["```python\nprint(llm_batch(['one', 'two', 'three']))\n```", "FINAL: 24 months"],
        model="root-model",
        price=Price(input_usd_per_mtok=2.0, output_usd_per_mtok=8.0),
    )
    sub = scripted(
        rules=[("You are a sub-LLM", "yes")],
        model="sub-model",
        price=Price(input_usd_per_mtok=0.1, output_usd_per_mtok=0.4),
    )
    return RLM(root, subcall_adapter=sub, **options)


def test_a_run_tells_what_each_model_has_cost():
    result = rlm().run("How long?", TEXT)
    costs = result.costs
    assert {name: cost.calls for name, cost in costs.by_model.items()} == {"root-model": 2, "sub-model": 3}
    assert {depth: cost.calls for depth, cost in costs.by_depth.items()} == {0: 5}
    assert costs.total.cost_usd == result.cost_usd > 0
    assert costs.total.usage == result.usage


def test_a_routed_run_adds_up_over_its_routes():
    cheap = Price(input_usd_per_mtok=2.0, output_usd_per_mtok=8.0)
    adapter = scripted(
        [
            "NO_ANSWER",
            "```python\nprint(ctx.find('battery')[0])\n```",
            "FINAL: It is not covered.",
            *["FINAL: NO_ANSWER"] * 9,
        ],
        model="root-model",
        price=cheap,
    )
    result = SmartRouter(adapter).run("Is the battery covered?", TEXT)
    assert len(result.attempts) > 1
    assert result.costs.total.usage == result.usage
    assert result.costs.total.cost_usd == result.cost_usd > 0
    assert result.as_dict()["costs"]["by_model"]["root-model"]["calls"] == result.costs.total.calls


def test_a_call_that_fails_is_told_apart():
    sub = FakeAdapter(rules=[("You are a sub-LLM", ModelError("down"))], model="sub-model")
    root = FakeAdapter(["```python\nprint(llm_query('one'))\n```", "FINAL: 24 months"], model="root-model")
    costs = RLM(root, subcall_adapter=sub).run("How long?", TEXT).costs
    assert (costs.by_model["sub-model"].calls, costs.by_model["sub-model"].failed) == (0, 1)
    assert "(+1 failed)" in str(costs)


def test_cache_hits_are_free(tmp_path):
    from pyrlm import DiskCache

    cache = DiskCache(tmp_path)
    first, second = rlm(cache=cache).run("How long?", TEXT), rlm(cache=cache).run("How long?", TEXT)
    assert first.costs.by_model["sub-model"].calls == 3
    assert "sub-model" not in second.costs.by_model


@pytest.mark.parametrize(
    ("cost", "shown"),
    [
        (Cost(), "$0.0000"),
        (Cost(calls=1, pico_usd=12 * 10**9), "$0.0120"),
        (Cost(calls=2, unpriced=2), "unknown"),
        (Cost(calls=3, pico_usd=12 * 10**9, unpriced=2), "$0.0120 + 2 calls of unknown price"),
    ],
)
def test_money_that_is_not_known_is_never_shown_as_none_spent(cost, shown):
    assert cost.shown == shown
    assert (cost.cost_usd is None) == (cost.unpriced > 0)


def test_the_table_has_a_row_for_each_model_and_depth_and_the_total():
    deep = Costs(
        {
            "big": Cost(calls=2, usage=Usage(input_tokens=1200, output_tokens=30), pico_usd=10**10),
            "small": Cost(calls=9, unpriced=9),
        },
        {
            1: Cost(calls=9, unpriced=9),
            0: Cost(calls=2, usage=Usage(input_tokens=1200, output_tokens=30), pico_usd=10**10),
        },
    )
    lines = [line.split()[:3] for line in str(deep).splitlines()]
    assert [line[0] for line in lines] == ["model", "big", "small", "depth", "0", "1", "total"]
    assert lines[1] == ["big", "2", "1,200"]
    assert lines[-1] == ["total", "11", "1,200"]
    assert len({len(line) for line in str(deep).splitlines()[:2]}) == 1
