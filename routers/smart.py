"""SmartRouter: answers a question about any amount of text by the cheapest way that can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pyrlm import portal
from pyrlm.policy import Policy
from pyrlm.rlm import RLM
from pyrlm.routers.config import RouterConfig
from pyrlm.routers.engine import Engine
from pyrlm.routers.many import BatchOptions, check_batch
from pyrlm.routers.overruled import with_numbers
from pyrlm.routers.request import DecideOptions, RunOptions, check_kinds, check_names, check_options, profile_named

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable, Mapping
    from pathlib import Path
    from typing import Unpack

    from pyrlm.cache import DiskCache
    from pyrlm.events import EventListener
    from pyrlm.routers.cost_summary import CostSummary
    from pyrlm.routers.decision import RouteDecision
    from pyrlm.routers.many import BatchItem
    from pyrlm.routers.profiles import ExecutionProfile
    from pyrlm.routers.result import RouterResult
    from pyrlm.routers.stream_events import StreamEvent

    Query = str | Mapping[str, Any] | list[Any]

__all__ = ["SmartRouter"]


class SmartRouter:
    """Decides how to answer, answers, and goes on to another route where the answer shows signs of failure.

    One router serves any number of runs, threads and event loops at once; each run has a budget and a trace of its own.

    Args:
        adapter: The root model, which answers routes of one call and writes the code of loops: an adapter, or its name such
            as ``"openai:gpt-4.1"``.
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
            `max_concurrent_subcalls`. With `tools` or `mcp_servers`, which only code can call, the loop comes before
            routes of one call, and a text is not needed. `system_prompt` takes the place of the loop's system message alone.

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
        check_options(options, on_limit)
        check_kinds(config, policy, event_listener, trace_path)
        self.config = config or RouterConfig()
        self.policy = policy or Policy()
        self.cache = cache
        self.profile = profile_named(profile)
        self.on_limit = on_limit
        root = with_numbers(adapter, price=self.config.price, context_window=self.config.context_window)
        sub = with_numbers(subcall_adapter, price=self.config.subcall_price, context_window=None)
        self._engine = Engine(
            RLM(
                root,
                subcall_adapter=sub,
                policy=self.policy,
                cache=cache,
                on_limit="raise",
                retriever=retriever,
                **options,
            ),
            self.config,
            self.profile,
            raise_errors=on_limit == "raise",
            listener=event_listener,
            trace_path=trace_path,
        )

    def decide(self, query: Query, context: Any = None, **how: Unpack[DecideOptions]) -> RouteDecision:
        """Decide which route `query` takes over `context`: no model call, no waiting. Arguments as for `run`.

        The same input gives the same decision, once the model's vocabulary is loaded or known to be missing.
        """
        check_names(how, DecideOptions)
        return self._engine.decision(query, context, how)

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
        return await self._engine.run(query, context, how)

    def resume(self, path: str | Path, context: Any = None, *, output_schema: Any = None) -> RouterResult:
        """Go on with a run from the file that it was given as `checkpoint`; see `RLM.resume`."""
        return portal.run(self.aresume(path, context, output_schema=output_schema))

    async def aresume(self, path: str | Path, context: Any = None, *, output_schema: Any = None) -> RouterResult:
        """Go on with a run from its file; see `resume`."""
        return await self._engine.resume(path, context, output_schema)

    def run_many(
        self, queries: Iterable[Query], context: Any = None, **how: Unpack[BatchOptions]
    ) -> Generator[BatchItem, None, None]:
        """Answer many questions over one `context`, side by side; yield each as it comes, with its place.

        What the text takes is done once for all: it is taken in, its tokens are counted, and where it goes into a prompt
        as a whole (of 1,024 tokens or more, before the question), the first question goes ahead, so that the provider's
        prompt cache holds the text when the others come. One failure stays one. Questions are taken as there is room for
        them; leaving the iterator early cancels what is under way. Events of all runs go to the router's listener; a
        trace file holds all runs, each line with its `run` (`Trace.from_json_lines` reads one of them).

        Args:
            queries: Any iterable of questions.
            context: As for `run`; one for all.
            **how: `concurrency`, `total_policy` and what `run` takes; see `BatchOptions`.

        Raises:
            TypeError: There is no such option.
            ConfigurationError: An argument can't be used.
        """
        return portal.iterate(self.arun_many(queries, context, **how))

    def arun_many(
        self, queries: Iterable[Query], context: Any = None, **how: Unpack[BatchOptions]
    ) -> AsyncGenerator[BatchItem, None]:
        """Answer many questions; see `run_many`. Close it (`contextlib.aclosing`) where it is left early."""
        check_names(how, BatchOptions)
        check_batch(queries, how)
        return self._engine.many(queries, context, how)

    def stream(
        self, query: Query, context: Any = None, **how: Unpack[RunOptions]
    ) -> Generator[StreamEvent, None, None]:
        """Answer `query` and yield what happens: progress, the answer's text as it is written, at the end the result.

        Quotes, thinking and what says that there is no answer are not shown. What was shown and does not hold (its
        quotes are not in the text, the connection broke off) is withdrawn by an event that says why, before what comes
        in its place. An adapter that can't stream, and an answer that has to fit a schema, give the text in one piece.
        Leaving the iterator early cancels the run. Arguments and errors are those of `run`.
        """
        return portal.iterate(self.astream(query, context, **how))

    def astream(
        self, query: Query, context: Any = None, **how: Unpack[RunOptions]
    ) -> AsyncGenerator[StreamEvent, None]:
        """Answer `query` and yield what happens; see `stream`. Close it (`contextlib.aclosing`) where it is left early."""
        check_names(how, RunOptions)
        return self._engine.stream(query, context, how)

    def cost_summary(self) -> CostSummary:
        """Add up what all runs have cost since this router was made: by model, by depth and by route. Any thread may ask."""
        return self._engine.ledger.summary()
