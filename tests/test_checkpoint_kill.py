"""Runs that are killed by SIGKILL, at every place, and resumed: the same answer, and no call twice whose reply had arrived."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from durable_runs import FAN, Calls, Nursery, answer, is_sub, perform, replies_recorded, steps_recorded
from openai_server import LoopbackServer

ROOT_CALLS, SUB_CALLS = 6, FAN + 1
KILLED = -9


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as started:
        yield started


@pytest.fixture
def job(tmp_path):
    return {"path": str(tmp_path / "run.db"), "calls": str(tmp_path / "calls")}


def resumed(server, job):
    """Resume in this process, and hold the run against one that was not interrupted."""
    recorded, before = replies_recorded(job["path"]), server.count
    result = perform({**job, "resume": True})
    value = result.value
    assert value["answers"] == [f"<{f'Question {n}'[-12:]}>" for n in range(FAN)]
    assert sorted(value["order"]) == ["alpha", "beta", "delta", "eps", "gamma", "zeta"]
    assert (value["found"], value["hits"]) == ("meaning of keeper", ["shelf-1"])
    assert (value["parts"], value["one"]) == (["meaning of a", "meaning of b"], "<ast question>")
    assert server.count - before == ROOT_CALLS + SUB_CALLS - recorded
    assert (result.steps, result.subcalls) == (ROOT_CALLS, SUB_CALLS)
    assert len(result.trace.calls) == ROOT_CALLS + SUB_CALLS
    assert result.usage == result.trace.usage
    assert result.trace.of_kind("repl_exec")[0].stdout == f"{value['x']}\n", "the numbers of `random` are those of then"
    return result


def forget(job):
    for path in Path(job["path"]).parent.iterdir():
        path.unlink()


def places_of(job, *, thorough):
    """Numbers of the events to be killed at: every boundary between steps, and some within."""
    kinds = []
    perform({**job, "path": f"{job['path']}.whole"}, lambda step: kinds.append(step.kind))
    forget(job)
    assert (kinds.count("root_call"), kinds.count("repl_exec")) == (ROOT_CALLS, ROOT_CALLS)
    wanted = {"run_started", "repl_exec", *(["search", "tool_call"] if thorough else [])}
    fan = [number for number, kind in enumerate(kinds, 1) if kind == "subcall"]
    within = [fan[0], fan[7], fan[-1]] if thorough else [fan[7]]
    return sorted({number for number, kind in enumerate(kinds, 1) if kind in wanted} | set(within))


@pytest.mark.parametrize("backend", ["exec", "monty"])
def test_killed_at_every_boundary(nursery, job, backend):
    seen = Counter()
    with LoopbackServer(answer) as server:
        job |= {"backend": backend, "url": server.url}
        for number in places_of(job, thorough=backend == "exec"):
            assert nursery.run(**job, kill_at_event=number) == KILLED
            steps = steps_recorded(job["path"])
            seen[steps] += 1
            result = resumed(server, job)
            again = [step for step in result.trace.of_kind("repl_exec") if step.data.get("replayed")]
            assert len(again) == steps
            assert Calls(Path(job["calls"])).made["lookup keeper"] == 1
            forget(job)
    assert set(seen) == set(range(ROOT_CALLS + 1))


@pytest.mark.parametrize("number", [1, 2, 4, 9, 20, 25, 31, 34])
def test_killed_between_writing_and_committing(nursery, job, number):
    with LoopbackServer(answer) as server:
        job["url"] = server.url
        assert nursery.run(**job, kill_in_write=number) == KILLED
        resumed(server, job)


def test_killed_in_the_middle_of_a_fan_out(nursery, job):
    """Half of sixteen replies have arrived; the others are under way, and are asked for again."""
    stalled = True

    async def model(body):
        number = int(body["messages"][-1]["content"].split()[-1]) if is_sub(body) and "Question" in str(body) else 0
        if stalled and number % 2:
            await asyncio.sleep(30)
        return answer(body)

    with LoopbackServer(model) as server:
        job |= {"url": server.url, "options": {"max_concurrent_subcalls": FAN}}
        arrived = 8
        started = (
            1 + 2 * 2 + 1 + 1
        )  # run_started, two steps of a call and an execution, the tool's call, the third root call
        assert nursery.run(**job, kill_at_event=started + arrived) == KILLED
        assert replies_recorded(job["path"]) == 3 + arrived
        stalled = False
        result = resumed(server, job)
    again = [step for step in result.trace.of_kind("subcall") if step.data.get("replayed")]
    assert len(again) == arrived


def test_killed_again_and_again(nursery, job):
    """Each attempt gets a little further; what it has paid for is never asked for again."""
    with LoopbackServer(answer) as server:
        job["url"] = server.url
        assert nursery.run(**job, kill_in_write=3) == KILLED
        for _ in range(40):
            ended = nursery.run(**job, resume=True, kill_in_write=4)
            if ended != KILLED:
                break
        assert ended == 0
        assert perform({**job, "resume": True}).value["one"] == "<ast question>"
        asked = Counter(str(body["messages"]) for body in server.bodies)
    # What was in flight at a kill is asked for again; a root call never is in flight beside another.
    assert len(asked) == ROOT_CALLS + SUB_CALLS
