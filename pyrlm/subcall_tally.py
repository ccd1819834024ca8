"""What has become of the sub-calls of a run so far, and what may still be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyrlm.errors import AuthenticationError, ModelUnavailableError, RateLimitError

if TYPE_CHECKING:
    from pyrlm.errors import PolicyError, PyRLMError
    from pyrlm.models import Model
    from pyrlm.trace import Recorder

__all__ = ["Tally"]

_GIVE_UP_AFTER = 10
"""Sub-calls in a row, of one step, that find no model that answers: the rest of the step is not asked. Each of them has
been retried for as long as the adapter does."""


class Tally:
    """Counts sub-calls, those that are sub-agents too.

    Args:
        recorder: Gets the limits that are met.

    Attributes:
        parent: Step of the trace that sub-calls belong to.
        made: Sub-calls with an answer.
        failed: Sub-calls without one.
        refused: Sub-calls of this step that a limit forbade.
        limit_met: The first limit that forbade one.
        limit_told: Whether the model has seen that.
        shortage: The first limit that left too little for a sub-agent, though it may leave some calls.
        allowed: Sub-calls that the stage may make; None for as many as the policy allows.
        stage_made: Sub-calls that it has made.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.parent: int | None = None
        self.made = 0
        self.failed = 0
        self.refused = 0
        self.limit_met: PolicyError | None = None
        self.limit_told = False
        self.shortage: PolicyError | None = None
        self.allowed: int | None = None
        self.stage_made = 0
        self._down: dict[str, list[str]] = {}

    @property
    def over(self) -> bool:
        """Whether no sub-call can be made any more, or none of those that were made has given an answer."""
        return self.limit_met is not None or self.allowed == 0 or (self.failed > 0 and self.made == 0)

    def begin_step(self, parent: int | None) -> None:
        """Begin a step of the run; its sub-calls belong to the step `parent` of the trace."""
        self.parent = parent
        self._down = {}
        self.refused = 0

    def open_stage(self, allowed: int | None) -> None:
        """Begin a stage in which at most `allowed` sub-calls can be made; 0: the functions don't exist."""
        self.allowed = allowed
        self.stage_made = 0

    def note_failure(self, model: Model, error: PyRLMError) -> None:
        """Note a call that gave no answer."""
        self.failed += 1
        if isinstance(error, AuthenticationError | ModelUnavailableError | RateLimitError):
            self._down.setdefault(model.name, []).append(str(error))

    def note_limit(self, error: PolicyError) -> None:
        """Note a limit that forbade a call."""
        self.refused += 1
        if self.limit_met is None:
            self.limit_met = error
            self._recorder.record("limit", reason=str(error), parent=self.parent)

    def note_shortage(self, error: PolicyError) -> None:
        """Note a limit that leaves too little for a sub-agent; single calls may still be made."""
        if self.shortage is None:
            self.shortage = error
            self._recorder.record("limit", reason=str(error), parent=self.parent)

    def check_open(self, name: str) -> None:
        """Raise NameError where this stage has no sub-calls."""
        if self.allowed == 0:
            raise NameError(f"name {name!r} is not defined in this stage: find the answer with code alone")

    def note_answer(self, model: Model) -> None:
        """Note a call that gave an answer."""
        self.made += 1
        self._down.pop(model.name, None)

    @property
    def stage_left(self) -> int | None:
        """Sub-calls that this stage may still make; None for as many as the policy allows."""
        return None if self.allowed is None else max(0, self.allowed - self.stage_made)

    @property
    def limits_met(self) -> list[str]:
        """Names of the limits that forbade a sub-call or a sub-agent."""
        return [error.limit for error in (self.limit_met, self.shortage) if error is not None]

    def used_up(self) -> str:
        """Why this stage can make no more; empty where it can."""
        if self.stage_left != 0:
            return ""
        return f"this stage's {self.allowed} sub-calls are used up; answer from what you have"

    def given_up(self, model: Model) -> str:
        """Why `model` is not asked any more in this step; empty where it is."""
        failures = self._down.get(model.name, [])
        if len(failures) < _GIVE_UP_AFTER:
            return ""
        return f"not made, as {len(failures)} sub-calls of this step failed in a row, the last by: {failures[-1]}"
