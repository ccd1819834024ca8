"""Durable runs of the router, of sub-agents, and of the command line: killed, and resumed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from cli_process import pyrlm, started
from durable_runs import KEY, Calls, Nursery, fenced, perform, replies_recorded, turn_of
from openai_server import LoopbackServer

from pyrlm import RLM, ExecutionProfile, Policy, SmartRouter
from pyrlm.adapters import OpenAICompatAdapter
from pyrlm.errors import CheckpointError

KILLED = -9
LONG = (
    "The harbour was quiet that night. " * 3000 + "The password of the vault is HERON-12. " + "Waves came in. " * 3000
)


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as running:
        yield running


@pytest.fixture
def job(tmp_path):
    return {"path": str(tmp_path / "run.db"), "calls": str(tmp_path / "calls"), "router": True}


def one_call(body):
    return "HERON-12\n\nQuotes:\n- The password of the vault is HERON-12."


def quiet_steps(body):
    if "sub-LLM" in body["messages"][0]["content"]:
        return "HERON-12"
    if "REPL" not in body["messages"][0]["content"]:
        return one_call(body)
    steps = ["n = [1]", "at = ctx.find('password')[0][0]\nprint(ctx.slice(at - 20, at + 60))", "FINAL('HERON-12')"]
    return fenced(steps[min(turn_of(body), 2)])


@pytest.mark.parametrize(
    "how",
    [{"route": "baseline"}, {"route": "select"}, {"route": "rlm"}, {"profile": "verify", "route": "select"}],
    ids=lambda how: "-".join(how.values()),
)
def test_routes_killed_at_every_event(nursery, job, how):
    with LoopbackServer(quiet_steps) as server:
        job |= {
            "url": server.url,
            "how": how,
            "text": LONG,
            "tools": False,
            "query": "What is the password of the vault?",
        }
        whole = perform({**job, "path": f"{job['path']}.whole"})
        calls = server.count
        kinds = len(whole.trace)
        for number in range(2, kinds + 1, 1 if kinds < 8 else 2):
            assert nursery.run(**job, kill_at_event=number) == KILLED
            recorded, before = replies_recorded(job["path"]), server.count
            again = perform({**job, "resume": True})
            assert server.count - before == calls - recorded
            assert (again.output, again.method, again.status) == (whole.output, whole.method, whole.status)
            assert (again.usage, again.citations, again.verified) == (whole.usage, whole.citations, whole.verified)
            assert again.decision.route == whole.decision.route


def test_searches_of_the_router_are_not_made_again(nursery, job):
    with LoopbackServer(lambda body: "The light is on the rock.\n\nQuotes:\n- The light is on the rock.") as server:
        job |= {"url": server.url, "text": None, "query": "Where is the light?", "how": {"route": "retrieval"}}
        whole = perform({**job, "path": f"{job['path']}.whole"})
        made = Calls(Path(job["calls"])).made
        perform({**job, "path": f"{job['path']}.whole", "resume": True})
        assert Calls(Path(job["calls"])).made == made
        last = len(whole.trace) - 1
        assert nursery.run(**job, kill_at_event=last) == KILLED
        before = server.count
        again = perform({**job, "resume": True})
        assert again.output == whole.output
        assert server.count - before <= 1


CHAPTERS = [f"Chapter {n}. " + f"The number of chapter {n} is {n * n}. " * 30 for n in range(4)]


def family(body):
    """A run that starts four sub-agents, each with two steps and a sub-call of its own."""
    opening = body["messages"][1]["content"] if len(body["messages"]) > 1 else ""
    system = body["messages"][0]["content"]
    if "sub-LLM" in system:
        return f"seen {body['messages'][-1]['content'][-9:-1]}"
    if "Which number" in opening:
        steps = [
            "import re\nn = int(re.search(r'is (\\d+)', P).group(1))\ny = llm_query('Look: ' + peek(40))",
            "FINAL(n)",
        ]
    else:
        steps = [
            "parts = [ctx.get_document(i) for i in range(4)]",
            "numbers = rlm_query_batch(['Which number?'] * 4, parts)\nprint(numbers)",
            "FINAL(sum(numbers))",
        ]
    return fenced(steps[turn_of(body)])


@pytest.mark.parametrize("backend", ["exec", "monty"])
def test_sub_agents(nursery, job, backend):
    with LoopbackServer(family) as server:
        job |= {"router": False, "url": server.url, "text": CHAPTERS, "tools": False, "backend": backend}
        job["policy"] = {"max_recursion_depth": 2}
        whole = perform({**job, "path": f"{job['path']}.whole"})
        calls, kinds = server.count, [step.kind for step in whole.trace]
        assert whole.value == 0 + 1 + 4 + 9
        assert calls == 3 + 4 * 3
        places = [
            number for number, kind in enumerate(kinds, 1) if kind in {"repl_exec", "sub_root_call", "sub_repl_exec"}
        ]
        for number in places[:: 3 if backend == "exec" else 7]:
            assert nursery.run(**job, kill_at_event=number) == KILLED
            recorded, before = replies_recorded(job["path"]), server.count
            again = perform({**job, "resume": True})
            assert again.value == whole.value
            assert server.count - before == calls - recorded
            assert again.usage == whole.usage
            assert Counter(step.kind for step in again.trace) == Counter(kinds)
            assert (again.steps, again.subcalls) == (whole.steps, whole.subcalls)
            Path(job["path"]).unlink()


def test_what_the_router_keeps(tmp_path):
    path = tmp_path / "run.db"
    with LoopbackServer(quiet_steps) as server:
        adapter = OpenAICompatAdapter("m", base_url=server.url, api_key=KEY, context_window=100_000)
        router = SmartRouter(adapter, policy=Policy(max_steps=9))
        how = {"route": "rlm", "profile": ExecutionProfile.HYBRID, "kind": "literal", "escalate": False}
        first = router.run("What?", LONG, checkpoint=path, **how)
        again = router.resume(path)
        assert (again.output, again.profile, again.method) == (first.output, first.profile, "rlm")
        with pytest.raises(CheckpointError, match=r"is a run of SmartRouter: resume it by SmartRouter\.resume"):
            RLM(adapter, policy=Policy(max_steps=9)).resume(path)
        with pytest.raises(CheckpointError, match=r"profile was None, is 'verify'"):
            SmartRouter(adapter, policy=Policy(max_steps=9), profile="verify").resume(path)
        assert KEY.encode() not in path.read_bytes()
        with pytest.raises(Exception, match="holds one run"):
            list(router.run_many(["a", "b"], "text", checkpoint=path))


def test_the_command_line_resumes_what_was_killed(tmp_path):
    (tmp_path / "note.md").write_text(LONG)
    stalled = True

    def model(body):
        if turn_of(body) == 2 and stalled:
            time.sleep(1.5)
        return quiet_steps(body)

    with LoopbackServer(model) as server:
        keys = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": KEY, "PYRLM_MODEL": "openai:gpt-4.1"}
        line = [
            "ask",
            "What is the password?",
            "note.md",
            "--route",
            "rlm",
            "--no-cache",
            "--checkpoint",
            "run.db",
            "-q",
        ]
        process = started(tmp_path, *line, **keys)
        deadline = time.monotonic() + 60
        while server.count < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        stalled, recorded, before = False, replies_recorded(tmp_path / "run.db"), server.count
        assert recorded == 2
        del keys["PYRLM_MODEL"]  # the file knows it
        done = pyrlm(tmp_path, "resume", "run.db", "--json", **keys)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["output"] == "HERON-12"
        assert server.count == before + 1
    assert KEY.encode() not in (tmp_path / "run.db").read_bytes()


def test_what_the_command_line_can_not_resume_is_an_error_that_says_why(tmp_path):
    (tmp_path / "note.md").write_text("The kettle boils at 96 degrees.")
    begun = pyrlm(tmp_path, "ask", "How hot?", "note.md", "--model", "extractive:", "--checkpoint", "run.db")
    assert begun.returncode in {0, 3}
    assert pyrlm(tmp_path, "resume", "run.db").returncode == begun.returncode
    missing = pyrlm(tmp_path, "resume", "other.db")
    assert missing.returncode == 1
    assert "there is no such file" in missing.stderr
    foreign = pyrlm(tmp_path, "resume", "note.md")
    assert foreign.returncode == 1
    assert "is not the file of a run" in foreign.stderr


def test_the_example_goes_on_after_a_kill():
    example = Path(__file__).parent.parent / "examples" / "durable_run.py"
    shown = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, timeout=60, check=False)
    assert shown.returncode == 0, shown.stderr
    for words in ("ended with SIGKILL", "9 parcels, 837 euros", "made 1 call of 3"):
        assert words in shown.stdout
