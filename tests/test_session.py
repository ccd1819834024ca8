"""Several questions over one context and one REPL: real workers, a real HTTP server, scripted models."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai_server import LoopbackServer, Reply, Stall
from retrieval_corpus import DOCUMENTS

from pyrlm import RLM, Context, Conversation, Costs, DiskCache, Policy
from pyrlm.adapters import FakeAdapter, ModelResponse, OpenAICompatAdapter
from pyrlm.coverage import Coverage
from pyrlm.errors import (
    ConfigurationError,
    MaxCostExceeded,
    MaxSecondsExceeded,
    MaxStepsExceeded,
    MaxTokensExceeded,
    ModelError,
    PolicyError,
    ReplUnavailableError,
)
from pyrlm.lasting import binds
from pyrlm.pricing import Price
from pyrlm.repl import make_repl
from pyrlm.retrievers import EmbeddedRetriever

BACKENDS = ("exec", "monty")
TEXT = "The warranty lasts 24 months.\nThe battery is not covered.\nReturns go to Lyon.\n" * 40
MORE = "Since May, parcels go to Nantes instead.\nThe office in Lyon is closed.\n"


def python(code):
    return f"```python\n{code}\n```"


def last(adapter, call=-1):
    return adapter.calls[call].messages[-1]["content"]


class Counted:
    """A factory that keeps the REPLs that it has made."""

    def __init__(self, backend):
        self.backend = backend
        self.made = []
        self.starts = 0
        self.given = []

    def __call__(self):
        repl = make_repl(self.backend)
        start, give = repl.start, repl.give

        async def counted(setup):
            self.starts += 1
            await start(setup)
            pid = repl._process.pid if self.backend == "exec" else repl._thread.pid
            self.made.append(pid)

        async def noted(functions, variables):
            self.given.append(sorted(variables))
            await give(functions, variables)

        repl.start, repl.give = counted, noted
        return repl

    @property
    def alive(self):
        return [pid for pid in self.made if is_alive(pid)]


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(repls):
    for _ in range(200):
        if not repls.alive:
            return True
        time.sleep(0.01)
    return False


def prompts(adapter):
    """What the root model was sent, call by call."""
    return [call.messages for call in adapter.calls if "REPL" in call.messages[0]["content"]]


def each_prompt_begins_with_the_one_before(sent):
    assert len(sent) > 1
    for before, after in itertools.pairwise(sent):
        assert after[: len(before)] == before
        assert len(after) > len(before)
        roles = [message["role"] for message in after[1:]]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"], "roles alternate"
    return True


@pytest.mark.parametrize("backend", BACKENDS)
def test_findings_are_kept_in_one_worker_that_is_started_once(backend):
    repls = Counted(backend)
    adapter = FakeAdapter(
        [
            python(
                "hits = ctx.find('Lyon', max_results=None)\ndef count(word):\n    return P.count(word)\nprint(len(hits))"
            ),
            "FINAL: 40",
            python("print(hits[0][4], count('battery'))"),
            "FINAL: It is on line 3.",
            python("FINAL(len(hits) + count('warranty'))"),
        ]
    )
    with RLM(adapter, repl_backend=repls).session(TEXT) as session:
        one = session.ask("How many returns?")
        two = session.ask("Where is the first?")
        three = session.ask("And all together?")
        assert (repls.starts, len(repls.alive)) == (1, 1)
    assert gone(repls)
    assert [one.output, two.output, three.value] == ["40", "It is on line 3.", 80]
    assert last(adapter, 3).startswith("Output:\n3 40")
    assert each_prompt_begins_with_the_one_before(prompts(adapter))
    assert {variable.name for variable in three.variables} == {"hits", "count"}


def test_each_question_has_a_trace_a_usage_and_steps_of_its_own():
    adapter = FakeAdapter(
        [python("print(llm_query('one'))"), "FINAL: 1", "FINAL: 2"], rules=[("You are a sub-LLM", "yes")]
    )
    with RLM(adapter).session(TEXT) as session:
        one, two = session.ask("First?"), session.ask("Second?")
        assert session.costs == one.costs + two.costs
    assert (one.steps, one.subcalls, two.steps, two.subcalls) == (2, 1, 1, 0)
    for result in (one, two):
        assert result.costs.total.usage == result.usage
        kinds = [step.kind for step in result.trace]
        assert (kinds[0], kinds[-1], kinds.count("run_finished")) == ("run_started", "run_finished", 1)
        assert [step.step_id for step in result.trace] == list(range(1, len(kinds) + 1))
    assert [step.prompt for step in two.trace.of_kind("run_started")] == ["Second?"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_over_a_real_server_the_prefix_repeats_byte_for_byte(backend):
    def model(body):
        replies = sum(message["role"] == "assistant" for message in body["messages"])
        return (
            python(f"x{replies} = {replies}\nprint(sum(v for k, v in {{'a': x{replies}}}.items()))")
            if replies % 2 == 0
            else f"FINAL: {replies}"
        )

    async def main(url):
        adapter = OpenAICompatAdapter("m", base_url=url, api_key="k", context_window=100_000)
        async with RLM(adapter, repl_backend=backend).session(TEXT) as session:
            return [(await session.aask(f"Question {number}?")).output for number in range(4)]

    with LoopbackServer(model) as server:
        assert asyncio.run(main(server.url)) == ["1", "3", "5", "7"]
        sent = [body["messages"] for body in server.bodies]
    assert len(sent) == 8
    assert each_prompt_begins_with_the_one_before(sent)


def test_an_answer_that_the_model_has_not_seen_is_told_with_the_next_question():
    adapter = FakeAdapter([python("FINAL(P.count('Lyon'))"), "FINAL: forty", "FINAL: x"])
    with RLM(adapter).session(TEXT) as session:
        session.ask("How many?")
        session.ask("In words?")
        assert "was taken: 40" in last(adapter)
        session.ask("And now?")
        assert last(adapter) == "Next question: And now?", "it wrote that answer itself"


# Limits


def test_a_question_that_meets_its_limit_leaves_the_others_theirs():
    steps = [python(f"n = {number}\nprint(n)") for number in range(3)]
    adapter = FakeAdapter([*steps, "FINAL: about two", python("print(n)"), "FINAL: 2"])
    with RLM(adapter, policy=Policy(max_steps=3)).session(TEXT) as session:
        with pytest.raises(MaxStepsExceeded) as caught:
            session.ask("First?")
        assert caught.value.output == "about two"
        result = session.ask("Second?")
    assert (result.output, result.steps) == ("2", 2)
    told = adapter.calls[4].messages[-1]["content"]
    assert "ended: the limit max_steps was met. Best answer so far: about two" in told
    assert last(adapter).startswith("Output:\n2")
    roots = [call.messages for call in adapter.calls if "no more code runs" not in call.messages[-1]["content"]]
    assert each_prompt_begins_with_the_one_before(roots)


def test_a_limit_that_is_returned_leaves_the_session_usable_too():
    adapter = FakeAdapter([python("print(1)"), "no idea", "FINAL: 2"])
    with RLM(adapter, on_limit="return", policy=Policy(max_steps=1)).session(TEXT) as session:
        assert session.ask("First?").status == "limit"
        assert session.ask("Second?").output == "2"


def test_a_question_may_have_a_policy_of_its_own():
    adapter = FakeAdapter([python("print(1)"), "FINAL: cut", "FINAL: 2"])
    with RLM(adapter).session(TEXT) as session:
        with pytest.raises(MaxStepsExceeded):
            session.ask("First?", policy=Policy(max_steps=1))
        assert session.ask("Second?").steps == 1


def test_the_limits_of_the_session_hold_for_all_questions_together():
    adapter = FakeAdapter(itertools.repeat("FINAL: x"))
    with RLM(adapter).session(TEXT, policy=Policy.only(max_steps=3)) as session:
        for _ in range(3):
            session.ask("Again?")
        with pytest.raises(MaxStepsExceeded):
            session.ask("Again?")
    adapter = FakeAdapter(itertools.repeat("FINAL: x"))
    adapter.price = Price(input_usd_per_mtok=1000.0, output_usd_per_mtok=1000.0)
    spent = []
    with RLM(adapter, max_tokens=64).session(TEXT, policy=Policy.only(max_cost_usd=5.0)) as session:
        with pytest.raises(MaxCostExceeded):
            while True:
                spent.append(session.ask("Again?").cost_usd)
        assert sum(spent) <= session.costs.total.cost_usd <= 5.0
    assert len(spent) > 1


class Obedient:
    """Says its lines, none longer than it is allowed to, and counts what it says at four characters a token."""

    def __init__(self, lines):
        self.lines = iter(lines)

    def complete(self, messages, max_tokens, temperature=None):
        text = next(self.lines, "FINAL: no more")[: 4 * max_tokens]
        asked = sum(len(message["content"]) for message in messages) // 4
        return ModelResponse(text, usage={"prompt_tokens": asked, "completion_tokens": -(-len(text) // 4)})


@settings(max_examples=15, deadline=None)
@given(
    limit=st.integers(2_000, 30_000), own=st.integers(2_000, 30_000), replies=st.lists(st.integers(1, 300), max_size=8)
)
def test_no_sequence_of_questions_passes_the_limit_of_the_session_or_its_own(limit, own, replies):
    model = Obedient([f"FINAL: {'word ' * size}" for size in replies])
    with RLM(model, on_limit="return").session(TEXT, policy=Policy.only(max_total_tokens=limit)) as session:
        for _ in replies:
            with contextlib.suppress(PolicyError):
                result = session.ask("Again?", policy=Policy(max_total_tokens=own))
                assert result.usage.total_tokens <= own
        assert session.costs.total.usage.total_tokens <= limit


def test_time_counts_while_a_question_is_answered_and_not_between():
    adapter = FakeAdapter(itertools.repeat("FINAL: x"))
    started = time.monotonic()
    with RLM(adapter).session(TEXT, policy=Policy.only(max_seconds=60)) as session:
        session.ask("First?")
        time.sleep(0.3)
        session.ask("Second?")
        assert session._budget.elapsed <= time.monotonic() - started - 0.3


class Hangs:
    """A model that answers once, and then never again."""

    model, context_window = "hangs", 100_000

    def __init__(self):
        self.calls = 0

    async def acomplete(self, messages, max_tokens, temperature, **options):
        self.calls += 1
        if self.calls > 1:
            await asyncio.sleep(600)
        return ModelResponse("FINAL: x")


def test_the_time_of_the_session_is_shared_by_its_questions():
    with RLM(Hangs()).session(TEXT, policy=Policy.only(max_seconds=2)) as session:
        session.ask("First?")
        with pytest.raises(MaxSecondsExceeded):
            session.ask("Second?")


def test_costs_count_questions_that_failed():
    adapter = FakeAdapter([python("print(1)"), ModelError("down"), "FINAL: 2"])
    with RLM(adapter).session(TEXT) as session:
        with pytest.raises(ModelError) as caught:
            session.ask("First?")
        result = session.ask("Second?")
        assert session.costs == Costs.of(caught.value.trace) + result.costs
        assert session.costs.total.failed == 1
    assert "was ended: ModelError" in last(adapter)
    assert each_prompt_begins_with_the_one_before(prompts(adapter))


# What can go wrong


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_worker_that_dies_is_replaced_and_the_model_told(backend):
    repls = Counted(backend)

    def crash():
        os.kill(repls.made[-1], signal.SIGKILL)

    steps = [python("n = 7"), "FINAL: 7", python("crash()"), python("print('n' in SHOW_VARS(), len(P))"), "FINAL: gone"]
    adapter = FakeAdapter([*steps, python("print(len(P))"), "FINAL: 3200"])
    with RLM(adapter, repl_backend=repls, tools=[crash]).session(TEXT) as session:
        session.ask("First?")
        result = session.ask("Second?")
        assert result.output == "gone"
        assert len(result.trace.of_kind("repl_replaced")) == 1
        assert "variables: n" in adapter.calls[3].messages[-1]["content"]
        assert "False" in adapter.calls[4].messages[-1]["content"]
        crash()  # between two questions
        assert session.ask("Third?").output == "3200"
    assert gone(repls)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_question_cancelled_while_the_model_thinks_leaves_everything(backend):
    repls = Counted(backend)
    replies = [python("n = 7"), "FINAL: 7", Stall(60), python("print(n)"), "FINAL: 7"]

    async def main(server):
        adapter = OpenAICompatAdapter("m", base_url=server.url, api_key="k", context_window=100_000)
        async with RLM(adapter, repl_backend=repls).session(TEXT) as session:
            await session.aask("First?")
            cut = asyncio.create_task(session.aask("Second?"))
            while len(server.bodies) < 3:  # noqa: ASYNC110 - the server is in a thread of its own
                await asyncio.sleep(0.01)
            cut.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cut
            return await session.aask("Third?")

    with LoopbackServer(replies) as server:
        assert asyncio.run(main(server)).output == "7"
        sent = [body["messages"] for body in server.bodies]
    assert (repls.starts, repls.alive) == (1, [])
    assert "was ended: stopped by the application" in sent[3][-1]["content"]
    assert sent[4][-1]["content"].startswith("Output:\n7")
    assert each_prompt_begins_with_the_one_before(sent)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_question_cancelled_in_the_middle_of_code_gets_a_new_repl_and_says_so(backend):
    repls, reached = Counted(backend), threading.Event()

    def wait():
        reached.set()
        time.sleep(0.2)

    script = [
        python("n = 7"),
        "FINAL: 7",
        python("while True:\n    wait()"),
        python("print(len(P), 'n' in SHOW_VARS())"),
        "FINAL: x",
    ]
    adapter = FakeAdapter(script)

    async def main():
        async with RLM(adapter, repl_backend=repls, tools=[wait]).session(TEXT) as session:
            await session.aask("First?")
            cut = asyncio.create_task(session.aask("Second?"))
            await asyncio.to_thread(reached.wait, 30)
            cut.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cut
            return await session.aask("Third?")

    result = asyncio.run(main())
    assert result.output == "x"
    assert repls.alive == []
    told = adapter.calls[3].messages[-1]["content"]
    assert "stopped in the middle" in told
    assert "the variables: n" in told
    assert told.index("Next question: Third?") < told.index("stopped in the middle")
    assert last(adapter).startswith(f"Output:\n{len(TEXT)} False")
    assert [step.kind for step in result.trace][:2] == ["run_started", "repl_replaced"]


def test_code_that_a_time_limit_stops_is_like_code_that_was_cancelled():
    adapter = FakeAdapter([python("import time\ntime.sleep(9)"), "FINAL: x", python("print(1)"), "FINAL: 1"])
    with RLM(adapter, policy=Policy(max_seconds=3.0)).session(TEXT) as session:
        with pytest.raises(MaxSecondsExceeded):
            session.ask("First?")
        assert session.ask("Second?", policy=Policy()).output == "1"
    assert "REPL was started anew" in adapter.calls[-2].messages[-1]["content"]


def test_ctrl_c_stops_one_question():
    def interrupted(messages):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(1.0)
        return "FINAL: never"

    adapter = FakeAdapter([python("n = 7"), "FINAL: 7", interrupted, python("print(n)"), "FINAL: 7"])
    repls = Counted("exec")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell has started us with "&"
    try:
        with RLM(adapter, repl_backend=repls).session(TEXT) as session:
            session.ask("First?")
            with pytest.raises(KeyboardInterrupt):
                session.ask("Second?")
            assert session.ask("Third?").output == "7"
    finally:
        signal.signal(signal.SIGINT, before)
    assert (repls.starts, gone(repls)) == (1, True)


def test_a_repl_that_can_not_be_started_is_started_with_the_next_question():
    tries = []

    def factory():
        tries.append(make_repl("exec"))
        if len(tries) == 1:

            async def refuse(setup):
                raise ReplUnavailableError("no room")

            tries[0].start = refuse
        return tries[-1]

    adapter = FakeAdapter([python("print(len(P))"), "FINAL: x", python("print(len(P))"), "FINAL: y"], delay=0.05)
    with RLM(adapter, repl_backend=factory).session(TEXT) as session:
        with pytest.raises(ReplUnavailableError, match="no room"):
            session.ask("First?")
        assert session.ask("Second?").status == "answered"
    assert len(tries) == 2


def test_questions_from_several_threads_take_turns():
    busy, most = [], []

    def model(messages):
        busy.append(1)
        most.append(len(busy))
        time.sleep(0.02)
        busy.pop()
        return f"FINAL: {re.search(r'Number ([0-9])', messages[-1]['content']).group(1)}"

    adapter = FakeAdapter(itertools.repeat(model))
    outputs = {}
    with RLM(adapter).session(TEXT) as session:
        threads = [
            threading.Thread(target=lambda n=n: outputs.setdefault(n, session.ask(f"Number {n}").output))
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert outputs == {n: str(n) for n in range(6)}
    assert max(most) == 1
    assert each_prompt_begins_with_the_one_before(prompts(adapter))


def test_a_question_that_waits_for_its_turn_can_be_cancelled_or_finds_the_session_closed():
    async def main(server):
        adapter = OpenAICompatAdapter("m", base_url=server.url, api_key="k", context_window=100_000)
        async with RLM(adapter).session(TEXT) as session:
            first = asyncio.create_task(session.aask("First?"))
            while not server.bodies:  # noqa: ASYNC110 - the server is in a thread of its own
                await asyncio.sleep(0.01)
            waiting, late = (asyncio.create_task(session.aask(text)) for text in ("Second?", "Third?"))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert not first.done()
        with pytest.raises(ConfigurationError, match="was closed while"):
            await first
        with pytest.raises(ConfigurationError, match="is closed"):
            await late

    with LoopbackServer([Stall(60), "FINAL: x"]) as server:
        asyncio.run(main(server))
        assert len(server.bodies) == 1


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_question_from_within_a_question_is_an_error_and_no_deadlock(how):
    def sync_tool(text: str) -> str:
        return session.ask(text).output

    async def async_tool(text: str) -> str:
        return (await session.aask(text)).output

    tool = sync_tool if how == "sync" else async_tool
    adapter = FakeAdapter([python(f"{tool.__name__}('deeper')"), "FINAL: x"])
    with RLM(adapter, tools=[tool]).session(TEXT) as session:
        assert session.ask("First?").output == "x"
    assert "it would wait for ever" in last(adapter)


def test_a_session_that_is_not_open_says_what_to_do():
    rlm = RLM(FakeAdapter(itertools.repeat("FINAL: x")))
    session = rlm.session(TEXT)
    assert isinstance(session, Conversation)
    with pytest.raises(ConfigurationError, match="`with rlm"):
        session.ask("First?")
    with session:
        session.ask("First?")
    session.close()
    for use in (lambda: session.ask("Second?"), lambda: session.add("more")):
        with pytest.raises(ConfigurationError, match="is closed"):
            use()
    with pytest.raises(ConfigurationError, match="opened once"), session:
        pass


def test_a_session_belongs_to_the_loop_that_opened_it():
    rlm = RLM(FakeAdapter(itertools.repeat("FINAL: x")))
    with rlm.session(TEXT) as session, pytest.raises(ConfigurationError, match="another event loop"):
        asyncio.run(session.aask("First?"))

    async def main():
        async with rlm.session(TEXT) as own:
            with pytest.raises(ConfigurationError, match="another event loop"):
                await asyncio.to_thread(own.ask, "First?")
            return await own.aask("Second?")

    assert asyncio.run(main()).output == "x"


def test_closing_ends_the_question_that_is_being_answered():
    repls, errors = Counted("exec"), []
    with LoopbackServer([python("n = 1"), Stall(60)]) as server:
        adapter = OpenAICompatAdapter("m", base_url=server.url, api_key="k", context_window=100_000)
        session = RLM(adapter, repl_backend=repls).session(TEXT)

        def ask():
            try:
                session.ask("First?")
            except ConfigurationError as error:
                errors.append(str(error))

        with session:
            thread = threading.Thread(target=ask)
            thread.start()
            while len(server.bodies) < 2:
                time.sleep(0.01)
        thread.join(30)
    assert "was closed while" in errors[0]
    assert gone(repls)


def test_leaving_by_an_error_ends_the_worker():
    repls = Counted("exec")
    adapter = FakeAdapter([python("n = 7"), "FINAL: x"])
    with pytest.raises(ZeroDivisionError), RLM(adapter, repl_backend=repls).session(TEXT) as session:
        session.ask("First?")
        raise ZeroDivisionError
    assert (len(repls.made), gone(repls)) == (1, True)


@pytest.mark.parametrize("context", [7, b"bytes"])
def test_a_context_that_can_not_be_used_is_said_when_the_session_is_opened(context):
    with pytest.raises(ConfigurationError), RLM(FakeAdapter([])).session(context):
        pass


class Scenes:
    """A model that does what the scene of the moment asks for, and checks what it is told."""

    context_window = 100_000

    def __init__(self, backend):
        self.scene, self.number, self.names, self.repls = "", 0, set(), Counted(backend)
        self.entered = asyncio.Event()

    async def acomplete(self, messages, max_tokens, temperature, **options):
        roles = [message["role"] for message in messages[1:]]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        said = messages[-1]["content"]
        self.entered.set()
        if "no more code runs" in said or not said.startswith(("Question", "Next question")):
            return ModelResponse("FINAL: done")
        if "were lost" in said or "Lost: functions" in said:
            self.names.clear()
        if self.scene == "fail":
            raise ModelError("down")
        if self.scene == "hang":
            await asyncio.sleep(60)
        code = {"crash": "crash()", "loop": "while True: tick()"}.get(self.scene, f"v{self.number} = {self.number}")
        if self.scene == "ask":
            code += "\nassert " + (" and ".join(f"{name} == {name[1:]}" for name in sorted(self.names)) or "True")
            code += f"\nassert len(P) == {len(TEXT)}\nprint('held')"
        return ModelResponse(python(code))

    def crash(self):
        os.kill(self.repls.made[-1], signal.SIGKILL)

    async def tick(self):
        self.entered.set()
        await asyncio.sleep(0.005)


async def play(scenes, backend):
    model = Scenes(backend)
    rlm = RLM(
        model, repl_backend=model.repls, tools=[model.crash, model.tick], policy=Policy(max_steps=2), on_limit="return"
    )
    results = []
    async with rlm.session(TEXT) as session:
        for number, scene in enumerate(scenes):
            model.scene, model.number = scene, number
            if scene == "add":
                await session.aadd(MORE)
                continue
            model.entered.clear()
            asked = asyncio.create_task(session.aask("Go on?"))
            if scene in {"hang", "loop"}:
                await model.entered.wait()
                await asyncio.sleep(0.03)
                asked.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asked
            else:
                result = await asked
                results.append(result)
                if scene == "ask":
                    assert [step.stdout for step in result.trace.of_kind("repl_exec")] == ["held\n"]
                    model.names.add(f"v{number}")
                if scene == "crash":
                    model.names.clear()
            assert len(model.repls.alive) <= 1
        assert session.costs.total.calls + session.costs.total.failed >= len(results)
    assert gone(model.repls)
    return results


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=8, deadline=None)
@given(scenes=st.lists(st.sampled_from(["ask", "ask", "fail", "hang", "loop", "crash", "add"]), min_size=2, max_size=7))
def test_whatever_happens_between_two_questions_the_next_one_finds_what_it_was_told(backend, scenes):
    results = asyncio.run(play([*scenes, "ask"], backend))
    assert results[-1].output == "done"


# Contexts that are added


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_text_is_added_and_only_it_is_sent(backend):
    repls = Counted(backend)
    code = "print(P2[:9], len(P), n)\nhit = ctx2.find('Nantes')[0]\nprint(ctx2.slice(hit[0] - 3, hit[1]), ctx2.num_documents())"
    adapter = FakeAdapter([python("n = 7"), "FINAL: Lyon", python(code), "FINAL: Nantes"])
    with RLM(adapter, repl_backend=repls).session(TEXT) as session:
        session.ask("Where do returns go?")
        assert session.add([MORE, "A second document."]) == "P2"
        assert session.ask("And now?").output == "Nantes"
    assert repls.given == [["P2"]]
    assert repls.starts == 1
    assert last(adapter).startswith(f"Output:\nSince May {len(TEXT)} 7\nto Nantes 2")
    told = adapter.calls[2].messages[-1]["content"]
    assert "2 documents" in told
    assert "`P2`" in told
    assert "Since May, parcels" in told
    assert each_prompt_begins_with_the_one_before(prompts(adapter))


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_was_added_is_put_back_like_the_text_itself(backend):
    adapter = FakeAdapter(
        ["FINAL: x", python("P = P2 = ctx2 = 3"), python("print(P[:3], P2[:5], ctx2.find('Nantes')[0][2])"), "FINAL: y"]
    )
    with RLM(adapter, repl_backend=backend).session(TEXT) as session:
        session.ask("First?")
        session.add(MORE)
        session.ask("Second?")
    assert last(adapter).startswith("Output:\nThe Since Nantes")


@pytest.mark.parametrize("backend", BACKENDS)
def test_citations_and_coverage_reach_into_what_was_added(backend):
    quotes = ["The office in Lyon is closed.", "The battery is not covered."]
    adapter = FakeAdapter(["FINAL: x", python("print(P2)"), python(f"FINAL('closed', quotes={quotes!r})"), "FINAL: y"])
    with RLM(adapter, repl_backend=backend).session([TEXT, "Short."]) as session:
        assert session.ask("First?").coverage == 0.0
        session.add(Context.from_text(MORE, metadata={"source": "more.txt"}))
        result = session.ask("Is the office open?")
        assert session.ask("And?").coverage == pytest.approx(len(MORE) / (len(TEXT) + 6 + len(MORE)), abs=0.01)
        whole = session.context
    assert result.quotes_missing == ()
    in_more, in_text = result.citations
    assert (in_more.doc, in_more.source, in_text.doc) == (2, "more.txt", 0)
    for citation in result.citations:
        assert whole.texts[citation.doc][citation.start : citation.end] == citation.text
        assert whole.slice(citation.global_start, citation.global_start + len(citation.text)) == citation.text
    assert result.coverage == pytest.approx(len(MORE) / (len(TEXT) + 6 + len(MORE)), abs=0.01)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_was_added_is_there_after_a_crash_and_further_ones_get_further_names(backend):
    repls = Counted(backend)

    def crash():
        os.kill(repls.made[-1], signal.SIGKILL)

    code = "print(P2[:5], P3['a'], ctx2.find('Nantes')[0][2], ctx.num_documents())"
    adapter = FakeAdapter(["FINAL: x", python("crash()"), python(code), "FINAL: y"])
    with RLM(adapter, repl_backend=repls, tools=[crash]).session(TEXT) as session:
        session.ask("First?")
        assert [session.add(MORE), session.add({"a": [1, 2]})] == ["P2", "P3"]
        assert session.ask("Second?").output == "y"
    assert last(adapter).startswith("Output:\nSince [1, 2] Nantes 1")
    assert "`P3`" in adapter.calls[1].messages[-1]["content"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_added_before_the_first_question_is_told_with_it(backend):
    adapter = FakeAdapter([python("print(P2[:5], len(P))"), "FINAL: x"])
    with RLM(adapter, repl_backend=backend).session(TEXT) as session:
        session.add(MORE)
        assert session.ask("First?").output == "x"
    assert "`P2`" in adapter.calls[0].messages[1]["content"]
    assert last(adapter).startswith(f"Output:\nSince {len(TEXT)}")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_session_may_begin_without_a_context(backend):
    adapter = FakeAdapter(
        [python("print(2 ** 10)"), "FINAL: 1024", python("print(ctx2.find('Nantes')[0][4], len(P2))"), "FINAL: 1"]
    )
    with RLM(adapter, repl_backend=backend).session() as session:
        assert session.ask("How much is that?").coverage is None
        session.add(MORE)
        assert session.ask("Where?").output == "1"
        assert session.context.texts == (MORE,)
    assert "find(pattern" in adapter.calls[2].messages[-1]["content"], "there was no ctx whose methods it knows"
    adapter = FakeAdapter([python("print(len(P), ctx.num_documents())"), "FINAL: x"])
    with RLM(adapter, repl_backend=backend).session() as session:
        assert session.add(MORE) == "P"
        session.ask("First?")
    assert last(adapter).startswith(f"Output:\n{len(MORE)} 1")


@pytest.mark.parametrize("backend", BACKENDS)
def test_data_as_context_and_questions_as_data(backend):
    code = "print(query['want'], context[0]['year'], len(P))"
    adapter = FakeAdapter(
        [
            python("total = len(context)\nprint(total)"),
            "FINAL: 2",
            python(code),
            "FINAL: 1999",
            python("print(query)"),
            "FINAL: x",
            python("print(query)"),
            "FINAL: x",
        ]
    )
    with RLM(adapter, repl_backend=backend).session([{"year": 1999}, {"year": 2001}]) as session:
        session.ask("How many?")
        assert session.ask({"want": "first"}).output == "1999"
        session.ask("And now?")
        session.ask("And then?")
    assert adapter.calls[3].messages[-1]["content"].startswith("Output:\nfirst 1999 2")
    assert "`query`" in adapter.calls[2].messages[-1]["content"]
    assert adapter.calls[5].messages[-1]["content"].startswith("Output:\nAnd now?")
    assert last(adapter).startswith("Output:\nAnd then?")


def test_what_can_not_be_added_says_why():
    class Bare:
        """A backend of one's own without `give`."""

        name, language_notes = "bare", ""

        def __init__(self):
            self._inner = make_repl("exec")

        def __getattr__(self, name):
            if name == "give":
                raise AttributeError(name)
            return getattr(self._inner, name)

    adapter = FakeAdapter(["FINAL: x", "FINAL: y"])
    with RLM(adapter, repl_backend=Bare).session(TEXT) as session:
        session.ask("First?")
        with pytest.raises(ReplUnavailableError, match="'bare' has no give"):
            session.add(MORE)
        with pytest.raises(ConfigurationError, match="expected a text"):
            session.add(None)
        assert session.ask("Second?").output == "y"
        assert "P2" not in last(adapter)
        assert session.context.texts == (TEXT,)


