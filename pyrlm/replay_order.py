"""The order in which a repeated run gets back what is recorded: that in which it was recorded.

Code that works side by side sees which of its calls is answered first: the values of ``gather`` don't depend on it, what
each of them appends to a list does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from pyrlm.repl.drive import HOST_CALL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrlm.repl.drive import HostCall

__all__ = ["Order"]

_STALLED = 10.0
"""Seconds without anything given back after which the order is given up: then what was asked first is not asked again."""


_HANDING_ON = 0.1
"""Seconds that a call has to hand on what it was given: one that waits for others meanwhile, as for a free place, is not
waited for."""


class Order:
    """Who is next. Nothing recorded depends on what was recorded later, so that waiting for one's turn ends.

    Args:
        numbers: Numbers of the records that will be given back, in their order.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self._left = deque(numbers)
        self._given: set[int] = set()
        self._turns: dict[int, tuple[asyncio.Future[None], HostCall | None]] = {}
        self._busy: HostCall | None = None

    async def turn(self, number: int) -> None:
        """Wait until all is given back that was recorded before, and was handed on to the code that had asked for it."""
        call = HOST_CALL.get()
        self._release(call)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns[number] = turn, call
        self._wake()
        try:
            while not turn.done() and self._left:
                first = self._left[0]
                await asyncio.wait({turn}, timeout=_STALLED)
                if not turn.done() and self._left and self._left[0] == first:
                    self._give_up()
        finally:
            del self._turns[number]
            if call is not None and self._left:
                self._keep_busy(call)
            self.give(number)

    def give(self, number: int) -> None:
        """Note that this one is given back."""
        self._given.add(number)
        while self._left and self._left[0] in self._given:
            self._given.discard(self._left.popleft())
        self._wake()

    def _keep_busy(self, call: HostCall) -> None:
        self._busy = call
        call.when_answered(lambda: self._release(call))
        asyncio.get_running_loop().call_later(_HANDING_ON, self._release, call)

    def _release(self, call: HostCall | None) -> None:
        """Note that a call has been answered or asks for more, be it by the code that runs for its answer."""
        while call is not None:
            if self._busy is call:
                self._busy = None
                self._wake()
            call = call.above

    def _wake(self) -> None:
        turn, call = self._turns.get(self._left[0], (None, None)) if self._left else (None, None)
        if turn is not None and not turn.done() and (self._busy is None or self._busy is call):
            turn.set_result(None)

    def _give_up(self) -> None:
        self._left.clear()
        for turn, _ in self._turns.values():
            if not turn.done():
                turn.set_result(None)
