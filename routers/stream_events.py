"""What `SmartRouter.stream` yields: four kinds of records, told apart by their class or by `kind`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from pyrlm.events import TraceStep
    from pyrlm.routers.result import RouterResult

__all__ = ["ProgressEvent", "ResultEvent", "StreamEvent", "TextEvent", "WithdrawnEvent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressEvent:
    """Something happened in the run.

    Attributes:
        step: What.
        kind: ``"progress"``.
    """

    step: TraceStep
    kind: Literal["progress"] = "progress"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEvent:
    """The next piece of the answer.

    Attributes:
        text: The piece. All since the latest withdrawal, joined, are the answer so far, and at the end the result's
            `output`.
        kind: ``"text"``.
    """

    text: str
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawnEvent:
    """All text shown so far does not hold: it is to be cleared away. Comes only where there was some.

    Attributes:
        reason: Why, such as a quote that is not in the text, or a connection that broke off.
        kind: ``"withdrawn"``.
    """

    reason: str
    kind: Literal["withdrawn"] = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultEvent:
    """The run is over; always the last event.

    Attributes:
        result: What `run` gives.
        kind: ``"result"``.
    """

    result: RouterResult
    kind: Literal["result"] = "result"


StreamEvent: TypeAlias = ProgressEvent | TextEvent | WithdrawnEvent | ResultEvent
"""What a stream yields."""
