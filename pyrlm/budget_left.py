"""What a run has left of its limits."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BudgetLeft"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLeft:
    """What is left of each limit; None where there is no such limit.

    What calls in flight have reserved and what is kept for the last call is taken off.

    Attributes:
        steps: Root calls.
        subcalls: Sub-calls.
        tokens: Input and output tokens of all calls.
        subcall_tokens: Input and output tokens of sub-calls.
        cost_usd: US dollars.
        seconds: Wall time.
        last_tokens: Tokens that the last call may use, what is kept for it included.
        last_cost_usd: US dollars that the last call may use, what is kept for it included.
        spent_share: The highest share of any limit that is used, from 0.0 to 1.0 (more where a provider billed more
            than was reserved).
    """

    steps: int | None
    subcalls: int | None
    tokens: int | None
    subcall_tokens: int | None
    cost_usd: float | None
    seconds: float | None
    last_tokens: int | None
    last_cost_usd: float | None
    spent_share: float
