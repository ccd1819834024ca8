"""What models are told of sub-agents: those that may start them, and the sub-agents themselves."""

from __future__ import annotations

__all__ = ["AGENT_LINE", "AGENT_NOTE", "functions_note", "long_prompt_query"]

AGENT_LINE = (
    "rlm_query(query, context): a sub-agent with its own REPL over a part, where one call is not enough; "
    "rlm_query_batch([(query, part), …])"
)

AGENT_NOTE = """\
You are a sub-agent: another agent has given you this question and this material. Your final answer goes back into its code \
as a value, so answer exactly what was asked."""

_SHOWN = 600


def functions_note(lines: str) -> str:
    """Tell of functions that were handed over, a line each."""
    return f"Functions that are defined in your REPL already:\n{lines}"


def long_prompt_query(prompt: str) -> str:
    """Return the question for a sub-agent that takes the place of a sub-call whose prompt is too long for one."""
    return (
        f"Do the task of a prompt that is too long to be read at once. The whole prompt, task and text, is `P` "
        f"({len(prompt):,} characters). The task mostly stands at its beginning or at its end.\n"
        f"It begins:\n{prompt[:_SHOWN]}\n\nIt ends:\n{prompt[-_SHOWN:]}"
    )
