"""The call kept in reserve: when a limit ends a run, it asks for the best answer from what is known."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pyrlm import prompts
from pyrlm.adapters.base import Message
from pyrlm.calls import Call, Reply
from pyrlm.errors import ContextLengthError, InvalidRepliesExceeded, ModelError, PolicyError, ReplError
from pyrlm.guards import better
from pyrlm.prompts_data import schema_note
from pyrlm.replies import FinalAnswer, parse_direct, parse_reply
from pyrlm.root import LAST_CALL_TOKENS
from pyrlm.turns import UnknownVariableError, candidate_from

if TYPE_CHECKING:
    from pyrlm.guards import Candidate
    from pyrlm.session import Session

__all__ = ["best_answer"]

_MAX_MATERIAL = 20_000
"""Characters of print-out that the short form of the last call shows at most."""

_LEAST_SHOWN = 80
"""Characters of each sub-call's prompt, and at least of its answer, that are shown of a step that was stopped."""

_MAX_NAMES = 40


async def best_answer(session: Session, error: PolicyError | ContextLengthError) -> Candidate | None:
    """Return the best answer so far: what the last call says, else what was proposed before; None where there is none."""
    limit = error.limit if isinstance(error, PolicyError) else "context_window"
    session.recorder.record("limit", reason=str(error), data={"limit": limit})
    if isinstance(error, InvalidRepliesExceeded):
        return session.best  # the model was asked for an answer in every one of these replies
    try:
        async with asyncio.timeout(session.budget.seconds_left(last=True)):
            reply = await _ask(session, limit)
            return better(await _read(session, reply), session.best)
    except (PolicyError, ModelError, ReplError, TimeoutError) as failure:
        session.recorder.record(
            "guard", reason="the last call gave no answer", error=f"{type(failure).__name__}: {failure}"
        )
        return session.best


async def _ask(session: Session, limit: str) -> Reply:
    """Ask with the whole conversation; with the question and the latest print-out alone, where there is no room for it."""
    known = [] if session.interrupted else [variable.name for variable in session.repl.variables]
    question = prompts.last_call(limit, known[:_MAX_NAMES])
    stopped = prompts.stopped_step(_answers_of_stopped_step(session)) if session.interrupted else ""
    if limit != "context_window":
        try:
            return await _call(session, session.transcript.closing("\n\n".join(filter(None, (stopped, question)))))
        except ContextLengthError:
            pass
        except PolicyError as error:
            if error.limit == "max_seconds":
                raise
    return await _call(session, _short(session, [*session.repl.printed, stopped], question))


def _answers_of_stopped_step(session: Session) -> list[tuple[str, str]]:
    """Return prompt and answer, each cut, of what the step that was stopped has paid for."""
    steps = [
        step
        for step in session.recorder.trace.of_kind("subcall", "sub_subcall", "cache_hit")
        if step.parent == session.asked and step.output
    ]
    each = max(_LEAST_SHOWN, _MAX_MATERIAL // (2 * len(steps) or 1))
    return [(_line(step.prompt or "")[:_LEAST_SHOWN], _line(step.output or "")[:each]) for step in steps]


def _line(text: str) -> str:
    return " ".join(text.split())


def _short(session: Session, printed: list[str], question: str) -> list[Message]:
    left = session.budget.left().last_tokens
    room = _MAX_MATERIAL if left is None else max(0, min(_MAX_MATERIAL, (left - 300) // 2))
    material = "\n".join(printed)[-room:] if room else ""
    # A token is never shorter than a byte: where every byte might be a token, this fits into half of what is left.
    while len(material.encode("utf-8", "replace")) > room:
        material = material[len(material) // 4 + 1 :]
    form = f"\n\n{schema_note(session.schema.shown())}" if session.schema is not None else ""
    asked = f"Question: {session.query[:1000]}{form}\n\nWhat code has printed so far:\n{material}\n\n{question}"
    return [Message(role="user", content=asked)]


async def _call(session: Session, messages: list[Message]) -> Reply:
    call = Call(
        messages=messages,
        purpose="last",
        kind="last_call",
        max_tokens=LAST_CALL_TOKENS,
        temperature=session.rlm.temperature,
    )
    return await session.caller.ask(session.root.model, call)


async def _read(session: Session, reply: Reply) -> Candidate | None:
    parsed = parse_reply(reply.text, None, reply.response.refusal)
    final = parsed.final
    if final is None:
        prose = parse_direct(reply.text).answer
        if parsed.code is not None or not prose.strip():
            return None  # code can't run any more
        final = FinalAnswer(text=prose)
    try:
        return await candidate_from(session, final, None)
    except UnknownVariableError:
        return None
