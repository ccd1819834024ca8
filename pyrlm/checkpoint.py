"""Durable runs: the file is begun, a run repeats and goes on from it, and its end is written into it."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from pyrlm.effects import Effects
from pyrlm.errors import CheckpointError, PolicyError, PyRLMError
from pyrlm.fingerprints import differences, fingerprint_of, versions
from pyrlm.journal import Journal
from pyrlm.journal_inputs import Given, given_of, pieces_of, query_form, schema_form
from pyrlm.journal_marks import Marks
from pyrlm.replay import Replay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from os import PathLike

    from pyrlm.journal import Record
    from pyrlm.rlm import RLM

__all__ = ["Checkpoint", "Durable", "read_note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The file of a durable run, with what the application wants to find in it when it resumes the run.

    Attributes:
        path: The file.
        note: In JSON types, see `read_note`; nothing secret.
    """

    path: str | PathLike[str]
    note: Mapping[str, Any] = field(default_factory=dict)


class Durable:
    """One run and its file.

    Args:
        journal: The file, open.
        given: What the run was given.
        extra: What else its caller keeps of it, in JSON types.
        records: What the file holds; nothing for a new run.
        seed: Seed of `random` in the REPL.
        ended: Hash of the answer of a run that has ended; None for one that has not.

    Attributes:
        replay: What is known of the run.
        effects: What the run does, for its `Caller`.
    """

    def __init__(
        self,
        journal: Journal,
        given: Given,
        extra: Mapping[str, Any],
        *,
        records: list[Record],
        seed: int,
        ended: str | None,
    ) -> None:
        self.given = given
        self.extra = extra
        self._journal = journal
        self._ended = ended
        self.replay = Replay(journal, records, seed)
        self.effects = Effects(self.replay)

    @classmethod
    async def begin(
        cls,
        kind: str,
        rlm: RLM,
        checkpoint: str | PathLike[str] | Checkpoint,
        given: Given,
        *,
        extra: Mapping[str, Any],
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> Self:
        """Make the file of a new run.

        Args:
            kind: Who runs it, ``"RLM"`` or ``"SmartRouter"``.
            rlm: Options of the loop.
            checkpoint: The file.
            given: What the run is given.
            extra: What else is needed to begin it again, in JSON types.
            options: What decides beside the options of the loop, by name.

        Raises:
            CheckpointError: The file can't be made, or holds a run that has not ended.
        """
        to = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(path=checkpoint)
        seed = secrets.randbits(31)

        def make() -> Journal:
            marks = Marks.new()
            material, pieces = pieces_of(given.context, marks)
            facts = {
                "run": {"kind": kind, "seed": seed, **dict(extra)},
                "versions": versions(),
                "options": fingerprint_of(rlm, options),
                "given": {"query": query_form(given.query), "context": material, "schema": schema_form(given.schema)},
                "note": dict(to.note),
            }
            return Journal.create(Path(to.path), facts, pieces, marks)

        return cls(await asyncio.to_thread(make), given, extra, records=[], seed=seed, ended=None)

    @classmethod
    async def open(
        cls,
        kind: str,
        rlm: RLM,
        path: str | PathLike[str],
        given: Given,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> Self:
        """Open the file of a run that was begun.

        Args:
            kind: Who runs it.
            rlm: Options of the loop.
            path: The file.
            given: Material and schema, where they are given again.
            options: What decides beside the options of the loop, by name.

        Raises:
            CheckpointError: It can't be read, another process writes it, or options, versions, context or schema are not
                those of the run; the message names what differs.
        """
        now = {"kind": kind, "options": fingerprint_of(rlm, options)}
        return await asyncio.to_thread(cls._open, Path(path), given, now)

    @classmethod
    def _open(cls, path: Path, again: Given, now: dict[str, Any]) -> Self:
        journal = Journal.open(path)
        try:
            facts = journal.facts()
            _check_same(path, facts, now)
            given = given_of(facts["given"], journal, again)
            records = journal.records()
            if "end" not in facts:
                undone = {record.seq for record in _undone(records, failed="failed" in facts)}
                journal.take_out("failed", undone)
                records = [record for record in records if record.seq not in undone]
        except BaseException:
            journal.close()
            raise
        run, end = facts["run"], facts.get("end")
        return cls(journal, given, run, records=records, seed=run["seed"], ended=end["answer"] if end else None)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[list[Any]]:
        """Close the file at the end of the run, and write how it ended: its result goes into the list.

        Raises:
            CheckpointError: The run came out differently than the recorded one.
        """
        results: list[Any] = []
        try:
            try:
                yield results
            except PolicyError as error:
                self._end("limit", error.output)
                raise
            except CheckpointError:
                raise
            except PyRLMError as error:
                self._failed(error)
                raise
            result = results[0]
            if result.status == "error":
                self._failed(None)
            else:
                self._end(result.status, result.output)
        finally:
            await asyncio.to_thread(self._journal.close)

    def _end(self, status: str, output: str) -> None:
        self.replay.finish()
        answer = hashlib.blake2b(output.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        if self._ended is None:
            self._journal.put("end", {"status": status, "answer": answer})
        elif self._ended != answer:
            self.replay.differs("the answer is not the recorded one")

    def _failed(self, error: PyRLMError | None) -> None:
        """A model, a key or a REPL that fails does not end the run for good: resumed, it tries again."""
        self.replay.check()
        if self._ended is None:
            self._journal.put("failed", {"error": type(error).__name__ if error is not None else ""})


def read_note(path: str | PathLike[str]) -> dict[str, Any]:
    """Return the note of the `Checkpoint` that a run was begun with.

    Raises:
        CheckpointError: The file can't be read, or a run writes it now.
    """
    journal = Journal.open(Path(path))
    try:
        note: dict[str, Any] = journal.note()
    finally:
        journal.close()
    return note


def _check_same(path: Path, facts: dict[str, Any], now: dict[str, Any]) -> None:
    recorded = facts["run"]["kind"]
    if recorded != now["kind"]:
        raise CheckpointError(f"{str(path)!r} is a run of {recorded}: resume it by {recorded}.resume(…).")
    changed = [*differences(facts["versions"], versions()), *differences(facts["options"], now["options"])]
    if changed:
        raise CheckpointError(f"{str(path)!r} can't be resumed, as something has changed: {'; '.join(changed)}.")


def _undone(records: list[Record], *, failed: bool) -> list[Record]:
    """Return the records of what is to be done again.

    That is calls that were cancelled with the whole run, not by it; and, where a failure ended the run, the failures at
    its end.
    """
    undone = []
    for number, record in enumerate(records):
        if "cancelled" in record.body and not any(_goes_on(later, record) for later in records[number + 1 :]):
            undone.append(record)
    if failed:
        for record in reversed(records):
            if record in undone:
                continue
            if "error" not in record.body:
                break
            undone.append(record)
    return undone


def _goes_on(later: Record, cancelled: Record) -> bool:
    """Whether `later` shows that the run went on after a call was cancelled."""
    owner = later.scope
    within = not owner or cancelled.scope == owner or cancelled.scope.startswith(f"{owner}/")
    return within and later.kind in {"step", "time_over"}
