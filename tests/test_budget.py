"""Limits hold: for calls in flight together, for money, for time, for parts of a run."""

import asyncio
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from pyrlm.adapters.base import Usage
from pyrlm.budget import Budget
from pyrlm.errors import (
    ConfigurationError,
    MaxCostExceeded,
    MaxSecondsExceeded,
    MaxStepsExceeded,
    MaxSubcallsExceeded,
    MaxSubcallTokensExceeded,
    MaxTokensExceeded,
    PolicyError,
    PriceUnknownError,
)
from pyrlm.policy import Policy
from pyrlm.pricing import Price

PRICE = Price(input_usd_per_mtok=2.5, output_usd_per_mtok=10.0, cached_input_usd_per_mtok=1.25)
FREE = Policy(max_steps=None, max_subcalls=None, max_total_tokens=None)


def used(inside: int, outside: int) -> Usage:
    return Usage(input_tokens=inside, output_tokens=outside)


class Flights(RuleBasedStateMachine):
    """Any order of reserve, settle and release keeps every limit and every count."""

    flights = Bundle("flights")

    @initialize(
        tokens=st.integers(0, 20_000),
        subcall_tokens=st.integers(0, 20_000),
        micros=st.integers(0, 100_000),
        steps=st.integers(1, 10),
        subcalls=st.integers(0, 30),
        kept=st.integers(0, 5_000),
    )
    def begin(self, tokens, subcall_tokens, micros, steps, subcalls, kept):
        self.policy = Policy(
            max_total_tokens=tokens,
            max_subcall_tokens=subcall_tokens,
            max_cost_usd=micros / 1e6,
            max_steps=steps,
            max_subcalls=subcalls,
        )
        self.budget = Budget(self.policy)
        self.budget.keep_back(tokens=kept, cost_usd=kept / 1e6)
        self.truth = {"tokens": 0, "subcall_tokens": 0, "cost": 0.0, "steps": 0, "subcalls": 0}
        self.open = {"root": 0, "subcall": 0}

    @rule(
        target=flights,
        kind=st.sampled_from(["root", "subcall", "direct", "last"]),
        prompt=st.integers(0, 3_000),
        cap=st.integers(1, 3_000),
    )
    def reserve(self, kind, prompt, cap):
        try:
            reservation = self.budget.reserve(kind, prompt_tokens=prompt, max_tokens=cap, price=PRICE)
        except PolicyError:
            return None
        assert 1 <= reservation.max_tokens <= cap
        if kind in self.open:
            self.open[kind] += 1
        return reservation

    @rule(reservation=consumes(flights), inside=st.floats(0, 1), outside=st.floats(0, 1))
    def settle(self, reservation, inside, outside):
        if reservation is None:
            return
        usage = used(int(reservation.prompt_tokens * inside), int(reservation.max_tokens * outside))
        self.budget.settle(reservation, usage, PRICE.cost(usage))
        self.truth["tokens"] += usage.total_tokens
        self.truth["cost"] += PRICE.cost(usage)
        if reservation.kind == "subcall":
            self.truth["subcall_tokens"] += usage.total_tokens
            self.truth["subcalls"] += 1
        self.truth["steps"] += reservation.kind == "root"
        if reservation.kind in self.open:
            self.open[reservation.kind] -= 1

    @rule(reservation=consumes(flights))
    def release(self, reservation):
        if reservation is not None:
            self.budget.release(reservation)
            self.budget.release(reservation)
            if reservation.kind in self.open:
                self.open[reservation.kind] -= 1

    @invariant()
    def no_limit_is_passed_and_every_count_is_true(self):
        if not hasattr(self, "budget"):
            return
        assert self.truth["tokens"] <= self.policy.max_total_tokens
        assert self.truth["subcall_tokens"] <= self.policy.max_subcall_tokens
        assert self.truth["cost"] <= self.policy.max_cost_usd + 1e-9
        assert self.budget.usage.total_tokens == self.truth["tokens"]
        assert self.budget.cost_usd == pytest.approx(self.truth["cost"], abs=1e-9)
        assert self.budget.steps == self.truth["steps"] + self.open["root"] <= self.policy.max_steps
        assert self.budget.subcalls == self.truth["subcalls"] + self.open["subcall"] <= self.policy.max_subcalls


test_flights = Flights.TestCase
test_flights.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)


