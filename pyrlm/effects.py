"""What a run does to the world beyond its own code: done once, recorded where the run is durable, given back when repeated."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pyrlm.errors import WireError
from pyrlm.journal_forms import error_form, error_of
from pyrlm.repl.wire import decode, encode
from pyrlm.replay import TOLD, digest
from pyrlm.replayed_calls import asked
from pyrlm.replayed_steps import Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pyrlm.calls import Call, Caller, Reply
    from pyrlm.models import Model
    from pyrlm.replay import Replay

__all__ = ["NO_RECORD", "Effects", "is_recorded"]

_RECORDED = "pyrlm_recorded"
_NAME_CHARS = 8
_SECONDS = 60.0
"""Seconds that a call which was cancelled when it was recorded waits to be cancelled again."""


class Effects:
    """What one run, or one of its sub-agents, does.

    Args:
        replay: The records of a durable run; None for a run that is not recorded: then everything is simply done.
        scope: Which sub-agent; empty for the run itself.
    """

    def __init__(self, replay: Replay | None = None, scope: str = "") -> None:
        self.replay = replay
        self.scope = scope

    def at(self, scope: str) -> Effects:
        """Return those of a sub-agent."""
        return Effects(self.replay, scope) if self.replay is not None else self

    @property
    def random_seed(self) -> int | None:
        """Seed of `random` in the REPL; None leaves it to the interpreter."""
        return self.replay.seed if self.replay is not None else None

    def name_of(self, asked: Any) -> str:
        """Return a short name of what is asked, the same whenever a durable run is repeated; of others, the same for all."""
        return digest(asked)[:_NAME_CHARS] if self.replay is not None else "0"

    async def ask(self, caller: Caller, model: Model, call: Call) -> Reply:
        """Ask a model by `caller`, or return the recorded reply.

        Raises:
            PolicyError, ModelError: As `Caller.ask`.
            CheckpointError: The repetition came out differently.
        """
        if self.replay is None:
            return await caller.asked(model, call, lambda *_: None)
        return await asked(self, self.replay, caller, model, call)

    async def once(
        self,
        kind: str,
        what: Any,
        work: Callable[[], Awaitable[Any]],
        form: Callable[[Any], Any] = encode,
        of: Callable[[Any], Any] = decode,
    ) -> tuple[Any, bool]:
        """Do `work`, or return what came of it when it was recorded.

        Args:
            kind: What it is, such as ``"tool"``.
            what: What is asked; the same thing asked again has the same number.
            work: Does it.
            form: Turns its value into JSON types.
            of: The way back.

        Returns:
            The value, and whether it is the recorded one.

        Raises:
            CheckpointError: The repetition came out differently.
            Exception: Whatever `work` raised, now or then.
        """
        replay = self.replay
        if replay is None:
            return await work(), False
        key = replay.key(self.scope, kind, what)
        record = replay.known(key)
        if record is not None:
            await replay.turn(record)
            return await self._given(record.body, of), True
        if replay.is_over(self.scope):
            await self.wait_for_the_end()
        replay.go_on(key)
        try:
            value = await work()
        except asyncio.CancelledError:
            replay.write(key, {"cancelled": True})
            raise
        except Exception as error:
            replay.write(key, {"error": error_form(error)})
            raise
        try:
            body = {"value": form(value)}
        except WireError as error:
            body = {"lost": str(error)}
        replay.write(key, body)
        return value, False

    async def _given(self, body: dict[str, Any], of: Callable[[Any], Any]) -> Any:
        if "cancelled" in body:
            await self.wait_for_the_end()
        if "error" in body:
            error = error_of(body["error"])
            setattr(error, _RECORDED, True)
            raise error
        if "lost" in body:
            assert self.replay is not None
            self.replay.differs(f"a result could not be recorded ({body['lost']})")
        return of(body["value"])

    async def wait_for_the_end(self) -> None:
        """Wait to be cancelled, as was this call when it was recorded.

        Raises:
            CheckpointError: That does not happen.
        """
        assert self.replay is not None
        self.replay.end_if_time_was_over(self.scope)
        try:
            async with asyncio.timeout(_SECONDS):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            self.replay.differs("a call that was cancelled then is waited for now")

    def told(self, text: str) -> str:
        """Return what the model is told of things that change with time: now, or when it was recorded."""
        replay = self.replay
        if replay is None:
            return text
        key = replay.key(self.scope, TOLD, "")
        record = replay.known(key)
        if record is not None:
            replay.give(record)
            return str(record.body["text"])
        if replay.is_past(self.scope):
            return ""  # nothing is recorded where nothing was told
        if text:
            replay.write(key, {"text": text})
        return text

    def fact(self, kind: str, value: dict[str, Any]) -> dict[str, Any]:
        """Return what was recorded of this kind; record `value` where nothing was."""
        replay = self.replay
        if replay is None:
            return value
        key = replay.key(self.scope, kind, "")
        record = replay.known(key)
        if record is not None:
            replay.give(record)
            return record.body
        replay.write(key, value)
        return value

    def step(self, code: str) -> Step:
        """Begin a step that runs `code`.

        Raises:
            CheckpointError: The recorded run ran other code here.
        """
        return Step(self.replay, self.scope, code)

    @asynccontextmanager
    async def time_limit(self, seconds: Callable[[], float | None]) -> AsyncIterator[None]:
        """Raise TimeoutError after so many seconds. While a run is repeated time stands still, and then goes on.

        Args:
            seconds: Returns what is left; None for no limit.
        """
        replay = self.replay
        if replay is None:
            async with asyncio.timeout(seconds()):
                yield
            return
        limit = asyncio.timeout(None)
        try:
            async with limit:
                if not replay.watch(self.scope, limit, seconds):
                    left = seconds()
                    limit.reschedule(None if left is None else asyncio.get_running_loop().time() + left)
                yield
        except TimeoutError:
            if limit.expired():
                replay.time_is_over(self.scope)
            raise
        finally:
            replay.unwatch(limit)


def is_recorded(error: Exception) -> bool:
    """Whether an error is one that was raised when it was recorded, and is raised again."""
    return bool(getattr(error, _RECORDED, False))


NO_RECORD = Effects()
"""Those of a run that is not recorded."""
