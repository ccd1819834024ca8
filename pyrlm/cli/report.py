"""Prints a result for a person: answer, passages, route, what it took. Texts of documents are never taken as markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from pyrlm.cli.plain import plain

if TYPE_CHECKING:
    from pyrlm.citations import Citation
    from pyrlm.routers import Attempt, RouterResult

__all__ = ["print_result"]

_SHOWN_PASSAGE = 300
_SHOWN_CITATIONS = 8

_MISSING = {
    "answered": "",
    "unanswered": "No answer: the text does not seem to hold one.",
    "limit": "No answer: a limit was met.",
    "error": "No answer: the run ended by an error.",
}

_EXTRACTIVE_NOTE = (
    "Answered by ExtractiveAdapter, which works offline and picks sentences by their words. It is no language model: "
    "use --model openai:gpt-4.1, ollama:llama3.2, … for one."
)


def print_result(result: RouterResult, *, explain: bool = False, extractive: bool = False, answer: bool = True) -> None:
    """Print `result` on standard output.

    Args:
        result: What the router gave back.
        explain: Whether to print the whole decision, not its first reason alone.
        extractive: Whether to say that no language model was asked.
        answer: Whether to print the answer, which a stream has printed already.
    """
    console = Console(highlight=False, soft_wrap=True)
    if answer:
        console.print(Text(plain(result.output) or _MISSING[result.status], style="bold"))
    if result.citations:
        console.print(Text("\nrests on", style="dim"))
    for citation in result.citations[:_SHOWN_CITATIONS]:
        console.print(Text(f"  {plain(_where(citation))}  ", style="cyan") + Text(plain(_passage(citation))))
    console.print(Text(f"\n{_summary(result)}", style="dim"))
    if result.error or result.limit:
        console.print(Text(result.error or f"limit met: {result.limit}", style="red"))
    for note in (*result.notes, *result.evidence):
        console.print(Text(plain(note), style="yellow"))
    if explain:
        console.print(Text(f"\n{result.decision.explain()}"))
    if extractive:
        console.print(Text(f"\n{_EXTRACTIVE_NOTE}", style="dim"))


def _where(citation: Citation) -> str:
    source = citation.source or citation.doc_id or f"document {citation.doc}"
    return f"{source}:{citation.line}"


def _passage(citation: Citation) -> str:
    line = " ".join(citation.text.split())
    return line if len(line) <= _SHOWN_PASSAGE else line[: _SHOWN_PASSAGE - 1] + "…"


def _summary(result: RouterResult) -> str:
    steps = sum(step.kind == "root_call" for step in result.trace.steps)
    verified = "" if result.verified is None else ", verified" if result.verified else ", not verified"
    tried = " → ".join(_tried(attempt) for attempt in result.attempts) or result.method
    why = "; ".join(result.decision.reasons)
    return (
        f"route {tried}, profile {result.profile}\n"
        f"why: {why}\n"
        f"{result.status}{verified}; {steps} steps, {len(result.trace.calls)} model calls, "
        f"{result.tokens_used:,} tokens{_cost(result)}, {result.elapsed:.1f} s"
    )


def _cost(result: RouterResult) -> str:
    """The money, and where several models have had a part of it, each one's; nothing where none is known."""
    costs = result.costs
    if not costs.total.pico_usd:
        return ""
    each = ", ".join(f"{plain(name)} {cost.shown}" for name, cost in costs.by_model.items())
    return f", {costs.total.shown}" + (f" ({each})" if len(costs.by_model) > 1 else "")


def _tried(attempt: Attempt) -> str:
    return attempt.route if attempt.status == "accepted" else f"{attempt.route} ({attempt.status}: {attempt.reason})"