# Options


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_schema_holds_for_its_question(backend):
    adapter = FakeAdapter(["FINAL: many", "FINAL: 40", "FINAL: [1, 2]", "FINAL: so many"])
    with RLM(adapter, repl_backend=backend).session(TEXT) as session:
        assert session.ask("How many?", output_schema=int).value == 40
        assert session.ask("Which?", output_schema=list[int]).value == [1, 2]
        assert session.ask("In words?").value == "so many"
    assert "JSON Schema" in adapter.calls[2].messages[-1]["content"]
    assert "does not hold for this one" in last(adapter)
    assert each_prompt_begins_with_the_one_before(prompts(adapter))


def test_the_cache_of_sub_calls_serves_all_questions(tmp_path):
    asked = python("print(llm_batch(['one', 'two']))")
    adapter = FakeAdapter([asked, "FINAL: 1", asked, "FINAL: 2"], rules=[("You are a sub-LLM", "yes")])
    with RLM(adapter, cache=DiskCache(tmp_path)).session(TEXT) as session:
        one, two = session.ask("First?"), session.ask("Second?")
    assert (one.subcalls, two.subcalls) == (2, 0)
    assert len(two.trace.of_kind("cache_hit")) == 2


def test_sub_calls_tools_and_sub_agents_belong_to_the_question_that_made_them():
    def price(item: str) -> int:
        """Tell a price."""
        return len(item)

    work = python("print(price('tea'), llm_query('one'), rlm_query('how long?', P[:100]))")
    rules = [("You are a sub-LLM", "yes"), ("Question: how long?", "FINAL: short")]
    adapter = FakeAdapter([work, "FINAL: 1", work, "FINAL: 2"], rules=rules)
    with RLM(adapter, tools=[price]).session(TEXT) as session:
        one, two = session.ask("First?"), session.ask("Second?")
    for result in (one, two):
        step = result.trace.of_kind("root_call")[0].step_id
        for kind in ("tool_call", "subcall", "recursive_subcall"):
            (made,) = result.trace.of_kind(kind)
            assert made.parent == step
        assert result.costs.by_depth[1].calls == 1
        assert result.costs.total.usage == result.usage


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    retriever = EmbeddedRetriever(tmp_path_factory.mktemp("corpus") / "corpus.idx")
    retriever.index(DOCUMENTS)
    return retriever


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("context", [None, TEXT], ids=["alone", "with a text"])
def test_what_was_read_of_an_index_can_be_cited_later(backend, context, corpus):
    quote = "version 1.3, obsoletes the older handshake"
    adapter = FakeAdapter(
        [
            python("hit = es_search('handshake')[0]\nprint(es_get('rfc/8446')['content'])"),
            "FINAL: x",
            python(f"FINAL('1.3', quotes=[{quote!r}])"),
        ]
    )
    with RLM(adapter, repl_backend=backend, retriever=corpus).session(context) as session:
        session.ask("First?")
        result = session.ask("Which version?")
    assert [citation.doc_id for citation in result.citations] == ["rfc/8446"]
    assert result.trace.of_kind("search") == [], "it was read with the first question"


