"""What happens in a run: one frozen record for each event, the same for the trace, the listener and the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pyrlm.adapters.base import Usage

__all__ = ["SCHEMA_VERSION", "EventListener", "StepKind", "TraceStep"]

SCHEMA_VERSION = 1
"""Version of the shape of `TraceStep`, written into every event and every line of a trace."""

StepKind = Literal[
    "run_started",
    "root_call",
    "repl_exec",
    "subcall",
    "recursive_subcall",
    "sub_root_call",
    "sub_repl_exec",
    "sub_subcall",
    "direct_call",
    "search",
    "tool_call",
    "mcp_server",
    "cache_hit",
    "retry",
    "route",
    "escalation",
    "verification",
    "guard",
    "correction",
    "truncation",
    "compaction",
    "repl_replaced",
    "stage",
    "limit",
    "last_call",
    "run_finished",
]
"""`sub_…` kinds are those of a sub-agent; `last_call` is the call kept in reserve for a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceStep:
    """One event of a run.

    Attributes:
        step_id: Number within the run, from 1, in the order of recording.
        kind: What happened.
        parent: `step_id` of the event that this one belongs to (a sub-call's execution, a sub-agent's call).
        depth: 0 for the run itself, 1 for its sub-agents, and so on.
        time: When it was recorded, in seconds since the epoch.
        elapsed: How long it took, in seconds; 0.0 for what has no length.
        model: Model asked, for calls.
        prompt: What was new in the prompt, cut to a bounded size.
        output: The model's reply or the result, cut to a bounded size.
        code: Code that was run.
        stdout: What it printed, as the model saw it.
        error: What went wrong, in the words that the model or the user saw.
        reason: Why this was done (routes, escalations, limits, guards, retries).
        usage: Tokens, for calls that were paid.
        cost_usd: US dollars; None where the price is not known.
        data: Further facts, JSON types only.
        schema_version: `SCHEMA_VERSION`.
    """

    step_id: int
    kind: StepKind
    parent: int | None = None
    depth: int = 0
    time: float = 0.0
    elapsed: float = 0.0
    model: str | None = None
    prompt: str | None = None
    output: str | None = None
    code: str | None = None
    stdout: str | None = None
    error: str | None = None
    reason: str | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION


EventListener = Callable[[TraceStep], None]
"""Called for every event as it happens. An error in it is logged and never ends the run."""
