"""Resuming a run of 40 steps from its file, beside running it; and what the file costs a run."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.harness import Row, server
from pyrlm import RLM, Policy
from pyrlm.adapters import OpenAICompatAdapter

STEPS = 40
DELAY = 0.05
"""Seconds that the model takes for a reply: a twentieth of what a fast provider takes."""
REPEATS = 3
AIM = 0.25
AIM_OF_FILE = 1.1


def _script() -> list[str]:
    steps = [f"```python\nx{n} = [{n}] * {n}\nprint(len(P), x{n}[:3])\n```" for n in range(STEPS - 1)]
    return [*steps, "```python\nFINAL(len(x38))\n```"]


def _measured(path: Path | None) -> tuple[float, float]:
    """Return the seconds of a run, and of resuming it (0.0 without a file)."""
    with server(script=_script(), delay=DELAY) as model:
        adapter = OpenAICompatAdapter("m", base_url=model.url, api_key="test-key", context_window=1_000_000)
        rlm = RLM(adapter, policy=Policy(max_steps=STEPS + 1, max_total_tokens=None))
        started = time.perf_counter()
        first = rlm.run("How many?", "a text " * 10_000, checkpoint=path)
        ran = time.perf_counter() - started
        if path is None:
            return ran, 0.0
        started = time.perf_counter()
        again = rlm.resume(path)
        resumed = time.perf_counter() - started
    if (again.output, again.steps) != (first.output, STEPS):
        raise AssertionError(f"resumed to another end: {again.output!r} after {again.steps} steps")
    return ran, resumed


def resume_of_forty_steps() -> Row:
    """All forty steps are known: no call is made, their code runs again."""
    with tempfile.TemporaryDirectory() as folder:
        pairs = [_measured(Path(folder) / f"{number}.db") for number in range(REPEATS)]
    ran, resumed = min(a for a, _ in pairs), min(b for _, b in pairs)
    return Row(
        f"resume of {STEPS} steps, s",
        f"{resumed:.3f}",
        f"{ran:.3f} running it, {DELAY * 1000:.0f} ms a call",
        f"{resumed / ran:.3f}",
        f"≤ {AIM}",
        resumed <= AIM * ran,
    )


def a_run_with_a_file() -> Row:
    """What is written after each reply and step, beside the same run without a file."""
    with tempfile.TemporaryDirectory() as folder:
        times = [(_measured(Path(folder) / f"{n}.db")[0], _measured(None)[0]) for n in range(REPEATS)]
    kept, plain = min(a for a, _ in times), min(b for _, b in times)
    return Row(
        f"run of {STEPS} steps with a file, s",
        f"{kept:.3f}",
        f"{plain:.3f} without",
        f"{kept / plain:.2f}",
        f"≤ {AIM_OF_FILE}",
        kept <= AIM_OF_FILE * plain,
    )


ROWS = (resume_of_forty_steps, a_run_with_a_file)
