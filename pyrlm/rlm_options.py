"""Checks the options of `RLM` once, when they are given."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

from pyrlm.adapters.calling import as_adapter
from pyrlm.errors import ConfigurationError
from pyrlm.evidence import check_retriever
from pyrlm.mcp_config import check_servers
from pyrlm.policy import check_policy
from pyrlm.prompts_system import check_prompt_options
from pyrlm.tools import check_tools

if TYPE_CHECKING:
    from pyrlm.rlm import RLM

__all__ = ["check_cache", "check_watching", "checked_models"]

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
    check_policy(rlm.policy, "policy")
    check_cache(rlm.cache)
    check_watching(rlm.event_listener, rlm.trace_path)
    _check_numbers(rlm)
    if rlm.on_limit not in ("raise", "return"):  # a set would need a hash
        raise ConfigurationError(f"RLM(on_limit={rlm.on_limit!r}): expected 'raise' or 'return'.")
    if not isinstance(rlm.repl_backend, str) and not callable(rlm.repl_backend):
        raise ConfigurationError(
            f"RLM(repl_backend={rlm.repl_backend!r:.100}): expected 'exec', 'monty', or a callable that returns a Repl."
        )
    if isinstance(rlm.subagent_adapters, str) or not hasattr(rlm.subagent_adapters, "__iter__"):
        raise ConfigurationError("RLM(subagent_adapters=…): expected a list of models, that of depth 1 first.")
    named = rlm.subcall_models
    if not isinstance(named, Mapping | None):
        raise ConfigurationError(f"RLM(subcall_models={named!r:.100}): expected a dict of models by name.")
    return {
        "adapter": as_adapter(rlm.adapter),
        "subcall_adapter": None if rlm.subcall_adapter is None else as_adapter(rlm.subcall_adapter),
        "subcall_models": None if named is None else {name: as_adapter(model) for name, model in named.items()},
        "subagent_adapters": tuple(as_adapter(model) for model in rlm.subagent_adapters),
    }


def check_cache(cache: object) -> None:
    """Check the option for a cache.

    Raises:
        ConfigurationError: It is neither None nor an object with the methods of `DiskCache`.
    """
    made = not isinstance(cache, type) and all(callable(getattr(cache, name, None)) for name in ("key", "fetch"))
    if cache is not None and not made:
        raise ConfigurationError(
            f"cache={cache!r:.100}: expected a cache, such as DiskCache(folder), or None for none."
        )


def check_watching(listener: object, path: object) -> None:
    """Check the options by which runs are watched.

    Raises:
        ConfigurationError: The listener can't be called, or the path is none.
    """
    if listener is not None and not callable(listener):
        raise ConfigurationError(f"event_listener={listener!r:.100}: expected a callable that takes a TraceStep.")
    if path is not None and not isinstance(path, str | PathLike):
        raise ConfigurationError(f"trace_path={path!r:.100}: expected the path of a file.")


def _check_numbers(rlm: RLM) -> None:
    for name in _ABOVE_ZERO:
        value = getattr(rlm, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise ConfigurationError(f"RLM({name}={value!r:.100}): expected a number above 0.")
    for name in ("max_history_tokens", "invalid_response_limit"):
        value = getattr(rlm, name)
        if isinstance(value, bool) or not isinstance(value, int | None):
            raise ConfigurationError(f"RLM({name}={value!r:.100}): expected a whole number, or None.")
