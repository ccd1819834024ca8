"""Texts about data and schemas that are sent to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyrlm.adapters.base import Message
from pyrlm.prompts_variants import DATA_RULE

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "DATA_NAME",
    "QUERY_NAME",
    "direct_json_system",
    "material_note",
    "mend_json",
    "misfit",
    "schema_note",
    "schema_prompt",
]

DATA_NAME = (
    "context (also P): the material, as Python data: `context['orders'][0]`, `[r for r in context if r['year'] > 2000]`"
)
QUERY_NAME = "query: the question, as Python data"


def material_note(outline: str, chars: int) -> str:
    """Describe data in a first message, by its outline."""
    return (
        f"Material: data in the variable `context`, {chars:,} characters as JSON. Its outline ([i]: any item of a list):\n"
        f"<outline>\n{outline}\n</outline>"
    )


def schema_note(schema: str) -> str:
    """Say what the answer has to be."""
    return (
        "The final answer has to fit this JSON Schema. Build it in code and end with FINAL(value), or write FINAL: and the "
        f"JSON alone:\n{schema}"
    )


def misfit(errors: str) -> str:
    """Turn back an answer that does not fit the schema."""
    return (
        f"The answer does not fit the schema:\n{errors}\nYour variables are still there: mend the answer and give it again, "
        "by FINAL(value) in code, FINAL_VAR: name, or FINAL: and the JSON alone."
    )


def schema_prompt(prompt: str, schema: str) -> str:
    """Ask a sub-model for data."""
    return f"{prompt}\n\nReply with JSON alone, that fits this JSON Schema:\n{schema}"


def mend_json(reply: str, errors: str) -> Sequence[Message]:
    """Ask once more after a reply that does not fit."""
    told = f"That reply does not fit the schema:\n{errors}\nReply again, with the JSON alone."
    return [Message(role="assistant", content=reply), Message(role="user", content=told)]


_DIRECT = "Answer the question from the text that the user gives, and from nothing else."
_CHECKED = """\
You check what a text says: first look for every passage that bears on the question, then answer from these alone."""


def direct_json_system(schema: str, *, checks: bool = False) -> str:
    """Return the system message of a route of one call whose answer has to fit a schema.

    Args:
        schema: The schema.
        checks: Whether the call checks another answer by a look of its own.
    """
    return f"""\
{_CHECKED if checks else _DIRECT} Reply with one JSON object alone:
{{"found": true or false, "quotes": [passages that the answer rests on, copied word for word from the text], "answer": …}}
"answer" has to fit this JSON Schema:
{schema}
If the text does not hold the answer, reply {{"found": false, "quotes": [], "answer": null}}. {DATA_RULE}"""
