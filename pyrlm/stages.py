"""Stages of a loop, as data: what a run may use and must show before it may end or go on to the next stage."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Stage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a run. The stages of a run share its REPL, variables, transcript and budget.

    Attributes:
        name: What trace and result call it.
        subcalls: Sub-calls that the stage may make: None for as many as the policy allows, 0 for a stage in which the
            sub-call functions don't exist.
        max_steps: Steps after which the next stage opens; None for the run's own limit.
        require_subcalls: Turn back a final answer that was given before any sub-call.
        require_grounded: Go on to the next stage (if there is one) with a final answer that abstains or can't be found
            in what code printed of the text.
        hands_over: A final answer ends this stage, not the run: it is a finding for the next stage (if there is one).
        instruction: Told to the model when the stage begins.
    """

    name: str
    subcalls: int | None = None
    max_steps: int | None = None
    require_subcalls: bool = False
    require_grounded: bool = False
    hands_over: bool = False
    instruction: str = ""
