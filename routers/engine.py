"""What all runs of a router have in common, and how each of them goes: decide, take routes, verify, conclude."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from pyrlm.budget import Budget
from pyrlm.calls import Caller
from pyrlm.context import Context
from pyrlm.errors import PyRLMError
from pyrlm.evidence import open_searches
from pyrlm.inputs import with_schema
from pyrlm.models import Model
from pyrlm.policy import Policy
from pyrlm.routers.cost_summary import Ledger
from pyrlm.routers.decision import RouteDecision, decide
from pyrlm.routers.durable import answered, as_recorded, resumed
from pyrlm.routers.escalation import answer_by_routes
from pyrlm.routers.limits import usable_tokens
from pyrlm.routers.many import BatchItem, BatchOptions, answer_many
from pyrlm.routers.outcome import conclude
from pyrlm.routers.prefix import SharedPrefix
from pyrlm.routers.request import DecideOptions, Request, RunOptions, make_request
from pyrlm.routers.streaming import Screen, watched
from pyrlm.routers.verify import verify
from pyrlm.routers.work import Work
from pyrlm.trace import Recorder
from pyrlm.trace_file import SharedFile

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from pathlib import Path

    from pyrlm.events import EventListener
    from pyrlm.rlm import RLM
    from pyrlm.routers.config import RouterConfig
    from pyrlm.routers.decision import Facts
    from pyrlm.routers.profiles import ExecutionProfile
    from pyrlm.routers.result import RouterResult
    from pyrlm.routers.stream_events import StreamEvent

__all__ = ["Engine"]

_KEPT_DECISIONS = 512


class Engine:
    """Runs questions for a `SmartRouter`, whose options it has.

    Args:
        rlm: Options of the loop; the root model, policy, cache and retriever of all routes.
        config: Thresholds of the decision.
        profile: Profile of runs that name none.
        raise_errors: Whether what ends a run early is raised.
        listener: Gets every event.
        trace_path: File for every event.

    Attributes:
        ledger: What all runs have cost.
    """

    def __init__(
        self,
        rlm: RLM,
        config: RouterConfig,
        profile: ExecutionProfile | None,
        *,
        raise_errors: bool,
        listener: EventListener | None,
        trace_path: str | Path | None,
    ) -> None:
        self.ledger = Ledger()
        self._rlm, self._made = rlm, with_schema(rlm, None)
        self._policy = rlm.policy or Policy()
        self._config, self._profile, self._raise = config, profile, raise_errors
        self._listener, self._trace_path = listener, trace_path
        self._root = Model(rlm.adapter)
        self._thresholds = {"config": config, "profile": profile}
        self._thinks = threading.Event()
        # A pure function; among many questions about one text, most differ in nothing that it looks at.
        self._decide = lru_cache(_KEPT_DECISIONS)(partial(decide, config=config))

    def decision(self, query: Any, context: Any, how: DecideOptions) -> RouteDecision:
        """Decide; see `SmartRouter.decide`."""
        return self._decided(make_request(query, context, how, self._profile))[0]

    async def run(self, query: Any, context: Any, how: RunOptions) -> RouterResult:
        """Answer one question; see `SmartRouter.run`."""
        asked = (query, context, how, self._caller(self._policy, Recorder(self._listener, self._trace_path)))
        return await answered(self._rlm, self._thresholds, asked, self._answer)

    async def resume(self, path: str | Path, context: Any, output_schema: Any) -> RouterResult:
        """Go on with a run from its file; see `SmartRouter.resume`."""
        caller = self._caller(self._policy, Recorder(self._listener, self._trace_path))
        return await resumed(self._rlm, self._thresholds, (path, context, output_schema, caller), self._answer)

    async def many(self, queries: Iterable[Any], context: Any, how: BatchOptions) -> AsyncGenerator[BatchItem, None]:
        """Answer many questions; see `SmartRouter.run_many`."""
        material = None if context is None else await asyncio.to_thread(Context.of, context)
        given = how.get("output_schema")
        how = {**how, "output_schema": given and with_schema(self._rlm, given).output_schema}
        file = SharedFile(self._trace_path) if self._trace_path is not None else None
        shared = self._caller(how.get("total_policy") or Policy.only(), Recorder())
        prefix = SharedPrefix()

        async def answer(index: int, query: Any) -> RouterResult:
            recorder = Recorder(self._listener, file.of_run(index) if file is not None else None)
            caller = shared.of_run(shared.budget.child(self._policy), recorder)
            return await self._answer(query, material, how, caller, prefix)

        try:
            async with aclosing(answer_many(queries, answer, how.get("concurrency", shared.limit))) as items:
                async for item in items:
                    yield item
        finally:
            if file is not None:
                file.close()

    async def stream(self, query: Any, context: Any, how: RunOptions) -> AsyncGenerator[StreamEvent, None]:
        """Answer one question and yield what happens; see `SmartRouter.stream`."""
        typed = how.get("output_schema") is not None or self._rlm.output_schema is not None
        screen = Screen(self._listener, self._thinks, text=not typed)
        caller = self._caller(self._policy, Recorder(screen.hear, self._trace_path))
        caller.shows = screen.shows
        asked = (query, context, how, caller)
        begun = watched(screen, lambda: answered(self._rlm, self._thresholds, asked, self._answer))
        async with aclosing(begun) as events:
            async for event in events:
                yield event

    def _caller(self, policy: Policy, recorder: Recorder) -> Caller:
        return Caller(Budget(policy), recorder, self._rlm.cache, self._rlm.max_concurrent_subcalls)

    async def _answer(
        self, query: Any, context: Any, how: RunOptions, caller: Caller, prefix: SharedPrefix | None = None
    ) -> RouterResult:
        recorder = caller.recorder
        try:
            request = make_request(query, context, how, self._profile)
            work = self._work(request, caller, how.get("output_schema"), prefix)
            routes = (work.decision.route, *(work.decision.escalation if how.get("escalate", True) else ()))
            answer = await answer_by_routes(work, routes)
            checkable = work.decision.verify and answer.says_something and answer.error is None
            verdict = await verify(work, answer) if checkable else None
            return conclude(work, answer, verdict, raise_errors=self._raise)
        except PyRLMError as error:
            error.trace = recorder.trace
            raise
        finally:
            self.ledger.add(recorder.trace)
            recorder.close()

    def _decided(self, request: Request) -> tuple[RouteDecision, Facts]:
        facts = request.facts(self._root, self._config, self._policy, self._rlm)
        return self._decide(facts), facts

    def _work(self, request: Request, caller: Caller, output_schema: Any, prefix: SharedPrefix | None) -> Work:
        """Begin a run: its decision and its trace."""
        recorder = caller.recorder
        chars = request.context.len_chars() if request.context is not None else 0
        recorder.record("run_started", prompt=request.query, data={"chars": chars})
        decision, facts = self._decided(request)
        decision = as_recorded(decision, caller.effects)
        recorder.record("route", reason=decision.explain(), data=decision.as_dict())
        return Work(
            query=request.query,
            asked=request.asked,
            context=request.context if request.context is not None else Context.from_text(""),
            decision=decision,
            config=self._config,
            rlm=self._made if output_schema is None else with_schema(self._rlm, output_schema),
            root=self._root,
            caller=caller,
            usable_tokens=usable_tokens(facts.window, facts.query_tokens, self._config),
            plan=request.plan,
            staged=request.profile is not None,
            prefix=prefix,
            searches=open_searches(self._rlm.retriever, recorder, caller.effects),
        )