def test_a_worker_that_dies_before_something_is_added_is_replaced_and_no_earlier_trace_changes():
    repls = Counted("exec")
    adapter = FakeAdapter([python("n = 7"), "FINAL: 7", python("print(len(P2))"), "FINAL: x"])
    with RLM(adapter, repl_backend=repls).session(TEXT) as session:
        first = session.ask("First?")
        events = len(first.trace)
        os.kill(repls.made[-1], signal.SIGKILL)
        session.add(MORE)
        second = session.ask("Second?")
    assert len(first.trace) == events
    assert len(second.trace.of_kind("repl_replaced")) == 1
    assert "the variables: n" in adapter.calls[2].messages[-1]["content"]
    assert last(adapter).startswith(f"Output:\n{len(MORE)}")


def test_an_mcp_server_lives_as_long_as_the_session():
    servers = {"shop": {"command": sys.executable, "args": [str(Path(__file__).parent / "mcp_servers.py"), "stdio"]}}
    code = python(
        "print(mcp_call('shop', 'environment', {}).get('PWD', 'none'), mcp_call('shop', 'stock', {'item': 'tea'}))"
    )
    adapter = FakeAdapter([code, "FINAL: x", code, "FINAL: y"])
    with RLM(adapter, mcp_servers=servers).session(TEXT) as session:
        one, two = session.ask("First?"), session.ask("Second?")
    for result in (one, two):
        assert len(result.trace.of_kind("tool_call")) == 2
        assert "'pieces': 7" in result.trace.of_kind("repl_exec")[0].stdout
    assert [step.reason for step in two.trace.of_kind("mcp_server")] == [], "it started with the first question"


