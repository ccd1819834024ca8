"""How sub-calls are made, and what stands in the place of one that failed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SubCallOptions", "failed"]


def failed(reason: str) -> str:
    """Return what stands in the place of a sub-call that gave no answer."""
    return f"[sub-call failed: {reason}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubCallOptions:
    """How sub-calls are made.

    Attributes:
        max_tokens: Most tokens of a reply, where the code names none.
        temperature: None leaves it to the provider.
        parallel: Whether `ask_chunks` and `llm_query_batch` run side by side where the code doesn't say.
    """

    max_tokens: int = 1024
    temperature: float | None = None
    parallel: bool = True
