"""The least that answers a question: a router, a text, a question.

    python examples/minimal.py
    python examples/minimal.py --model openai:gpt-4.1 --question "What does it cost?" notes.md report.pdf

Without a model it uses `ExtractiveAdapter`, which works offline by matching words and is no language model.
"""

from __future__ import annotations

import argparse

from pyrlm import Context, SmartRouter
from pyrlm.adapters import get_adapter

NOTICE = """\
The library is closed on Mondays and on public holidays.

Books may be kept for four weeks. The loan can be extended twice unless another reader has asked for the book.

A lost card is replaced at the desk for five euros.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="files, folders or globs; without any, a short notice is read")
    parser.add_argument("--question", default="How many weeks may books be kept?")
    parser.add_argument("--model", default="extractive:")
    options = parser.parse_args()

    context = Context.from_files(options.paths) if options.paths else Context.from_text(NOTICE)
    result = SmartRouter(get_adapter(options.model)).run(options.question, context)

    print(result.output or f"({result.status})")
    for citation in result.citations:
        print(f"  line {citation.line}: {citation.text!r}")
    print(f"{result.method}, {result.tokens_used} tokens, {result.elapsed:.2f} s")


if __name__ == "__main__":
    main()
