"""Adapters by a short name: ``get_adapter("ollama:llama3.2")``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyrlm.adapters.keys import first_set
from pyrlm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PRESETS", "Preset", "get_adapter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A provider that speaks the OpenAI chat protocol.

    Attributes:
        base_url: Its address; None where only a variable can tell it.
        key_variables: Environment variables that hold its key, in the order in which they are looked up.
        url_variables: Environment variables that overrule `base_url`.
        option_names: Options that it takes under another name than OpenAI.
    """

    base_url: str | None
    key_variables: tuple[str, ...]
    url_variables: tuple[str, ...] = ()
    option_names: Mapping[str, str] = field(default_factory=dict)


PRESETS: dict[str, Preset] = {
    "cerebras": Preset(base_url="https://api.cerebras.ai/v1", key_variables=("CEREBRAS_API_KEY",)),
    "deepseek": Preset(base_url="https://api.deepseek.com/v1", key_variables=("DEEPSEEK_API_KEY",)),
    "fireworks": Preset(base_url="https://api.fireworks.ai/inference/v1", key_variables=("FIREWORKS_API_KEY",)),
    "gemini": Preset(
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    ),
    "groq": Preset(base_url="https://api.groq.com/openai/v1", key_variables=("GROQ_API_KEY",)),
    "huggingface": Preset(base_url="https://router.huggingface.co/v1", key_variables=("HF_TOKEN",)),
    "lmstudio": Preset(
        base_url="http://localhost:1234/v1", key_variables=("LMSTUDIO_API_KEY",), url_variables=("LMSTUDIO_BASE_URL",)
    ),
    "mistral": Preset(
        base_url="https://api.mistral.ai/v1", key_variables=("MISTRAL_API_KEY",), option_names={"seed": "random_seed"}
    ),
    "ollama": Preset(
        base_url="http://localhost:11434/v1", key_variables=("OLLAMA_API_KEY",), url_variables=("OLLAMA_BASE_URL",)
    ),
    "openai": Preset(
        base_url="https://api.openai.com/v1",
        key_variables=("OPENAI_API_KEY", "LLM_API_KEY"),
        url_variables=("OPENAI_BASE_URL",),
    ),
    "openai-compatible": Preset(
        base_url=None, key_variables=("LLM_API_KEY", "OPENAI_API_KEY"), url_variables=("LLM_BASE_URL",)
    ),
    "openrouter": Preset(base_url="https://openrouter.ai/api/v1", key_variables=("OPENROUTER_API_KEY",)),
    "together": Preset(base_url="https://api.together.xyz/v1", key_variables=("TOGETHER_API_KEY",)),
    "vllm": Preset(
        base_url="http://localhost:8000/v1", key_variables=("VLLM_API_KEY",), url_variables=("VLLM_BASE_URL",)
    ),
    "xai": Preset(base_url="https://api.x.ai/v1", key_variables=("XAI_API_KEY",)),
}
"""Providers of the OpenAI chat protocol by name. ``anthropic:``, ``azure:`` and ``extractive:`` have adapters of their own."""

_OWN = ("anthropic", "azure", "extractive")


def get_adapter(spec: str, **options: Any) -> Any:
    """An adapter by ``provider:model``.

    A name without a known provider before its colon is a model of LLM_BASE_URL where that is set, else of OpenAI; so
    ``gpt-4.1`` works, and with LLM_BASE_URL also ``llama3.2:3b``.

    Args:
        spec: Such as ``"openai:gpt-4.1"``, ``"anthropic:claude-sonnet-4-5"``, ``"ollama:llama3.2:3b"``, ``"azure:my-deployment"`` or ``"extractive"``.
        options: Passed to the adapter: `api_key`, `base_url`, `timeout`, `context_window`, …

    Raises:
        ConfigurationError: The provider is not known, or the model's name, the key or the address are missing.
    """
    if not isinstance(spec, str) or not spec.strip():
        raise ConfigurationError(f'model={spec!r}: expected "provider:model", such as "openai:gpt-4.1".')
    provider, colon, model = spec.strip().partition(":")
    known = provider.lower()
    if known == "extractive":
        return _extractive(model, options)
    if not colon or (known not in PRESETS and known not in _OWN and first_set(("LLM_BASE_URL",))):
        known, model = "openai-compatible" if first_set(("LLM_BASE_URL",)) else "openai", spec.strip()
    if known not in PRESETS and known not in _OWN:
        names = ", ".join(f"{name}:" for name in sorted((*PRESETS, *_OWN)))
        raise ConfigurationError(
            f"model={spec!r}: no provider is called {provider!r}; there are {names} - or set LLM_BASE_URL for another "
            "server that speaks the OpenAI chat protocol."
        )
    if not model:
        raise ConfigurationError(f'model={spec!r}: the name of the model is missing; write "{known}:NAME".')
    if known == "anthropic":
        from pyrlm.adapters.anthropic import AnthropicAdapter  # noqa: PLC0415 - only the adapter that is asked for is loaded

        return AnthropicAdapter(model, **options)
    if known == "azure":
        from pyrlm.adapters.azure import AzureOpenAIAdapter  # noqa: PLC0415

        return AzureOpenAIAdapter(model, **options)
    return _compatible(known, model, options)


def _compatible(provider: str, model: str, options: dict[str, Any]) -> Any:
    from pyrlm.adapters.openai_compat import OpenAICompatAdapter  # noqa: PLC0415

    preset = PRESETS[provider]
    if "client" in options:
        return OpenAICompatAdapter(model, **({"option_names": preset.option_names} | options))
    url = options.pop("base_url", None) or first_set(preset.url_variables) or preset.base_url
    if url is None:
        raise ConfigurationError(f"{provider}: no address; set {' or '.join(preset.url_variables)}, or pass base_url.")
    known = {"key_variables": preset.key_variables, "option_names": preset.option_names}
    return OpenAICompatAdapter(model, base_url=url, **(known | options))


def _extractive(model: str, options: dict[str, Any]) -> Any:
    from pyrlm.adapters.extractive import ExtractiveAdapter  # noqa: PLC0415

    if model:
        raise ConfigurationError(f'model="extractive:{model}": there is one extractive adapter; write "extractive".')
    return ExtractiveAdapter(**options)
