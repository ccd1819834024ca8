"""What one run owns: models, budget, transcript, REPL, sub-calls, coverage.

It does two things with them: ask the root model, and run its code.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from pyrlm import prompts
from pyrlm.adapters.base import Message
from pyrlm.coverage import Coverage
from pyrlm.errors import MaxSecondsExceeded, MaxStepsExceeded
from pyrlm.evidence import open_searches
from pyrlm.guards import Candidate, Stall
from pyrlm.handed import Handed
from pyrlm.host_tools import HostTools
from pyrlm.models import Model
from pyrlm.prompts_search import SEARCH_EXAMPLE, search_names
from pyrlm.prompts_system import compose_system, subcalls_opened, without_subcalls
from pyrlm.prompts_template import PromptTemplate
from pyrlm.prompts_variants import VARIANTS
from pyrlm.repl.functions import context_functions
from pyrlm.repl.protocol import Setup
from pyrlm.root import Root
from pyrlm.stages import Stage
from pyrlm.subagents import SubAgents
from pyrlm.subcalls import SubCallOptions, SubCalls
from pyrlm.transcript import Transcript
from pyrlm.workbench import Workbench

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrlm.calls import Caller, Reply
    from pyrlm.inputs import Inputs
    from pyrlm.repl.protocol import Execution
    from pyrlm.rlm import RLM

__all__ = ["Session"]


class Session:
    """One run's state. Use as an asynchronous context manager: leaving it ends the REPL and whatever is under way.

    Attributes:
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
    ) -> None:
        handed = handed or Handed()
        self.rlm, self.inputs = rlm, inputs
        self.query, self.context, self.schema = inputs.query, inputs.context, inputs.schema
        self.caller = caller
        self.budget = caller.budget
        self.recorder = caller.recorder
        model = Model(rlm.adapter)
        sub = Model(rlm.subcall_adapter) if rlm.subcall_adapter is not None else model
        others = {name: Model(adapter) for name, adapter in (rlm.subcall_models or {}).items()}
        self.models = (model, sub, *others.values(), *map(Model, rlm.subagent_adapters))
        self.coverage = handed.coverage or (Coverage(self.context) if self.context is not None else None)
        self.searches = open_searches(rlm.retriever, self.recorder, caller.effects)
        self.subcalls = SubCalls(
            caller,
            sub,
            SubCallOptions(
                max_tokens=rlm.subcall_max_tokens, temperature=rlm.subcall_temperature, parallel=rlm.parallel_subcalls
            ),
            self.coverage,
            others,
        )
        self.agents = SubAgents(self)
        if rlm.recursive_subcalls and self.agents.possible:
            self.subcalls.in_place = self.agents.in_place_of_call
        self.stages = tuple(stages) or (Stage(name="loop"),)
        if not rlm.enable_sub_calls:
            self.stages = tuple(replace(stage, subcalls=0, require_subcalls=False) for stage in self.stages)
        self.stage_index = 0
        self.stage_steps = 0
        self.asked: int | None = None
        self.interrupted = False
        self.invalid = 0
        self.stall = Stall()
        self.quotes_objected = False
        self.fallback_used = False
        self.best: Candidate | None = None
        self.tools = HostTools(rlm, self.recorder, handed.servers, caller.effects)
        self.repl = self._workbench(handed.code)
        self.transcript = self._opening(model, [*handed.notes, *notes])
        self.root = Root(rlm, model, self.transcript, caller)

    @property
    def stage(self) -> Stage:
        """The stage that the run is in."""
        return self.stages[self.stage_index]

    def _workbench(self, prelude: str) -> Workbench:
        return Workbench(
            self.rlm.repl_backend,
            self._setup(),
            self.recorder,
            self.coverage,
            prelude=prelude,
            explain=None if self.rlm.enable_sub_calls else without_subcalls,
            effects=self.caller.effects,
        )

    def _opening(self, model: Model, notes: Sequence[str]) -> Transcript:
        self.subcalls.open_stage(self.stage.subcalls)
        rlm, own = self.rlm, self.rlm.system_prompt
        short = VARIANTS[rlm.prompt_variant].short_extras
        system = (isinstance(own, str) and own) or compose_system(
            has_text=self.context is not None,
            subcalls=self.stage.subcalls != 0,
            sub_chars=self.subcalls.chars,
            max_output_chars=self.rlm.max_output_chars,
            extra_names=[
                *self.inputs.names,
                *(search_names(vectors=self.searches.vectors, short=short) if self.searches is not None else ()),
                *(self.agents.lines() if self.stage.subcalls != 0 else ()),
                *self.tools.lines(),
            ],
            example=SEARCH_EXAMPLE if self.searches is not None else "",
            language_notes=self.repl.language_notes,
            variant=rlm.prompt_variant,
            template=own if isinstance(own, PromptTemplate) else None,
        )
        first = prompts.first_message(
            self.query,
            self.context,
            instruction=self.rlm.instruction,
            notes=[*self.inputs.notes, *self._tools_told(), *notes, self.stage.instruction],
        )
        opening = [Message(role="system", content=system), Message(role="user", content=first)]
        return Transcript(opening, model.counter, multi_turn=self.rlm.conversation_history)

    def _tools_told(self) -> list[str]:
        """Tell of the tools where a system message of the caller's own does not."""
        lines = self.tools.lines() if isinstance(self.rlm.system_prompt, str) and self.rlm.system_prompt else []
        return ["Further names:\n" + "\n".join(f"- {line}" for line in lines)] if lines else []

    async def __aenter__(self) -> Self:
        self.repl.begin()
        self.tools.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.tools.stop()
        try:
            await self.repl.end()
        finally:
            await self.tools.ended()

    def _setup(self) -> Setup:
        functions = {**self.subcalls.functions(), **self.agents.functions()} if self.rlm.enable_sub_calls else {}
        if self.context is not None:
            functions |= context_functions(self.context)
        if self.searches is not None:
            functions |= self.searches.functions()
        functions |= self.tools.functions()
        return Setup(
            context=self.context,
            functions=functions,
            variables=self.inputs.variables,
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
            opened = subcalls_opened(self.stage.subcalls, self.subcalls.chars, self.rlm.prompt_variant)
        self.root.reminder = "\n\n".join(part for part in (self.stage.instruction, opened) if part)
        return self.root.reminder or "Go on, and look further before you answer."

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
        met = [self.subcalls.limit_met.limit] if self.subcalls.limit_met is not None else []
        return tuple(dict.fromkeys([*met, *([ended_by] if ended_by else [])]))
