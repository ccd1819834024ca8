"""SmartRouter with tools: only code can call them, so that a question whose text would fit one call takes a loop."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from retrieval_corpus import DOCUMENTS
from test_router_decision import facts, route

from pyrlm import ExecutionProfile, Policy, RouterConfig, SmartRouter
from pyrlm.adapters import FakeAdapter
from pyrlm.errors import ConfigurationError
from pyrlm.retrievers import EmbeddedRetriever
from pyrlm.routers.decision import decide

MAIL = "Mail about order A-103. It was sent to the wrong address."
ASK = "```python\nprint(status('A-103'))\n```"
BACKENDS = ["exec", "monty"]


def status(order: str) -> str:
    """Say where an order is."""
    return f"{order} is on a ship"


def test_rule_13_a_loop_comes_before_the_one_call_that_can_not_use_tools():
    assert route("literal", 1_000, tools=True) == (13, "rlm", ("baseline",))
    assert route("literal", 20_000, tools=True) == (13, "rlm", ("baseline", "select"))
    assert route("literal", 60_000, tools=True) == (13, "rlm", ("select",))
    assert route("aggregate", 60_000, tools=True) == (10, "rlm", ("baseline",))
    assert route("literal", 1_000, tools=True, plan=True) == (4, "deterministic", ("rlm", "baseline"))
    assert route("literal", 1_000, tools=True, route="baseline") == (1, "baseline", ())
    threshold = RouterConfig(baseline_threshold=100_000)
    assert route("literal", 1_000, tools=True, config=threshold)[:2] == (13, "rlm")


def test_rule_13_without_a_text():
    nothing = {"tokens": None, "chars": 0}
    assert taken(**nothing) == (13, "rlm", ("refuse",))
    assert taken(retriever=True, **nothing) == (13, "rlm", ("retrieval", "retrieval_wide", "refuse"))
    assert taken(retriever=True, route="retrieval", **nothing) == (1, "retrieval", ())
    with pytest.raises(ConfigurationError, match="there is no text to answer from"):
        taken(**nothing, config=RouterConfig(root_can_code=False))
    with pytest.raises(ConfigurationError, match="route='baseline' needs a text"):
        taken(route="baseline", **nothing)
    with pytest.raises(ConfigurationError, match="look in a text"):
        taken(plan=True, **nothing)


def taken(config=None, **changes):
    decision = decide(replace(facts(), tools=True, **changes), config or RouterConfig())
    return decision.rule, decision.route, decision.escalation


def test_the_decision_says_why_and_what_would_change_it():
    decision = decide(facts(tools=True), RouterConfig())
    assert "only code can call tools" in decision.reasons[0]
    assert decision.would_flip == "without tools and MCP servers: baseline (rule 5)"
    assert decision.rejected["baseline"] == "next in order (1) if a signal of failure shows"
    without_text = decide(replace(facts(tools=True), tokens=None, chars=0), RouterConfig())
    assert without_text.rejected["baseline"] == without_text.rejected["select"] == "there is no text at hand"
    assert without_text.rejected["retrieval"] == "no retriever was given"
    assert without_text.would_flip == "a text (context=…) and no tools: its size and the query's kind decide"


def test_a_root_that_can_not_code_has_no_use_for_tools():
    assert route("literal", 1_000, tools=True, config=RouterConfig(root_can_code=False))[:2] == (5, "baseline")


def test_a_loop_that_costs_more_than_is_allowed_gives_way_to_the_call():
    decision = decide(facts(tools=True, policy=Policy(max_total_tokens=2_500)), RouterConfig())
    assert decision.route == "baseline"
    assert "over max_total_tokens" in decision.explain()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("context", [MAIL, {"mail": MAIL}, "", None])
def test_tools_are_called_whatever_the_size_of_the_text(backend, context):
    adapter = FakeAdapter([ASK, "FINAL: It is on a ship."])
    result = SmartRouter(adapter, tools=[status], repl_backend=backend).run("What became of the order?", context)
    assert (result.method, result.output, result.status) == ("rlm", "It is on a ship.", "answered")
    assert result.trace.of_kind("repl_exec")[-1].stdout == "A-103 is on a ship\n"


@pytest.mark.parametrize("query", ["How many orders are late?", "Which order is late?", "What became of the order?"])
def test_the_loop_of_a_short_text_asks_for_nothing_that_a_long_one_needs(query):
    adapter = FakeAdapter([ASK, "FINAL: It is on a ship."])
    result = SmartRouter(adapter, tools=[status]).run(query, MAIL)
    assert (result.output, len(result.trace.of_kind("root_call"))) == ("It is on a ship.", 2)


def test_a_profile_that_was_named_has_its_stages_all_the_same():
    adapter = FakeAdapter([ASK, "FINAL: It is on a ship.", "```python\nprint(llm_query('?'))\n```", "FINAL: A ship."])
    router = SmartRouter(adapter, subcall_adapter=FakeAdapter(rules=[("", "on a ship")]), tools=[status])
    result = router.run("What became of it?", MAIL, profile=ExecutionProfile.SEMANTIC_BATCHES)
    assert (result.output, len(result.trace.of_kind("root_call"))) == ("A ship.", 4)


def test_tools_and_an_index(tmp_path):
    with EmbeddedRetriever(tmp_path / "corpus.idx") as index:
        index.index(DOCUMENTS)
        code = "```python\nprint(status('A-103'), len(es_search('handshake')) > 0)\n```"
        router = SmartRouter(FakeAdapter([code, "FINAL: It is on a ship."]), retriever=index, tools=[status])
        result = router.run("What became of the order?")
    assert (result.method, result.output) == ("rlm", "It is on a ship.")
    assert result.trace.of_kind("repl_exec")[-1].stdout == "A-103 is on a ship True\n"


def test_mcp_servers_are_tools():
    servers = {"time": {"command": sys.executable, "args": [str(Path(__file__).with_name("mcp_servers.py")), "stdio"]}}
    adapter = FakeAdapter(["```python\nprint([s['name'] for s in mcp_list_tools()][:1])\n```", "FINAL: yes"])
    result = SmartRouter(adapter, mcp_servers=servers).run("Is there a server?")
    assert (result.method, result.output) == ("rlm", "yes")


def test_many_questions_share_a_text_and_have_tools():
    adapter = FakeAdapter(rules=[("A-103 is on", "FINAL: a ship"), ("", ASK)])
    router = SmartRouter(adapter, tools=[status])
    found = [item.result.output for item in router.run_many(["Where is it?", "What became of it?"], MAIL)]
    assert found == ["a ship", "a ship"]
