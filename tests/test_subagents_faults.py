"""Sub-agents where something is odd: stages with few calls, models that are down, REPLs that raise, arguments of all kinds."""

from __future__ import annotations

import asyncio
import sys
import threading

import mcp_servers
import pytest
from pitfalls import BACKENDS, python

from pyrlm import RLM, Policy, SmartRouter
from pyrlm.adapters import FakeAdapter
from pyrlm.budget import Budget
from pyrlm.effects import NO_RECORD
from pyrlm.errors import ContextLengthError, ModelUnavailableError
from pyrlm.redact import register_secret
from pyrlm.repl import make_repl
from pyrlm.shares import Shares
from pyrlm.stages import Stage
from pyrlm.subcall_tally import Tally
from pyrlm.trace import Recorder

FREE = Policy.only()
TEXT = "The quick brown fox jumps over the lazy dog. " * 400
LINE = "rlm_query(query, context)"


def is_child(messages):
    return "You are a sub-agent" in messages[1]["content"]


def family(code, child, **options):
    """Return a model whose root runs `code` and then ends, and whose sub-agents say `child`, or run it where it is code."""

    def reply(messages):
        if "sub-LLM" in messages[0]["content"]:
            return "read"
        if is_child(messages):
            return child(messages) if callable(child) else python(child) if len(messages) == 2 else "FINAL: done"
        return python(code) if len(messages) == 2 else "FINAL: done"

    return FakeAdapter(rules=[("", reply)], **options)


def printed(code, child="FINAL(len(P))", context=TEXT, *, policy=FREE, **options):
    adapter = options.pop("adapter", None) or family(code, child)
    result = RLM(adapter, policy=policy, on_limit="return", **options).run("q?", context)
    (step,) = [step for step in result.trace.of_kind("repl_exec") if step.depth == 0]
    return f"{step.stdout}{step.error or ''}", result


@pytest.mark.parametrize("calls", [0, 1, 2, 3, 4, 5])
def test_the_prompt_speaks_of_sub_agents_where_one_is_possible(calls):
    adapter = family("print(rlm_query('q', P[:99]), llm_query('x'))", "FINAL(len(P))")
    told, result = printed("", adapter=adapter, policy=Policy.only(max_subcalls=calls))
    possible = calls > 2
    assert (LINE in adapter.calls[0].messages[0]["content"]) == possible
    assert told.startswith("99 read" if possible else "[sub-call failed: max_subcalls: what is left")
    assert result.subcalls <= calls
    assert ("use llm_query" in told) == (0 < calls < 3)
    assert ("] read" in told) == (0 < calls < 3), "too little for a sub-agent is not too little for a call"
    assert ("max_subcalls" in result.limits_met) == (not possible)


def test_too_little_for_sub_agents_does_not_end_a_run_that_goes_on_by_calls():
    lines = iter(
        [*[python(f"print({n}, rlm_query('q', P[:{n}9]))") for n in range(3)], python("print(llm_query('x'))")]
    )
    adapter = FakeAdapter(
        rules=[("", lambda m: "read" if "sub-LLM" in m[0]["content"] else next(lines, "FINAL: well read"))]
    )
    result = RLM(adapter, policy=Policy.only(max_subcalls=2)).run("q?", TEXT)
    assert (result.output, result.status, result.subcalls) == ("well read", "answered", 1)


def staged(code, subcalls, child="a = llm_batch(['x'] * 9)\nFINAL(len(a))"):
    adapter = family(code, child)
    rlm = RLM(adapter, policy=FREE)
    result = asyncio.run(rlm.arun("q?", TEXT, stages=[Stage(name="s", subcalls=subcalls)]))
    return result.trace.of_kind("repl_exec")[-1].stdout, result, adapter


@pytest.mark.parametrize(("subcalls", "agents"), [(2, 0), (3, 1), (8, 3)])
def test_calls_of_sub_agents_are_calls_of_the_stage(subcalls, agents):
    told, result, adapter = staged(
        "r = rlm_query_batch([('q', P[n:n + 99]) for n in range(5)])\nprint(r, llm_batch(['y'] * 9))", subcalls
    )
    assert len([call for call in adapter.calls if is_child(call.messages) and len(call.messages) == 2]) == agents
    assert result.subcalls <= subcalls
    assert told.count("this stage has") == 5 - agents
    assert f"this stage's {subcalls} sub-calls are used up" in told
    assert (LINE in adapter.calls[0].messages[0]["content"]) == (agents > 0)


def test_what_a_sub_agent_leaves_of_its_share_is_the_stages_again():
    told, result, _ = staged("for n in range(5):\n    print(rlm_query('q', P[:99 + n]))", 8, "FINAL(len(P))")
    assert told == "99\n100\n101\n102\n103\n"
    assert result.subcalls == 5


