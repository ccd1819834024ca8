"""Checks the options of `RLM` once, when they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrlm.adapters.calling import as_adapter
from pyrlm.errors import ConfigurationError
from pyrlm.evidence import check_retriever
from pyrlm.mcp_config import check_servers
from pyrlm.prompts_system import check_prompt_options
from pyrlm.tools import check_tools

if TYPE_CHECKING:
    from pyrlm.rlm import RLM

__all__ = ["checked_models"]

_ABOVE_ZERO = (
    "max_tokens",
    "subcall_max_tokens",
    "max_output_chars",
    "repl_timeout",
    "max_concurrent_subcalls",
    "max_concurrent_subagents",
    "subagent_max_steps",
)


def checked_models(rlm: RLM) -> dict[str, Any]:
    """Check all options; return those that hold models, with adapters in the place of names like ``"openai:gpt-4.1"``.

    Raises:
        ConfigurationError: An option can't be used.
    """
    check_retriever(rlm.retriever)
    check_tools(rlm.tools)
    check_servers(rlm.mcp_servers)
    check_prompt_options(rlm)
    for name in _ABOVE_ZERO:
        if not getattr(rlm, name) > 0:
            raise ConfigurationError(f"RLM({name}={getattr(rlm, name)!r}): expected a number above 0.")
    if rlm.on_limit not in {"raise", "return"}:
        raise ConfigurationError(f"RLM(on_limit={rlm.on_limit!r}): expected 'raise' or 'return'.")
    if isinstance(rlm.subagent_adapters, str) or not hasattr(rlm.subagent_adapters, "__iter__"):
        raise ConfigurationError("RLM(subagent_adapters=…): expected a list of models, that of depth 1 first.")
    named = rlm.subcall_models
    return {
        "adapter": as_adapter(rlm.adapter),
        "subcall_adapter": None if rlm.subcall_adapter is None else as_adapter(rlm.subcall_adapter),
        "subcall_models": None if named is None else {name: as_adapter(model) for name, model in named.items()},
        "subagent_adapters": tuple(as_adapter(model) for model in rlm.subagent_adapters),
    }