@given(seed=st.integers(0, 2**32), limit=st.integers(100, 400_000))
@settings(max_examples=60, deadline=None)
def test_two_hundred_calls_in_flight_never_pass_a_limit(seed, limit):
    chance = random.Random(seed)
    sub = limit * chance.randint(1, 9) // 10
    budget = Budget(Policy(max_total_tokens=limit, max_subcall_tokens=sub, max_subcalls=150, max_cost_usd=limit * 4e-6))
    flights = []
    for _ in range(200):
        prompt, cap = chance.randint(0, 4_000), chance.randint(1, 2_000)
        try:
            flights.append(budget.reserve("subcall", prompt_tokens=prompt, max_tokens=cap, price=PRICE))
        except PolicyError:
            continue
    # The worst that can happen: every one of them uses all that it was allowed.
    for flight in flights:
        budget.settle(flight, used(flight.prompt_tokens, flight.max_tokens))
    assert budget.usage.total_tokens <= sub <= limit
    assert budget.left().subcall_tokens == sub - budget.usage.total_tokens
    assert budget.subcalls == len(flights) <= 150
    assert budget.cost_usd <= limit * 4e-6 + 1e-9
    assert budget.left().tokens == limit - budget.usage.total_tokens


def test_two_hundred_tasks_at_once_keep_the_limits():
    budget = Budget(Policy(max_total_tokens=50_000, max_subcalls=120))
    served, refused = [], []

    async def call(number):
        chance = random.Random(number)
        try:
            held = budget.reserve("subcall", prompt_tokens=chance.randint(50, 900), max_tokens=chance.randint(16, 900))
        except PolicyError as error:
            refused.append(error)
            return
        await asyncio.sleep(chance.random() / 100)
        if chance.random() < 0.1:
            budget.release(held)
            return
        usage = used(chance.randint(0, held.prompt_tokens), chance.randint(0, held.max_tokens))
        budget.settle(held, usage)
        served.append(usage)

    async def main():
        await asyncio.gather(*(call(number) for number in range(200)))

    asyncio.run(main())
    assert refused
    assert sum(usage.total_tokens for usage in served) == budget.usage.total_tokens <= 50_000
    assert budget.subcalls == len(served) <= 120
    assert budget.left().tokens == 50_000 - budget.usage.total_tokens


def test_threads_reserve_no_more_than_there_is():
    budget = Budget(Policy(max_total_tokens=10_000, max_subcalls=None))
    held = []

    def work():
        for _ in range(100):
            try:
                held.append(budget.reserve("subcall", prompt_tokens=30, max_tokens=20))
            except MaxTokensExceeded:
                return

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one.prompt_tokens + one.max_tokens for one in held) == 10_000
    for one in held:
        budget.release(one)
    assert budget.left().tokens == 10_000


def test_sequential_sub_calls_under_a_limit_stop_at_it():
    # A peer spent 12,220 tokens under a limit of 1,000 and counted 820.
    budget = Budget(Policy(max_total_tokens=1_000))
    for _ in range(30):
        try:
            held = budget.reserve("subcall", prompt_tokens=300, max_tokens=110)
        except MaxTokensExceeded:
            continue
        budget.settle(held, used(300, held.max_tokens))
    assert budget.usage.total_tokens == 820


def test_the_cap_is_cut_to_what_is_left_of_each_limit():
    tokens = Budget(Policy(max_total_tokens=500))
    assert tokens.reserve("direct", prompt_tokens=100, max_tokens=4_096).max_tokens == 400
    sub = Budget(Policy(max_subcall_tokens=300))
    assert sub.reserve("subcall", prompt_tokens=100, max_tokens=4_096).max_tokens == 200
    assert (
        Budget(Policy(max_subcall_tokens=300)).reserve("root", prompt_tokens=100, max_tokens=4_096).max_tokens == 4_096
    )
    money = Budget(Policy(max_cost_usd=0.01))
    held = money.reserve("direct", prompt_tokens=1_000, max_tokens=4_096, price=PRICE)
    assert held.max_tokens == 750
    assert PRICE.upper_cost(1_000, 750) <= 0.01 < PRICE.upper_cost(1_000, 751)


@pytest.mark.parametrize(
    ("policy", "kind", "error"),
    [
        (Policy(max_steps=1), "root", MaxStepsExceeded),
        (Policy(max_subcalls=1), "subcall", MaxSubcallsExceeded),
        (Policy(max_total_tokens=250), "direct", MaxTokensExceeded),
        (Policy(max_subcall_tokens=250), "subcall", MaxSubcallTokensExceeded),
        (Policy(max_cost_usd=0.0035), "direct", MaxCostExceeded),
    ],
)
def test_each_limit_has_its_own_error_and_says_its_numbers(policy, kind, error):
    budget = Budget(policy)
    budget.reserve(kind, prompt_tokens=100, max_tokens=100, price=PRICE)
    with pytest.raises(error) as caught:
        budget.reserve(kind, prompt_tokens=1_000, max_tokens=100, price=PRICE)
    message = str(caught.value)
    assert message.startswith(f"{error.limit}=")
    assert "reserved by calls in flight" in message
    assert "asks for" in message


