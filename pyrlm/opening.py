"""How a question begins: the opening of a conversation with the root model, or a further message in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyrlm import prompts
from pyrlm.adapters.base import Message
from pyrlm.prompts_data import schema_note
from pyrlm.prompts_search import SEARCH_EXAMPLE, search_names
from pyrlm.prompts_system import compose_system
from pyrlm.prompts_template import PromptTemplate
from pyrlm.prompts_variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrlm.session import Session

__all__ = ["further_question", "opening"]


def opening(session: Session, notes: Sequence[str]) -> list[Message]:
    """Return the system message and the first question with its material."""
    first = prompts.first_message(
        session.query,
        session.base,
        instruction=session.rlm.instruction,
        notes=[*session.inputs.notes, *_tools_told(session), *notes, session.stage.instruction],
    )
    return [Message(role="system", content=_system(session)), Message(role="user", content=first)]


def further_question(session: Session, notes: Sequence[str]) -> str:
    """Return the message that puts another question, over the same material."""
    form = [schema_note(session.schema.shown())] if session.schema is not None else []
    told = [*form, *notes, session.stage.instruction]
    return prompts.first_message(session.query, None, notes=told, heading="Next question")


def _system(session: Session) -> str:
    rlm, own, searches = session.rlm, session.rlm.system_prompt, session.searches
    if own and isinstance(own, str):
        return own
    subcalls = session.stage.subcalls != 0
    short = VARIANTS[rlm.prompt_variant].short_extras
    return compose_system(
        has_text=session.base is not None,
        subcalls=subcalls,
        sub_chars=session.subcalls.chars,
        max_output_chars=rlm.max_output_chars,
        extra_names=[
            *session.inputs.names,
            *(search_names(vectors=searches.vectors, short=short) if searches is not None else ()),
            *(session.agents.lines() if subcalls else ()),
            *session.tools.lines(),
        ],
        example=SEARCH_EXAMPLE if searches is not None else "",
        language_notes=session.repl.language_notes,
        variant=rlm.prompt_variant,
        template=own if isinstance(own, PromptTemplate) else None,
    )


def _tools_told(session: Session) -> list[str]:
    """Tell of the tools where a system message of the caller's own does not."""
    own = session.rlm.system_prompt
    lines = session.tools.lines() if own and isinstance(own, str) else []
    return ["Further names:\n" + "\n".join(f"- {line}" for line in lines)] if lines else []
