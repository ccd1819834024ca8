"""Models: the protocol for one's own, and adapters for those that speak over HTTP."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyrlm.adapters.anthropic import AnthropicAdapter
    from pyrlm.adapters.azure import AzureOpenAIAdapter
    from pyrlm.adapters.base import AsyncModelAdapter, Message, ModelAdapter, ModelResponse, Retry, Usage
    from pyrlm.adapters.calling import acomplete, astream
    from pyrlm.adapters.command import CommandAdapter
    from pyrlm.adapters.extractive import ExtractiveAdapter
    from pyrlm.adapters.fake import FakeAdapter, FakeCall
    from pyrlm.adapters.fallback import FallbackAdapter
    from pyrlm.adapters.generic import GenericChatAdapter
    from pyrlm.adapters.openai_compat import OpenAICompatAdapter
    from pyrlm.adapters.presets import PRESETS, Preset, get_adapter
    from pyrlm.adapters.rate_limit import RateLimit

_HOMES = {
    "PRESETS": "presets",
    "AnthropicAdapter": "anthropic",
    "AsyncModelAdapter": "base",
    "AzureOpenAIAdapter": "azure",
    "CommandAdapter": "command",
    "ExtractiveAdapter": "extractive",
    "FakeAdapter": "fake",
    "FakeCall": "fake",
    "FallbackAdapter": "fallback",
    "GenericChatAdapter": "generic",
    "Message": "base",
    "ModelAdapter": "base",
    "ModelResponse": "base",
    "OpenAICompatAdapter": "openai_compat",
    "Preset": "presets",
    "RateLimit": "rate_limit",
    "Retry": "base",
    "Usage": "base",
    "acomplete": "calling",
    "astream": "calling",
    "get_adapter": "presets",
}

__all__ = [
    "PRESETS",
    "AnthropicAdapter",
    "AsyncModelAdapter",
    "AzureOpenAIAdapter",
    "CommandAdapter",
    "ExtractiveAdapter",
    "FakeAdapter",
    "FakeCall",
    "FallbackAdapter",
    "GenericChatAdapter",
    "Message",
    "ModelAdapter",
    "ModelResponse",
    "OpenAICompatAdapter",
    "Preset",
    "RateLimit",
    "Retry",
    "Usage",
    "acomplete",
    "astream",
    "get_adapter",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
