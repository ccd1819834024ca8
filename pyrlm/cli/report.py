"""Prints a result for a person: answer, passages, route, what it took. Texts of documents are never taken as markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from pyrlm.citations import Citation
    from pyrlm.routers import RouterResult

__all__ = ["print_result"]

_SHOWN_PASSAGE = 300
_SHOWN_CITATIONS = 8

_EXTRACTIVE_NOTE = (
    "Answered by ExtractiveAdapter, which works offline and picks sentences by their words. It is no language model: "
    "use --model openai:gpt-4.1, ollama:llama3.2, … for one."
)


def print_result(result: RouterResult, *, explain: bool = False, extractive: bool = False) -> None:
    """Print `result` on standard output.

    Args:
        result: What the router gave back.
        explain: Whether to print the whole decision, not its first reason alone.
        extractive: Whether to say that no language model was asked.
    """
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(result.output or f"[no answer: {result.status}]", style="bold"))
    if result.citations:
        console.print(Text("\nrests on", style="dim"))
    for citation in result.citations[:_SHOWN_CITATIONS]:
        console.print(Text(f"  {_where(citation)}  ", style="cyan") + Text(_passage(citation)))
    console.print(Text(f"\n{_summary(result)}", style="dim"))
    for note in result.notes:
        console.print(Text(note, style="yellow"))
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
    calls = len(result.trace.calls)
    cost = f", ${result.cost_usd:.4f}" if result.cost_usd else ""
    tried = " → ".join(f"{attempt.route} ({attempt.status})" for attempt in result.attempts) or result.method
    why = result.decision.reasons[0] if result.decision.reasons else ""
    return (
        f"route {tried}: {why}\n"
        f"{result.status}, {steps} steps, {calls} model calls, {result.tokens_used:,} tokens{cost}, {result.elapsed:.1f} s"
    )
