"""How the root model is told what to do, and what that costs: four wordings, a template, a run without sub-calls.

The code that a model would write is scripted here, so that the example runs without a key.

    python examples/prompts.py [--backend exec|monty]
"""

from __future__ import annotations

import argparse
from typing import get_args

from pyrlm import RLM, Cost, Costs, Price, PromptTemplate, RunResult
from pyrlm.adapters import FakeAdapter
from pyrlm.errors import ConfigurationError
from pyrlm.prompts_variants import PromptVariant

LETTERS = [f"Letter {n}. Dear all, {'thank you, it works' if n % 3 else 'it broke after a week'}." for n in range(60)]
CODE = """
prompts = ["Is this a complaint? yes or no\\n" + text for text in ctx.chunk_documents(20)]
answers = llm_batch(prompts)
print(answers)"""

CLERK = PromptTemplate("""\
You are the clerk of our post office. Reply in Python, and record what you find as {"letter": 1, "complaint": true}.
{role}

You have:
{names}
{language_notes}

{rules}
{answer_form}""")


def ask(code: str, backend: str, **options: object) -> RunResult:
    """Ask about the letters, with scripted models that have a price."""
    model = FakeAdapter([f"```python{code}\n```", "FINAL: every third"], model="root")
    sub = FakeAdapter(rules=[("You are a sub-LLM", "yes")], model="small")
    model.price = Price(input_usd_per_mtok=2.5, output_usd_per_mtok=10)  # type: ignore[attr-defined] # any adapter may have one
    sub.price = Price(input_usd_per_mtok=0.1, output_usd_per_mtok=0.4)  # type: ignore[attr-defined] # as above
    rlm = RLM(model, subcall_adapter=sub, repl_backend=backend, **options)  # type: ignore[arg-type] # options of many types
    result = rlm.run("Which letters complain?", LETTERS)
    system = model.calls[0].messages[0]["content"]
    shown: Cost = result.costs.by_model["root"]
    print(f"{next(iter(options.values()), 'default')!s:.20}: {len(system):,} characters, root model {shown.shown}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="exec", choices=["exec", "monty"])
    backend = parser.parse_args().backend
    results = [ask(CODE, backend, prompt_variant=variant) for variant in get_args(PromptVariant)]
    results.append(ask(CODE, backend, system_prompt=CLERK))
    print(f"\nAll five runs:\n{sum((result.costs for result in results), Costs())}")

    print("\nWithout sub-calls:")
    alone = ask(CODE, backend, enable_sub_calls=False)
    print((alone.trace.of_kind("repl_exec")[0].error or "").splitlines()[-1])
    try:
        PromptTemplate("You are a clerk. {names} {answer_from}")
    except ConfigurationError as error:
        print(f"\n{error}")


if __name__ == "__main__":
    main()
