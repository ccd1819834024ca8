"""RLM: the loop in which a model writes code over a text that it can't read at once.

After Zhang et al., Recursive Language Models (arXiv 2512.24601).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pyrlm import portal
from pyrlm.durable import resume, run_alone
from pyrlm.errors import (
    AuthenticationError,
    ContextLengthError,
    ModelError,
    PolicyError,
    PyRLMError,
    ReplCrashedError,
)
from pyrlm.evidence import described
from pyrlm.inputs import Inputs, take_in
from pyrlm.last_call import best_answer
from pyrlm.outcome import Outcome, build_result
from pyrlm.rlm_options import checked_models
from pyrlm.session import Session
from pyrlm.turns import Finished, take

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pyrlm.cache import DiskCache
    from pyrlm.calls import Caller
    from pyrlm.checkpoint import Checkpoint
    from pyrlm.conversation import Conversation
    from pyrlm.events import EventListener
    from pyrlm.guards import Candidate
    from pyrlm.handed import Handed
    from pyrlm.lasting import Lasting
    from pyrlm.policy import Policy
    from pyrlm.prompts_template import PromptTemplate
    from pyrlm.prompts_variants import PromptVariant
    from pyrlm.repl.protocol import Isolation, ReplFactory
    from pyrlm.result import RunResult
    from pyrlm.stages import Stage

    Query = str | Mapping[str, Any] | list[Any]
    CheckpointPath = str | Path | Checkpoint | None

__all__ = ["RLM"]


@dataclass(frozen=True, slots=True)
class RLM:
    """Answers questions over texts of any size by a loop of model-written code. Holds options only: share it freely.

    Attributes:
        adapter: The root model, which writes the code: an adapter, or its name for `pyrlm.adapters.get_adapter`, such as
            ``"openai:gpt-4.1"``; so for all models here.
        subcall_adapter: The model that sub-calls ask; the root model by default.
        subcall_models: Further models that code may name by ``llm_query(…, model="name")``.
        subagent_adapters: Root models of sub-agents, that of depth 1 first; the last one serves all that are deeper. By
            default the root model.
        recursive_subcalls: Whether a sub-call whose prompt is too long for one call becomes a sub-agent.
        subagent_max_steps: Most steps of a sub-agent, where the code names none.
        max_concurrent_subagents: Sub-agents of one depth at once; further ones wait.
        policy: Limits of each run; `Policy()` by default.
        cache: Cache for sub-calls; None for none.
        max_tokens: Most tokens of a root reply.
        temperature: Of root calls; None leaves it to the provider.
        subcall_temperature: Of sub-calls; None leaves it to the provider.
        subcall_max_tokens: Most tokens of a sub-call's reply, where the code names none.
        system_prompt: Takes the place of the built-in system message: a text as it is, or a `PromptTemplate` with its parts.
        prompt_variant: Wording of the system message (`pyrlm.prompts_variants`): ``"default"`` (2,700 characters for a
            text), ``"cost_warning"`` (3,200), ``"small_context"`` (2,100) or ``"compact"`` (1,300).
        enable_sub_calls: False: there is no `llm_query` and its kin, and the model is not told of any.
        instruction: The application's own rules, told apart from question and text.
        tools: Functions that code may call, or `Tool` objects; they run here, see `pyrlm.tools`.
        mcp_servers: MCP servers by name, or the path of the JSON file of other clients, see `pyrlm.mcp_config.Server`.
        max_output_chars: Characters of print-out shown to the model each step.
        repl_backend: ``"exec"`` (alias ``"python"``), ``"monty"``, or a callable that returns a `Repl`.
        repl_timeout: Seconds of the code's own wall time a step; waiting for sub-calls does not count.
        isolation: ``"best_effort"`` or ``"strict"``, see `pyrlm.repl.protocol.Setup`.
        conversation_history: True sends the whole conversation each step; False the opening and the last exchange.
        max_history_tokens: Cut the oldest turns when the conversation passes this; by default the model's window.
        auto_finalize_var: Name of a variable that ends the run as soon as code defines it.
        parallel_subcalls: Whether `ask_chunks` and `llm_query_batch` run side by side where code doesn't say.
        max_concurrent_subcalls: Model calls in flight at once; likewise calls of tools.
        require_repl_before_final: Turn back an answer that was given before any code ran.
        require_subcall_before_final: Turn back an answer that was given before any sub-call.
        invalid_response_limit: Replies in a row with neither code nor answer that end the run; None for no limit.
        fallback_code: Run once when that limit is met, before the run ends by it.
        on_limit: What a limit, or a model or REPL that fails, does: ``"raise"`` the error, or ``"return"`` an incomplete
            result; both carry the best answer. A wrong key and options that can't be used are always raised.
        event_listener: Called with every `TraceStep` as it happens.
        trace_path: JSON Lines file that gets every event as it happens.
        retriever: A corpus that code searches by `es_search` and its kin, beside a text or without one.
        output_schema: What every answer has to be: a pydantic model, a type that TypeAdapter takes, or a JSON Schema dict.
            The result's `value` is then the typed object, its `output` JSON.

    Raises:
        ConfigurationError: An option can't be used.
    """

    adapter: Any
    subcall_adapter: Any = None
    subcall_models: Mapping[str, Any] | None = None
    subagent_adapters: Sequence[Any] = ()
    recursive_subcalls: bool = False
    subagent_max_steps: int = 20
    max_concurrent_subagents: int = 16
    policy: Policy | None = None
    cache: DiskCache | None = None
    max_tokens: int = 4096
    temperature: float | None = None
    subcall_temperature: float | None = None
    subcall_max_tokens: int = 1024
    system_prompt: str | PromptTemplate | None = None
    prompt_variant: PromptVariant = "default"
    enable_sub_calls: bool = True
    instruction: str = ""
    tools: Sequence[Any] = ()
    mcp_servers: Mapping[str, Any] | str | Path | None = None
    max_output_chars: int = 8_000
    repl_backend: str | ReplFactory = "exec"
    repl_timeout: float = 10.0
    isolation: Isolation = "best_effort"
    conversation_history: bool = True
    max_history_tokens: int | None = None
    auto_finalize_var: str | None = None
    parallel_subcalls: bool = True
    max_concurrent_subcalls: int = 10
    require_repl_before_final: bool = False
    require_subcall_before_final: bool = False
    invalid_response_limit: int | None = 4
    fallback_code: str | None = None
    on_limit: Literal["raise", "return"] = "raise"
    event_listener: EventListener | None = None
    trace_path: str | Path | None = None
    retriever: Any = None
    output_schema: Any = None

    def __post_init__(self) -> None:
        for name, models in checked_models(self).items():
            object.__setattr__(self, name, models)

    def run(
        self, query: Query, context: Any = None, *, output_schema: Any = None, checkpoint: CheckpointPath = None
    ) -> RunResult:
        """Answer `query` over `context`. Works from scripts, threads and inside a running loop.

        Args:
            query: The question; a dict or list is shown as JSON, and code has it as `query`.
            context: A `Context`, a string, a list of strings (documents), or data: a dict, a list of records (or an
                empty one), a model, a dataclass, a pandas or polars frame. Data is in the REPL as data, and the model is
                shown its outline.
            output_schema: In the place of the option of this name.
            checkpoint: File to which every outcome goes at once, so that `resume` can go on after a crash.

        Returns:
            The result; ``output, trace = rlm.run(…)`` unpacks it.

        Raises:
            PolicyError: A limit was met and `on_limit` is ``"raise"``; carries the best answer so far.
            ModelError: The root model can't be reached or refuses; carries what the run had.
            NestedRunError: Called on pyrlm's own loop; use `arun` there.
        """
        return portal.run(self.arun(query, context, output_schema=output_schema, checkpoint=checkpoint))

    async def arun(
        self,
        query: Query,
        context: Any = None,
        *,
        output_schema: Any = None,
        checkpoint: CheckpointPath = None,
        stages: Sequence[Stage] = (),
        caller: Caller | None = None,
        notes: Sequence[str] = (),
    ) -> RunResult:
        """Answer `query` over `context`; see `run`. A cancelled `arun` leaves no process, task or request behind.

        Args:
            query: The question.
            context: Text or data.
            output_schema: In the place of the option of this name.
            checkpoint: See `run`.
            stages: Stages of the run; one without conditions by default.
            caller: Budget, trace and cache of a larger run that this one is part of.
            notes: Told to the model after the question, such as what was tried before.
        """
        schema = self.output_schema if output_schema is None else output_schema
        if caller is None:
            return await run_alone(self, (query, context, schema), stages, notes, checkpoint)
        inputs = await take_in(query, context, schema)
        result = await self.run_inputs(inputs, caller, stages=stages, notes=notes)
        await asyncio.to_thread(lambda: result.coverage)  # a router asks for it on the loop
        return result

    def resume(self, path: str | Path, context: Any = None, *, output_schema: Any = None) -> RunResult:
        """Go on with a run from its file: what it knows is repeated without a call, with the same outcomes.

        Args:
            path: The file that the run was given as `checkpoint`.
            context: Not needed, as the file holds it; one that is given is compared.
            output_schema: That of the run, where it is a type and no option.

        Raises:
            CheckpointError: Options, tools, versions or the context differ, or the code comes out differently: says which.
            PolicyError, ModelError: As `run`.
        """
        return portal.run(self.aresume(path, context, output_schema=output_schema))

    async def aresume(self, path: str | Path, context: Any = None, *, output_schema: Any = None) -> RunResult:
        """Go on with a run from its file; see `resume`."""
        return await resume(self, path, context, self.output_schema if output_schema is None else output_schema)

    def session(self, context: Any = None, *, policy: Policy | None = None) -> Conversation:
        """Return a session for several questions over one context, as `run` takes it, and one REPL: a `Conversation`."""
        from pyrlm.conversation import Conversation  # noqa: PLC0415 - most runs are alone

        return Conversation(self, context, policy=policy)

    async def run_inputs(
        self,
        inputs: Inputs,
        caller: Caller,
        *,
        stages: Sequence[Stage] = (),
        notes: Sequence[str] = (),
        handed: Handed | None = None,
        lasting: Lasting | None = None,
    ) -> RunResult:
        """Answer from what has been taken in already, as a part of a larger run.

        `handed` makes it a sub-agent's, `lasting` a question of a conversation.
        """
        caller.recorder.record("run_started", prompt=inputs.query, data={"chars": inputs.chars})
        error: PyRLMError | None = None
        if lasting is None or lasting.latest is None or not self.conversation_history:
            notes = await described(self.retriever, notes, caller)
        begun = Session(self, inputs, caller=caller, stages=stages, notes=notes, handed=handed, lasting=lasting)
        async with begun as session:
            try:
                for model in session.models:
                    caller.check_price(model)
                async with caller.effects.time_limit(session.loop_seconds):
                    answer: Candidate | None = await self._loop(session)
            except (PolicyError, ContextLengthError, TimeoutError) as met:
                error = session.out_of_time() if isinstance(met, TimeoutError) else met
                answer = await best_answer(session, error)
            except PyRLMError as failure:
                error, answer = failure, session.best
            result = build_result(session, Outcome(answer, error))
        if error is None or (self.on_limit == "return" and _may_be_returned(error)):
            return result
        error.trace, error.result = result.trace, result
        raise error

    async def _loop(self, session: Session) -> Candidate:
        """Ask, run, show; until an answer passes or a limit is met (a `PolicyError`)."""
        while True:
            session.begin_step()
            reply = await session.ask()
            step = await take(session, reply)
            session.transcript.assistant(reply.text)
            if isinstance(step, Finished):
                return step.answer
            session.transcript.user(session.with_budget(step.message))


def _may_be_returned(error: PyRLMError) -> bool:
    """Whether an error is an event of the run, not a mistake in its set-up that would be met again at once."""
    return isinstance(error, PolicyError | ModelError | ReplCrashedError) and not isinstance(error, AuthenticationError)
