"""The counters behind a budget: one meter for each limit of a policy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from pyrlm.adapters.base import Usage
from pyrlm.errors import (
    ConfigurationError,
    MaxCostExceeded,
    MaxStepsExceeded,
    MaxSubcallsExceeded,
    MaxSubcallTokensExceeded,
    MaxTokensExceeded,
    PolicyError,
    PriceUnknownError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrlm.policy import Policy
    from pyrlm.pricing import Price

__all__ = [
    "KEPT_SHARE",
    "MIN_OUTPUT_TOKENS",
    "PICO",
    "Account",
    "Ask",
    "CallKind",
    "Meter",
    "Reservation",
    "check_tokens",
    "smallest",
]

CallKind = Literal["root", "subcall", "direct", "last"]
"""`root` counts as a step, `subcall` as a sub-call, `direct` as neither; `last` is the call kept in reserve."""

_ABOVE = 2
"""Accounts of a sub-agent that are its own: what it has counted, and its share."""

KEPT_SHARE = 0.25
"""Largest share of a limit that is held for the last call, so that a small limit still allows work."""

MIN_OUTPUT_TOKENS = 16
"""A reply of fewer tokens is not worth its prompt."""

PICO = 10**12
"""Money is counted in whole millionths of a millionth of a dollar: sums of floats would drift past a limit."""

Number = TypeVar("Number", int, float)


def smallest(*values: Number | None) -> Number | None:
    """Return the smallest value that is not None; None where all are."""
    return min((value for value in values if value is not None), default=None)


def to_pico(cost_usd: float) -> int:
    """Convert US dollars to whole units of 1 / `PICO`."""
    return round(cost_usd * PICO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a call wants: see `Budget.reserve`.

    `idle` leaves reservations of other calls out of account; `last` is for the call kept in reserve.
    """

    prompt_tokens: int
    max_tokens: int
    min_tokens: int
    price: Price | None
    idle: bool = False
    last: bool = False

    def at(self, place: int) -> Ask:
        """Return it as the account `place` levels up takes it: those above a sub-agent's share keep theirs for others."""
        return replace(self, last=False) if self.last and place >= _ABOVE else self


@dataclass(slots=True, eq=False, kw_only=True)
class Reservation:
    """Room for one call, held until it is settled or released.

    Attributes:
        kind: What the call is.
        prompt_tokens: Upper bound of the prompt's tokens, as asked for.
        max_tokens: The completion cap to send: what was asked for, cut to what is left.
        cost_usd: Upper bound of the cost in US dollars; None where the price is not known.
        price: Price of the model, where known.
        state: Set by the budget.
    """

    kind: CallKind
    prompt_tokens: int
    max_tokens: int
    cost_usd: float | None
    price: Price | None
    state: Literal["open", "released", "settled"] = "open"


@dataclass(slots=True)
class Meter:
    """One limit and what has been taken of it."""

    name: str
    limit: int | None
    error: type[PolicyError]
    unit: str = "tokens"
    used: int = 0
    reserved: int = 0
    kept: int = 0

    @property
    def taken(self) -> int:
        """Used and reserved together."""
        return self.used + self.reserved

    def room(self, *, last: bool = False, idle: bool = False) -> int | None:
        """Tell what is left, at least 0; None without a limit."""
        if self.limit is None:
            return None
        return max(0, self.limit - self.used - (0 if idle else self.reserved) - (0 if last else self.kept))

    def need(self, amount: int, *, last: bool = False, idle: bool = False, why: str = "") -> None:
        """Raise this limit's error if `amount` is not left."""
        room = self.room(last=last, idle=idle)
        if room is None or amount <= room:
            return
        kept = f", {self.show(self.kept)} kept for the last call" if self.kept and not last else ""
        raise self.error(
            f"{self.name}={self.show(self.limit or 0)}: {self.show(self.used)} used, {self.show(self.reserved)} "
            f"reserved by calls in flight{kept}; this call asks for {self.show(amount)}{why}."
        )

    def show(self, amount: int) -> str:
        """Write an amount with its unit."""
        return f"${amount / PICO:.6g}" if self.unit == "usd" else f"{amount:,} {self.unit}"