def test_a_reply_too_short_to_be_worth_its_prompt_is_refused():
    budget = Budget(Policy(max_total_tokens=110))
    with pytest.raises(MaxTokensExceeded, match="reply of at least 16"):
        budget.reserve("direct", prompt_tokens=100, max_tokens=100)
    assert budget.reserve("direct", prompt_tokens=100, max_tokens=5).max_tokens == 5


def test_what_is_billed_above_the_reservation_is_counted():
    budget = Budget(Policy(max_total_tokens=1_000))
    held = budget.reserve("direct", prompt_tokens=100, max_tokens=100)
    budget.settle(held, used(900, 300))
    assert budget.usage.total_tokens == 1_200
    assert budget.left().tokens == 0
    assert budget.left().spent_share == pytest.approx(1.2)
    with pytest.raises(MaxTokensExceeded):
        budget.reserve("direct", prompt_tokens=0, max_tokens=1)


def test_a_reply_that_came_after_the_release_is_charged_and_a_second_settlement_refused():
    budget = Budget(Policy(max_total_tokens=1_000))
    held = budget.reserve("subcall", prompt_tokens=100, max_tokens=100)
    budget.release(held)
    assert budget.subcalls == 0
    budget.settle(held, used(10, 5))
    assert (budget.usage.total_tokens, budget.subcalls, budget.left().tokens) == (15, 1, 985)
    with pytest.raises(ConfigurationError, match="settled already"):
        budget.settle(held, used(10, 5))
    budget.release(held)
    assert budget.left().tokens == 985


def test_money_with_an_unknown_price_is_refused_before_anything_is_spent():
    budget = Budget(Policy(max_cost_usd=1.0))
    with pytest.raises(PriceUnknownError, match="Price\\(input_usd_per_mtok="):
        budget.reserve("root", prompt_tokens=10, max_tokens=10)
    assert budget.steps == 0


def test_cost_is_unknown_as_soon_as_one_price_is():
    budget = Budget(FREE)
    assert budget.cost_usd == 0.0
    budget.settle(budget.reserve("direct", prompt_tokens=9, max_tokens=9, price=PRICE), used(1_000, 100))
    assert budget.cost_usd == pytest.approx(0.0035)
    budget.settle(budget.reserve("direct", prompt_tokens=9, max_tokens=9), used(1_000, 100))
    assert budget.cost_usd is None


def test_ten_cents_three_times_fit_into_thirty():
    price = Price(input_usd_per_mtok=0.0, output_usd_per_mtok=1.0)
    budget = Budget(Policy(max_cost_usd=0.3, max_total_tokens=None))
    for _ in range(3):
        held = budget.reserve("direct", prompt_tokens=0, max_tokens=100_000, price=price)
        assert held.max_tokens == 100_000
        budget.settle(held, used(0, 100_000))
    with pytest.raises(MaxCostExceeded):
        budget.reserve("direct", prompt_tokens=0, max_tokens=1, price=price)


def test_the_last_call_has_what_was_kept_for_it():
    budget = Budget(Policy(max_total_tokens=1_000, max_steps=1, max_cost_usd=0.01))
    budget.keep_back(tokens=200, cost_usd=0.002)
    work = budget.reserve("root", prompt_tokens=100, max_tokens=4_096, price=PRICE)
    assert work.prompt_tokens + work.max_tokens == 800
    budget.settle(work, used(100, work.max_tokens), 0.008)
    with pytest.raises(MaxTokensExceeded, match="200 tokens kept for the last call"):
        budget.reserve("direct", prompt_tokens=10, max_tokens=10, price=PRICE)
    assert budget.left().last_tokens == 200
    last = budget.reserve("last", prompt_tokens=100, max_tokens=4_096, price=PRICE)
    assert last.max_tokens == 100
    budget.settle(last, used(100, 100))
    assert budget.usage.total_tokens == 1_000
    assert budget.steps == 1


def test_no_more_than_a_quarter_of_a_limit_is_kept_back():
    budget = Budget(Policy(max_total_tokens=1_000, max_cost_usd=0.01, max_seconds=8.0), clock=lambda: 0.0)
    budget.keep_back(tokens=50_000, cost_usd=1.0, seconds=60.0)
    left = budget.left()
    assert (left.tokens, left.cost_usd, left.seconds) == (750, 0.0075, 6.0)
    unlimited = Budget(FREE)
    unlimited.keep_back(tokens=50_000, cost_usd=1.0, seconds=60.0)
    assert unlimited.reserve("root", prompt_tokens=10**9, max_tokens=10**6).max_tokens == 10**6


