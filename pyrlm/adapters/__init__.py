"""Models: the protocol for one's own, and adapters for those that speak over HTTP."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyrlm.adapters.base import AsyncModelAdapter, Message, ModelAdapter, ModelResponse, Retry, Usage
    from pyrlm.adapters.calling import acomplete
    from pyrlm.adapters.fake import FakeAdapter, FakeCall

_HOMES = {
    "AsyncModelAdapter": "base",
    "FakeAdapter": "fake",
    "FakeCall": "fake",
    "Message": "base",
    "ModelAdapter": "base",
    "ModelResponse": "base",
    "Retry": "base",
    "Usage": "base",
    "acomplete": "calling",
}

__all__ = [
    "AsyncModelAdapter",
    "FakeAdapter",
    "FakeCall",
    "Message",
    "ModelAdapter",
    "ModelResponse",
    "Retry",
    "Usage",
    "acomplete",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
