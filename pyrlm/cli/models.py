"""From ``--model provider:name`` to adapters."""

from __future__ import annotations

import os
from typing import Any

from pyrlm.errors import ConfigurationError

__all__ = ["adapters_for"]


def adapters_for(model: str | None, sub_model: str | None) -> tuple[Any, Any]:
    """Return the root adapter, and the sub-calls' one or None.

    Raises:
        ConfigurationError: No model was named, or the provider is not known or has no key.
    """
    from pyrlm.adapters import get_adapter  # noqa: PLC0415

    name = model or os.environ.get("PYRLM_MODEL")
    if not name:
        raise ConfigurationError(
            "No model was named. Use --model provider:name (openai:gpt-4.1, ollama:llama3.2, …) or set PYRLM_MODEL; "
            "--model extractive: works offline, without a key, by matching words."
        )
    return get_adapter(name), get_adapter(sub_model) if sub_model else None
