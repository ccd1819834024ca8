"""One turn of the loop: from a reply of the root model to a final answer, or to what the model is told next."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyrlm import prompts
from pyrlm.errors import InvalidRepliesExceeded, ReplCrashedError, RunStalled, WireError
from pyrlm.evidence import check_quotes
from pyrlm.guards import Candidate, Facts, better, is_grounded, objection
from pyrlm.lasting import binds
from pyrlm.replies import FinalAnswer, is_abstention, parse_direct, parse_reply
from pyrlm.typed_answers import fitted, spelled_out
from pyrlm.value_text import as_text

if TYPE_CHECKING:
    from pyrlm.calls import Reply
    from pyrlm.repl.protocol import Execution, Final
    from pyrlm.replies import Reply as Parsed
    from pyrlm.session import Session

__all__ = ["Continue", "Finished", "UnknownVariableError", "candidate_from", "take"]

_STEP = re.compile(r"<step \d+>")
"""Name of a piece of code in an error: the same code has another one each time that it runs."""


class UnknownVariableError(LookupError):
    """An answer names a variable that does not exist."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is over: this answer stands."""

    answer: Candidate


@dataclass(frozen=True, slots=True)
class Continue:
    """The run goes on: this is what the model is told."""

    message: str


async def take(session: Session, reply: Reply) -> Finished | Continue:
    """Take a reply of the root model: run its code, weigh its answer.

    Raises:
        InvalidRepliesExceeded: Too many replies in a row held neither code nor an answer.
        RunStalled: The model does the same thing again and again.
    """
    parsed = parse_reply(reply.text, reply.response.finish_reason, reply.response.refusal)
    if parsed.code is None and (parsed.final is None or parsed.problem == "cut"):
        return await _invalid(session, parsed, reply)
    session.invalid = 0
    if parsed.code is None:
        return await _answered(session, parsed.final, None)
    result = await session.execute(parsed.code)
    if parsed.final is None and result.final is None and not _has_auto_final(session):
        return _observed(session, parsed.code, result)
    return await _answered(session, parsed.final, result)


def _observed(session: Session, code: str, result: Execution) -> Continue:
    warning = session.stall.note(code, f"{result.stdout}\n{_STEP.sub('<step>', result.error or '')}")
    if session.stall.stuck:
        raise RunStalled(f"The same code ran {session.stall.repeats + 1} times in a row with the same outcome.")
    if session.subcalls.limit_met is not None and session.subcalls.limit_told and session.subcalls.refused:
        raise session.subcalls.limit_met
    session.subcalls.limit_told = session.subcalls.limit_met is not None
    return Continue("\n\n".join(part for part in (prompts.observation(result), warning) if part))


async def _invalid(session: Session, parsed: Parsed, reply: Reply) -> Finished | Continue:
    """Correct a reply that can't be used; up to the limit."""
    rlm = session.rlm
    session.invalid += 1
    session.recorder.record("correction", reason=parsed.problem or "neither", output=reply.text)
    if parsed.problem == "cut":
        session.root.grant_room()
        message = prompts.CUT_REPLY.format(max_tokens=reply.max_tokens)
    else:
        message = prompts.EMPTY_REPLY if parsed.problem == "empty" else prompts.CORRECTION
        prose = parse_direct(reply.text).answer
        session.best = better(fitted(Candidate(value=prose, text=prose), session.schema), session.best)
    if rlm.invalid_response_limit is None or session.invalid < rlm.invalid_response_limit:
        return Continue(message)
    if rlm.fallback_code and not session.fallback_used:
        session.fallback_used, session.invalid = True, 0
        result = await session.execute(rlm.fallback_code)
        if result.final is not None or _has_auto_final(session):
            return await _answered(session, None, result)
        return Continue(
            f"This code was run for you:\n```python\n{rlm.fallback_code}\n```\n{prompts.observation(result)}"
        )
    raise InvalidRepliesExceeded(
        f"invalid_response_limit={rlm.invalid_response_limit}: that many replies in a row held neither code nor a final answer."
    )


def _has_auto_final(session: Session) -> bool:
    name = session.rlm.auto_finalize_var
    if name is None or all(variable.name != name for variable in session.repl.variables):
        return False
    return not session.question or binds(session.repl.own_sources, name)  # one of an earlier question is no answer


