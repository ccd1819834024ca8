"""The same task on both REPL backends, with time and memory side by side.

The code that a model would write is scripted here, so that both backends run the very same steps.

    python examples/two_backends.py [--megabytes 20]
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pyrlm import RLM, Policy
from pyrlm.adapters import FakeAdapter

STEPS = [
    "errors = ctx.find('ERROR', max_results=None)\nprint(len(errors))",
    "import re\ncodes = re.findall(r'ERROR code=(\\d+)', P)\nprint(len(codes), codes[:3])",
    "counts = {}\nfor code in codes:\n    counts[code] = counts.get(code, 0) + 1\nprint(sorted(counts.items())[:5])",
    "total = 0\nfor number in range(300_000):\n    total += number % 7\nprint(total)",
]


def log_of(megabytes: int) -> str:
    """Return a log in which every 50th line is an error."""
    lines = [
        f"2026-11-21 12:00:00 {'ERROR code=' + str(n % 9) if n % 50 == 0 else 'INFO all is well'} request={n}"
        for n in range(megabytes * 1_000_000 // 55)
    ]
    return "\n".join(lines)


def resident_of_children() -> float:
    """Return the resident memory of this process's children, in megabytes; 0.0 where the system doesn't tell."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if f"\nPPid:\t{os.getpid()}\n" in text and "VmRSS:" in text:
            total += int(text.partition("VmRSS:")[2].split()[0])
    return total / 1000


def measure(backend: str, text: str) -> tuple[float, float, str]:
    """Return seconds, megabytes of the workers at their highest, and the answer."""
    highest, going = 0.0, True

    def watch() -> None:
        nonlocal highest
        while going:
            highest = max(highest, resident_of_children())
            time.sleep(0.02)

    model = FakeAdapter([*(f"```python\n{code}\n```" for code in STEPS), "FINAL_VAR: counts"])
    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    result = RLM(model, repl_backend=backend, repl_timeout=60, policy=Policy(max_total_tokens=None)).run("Which?", text)
    elapsed = time.perf_counter() - started
    going = False
    watcher.join()
    return elapsed, highest, result.output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=20)
    text = log_of(parser.parse_args().megabytes)
    table = Table("backend", "seconds", "worker MB", "answer", title=f"{len(text) / 1e6:.0f} MB of log")
    answers = set()
    for backend in ("exec", "monty"):
        seconds, megabytes, answer = measure(backend, text)
        answers.add(answer)
        table.add_row(backend, f"{seconds:.2f}", f"{megabytes:.0f}", answer[:40])
    Console().print(table)
    print("same answer on both:", len(answers) == 1)


if __name__ == "__main__":
    main()
