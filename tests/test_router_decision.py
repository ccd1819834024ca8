"""The decision: a pure function of facts. Each row of the table, and what must hold for any input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrlm.errors import ConfigurationError
from pyrlm.policy import Policy
from pyrlm.pricing import Price, Window
from pyrlm.routers.config import RouterConfig
from pyrlm.routers.decision import ROUTES, Facts, decide
from pyrlm.routers.prediction import RecordedRun, predict
from pyrlm.routers.profiles import ExecutionProfile
from pyrlm.routers.query_kinds import QueryKind
from pyrlm.tokens import TokenEstimate

KINDS = list(QueryKind)
WINDOW = Window(total_tokens=128_000, source="a table", date="2026-10-01")
PRICE = Price(input_usd_per_mtok=2.0, output_usd_per_mtok=8.0)


def estimate(low: int, high: int | None = None) -> TokenEstimate:
    high = low if high is None else high
    return TokenEstimate(low=low, high=high, best=(low + high) // 2, method="sampled", vocabulary="o200k_base")


def facts(kind="literal", tokens=1_000, high=None, **changes) -> Facts:
    base = Facts(
        kind=QueryKind(kind),
        tokens=estimate(tokens, high),
        chars=4 * tokens,
        query_tokens=20,
        window=WINDOW,
        price=PRICE,
        policy=Policy(max_total_tokens=None),
    )
    return replace(base, **changes)


def route(*args, config=None, **kwargs) -> tuple[int, str, tuple[str, ...]]:
    decision = decide(facts(*args, **kwargs), config or RouterConfig())
    return decision.rule, decision.route, decision.escalation


def test_rule_1_a_forced_route_is_taken_and_nothing_follows():
    assert route("aggregate", 50_000, route="select") == (1, "select", ())
    allowed = RouterConfig(escalate_forced=True)
    assert route("aggregate", 50_000, route="select", config=allowed) == (1, "select", ("rlm", "baseline"))


@pytest.mark.parametrize("name", ["baselin", "search", ""])
def test_a_route_that_does_not_exist_is_refused_with_those_that_do(name):
    with pytest.raises(ConfigurationError, match="baseline, select, deterministic, rlm, refuse"):
        decide(facts(route=name), RouterConfig())


def test_forcing_deterministic_needs_a_pattern():
    with pytest.raises(ConfigurationError, match=r"pattern=.* or marker="):
        decide(facts(route="deterministic"), RouterConfig())
    assert route(route="deterministic", plan=True)[:2] == (1, "deterministic")


def test_rule_3_without_a_text_the_error_says_what_to_pass():
    with pytest.raises(ConfigurationError, match=r"context=.*string or a list of strings"):
        decide(replace(facts(), tokens=None), RouterConfig())
    assert route(tokens=0) == (3, "refuse", ())


def test_rule_4_a_plan_needs_no_model_where_the_profile_allows_it():
    assert route("literal", 50_000, plan=True) == (4, "deterministic", ("select", "rlm"))
    assert route("literal", 50_000, plan=True, profile=ExecutionProfile.SEMANTIC_BATCHES)[1] == "rlm"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("profile", [None, *ExecutionProfile])
def test_rule_5_a_small_text_is_one_call_in_every_profile(kind, profile):
    assert route(kind, 3_000, 4_000, profile=profile) == (5, "baseline", ("rlm",))


@pytest.mark.parametrize("kind", KINDS)
def test_rules_6_and_7_beyond_the_window_is_a_loop(kind):
    usable = 128_000 - 4_096 - 400 - 20
    assert route(kind, usable + 1) == (6, "rlm", ("refuse",))
    assert route(kind, usable, usable + 1) == (7, "rlm", ("refuse",))
    assert route(kind, usable, usable)[0] > 7
    weak = RouterConfig(root_can_code=False)
    assert route(kind, usable + 1, config=weak) == (6, "select", ("refuse",))


def test_rules_8_and_9_look_ups():
    assert route("literal", 32_000) == (8, "baseline", ("select", "rlm"))
    assert route("literal", 32_001) == (9, "select", ("rlm",))
    assert route("semantic", 8_000) == (8, "baseline", ("select", "rlm"))
    assert route("semantic", 8_001) == (9, "select", ("rlm",))
    small = Window(total_tokens=40_000)
    assert route("literal", 10_001, window=small) == (9, "select", ("rlm",))


@pytest.mark.parametrize("kind", ["aggregate", "classify_each", "multi_hop"])
def test_rule_10_the_whole_text_counts(kind):
    assert route(kind, 16_001) == (10, "rlm", ("baseline",))
    assert route(kind, 16_000)[1] == "baseline"


@pytest.mark.parametrize("kind", ["summarise", "unknown"])
def test_rule_11_the_rest(kind):
    assert route(kind, 64_000) == (11, "baseline", ("rlm",))
    assert route(kind, 64_001) == (11, "rlm", ("baseline",))


@pytest.mark.parametrize("profile", ["deterministic_first", "semantic_batches", "hybrid"])
def test_rule_12_a_named_profile_runs_its_stages(profile):
    assert route("literal", 5_000, profile=ExecutionProfile(profile)) == (12, "rlm", ("baseline",))
    assert route("literal", 5_000, profile=ExecutionProfile.VERIFY) == (8, "baseline", ("select", "rlm"))


def test_a_threshold_in_characters_overrules_every_other_size():
    config = RouterConfig(baseline_threshold=8_000)
    for tokens in (100, 10_000_000):  # what is estimated does not matter
        assert route("aggregate", tokens, chars=8_000, config=config)[:2] == (0, "baseline")
        assert route("aggregate", tokens, chars=8_001, config=config)[:2] == (0, "rlm")
        assert route("literal", tokens, chars=8_001, config=config)[:2] == (0, "select")
    assert decide(facts(chars=8_001), config).escalation == ("rlm",)
    assert "8,000" in decide(facts(chars=8_001), config).reasons[0]


def test_the_threshold_treats_all_scripts_alike():
    config = RouterConfig(baseline_threshold=8_000)
    chinese = facts("unknown", 9_000, chars=7_800)
    english = facts("unknown", 1_900, chars=7_800)
    assert decide(chinese, config).route == decide(english, config).route == "baseline"


def test_the_callers_window_overrules_what_is_known():
    assert route("summarise", 20_000, config=RouterConfig(context_window=16_000))[:2] == (6, "rlm")
    assert decide(facts(), RouterConfig(context_window=16_000)).limits[0].source == "caller"


def test_calibration_moves_the_estimate():
    assert route("semantic", 7_000)[1] == "baseline"
    assert route("semantic", 7_000, config=RouterConfig(calibration=1.5))[1] == "select"


def test_what_the_limits_rule_out_is_dropped_and_said():
    policy = Policy(max_total_tokens=10_000)
    decision = decide(facts("literal", 20_000, policy=policy), RouterConfig())
    assert decision.route == "select"
    assert "10,000" in decision.rejected["baseline"]
    assert "baseline" not in decision.escalation
    assert "higher limit" in decision.would_flip
    decision = decide(facts("aggregate", 20_000, policy=Policy(max_total_tokens=500)), RouterConfig())
    assert (decision.route, decision.limit) == ("refuse", "max_total_tokens")
    assert any("3,0" in reason for reason in decision.reasons), "it says what it would take"


def test_money_rules_routes_out_too_and_a_cached_prefix_is_cheaper():
    price = Price(input_usd_per_mtok=10.0, output_usd_per_mtok=10.0, cached_input_usd_per_mtok=1.0)
    given = facts("literal", 30_000, price=price, policy=Policy(max_cost_usd=0.1, max_total_tokens=None))
    assert decide(given, RouterConfig()).route == "select"
    assert decide(given, RouterConfig(prefix_cached=True)).route == "baseline"
    assert decide(given, RouterConfig(price=PRICE)).route == "baseline"


RUNS = tuple(
    RecordedRun(route="rlm", context_tokens=100_000, tokens=10_000 + 500 * n, cost_usd=0.02 + 0.001 * n)
    for n in range(40)
)


def test_costs_are_predicted_from_recorded_runs_alone():
    assert decide(facts(), RouterConfig()).predicted == {}
    assert decide(facts(), RouterConfig(recorded_runs=RUNS[:9])).predicted == {}
    decision = decide(facts(), RouterConfig(recorded_runs=RUNS))
    prediction = decision.predicted["rlm"]
    assert prediction.runs == 40
    assert prediction.tokens_p50 == 10_000 + 500 * 39 // 2
    assert prediction.cost_p50 == pytest.approx(0.0395)
    assert 0.02 < prediction.cost_p50 < prediction.cost_p95 < 0.06
    assert 0.7 < prediction.coverage < 1.0
    assert "of 40 recorded runs" in decision.explain()


def test_a_route_of_one_call_is_predicted_by_the_size_of_the_text():
    runs = [
        RecordedRun(route="baseline", context_tokens=size, tokens=size + 100) for size in range(1_000, 20_000, 1_000)
    ]
    assert predict("baseline", 100_000, runs, 10).tokens_p50 == pytest.approx(101_000, rel=0.02)


def test_a_dear_prediction_drops_a_route():
    dear = tuple(replace(run, cost_usd=5.0) for run in RUNS)
    policy = Policy(max_cost_usd=1.0, max_total_tokens=None)
    decision = decide(facts("aggregate", 20_000, policy=policy), RouterConfig(recorded_runs=dear))
    assert decision.route == "baseline"
    assert "$5.0000" in decision.rejected["rlm"]


def test_a_decision_explains_itself():
    decision = decide(facts("aggregate", 28_000, 31_000), RouterConfig())
    paragraph = decision.explain()
    assert "\n" not in paragraph
    assert str(decision) == paragraph
    for part in (
        "rule 10",
        "31,000",
        "16,000",
        "arXiv 2512.24601",
        "2025-12",
        "a table",
        "2026-10-01",
        decision.fingerprint,
    ):
        assert part in paragraph, part
    assert set(decision.rejected) == set(ROUTES) - {"rlm"}
    assert json.loads(json.dumps(decision.as_dict()))["tokens"]["high"] == 31_000


def test_what_would_flip_it_does():
    decision = decide(facts("aggregate", 20_000), RouterConfig())
    assert decision.would_flip.startswith("an upper estimate of 16,000 tokens")
    assert decide(facts("aggregate", 16_000), RouterConfig()).route in decision.would_flip
    decision = decide(facts("unknown", 100, chars=8_100), RouterConfig(baseline_threshold=8_000))
    assert decision.would_flip == "8,000 characters instead of 8,100: baseline"


def test_the_fingerprint_stands_for_the_configuration():
    assert RouterConfig().fingerprint() == RouterConfig().fingerprint()
    prints = {
        config.fingerprint()
        for config in (
            RouterConfig(),
            RouterConfig(soft_tokens=63_999),
            RouterConfig(recorded_runs=RUNS),
            RouterConfig(price=PRICE),
        )
    }
    assert len(prints) == 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"context_window": 0},
        {"baseline_threshold": -1},
        {"baseline_threshold": 8_000.0},
        {"direct_tokens": True},
        {"literal_window_share": 1.5},
        {"calibration": 0},
        {"window_overlap": 600},
        {"select_tokens": None},
    ],
)
def test_a_threshold_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        RouterConfig(**wrong)


SIZES = st.integers(1, 2_000_000)
CONFIGS = st.builds(
    RouterConfig,
    context_window=st.none() | st.integers(1_000, 1_000_000),
    direct_tokens=st.integers(0, 10_000),
    literal_tokens=st.integers(1, 100_000),
    semantic_tokens=st.integers(1, 50_000),
    aggregate_tokens=st.integers(1, 50_000),
    root_can_code=st.booleans(),
)
PROFILES = st.none() | st.sampled_from(list(ExecutionProfile))


@given(st.sampled_from(KINDS), SIZES, st.floats(1.0, 3.0), PROFILES, CONFIGS, st.booleans())
def test_one_call_is_never_taken_above_the_window(kind, low, spread, profile, config, plan):
    given_facts = facts(kind, low, int(low * spread), profile=profile, plan=plan)
    decision = decide(given_facts, config)
    window = config.context_window or WINDOW.total_tokens
    for taken in (decision.route, *decision.escalation):
        if taken == "baseline":
            assert given_facts.tokens.high < window


@given(st.sampled_from(KINDS), st.lists(SIZES, min_size=2, max_size=8), PROFILES, CONFIGS)
def test_a_text_that_grows_leaves_the_direct_call_once_and_for_all(kind, sizes, profile, config):
    routes = [decide(facts(kind, size, profile=profile), config).route for size in sorted(sizes)]
    direct = [taken == "baseline" for taken in routes]
    assert direct == sorted(direct, reverse=True), routes


@given(st.sampled_from(KINDS), SIZES, PROFILES, CONFIGS, st.booleans())
def test_the_same_input_gives_the_same_decision_and_every_route_is_accounted_for(kind, size, profile, config, plan):
    first = decide(facts(kind, size, profile=profile, plan=plan), config)
    assert first == decide(facts(kind, size, profile=profile, plan=plan), config)
    assert first.route in ROUTES
    assert first.route not in first.escalation
    assert len(set(first.escalation)) == len(first.escalation)
    assert set(first.rejected) | {first.route} == set(ROUTES)
    assert first.reasons
    assert first.would_flip
    json.dumps(first.as_dict())


@given(st.sampled_from(KINDS), SIZES, st.integers(0, 5_000_000), st.integers(0, 5_000_000), PROFILES)
def test_the_threshold_decides_alone(kind, size, chars, threshold, profile):
    decision = decide(
        facts(kind, size, chars=max(chars, 1), profile=profile), RouterConfig(baseline_threshold=threshold)
    )
    assert (decision.route == "baseline") == (max(chars, 1) <= threshold)
    if chars > threshold:
        assert "baseline" not in decision.escalation


def test_importing_the_decision_loads_nothing_heavy():
    code = (
        "import sys, pyrlm.routers.decision, pyrlm.routers.select, pyrlm.routers.deterministic; "
        "print([name for name in ('tantivy', 'tiktoken', 'openai', 'regex', 'numpy', 'pydantic', 'genai_prices') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ), check=True)
    assert out.stdout.strip() == "[]"
