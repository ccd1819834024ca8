"""Sub-agents under limits and faults, counted by the server that was paid: money, one that fails, hangs, leaves, kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from openai_server import LoopbackServer, Reply, Stall, Status
from pitfalls import BACKENDS, PRICE, adapter_of, descendants, gone, is_sub, python, wait_until

from pyrlm import RLM, Policy
from pyrlm.adapters import FakeAdapter

CHILD = "You are a sub-agent"
BOOK = [f"Chapter {n}. The word of chapter {n} is w{n}x{n}. " + "filler text. " * 30 for n in range(64)]
FREE = Policy(max_total_tokens=None)


def is_child(body):
    return any(CHILD in message["content"] for message in body["messages"][:2])


def of_child(body):
    asked = next(message["content"] for message in body["messages"] if message["role"] == "user")
    return asked.partition("\n")[0].removeprefix("Question: ")


class Family:
    """A root that starts sub-agents, which each make a sub-call and answer; it counts what all of them were paid.

    `odd` gives replies for the questions of some of the sub-agents.
    """

    def __init__(
        self,
        code,
        *,
        child="a = llm_batch([P[:300] + str(n) for n in range(6)])\nFINAL(len(a) == 6)",
        odd=(),
        usage=True,
    ):
        self.code, self.child, self.odd, self.usage = code, child, dict(odd), usage
        self.usd, self.tokens, self.calls, self.lock = 0.0, 0, 0, threading.Lock()

    def text(self, body):
        if is_sub(body):
            return "x " * (2 * body["max_tokens"])
        if is_child(body):
            return python(self.child) if len(body["messages"]) == 2 else "FINAL: done"
        return python(self.code) if len(body["messages"]) == 2 else "FINAL: done"

    def __call__(self, body):
        if not is_sub(body) and is_child(body) and of_child(body) in self.odd:
            return self.odd[of_child(body)]
        text = self.text(body)
        given = sum(len(message["content"]) for message in body["messages"]) // 4 + 1
        written = min(len(text) // 4 + 1, body["max_tokens"])
        with self.lock:
            self.usd += given / 1e6 * PRICE.input_usd_per_mtok + written / 1e6 * PRICE.output_usd_per_mtok
            self.tokens += given + written
            self.calls += 1
        usage = {"prompt_tokens": given, "completion_tokens": written, "total_tokens": given + written}
        return Reply(text, usage=usage if self.usage else None, delay=0.005)


def answer(family, *, backend="exec", context=BOOK, policy=FREE, adapter=None, **options):
    with LoopbackServer(family) as server:
        options = {"max_tokens": 200, "subcall_max_tokens": 150, "on_limit": "return", **options}
        made = adapter_of(server, price=PRICE, retry_seconds=0)
        result = RLM(made, policy=policy, repl_backend=backend, **options).run("q?", context)
        after = server.count
        assert wait_until(lambda: server.in_flight == 0)
        assert server.count == after, "nothing goes on asking"
    return result, server


def printed(result):
    return [step.stdout for step in result.trace.of_kind("repl_exec") if step.depth == 0]


@pytest.mark.parametrize(("children", "limit"), [(8, 0.2), (8, 0.45), (16, 0.2), (16, 1.0), (48, 0.45)])
def test_what_all_sub_agents_were_paid_stays_inside_the_money(children, limit):
    code = f"r = rlm_query_batch([(f'part {{n}}', d) for n, d in enumerate(ctx.chunk_documents(1)[:{children}])])\nprint(len(r))"
    family = Family(code)
    result, _ = answer(family, policy=Policy(max_total_tokens=None, max_cost_usd=limit))
    assert 0 < family.usd <= limit
    assert result.cost_usd == pytest.approx(family.usd)
    assert result.usage.total_tokens == family.tokens
    assert printed(result)[0] == f"{children}\n"
    assert result.output


def test_where_the_money_is_too_little_for_all_the_first_ones_run():
    code = "r = rlm_query_batch([(f'part {n}', d) for n, d in enumerate(ctx.chunk_documents(1)[:16])])\nprint(r)"
    family = Family(code, child="print(P[:20])\nFINAL(len(P) > 0)")
    result, _ = answer(family, policy=Policy(max_total_tokens=None, max_cost_usd=0.3))
    told = printed(result)[0]
    assert told.startswith("[True, True")
    assert 2 <= told.count("True") < 16
    assert told.count("True") + told.count("[sub-call failed: max_cost_usd") == 16
    assert "max_cost_usd" in result.limits_met
    assert result.output == "done"


def test_each_call_of_a_family_is_counted_once():
    code = "r = rlm_query_batch([(f'part {n}', d) for n, d in enumerate(ctx.chunk_documents(1)[:6])])\nprint(r)"
    family = Family(code)
    result, server = answer(family)
    assert printed(result) == ["[True, True, True, True, True, True]\n"]
    assert result.usage.total_tokens == family.tokens
    assert result.cost_usd == pytest.approx(family.usd)
    assert len(result.trace.calls) == family.calls == server.count
    depths = result.costs.by_depth
    assert sum(cost.calls for cost in depths.values()) == server.count


def test_tokens_of_a_family_hold_where_the_provider_counts_none():
    code = "r = rlm_query_batch([(f'part {n}', d) for n, d in enumerate(ctx.chunk_documents(1)[:32])])\nprint(len(r))"
    family = Family(code, usage=False)
    answer(family, policy=Policy(max_total_tokens=60_000))
    assert 10_000 < family.tokens <= 60_000


ODD = {
    "refused by the provider": Status(400, "no such thing"),
    "down": Status(500, "gone", headers={"x-should-retry": "false"}),
    "never an answer": "Hmm, let me think.",
    "null content": Reply(None),
    "no JSON": {"nothing": "here"},
}


@pytest.mark.parametrize("how", ODD)
def test_one_sub_agent_that_fails_loses_no_other(how):
    code = "r = rlm_query_batch([(f'part {n}', d) for n, d in enumerate(ctx.chunk_documents(1)[:8])])\nprint(r)"
    result, _ = answer(Family(code, odd={"part 5": ODD[how]}))
    assert printed(result)[0].count("True") == 7
    assert printed(result)[0].count("[sub-call failed: ") + printed(result)[0].count("[incomplete: ") == 1
    assert result.output == "done"
    assert result.status == "answered"


CODES = {
    "hangs": "while True:\n    try:\n        while True: pass\n    except Exception: pass",
    "leaves": "import sys\nsys.exit(3)",
    "fills the memory": "x = 'a' * 10**13",
    "fails": "1 / 0",
    "answers with what can't cross": "FINAL(lambda: 1)",
}


@BACKENDS
@pytest.mark.parametrize("how", CODES)
def test_what_the_code_of_a_sub_agent_does_costs_it_a_step(backend, how):
    code = "r = rlm_query_batch([(f'part {n}', d) for n, d in enumerate(ctx.chunk_documents(1)[:3])])\nprint(r)"
    family = Family(code, child="FINAL('fine')", odd={"part 1": None})

    def model(body):
        if not is_sub(body) and is_child(body) and of_child(body) == "part 1":
            return python(CODES[how]) if len(body["messages"]) == 2 else "FINAL: mended"
        return family(body)

    result, _ = answer(model, backend=backend, repl_timeout=1.0)
    assert printed(result) == ["['fine', 'mended', 'fine']\n"]


def test_time_over_ends_the_family_with_an_answer_and_no_request():
    code = "r = rlm_query_batch([(f'part {n}', d) for n, d in enumerate(ctx.chunk_documents(1)[:8])])\nprint(r)"
    family = Family(code, child="FINAL('fine')", odd={"part 3": Stall(60)})
    result, _ = answer(family, policy=Policy(max_total_tokens=None, max_seconds=4))
    assert printed(result)[0].count("fine") == 7
    assert "max_seconds" in printed(result)[0]
    assert result.output == "done"


HOST = """
import sys
from pyrlm import RLM, Policy
from pyrlm.adapters import FakeAdapter
spin = "```python\\nwhile True:\\n    try:\\n        while True: pass\\n    except BaseException: pass\\n```"
start = "```python\\nr = rlm_query_batch([('q', d) for d in ctx.chunk_documents(1)])\\n```"
model = FakeAdapter(rules=[("You are a sub-agent", spin), ("", start)])
RLM(model, repl_backend=sys.argv[1], repl_timeout=300).run("q", ["one", "two", "three"])
"""


@BACKENDS
def test_a_host_that_is_killed_leaves_no_sub_agent_that_spins(backend):
    host = subprocess.Popen([sys.executable, "-c", HOST, backend])
    try:
        busy = {}
        assert wait_until(
            lambda: busy.update(descendants(host.pid)) or sum(ticks > 4 for ticks in busy.values()) >= 3, 60
        ), "no code runs"
    finally:
        host.send_signal(signal.SIGKILL)
        host.wait(30)
    assert wait_until(lambda: gone(busy))


@BACKENDS
def test_a_family_leaves_no_processes(backend):
    def once():
        lines = iter(
            [python("r = rlm_query_batch([('q', d) for d in ctx.chunk_documents(1)[:4]])\nprint(r)"), "FINAL: x"]
        )

        def reply(messages):
            return python("FINAL(len(P) > 0)") if CHILD in messages[1]["content"] else next(lines)

        return RLM(FakeAdapter(rules=[("", reply)]), policy=FREE, repl_backend=backend).run("q", BOOK)

    assert printed(once()) == ["[True, True, True, True]\n"]
    before = len(descendants(os.getpid()))
    for _ in range(3):
        once()
    assert wait_until(lambda: len(descendants(os.getpid())) <= before)
