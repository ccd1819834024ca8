"""From the end of a run to its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyrlm.errors import PolicyError, PyRLMError
from pyrlm.guards import Candidate, is_grounded
from pyrlm.result import RunResult, Status
from pyrlm.values import value_facts

if TYPE_CHECKING:
    from pyrlm.session import Session

__all__ = ["Outcome", "build_result"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: the answer, where there is one, and the error that ended it, where one did."""

    answer: Candidate | None
    error: PyRLMError | None

    @property
    def status(self) -> Status:
        """The result's status."""
        if self.error is not None:
            return "limit" if isinstance(self.error, PolicyError) else "error"
        return "unanswered" if self.answer is None or self.answer.abstains else "answered"

    @property
    def limit(self) -> str | None:
        """Name of the limit that ended the run."""
        return self.error.limit if isinstance(self.error, PolicyError) else None


def _value(session: Session, answer: Candidate | None) -> Any:
    """Return the answer as an object: with a schema, the typed one or none."""
    if answer is None or (session.schema is not None and not answer.typed):
        return None
    return answer.value


def build_result(session: Session, outcome: Outcome) -> RunResult:
    """Put the result together and record the end of the run."""
    answer = outcome.answer
    result = RunResult(
        output=answer.text if answer is not None else "",
        value=_value(session, answer),
        trace=session.recorder.trace,
        status=outcome.status,
        usage=session.budget.usage,
        cost_usd=session.budget.cost_usd,
        steps=session.budget.steps,
        subcalls=session.budget.subcalls,
        elapsed=session.budget.elapsed,
        citations=answer.citations if answer is not None else (),
        quotes_missing=answer.missing if answer is not None else (),
        grounded=is_grounded(answer, session.repl.printed) if answer is not None else None,
        limit=outcome.limit,
        limits_met=session.limits_met(outcome.limit),
        variables=session.repl.variables,
        reading=session.coverage,
    )
    session.recorder.record(
        "run_finished",
        output=result.output,
        error=f"{type(outcome.error).__name__}: {outcome.error}" if outcome.error is not None else None,
        reason=result.status,
        usage=result.usage,
        cost_usd=result.cost_usd,
        elapsed=result.elapsed,
        data={"budget": session.budget.summary(), **value_facts(result.value)},
    )
    return result