def test_a_later_stage_says_that_there_are_sub_agents():
    replies = iter(["FINAL: NO_ANSWER", python("print(rlm_query('q', P[:99]))"), "FINAL: done"])
    adapter = FakeAdapter(rules=[("", lambda m: python("FINAL(len(P))") if is_child(m) else next(replies))])
    result = SmartRouter(adapter, policy=FREE).run(
        "What is the code?", TEXT, route="rlm", profile="deterministic_first"
    )
    assert LINE not in adapter.calls[0].messages[0]["content"]
    assert LINE in adapter.calls[1].messages[-1]["content"]
    assert "99\n" in [step.stdout for step in result.trace.of_kind("repl_exec")]


def test_a_model_that_is_down_is_not_asked_by_hundreds_of_sub_agents():
    asked = []

    def down(_):
        asked.append(1)
        raise ModelUnavailableError("the model is down")

    code = "r = rlm_query_batch([('q', P[n:n + 99]) for n in range(200)])\nprint(len(r), r[-1])"
    told, _ = printed(code, subagent_adapters=[FakeAdapter(rules=[("", down)])], max_concurrent_subagents=4)
    assert told.startswith("200 [sub-call failed: not made, as 1")
    assert "sub-calls of this step failed in a row, the last by: the model is down" in told
    assert len(asked) <= 14


class Odd:
    """A REPL of the application's own that can't be started."""

    name = "odd"
    language_notes = ""

    async def start(self, setup):
        raise OSError("no host for the-key-of-this-test")

    async def close(self):
        """Nothing."""


def test_whatever_a_sub_agent_raises_costs_itself():
    register_secret("the-key-of-this-test")
    made = []

    def factory():
        made.append(1)
        return Odd() if len(made) == 3 else make_repl("exec")

    told, result = printed(
        "r = rlm_query_batch([('q', P[n:n + 99]) for n in range(4)])\nprint(r)", repl_backend=factory
    )
    assert told.count("99") == 3
    assert told.count("[sub-call failed: OSError: no host for ") == 1
    assert "the-key-of-this-test" not in told + result.trace.to_json()


def test_a_share_that_was_divided_while_its_caller_was_cancelled_comes_back():
    async def main():
        budget = Budget(Policy.only(max_total_tokens=100_000))
        shares = Shares(budget, Tally(Recorder()), NO_RECORD, lambda: True)

        async def take():
            async with shares.taken(["1.1"]):
                raise AssertionError("was cancelled")

        task = asyncio.create_task(take())
        await asyncio.sleep(0)
        shares._divide()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with shares.taken(["1.1"]) as (share,):
            return share.policy.max_total_tokens

    assert asyncio.run(main()) == 80_000


@BACKENDS
def test_a_long_query_without_a_context_is_the_sub_agents_text(backend):
    adapter = family("print(rlm_query('Count the letters.\\n' + P[:9_000]), rlm_query(P))", "FINAL(len(P))")
    told, _ = printed("", adapter=adapter, repl_backend=backend)
    assert told.startswith("9019 [sub-call failed: its context holds 100% of your own material")
    (first,) = [c.messages for c in adapter.calls if is_child(c.messages) and len(c.messages) == 2]
    assert "Count the letters." in first[1]["content"]
    assert len(first[1]["content"]) < 3_000


def test_a_long_query_leaves_the_index_open():
    class Corpus:
        def search(self, query, top_k=10, filters=None):
            return [{"doc_id": "a", "preview": "blue", "score": 1.0, "metadata": {}}]

        hybrid_search = search

        def get(self, doc_id):
            return {"doc_id": doc_id, "content": "blue", "metadata": {}}

    told, _ = printed(
        "print(rlm_query('word ' * 2_000))", "FINAL([es_search('x')[0]['doc_id'], len(P)])", retriever=Corpus()
    )
    assert told == "['a', 10000]\n"


@pytest.mark.parametrize("named", ["", ", model='other'"])
def test_a_prompt_that_the_provider_finds_too_long_becomes_a_sub_agent(named):
    def sub(messages):
        raise ContextLengthError("the prompt is too long")

    adapter = family(
        f"print(llm_query('Count: ' + P[:9_000]{named}), llm_query('Count: ' + P[:9_000], schema='int'{named}))",
        "FINAL(len(P))",
    )
    other = family("", lambda m: python("FINAL(-len(P))") if len(m) == 2 else "FINAL: x", model="other")
    refusing = FakeAdapter(rules=[("sub-LLM", sub), ("", lambda m: other.complete(m, 99, None).text)])
    told, result = printed(
        "",
        adapter=adapter,
        recursive_subcalls=True,
        subcall_adapter=FakeAdapter(rules=[("", sub)]),
        subcall_models={"other": refusing},
    )
    assert told == ("-9007 -9007\n" if named else "9007 9007\n")
    assert len(result.trace.of_kind("recursive_subcall")) == 2


