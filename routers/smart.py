"""SmartRouter: answers a question about any amount of text by the cheapest way that can be trusted."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

from pyrlm import portal
from pyrlm.budget import Budget
from pyrlm.calls import Caller
from pyrlm.context import Context
from pyrlm.errors import ConfigurationError, PyRLMError
from pyrlm.evidence import open_searches
from pyrlm.inputs import with_schema
from pyrlm.models import Model
from pyrlm.policy import Policy
from pyrlm.rlm import RLM
from pyrlm.routers.config import RouterConfig
from pyrlm.routers.decision import RouteDecision, decide
from pyrlm.routers.escalation import answer_by_routes
from pyrlm.routers.limits import usable_tokens
from pyrlm.routers.outcome import conclude
from pyrlm.routers.overruled import with_numbers
from pyrlm.routers.request import DecideOptions, Request, RunOptions, check_names, make_request, profile_named
from pyrlm.routers.verify import verify
from pyrlm.routers.work import Work
from pyrlm.trace import Recorder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Unpack

    from pyrlm.cache import DiskCache
    from pyrlm.events import EventListener
    from pyrlm.routers.decision import Facts
    from pyrlm.routers.profiles import ExecutionProfile
    from pyrlm.routers.result import RouterResult

    Query = str | Mapping[str, Any] | list[Any]

__all__ = ["SmartRouter"]


class SmartRouter:
    """Decides how to answer, answers, and goes on to another route where the answer shows signs of failure.

    One router serves any number of runs, threads and event loops at once; each run has a budget and a trace of its own.

    Args:
        adapter: The root model: it answers routes of one call and writes the code of loops.
        retriever: An index to answer from (`pyrlm.retrievers`), beside a text or without one.
        subcall_adapter: The model that sub-calls ask; the root model by default.
        config: Thresholds of the decision.
        policy: Limits of each run, all its routes together; `Policy()` by default.
        cache: For calls of routes of one call and for sub-calls; None for none.
        profile: Profile of runs that name none; None: by the kind of the query.
        on_limit: ``"return"`` an incomplete result where a limit or an unreachable model ends the run, or ``"raise"``
            its error with trace and result. A wrong key is always raised.
        event_listener: Called with every `TraceStep` as it happens.
        trace_path: JSON Lines file that gets every event of a run as it happens; replaced by the next run.
        options: Further options of `RLM`, such as `repl_backend`, `temperature`, `instruction` (told on every route),
            `max_concurrent_subcalls`. `system_prompt` takes the place of the loop's system message alone.

    Raises:
        ConfigurationError: An option does not exist or can't be used.
    """

    def __init__(
        self,
        adapter: Any,
        *,
        retriever: Any = None,
        subcall_adapter: Any = None,
        config: RouterConfig | None = None,
        policy: Policy | None = None,
        cache: DiskCache | None = None,
        profile: ExecutionProfile | str | None = None,
        on_limit: Literal["raise", "return"] = "return",
        event_listener: EventListener | None = None,
        trace_path: str | Path | None = None,
        **options: Any,
    ) -> None:
        _check_options(options, on_limit)
        self.config = config or RouterConfig()
        self.policy = policy or Policy()
        self.cache = cache
        self.profile = profile_named(profile)
        self.on_limit = on_limit
        self._listener, self._trace_path = event_listener, trace_path
        root = with_numbers(adapter, price=self.config.price, context_window=self.config.context_window)
        sub = with_numbers(subcall_adapter, price=self.config.subcall_price, context_window=None)
        self._rlm = RLM(
            root,
            subcall_adapter=sub,
            policy=self.policy,
            cache=cache,
            on_limit="raise",
            retriever=retriever,
            **options,
        )
        self._root = Model(root)

    def decide(self, query: Query, context: Any = None, **how: Unpack[DecideOptions]) -> RouteDecision:
        """Decide which route `query` takes over `context`: no model call, no waiting. Arguments as for `run`.

        The same input gives the same decision, once the model's vocabulary is loaded or known to be missing.
        """
        check_names(how, DecideOptions)
        return self._decision(make_request(query, context, how, self.profile))[0]

    def run(self, query: Query, context: Any = None, **how: Unpack[RunOptions]) -> RouterResult:
        """Answer `query` over `context`. Works from scripts, threads and inside a running loop.

        Args:
            query: The question.
            context: A `Context`, a string, a list of strings (documents), or data; see `RLM.run`.
            **how: Options of this run: `profile`, `route`, `kind`, `pattern`, `marker`, `escalate`, `output_schema`; see
                `RunOptions`.

        Returns:
            The result; ``output, trace = router.run(…)`` unpacks it.

        Raises:
            TypeError: There is no such option.
            ConfigurationError: An argument can't be used, or there is neither text nor retriever; carries the trace.
            AuthenticationError: The key is missing or wrong; carries the trace.
            PolicyError, ModelError, ReplError: With `on_limit="raise"`; carries trace and result.
            NestedRunError: Called on pyrlm's own loop; use `arun` there.
        """
        return portal.run(self.arun(query, context, **how))

    async def arun(self, query: Query, context: Any = None, **how: Unpack[RunOptions]) -> RouterResult:
        """Answer `query` over `context`; see `run`. A cancelled `arun` leaves no process, task or request behind."""
        check_names(how, RunOptions)
        recorder = Recorder(self._listener, self._trace_path)
        try:
            request = make_request(query, context, how, self.profile)
            work = self._work(request, recorder, how.get("output_schema"))
            routes = (work.decision.route, *(work.decision.escalation if how.get("escalate", True) else ()))
            answer = await answer_by_routes(work, routes)
            checkable = work.decision.verify and answer.says_something and answer.error is None
            verdict = await verify(work, answer) if checkable else None
            return conclude(work, answer, verdict, raise_errors=self.on_limit == "raise")
        except PyRLMError as error:
            error.trace = recorder.trace
            raise
        finally:
            recorder.close()

    def _decision(self, request: Request) -> tuple[RouteDecision, Facts]:
        facts = request.facts(self._root, self.config, self.policy, self._rlm.retriever)
        return decide(facts, self.config), facts

    def _work(self, request: Request, recorder: Recorder, output_schema: Any) -> Work:
        """Begin a run: its decision, its budget and its trace."""
        chars = request.context.len_chars() if request.context is not None else 0
        recorder.record("run_started", prompt=request.query, data={"chars": chars})
        decision, facts = self._decision(request)
        recorder.record("route", reason=decision.explain(), data=decision.as_dict())
        return Work(
            query=request.query,
            asked=request.asked,
            context=request.context if request.context is not None else Context.from_text(""),
            decision=decision,
            config=self.config,
            rlm=with_schema(self._rlm, output_schema),
            root=self._root,
            caller=Caller(Budget(self.policy), recorder, self.cache, self._rlm.max_concurrent_subcalls),
            usable_tokens=usable_tokens(facts.window, facts.query_tokens, self.config),
            plan=request.plan,
            searches=open_searches(self._rlm.retriever, recorder),
        )


def _check_options(options: dict[str, Any], on_limit: str) -> None:
    known = {field.name for field in fields(RLM)} - {"adapter"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ConfigurationError(
            f"SmartRouter has no option {', '.join(unknown)}; expected some of {', '.join(sorted(known))}."
        )
    if on_limit not in {"raise", "return"}:
        raise ConfigurationError(f"SmartRouter(on_limit={on_limit!r}): expected 'raise' or 'return'.")