@dataclass(slots=True)
class Account:
    """What one budget has counted. The budget's lock guards it.

    Attributes:
        policy: The limits.
        started: The budget's clock when it was made, in seconds.
        as_subcalls: Whether each call counts as a sub-call one level up.
        usage: Tokens of all settled calls.
        cost_known: False as soon as a call of unknown cost was settled.
        kept_seconds: Wall time that only the last call may use.
    """

    policy: Policy
    started: float
    as_subcalls: bool = False
    usage: Usage = field(default_factory=Usage)
    cost_known: bool = True
    kept_seconds: float = 0.0
    steps: Meter = field(init=False)
    subcalls: Meter = field(init=False)
    tokens: Meter = field(init=False)
    subcall_tokens: Meter = field(init=False)
    cost: Meter = field(init=False)

    def __post_init__(self) -> None:
        policy = self.policy
        self.steps = Meter("max_steps", policy.max_steps, MaxStepsExceeded, "steps")
        self.subcalls = Meter("max_subcalls", policy.max_subcalls, MaxSubcallsExceeded, "sub-calls")
        self.tokens = Meter("max_total_tokens", policy.max_total_tokens, MaxTokensExceeded)
        self.subcall_tokens = Meter("max_subcall_tokens", policy.max_subcall_tokens, MaxSubcallTokensExceeded)
        limit = None if policy.max_cost_usd is None else to_pico(policy.max_cost_usd)
        self.cost = Meter("max_cost_usd", limit, MaxCostExceeded, "usd")

    def __iter__(self) -> Iterator[Meter]:
        return iter((self.steps, self.subcalls, self.tokens, self.subcall_tokens, self.cost))

    def cap(self, kind: CallKind, ask: Ask) -> int:
        """Return the completion tokens that this call may have.

        Raises:
            PolicyError: The first limit that does not allow the prompt and `ask.min_tokens`.
            PriceUnknownError: There is a money limit and no price.
        """
        last, idle = kind == "last", ask.idle
        why = f" (prompt up to {ask.prompt_tokens:,}, reply of at least {ask.min_tokens:,})"
        if self.cost.limit is not None and ask.price is None:
            raise PriceUnknownError(
                f"Policy(max_cost_usd={self.policy.max_cost_usd}): the price of the model is not known, so the limit "
                "can't be kept and nothing was sent. Give the price in US dollars per million tokens, as "
                "`price=Price(input_usd_per_mtok=…, output_usd_per_mtok=…)` on the adapter (zeros for a model that "
                "costs nothing), or set max_cost_usd=None."
            )
        if kind == "root":
            self.steps.need(1, idle=idle)
        cap = ask.max_tokens
        meters = [self.tokens]
        if kind == "subcall":
            self.subcalls.need(1, last=ask.last, idle=idle)
            meters.append(self.subcall_tokens)
        for meter in meters:
            meter.need(ask.prompt_tokens + ask.min_tokens, last=last, idle=idle, why=why)
            room = meter.room(last=last, idle=idle)
            cap = cap if room is None else min(cap, room - ask.prompt_tokens)
        if ask.price is not None:
            self.cost.need(
                to_pico(ask.price.upper_cost(ask.prompt_tokens, ask.min_tokens)), last=last, idle=idle, why=why
            )
            cap = self._affordable(ask, cap, last=last)
        return cap

    def _affordable(self, ask: Ask, cap: int, *, last: bool) -> int:
        room = self.cost.room(last=last, idle=ask.idle)
        if room is None or ask.price is None:
            return cap
        # upper_cost is a line in the completion tokens: the largest count under `room` is found by halving.
        low, high = ask.min_tokens, cap
        while low < high:
            middle = (low + high + 1) // 2
            if to_pico(ask.price.upper_cost(ask.prompt_tokens, middle)) <= room:
                low = middle
            else:
                high = middle - 1
        return low

    def hold(self, kind: CallKind, tokens: int, cost_usd: float | None, sign: int) -> None:
        """Add (`sign` 1) or take off (-1) one call's reservation."""
        if kind == "root":
            self.steps.reserved += sign
        if kind == "subcall":
            self.subcalls.reserved += sign
            self.subcall_tokens.reserved += sign * tokens
        self.tokens.reserved += sign * tokens
        self.cost.reserved += sign * to_pico(cost_usd or 0.0)

    def spend(self, kind: CallKind, usage: Usage, cost_usd: float | None) -> None:
        """Count what a call has used."""
        if kind == "root":
            self.steps.used += 1
        if kind == "subcall":
            self.subcalls.used += 1
            self.subcall_tokens.used += usage.total_tokens
        self.usage += usage
        self.cost_known = self.cost_known and cost_usd is not None
        self.tokens.used += usage.total_tokens
        self.cost.used += to_pico(cost_usd or 0.0)

    def keep(self, tokens: int, cost_usd: float, seconds: float) -> None:
        """Hold tokens, money and time for the last call, at most `KEPT_SHARE` of each limit."""
        self.tokens.kept = min(tokens, int(KEPT_SHARE * (self.tokens.limit or 0)))
        self.cost.kept = min(to_pico(cost_usd), int(KEPT_SHARE * (self.cost.limit or 0)))
        self.kept_seconds = min(seconds, KEPT_SHARE * (self.policy.max_seconds or 0.0))

    def seconds_left(self, now: float, *, last: bool) -> float | None:
        """Tell how many seconds are left at `now`, at least 0.0; None without a limit."""
        if self.policy.max_seconds is None:
            return None
        return max(0.0, self.policy.max_seconds - (now - self.started) - (0.0 if last else self.kept_seconds))

    def spent_share(self, now: float) -> float:
        """Return the highest share of a limit that is used or reserved."""
        shares = [1.0 if meter.limit == 0 else meter.taken / meter.limit for meter in self if meter.limit is not None]
        if self.policy.max_seconds:
            shares.append((now - self.started) / self.policy.max_seconds)
        return max(shares, default=0.0)

    def summary(self, now: float) -> dict[str, dict[str, float | None]]:
        """Describe limits and use: money in US dollars, time in seconds."""
        report: dict[str, dict[str, float | None]] = {}
        for meter in self:
            amounts = {"limit": meter.limit, "used": meter.used, "reserved": meter.reserved, "kept_back": meter.kept}
            report[meter.name] = {
                key: amount / PICO if meter.unit == "usd" and amount is not None else amount
                for key, amount in amounts.items()
            }
        report["max_seconds"] = {
            "limit": self.policy.max_seconds,
            "used": round(now - self.started, 3),
            "kept_back": self.kept_seconds,
        }
        return report


def check_tokens(prompt_tokens: int, max_tokens: int) -> None:
    """Raise `ConfigurationError` for numbers of tokens that no call has."""
    if prompt_tokens < 0 or max_tokens < 1:
        raise ConfigurationError(
            f"reserve(prompt_tokens={prompt_tokens}, max_tokens={max_tokens}): expected a prompt of 0 or more tokens and "
            "a reply of at least 1."
        )
