"""Sub-agents: each chapter of a book goes to an agent of its own, side by side, with functions, tools and limits handed on.

The code that models would write is scripted here, so that the example runs without a key.

    python examples/subagents.py [--backend exec|monty]
"""

from __future__ import annotations

import argparse

from pyrlm import RLM, Policy
from pyrlm.adapters import FakeAdapter

CHAPTERS = [
    f"Chapter {n}\n" + f"In room {n} stood {n + 2} chairs and a table.\n" * n + f"The key to room {n} is K-{n * 7}.\n"
    for n in range(1, 7)
]

ROOT = r"""
def keys(text):
    "Return all keys that a text names."
    return re.findall(r"K-\d+", text)

found = rlm_query_batch(
    [(f"Which key does chapter {n} name, and who made it?", chapter)
     for n, chapter in enumerate(ctx.chunk_documents(1), 1)],
    schema={"key": "str", "maker": "str"}, functions=[keys], tools=["maker"],
)
answers = {item["key"]: item["maker"] for item in found if isinstance(item, dict)}
failed = [item for item in found if isinstance(item, str)]
print(answers, failed, sep="\n")"""

CHILD = """
key = keys(P)[0]
FINAL({"key": key, "maker": maker(key)})"""


def maker(key: str) -> str:
    """Return who made a key."""
    return "Ahlberg" if int(key[2:]) % 2 else "Berg"


def write(messages: list[dict[str, str]]) -> str:
    """Write what a model would: the root starts sub-agents, each of these looks and answers."""
    if "You are a sub-agent" in messages[1]["content"]:
        return f"```python{CHILD}\n```"
    return f"```python{ROOT}\n```" if len(messages) == 2 else "FINAL_VAR: answers"


def main() -> None:
    """Run it on the backend of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", default="exec", choices=["exec", "monty"])
    options = parser.parse_args()
    rlm = RLM(
        FakeAdapter(rules=[("", write)], model="strong"),
        subagent_adapters=[FakeAdapter(rules=[("", write)], model="cheap")],
        tools=[maker],
        policy=Policy(max_recursion_depth=1, max_subcalls=60),
        repl_backend=options.backend,
        max_concurrent_subagents=3,
    )
    result = rlm.run("Which keys are there, and who made them?", CHAPTERS)
    for key, name in result.value.items():
        print(f"{key}: {name}")
    for depth, cost in result.costs.by_depth.items():
        print(f"depth {depth}: {cost.calls} calls")
    for step in result.trace.of_kind("recursive_subcall")[:2]:
        print(f"step {step.step_id}, started by step {step.parent}: {step.prompt}")


if __name__ == "__main__":
    main()
