"""Values out of many documents without any model: a pattern or a marker, with document and line as proof.

    python examples/deterministic_extraction.py
    python examples/deterministic_extraction.py --pattern "Total: ([0-9.]+) EUR" invoices/*.txt

The `deterministic` route asks no model and costs nothing. Only a question that no pattern answers goes to the model.
"""

from __future__ import annotations

import argparse
from decimal import Decimal

from pyrlm import Citation, Context, ExecutionProfile, SmartRouter
from pyrlm.adapters import get_adapter

CUSTOMERS = ("Aalto", "Brunel", "Curie", "Dirac")


def invoices(count: int) -> Context:
    """Return made-up invoices, one document each, with a source that citations show."""
    texts = [
        f"Invoice no: 2026-{number:04}\nCustomer: {CUSTOMERS[number % 4]}\nTotal: {number * 3 + 17}.50 EUR\n"
        + ("Note: the delivery was returned damaged.\n" if number == count // 2 else "")
        for number in range(count)
    ]
    return Context.from_documents(texts, metadata=[{"source": f"invoice-{i:04}.txt"} for i in range(count)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="files, folders or globs; without any, invoices are made up")
    parser.add_argument("--pattern", default=r"Total: ([0-9.]+) EUR", help="its first group is the value")
    parser.add_argument("--marker", default="Invoice no: ")
    parser.add_argument("--question", default="Which delivery was returned damaged?")
    parser.add_argument("--model", default="extractive:", help="for the question that no pattern answers")
    options = parser.parse_args()

    context = Context.from_files(options.paths) if options.paths else invoices(1_000)
    router = SmartRouter(get_adapter(options.model), profile=ExecutionProfile.DETERMINISTIC_FIRST)

    totals = router.run("What are the totals?", context, pattern=options.pattern, escalate=False)
    print(f"{totals.method}: {len(totals.value or [])} values, {totals.tokens_used} tokens, {totals.elapsed:.2f} s")
    if totals.value and not options.paths:
        print(f"sum: {sum(map(Decimal, totals.value)):,}")
    proof: tuple[Citation, ...] = totals.citations[:3]
    for citation in proof:
        print(f"  {citation.source}:{citation.line} {citation.text}")

    numbers = router.run("What are the numbers?", context, marker=options.marker, escalate=False)
    print(f"{numbers.method}: {', '.join((numbers.value or [])[:3])}, …")

    asked = router.run(options.question, context)
    print(f"{asked.method}: {asked.output or asked.status} ({asked.tokens_used:,} tokens)")


if __name__ == "__main__":
    main()