@pytest.mark.short_history
@pytest.mark.parametrize("backend", BACKENDS)
def test_without_history_each_question_is_told_with_those_before(backend):
    adapter = FakeAdapter(
        ["FINAL: 40", python("print(1)"), python("print(P2[:5])"), "FINAL: 2", python("print(3)"), "FINAL: x"]
    )
    with RLM(adapter, repl_backend=backend, conversation_history=False).session(TEXT) as session:
        session.ask("How many?")
        session.add(MORE)
        session.ask("And where?")
        session.ask("And why?")
    for call in adapter.calls[1:4]:
        opening = call.messages[1]["content"]
        assert opening.startswith("Question: And where?")
        assert "- How many? → 40" in opening
        assert "`P2`" in opening
    assert "- And where? → 2" in adapter.calls[-1].messages[1]["content"]
    assert "`P2`" in adapter.calls[-1].messages[1]["content"]
    assert len({call.messages[0]["content"] for call in adapter.calls}) == 1


def test_compaction_tells_the_question_again():
    long = python("print('some words that take room ' * 60)")
    adapter = FakeAdapter([long, "FINAL: x", long, long, long, long, "FINAL: y"])
    with RLM(adapter, max_history_tokens=2_500).session(TEXT) as session:
        session.ask("First?")
        result = session.ask("What is the second thing?")
    assert result.trace.of_kind("compaction")
    assert "What is the second thing?" in json.dumps(adapter.calls[-1].messages)
    assert each_prompt_is_whole(adapter.calls[-1].messages)