@BACKENDS
@pytest.mark.parametrize(
    "given",
    [
        "functions=f",
        "functions=[f]",
        "functions={f}",
        "functions=fs",
        "functions='f'",
        "functions=[name]",
        "functions=[alias]",
        "functions=[each for each in fs]",
        "functions=['f']",
    ],
)
def test_functions_in_any_way_that_code_names_them(backend, given):
    code = f"def f(): return 7\nfs, name, alias = [f], 'f', f\nprint(rlm_query('q', 'x', {given}))"
    assert printed(code, "FINAL(f())", repl_backend=backend)[0] == "7\n"


@BACKENDS
def test_questions_may_be_data_in_a_batch_too(backend):
    code = (
        "print(rlm_query_batch([({'n': 1}, 'x'), {'query': [2], 'context': 'y'}]), rlm_query_batch([{'n': 3}], ['z']))"
    )
    assert printed(code, "FINAL(query)", repl_backend=backend)[0] == "[{'n': 1}, [2]] [{'n': 3}]\n"


def test_the_whole_of_ctx_is_no_text():
    assert (
        "expected a text, got ctx; hand over P, or a part: ctx.slice(start, end)" in printed("rlm_query('q', ctx)")[0]
    )


@BACKENDS
def test_threads_of_the_code_start_sub_agents(backend):
    code = (
        "import threading\nfound = []\n"
        "ts = [threading.Thread(target=lambda n=n: found.append(rlm_query('q', P[:90 + n]))) for n in range(6)]\n"
        "for t in ts: t.start()\nfor t in ts: t.join()\nprint(sorted(found))"
    )
    assert printed(code, repl_backend=backend)[0] == "[90, 91, 92, 93, 94, 95]\n"


@BACKENDS
def test_three_levels_of_batches_through_one_place_each(backend):
    child = (
        "try:\n    r = sum(rlm_query_batch([('q', p) for p in ctx.chunk(len(P) // 2 + 1)]))\n"
        "except NameError:\n    r = len(P)\nFINAL(r)"
    )
    code = "print(sum(rlm_query_batch([('q', p) for p in ctx.chunk(len(P) // 2 + 1)])), len(P))"
    told, result = printed(
        code, child, policy=Policy.only(max_recursion_depth=3), max_concurrent_subagents=1, repl_backend=backend
    )
    assert told == f"{len(TEXT)} {len(TEXT)}\n"
    assert len(result.trace.of_kind("recursive_subcall")) == 2 + 4 + 8


SERVER = {"command": sys.executable, "args": [mcp_servers.__file__, "stdio"], "required": True}


@BACKENDS
def test_a_server_that_is_passed_on_is_the_same_process_and_no_other_is_passed_on(backend):
    code = (
        "own = mcp_call('shop', 'stock', {'item': 'tea'})\n"
        "a = rlm_query('none', P[:900])\nb = rlm_query('shop', P[:900], tools=['shop'])\nprint(own == b[0], a, b[1:])"
    )

    def child(messages):
        asked = messages[1]["content"]
        if len(messages) > 2:
            return "FINAL: done"
        if "Question: shop" in asked:
            return python(
                "own = mcp_call('shop', 'stock', {'item': 'tea'})\n"
                "try:\n    mcp_call('other', 'stock', {'item': 'tea'})\nexcept Exception as e:\n    no = str(e)\n"
                "try:\n    more = rlm_query('deeper', P[:99], tools=['other'])\nexcept ValueError as e:\n    more = 'not passed on'\n"
                "FINAL([own, no, more, rlm_query('deeper', P[:99])])"
            )
        return python("try:\n    found = mcp_list_tools()\nexcept NameError:\n    found = 'no mcp'\nFINAL(found)")

    servers = {"shop": SERVER, "other": SERVER}
    policy = Policy.only(max_recursion_depth=2)
    told, result = printed(code, child, mcp_servers=servers, policy=policy, repl_backend=backend)
    assert told == "True no mcp [\"there is no MCP server 'other'; there are shop\", 'not passed on', 'no mcp']\n"
    assert len(result.trace.of_kind("mcp_server")) == 2


def test_no_more_sub_agents_at_once_than_the_option_says():
    here, most, lock = [], [], threading.Lock()

    def child(messages):
        with lock:
            here.append(1)
            most.append(len(here))
        threading.Event().wait(0.02)
        with lock:
            here.pop()
        return "FINAL: 1"

    printed("r = rlm_query_batch([('q', P[n:n + 99]) for n in range(12)])\nprint(r)", child, max_concurrent_subagents=3)
    assert max(most) <= 3
