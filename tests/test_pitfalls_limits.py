"""Limits that hold, counted by the server that was paid; code that hangs, leaves or outlives its host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from openai_server import LoopbackServer, Reply, Status
from pitfalls import BACKENDS, PRICE, SUB, TEXT, adapter_of, descendants, gone, is_sub, last_user, python, wait_until

from pyrlm import RLM, Policy, SmartRouter, Trace
from pyrlm.adapters import FakeAdapter
from pyrlm.errors import ConfigurationError, InvalidRepliesExceeded, ModelError


class Till:
    """A model that fills each reply up to its cap, and adds up what it was asked and what it wrote."""

    def __init__(self, code, *, usage=True, final="FINAL: done"):
        self.code, self.usage, self.final = code, usage, final
        self.usd, self.tokens, self.subcalls, self.lock = 0.0, 0, 0, threading.Lock()

    def __call__(self, body):
        sub = is_sub(body)
        given = sum(len(message["content"]) for message in body["messages"]) // 4 + 1
        text = self.code if not sub and len(body["messages"]) == 2 else self.final
        written = body["max_tokens"] if sub else len(text) // 4 + 1
        with self.lock:
            self.usd += given / 1e6 * PRICE.input_usd_per_mtok + written / 1e6 * PRICE.output_usd_per_mtok
            self.tokens += given + written
            self.subcalls += sub
        usage = {"prompt_tokens": given, "completion_tokens": written, "total_tokens": given + written}
        return Reply("x " * (written * 2) if sub else text, usage=usage if self.usage else None, delay=0.01)


FAN_OUT = {
    "eight at once": ("a = llm_batch([P[:400] + str(n) for n in range(64)])\nprint(len(a))", 8),
    "sixteen at once": ("a = llm_batch([P[:400] + str(n) for n in range(64)])\nprint(len(a))", 16),
    "one after another": ("for n in range(64):\n    a = llm_query(P[:400] + str(n))\nprint(n)", 4),
    "gathered": (
        "import asyncio\na = await asyncio.gather(*(llm_query(P[:400] + str(n)) for n in range(64)))\nprint(len(a))",
        16,
    ),
}


@pytest.mark.parametrize("form", FAN_OUT)
def test_what_the_server_was_paid_stays_inside_the_money(form):
    (code, at_once), limit = FAN_OUT[form], 0.2
    till = Till(python(code))
    with LoopbackServer(till) as server:
        result = RLM(
            adapter_of(server, price=PRICE),
            subcall_adapter=adapter_of(server, price=PRICE),
            policy=Policy(max_cost_usd=limit),
            max_tokens=200,
            subcall_max_tokens=150,
            max_concurrent_subcalls=at_once,
            on_limit="return",
        ).run("How long?", TEXT)
    assert limit / 2 < till.usd <= limit
    assert result.cost_usd == pytest.approx(till.usd)
    assert result.usage.total_tokens == till.tokens
    assert result.subcalls == till.subcalls
    assert "max_cost_usd" in result.limits_met


def test_tokens_hold_where_the_provider_counts_none():
    till = Till(python(FAN_OUT["sixteen at once"][0]), usage=False)
    with LoopbackServer(till) as server:
        result = RLM(
            adapter_of(server), policy=Policy(max_total_tokens=12_000), subcall_max_tokens=150, on_limit="return"
        ).run("How long?", TEXT)
    assert 6_000 < till.tokens <= 12_000
    assert result.usage.estimated
    assert 6_000 < result.usage.total_tokens <= 12_000


def test_a_money_limit_without_a_price_says_so_before_a_request():
    till = Till("FINAL: x")
    with LoopbackServer(till) as server, pytest.raises(ConfigurationError, match="price"):
        RLM(adapter_of(server, "unheard-of-model"), policy=Policy(max_cost_usd=0.45)).run("How long?", TEXT)
    assert till.tokens == 0


def test_the_next_run_begins_with_the_whole_policy():
    till = Till(python(FAN_OUT["sixteen at once"][0]))
    with LoopbackServer(till) as server:
        rlm = RLM(
            adapter_of(server, price=PRICE), policy=Policy(max_cost_usd=0.2), subcall_max_tokens=150, on_limit="return"
        )
        first, second = rlm.run("How long?", TEXT), rlm.run("How long?", TEXT)
    assert second.subcalls >= first.subcalls > 0
    assert first.cost_usd <= 0.2 >= second.cost_usd


# Nothing paid for is lost


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_server_that_refuses_from_some_call_on_loses_nothing(status, tmp_path):
    gone = Status(status, "no more", headers={"x-should-retry": "false"})
    path = tmp_path / "trace.jsonl"

    def model(body):
        return gone if len(body["messages"]) > 2 else python("found = [P[:29]]\nprint(found)")

    with LoopbackServer(model) as server:
        adapter = adapter_of(server, retry_seconds=0)
        with pytest.raises(ModelError) as caught:
            RLM(adapter, trace_path=path).run("How long?", TEXT)
        returned = RLM(adapter, on_limit="return").run("How long?", TEXT)
        routed = SmartRouter(adapter).run("How long?", TEXT, route="rlm")
    for result in (caught.value.result, returned, routed):
        assert result.usage.total_tokens > 0
        assert result.status == "error"
        assert result.trace.of_kind("repl_exec")[0].stdout == "['The warranty lasts 24 months.']\n"
    assert caught.value.result.variables[0].name == "found"
    assert len(Trace.from_json(path.read_text())) == len(caught.value.trace)


def test_replies_that_are_of_no_use_end_the_run_with_all_that_it_had():
    script = [python("found = P[:29]\nprint(found)"), "Hm.", "", "I think so.", "Let me think about it more."]
    adapter = FakeAdapter(script)
    with pytest.raises(InvalidRepliesExceeded) as caught:
        RLM(adapter).run("How long?", TEXT)
    trace = caught.value.trace
    assert [step.output for step in trace.of_kind("root_call")] == script
    assert "24 months" in trace.of_kind("repl_exec")[0].stdout
    assert caught.value.result.usage.total_tokens == sum(
        step.usage.total_tokens for step in trace.of_kind("root_call", "last_call")
    )
    for call in (2, 3, 4):
        assert "```python" in last_user(adapter, call)
        assert "FINAL:" in last_user(adapter, call)


# Code that hangs, leaves, or outlives its host

ENDLESS = {
    "a loop": "while True: pass",
    "a loop that swallows": "while True:\n    try:\n        while True: pass\n    except: pass",
    "finally": "def f():\n    try:\n        while True: pass\n    finally:\n        f()\nf()",
    "sleep": "import time\ntime.sleep(600)",
    "a loop in C": "sum(range(10**12))",
    "one operation": "len(str(7 ** 10 ** 8))",
    "a regular expression": "re.match(r'(a+)+$', 'a' * 60 + 'b')",
    "calls that swallow": "while True:\n    try:\n        llm_query('q')\n        while True: pass\n    except BaseException: pass",
}


@BACKENDS
@pytest.mark.parametrize("form", ENDLESS)
def test_code_without_end_costs_one_step(backend, form):
    adapter = FakeAdapter([python(ENDLESS[form]), python("print(6 * 7)"), "FINAL: 42"], rules=[(SUB, "yes")])
    result = RLM(adapter, repl_backend=backend, repl_timeout=0.6, policy=Policy(max_subcalls=5)).run("q", TEXT)
    assert result.output == "42"
    assert result.trace.of_kind("repl_exec")[0].error
    assert last_user(adapter) == "Output:\n42\n"


@BACKENDS
def test_time_is_limited_in_a_thread_too(backend):
    adapter = FakeAdapter([python("while True: pass"), "FINAL: 42"])
    results = []
    rlm = RLM(adapter, repl_backend=backend, repl_timeout=0.4)
    thread = threading.Thread(target=lambda: results.append(rlm.run("q", TEXT)))
    thread.start()
    thread.join(60)
    assert results[0].output == "42"


@BACKENDS
@pytest.mark.parametrize(
    "leaving",
    ["import sys\nsys.exit(3)", "raise SystemExit(2)", "raise SystemExit('bye')", "exit()", "quit()", "raise KeyboardInterrupt"],
)  # fmt: skip
def test_code_that_leaves_costs_a_step_and_keeps_its_variables(backend, leaving):
    adapter = FakeAdapter([python(f"kept = [1, 2]\n{leaving}"), python("print(kept)"), "FINAL: 2"])
    result = RLM(adapter, repl_backend=backend).run("q", TEXT)
    assert leaving.split()[-1].partition("(")[0].rpartition(".")[2] in result.trace.of_kind("repl_exec")[0].error
    assert "nternal error" not in result.trace.of_kind("repl_exec")[0].error
    assert last_user(adapter) == "Output:\n[1, 2]\n"
    assert result.output == "2"


HOST = """
import sys
from pyrlm import RLM
from pyrlm.adapters import FakeAdapter
code = "```python\\nwhile True:\\n    try:\\n        while True: pass\\n    except BaseException: pass\\n```"
RLM(FakeAdapter([code, "FINAL: x"]), repl_backend=sys.argv[1], repl_timeout=300).run("q", "text")
"""


@BACKENDS
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_a_host_that_is_killed_leaves_nothing_that_spins(backend, how):
    host = subprocess.Popen([sys.executable, "-c", HOST, backend])
    try:
        busy = {}
        assert wait_until(lambda: busy.update(descendants(host.pid)) or max(busy.values(), default=0) > 8), (
            "no code runs"
        )
    finally:
        host.send_signal(how)
        host.wait(30)
    assert wait_until(lambda: gone(busy))


@BACKENDS
def test_nothing_spins_after_a_time_out(backend):
    before = set(descendants(os.getpid()))
    adapter = FakeAdapter([python(ENDLESS["a loop that swallows"]), "FINAL: 42"])
    assert RLM(adapter, repl_backend=backend, repl_timeout=0.3).run("q", TEXT).output == "42"

    def ticks():
        return sum(used for pid, used in descendants(os.getpid()).items() if pid not in before)

    assert wait_until(lambda: not (first := ticks()) or (time.sleep(0.2), ticks() == first)[1])
