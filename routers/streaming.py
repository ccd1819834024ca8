"""A run that is watched: its events and its answer's text as they come, in the order in which they came.

On the loop too the text of an answer after ``FINAL:`` is shown while it is written, and withdrawn where a guard turns it
back: most stand, and waiting for the check would mean waiting for the whole answer.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from pyrlm.replies_shown import ShownAnswer
from pyrlm.routers.stream_events import ProgressEvent, ResultEvent, StreamEvent, TextEvent, WithdrawnEvent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from pyrlm.calls import Call
    from pyrlm.events import EventListener, TraceStep
    from pyrlm.routers.result import RouterResult

__all__ = ["Screen", "watched"]

_TURNED_DOWN = frozenset({"guard", "correction", "escalation", "stage"})
"""Steps that say of the answer before them that it does not end the run."""

_OF_THE_LOOP = frozenset({"root_call", "last_call"})


class Screen:
    """What whoever watches a run has been shown, and what they are yet to be shown. Belongs to the loop it is made on.

    Args:
        listener: Gets the steps as well.
        text: Whether text is shown before it is whole; False for answers that have to fit a schema, of which half a
            JSON object is no use to a reader.
        thinks: Set once the model was seen to think aloud without an opening tag; its replies are then held back.
    """

    def __init__(self, listener: EventListener | None, thinks: threading.Event, *, text: bool) -> None:
        self._events: asyncio.Queue[StreamEvent | None] = asyncio.Queue()
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._listener, self._text, self._thinks = listener, text, thinks
        self._shown: list[str] = []

    def hear(self, step: TraceStep) -> None:
        """Take a step of the run, from any thread."""
        if threading.get_ident() == self._thread:
            self._heard(step)
        else:
            self._loop.call_soon_threadsafe(self._heard, step)
        if self._listener is not None:
            self._listener(step)

    def _heard(self, step: TraceStep) -> None:
        if step.depth == 0 and step.kind in _TURNED_DOWN:
            self.withdraw(step.error or step.reason or step.kind)
        if step.kind == "route" and "verifies" in step.data:
            self._text = False  # what follows is asked to check the answer
        self._events.put_nowait(ProgressEvent(step=step))

    def shows(self, call: Call) -> _Reader | None:
        """Return who shows the text of `call` while it is written; None for a call whose text is no answer."""
        if not self._text or call.kind not in {"direct_call", *_OF_THE_LOOP}:
            return None
        self.withdraw("the model is asked again")
        return _Reader(self, ShownAnswer(final=call.kind in _OF_THE_LOOP, thinking=self._thinks.is_set()))

    def write(self, text: str) -> None:
        """Show more."""
        if text:
            self._shown.append(text)
            self._events.put_nowait(TextEvent(text=text))

    def withdraw(self, reason: str) -> None:
        """Take back what was shown, if anything."""
        if self._shown:
            self._shown.clear()
            self._events.put_nowait(WithdrawnEvent(reason=reason))

    def thought(self) -> None:
        """Take back what turned out to be thinking, and show no more of it from this model."""
        self._thinks.set()
        self.withdraw("it was the model's thinking")

    def conclude(self, result: RouterResult) -> None:
        """Show what is missing of the answer, and the result."""
        shown = "".join(self._shown)
        if not result.output.startswith(shown):
            self.withdraw("the answer reads otherwise as a whole")
            shown = ""
        self.write(result.output[len(shown) :])
        self._events.put_nowait(ResultEvent(result=result))

    def end(self) -> None:
        """Nothing comes any more."""
        self._events.put_nowait(None)

    async def next(self) -> StreamEvent | None:
        """Wait for the next event; None at the end."""
        return await self._events.get()


class _Reader:
    """Shows one reply."""

    def __init__(self, screen: Screen, answer: ShownAnswer) -> None:
        self._screen, self._answer = screen, answer

    def write(self, text: str) -> None:
        new = self._answer.feed(text)
        if self._answer.thought:
            self._answer.thought = False
            self._screen.thought()
        self._screen.write(new)

    def withdraw(self, reason: str) -> None:
        self._screen.withdraw(reason)


async def watched(screen: Screen, run: Callable[[], Awaitable[RouterResult]]) -> AsyncGenerator[StreamEvent, None]:
    """Run `run` and yield what `screen` gets; closing the generator cancels the run and waits until it has cleaned up.

    Raises:
        Exception: What the run raises; what was shown is withdrawn first.
    """

    async def concluded() -> None:
        try:
            screen.conclude(await run())
        except Exception as error:
            screen.withdraw(str(error))
            raise
        finally:
            screen.end()

    task = asyncio.create_task(concluded())
    try:
        while (event := await screen.next()) is not None:
            yield event
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
