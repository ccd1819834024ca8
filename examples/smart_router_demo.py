"""What the router decides for different questions over the same text, why, and what each run took.

    python examples/smart_router_demo.py
    python examples/smart_router_demo.py --model openai:gpt-4.1 --sub-model openai:gpt-4.1-mini docs/

`decide` asks no model: it names the route, the rule, the limits with their sources, and what would decide otherwise.
The text is a part of the standard library's own sources unless paths are given. Recorded runs give predictions.
"""

from __future__ import annotations

import argparse
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pyrlm import Context, ExecutionProfile, Policy, RouteDecision, RouterConfig, RouterResult, SmartRouter
from pyrlm.adapters import get_adapter
from pyrlm.routers import Attempt, Limit, Prediction, QueryKind, RecordedRun, classify_query

if TYPE_CHECKING:
    from collections.abc import Mapping

QUESTIONS = (
    "What does textwrap.dedent do?",
    "Why does heapq.merge not pull the data into memory?",
    "Who composed the opera Carmen?",
)


def show_decision(decision: RouteDecision) -> None:
    print(textwrap.fill(decision.explain(), 110, initial_indent="  ", subsequent_indent="  "))
    limits: tuple[Limit, ...] = decision.limits
    print(f"  limits: {'; '.join(str(limit) for limit in limits[:2])}")


def show_result(result: RouterResult) -> None:
    attempts: tuple[Attempt, ...] = result.attempts
    for attempt in attempts:
        print(f"  {attempt.route}: {attempt.status} {attempt.reason} ({attempt.tokens:,} tokens)")
    print(f"  {result.status}: {result.output[:200]}")
    for citation in result.citations[:2]:
        print(f"    {Path(citation.source or '').name}:{citation.line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="files, folders or globs")
    parser.add_argument("--model", default="extractive:")
    parser.add_argument("--sub-model")
    parser.add_argument("--question", action="append", help="in the place of the built-in ones; can be repeated")
    parser.add_argument("--max-seconds", type=float, default=300.0, help="for each run")
    options = parser.parse_args()

    library = Path(textwrap.__file__).parent
    paths = options.paths or [library / f"{name}.py" for name in ("textwrap", "heapq", "shutil", "json/decoder")]
    context = Context.from_files(paths)
    router = SmartRouter(
        get_adapter(options.model),
        subcall_adapter=get_adapter(options.sub_model) if options.sub_model else None,
        config=RouterConfig(answer_tokens=1_000),
        policy=Policy(max_steps=8, max_seconds=options.max_seconds),
    )
    recorded: list[RecordedRun] = []
    for question in options.question or QUESTIONS:
        kind: QueryKind = classify_query(question)
        print(f"\n{question}  [{kind}]")
        show_decision(router.decide(question, context))
        result = router.run(question, context)
        show_result(result)
        recorded += RecordedRun.of(result)

    question = (options.question or QUESTIONS)[0]
    print(f"\n{question}  [every profile]")
    for profile in ExecutionProfile:
        result = router.run(question, context, profile=profile)
        calls = len(result.trace.calls)
        verified = "" if result.verified is None else f", verified: {result.verified}"
        print(f"  {profile}: {result.method}, {result.status}, {calls} calls, {result.tokens_used:,} tokens{verified}")
        recorded += RecordedRun.of(result)

    informed = SmartRouter(
        get_adapter(options.model), config=replace(router.config, recorded_runs=tuple(recorded), min_recorded_runs=2)
    )
    print("\npredicted from these runs")
    predicted: Mapping[str, Prediction] = informed.decide(question, context).predicted
    for route, prediction in predicted.items():
        print(f"  {route}: {prediction}")


if __name__ == "__main__":
    main()
