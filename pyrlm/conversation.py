"""Several questions over one loaded context and one REPL: `RLM.session`."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self

from pyrlm import portal
from pyrlm.budget import Budget
from pyrlm.calls import Caller
from pyrlm.costs import Costs
from pyrlm.errors import ConfigurationError, PyRLMError, ReplCrashedError
from pyrlm.inputs import take_in
from pyrlm.lasting import AskingClock, Lasting
from pyrlm.materials import Materials
from pyrlm.policy import Policy, check_policy
from pyrlm.prompts_conversation import NO_SCHEMA, QUERY_GIVEN, earlier, error_told, how_it_ended, status_told
from pyrlm.trace import Recorder
from pyrlm.trace_file import SharedFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from pyrlm.context import Context
    from pyrlm.inputs import Inputs
    from pyrlm.result import RunResult
    from pyrlm.rlm import RLM

    Query = str | Mapping[str, Any] | list[Any]

__all__ = ["Conversation"]

_answering: ContextVar[frozenset[int]] = ContextVar("pyrlm_answering", default=frozenset())
"""The conversations that the current task or thread works for: a question put from within would wait for itself."""


class Conversation:
    """Several questions over one context: made by `RLM.session`, used by ``with`` or ``async with``.

    Context and REPL are loaded once, with the first question, and end with the conversation. Variables and functions
    stay from question to question, and so does what was said: each question goes behind the answer before it, so that a
    provider's prompt cache hits. Each has limits, a trace and a result of its own. One is answered at a time; others
    wait for their turn. A question that fails, meets a limit or is cancelled leaves the conversation usable; where its code
    was stopped in the middle, the REPL is started anew, and the model is told that its variables are lost.

    Args:
        rlm: The options.
        context: As for `RLM.run`.
        policy: Limits of all questions together, beside the options' own, which hold for each. Time counts while a
            question is answered. ``Policy.only(max_cost_usd=1)`` sets one limit and no others.

    Attributes:
        costs: What all questions so far have cost, those that failed included.
    """

    def __init__(self, rlm: RLM, context: Any = None, *, policy: Policy | None = None) -> None:
        check_policy(policy, "session(policy)")
        self.costs = Costs()
        self._rlm = rlm
        self._source = context
        self._clock = AskingClock()
        self._budget = Budget(policy, clock=self._clock.seconds) if policy is not None else None
        self._lasting = Lasting(keep=True)
        self._materials: Materials | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._one_at_a_time: asyncio.Lock
        self._task: asyncio.Task[RunResult] | None = None
        self._file: SharedFile | None = None
        self._closed = False
        self._asked = 0
        self._has_query = False
        self._answers: list[tuple[str, str]] = []
        self._ended = self._lost = ""
        self._untold: list[str] = []

    @property
    def context(self) -> Context | None:
        """All its texts as one: `Citation.doc` and `Citation.global_start` refer to it. None without a text."""
        return self._materials.context if self._materials is not None else None

    def ask(self, query: Query, *, output_schema: Any = None, policy: Policy | None = None) -> RunResult:
        """Answer `query`; from scripts, threads and inside a running loop.

        Args:
            query: The question.
            output_schema: What the answer has to be, in the place of the option of this name.
            policy: Limits of this question, in the place of the option of this name.

        Raises:
            PolicyError, ModelError, ReplError: As `RLM.run`; the conversation goes on.
            ConfigurationError: An argument can't be used; or the conversation is not open, belongs to another event
                loop, or is being asked from within one of its own questions.
        """
        return portal.run(self.aask(query, output_schema=output_schema, policy=policy))

    async def aask(self, query: Query, *, output_schema: Any = None, policy: Policy | None = None) -> RunResult:
        """Answer `query`; see `ask`."""
        check_policy(policy, "ask(policy)")
        self._check_open()
        asked = await take_in(query, None, self._rlm.output_schema if output_schema is None else output_schema)
        async with self._turn():
            self._task = asyncio.create_task(self._answer(asked, policy or self._rlm.policy or Policy()))
            try:
                return await self._task
            except asyncio.CancelledError:
                own = asyncio.current_task()
                if self._closed and own is not None and not own.cancelling():
                    raise ConfigurationError("The session was closed while this question was being answered.") from None
                raise
            finally:
                self._task = None

    def add(self, context: Any) -> str:
        """Add a further context, which the next question tells the model of.

        A text becomes the variable ``P2`` (then ``P3``, …) beside an object ``ctx2`` with the methods of ``ctx``; data
        becomes ``P2``. Nothing that is there already is sent again. In a session that was opened without a context, the
        first one that is added before the first question becomes ``P``.

        Args:
            context: As for `RLM.run`.

        Returns:
            The name of the variable.

        Raises:
            ConfigurationError: It can't be used, or the session is not open.
            ReplError: The backend can't take it.
        """
        return portal.run(self.aadd(context))

    async def aadd(self, context: Any) -> str:
        """Add a further context; see `add`."""
        self._check_open()
        if context is None:
            raise ConfigurationError("add(None): expected a text, documents or data.")
        base = await take_in("", context, None)
        async with self._turn():
            materials, lasting = await self._loaded(), self._lasting
            if materials.empty and lasting.latest is None:
                self._begin_with(base)
                return "P"
            assert base.material is not None
            new = await asyncio.to_thread(materials.prepared, base.material)
            await self._mend()
            if lasting.latest is not None:
                self._note_lost(await lasting.latest.repl.give(new.functions, new.variables))
            materials.add(new)
            self._untold.append(new.note)
            lasting.functions.update(new.functions)
            lasting.variables.update(new.variables)
            return new.name

    async def _answer(self, asked: Inputs, policy: Policy) -> RunResult:
        """Answer one question as a run of its own over what the others have left."""
        rlm, latest = self._rlm, self._lasting.latest
        materials = await self._loaded()
        self._asked += 1
        self._has_query = self._has_query or "query" in asked.variables
        recorder = Recorder(rlm.event_listener, self._file.of_run(self._asked) if self._file is not None else None)
        budget = self._budget.child(policy) if self._budget is not None else Budget(policy)
        caller = Caller(budget, recorder, rlm.cache, rlm.max_concurrent_subcalls)
        ended, output = "stopped by the application", ""
        try:
            with self._clock.running():
                await self._mend()
                notes = await self._notes(asked)
                result = await rlm.run_inputs(materials.inputs(asked), caller, notes=notes, lasting=self._lasting)
            ended, output = status_told(result), result.output
        except PyRLMError as error:
            ended, output = error_told(error), error.output
            raise
        else:
            return result
        finally:
            recorder.close()
            self.costs += Costs.of(recorder.trace)
            if self._lasting.latest is not latest:  # it was asked, and what was to be told was told
                self._note_end(asked, ended, output)

    async def _notes(self, asked: Inputs) -> list[str]:
        """Return what the model is told beside the question."""
        latest = self._lasting.latest
        if latest is None:
            return self._untold
        notes = [self._ended, self._lost, *self._untold]
        if not self._rlm.conversation_history:
            assert self._materials is not None
            notes = [earlier(self._answers), self._lost, *(added.note for added in self._materials.added)]
        if latest.schema is not None and asked.schema is None:
            notes.append(NO_SCHEMA)
        if self._has_query:
            value = asked.variables.get("query", asked.query)
            self._note_lost(lost := await latest.repl.give({}, {"query": value}))
            notes += [QUERY_GIVEN, lost]
        return [note for note in notes if note]

    def _note_end(self, asked: Inputs, ended: str, output: str) -> None:
        self._answers.append((asked.query, output))
        latest = self._lasting.latest
        said = latest.transcript.messages[-1] if latest is not None else None
        known = not ended and said is not None and said["role"] == "assistant" and output in said["content"]
        self._ended = "" if known else how_it_ended(ended, output)
        self._lost, self._untold = "", []

    async def _mend(self) -> None:
        """Start the REPL anew where code was stopped in the middle of it."""
        latest = self._lasting.latest
        if latest is not None and latest.interrupted:
            latest.repl.begin_run(Recorder(), None)
            crashed = ReplCrashedError("Your code of the question before was stopped in the middle.")
            self._note_lost(await latest.repl.replace(crashed))
            latest.interrupted = False

    def _note_lost(self, told: str) -> None:
        if told:
            self._lost = self._lasting.replaced = told

    async def _loaded(self) -> Materials:
        """Take in the context, once."""
        if self._materials is None:
            self._begin_with(await take_in("", self._source, None))
        assert self._materials is not None
        return self._materials

    def _begin_with(self, base: Inputs) -> None:
        self._materials = Materials(base)
        self._lasting.base = base.context

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for one's turn."""
        async with self._one_at_a_time:
            self._check_open()
            token = _answering.set(_answering.get() | {id(self)})
            try:
                yield
            finally:
                _answering.reset(token)

    def _check_open(self) -> None:
        if self._closed:
            raise ConfigurationError("The session is closed: its REPL has ended. Open another by RLM.session(context).")
        if self._loop is None:
            raise ConfigurationError("The session is not open: use `with rlm.session(context) as s: s.ask(…)`.")
        if asyncio.get_running_loop() is not self._loop:
            raise ConfigurationError(
                "The session was opened in another event loop: one opened by `with` is asked by ask(), one opened by `async "
                "with` by `await aask()` in the same loop."
            )
        if id(self) in _answering.get():
            raise ConfigurationError(
                "The session is answering a question, and this one comes from within it (a tool, an adapter): it would wait "
                "for ever. Use another session, or RLM.run."
            )

    async def __aenter__(self) -> Self:
        if self._closed or self._loop is not None:
            raise ConfigurationError("A session is opened once; make another by RLM.session(context).")
        self._one_at_a_time = asyncio.Lock()
        await self._loaded()
        if self._rlm.trace_path is not None:
            self._file = SharedFile(self._rlm.trace_path)
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return portal.run(self.__aenter__())

    def __exit__(self, *_: object) -> None:
        portal.run(self.aclose())

    def close(self) -> None:
        """End the REPL, and whatever question is being answered. Again: nothing."""
        portal.run(self.aclose())

    async def aclose(self) -> None:
        """End the session; see `close`."""
        if self._closed:
            return
        if self._loop is not None:
            self._check_open()
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            if self._lasting.latest is not None:
                await self._lasting.latest.end()
        finally:
            if self._file is not None:
                self._file.close()
