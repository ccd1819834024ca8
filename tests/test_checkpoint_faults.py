"""Runs that are killed at random times, or whose file lost its end: resumed with what is there, or refused with the reason."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from durable_runs import FAN, Nursery, answer, perform, replies_recorded
from openai_server import LoopbackServer, Reply

from pyrlm.errors import CheckpointError

CALLS = 6 + FAN + 1
KILLED = -9


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as started:
        yield started


@pytest.fixture
def job(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    return {"path": str(folder / "run.db"), "calls": str(folder / "calls")}


def go_on(server, job):
    """Resume in this process; return how many replies the file held, None where it held no run."""
    recorded, before = replies_recorded(job["path"]), server.count
    try:
        result = perform({**job, "resume": True})
    except CheckpointError as error:
        if "no such file" in str(error) or "before anything was recorded" in str(error):
            return None
        raise
    assert result.value["one"] == "<ast question>"
    assert server.count - before == CALLS - recorded
    assert (result.steps, result.subcalls) == (6, FAN + 1)
    return recorded


def test_killed_at_random_times(nursery, job):
    moments = random.Random(6)
    held = []
    with LoopbackServer(lambda body: Reply(answer(body), delay=0.02)) as server:
        job["url"] = server.url
        for _ in range(10):
            shutil.rmtree(Path(job["path"]).parent)
            Path(job["path"]).parent.mkdir()
            if nursery.run(**job, kill_after=moments.uniform(0.02, 0.6)) == KILLED:
                held.append(go_on(server, job))
    assert held


def test_a_torn_log_loses_its_end_alone(nursery, job, tmp_path):
    """What is written ahead is cut at any byte, as a crash of the system may leave it."""
    with LoopbackServer(answer) as server:
        job["url"] = server.url
        assert nursery.run(**job, kill_at_event=30) == KILLED
        whole = replies_recorded(job["path"])
        kept, log = tmp_path / "kept", Path(f"{job['path']}-wal")
        shutil.copytree(tmp_path / "run", kept)
        size = (kept / log.name).stat().st_size
        places = random.Random(7)
        held = []
        for _ in range(8):
            shutil.copy(kept / "run.db", job["path"])
            shutil.copy(kept / log.name, log)
            with log.open("r+b") as file:
                file.truncate(places.randrange(size))
            held.append(go_on(server, job))
    assert any(count is not None and 0 < count < whole for count in held), held
