"""Many questions about one text: side by side, under one budget, each answer as it comes, with what all have cost.

    python examples/many_questions.py
    python examples/many_questions.py --model openai:gpt-4.1-mini --max-cost 0.50 --questions questions.txt contract.pdf

Without a model it uses `ExtractiveAdapter`, which works offline by matching words and is no language model.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pyrlm import Context, Policy, SmartRouter
from pyrlm.adapters import get_adapter

if TYPE_CHECKING:
    from pyrlm.routers import BatchItem, BatchOptions, CostSummary, RunOptions

NOTICE = """\
The library is closed on Mondays and on public holidays.

Books may be kept for four weeks. The loan can be extended twice unless another reader has asked for the book.

A lost card is replaced at the desk for five euros.
"""
QUESTIONS = [
    "How many weeks may books be kept?",
    "When is the library closed?",
    "How often can the loan be extended?",
    "What does a lost card cost?",
    "Who is the director?",
]


def show(item: BatchItem) -> None:
    """Show one answer; `error` is set where `run` would have raised."""
    if item.result is None:
        print(f"{item.index + 1}. {item.query}\n   failed: {item.error}")
    else:
        print(f"{item.index + 1}. {item.query}\n   {item.result.output or f'({item.result.status})'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="files, folders or globs; without any, a short notice is read")
    parser.add_argument("--questions", type=Path, help="a file with a question on each line")
    parser.add_argument("--model", default="extractive:")
    parser.add_argument("--max-cost", type=float, help="most US dollars for all questions together")
    parser.add_argument("--max-seconds", type=float, help="most seconds for all questions together")
    options = parser.parse_args()

    context = Context.from_files(options.paths) if options.paths else Context.from_text(NOTICE)
    questions = options.questions.read_text().splitlines() if options.questions else QUESTIONS
    router = SmartRouter(get_adapter(options.model))

    of_each: RunOptions = {"profile": "hybrid"}
    limits = Policy.only(max_cost_usd=options.max_cost, max_seconds=options.max_seconds)
    of_all: BatchOptions = {**of_each, "concurrency": 8, "total_policy": limits}
    for item in router.run_many(questions, context, **of_all):
        show(item)

    summary: CostSummary = router.cost_summary()
    print(f"\n{summary}")


if __name__ == "__main__":
    main()
