"""What one routed run owns, and the answer that a route gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyrlm.adapters.base import Usage
from pyrlm.routers.limits import answer_reserve

if TYPE_CHECKING:
    from pyrlm.calls import Caller, Model
    from pyrlm.citations import Citation
    from pyrlm.context import Context
    from pyrlm.errors import PyRLMError
    from pyrlm.routers.config import RouterConfig
    from pyrlm.routers.decision import RouteDecision
    from pyrlm.routers.deterministic import Plan
    from pyrlm.routers.result import Attempt
    from pyrlm.rlm import RLM

__all__ = ["Answer", "Work"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a route says.

    Attributes:
        route: The route.
        text: The answer; empty where there is none.
        value: The answer as an object.
        citations: Passages that it rests on, found in the text.
        missing: Quotes that it gives and that are not in the text.
        coverage: Share of the text that a model has read for it.
        signal: Why it is not accepted; empty where nothing speaks against it.
        abstained: Whether it says that the text does not hold the answer.
        cut: Whether the token limit cut it, even with more room.
        error: What ended the route early, where something did.
        calibration: See `RouterResult.calibration`.
    """

    route: str
    text: str = ""
    value: Any = None
    citations: tuple[Citation, ...] = ()
    missing: tuple[str, ...] = ()
    coverage: float | None = None
    signal: str = ""
    abstained: bool = False
    cut: bool = False
    error: PyRLMError | None = None
    calibration: float | None = None

    @property
    def says_something(self) -> bool:
        """Whether there is an answer in it, whatever speaks against it."""
        return bool(self.text.strip()) and not self.abstained


@dataclass(slots=True, kw_only=True)
class Work:
    """One routed run: one budget, one trace, one cache for all its routes.

    Attributes:
        query: The question.
        context: The text.
        decision: Which route comes first, and why.
        config: Thresholds.
        rlm: Options of the loop.
        root: The root model.
        caller: Budget, trace and cache.
        plan: How to answer without a model, where the caller said.
        attempts: Routes tried so far.
        notes: What the caller will be told.
    """

    query: str
    context: Context
    decision: RouteDecision
    config: RouterConfig
    rlm: RLM
    root: Model
    caller: Caller
    plan: Plan | None = None
    attempts: list[Attempt] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def answer_tokens(self) -> int:
        """Cap of the reply of a route of one call."""
        return answer_reserve(self.root.window.total_tokens, self.config)

    @property
    def spent(self) -> tuple[Usage, float | None, float]:
        """Tokens, US dollars and seconds so far."""
        budget = self.caller.budget
        return budget.usage, budget.cost_usd, budget.elapsed
