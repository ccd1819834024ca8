"""Sub-agents: the functions by which model-written code starts runs of their own over parts of the material."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyrlm.budget import Budget
from pyrlm.errors import PolicyError, PyRLMError
from pyrlm.inputs import take_in
from pyrlm.meters import smallest
from pyrlm.overlap import share_of
from pyrlm.prompts import NO_ANSWER
from pyrlm.prompts_subagents import AGENT_LINE, long_prompt_query
from pyrlm.redact import redact
from pyrlm.shares import Left, Shares, divide
from pyrlm.subagent_arguments import Errand, How, errands, how
from pyrlm.subagent_options import Making, making
from pyrlm.subcall_options import failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from pyrlm.inputs import Inputs
    from pyrlm.models import Model
    from pyrlm.output import OutputSchema
    from pyrlm.repl.protocol import HostFunction
    from pyrlm.result import RunResult
    from pyrlm.session import Session
    from pyrlm.shares import Share

__all__ = ["SubAgents"]

_LONG_QUERY = 8_000
"""Characters from which on a query without a context, task and text in one, is the sub-agent's `P`: what is in a message
is sent again with each of its steps."""

_NEARLY_ALL = 0.9
"""Share of a run's material from which on a sub-agent would begin where the run itself stands."""


class SubAgents:
    """Starts the sub-agents of one run.

    Args:
        session: The run.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._caller = session.caller
        self._shares = Shares(session.budget, session.subcalls, session.caller.effects, lambda: session.repl.idle)
        self._started: Counter[str] = Counter()

    @property
    def possible(self) -> bool:
        """Whether this run may start any."""
        return self._caller.depth < self._session.budget.policy.max_recursion_depth

    def lines(self) -> list[str]:
        """Return the lines of the prompt: none where policy or stage can't have a single one."""
        policy, stage = self._session.budget.policy, self._session.stage
        calls = smallest(policy.max_subcalls, stage.subcalls)
        whole = Left(calls=calls, tokens=smallest(policy.max_total_tokens, policy.max_subcall_tokens))
        return [AGENT_LINE] if self.possible and divide(whole, 1) else []

    def functions(self) -> dict[str, HostFunction]:
        """Return the host functions by the names that code uses."""
        return {
            "rlm_query": self.rlm_query,
            "rlm_query_batch": self.rlm_query_batch,
            "rlm_query_batched": self.rlm_query_batch,
        }

    async def rlm_query(
        self,
        query: str,
        context: Any = None,
        model: str | None = None,
        *,
        max_steps: int | None = None,
        schema: Any = None,
        tools: Sequence[str] | None = None,
        functions: Sequence[str] | None = None,
    ) -> Any:
        """Give `query` to a sub-agent with a REPL of its own over `context`; return its answer as a value.

        Args:
            query: The question, as text, dict or list. A long text without a context, task and material in one, is
                the sub-agent's `P`.
            context: Its material: a text, a list of texts (documents), or data. Without one it has the index, where
                this run has one.
            model: Name of its root model, as for `llm_query`.
            max_steps: Most of its steps.
            schema: What the answer has to be, as for `llm_query`.
            tools: Names of tools and MCP servers of this run that it may use; none by default.
            functions: Functions that the code has defined, and that the sub-agent is to have too.

        Returns:
            The value, as the sub-agent's REPL held it; ``NO_ANSWER``; or ``[sub-call failed: reason]``.
        """
        self._check_open("rlm_query")
        errand = Errand(query=query, context=context)
        return (await self._all([errand], how(model, max_steps, schema, tools, functions)))[0]

    async def rlm_query_batch(
        self,
        queries: Sequence[Any],
        contexts: Sequence[Any] | None = None,
        model: str | None = None,
        *,
        max_steps: int | None = None,
        schema: Any = None,
        tools: Sequence[str] | None = None,
        functions: Sequence[str] | None = None,
    ) -> list[Any]:
        """Start a sub-agent for each pair (query, context), side by side; return the values in their order."""
        self._check_open("rlm_query_batch")
        return await self._all(errands(queries, contexts), how(model, max_steps, schema, tools, functions))

    async def in_place_of_call(self, prompt: str, schema: OutputSchema | None, model: Model | None) -> Any:
        """Answer a sub-call whose prompt is too long for one call; `model` is the one that code names."""
        errand = Errand(query=long_prompt_query(prompt), context=prompt)
        return (await self._all([errand], How(schema=schema, model=model)))[0]

    def _check_open(self, name: str) -> None:
        self._session.subcalls.check_open(name)
        if not self.possible:
            depth = self._session.budget.policy.max_recursion_depth
            raise NameError(
                f"name {name!r} is not defined here: max_recursion_depth={depth}. Use llm_query or llm_batch"
            )

    async def _all(self, wanted: Sequence[Errand], made: How) -> list[Any]:
        kit = making(self._session, made)
        scopes = [self._scope(errand) for errand in wanted]
        async with self._shares.taken(scopes) as shares:
            running = [
                self._in_order(self._one(errand, kit, share, scope), scope)
                for errand, share, scope in zip(wanted, shares, scopes, strict=True)
            ]
            return list(await asyncio.gather(*running))

    def _scope(self, errand: Errand) -> str:
        """Name a sub-agent by its step and, as calls made side by side come in any order, by what it is to do."""
        name = f"{self._session.repl.executions}.{self._caller.effects.name_of([errand.query, errand.context])}"
        self._started[name] += 1
        return f"{name}.{self._started[name]}"

    async def _in_order(self, ending: Awaitable[Any], scope: str) -> Any:
        """Return what became of a sub-agent; where the run is repeated, in the order in which they ended."""
        value = await ending
        await self._caller.effects.once("ended", scope, _nothing)
        return value

    async def _one(self, errand: Errand, kit: Making, share: Share, scope: str) -> Any:
        """Run one sub-agent; whatever becomes of it is a value."""
        if not isinstance(share, Budget):
            if isinstance(share, PolicyError):
                self._session.subcalls.note_shortage(share)
            return self._refused(errand, str(share))
        try:
            async with self._caller.agent_slot(kit.rlm.max_concurrent_subagents):
                return await self._answer(errand, kit, share, scope)
        except PyRLMError as error:
            return self._ended(error, kit.model)
        except Exception as error:  # noqa: BLE001 - a REPL or retriever of the application's own may raise anything
            return self._refused(errand, redact(f"{type(error).__name__}: {error}"))
        finally:
            self._shares.give_back(share)

    async def _answer(self, errand: Errand, kit: Making, share: Budget, scope: str) -> Any:
        whole = errand.query
        if errand.context is None and isinstance(whole, str) and len(whole) > _LONG_QUERY:
            inputs = await take_in(long_prompt_query(whole), whole, kit.schema)
        else:
            inputs = await take_in(errand.query, errand.context, kit.schema)
        problem = self._session.subcalls.given_up(kit.model) or await self._problem(inputs)
        if problem:
            return self._refused(errand, problem)
        searches = errand.context is None
        return self._value(await self._run(kit, inputs, share, scope, searches=searches), kit.model)

    async def _run(self, kit: Making, inputs: Inputs, share: Budget, scope: str, *, searches: bool) -> RunResult:
        depth = self._session.budget.policy.max_recursion_depth
        policy = replace(share.policy, max_steps=kit.max_steps, max_recursion_depth=depth)
        rlm = kit.rlm if searches else replace(kit.rlm, retriever=None)
        caller = self._caller.child(share.child(policy, as_subcalls=True), scope, self._session.asked)
        return await rlm.run_inputs(inputs, caller, handed=kit.handed)

    async def _problem(self, inputs: Inputs) -> str:
        """Why a sub-agent is not started; empty where it is."""
        if not inputs.query.strip():
            return "the query was empty"
        own, given = self._session.inputs.material, inputs.material
        if own is None or given is None:
            return ""
        if not given.len_chars() or (inputs.data is not None and not inputs.data.data):
            return "the context was empty"
        held = await asyncio.to_thread(share_of, given, own)
        if held < _NEARLY_ALL:
            return ""
        return (
            f"its context holds {held:.0%} of your own material, so that it would begin where you are; give each "
            "sub-agent a part: a document, passages that you found, or pieces of ctx.chunk(size)"
        )

    def _refused(self, errand: Errand, why: str) -> str:
        self._session.recorder.record(
            "recursive_subcall",
            prompt=str(errand.query),
            error=why,
            parent=self._session.asked,
            depth=self._caller.depth + 1,
        )
        self._session.subcalls.failed += 1
        return failed(why)

    def _value(self, result: RunResult, model: Model) -> Any:
        self._session.subcalls.note_answer(model)
        return (result.output or NO_ANSWER) if result.status == "unanswered" else result.value

    def _ended(self, error: PyRLMError, model: Model) -> Any:
        """Return what a sub-agent had when an error ended it: its best answer, marked, or why there is none."""
        result: RunResult | None = error.result
        if result is None or result.value is None or result.output.strip() in {"", NO_ANSWER}:
            self._session.subcalls.note_failure(model, error)
            return failed(str(error))
        self._session.subcalls.made += 1
        if isinstance(result.value, str):
            return f"{result.value} [incomplete: {error}]"
        return result.value


async def _nothing() -> None:
    return None
