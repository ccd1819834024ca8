"""Repeating a run from the records of its file: what is known is given back, what is not known yet is done and recorded."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyrlm.errors import CheckpointError, WireError
from pyrlm.repl.wire import encode
from pyrlm.replay_order import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyrlm.journal import Journal, Record

__all__ = ["CALL", "STEP", "TOLD", "Key", "Replay", "digest"]

CALL, STEP, TOLD, TIME_OVER = "call", "step", "told", "time_over"

_IN_ORDER = frozenset({"root", STEP})
"""What follows one another within a scope: none of these may be skipped."""


@dataclass(frozen=True, slots=True)
class Key:
    """Names one thing that a run does, the same whenever the run is repeated: scope, kind, what was asked, how often before."""

    scope: str
    kind: str
    asked: str
    occurrence: int

    @property
    def about(self) -> tuple[str, str, str, int]:
        """As the file takes it."""
        return self.scope, self.kind, self.asked, self.occurrence


@dataclass(slots=True)
class _Watch:
    """A limit of time that begins to count when the run goes beyond what is recorded."""

    scope: str
    limit: asyncio.Timeout
    seconds: Callable[[], float | None]


class Replay:
    """What is known of a run, and how far it has been repeated.

    Args:
        journal: The file.
        records: What it held when the run was taken up again; nothing for a new run.
        seed: Seed of `random` in the REPL.

    Attributes:
        failure: Why the run can't go on, where the repetition came out differently.
    """

    def __init__(self, journal: Journal, records: Sequence[Record], seed: int) -> None:
        self.seed = seed
        self.failure: CheckpointError | None = None
        self._journal = journal
        self._known = {Key(r.scope, r.kind, r.key, r.occurrence): r for r in records if r.kind != TIME_OVER}
        self._over = {r.scope: r for r in records if r.kind == TIME_OVER}
        self._left = {record.seq: record for record in self._known.values()}
        self._order = Order(r.seq for r in self._known.values() if "cancelled" not in r.body)
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._executing: dict[str, Record | None] = {}
        self._watched: list[_Watch] = []
        self._recorded_seconds = max((record.elapsed for record in records), default=0.0)
        self._seconds = 0.0
        self._since: float | None = None if records else time.monotonic()

    def clock(self) -> float:
        """Return the seconds of the run: while it is repeated, those of the record reached; from then on, time goes on."""
        if self._since is None:
            return self._seconds
        return self._recorded_seconds + time.monotonic() - self._since

    def key(self, scope: str, kind: str, asked: Any) -> Key:
        """Number one thing that is about to be done, in the order of beginning."""
        text = digest(asked)
        occurrence = self._counts[scope, kind, text]
        self._counts[scope, kind, text] += 1
        return Key(scope, kind, text, occurrence)

    def known(self, key: Key) -> Record | None:
        """Return what is recorded under `key`, and count it as repeated.

        Raises:
            CheckpointError: The repetition has come out differently before.
        """
        self.check()
        record = self._known.get(key)
        if record is not None and self._left.pop(record.seq, None) is not None:
            self._seconds = max(self._seconds, record.elapsed)
            if any(_within(key.scope, scope) and step is None for scope, step in self._executing.items()):
                self.end_if_time_was_over(key.scope)
        return record

    async def turn(self, record: Record) -> None:
        """Wait until everything is given back, and every step ended, that was recorded before this outcome."""
        if "cancelled" not in record.body:
            await self._order.turn(record.seq)

    def give(self, record: Record) -> None:
        """Note that an outcome is given back, which does not wait for its turn."""
        self._order.give(record.seq)

    def is_past(self, scope: str) -> bool:
        """Whether what happens now in `scope` happened in the recorded run too: later steps of it are known."""
        return any(record.scope == scope and _is_in_order(record) for record in self._left.values())

    def go_on(self, key: Key, *, root: bool = False) -> None:
        """Leave what is recorded: something that is not known is about to be done.

        Raises:
            CheckpointError: The recorded run did something else here.
        """
        for scope, step in self._executing.items():
            if step is not None and _within(key.scope, scope):
                self.differs(
                    f"step {self.step_number(scope)} asks for something that it did not ask for then ({key.kind})"
                )
        if root and self.is_past(key.scope):
            self.differs("the conversation with the model is not the recorded one")
        if self._since is None:
            self._since = time.monotonic()
            loop = asyncio.get_running_loop()
            for watch in self._watched:
                seconds = watch.seconds()
                watch.limit.reschedule(None if seconds is None else loop.time() + seconds)

    def write(self, key: Key, body: dict[str, Any]) -> None:
        """Record an outcome.

        Raises:
            CheckpointError: The file can't be written.
        """
        try:
            self._journal.write(key.about, self.clock(), body)
        except CheckpointError as error:
            self.failure = self.failure or error
            raise

    def differs(self, what: str) -> None:
        """Stop the run.

        Raises:
            CheckpointError: Always.
        """
        self.failure = CheckpointError(
            f"{str(self._journal.path)!r} can't be resumed: {what}. The code, the text, a tool or a version is not what it was."
        )
        raise self.failure

    def check(self) -> None:
        """Raise what has stopped the run, where something has."""
        if self.failure is not None:
            raise self.failure

    def begin_step(self, scope: str, record: Record | None) -> None:
        """Note that a step runs in `scope`; `record` is what is known of it."""
        self._executing[scope] = record
        if record is None and not self.is_over(scope):
            self.go_on(Key(scope, STEP, "", 0), root=True)
        elif record is None:
            self.end_if_time_was_over(scope)

    def end_step(self, scope: str) -> None:
        """Note that the step has ended."""
        record = self._executing.pop(scope, None)
        if record is not None:
            self.give(record)

    def step_number(self, scope: str) -> int:
        """Return the number of the step that runs, from 1."""
        return sum(count for (owner, kind, _), count in self._counts.items() if owner == scope and kind == STEP)

    def is_over(self, scope: str) -> bool:
        """Whether the time of `scope`, or of what it is part of, was over when it was recorded, and is not yet now."""
        return any(_within(scope, owner) for owner in self._over)

    def end_if_time_was_over(self, scope: str) -> None:
        """End the run of `scope` by its time limit, once all is repeated that was recorded before the time was over."""
        for owner, record in list(self._over.items()):
            watched = [watch for watch in self._watched if watch.scope == owner]
            if not _within(scope, owner) or not watched:
                continue
            if not any(_within(left.scope, owner) and left.seq < record.seq for left in self._left.values()):
                del self._over[owner]
                self._seconds = max(self._seconds, record.elapsed)
                for watch in watched:
                    watch.limit.reschedule(asyncio.get_running_loop().time())

    def watch(self, scope: str, limit: asyncio.Timeout, seconds: Callable[[], float | None]) -> bool:
        """Take a time limit into care until the repetition is over; False where it is over already."""
        self._watched.append(_Watch(scope, limit, seconds))
        return self._since is None

    def unwatch(self, limit: asyncio.Timeout) -> None:
        """Let go of it."""
        for watch in [watch for watch in self._watched if watch.limit is limit]:
            self._watched.remove(watch)
            self.end_step(watch.scope)

    def time_is_over(self, scope: str) -> None:
        """Record that the time of `scope` was over, unless that is known."""
        key = self.key(scope, TIME_OVER, "")
        if self._since is not None:
            self.write(key, {})

    def finish(self) -> None:
        """End the run.

        Raises:
            CheckpointError: It has ended before it came to all steps of the recorded one.
        """
        self.check()
        if any(_is_in_order(record) for record in self._left.values()):
            self.differs("the run has ended before it came to all of the recorded steps")


def digest(asked: Any) -> str:
    """Return a hash of what is asked; of what has no form of its own, of its type."""
    with suppress(WireError, TypeError):
        asked = encode(asked)
    text = json.dumps(asked, sort_keys=True, default=lambda value: type(value).__qualname__)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _is_in_order(record: Record) -> bool:
    return record.kind == STEP or record.body.get("purpose") == "root"


def _within(scope: str, owner: str) -> bool:
    """Whether `scope` is `owner` or part of it."""
    return not owner or scope == owner or scope.startswith(f"{owner}/")
