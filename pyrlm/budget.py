"""What one run may still use: reserve before each call, settle after it.

A call is let through only if its upper bound fits beside everything used and everything reserved by calls in flight,
so calls made at the same time can't pass a limit together. After the call the reservation is replaced by what the
provider counted; what it bills above the reservation is counted truly and narrows what comes after.
"""

from __future__ import annotations

import copy
import threading
import time
from typing import TYPE_CHECKING

from pyrlm.budget_left import BudgetLeft
from pyrlm.errors import ConfigurationError, MaxSecondsExceeded, PolicyError, PriceUnknownError
from pyrlm.meters import (
    KEPT_SHARE,
    MIN_OUTPUT_TOKENS,
    PICO,
    Account,
    Ask,
    CallKind,
    Reservation,
    check_tokens,
    smallest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyrlm.adapters.base import Usage
    from pyrlm.policy import Policy
    from pyrlm.pricing import Price

__all__ = ["KEPT_SHARE", "Budget", "BudgetLeft", "CallKind", "Reservation"]


class Budget:
    """The counters of one run. Safe to use from any number of threads and tasks; nothing here waits.

    Args:
        policy: The limits.
        clock: Seconds that only go up; the run's time starts when the budget is made.
    """

    def __init__(self, policy: Policy, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.policy = policy
        self._clock = clock
        self._lock = threading.RLock()
        self._accounts = [Account(policy, clock())]

    def child(self, policy: Policy, *, as_subcalls: bool = False, keeps_a_call: bool = False) -> Budget:
        """Give a part of the run limits of its own, within this budget's.

        Every reservation of the child is one of this budget too, so that the child can pass neither.

        Args:
            policy: The part's own limits.
            as_subcalls: Count every call of the part as a sub-call here (the part is a sub-agent) instead of by its
                own kind (the part is a stage).
            keeps_a_call: Keep one of the part's sub-calls for its last call, where it has two or more.
        """
        child = copy.copy(self)  # the lock is shared: a reservation is made in the whole family or in none of it
        child.policy = policy
        own = Account(policy, self._clock(), as_subcalls=as_subcalls)
        own.subcalls.kept = int(keeps_a_call and (policy.max_subcalls or 0) > 1)
        child._accounts = [own, *self._accounts]  # noqa: SLF001 - the copy is a Budget too
        return child

    def reserve(
        self,
        kind: CallKind,
        *,
        prompt_tokens: int,
        max_tokens: int,
        price: Price | None = None,
        min_output_tokens: int = MIN_OUTPUT_TOKENS,
    ) -> Reservation:
        """Hold room for one call, or say which limit forbids it.

        Args:
            kind: What the call is; see `CallKind`. `last` may use what `keep_back` holds, and ignores `max_steps`.
            prompt_tokens: Upper bound of the prompt's tokens.
            max_tokens: Completion tokens wished for.
            price: The model's price; needed under `max_cost_usd`.
            min_output_tokens: A reply of fewer tokens is not worth its prompt: where not even these are left, the
                call is refused.

        Returns:
            A reservation whose `max_tokens` is cut to what is left of tokens and money.

        Raises:
            PolicyError: The subclass of the limit that was met.
            PriceUnknownError: `max_cost_usd` is set and `price` is None.
            ConfigurationError: A number of tokens that can't be.
        """
        check_tokens(prompt_tokens, max_tokens)
        least = min(min_output_tokens, max_tokens)
        last = kind == "last"
        ask = Ask(prompt_tokens=prompt_tokens, max_tokens=max_tokens, min_tokens=least, price=price, last=last)
        with self._lock:
            self.check_time(last=last)
            cap = self._cap(kind, ask)
            reservation = Reservation(
                kind=kind,
                prompt_tokens=prompt_tokens,
                max_tokens=cap,
                cost_usd=price.upper_cost(prompt_tokens, cap) if price is not None else None,
                price=price,
            )
            self._hold(reservation, 1)
            if last:
                self._accounts[0].keep(0, 0.0, 0.0)
        return reservation

    def fits_when_idle(
        self,
        kind: CallKind,
        *,
        prompt_tokens: int,
        max_tokens: int,
        price: Price | None = None,
        min_output_tokens: int = MIN_OUTPUT_TOKENS,
    ) -> bool:
        """Tell whether a refused call would fit if the calls in flight turned out to use nothing.

        True means that it is worth waiting for one of them to settle and to reserve again; False that it is not.
        """
        ask = Ask(
            prompt_tokens=prompt_tokens,
            max_tokens=max_tokens,
            min_tokens=min(min_output_tokens, max_tokens),
            price=price,
            idle=True,
            last=kind == "last",
        )
        with self._lock:
            try:
                self._cap(kind, ask)
            except (PolicyError, PriceUnknownError):
                return False
        return self.seconds_left(last=kind == "last") != 0.0

    def settle(self, reservation: Reservation, usage: Usage, cost_usd: float | None = None) -> None:
        """Replace a reservation by what the call used.

        Args:
            reservation: From `reserve`. One that was released is charged all the same: its reply came after all.
            usage: Tokens as the provider counted them.
            cost_usd: What the provider reports as cost; None: from the reservation's price, where known.

        Raises:
            ConfigurationError: The reservation was settled before.
        """
        if cost_usd is None and reservation.price is not None:
            cost_usd = reservation.price.cost(usage)
        with self._lock:
            if reservation.state == "settled":
                raise ConfigurationError("settle(): this reservation is settled already; each call has one of its own.")
            if reservation.state == "open":
                self._hold(reservation, -1)
            for account, kind in self._levels(reservation.kind):
                account.spend(kind, usage, cost_usd)
            reservation.state = "settled"

    def hold_lost(self, reservation: Reservation, tokens: int) -> None:
        """Hold `tokens` of a reply that broke off beside `reservation`, whose cap is cut to what is left then.

        Raises:
            PolicyError: No reply has room beside them; they are held all the same.
        """
        with self._lock:
            self._hold(reservation, -1)
            reservation.prompt_tokens += tokens
            try:
                cap = reservation.max_tokens
                ask = Ask(
                    prompt_tokens=reservation.prompt_tokens,
                    max_tokens=cap,
                    min_tokens=min(MIN_OUTPUT_TOKENS, cap),
                    price=reservation.price,
                    last=reservation.kind == "last",
                )
                reservation.max_tokens = self._cap(reservation.kind, ask)
            finally:
                if reservation.price is not None:
                    held = (reservation.prompt_tokens, reservation.max_tokens)
                    reservation.cost_usd = reservation.price.upper_cost(*held)
                self._hold(reservation, 1)

    def release(self, reservation: Reservation) -> None:
        """Give back the room of a call that was not made, or failed without usage. Again, or after `settle`: nothing."""
        with self._lock:
            if reservation.state == "open":
                self._hold(reservation, -1)
                reservation.state = "released"

    def keep_back(self, *, tokens: int = 0, cost_usd: float = 0.0, seconds: float = 0.0) -> None:
        """Hold this much for the last call, out of reach of all others; replaces what was held before.

        Each is cut to `KEPT_SHARE` of its limit; a limit that is not set holds nothing. Once the last call is
        reserved, nothing is held any more.
        """
        with self._lock:
            self._accounts[0].keep(tokens, cost_usd, seconds)

    @property
    def usage(self) -> Usage:
        """Tokens of all settled calls."""
        return self._accounts[0].usage

    @property
    def cost_usd(self) -> float | None:
        """US dollars of all settled calls; None as soon as the price of one is not known."""
        own = self._accounts[0]
        return own.cost.used / PICO if own.cost_known else None

    @property
    def steps(self) -> int:
        """Root calls made or in flight."""
        return self._accounts[0].steps.taken

    @property
    def subcalls(self) -> int:
        """Sub-calls made or in flight; cache hits are not among them."""
        return self._accounts[0].subcalls.taken

    @property
    def elapsed(self) -> float:
        """Seconds since the budget was made."""
        return self._clock() - self._accounts[0].started

    @property
    def max_seconds(self) -> float | None:
        """The shortest limit of wall time, of this budget or of one that it is a part of."""
        return smallest(*(account.policy.max_seconds for account in self._accounts))

    def seconds_left(self, *, last: bool = False) -> float | None:
        """Seconds of wall time left, never below 0.0; None without a limit.

        Args:
            last: For the last call: what `keep_back` holds for it is included.
        """
        now = self._clock()
        return smallest(*(account.seconds_left(now, last=last) for account in self._accounts))

    def check_time(self, *, last: bool = False) -> None:
        """Raise MaxSecondsExceeded if no time is left."""
        now = self._clock()
        for account in self._accounts:
            if account.seconds_left(now, last=last) == 0.0:
                kept = "" if last else f", {account.kept_seconds:.1f} s kept for the last call"
                raise MaxSecondsExceeded(
                    f"max_seconds={account.policy.max_seconds}: {now - account.started:.1f} s are over{kept}."
                )

    def left(self) -> BudgetLeft:
        """Tell what is left of each limit."""
        with self._lock:
            levels = self._accounts
            now = self._clock()
            return BudgetLeft(
                steps=smallest(*(account.steps.room() for account in levels)),
                subcalls=smallest(*(account.subcalls.room() for account in levels)),
                tokens=smallest(*(account.tokens.room() for account in levels)),
                subcall_tokens=smallest(*(account.subcall_tokens.room() for account in levels)),
                cost_usd=_dollars(smallest(*(account.cost.room() for account in levels))),
                seconds=self.seconds_left(),
                last_tokens=smallest(*(account.tokens.room(last=True) for account in levels)),
                last_cost_usd=_dollars(smallest(*(account.cost.room(last=True) for account in levels))),
                spent_share=max(account.spent_share(now) for account in levels),
            )

    def summary(self) -> dict[str, dict[str, float | None]]:
        """Describe the limits and what is used of them in JSON types, for traces: money in US dollars, time in seconds."""
        with self._lock:
            return self._accounts[0].summary(self._clock())

    def _levels(self, kind: CallKind) -> Iterator[tuple[Account, CallKind]]:
        """Yield the accounts that a call is charged to, each with what it counts as there."""
        for account in self._accounts:
            yield account, kind
            if account.as_subcalls:
                kind = "subcall"

    def _cap(self, kind: CallKind, ask: Ask) -> int:
        return min(account.cap(level, ask.at(place)) for place, (account, level) in enumerate(self._levels(kind)))

    def _hold(self, reservation: Reservation, sign: int) -> None:
        tokens = reservation.prompt_tokens + reservation.max_tokens
        for account, kind in self._levels(reservation.kind):
            account.hold(kind, tokens, reservation.cost_usd, sign)


def _dollars(pico: int | None) -> float | None:
    return None if pico is None else pico / PICO
