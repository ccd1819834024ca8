"""Several questions over one text: loaded once, findings kept, a further text added, a limit met and gone past.

The code that a model would write is scripted here, so that the example runs without a key.

    python examples/session.py [--backend exec|monty]
"""

from __future__ import annotations

import argparse

from pyrlm import RLM, Conversation, Policy, PolicyError
from pyrlm.adapters import FakeAdapter

LETTERS = "\n".join(f"Letter {n}: parcel {1000 + n} was returned to Lyon." for n in range(200))
NOTICE = "Notice: since May, returns go to Nantes."

SCRIPT = [
    # How many parcels came back?
    "```python\nparcels = re.findall(r'parcel (\\d+)', P)\nprint(len(parcels))\n```",
    "FINAL: 200",
    # Which was the last? The list is still there.
    "```python\nFINAL(parcels[-1])\n```",
    # A question that leads nowhere, with a limit of its own.
    "```python\nprint(ctx.find('weight'))\n```",
    "FINAL: The letters give no weights.",
    # Where do returns go now? The text that was added is P2, and searched by ctx2.
    "```python\nprint(ctx2.find('Nantes')[0], len(parcels))\nFINAL('Nantes', quotes=[P2])\n```",
]


def ask(session: Conversation, question: str, policy: Policy | None = None) -> None:
    try:
        result = session.ask(question, policy=policy)
        print(f"{question} {result.output} ({result.steps} steps, {result.usage.total_tokens:,} tokens)")
        for citation in result.citations:
            print(
                f"  document {citation.doc} of {len(session.context.texts) if session.context else 0}: {citation.text}"
            )
    except PolicyError as met:
        print(f"{question} {met.limit}; best answer so far: {met.output}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="exec", choices=["exec", "monty"])
    started = []
    rlm = RLM(
        FakeAdapter(SCRIPT),
        repl_backend=parser.parse_args().backend,
        event_listener=lambda step: started.append(step.kind) if step.kind == "repl_replaced" else None,
    )
    with rlm.session(LETTERS, policy=Policy.only(max_total_tokens=100_000)) as session:
        ask(session, "How many parcels came back?")
        ask(session, "Which was the last?")
        ask(session, "How heavy was it?", Policy(max_steps=1))
        session.add(NOTICE)
        ask(session, "Where do returns go now?")
        print(f"workers started: {1 + len(started)}\n\n{session.costs}")


if __name__ == "__main__":
    main()
