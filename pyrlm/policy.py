"""What a run may use: a frozen description, so that one policy can serve any number of runs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from pyrlm.errors import ConfigurationError

__all__ = ["Policy", "check_policy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Limits of one run. None means no limit.

    A policy holds no counters: it can be shared by runs, threads and processes. What a run has used so far is in its
    `Budget`.

    Attributes:
        max_steps: Root model calls that may lead to code (default 40). A run that meets it makes one more call, which
            asks for the best answer so far.
        max_subcalls: Sub-model calls of the whole run, sub-agents' calls included (default 200). Cache hits are free.
        max_recursion_depth: Depth to which sub-agents may start sub-agents; 0 allows none (default 1).
        max_total_tokens: Input and output tokens of all calls together (default 200,000).
        max_subcall_tokens: Input and output tokens of all sub-calls together (default: no limit of its own).
        max_cost_usd: US dollars of all calls together (default: no limit). Needs known prices.
        max_seconds: Wall time of the run in seconds (default: no limit).

    Raises:
        ConfigurationError: A limit is negative, or of the wrong type.
    """

    max_steps: int | None = 40
    max_subcalls: int | None = 200
    max_recursion_depth: int = 1
    max_total_tokens: int | None = 200_000
    max_subcall_tokens: int | None = None
    max_cost_usd: float | None = None
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name != "max_recursion_depth":
                continue
            kinds = (int, float) if field.name in {"max_cost_usd", "max_seconds"} else (int,)
            if isinstance(value, bool) or not isinstance(value, kinds) or value < 0:
                kind = "number" if float in kinds else "whole number"
                raise ConfigurationError(
                    f"Policy({field.name}={value!r}): expected a {kind} of 0 or more, or None for no limit."
                )
        if self.max_steps == 0:
            raise ConfigurationError("Policy(max_steps=0): a run needs at least one step; use 1 or more, or None.")

    @classmethod
    def only(cls, **limits: Any) -> Policy:
        """Return a policy with these limits and no others: ``Policy.only(max_cost_usd=5)``."""
        open_ended = {field.name: None for field in fields(cls) if field.name != "max_recursion_depth"}
        return cls(**{**open_ended, **limits})


def check_policy(given: object, name: str) -> None:
    """Check an option that holds limits, or None for none of its own.

    Args:
        given: The option.
        name: What the caller calls it, for the message.

    Raises:
        ConfigurationError: It is anything but a `Policy`.
    """
    if given is not None and not isinstance(given, Policy):
        raise ConfigurationError(
            f"{name}={given!r:.100}: expected a Policy, such as Policy(max_cost_usd=1.0), not {_kind(given)}."
        )


def _kind(given: object) -> str:
    return f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
