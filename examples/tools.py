"""Functions of the application as tools: the text names the orders, the application knows what became of them.

The code that a model would write is scripted here, so that the example runs without a key.

    python examples/tools.py [--backend exec|monty]
"""

from __future__ import annotations

import argparse
import asyncio

from pydantic import BaseModel

from pyrlm import RLM, Tool
from pyrlm.adapters import FakeAdapter

MAILS = "\n".join(f"Mail {n}: customer asks about order A-{100 + n}." for n in range(8))

CODE = r"""
orders = re.findall(r"A-\d+", P)
found = tool_batch("status", [{"order": order} for order in orders])
late = [item["order"] for item in found if isinstance(item, dict) and item["days_late"] > 2]
failed = [item for item in found if isinstance(item, str)]
print(late, failed, sep="\n")
try:
    refund("A-103", amount="all of it")
except ValueError as error:
    print(error)
refunded = [refund(order, amount=5) for order in late]"""


class Status(BaseModel):
    """What became of an order."""

    order: str
    days_late: int


class Shop:
    """Stands for the application: its database, its keys, its rules."""

    def __init__(self) -> None:
        self.refunded: list[tuple[str, int]] = []

    async def status(self, order: str) -> Status:
        """Return what became of an order, and how many days late it is."""
        await asyncio.sleep(0.01)
        number = int(order.removeprefix("A-"))
        if number == 105:
            raise LookupError("no such order")
        return Status(order=order, days_late=number % 5)

    def refund(self, order: str, amount: int) -> str:
        """Refund an amount, in euros."""
        self.refunded.append((order, amount))
        return f"{order}: {amount} euros"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="exec", choices=["exec", "monty"])
    shop = Shop()
    model = FakeAdapter([f"```python{CODE}\n```", "FINAL_VAR: refunded"])
    rlm = RLM(
        model,
        tools=[Tool(shop.status, timeout=5), shop.refund],
        instruction="Refund five euros for every order that is more than two days late.",
        repl_backend=parser.parse_args().backend,
    )
    result = rlm.run("Refund the late orders.", MAILS)
    print(result.trace.of_kind("repl_exec")[0].stdout)
    print("refunded:", result.value)
    print("calls:", len(result.trace.of_kind("tool_call")))


if __name__ == "__main__":
    main()
