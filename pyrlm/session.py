"""What one run owns: models, budget, transcript, REPL, sub-calls, coverage.

It does two things with them: ask the root model, and run its code.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from pyrlm import prompts
from pyrlm.coverage import Coverage
from pyrlm.errors import MaxSecondsExceeded, MaxStepsExceeded
from pyrlm.evidence import open_searches
from pyrlm.guards import Candidate, Stall
from pyrlm.handed import Handed
from pyrlm.host_tools import HostTools
from pyrlm.lasting import Lasting
from pyrlm.models import Model
from pyrlm.opening import further_question, opening
from pyrlm.prompts_system import subcalls_opened, without_subcalls
from pyrlm.repl.functions import context_functions
from pyrlm.repl.protocol import Setup
from pyrlm.root import Root
from pyrlm.stages import Stage
from pyrlm.subagents import SubAgents
from pyrlm.subcalls import SubCallOptions, SubCalls
from pyrlm.trace import Recorder
from pyrlm.transcript import Transcript
from pyrlm.workbench import Workbench

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrlm.calls import Caller, Reply
    from pyrlm.context import Context
    from pyrlm.inputs import Inputs
    from pyrlm.repl.protocol import Execution, HostFunction
    from pyrlm.rlm import RLM

__all__ = ["Session"]

_REMINDER = 2_000
"""Characters of a further question that are told again where compaction takes it out."""


class Session:
    """One run's state. Use as an asynchronous context manager: leaving it ends the REPL and whatever is under way.

    A further question of a conversation is a run of its own over the REPL, the tools and the transcript of the run before,
    which `lasting` holds; they are not ended with it.

    Attributes:
        base: The text that the REPL was started with; `context` may have more, which was added.
        models: All models that the run may ask.
        asked: Step of the trace of the latest root call.
        interrupted: Whether code is running; after the loop, whether its end stopped code.
        best: Best answer so far that was not accepted.
    """

    def __init__(
        self,
        rlm: RLM,
        inputs: Inputs,
        *,
        caller: Caller,
        stages: Sequence[Stage] = (),
        notes: Sequence[str] = (),
        handed: Handed | None = None,
        lasting: Lasting | None = None,
    ) -> None:
        handed = handed or Handed()
        self.lasting = lasting or Lasting()
        before = self.lasting.latest
        self.rlm, self.inputs = rlm, inputs
        self.query, self.context, self.schema = inputs.query, inputs.context, inputs.schema
        self.caller, self.budget, self.recorder = caller, caller.budget, caller.recorder
        model = Model(rlm.adapter)
        self.base = self.lasting.base if self.lasting.keep else self.context
        self.coverage = handed.coverage or _coverage(self.context, before)
        self.searches = open_searches(rlm.retriever, self.recorder, caller.effects)
        if before is not None and before.searches is not None and self.searches is not None:
            self.searches.seen = before.searches.seen
        self.subcalls, subs = self._subcalls(model)
        self.models = (model, *subs, *map(Model, rlm.subagent_adapters))
        self.agents = SubAgents(self)
        if rlm.recursive_subcalls and self.agents.possible:
            self.subcalls.in_place = self.agents.in_place_of_call
        self.stages = tuple(stages) or (Stage(name="loop"),)
        if not rlm.enable_sub_calls:
            self.stages = tuple(replace(stage, subcalls=0, require_subcalls=False) for stage in self.stages)
        self.stage_index = self.stage_steps = self.invalid = 0
        self.asked: int | None = None
        self.interrupted = False
        self.stall = Stall()
        self.quotes_objected = False
        self.fallback_used = False
        self.best: Candidate | None = None
        self.subcalls.open_stage(self.stage.subcalls)
        self.tools: HostTools = (
            before.tools if before is not None else HostTools(rlm, self.recorder, handed.servers, caller.effects)
        )
        functions = self.lasting.relay.answer_with(self._functions())
        self.repl: Workbench = before.repl if before is not None else self._workbench(functions, handed.code)
        self.tools.begin_run(self.recorder)
        self.repl.begin_run(self.recorder, self.coverage)
        self.transcript = self._transcript(before, model, [*handed.notes, *notes])
        self.root = Root(rlm, model, self.transcript, caller)
        self.root.reminder = self.question = "" if before is None else f"The question now: {self.query[:_REMINDER]}"

    @property
    def stage(self) -> Stage:
        """The stage that the run is in."""
        return self.stages[self.stage_index]

    def _subcalls(self, root: Model) -> tuple[SubCalls, list[Model]]:
        """Return the sub-calls, and the models that they may ask."""
        rlm = self.rlm
        model = Model(rlm.subcall_adapter) if rlm.subcall_adapter is not None else root
        others = {name: Model(adapter) for name, adapter in (rlm.subcall_models or {}).items()}
        options = SubCallOptions(
            max_tokens=rlm.subcall_max_tokens, temperature=rlm.subcall_temperature, parallel=rlm.parallel_subcalls
        )
        return SubCalls(self.caller, model, options, self.coverage, others), [model, *others.values()]

    def _workbench(self, functions: Mapping[str, HostFunction], prelude: str) -> Workbench:
        return Workbench(
            self.rlm.repl_backend,
            self._setup(functions),
            self.recorder,
            self.coverage,
            prelude=prelude,
            explain=None if self.rlm.enable_sub_calls else without_subcalls,
            effects=self.caller.effects,
        )

    def _transcript(self, before: Session | None, model: Model, notes: Sequence[str]) -> Transcript:
        """Return the conversation: a new one, or that of the question before with this one behind it."""
        history = self.rlm.conversation_history
        if before is None or not history:
            return Transcript(opening(self, notes), model.counter, multi_turn=history)
        before.transcript.ask_next(further_question(self, notes))
        return before.transcript

    async def __aenter__(self) -> Self:
        if self.lasting.latest is None:
            self.repl.begin()
            self.tools.begin()
        if self.lasting.keep:
            self.lasting.latest = self
        if self.lasting.replaced:
            self.recorder.record("repl_replaced", error=self.lasting.replaced)
            self.lasting.replaced = ""
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.lasting.keep:
            nobody = Recorder()  # what happens between two questions belongs to neither
            self.tools.begin_run(nobody)
            self.repl.note_in(nobody, None)
        else:
            await self.end()

    async def end(self) -> None:
        """End the REPL and whatever is under way."""
        self.tools.stop()
        try:
            await self.repl.end()
        finally:
            await self.tools.ended()

    def _functions(self) -> dict[str, HostFunction]:
        """Return the host functions that belong to this run and no other."""
        functions = {**self.subcalls.functions(), **self.agents.functions()} if self.rlm.enable_sub_calls else {}
        if self.searches is not None:
            functions |= self.searches.functions()
        return functions | self.tools.functions()

    def _setup(self, functions: Mapping[str, HostFunction]) -> Setup:
        of_text = context_functions(self.base) if self.base is not None else {}
        return Setup(
            context=self.base,
            functions={**of_text, **functions, **self.lasting.functions},
            variables={**self.inputs.variables, **self.lasting.variables},
            timeout=self.rlm.repl_timeout,
            max_output_chars=self.rlm.max_output_chars,
            isolation=self.rlm.isolation,
            random_seed=self.caller.effects.random_seed,
        )

    async def ask(self) -> Reply:
        """Ask the root model for its next step, beside the start of the REPL."""
        reply = await self.repl.beside_start(asyncio.ensure_future(self.tools.beside(self.root.ask())))
        self.asked = reply.step.step_id
        return reply

    async def execute(self, code: str) -> Execution:
        """Run `code`; its sub-calls belong to the call that wrote it.

        Raises:
            ReplCrashedError: The REPL died once too often.
        """
        self.subcalls.begin_step(self.asked)
        self.tools.begin_step(self.asked)
        if self.searches is not None:
            self.searches.parent = self.asked
        self.interrupted = True
        result = await self.repl.execute(code)
        self.interrupted = False
        return result

    def open_next_stage(self) -> str:
        """Begin the next stage; return what the model is told."""
        before = self.stage
        self.stage_index += 1
        self.stage_steps = 0
        self.subcalls.open_stage(self.stage.subcalls)
        why = "handed over" if before.hands_over else "ended without a grounded answer"
        self.recorder.record("stage", reason=f"{before.name} {why}", data={"stage": self.stage.name})
        opened = ""
        if before.subcalls == 0 and self.stage.subcalls != 0:
            chars, variant = self.subcalls.chars, self.rlm.prompt_variant
            opened = subcalls_opened(self.stage.subcalls, chars, variant, more=self.agents.lines())
        told = "\n\n".join(part for part in (self.stage.instruction, opened) if part)
        self.root.reminder = "\n\n".join(part for part in (self.question, told) if part)
        return told or "Go on, and look further before you answer."

    def begin_step(self) -> None:
        """Count a step; a stage that has used up its own steps gives way to the next one.

        Raises:
            MaxStepsExceeded: The policy's steps are used up.
        """
        limit = self.budget.policy.max_steps
        if limit is not None and self.budget.steps >= limit:
            raise MaxStepsExceeded(f"max_steps={limit}: that many root calls were made without a final answer.")
        own = self.stage.max_steps
        if own is not None and self.stage_steps >= own and self.stage_index < len(self.stages) - 1:
            self.transcript.add_to_last(self.open_next_stage())
        self.stage_steps += 1

    def with_budget(self, message: str) -> str:
        """Add what is left of the limits, told from half on, and news of servers, to what the model is told."""
        lines = (self.tools.news(), prompts.budget_line(self.budget.left(), subcalls=self.rlm.enable_sub_calls))
        told = self.caller.effects.told("\n\n".join(line for line in lines if line))
        return "\n\n".join(line for line in (message, told) if line)

    def loop_seconds(self) -> float | None:
        """Seconds that the loop may take; what is kept for the last call is taken off."""
        self.root.keep_back()
        return self.budget.seconds_left()

    def out_of_time(self) -> MaxSecondsExceeded:
        """Return the error for a run whose time is over."""
        limit = self.budget.max_seconds
        return MaxSecondsExceeded(f"max_seconds={limit}: the run's time was over after {self.budget.elapsed:.1f} s.")

    def limits_met(self, ended_by: str | None) -> tuple[str, ...]:
        """Return the names of all limits met, those too that the run went on after."""
        return tuple(dict.fromkeys([*self.subcalls.limits_met, *([ended_by] if ended_by else [])]))


def _coverage(context: Context | None, before: Session | None) -> Coverage | None:
    if context is None:
        return None
    known = before.coverage if before is not None else None
    return Coverage(context) if known is None else known.continued(context)
