"""How to answer: the router, its decision, its profiles and its results."""

from __future__ import annotations

from pyrlm.routers.config import RouterConfig
from pyrlm.routers.decision import RouteDecision
from pyrlm.routers.limits import Limit
from pyrlm.routers.prediction import Prediction, RecordedRun
from pyrlm.routers.profiles import ExecutionProfile
from pyrlm.routers.query_kinds import QueryKind, classify_query
from pyrlm.routers.result import Attempt, RouterResult
from pyrlm.routers.smart import SmartRouter

__all__ = [
    "Attempt",
    "ExecutionProfile",
    "Limit",
    "Prediction",
    "QueryKind",
    "RecordedRun",
    "RouteDecision",
    "RouterConfig",
    "RouterResult",
    "SmartRouter",
    "classify_query",
]
