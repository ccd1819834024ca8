"""How to answer: the router, its decision, its profiles and its results."""

from __future__ import annotations

from pyrlm.routers.config import RouterConfig
from pyrlm.routers.cost_summary import CostSummary
from pyrlm.routers.decision import RouteDecision
from pyrlm.routers.limits import Limit
from pyrlm.routers.many import BatchItem, BatchOptions
from pyrlm.routers.prediction import Prediction, RecordedRun
from pyrlm.routers.profiles import ExecutionProfile
from pyrlm.routers.query_kinds import QueryKind, classify_query
from pyrlm.routers.request import RunOptions
from pyrlm.routers.result import Attempt, RouterResult
from pyrlm.routers.smart import SmartRouter
from pyrlm.routers.stream_events import ProgressEvent, ResultEvent, StreamEvent, TextEvent, WithdrawnEvent

__all__ = [
    "Attempt",
    "BatchItem",
    "BatchOptions",
    "CostSummary",
    "ExecutionProfile",
    "Limit",
    "Prediction",
    "ProgressEvent",
    "QueryKind",
    "RecordedRun",
    "ResultEvent",
    "RouteDecision",
    "RouterConfig",
    "RouterResult",
    "RunOptions",
    "SmartRouter",
    "StreamEvent",
    "TextEvent",
    "WithdrawnEvent",
    "classify_query",
]
