"""From the answer of a routed run to its result, or to the error that the caller asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pyrlm.errors import AuthenticationError, PolicyError
from pyrlm.routers.result import RouterResult
from pyrlm.values import value_facts

if TYPE_CHECKING:
    from pyrlm.result import Status
    from pyrlm.routers.verify import Verdict
    from pyrlm.routers.work import Answer, Work

__all__ = ["conclude"]


def conclude(work: Work, answer: Answer, verdict: Verdict | None, *, raise_errors: bool) -> RouterResult:
    """Put the result together and record the end of the run.

    Raises:
        AuthenticationError: The key is missing or wrong: nothing can come of any run.
        PyRLMError: What ended the run, with `raise_errors`; carries the result.
    """
    error = answer.error
    result = _result(work, verdict.answer if verdict is not None else answer, verdict)
    work.caller.recorder.record(
        "run_finished",
        output=result.output,
        error=result.error or None,
        reason=result.status,
        usage=result.usage,
        cost_usd=result.cost_usd,
        elapsed=result.elapsed,
        data={
            "method": result.method,
            "budget": work.caller.budget.summary(),
            "coverage": result.coverage,
            **value_facts(result.value),
        },
    )
    if error is not None and (raise_errors or isinstance(error, AuthenticationError)):
        error.result = cast("Any", result)  # typed as the loop's result; both have output, usage, cost and trace
        raise error
    return result


def _result(work: Work, answer: Answer, verdict: Verdict | None) -> RouterResult:
    status = _status(work, answer)
    said = answer.says_something
    usage, cost, elapsed = work.spent
    if answer.missing and said:
        work.notes.append(f"{len(answer.missing)} quotes are not in the text and are not cited")
    return RouterResult(
        output=answer.text if said else "",
        value=answer.value if said else None,
        method=answer.route,
        status=status,
        profile=work.decision.profile,
        decision=work.decision,
        trace=work.caller.recorder.trace,
        usage=usage,
        cost_usd=cost,
        elapsed=elapsed,
        citations=answer.citations if said else (),
        coverage=answer.coverage,
        attempts=tuple(work.attempts),
        verified=_verified(work, verdict),
        evidence=verdict.evidence if verdict is not None else (),
        notes=tuple(dict.fromkeys(work.notes)),
        limit=_limit(work, answer),
        error=f"{type(answer.error).__name__}: {answer.error}" if status == "error" else "",
        calibration=answer.calibration,
    )


def _status(work: Work, answer: Answer) -> Status:
    if answer.error is not None:
        return "limit" if isinstance(answer.error, PolicyError) else "error"
    if answer.route == "refuse" and work.decision.limit is not None:
        return "limit"
    if not answer.says_something:
        return "unanswered"
    return "limit" if answer.cut else "answered"


def _limit(work: Work, answer: Answer) -> str | None:
    if isinstance(answer.error, PolicyError):
        return answer.error.limit
    if answer.route == "refuse":
        return work.decision.limit
    return "answer_tokens" if answer.cut and answer.says_something else None


def _verified(work: Work, verdict: Verdict | None) -> bool | None:
    if verdict is not None:
        return verdict.verified
    return False if work.decision.verify else None
