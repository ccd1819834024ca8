"""pyrlm answers questions over more text than a model can read.

`SmartRouter` picks the cheapest way that can be trusted; `RLM` is the loop in which a model writes code over the text.
Everything here is loaded when it is first used, so that `import pyrlm` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyrlm.adapters.base import Usage
    from pyrlm.budget import Budget
    from pyrlm.cache import DiskCache
    from pyrlm.citations import Citation
    from pyrlm.context import Context
    from pyrlm.conversation import Conversation
    from pyrlm.costs import Cost, Costs
    from pyrlm.errors import PolicyError, PyRLMError
    from pyrlm.events import TraceStep
    from pyrlm.policy import Policy
    from pyrlm.pricing import Price
    from pyrlm.prompts_template import PromptTemplate
    from pyrlm.result import RunResult
    from pyrlm.rlm import RLM
    from pyrlm.routers import ExecutionProfile, RouteDecision, RouterConfig, RouterResult, SmartRouter
    from pyrlm.stages import Stage
    from pyrlm.tools import Tool
    from pyrlm.trace import Trace

__all__ = [
    "RLM",
    "Budget",
    "Citation",
    "Context",
    "Conversation",
    "Cost",
    "Costs",
    "DiskCache",
    "ExecutionProfile",
    "Policy",
    "PolicyError",
    "Price",
    "PromptTemplate",
    "PyRLMError",
    "RouteDecision",
    "RouterConfig",
    "RouterResult",
    "RunResult",
    "SmartRouter",
    "Stage",
    "Tool",
    "Trace",
    "TraceStep",
    "Usage",
]

_HOMES = {
    "RLM": "pyrlm.rlm",
    "Budget": "pyrlm.budget",
    "Citation": "pyrlm.citations",
    "Context": "pyrlm.context",
    "Conversation": "pyrlm.conversation",
    "Cost": "pyrlm.costs",
    "Costs": "pyrlm.costs",
    "DiskCache": "pyrlm.cache",
    "ExecutionProfile": "pyrlm.routers",
    "Policy": "pyrlm.policy",
    "PolicyError": "pyrlm.errors",
    "Price": "pyrlm.pricing",
    "PromptTemplate": "pyrlm.prompts_template",
    "PyRLMError": "pyrlm.errors",
    "RouteDecision": "pyrlm.routers",
    "RouterConfig": "pyrlm.routers",
    "RouterResult": "pyrlm.routers",
    "RunResult": "pyrlm.result",
    "SmartRouter": "pyrlm.routers",
    "Stage": "pyrlm.stages",
    "Tool": "pyrlm.tools",
    "Trace": "pyrlm.trace",
    "TraceStep": "pyrlm.events",
    "Usage": "pyrlm.adapters.base",
}

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'pyrlm' has no attribute {name!r}") from None
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