async def _answered(session: Session, final: FinalAnswer | None, result: Execution | None) -> Finished | Continue:
    """Weigh the answer; what is turned back goes to the model together with the output of its code."""
    seen = prompts.observation(result) if result is not None else ""
    if final is not None and result is not None and result.error and result.final is None:
        return _turned_back(session, "code failed", prompts.FAILED_BESIDE_FINAL, seen)
    try:
        candidate = await candidate_from(session, final, result)
    except UnknownVariableError as error:
        names = ", ".join(variable.name for variable in session.repl.variables) or "none yet"
        return _turned_back(
            session, "no such variable", f"There is no variable {error.args[0]!r}. Variables: {names}.", seen
        )
    except WireError as error:
        return _turned_back(session, "value can't be handed over", str(error), seen)
    except ReplCrashedError as error:
        return _turned_back(session, "REPL lost", await session.repl.replace(error), seen)
    session.best = better(candidate, session.best)
    problem = objection(candidate, _facts(session))
    if problem is not None:
        session.quotes_objected = session.quotes_objected or problem[0] == "false quotes"
        return _turned_back(session, problem[0], problem[1], seen)
    return _accepted(session, candidate, seen)


def _accepted(session: Session, candidate: Candidate, seen: str) -> Finished | Continue:
    """End the run with an answer that stands, or open the next stage, where this one may not end the run."""
    last = session.stage_index == len(session.stages) - 1
    stage = session.stage
    insufficient = stage.require_grounded and not is_grounded(candidate, session.repl.printed)
    if not last and (stage.hands_over or insufficient):
        session.best = None if stage.hands_over else candidate  # a finding for the next stage is no answer
        return Continue("\n\n".join(part for part in (seen, session.open_next_stage()) if part))
    return Finished(candidate)


def _turned_back(session: Session, name: str, message: str, seen: str) -> Continue:
    session.recorder.record("guard", reason=name, error=message)
    session.stall.note(name, message)
    if session.stall.stuck:
        raise RunStalled(
            f"The final answer was turned back {session.stall.repeats + 1} times for the same reason: {name}."
        )
    return Continue("\n\n".join(part for part in (seen, message) if part))


def _facts(session: Session) -> Facts:
    subcalls = session.subcalls
    return Facts(
        executions=session.repl.executions,
        subcalls=subcalls.made,
        subcalls_over=subcalls.over,
        quotes_objected=session.quotes_objected,
        require_repl=session.rlm.require_repl_before_final,
        require_subcall=session.rlm.require_subcall_before_final,
        stage=session.stage,
    )


async def candidate_from(session: Session, final: FinalAnswer | None, result: Execution | None) -> Candidate:
    """Return the answer that a reply proposes: by a call in its code, by its text, or by the variable of the option.

    Raises:
        UnknownVariableError: A named variable does not exist.
        WireError: Its value can't be handed over.
    """
    beside = f"{result.stdout}\n{result.error or ''}" if result is not None else None
    if result is not None and result.final is not None:
        return await _checked(session, _called(session, result.final))
    name = final.name if final is not None else session.rlm.auto_finalize_var
    if final is not None and final.may_be_name and any(final.text == known.name for known in session.repl.variables):
        name = final.text
    if name is not None:
        try:
            value = await session.repl.get(name)
        except LookupError as error:
            raise UnknownVariableError(name) from error
        return await _checked(session, Candidate(value=value, text=as_text(value), literal=False, beside=beside))
    assert final is not None
    return await _checked(session, spelled_out(final.text or "", session.schema, beside))


_LITERAL_CALL = re.compile(r"""\bFINAL\(\s*(?:value\s*=\s*)?r?['"]""")


def _called(session: Session, final: Final) -> Candidate:
    """Return the answer of a call in code; one that was spelled out there was written before any of its output."""
    code = session.repl.code
    literal = isinstance(final.value, str) and _LITERAL_CALL.search(code) is not None
    text = as_text(final.value)
    # An abstention in code is mostly the branch for "nothing found", and a call alone answers from earlier output.
    seen_before = is_abstention(text) or code.lstrip().startswith("FINAL(")
    return Candidate(
        value=final.value,
        text=text,
        quotes=final.quotes,
        literal=literal,
        beside="\n".join(session.repl.printed) if literal and not seen_before else None,
    )


async def _checked(session: Session, candidate: Candidate) -> Candidate:
    """Look the quotes up in the text and in the index, and hold the answer against the schema."""
    citations, missing = await check_quotes(candidate.quotes, session.inputs.quotable, session.searches)
    return fitted(replace(candidate, citations=citations, missing=missing), session.schema)
