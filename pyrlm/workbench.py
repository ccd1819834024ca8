"""The REPL of one run: started beside the first model call, replaced when it dies, its results noted in the trace."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pyrlm.effects import NO_RECORD
from pyrlm.errors import ReplCrashedError, ReplUnavailableError
from pyrlm.repl import make_repl
from pyrlm.repl.protocol import Execution, Setup, Variable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyrlm.coverage import Coverage
    from pyrlm.effects import Effects
    from pyrlm.repl.protocol import HostFunction, ReplFactory
    from pyrlm.replayed_steps import Step
    from pyrlm.trace import Recorder

__all__ = ["Workbench"]

T = TypeVar("T")

_MAX_REPLACED = 3
"""Times that a REPL which died is replaced before the run is given up."""

_SHOWN_LOST = 40


class Workbench:
    """A REPL that a run can rely on.

    Args:
        backend: Which REPL.
        setup: What it is started with, now and after a crash.
        recorder: Gets every execution, cut print-out and replacement.
        coverage: Told what was printed; None without a text.
        prelude: Code that has run before any other, now and after a crash.
        explain: Says more of an error of code, where it can; None for nothing.
        effects: Knows the steps of a durable run; the outcome of one that is known is shown again.

    Attributes:
        printed: Print-outs so far, as the model saw them.
        sources: These pieces, in their order.
        variables: What code has defined, as of the last execution.
    """

    def __init__(
        self,
        backend: str | ReplFactory,
        setup: Setup,
        recorder: Recorder,
        coverage: Coverage | None,
        *,
        prelude: str = "",
        explain: Callable[[str], str] | None = None,
        effects: Effects = NO_RECORD,
    ) -> None:
        self._backend = backend
        self._setup = setup
        self._recorder = recorder
        self._coverage = coverage
        self._prelude = prelude
        self._explain = explain
        self._effects = effects
        self._lost = ""
        self._repl = make_repl(backend)
        self._starting: asyncio.Task[None] | None = None
        self._replaced = 0
        self._earlier = 0
        self.printed: list[str] = []
        self.sources: list[str] = []
        self.variables: tuple[Variable, ...] = ()

    def begin_run(self, recorder: Recorder, coverage: Coverage | None) -> None:
        """Begin a run over the REPL as it is. One that could not be started is started anew."""
        self.note_in(recorder, coverage)
        self._replaced = 0
        self._earlier = len(self.sources)
        starting = self._starting
        if starting is not None and starting.done() and (starting.cancelled() or starting.exception() is not None):
            self._starting = asyncio.create_task(self._renew())

    def note_in(self, recorder: Recorder, coverage: Coverage | None) -> None:
        """Note from now on in this trace what happens."""
        self._recorder, self._coverage = recorder, coverage

    async def give(self, functions: Mapping[str, HostFunction], variables: Mapping[str, Any]) -> str:
        """Give the REPL further functions and variables, now and after a crash; return what the model is to know of that.

        Raises:
            ReplError: The backend can't take any, or not these, or the REPL died once too often.
        """
        await self._started()
        add = getattr(self._repl, "give", None)
        if add is None:
            raise ReplUnavailableError(f"The backend {self._repl.name!r} has no give(): nothing can be added to it.")
        setup, lost = self._setup, None
        try:
            await add(functions, variables)
        except ReplCrashedError as error:
            lost = error
        functions, variables = {**setup.functions, **functions}, {**setup.variables, **variables}
        self._setup = replace(setup, functions=functions, variables=variables)
        return await self.replace(lost) if lost is not None else ""

    @property
    def own_sources(self) -> list[str]:
        """Pieces of code of this run, of which a conversation may have had others before."""
        return self.sources[self._earlier :]

    @property
    def executions(self) -> int:
        """Pieces of code that this run has executed so far."""
        return len(self.own_sources)

    @property
    def code(self) -> str:
        """The latest one; empty before the first."""
        return self.sources[-1] if self.sources else ""

    @property
    def idle(self) -> bool:
        """Whether its code computes nothing at this moment, as far as the backend tells."""
        idle = getattr(self._repl, "idle", None)
        return idle is None or idle()

    @property
    def language_notes(self) -> str:
        """What the prompt says of this backend's Python."""
        return self._repl.language_notes

    def begin(self) -> None:
        """Start the REPL in the background."""
        self._starting = asyncio.create_task(self._start())

    async def _renew(self) -> None:
        await self._repl.close()
        self._repl = make_repl(self._backend)
        await self._start()

    async def _start(self) -> None:
        await self._repl.start(self._setup)
        if self._prelude:
            result = await self._repl.run(self._prelude)
            if result.error is not None:
                raise ReplUnavailableError(f"The functions that were handed over can't be defined: {result.error}")

    async def end(self) -> None:
        """End the REPL and whatever it started."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        await self._repl.close()

    async def beside_start(self, asking: asyncio.Future[T]) -> T:
        """Wait for a model's reply; a REPL that can't be started ends the call, before more is paid for nothing."""
        try:
            if self._starting is not None and not self._starting.done():
                both: set[asyncio.Future[Any]] = {asking, self._starting}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if self._starting is not None and self._starting.done():
                self._starting.result()
            return await asking
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)  # also where it is done: its error may be of no use

    async def execute(self, code: str) -> Execution:
        """Run `code`; a REPL that dies is replaced, and the result says what was lost.

        Raises:
            ReplCrashedError: It died once too often.
        """
        await self._started()
        self.sources.append(code)
        self._lost = ""
        step = self._effects.step(code)
        result = await self._run(code)
        if step.lost_repl and not self._lost:
            await self.replace(ReplCrashedError(step.lost_repl))
        result, self.variables = step.ended(result, self.variables, self._lost)
        self._note(code, result, step)
        return result

    async def _run(self, code: str) -> Execution:
        try:
            result = await self._repl.run(code)
        except ReplCrashedError as error:
            result = Execution(error=await self.replace(error), error_type=type(error).__name__)
        else:
            result = await self._listed(result)
        if self._explain is not None and result.error is not None:
            result = replace(result, error=self._explain(result.error))
        return result

    async def _listed(self, result: Execution) -> Execution:
        """List the variables after a step; a worker that dies of it does not take the step's result along."""
        try:
            self.variables = await self._repl.variables()
        except ReplCrashedError as error:
            if result.final is None:
                told = await self.replace(error)
                text = f"{result.error}\n{told}" if result.error else told
                return replace(result, error=text, error_type=result.error_type or type(error).__name__)
        return result

    async def get(self, name: str) -> Any:
        """Return a variable's value. Raises KeyError where there is none, ReplCrashedError where the REPL has died."""
        await self._started()
        return await self._repl.get(name)

    async def _started(self) -> None:
        if self._starting is not None:
            await asyncio.shield(self._starting)  # the next question needs it, where this one is cancelled

    async def replace(self, error: ReplCrashedError) -> str:
        """Start a REPL in the place of one that has died; return what the model is told.

        Raises:
            ReplCrashedError: It died once too often.
        """
        self._replaced += 1
        self._lost = str(error)
        if self._replaced > _MAX_REPLACED:
            raise error
        starting, self._starting = self._starting, None
        if starting is not None and not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        await self._renew()
        lost = ", ".join(variable.name for variable in self.variables[:_SHOWN_LOST]) or "none"
        self.variables = ()
        text = (
            f"{error} The REPL was started anew. Lost: functions and imports of your code, and the variables: {lost}."
        )
        self._recorder.record("repl_replaced", reason=str(error), error=text)
        return text

    def _note(self, code: str, result: Execution, step: Step) -> None:
        data = {"waited": round(result.waited, 6), "host_calls": result.host_calls, "backend": self._repl.name}
        self._recorder.record(
            "repl_exec",
            code=code,
            stdout=result.stdout,
            error=result.error,
            elapsed=result.elapsed,
            reason=step.difference or None,
            data=data | ({"replayed": True} if step.repeated else {}),
        )
        if result.stdout_chars > len(result.stdout):
            shown = f"{result.stdout_chars} characters printed, {len(result.stdout)} shown"
            self._recorder.record("truncation", reason=shown)
        if result.stdout:
            self.printed.append(result.stdout)
            if self._coverage is not None:
                self._coverage.add(result.stdout)
