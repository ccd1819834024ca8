"""Both routes on a real model server. Asserted are protocol, usage, budget and refusals, never the quality of an answer."""

from __future__ import annotations

import pytest
from llama_server import llama  # noqa: F401 - a fixture

from pyrlm import RLM, Policy, RouterConfig, SmartRouter
from pyrlm.adapters import OpenAICompatAdapter
from pyrlm.errors import PolicyError

pytestmark = pytest.mark.xdist_group("llama")

SHORT = "The warranty lasts 24 months from delivery."
LONG = "\n".join(f"Clause {number}: nothing in particular is agreed here." for number in range(3_000)) + SHORT
LIMITS = Policy(max_steps=2, max_subcalls=2, max_total_tokens=20_000)


def adapter_for(server):
    return OpenAICompatAdapter("smollm2", base_url=server.url, api_key="test-key", context_window=2_048)


def test_the_direct_route_ends_with_true_usage(llama):  # noqa: F811
    router = SmartRouter(adapter_for(llama), policy=LIMITS, max_tokens=16)
    result = router.run("How long does the warranty last?", SHORT, escalate=False)
    assert result.decision.route == "baseline"
    assert result.usage.input_tokens > 0
    assert not result.usage.estimated
    assert result.trace.of_kind("direct_call")


def test_the_loop_ends_whatever_a_weak_model_replies(llama):  # noqa: F811
    router = SmartRouter(adapter_for(llama), policy=LIMITS, max_tokens=24)
    result = router.run("How long does the warranty last?", LONG, route="rlm")
    assert result.status in {"answered", "unanswered", "limit"}
    assert result.trace.of_kind("root_call", "last_call")
    assert result.tokens_used <= LIMITS.max_total_tokens


def test_a_prompt_that_the_server_refuses_as_too_long_goes_on_to_the_next_route(llama):  # noqa: F811
    claimed = RouterConfig(baseline_threshold=10_000_000)
    adapter = OpenAICompatAdapter("smollm2", base_url=llama.url, api_key="test-key", context_window=1_000_000)
    router = SmartRouter(adapter, config=claimed, policy=Policy(max_steps=1, max_total_tokens=None), max_tokens=16)
    result = router.run("How long does the warranty last?", LONG)
    assert result.attempts[0].route == "baseline"
    assert "long" in result.attempts[0].reason
    assert len(result.attempts) > 1


def test_a_budget_holds_on_true_usage(llama):  # noqa: F811
    with pytest.raises(PolicyError) as caught:
        RLM(adapter_for(llama), policy=Policy(max_total_tokens=1_500), max_tokens=16).run("What is it about?", LONG)
    assert caught.value.result.usage.total_tokens <= 1_500
