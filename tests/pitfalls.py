"""What the tests of pitfalls share: the pieces of a run, and the processes below this one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pyrlm import Price
from pyrlm.adapters import OpenAICompatAdapter

BACKENDS = pytest.mark.parametrize("backend", ["exec", "monty"])
PRICE = Price(input_usd_per_mtok=10.0, output_usd_per_mtok=100.0)
SUB = "You are a sub-LLM"
TEXT = "The warranty lasts 24 months.\nThe battery is not covered.\n" * 40


def python(code):
    return f"```python\n{code}\n```"


def is_sub(body):
    return SUB in body["messages"][0]["content"]


def adapter_of(server, model="m", *, price=None, **options):
    adapter = OpenAICompatAdapter(model, base_url=server.url, api_key="test-key", **options)
    adapter.price = price
    return adapter


def last_user(adapter, call=-1):
    return adapter.calls[call].messages[-1]["content"]


def descendants(pid):
    """Processes below `pid`, by number, with the ticks of processor time of each."""
    parents, ticks = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(folder.name)] = int(fields[1])
            ticks[int(folder.name)] = int(fields[11]) + int(fields[12])
    below = set()
    while more := {child for child, parent in parents.items() if parent in below | {pid}} - below:
        below |= more
    return {child: ticks[child] for child in below}


def gone(pids):
    """Whether none of these processes is there any more, or only as an exit code that nobody has fetched."""
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            return False
    return True


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()