def test_time_runs_out_for_all_but_the_last_call():
    now = [100.0]
    budget = Budget(Policy(max_seconds=10.0), clock=lambda: now[0])
    budget.keep_back(seconds=2.0)
    assert budget.seconds_left() == 8.0
    now[0] = 108.5
    with pytest.raises(MaxSecondsExceeded, match=r"max_seconds=10.0: 8.5 s are over, 2.0 s kept"):
        budget.check_time()
    with pytest.raises(MaxSecondsExceeded):
        budget.reserve("root", prompt_tokens=1, max_tokens=1)
    assert budget.seconds_left(last=True) == 1.5
    budget.reserve("last", prompt_tokens=1, max_tokens=1)
    now[0] = 111.0
    with pytest.raises(MaxSecondsExceeded):
        budget.reserve("last", prompt_tokens=1, max_tokens=1)


def test_waiting_is_worth_it_only_where_calls_in_flight_hold_the_room():
    budget = Budget(Policy(max_total_tokens=1_000))
    held = budget.reserve("subcall", prompt_tokens=800, max_tokens=100)
    with pytest.raises(MaxTokensExceeded):
        budget.reserve("subcall", prompt_tokens=300, max_tokens=50)
    assert budget.fits_when_idle("subcall", prompt_tokens=300, max_tokens=50)
    assert not budget.fits_when_idle("subcall", prompt_tokens=1_000, max_tokens=50)
    budget.settle(held, used(800, 0))
    assert not budget.fits_when_idle("subcall", prompt_tokens=300, max_tokens=50)


def test_a_policy_serves_any_number_of_runs():
    policy = Policy(max_total_tokens=100)
    first, second = Budget(policy), Budget(policy)
    first.settle(first.reserve("direct", prompt_tokens=50, max_tokens=50), used(50, 50))
    assert second.left().tokens == 100


def test_children_draw_on_the_parent_and_pass_neither_limit():
    # Peers: eight children made $1.20 of a limit of $0.20; recursion counted children twice.
    parent = Budget(Policy(max_total_tokens=10_000, max_subcalls=5))
    children = [parent.child(Policy(max_total_tokens=4_000, max_steps=2), as_subcalls=True) for _ in range(4)]
    spent = 0
    for child in children:
        for _ in range(3):
            try:
                held = child.reserve("root", prompt_tokens=1_000, max_tokens=1_500)
            except PolicyError:
                continue
            child.settle(held, used(1_000, held.max_tokens))
            spent += 1_000 + held.max_tokens
    assert parent.usage.total_tokens == spent <= 10_000
    assert sum(child.usage.total_tokens for child in children) == spent
    assert all(child.usage.total_tokens <= 4_000 and child.steps <= 2 for child in children)
    assert parent.subcalls == sum(child.steps for child in children) <= 5
    assert parent.steps == 0


def test_a_stage_has_a_share_of_its_own_kinds():
    run = Budget(Policy(max_subcalls=10, max_steps=5))
    stage = run.child(Policy(max_subcalls=1, max_steps=None))
    stage.settle(stage.reserve("root", prompt_tokens=1, max_tokens=1), used(1, 1))
    stage.settle(stage.reserve("subcall", prompt_tokens=1, max_tokens=1), used(1, 1))
    assert (run.steps, run.subcalls) == (1, 1)
    with pytest.raises(MaxSubcallsExceeded):
        stage.reserve("subcall", prompt_tokens=1, max_tokens=1)
    run.reserve("subcall", prompt_tokens=1, max_tokens=1)
    assert stage.left().steps == 4


def test_the_summary_tells_limits_and_use_in_json():
    budget = Budget(Policy(max_total_tokens=1_000, max_cost_usd=0.5), clock=lambda: 3.0)
    budget.settle(budget.reserve("root", prompt_tokens=100, max_tokens=10, price=PRICE), used(100, 10))
    summary = budget.summary()
    assert summary["max_total_tokens"] == {"limit": 1_000, "used": 110, "reserved": 0, "kept_back": 0}
    assert summary["max_cost_usd"] == {"limit": 0.5, "used": 0.00035, "reserved": 0.0, "kept_back": 0.0}
    assert summary["max_steps"]["used"] == 1


def test_impossible_numbers_are_named():
    with pytest.raises(ConfigurationError, match="max_tokens=0"):
        Budget(FREE).reserve("root", prompt_tokens=1, max_tokens=0)
