"""A needle in haystacks of growing size: one direct call against the loop that searches.

    python examples/rlm_vs_baseline.py
    python examples/rlm_vs_baseline.py --model ollama:llama3.2 --sizes 4000 16000 64000 --svg needle.svg

Each haystack hides one sentence with a number. The table shows whether each way found it and what it took; the plot
shows tokens by size. A direct call ends at the model's window, and its cost grows with the text; the loop's does not.
"""

from __future__ import annotations

import argparse
import math
import random
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pyrlm import RLM, Policy, PyRLMError, RouterResult, RunResult, SmartRouter
from pyrlm.adapters import get_adapter

QUESTION = "What is the secret number of the lighthouse keeper?"
WORDS = "harbour cargo rope tide gull mast anchor captain storm deck crew salt wind barrel sail lamp".split()  # noqa: SIM905


@dataclass(frozen=True)
class Row:
    """One way on one haystack."""

    size: int
    way: str
    found: bool
    tokens: int
    seconds: float
    note: str


def haystack(size: int, number: int) -> str:
    """Return about `size` characters of sentences, the same for the same arguments, with the needle somewhere inside."""
    dice = random.Random(size)
    lines: list[str] = []
    left = size - 60
    while left > 0:
        lines.append(" ".join(dice.choices(WORDS, k=8)).capitalize() + ".")
        left -= len(lines[-1]) + 1
    lines.insert(dice.randrange(len(lines) + 1), f"The secret number of the lighthouse keeper is {number}.")
    return "\n".join(lines)


def row(size: int, way: str, number: int, result: RunResult | RouterResult | PyRLMError) -> Row:
    if isinstance(result, PyRLMError):
        return Row(size, way, found=False, tokens=0, seconds=0.0, note=type(result).__name__)
    found = str(number) in result.output
    note = "" if result.status == "answered" else (result.limit or result.status)
    return Row(size, way, found=found, tokens=result.usage.total_tokens, seconds=result.elapsed, note=note)


def measure(adapter: Any, size: int, policy: Policy) -> list[Row]:
    number = random.Random(size + 1).randrange(10_000, 99_999)
    text = haystack(size, number)
    router = SmartRouter(adapter, policy=policy)
    loop = RLM(adapter, policy=policy, on_limit="return")
    rows = []
    for way, run in (
        ("baseline", lambda: router.run(QUESTION, text, route="baseline", escalate=False)),
        ("rlm", lambda: loop.run(QUESTION, text)),
    ):
        try:
            rows.append(row(size, way, number, run()))
        except PyRLMError as error:
            rows.append(row(size, way, number, error))
    return rows


def table(rows: list[Row]) -> Table:
    shown = Table("characters", "way", "found", "tokens", "seconds", "")
    for item in rows:
        cells = (f"{item.size:,}", item.way, "yes" if item.found else "no", f"{item.tokens:,}", f"{item.seconds:.2f}")
        shown.add_row(*cells, item.note)
    return shown


def plot(rows: list[Row], width: int = 50) -> Text:
    """Draw tokens by size as bars, on a logarithmic scale."""
    most = max((item.tokens for item in rows), default=1) or 1
    drawn = Text("tokens (logarithmic)\n")
    for item in rows:
        length = round(width * math.log1p(item.tokens) / math.log1p(most))
        bar = "█" * length if item.found else "░" * length
        drawn.append(f"{item.size:>10,} {item.way:<8} ")
        drawn.append(f"{bar} {item.tokens:,}\n" if item.tokens else "– no call was possible\n")
    return drawn.append("█ found  ░ not found")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="extractive:")
    parser.add_argument("--sizes", type=int, nargs="+", default=[2_000, 8_000, 32_000, 128_000, 512_000, 2_000_000])
    parser.add_argument("--max-steps", type=int, default=12)
    parser.add_argument("--max-seconds", type=float, default=300.0, help="for each run")
    parser.add_argument("--svg", help="also write table and plot as a picture")
    options = parser.parse_args()

    adapter = get_adapter(options.model)
    policy = Policy(max_steps=options.max_steps, max_seconds=options.max_seconds)
    rows = [item for size in options.sizes for item in measure(adapter, size, policy)]
    console = Console(record=options.svg is not None)
    console.print(table(rows))
    console.print(plot(rows))
    if options.svg:
        console.save_svg(options.svg, title="pyrlm: a needle in haystacks")


if __name__ == "__main__":
    main()