def each_prompt_is_whole(messages):
    return [message["role"] for message in messages[1:]] == ["user", "assistant"] * ((len(messages) - 2) // 2) + [
        "user"
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_variable_of_an_earlier_question_ends_no_later_one(backend):
    adapter = FakeAdapter([python("answer = 1"), python("print(answer)"), python("answer = 1"), "FINAL: never"])
    with RLM(adapter, repl_backend=backend, auto_finalize_var="answer").session(TEXT) as session:
        assert session.ask("First?").value == 1
        second = session.ask("Second?")
    assert (second.value, second.steps) == (1, 2)


@pytest.mark.parametrize(
    ("code", "bound"),
    [
        ("x = 1", True),
        ("print(x)", False),
        ("for x in y: pass", True),
        ("x[0] = 1", False),
        ("await f(x := 2)", True),
        ("x =", False),
    ],
)
def test_what_gives_a_name_a_value(code, bound):
    assert binds([code], "x") is bound


def test_the_trace_file_names_the_question_in_each_line(tmp_path):
    path = tmp_path / "trace.jsonl"
    with RLM(FakeAdapter(["FINAL: x", "FINAL: y"]), trace_path=path).session(TEXT) as session:
        results = [session.ask("First?"), session.ask("Second?")]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["run"] for line in lines] == [1] * len(results[0].trace) + [2] * len(results[1].trace)


