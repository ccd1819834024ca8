"""What a routed run gives back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pyrlm.adapters.base import Usage
from pyrlm.data import plain
from pyrlm.value_text import is_long, written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrlm.citations import Citation
    from pyrlm.costs import Costs
    from pyrlm.result import Status
    from pyrlm.routers.decision import RouteDecision
    from pyrlm.routers.profiles import ExecutionProfile
    from pyrlm.trace import Trace

__all__ = ["Attempt", "RouterResult"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One route that was tried.

    Attributes:
        route: The route.
        status: ``accepted``; ``rejected`` by a signal of failure; ``failed`` by an error or a limit.
        reason: Why it was not accepted; empty for the accepted one.
        tokens: Input and output tokens of its calls; 0 where all came from the cache or none was made.
        cost_usd: US dollars of its calls; None where the price is not known.
        elapsed: Seconds.
        output: Its answer, accepted or not.
    """

    route: str
    status: Literal["accepted", "rejected", "failed"]
    reason: str = ""
    tokens: int = 0
    cost_usd: float | None = None
    elapsed: float = 0.0
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterResult:
    """The outcome of `SmartRouter.run`; unpacks as ``output, trace = router.run(...)``.

    Attributes:
        output: The answer as a string; empty where there is none.
        value: The answer as an object: what the REPL held, the list of found values, else the string itself.
        method: Route that the answer is from; of an unanswered run, the last one that was tried.
        status: ``answered``; ``unanswered`` (the text does not hold it, or nothing came of the run); ``limit`` (the best
            answer so far, incomplete); ``error``.
        profile: Profile of the run.
        decision: Why this route came first.
        usage: Tokens of all calls.
        cost_usd: US dollars; None where the price of a model that was used is not known.
        elapsed: Wall time in seconds.
        trace: Every event of the run.
        citations: Passages that the answer rests on, found verbatim in the text.
        coverage: Share of the text that a model has read for the answer, 0 to 1; None where it can't be told, as for data
            in a loop.
        attempts: Every route tried, in order.
        verified: Profile `VERIFY` only: whether an independent second route and the text bear the answer out. None where
            it was not asked for.
        evidence: What speaks for or against the answer, one statement an item, where it was to be verified.
        notes: What the caller should know: a coverage that is low, quotes that are not in the text, what a refusal
            would have taken.
        limit: Name of the limit that ended the run, such as ``"max_total_tokens"``; None where none did.
        error: What ended the run, for status ``error``; empty otherwise.
        calibration: Tokens of the prompt as the provider counted them for each one estimated here, for a direct call;
            `RouterConfig.calibration` takes it. None where nothing was learned.
    """

    output: str
    method: str
    status: Status
    profile: ExecutionProfile
    decision: RouteDecision
    trace: Trace
    value: Any = None
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    elapsed: float = 0.0
    citations: tuple[Citation, ...] = ()
    coverage: float | None = None
    attempts: tuple[Attempt, ...] = ()
    verified: bool | None = None
    evidence: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    limit: str | None = None
    error: str = ""
    calibration: float | None = None

    @property
    def tokens_used(self) -> int:
        """Input and output tokens of all calls together."""
        return self.usage.total_tokens

    @property
    def costs(self) -> Costs:
        """What the calls of all routes have cost, by model and by depth."""
        from pyrlm.costs import Costs  # noqa: PLC0415 - only who asks for them needs them

        return Costs.of(self.trace)

    @property
    def incomplete(self) -> bool:
        """Whether a limit or an error ended the run before an answer was accepted."""
        return self.status in {"limit", "error"}

    def __iter__(self) -> Iterator[Any]:
        yield self.output
        yield self.trace

    def as_dict(self) -> dict[str, Any]:
        """Return the result in JSON types, without the trace (`trace.to_json` writes that)."""
        return {
            "output": self.output,
            "value": _plain(plain(self.value)),
            "method": self.method,
            "status": self.status,
            "profile": str(self.profile),
            "decision": self.decision.as_dict(),
            "tokens_used": self.tokens_used,
            "usage": asdict(self.usage),
            "cost_usd": self.cost_usd,
            "costs": self.costs.as_dict(),
            "elapsed": round(self.elapsed, 6),
            "citations": [asdict(citation) for citation in self.citations],
            "coverage": self.coverage,
            "attempts": [asdict(attempt) for attempt in self.attempts],
            "verified": self.verified,
            "evidence": list(self.evidence),
            "notes": list(self.notes),
            "limit": self.limit,
            "error": self.error,
            "calibration": self.calibration,
        }


def _plain(value: Any) -> Any:
    """Return `value` if JSON can hold it as it is, else its repr."""
    if is_long(value):
        return hex(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(item) for key, item in value.items()}
    return repr(written(value))
