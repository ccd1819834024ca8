"""What a durable run's file is good for, and what it refuses: options, code, context and versions that differ, foreign files."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import stat
import threading
import time
from pathlib import Path

import pytest
from durable_runs import KEY, answer, fenced, perform, turn_of
from openai_server import LoopbackServer, Status
from pydantic import BaseModel

from pyrlm import RLM, Context, Policy
from pyrlm.adapters import FakeAdapter, OpenAICompatAdapter
from pyrlm.checkpoint import Checkpoint, read_note
from pyrlm.errors import CheckpointError, MaxSecondsExceeded, MaxStepsExceeded, ModelUnavailableError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.db"


def script(*replies):
    """Return a model that gives these replies in their order, for any number of runs."""
    return FakeAdapter([fenced(reply) for reply in replies])


def unfinished(path, *replies, context="some text", **options):
    """Begin a run that ends with a step that is not there: the adapter fails, as a provider that is down does."""
    adapter = script(*replies)
    with pytest.raises(Exception, match="script"):
        RLM(adapter, **options).run("q", context, checkpoint=path)


def test_a_run_that_has_ended_gives_its_result_again_without_a_call(tmp_path):
    job = {"path": str(tmp_path / "run.db"), "calls": str(tmp_path / "calls")}
    with LoopbackServer(answer) as server:
        job["url"] = server.url
        first = perform(job)
        asked = server.count
        again = perform({**job, "resume": True})
        assert server.count == asked
    assert (again.output, again.value, again.status) == (first.output, first.value, first.status)
    assert (again.usage, again.steps, again.subcalls) == (first.usage, first.steps, first.subcalls)
    assert again.elapsed == pytest.approx(first.elapsed, abs=0.2)
    assert [step.kind for step in again.trace if step.kind != "subcall"] == [
        step.kind for step in first.trace if step.kind != "subcall"
    ]
    data = Path(job["path"]).read_bytes()
    assert KEY.encode() not in data
    assert stat.S_IMODE(Path(job["path"]).stat().st_mode) == 0o600
    assert not Path(f"{job['path']}-wal").exists()


def test_what_a_tool_returned_then_is_returned_again(path):
    moments = []

    def now() -> float:
        moments.append(time.time())
        return moments[-1]

    def broken() -> str:
        moments.append(0.0)
        raise KeyError("no such room")

    code = "a = now()\ntry:\n    broken()\nexcept KeyError as error:\n    b = str(error)\nprint(a, b)"
    adapter = script(code, "FINAL([a, b])")
    first = RLM(adapter, tools=[now, broken]).run("q", "text", checkpoint=path)
    again = RLM(script(code, "FINAL([a, b])"), tools=[now, broken]).resume(path)
    assert len(moments) == 2
    assert again.value == first.value == [moments[0], "'no such room'"]
    assert [step.data.get("replayed") for step in again.trace.of_kind("tool_call")] == [True, True]


def test_values_of_every_type_come_back(path):
    code = "import datetime as dt\nfrom decimal import Decimal\nv = {'s': {1, 2}, 't': (1,), 'b': b'x', 'n': 2**70, 'd': dt.date(2026, 1, 2), 'x': Decimal('1.10')}"
    adapter = script(code, "FINAL(v)")
    first = RLM(adapter).run("q", checkpoint=path)
    again = RLM(adapter).resume(path)
    assert again.value == first.value
    assert list(map(type, again.value.values())) == list(map(type, first.value.values()))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"max_tokens": 99}, "max_tokens was 4096, is 99"),
        ({"policy": Policy(max_steps=3)}, "policy.max_steps was 40, is 3"),
        ({"instruction": "Be brief."}, "instruction was '', is 'Be brief.'"),
        ({"system_prompt": "x" * 200}, "system_prompt was None, is sha256:"),
        ({"repl_backend": "monty"}, "repl_backend was exec, is monty"),
        ({"subcall_adapter": FakeAdapter(["x"], model="other")}, "subcall_adapter was None, is FakeAdapter other"),
    ],
)
def test_options_that_differ_are_named(path, change, named):
    adapter = script("x = 1", "FINAL(x)")
    RLM(adapter).run("q", "text", checkpoint=path)
    with pytest.raises(CheckpointError) as caught:
        RLM(adapter, **change).resume(path)
    assert named in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_tool_whose_code_differs_is_named(path):
    def lookup(word: str) -> str:
        return word

    adapter = script("x = lookup('a')", "FINAL(x)")
    RLM(adapter, tools=[lookup]).run("q", "text", checkpoint=path)

    def lookup(word: str) -> str:
        return word.upper()

    with pytest.raises(CheckpointError, match=r"tools\.lookup is another one"):
        RLM(adapter, tools=[lookup]).resume(path)
    with pytest.raises(CheckpointError, match=r"tools\.lookup was sha256:\w+, is not there"):
        RLM(adapter).resume(path)


@pytest.mark.parametrize(("name", "version"), [("pyrlm", "0.0.1"), ("python", "3.9.1")])
def test_a_version_that_differs_is_named(path, name, version):
    adapter = script("FINAL(1)")
    RLM(adapter).run("q", "text", checkpoint=path)
    with sqlite3.connect(path) as file:
        versions = json.loads(file.execute("SELECT value FROM facts WHERE name = 'versions'").fetchone()[0])
        file.execute("UPDATE facts SET value = ? WHERE name = 'versions'", (json.dumps(versions | {name: version}),))
    file.close()
    with pytest.raises(CheckpointError, match=f"{name} was {version}, is"):
        RLM(adapter).resume(path)


def test_the_context_is_in_the_file_and_another_one_is_refused(path):
    documents = ["one \ud800 two", "", "three\n" * 5000]
    context = Context.from_documents(documents, separator="\n--\n", metadata=[{"source": f"d{i}"} for i in range(3)])
    adapter = script("FINAL([len(P), ctx.num_documents(), ctx.metadata(2)['source']])")
    first = RLM(adapter).run("q", context, checkpoint=path)
    assert RLM(adapter).resume(path).value == first.value == [30000 + 9 + 8, 3, "d2"]
    assert RLM(adapter).resume(path, context).value == first.value
    with pytest.raises(CheckpointError, match="not the one of the recorded run"):
        RLM(adapter).resume(
            path, Context.from_documents([*documents[:2], "three\n" * 4999 + "thrEe\n"], separator="\n--\n")
        )


def test_data_a_question_of_data_and_a_schema_are_in_the_file(path):
    rows = [{"n": i, "at": {"x": (i, None)}} for i in range(3)]
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    adapter = script("FINAL({'n': context[2]['at']['x'][0] + query['add']})")
    first = RLM(adapter).run({"add": 5}, rows, output_schema=schema, checkpoint=path)
    assert RLM(adapter).resume(path).value == first.value == {"n": 7}


class Found(BaseModel):
    n: int


def test_a_schema_that_is_a_type_has_to_be_given_again(path):
    adapter = script("FINAL({'n': 7})")
    RLM(adapter).run("q", "text", output_schema=Found, checkpoint=path)
    with pytest.raises(CheckpointError, match=r"output_schema=Found.*give it again"):
        RLM(adapter).resume(path)
    assert RLM(adapter).resume(path, output_schema=Found).value == Found(n=7)
    with pytest.raises(CheckpointError, match="not the one of the recorded run, Found"):
        RLM(adapter).resume(path, output_schema=list[int])


def test_code_that_comes_out_differently_stops_the_run_and_says_where(path):
    code = "import time\nt = [0] * (1 + time.time_ns() // 10**9 % 10**6)\nprint(1)"
    adapter = script("x = 1", code, "FINAL(x)")
    RLM(adapter).run("q", "text", checkpoint=path)
    time.sleep(1.1)
    with pytest.raises(CheckpointError, match=r"step 2 came out differently: the variable 't' was list of") as caught:
        RLM(adapter).resume(path)
    assert caught.value.trace is not None


def test_a_step_that_asks_for_something_else_stops_the_run(path):
    code = "import time\nx = llm_query(f'At {time.time_ns()}')"
    adapter = script(code, "FINAL(x)")
    adapter.add_rule("You are a sub-LLM", "yes")
    RLM(adapter).run("q", "text", checkpoint=path)
    with pytest.raises(CheckpointError, match="step 1 asks for something that it did not ask for then"):
        RLM(adapter).resume(path)


def test_a_mere_difference_in_print_out_is_noted_and_the_recorded_one_is_shown(path):
    code = "import time\nx = object()\nprint(time.time_ns(), x)"
    with LoopbackServer(lambda body: fenced(code) if not turn_of(body) else fenced("FINAL(1)")) as server:
        adapter = OpenAICompatAdapter("m", base_url=server.url, api_key=KEY, context_window=100_000)
        first = RLM(adapter).run("q", "text", checkpoint=path)
        again = RLM(adapter).resume(path)
        assert server.count == 2
    steps = [result.trace.of_kind("repl_exec")[0] for result in (first, again)]
    assert steps[0].stdout == steps[1].stdout
    assert "the model is shown what it was shown then" in steps[1].reason


def test_a_second_process_gets_a_clear_error(path):
    entered, leave = threading.Event(), threading.Event()

    def wait() -> int:
        entered.set()
        leave.wait(20)
        return 1

    adapter = script("x = wait()", "FINAL(x)")
    running = threading.Thread(target=lambda: RLM(adapter, tools=[wait]).run("q", "text", checkpoint=path))
    running.start()
    try:
        assert entered.wait(20)
        with pytest.raises(CheckpointError, match="in use: a run writes it now"):
            RLM(adapter, tools=[wait]).resume(path)
        with pytest.raises(CheckpointError, match="in use"):
            RLM(adapter).run("q", "text", checkpoint=path)
    finally:
        leave.set()
        running.join(20)
    assert RLM(adapter, tools=[wait]).resume(path).value == 1


def test_files_that_are_no_run(path, tmp_path):
    adapter = script("FINAL(1)")
    with pytest.raises(CheckpointError, match="there is no such file"):
        RLM(adapter).resume(path)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="holds no run"):
        RLM(adapter).resume(path)
    path.write_text("just a note, of some length, that is no database at all\n" * 40)
    for use in (lambda: RLM(adapter).resume(path), lambda: RLM(adapter).run("q", "text", checkpoint=path)):
        with pytest.raises(CheckpointError, match="is not the file of a run"):
            use()
    assert path.read_text().startswith("just a note")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as file:
        file.execute("CREATE TABLE bills (n)")
    file.close()
    with pytest.raises(CheckpointError, match="database of another program"):
        RLM(adapter).run("q", "text", checkpoint=other)
    with pytest.raises(CheckpointError, match=r"can't be (written|used)"):
        RLM(adapter).run("q", "text", checkpoint=tmp_path / "no" / "such" / "folder.db")


def test_a_damaged_file_says_so(path):
    adapter = script("FINAL(1)")
    RLM(adapter).run("q", "text " * 9000, checkpoint=path)
    data = bytearray(path.read_bytes())
    data[4096 : len(data)] = b"\x55" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        RLM(adapter).resume(path)


def test_a_run_that_has_not_ended_is_not_overwritten_and_one_that_has_is_replaced(path):
    unfinished(path, "x = 1")
    with pytest.raises(CheckpointError, match=r"has not ended: go on with it by resume\("):
        RLM(script("FINAL(2)")).run("q", "some text", checkpoint=path)
    assert RLM(script("x = 1", "FINAL(x)")).resume(path).value == 1
    assert RLM(script("FINAL(2)")).run("another", "text", checkpoint=path).value == 2
    assert RLM(script("FINAL(2)")).resume(path).value == 2


def test_a_model_that_was_down_is_asked_again(path):
    up = False

    def model(body):
        if turn_of(body) and not up:
            return Status(500, "down")
        return [fenced("x = 5\nprint(x)"), fenced("FINAL(x)")][turn_of(body)]

    with LoopbackServer(model) as server:
        adapter = OpenAICompatAdapter("m", base_url=server.url, api_key=KEY, context_window=100_000, retry_seconds=0.01)
        with pytest.raises(ModelUnavailableError):
            RLM(adapter).run("q", "text", checkpoint=path)
        up, before = True, server.count
        assert RLM(adapter).resume(path).value == 5
        assert server.count == before + 1


def test_a_limit_is_an_end_and_stays_one(path):
    adapter = script("x = 1", "x = 2", "FINAL: 2")
    rlm = RLM(adapter, policy=Policy(max_steps=2))
    for run in (lambda: rlm.run("q", "text", checkpoint=path), lambda: rlm.resume(path)):
        with pytest.raises(MaxStepsExceeded) as caught:
            run()
        assert caught.value.result.steps == 2


def test_the_clock_goes_on_where_it_stood(path):
    """The time of the recorded steps counts, and that of repeating them does not."""

    def nap() -> int:
        naps.append(time.sleep(0.6))
        return 1

    naps = []
    with pytest.raises(Exception, match="script"):
        RLM(script("x = nap()"), tools=[nap]).run("q", "text", checkpoint=path)
    first = RLM(script("FINAL(x)"), tools=[nap]).resume(path)
    again = RLM(script(), tools=[nap]).resume(path)
    assert len(naps) == 1
    assert 0.6 < first.elapsed < 20
    assert again.elapsed == pytest.approx(first.elapsed, abs=0.2)


def test_time_that_was_over_is_over_again_and_the_last_call_is_not_repeated(path):
    async def model(body):
        if "is met: no more code runs" in body["messages"][-1]["content"]:
            return "FINAL: 1"
        if turn_of(body):
            await asyncio.sleep(30)
        return fenced("x = 1\nprint(x)")

    with LoopbackServer(model) as server:
        adapter = OpenAICompatAdapter("m", base_url=server.url, api_key=KEY, context_window=100_000)
        rlm = RLM(adapter, policy=Policy(max_seconds=2))
        with pytest.raises(MaxSecondsExceeded) as first:
            rlm.run("q", "text", checkpoint=path)
        asked = server.count
        with sqlite3.connect(path) as file:  # as if it had been killed just before its end was written
            file.execute("DELETE FROM facts WHERE name = 'end'")
        file.close()
        began = time.perf_counter()
        with pytest.raises(MaxSecondsExceeded) as again:
            rlm.resume(path)
        assert server.count == asked
        assert again.value.output == first.value.output == "1"
        assert time.perf_counter() - began < 30


def test_a_cancelled_run_goes_on_with_the_calls_that_were_under_way(path):
    stalled = True

    async def model(body):
        if "sub-LLM" in body["messages"][0]["content"]:
            if stalled:
                await asyncio.sleep(30)
            return "late"
        return [fenced("x = llm_query('slow')\nprint(x)"), fenced("FINAL(x)")][turn_of(body)]

    async def cancelled(rlm, server):
        task = asyncio.create_task(rlm.arun("q", "text", checkpoint=path))
        await asyncio.to_thread(wait_for, lambda: server.count == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with LoopbackServer(model) as server:
        rlm = RLM(OpenAICompatAdapter("m", base_url=server.url, api_key=KEY, context_window=100_000))
        asyncio.run(cancelled(rlm, server))
        stalled = False
        result = rlm.resume(path)
        assert result.value == "late"
        assert server.count == 1 + 1 + 2
        assert rlm.resume(path).value == "late"
        assert server.count == 4


def wait_for(met):
    deadline = time.monotonic() + 30
    while not met() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_note_of_the_application(path):
    adapter = script("FINAL(1)")
    RLM(adapter).run("q", "text", checkpoint=Checkpoint(path=path, note={"job": 17}))
    assert read_note(path) == {"job": 17}
    assert RLM(adapter).resume(path).value == 1


def test_random_numbers_differ_from_run_to_run_and_not_from_a_run_to_its_repetition(tmp_path):
    for backend in ("exec", "monty"):
        adapter = script(*["import random\nx = [random.random() for _ in range(3)]", "FINAL(x)"] * 2)
        rlm = RLM(adapter, repl_backend=backend)
        paths = [tmp_path / f"{backend}{number}.db" for number in range(2)]
        first, other = (rlm.run("q", checkpoint=path).value for path in paths)
        assert first != other
        assert [rlm.resume(path).value for path in paths] == [first, other]