def test_the_root_model_is_not_asked_to_run_code_before_each_answer_but_may_be():
    adapter = FakeAdapter([python("print(1)"), "FINAL: 1", "FINAL: 2", python("print(2)"), "FINAL: 2"])
    with RLM(adapter, require_repl_before_final=True).session(TEXT) as session:
        session.ask("First?")
        assert session.ask("Second?").steps == 3, "code of an earlier question does not count"


def test_a_question_over_its_token_limit_is_refused_and_the_session_goes_on():
    adapter = FakeAdapter(["FINAL: x", "FINAL: y"])
    with RLM(adapter).session(TEXT) as session:
        with pytest.raises(MaxTokensExceeded):
            session.ask("First?", policy=Policy(max_total_tokens=100))
        assert session.ask("Second?").output == "x"


@given(st.lists(st.text(alphabet="ab\n", min_size=60, max_size=200), min_size=1, max_size=4), st.data())
@settings(max_examples=40, deadline=None)
def test_coverage_that_is_continued_is_that_of_all_that_was_read(texts, data):
    read = data.draw(st.lists(st.sampled_from(texts), max_size=5))
    cut = data.draw(st.integers(0, len(read)))
    asked = data.draw(st.booleans())
    whole = Coverage(Context.from_documents(texts))
    first = Coverage(Context.from_documents(texts[:-1] or texts))
    for text in read:
        whole.add(text)
    for text in read[:cut]:
        first.add(text)
    if asked:
        _ = first.share
    second = first.continued(Context.from_documents(texts))
    before = first.share
    for text in read[cut:]:
        second.add(text)
    if texts[-1] not in read[:cut] or len(texts) == 1:
        assert second.share == whole.share
    assert first.share == before, "what is read later does not change an earlier result"


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_example_asks_adds_and_goes_on(backend):
    script = Path(__file__).parent.parent / "examples" / "session.py"
    ran = subprocess.run(
        [sys.executable, str(script), "--backend", backend], capture_output=True, text=True, check=True, timeout=60
    )
    for words in ("workers started: 1", "max_steps", "Nantes", "fake "):
        assert words in ran.stdout


def test_a_session_works_inside_a_running_loop():
    async def main():
        with RLM(FakeAdapter(["FINAL: x", "FINAL: y"])).session(TEXT) as session:
            return [session.ask("First?").output, session.ask("Second?").output]

    assert asyncio.run(main()) == ["x", "y"]


def test_replies_without_text_leave_a_conversation_whole():
    with LoopbackServer([Reply(""), "FINAL: x", Reply(None), "FINAL: y"]) as server:
        adapter = OpenAICompatAdapter("m", base_url=server.url, api_key="k", context_window=100_000)
        with RLM(adapter).session(TEXT) as session:
            assert [session.ask("First?").output, session.ask("Second?").output] == ["x", "y"]
        sent = [body["messages"] for body in server.bodies]
    assert each_prompt_begins_with_the_one_before(sent)
