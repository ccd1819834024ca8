"""The call kept in reserve: when a limit ends a run, it asks for the best answer from what is known."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pyrlm import prompts
from pyrlm.adapters.base import Message
from pyrlm.calls import Call, Reply
from pyrlm.errors import InvalidRepliesExceeded, ModelError, PolicyError, ReplError
from pyrlm.replies import FinalAnswer, parse_direct, parse_reply
from pyrlm.turns import candidate_from

if TYPE_CHECKING:
    from pyrlm.guards import Candidate
    from pyrlm.session import Session

__all__ = ["best_answer"]

_MAX_TOKENS = 1024
_MAX_MATERIAL = 20_000
"""Characters of print-out that the short form of the last call shows at most."""


async def best_answer(session: Session, error: PolicyError) -> Candidate | None:
    """Return the best answer so far: what the last call says, else what was proposed before; None where there is none."""
    session.recorder.record("limit", reason=str(error), data={"limit": error.limit})
    if isinstance(error, InvalidRepliesExceeded):
        return session.best  # the model was asked for an answer in every one of these replies
    try:
        async with asyncio.timeout(session.budget.seconds_left(last=True)):
            reply = await _ask(session, error.limit)
            return await _read(session, reply) or session.best
    except (PolicyError, ModelError, ReplError, TimeoutError) as failure:
        session.recorder.record(
            "guard", reason="the last call gave no answer", error=f"{type(failure).__name__}: {failure}"
        )
        return session.best


async def _ask(session: Session, limit: str) -> Reply:
    """Ask with the whole conversation; with the question and the latest print-out alone, where there is no room for it."""
    question = Message(role="user", content=prompts.last_call(limit))
    try:
        return await _call(session, [*session.transcript.messages, question])
    except PolicyError as error:
        if error.limit == "max_seconds":
            raise
    return await _call(session, _short(session, question))


def _short(session: Session, question: Message) -> list[Message]:
    left = session.budget.left().last_tokens
    room = _MAX_MATERIAL if left is None else max(0, min(_MAX_MATERIAL, (left - 300) // 2))
    material = "\n".join(session.repl.printed)[-room:] if room else ""
    # A token is never shorter than a byte: where every byte might be a token, this fits into half of what is left.
    while len(material.encode("utf-8", "replace")) > room:
        material = material[len(material) // 4 + 1 :]
    asked = f"Question: {session.query[:1000]}\n\nWhat code has printed so far:\n{material}\n\n{question['content']}"
    return [Message(role="user", content=asked)]


async def _call(session: Session, messages: list[Message]) -> Reply:
    call = Call(
        messages=messages, purpose="last", kind="last_call", max_tokens=_MAX_TOKENS, temperature=session.rlm.temperature
    )
    return await session.caller.ask(session.root, call)


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
    except LookupError:
        return None
