"""Runs of `RLM` on their own: with budget and trace, and where wanted with a file from which they can be resumed."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pyrlm.budget import Budget
from pyrlm.calls import Caller
from pyrlm.context import Context
from pyrlm.inputs import take_in
from pyrlm.policy import Policy
from pyrlm.stages import Stage
from pyrlm.trace import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from os import PathLike

    from pyrlm.checkpoint import Checkpoint, Durable
    from pyrlm.result import RunResult
    from pyrlm.rlm import RLM

__all__ = ["resume", "run_alone"]

_KIND = "RLM"


async def run_alone(
    rlm: RLM,
    given: tuple[Any, Any, Any],
    stages: Sequence[Stage],
    notes: Sequence[str],
    checkpoint: str | PathLike[str] | Checkpoint | None,
) -> RunResult:
    """Run `rlm`.

    Args:
        rlm: The options.
        given: Question, material and schema.
        stages: Stages of the run.
        notes: Told to the model after the question.
        checkpoint: File that every outcome goes to; None for none.

    Raises:
        CheckpointError: The file can't be used.
    """
    query, source, schema = given
    inputs = await take_in(query, source, schema)  # what can't be used is said before there is a file
    if checkpoint is None:
        async with _caller(rlm, None) as caller:
            return await rlm.run_inputs(inputs, caller, stages=stages, notes=notes)
    from pyrlm.checkpoint import Durable  # noqa: PLC0415 - most runs have no file
    from pyrlm.journal_inputs import Given  # noqa: PLC0415

    context = None if source is None else Context.of(source)
    extra = {"stages": [asdict(stage) for stage in stages], "notes": list(notes)}
    return await _run(rlm, await Durable.begin(_KIND, rlm, checkpoint, Given(query, context, schema), extra=extra))


async def resume(rlm: RLM, path: str | PathLike[str], context: Any, schema: Any) -> RunResult:
    """Repeat a run from its file, and go on where it was stopped.

    Raises:
        CheckpointError: The file can't be used, or something is not what it was.
    """
    from pyrlm.checkpoint import Durable  # noqa: PLC0415 - most runs have no file
    from pyrlm.journal_inputs import Given  # noqa: PLC0415

    return await _run(rlm, await Durable.open(_KIND, rlm, path, Given(None, context, schema)))


async def _run(rlm: RLM, run: Durable) -> RunResult:
    given = run.given
    async with run.writing() as results, _caller(rlm, run) as caller:
        inputs = await take_in(given.query, given.context, given.schema)
        stages = [Stage(**stage) for stage in run.extra["stages"]]
        result = await rlm.run_inputs(inputs, caller, stages=stages, notes=run.extra["notes"])
        results.append(result)
    return result


@asynccontextmanager
async def _caller(rlm: RLM, run: Durable | None) -> AsyncIterator[Caller]:
    recorder = Recorder(rlm.event_listener, rlm.trace_path)
    policy = rlm.policy or Policy()
    budget = Budget(policy) if run is None else Budget(policy, clock=run.replay.clock)
    caller = Caller(budget, recorder, rlm.cache, rlm.max_concurrent_subcalls)
    if run is not None:
        caller.effects = run.effects
    try:
        yield caller
    finally:
        recorder.close()
