"""The options of a sub-agent, made of those of the run that starts it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyrlm.handed import Handed, definitions, told_of
from pyrlm.models import Model
from pyrlm.prompts_subagents import AGENT_NOTE, functions_note

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrlm.mcp_connection import Connection
    from pyrlm.output import OutputSchema
    from pyrlm.rlm import RLM
    from pyrlm.session import Session
    from pyrlm.subagent_arguments import How
    from pyrlm.tools import Tool

__all__ = ["Making", "making"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How the sub-agents of one call are made: options, root model, what they are given, the form of their answers."""

    rlm: RLM
    model: Model
    handed: Handed
    schema: OutputSchema | None
    max_steps: int


def making(session: Session, made: How) -> Making:
    """Return how the sub-agents of one call are made.

    Raises:
        ValueError: A model, tool, server or function that is named does not exist, or can't be handed over.
    """
    tools, servers = session.tools.passed_on(made.names)
    taken = {*(tool.called for tool in tools), *servers}
    rlm = _options(session, made, tools)
    return Making(
        rlm=rlm,
        model=Model(rlm.adapter),
        handed=_handed(session, servers, [name for name in made.names if name not in taken]),
        schema=made.schema,
        max_steps=made.max_steps or session.rlm.subagent_max_steps,
    )


def _options(session: Session, made: How, tools: Sequence[Tool]) -> RLM:
    """Return the options: the model, the tools that are passed on, and nothing that is the run's own."""
    rlm = session.rlm
    return replace(
        rlm,
        adapter=_adapter(session, made.model),
        subcall_adapter=rlm.subcall_adapter if rlm.subcall_adapter is not None else rlm.adapter,
        tools=tools,
        mcp_servers=None,
        require_repl_before_final=False,
        require_subcall_before_final=False,
        auto_finalize_var=None,
        fallback_code=None,
        on_limit="raise",
        output_schema=None,
    )


def _adapter(session: Session, model: str | Model | None) -> object:
    if isinstance(model, Model):
        return model.adapter
    if model is not None:
        return session.subcalls.named(model).adapter
    by_depth = session.rlm.subagent_adapters
    return by_depth[min(session.caller.depth, len(by_depth) - 1)] if by_depth else session.rlm.adapter


def _handed(session: Session, servers: Mapping[str, Connection], functions: Sequence[str]) -> Handed:
    """Return what is given along, and what is told of it."""
    sources = session.repl.sources
    completed = _completed(session, sources) if functions else ()
    code = definitions(sources, functions, session.tools.names(), completed=completed)
    notes = [AGENT_NOTE, *([functions_note(told_of(code))] if code else [])]
    return Handed(coverage=session.coverage, servers=servers, code=code, notes=tuple(notes))


def _completed(session: Session, sources: Sequence[str]) -> set[int]:
    """Return the numbers of the pieces of code of which the trace says that they ran to their end."""
    errors: dict[str, bool] = {}
    for step in session.recorder.trace.of_kind("repl_exec"):
        errors[step.code or ""] = errors.get(step.code or "", False) or step.error is not None
    return {number for number, source in enumerate(sources[:-1]) if errors.get(source) is False}
