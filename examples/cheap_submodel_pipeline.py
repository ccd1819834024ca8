"""A dear model writes the code, a cheap one reads the pieces: what each costs, what a cache saves, what limits stop.

    python examples/cheap_submodel_pipeline.py
    python examples/cheap_submodel_pipeline.py --model openai:gpt-4.1 --sub-model openai:gpt-4.1-nano

By default both models are scripted, with prices as of a large and a small hosted model, so that the bill can be seen
without a key. Five hundred reviews are classed in batches by parallel sub-calls; the second run comes from the cache.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import Counter
from typing import TYPE_CHECKING, Any

from pyrlm import RLM, Budget, DiskCache, Policy, PolicyError, Price, RunResult, Stage, Trace, TraceStep, Usage
from pyrlm.adapters import FakeAdapter, get_adapter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrlm.adapters import Message

QUESTION = "How many of the reviews are positive?"
PRAISE = ("Works well.", "A joy to use.", "Better than I hoped.")
BLAME = ("Broke after a day.", "Never again.", "The lid does not close.")

ROOT_CODE = """\
```python
chunks = ctx.chunk_documents(50)
question = "How many of these reviews are positive? Reply with the number alone."
answers = ask_chunks(question, chunks)
counts = [int(answer) for answer in answers if answer.isdigit()]
print(len(counts), "of", len(chunks), "batches counted")
total = sum(counts)
```
FINAL_VAR: total"""


class Priced(FakeAdapter):
    """A scripted model with a price, which pyrlm reads from any adapter's `price`."""

    def __init__(self, price: Price, *, model: str) -> None:
        super().__init__(model=model)
        self.price = price


def reviews(count: int) -> list[str]:
    dice = random.Random(1)
    return [f"Review {number}: {dice.choice(PRAISE + BLAME)}" for number in range(count)]


def count_praise(messages: Sequence[Message]) -> str:
    """What the scripted sub-model replies: it counts the sentences of praise."""
    return str(sum(messages[-1]["content"].count(sentence) for sentence in PRAISE))


def models(options: argparse.Namespace) -> tuple[Any, Any]:
    if options.model != "scripted":
        return get_adapter(options.model), get_adapter(options.sub_model) if options.sub_model else None
    root = Priced(Price(input_usd_per_mtok=2.0, output_usd_per_mtok=8.0, source="example"), model="scripted-large")
    root.add_rule("positive", ROOT_CODE)
    sub = Priced(Price(input_usd_per_mtok=0.1, output_usd_per_mtok=0.4, source="example"), model="scripted-small")
    sub.add_rule("You are a sub-LLM", count_praise)
    return root, sub


def bill(trace: Trace) -> None:
    """Print calls, tokens and dollars by kind of call."""
    calls = Counter(step.kind for step in trace.calls)
    for kind in calls:
        steps = trace.of_kind(kind)
        used = sum((step.usage or Usage() for step in steps), Usage())
        cost = sum(step.cost_usd or 0.0 for step in steps)
        print(f"  {kind:<10} {calls[kind]:>3} calls {used.total_tokens:>8,} tokens  ${cost:.5f}")
    print(f"  from the cache: {len(trace.of_kind('cache_hit'))}")


def on_event(step: TraceStep) -> None:
    if step.kind in {"limit", "guard", "stage"}:
        print(f"  [{step.kind}] {step.reason}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="scripted", help="root model as provider:name")
    parser.add_argument("--sub-model", help="cheaper model for the sub-calls")
    parser.add_argument("--reviews", type=int, default=500)
    parser.add_argument("--max-steps", type=int, default=8)
    parser.add_argument("--max-seconds", type=float, default=300.0)
    options = parser.parse_args()

    root, sub = models(options)
    policy = Policy(max_steps=options.max_steps, max_subcalls=60, max_seconds=options.max_seconds)
    documents = reviews(options.reviews)
    with tempfile.TemporaryDirectory() as folder:
        cache = DiskCache(folder)
        for run in ("first", "second"):
            rlm = RLM(root, subcall_adapter=sub, policy=policy, cache=cache, on_limit="return", event_listener=on_event)
            result: RunResult = rlm.run(QUESTION, documents)
            cost = "unknown" if result.cost_usd is None else f"${result.cost_usd:.5f}"
            print(f"{run} run: {result.output[:200]!r} ({result.status}), {result.elapsed:.2f} s, cost {cost}")
            bill(result.trace)

    print("with room for three sub-calls only")
    bounded = Policy(max_steps=2, max_subcalls=3, max_seconds=options.max_seconds)
    tight = RLM(root, subcall_adapter=sub, policy=bounded, event_listener=on_event)
    try:
        output, trace = tight.run(QUESTION, documents)
        print(f"  went on with what it had: {output[:200]!r}, {len(trace.calls)} calls")
    except PolicyError as error:
        print(f"  {type(error).__name__}: the best answer so far is {error.output!r}")
    print(f"  a fresh budget of that policy: {Budget(bounded).left()}")
    print(f"  stages can bound parts of a run: {Stage(name='look', subcalls=0, max_steps=2)}")


if __name__ == "__main__":
    main()
