"""What a conversation tells its model between two questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyrlm.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrlm.context import Context
    from pyrlm.errors import PyRLMError
    from pyrlm.result import RunResult

__all__ = [
    "NO_SCHEMA",
    "QUERY_GIVEN",
    "added_data",
    "added_text",
    "earlier",
    "error_told",
    "how_it_ended",
    "status_told",
]

NO_SCHEMA = "The schema of the question before does not hold for this one."
QUERY_GIVEN = "The variable `query` holds this question as Python data."

_METHODS = (
    "find(pattern, regex=False, ignore_case=False, max_results=100): list of (start, end, text, doc, line); slice(start, end), "
    "chunk(size, overlap=0), get_document(i), num_documents()"
)
_SAMPLE = 400
_ANSWER = 1_000
_QUESTION = 300
_SHOWN = 20


def added_text(name: str, ctx: str, context: Context, *, whole: bool, known: bool) -> str:
    """Tell of a text that was added.

    Args:
        name: The variable.
        ctx: The object behind which it can be searched.
        context: The text.
        whole: Whether the variable exists: a text can be too long for it.
        known: Whether the model knows the methods, from a text that was there before.
    """
    chars, documents = context.len_chars(), context.num_documents()
    kind = f"{documents:,} documents, {chars:,} characters together" if documents != 1 else f"{chars:,} characters"
    where = f"one str in the variable `{name}`" if whole else "too long to be one str"
    methods = "the methods of `ctx`" if known else _METHODS
    sample = context.slice(0, _SAMPLE) + (" …" if chars > _SAMPLE else "")
    return (
        f"A further text was added: {kind}, {where}, and behind `{ctx}` with {methods}. It begins:\n"
        f"<sample>\n{sample}\n</sample>"
    )


def added_data(name: str, outline: str, chars: int) -> str:
    """Tell of data that was added."""
    return (
        f"Further data was added, in the variable `{name}`, {chars:,} characters as JSON. Its outline:\n"
        f"<outline>\n{outline}\n</outline>"
    )


def how_it_ended(status: str, output: str) -> str:
    """Tell how the question before ended; nothing where the model knows its answer.

    Args:
        status: What ended it, in a few words; empty for an answer.
        output: The answer, or the best one so far.
    """
    shown = output if len(output) <= _ANSWER else f"{output[:_ANSWER]} …"
    if not status:
        return f"Your answer to the question before was taken: {shown}" if shown else ""
    return f"The question before was ended: {status}." + (f" Best answer so far: {shown}" if shown else "")


def earlier(answers: Sequence[tuple[str, str]]) -> str:
    """List the questions before with their answers, cut, for a model that is not sent the whole conversation."""
    lines = [f"- {query[:_QUESTION]} → {answer[:_QUESTION] or 'no answer'}" for query, answer in answers[-_SHOWN:]]
    return "Questions before this one, with the answers given (variables of their code are still there):\n" + "\n".join(
        lines
    )


def status_told(result: RunResult) -> str:
    """Say in a few words what ended a question, for `how_it_ended`; nothing for an answer."""
    if not result.incomplete:
        return ""
    return f"the limit {result.limit} was met" if result.limit else "it failed"


def error_told(error: PyRLMError) -> str:
    """Say in a few words which error ended a question, for `how_it_ended`."""
    return f"the limit {error.limit} was met" if isinstance(error, PolicyError) else type(error).__name__
