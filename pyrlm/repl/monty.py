"""The `monty` backend: pydantic-monty's interpreter of a Python subset, in a worker process of its own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyrlm.errors import ReplCrashedError, ReplUnavailableError, WireError
from pyrlm.repl import monty_errors, monty_surrogates, monty_text
from pyrlm.repl.drive import CodeClock, FunctionTable, HostCalls, cpu_clock
from pyrlm.repl.functions import context_functions
from pyrlm.repl.monty_answers import plain, refused
from pyrlm.repl.monty_given import GIVEN_MODULES, Given, opening
from pyrlm.repl.monty_rewrite import Known, Rewritten, UnsupportedError, prelude
from pyrlm.repl.monty_serve import SleptTooLongError, TooManyCallsError
from pyrlm.repl.monty_thread import MontyThread, WorkerOptions
from pyrlm.repl.monty_turn import Turn
from pyrlm.repl.monty_worker import Launcher
from pyrlm.repl.protocol import Execution, Setup, Variable
from pyrlm.repl.wire import encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrlm.repl.protocol import HostFunction

__all__ = ["MontyRepl"]

_GRACE = 1.5  # seconds beyond the limit, by the host's clock, after which a worker is killed
_MAX_CALLS_MORE = 50
_SAVED = 100 << 20  # bytes that the worker may hold for its state to be kept; 7 ms a megabyte, between two steps


class MontyRepl:
    """Runs code in Monty, with a layer over what Monty lacks; implements `pyrlm.repl.protocol.Repl`.

    The text is handed to the worker when code first names it, and only up to `monty_text.MAX_CHARS`; behind `ctx` it
    stays in the host. After an execution that was stopped at a limit, variables are as they were before it.
    """

    name = "monty"
    language_notes = (
        "A subset of Python: no async generators, except*, metaclasses, yield in try, subclasses of builtin types, files or "
        "network; imports: common text and data modules of the standard library only. On texts over 1 MB use ctx.find and "
        "ctx.slice: positions in long strings are slow."
    )

    def __init__(self) -> None:
        self._setup = Setup()
        self._table = FunctionTable({})
        self._launcher: Launcher | None = None
        self._thread: MontyThread | None = None
        self._known = Known()
        self._loaded: set[str] = set()
        self._given = Given((), {})
        self._text_loaded = False
        self._last_output = ""
        self._sources: dict[str, tuple[str, tuple[int, ...] | None]] = {}
        self._saved: tuple[tuple[bytes, int], Known, set[str], bool] | None = None
        self._dead = False
        self._one_at_a_time = asyncio.Lock()
        self.layers: tuple[str, ...] = ()
        self.missing: Mapping[str, str] = {}

    async def start(self, setup: Setup) -> None:
        """Start a worker. Raises `ReplUnavailableError` where that can't be done here."""
        await self.close()
        self._setup = setup
        functions = {} if setup.context is None else context_functions(setup.context)
        self._table = FunctionTable({**functions, **setup.functions})
        try:
            encode(dict(setup.variables), "variables")
            self._launcher = await asyncio.to_thread(Launcher, strict=setup.isolation == "strict")
            self.layers, self.missing = self._launcher.layers, self._launcher.missing
            options = WorkerOptions(
                binary=self._launcher.path,
                timeout=setup.timeout,
                memory=monty_text.memory(setup),
                max_calls=setup.max_host_calls + _MAX_CALLS_MORE,
            )
            self._thread = MontyThread(options, asyncio.get_running_loop())
            await self._thread.submit(self._thread.open)
            await self._give()
        except (WireError, ReplUnavailableError):
            await self.close()
            raise
        except Exception as error:
            await self.close()
            raise ReplUnavailableError(monty_errors.not_started(error, data=bool(setup.variables))) from error
        except BaseException:
            await self.close()
            raise

    async def _give(self) -> None:
        """Hand over what code finds there: functions, objects, modules, variables."""
        thread = self._running()
        self._given = Given(self._table.names, self._setup.variables)
        self._known = Known(host=self._given.names, modules={m: m for m in GIVEN_MODULES})
        helpers = prelude(("_pyrlm_sent",), self._loaded)
        source = opening(helpers, self._given.restore, self._setup.random_seed)
        await thread.submit(lambda: thread.plain(source, {**self._given.inputs, **self._given.variables}))
        await thread.submit(self._save)

    async def give(self, functions: Mapping[str, HostFunction], variables: Mapping[str, Any]) -> None:
        """Add host functions and variables to the running session. Raises `WireError` where a value can't cross."""
        async with self._one_at_a_time:
            thread, old = self._running(), self._setup
            encode(dict(variables), "variables")
            self._setup = replace(old, variables={**old.variables, **variables})
            self._table = FunctionTable({**self._table.functions, **functions})
            self._given = Given(self._table.names, self._setup.variables)
            self._known = replace(self._known, host=self._given.names)
            inputs = {**self._given.inputs, **Given((), variables).variables}
            try:
                await thread.submit(lambda: thread.plain(self._given.restore, inputs))
            except Exception as error:
                raise await self._lost(error) from error
            await thread.submit(self._save)

    async def run(self, code: str) -> Execution:
        """Run `code`. Raises `ReplCrashedError` where the worker died."""
        async with self._one_at_a_time:
            from pydantic_monty import MontyError  # noqa: PLC0415 - see MontyThread.open

            thread = self._running()
            if self._dead:
                raise await self._lost("it was killed")
            try:
                made = monty_text.prepared(code, self._known, self._setup.context)
                inputs = await thread.submit(lambda: self._equip(thread, code, made))
            except (SyntaxError, UnsupportedError, RecursionError, MemoryError, ValueError) as error:
                return refused(code, error)
            except (MontyError, RuntimeError) as error:
                raise await self._lost(error) from error
            clock = CodeClock(cpu_clock(thread.pid))
            turn = Turn(HostCalls(self._table, max_calls=self._setup.max_host_calls, clock=clock), clock)
            watch = asyncio.create_task(self._watch(thread, clock))
            try:
                return await self._run(thread, code, made, inputs, turn)
            except asyncio.CancelledError:
                await self.close()
                raise
            finally:
                watch.cancel()
                await turn.end()

    async def _run(
        self, thread: MontyThread, code: str, made: Rewritten, inputs: Mapping[str, Any], turn: Turn
    ) -> Execution:
        from pydantic_monty import MontyCrashedError, MontyError  # noqa: PLC0415 - see MontyThread.open

        error: tuple[str, str] | None = None
        try:
            write, ask = (lambda _, text: turn.take(text)), turn.ask
            self._sources[f"<python-input-{thread.fed}>"] = (code, made.lines)
            await thread.submit(lambda: thread.drive(made.source, inputs, write, ask, self._given.objects))
        except MontyCrashedError as failure:
            turn.clock.stop()
            await self._crashed(turn, failure)
            error = await self._restored("TimeoutError", monty_errors.time_over(code, self._setup.timeout))
        except MontyError as failure:
            turn.clock.stop()
            self._known = made.known
            error = monty_errors.describe(failure, self._sources)
            limit = monty_errors.limit_met(error, failure, code, self._setup.timeout, turn.clock.elapsed)
            error = await self._restored(*limit) if limit else error
        except (TooManyCallsError, SleptTooLongError) as failure:
            turn.clock.stop()
            kind = "TimeoutError" if isinstance(failure, SleptTooLongError) else "RuntimeError"
            error = await self._restored(kind, f"{kind}: {failure}.")
        else:
            self._known = made.known
        turn.clock.stop()
        if turn.final is not None:
            error = None
        if thread is self._thread:
            thread.submit(self._save)
        self._last_output = turn.output.text()
        return turn.execution(self._setup.max_output_chars, error)

    def _equip(self, thread: MontyThread, code: str, made: Rewritten) -> Mapping[str, Any]:
        """Run on the thread: hand over what the code names and calls; return what is bound anew for it."""
        text = monty_text.wanted(self._setup.context, code, self._known)
        if text:
            if not self._text_loaded:
                monty_text.hand_over(self._setup.context, thread.plain)
                self._text_loaded = True
            thread.plain(monty_text.RESTORE)
        loaded = set(self._loaded)
        thread.plain(f"{prelude(made.pieces, loaded)}\n{self._given.restore}")
        self._loaded = loaded
        inputs = self._given.again(self._known.names)
        if "last_output" in code:
            inputs["last_output"] = monty_surrogates.inward(self._last_output)
        return inputs

    async def _watch(self, thread: MontyThread, clock: CodeClock) -> None:
        """Kill a worker that is over its time by the host's clock: one that floods the host, or hangs."""
        while (left := self._setup.timeout + _GRACE - clock.elapsed) > 0:  # noqa: ASYNC110 - the clock stands still at times
            await asyncio.sleep(max(left, 0.05))
        thread.kill()

    async def _restored(self, kind: str, text: str) -> tuple[str, str]:
        """Go back to the variables before this execution. Raises ReplCrashedError where that can't be done."""
        thread, saved = self._running(), self._saved
        if saved is None:
            await self.close()
            raise ReplCrashedError(f"{text} The variables are lost.")
        state, self._known, loaded, self._text_loaded = saved
        self._known, self._loaded = self._known.copy(), set(loaded)
        try:
            await thread.submit(lambda: thread.load(state))
        except Exception as error:
            await self.close()
            raise ReplCrashedError(f"{text} The variables are lost ({type(error).__name__}).") from error
        return kind, f"{text}\nThe step was undone: variables are as they were before it."

    async def _crashed(self, turn: Turn, failure: Any) -> None:
        """Raise for a worker that died by itself; return for one that was killed at its limit."""
        if turn.clock.elapsed >= self._setup.timeout or failure.timed_out:
            return
        raise await self._lost(failure)

    async def _lost(self, reason: BaseException | str) -> ReplCrashedError:
        await self.close()
        return ReplCrashedError(f"Monty's worker process died ({str(reason)[:300]}); the variables are lost.")

    def _save(self) -> None:
        """Run on the thread: keep the state, to go back to it when an execution has to be stopped."""
        thread = self._thread
        if thread is None:
            return
        self._saved = None
        if thread.memory() > min(_SAVED, monty_text.memory(self._setup) // 3):
            return
        try:
            self._saved = (thread.save(), self._known.copy(), set(self._loaded), self._text_loaded)
        except Exception:  # noqa: BLE001 - the worker was killed meanwhile; the next execution says so
            self._dead = True

    async def variables(self) -> tuple[Variable, ...]:
        """List what code has defined, without the names that the REPL itself gave."""
        listed = await self._ask("_pyrlm_variables", sorted(self._known.names - self._known.host))
        return tuple(Variable(name=str(n), type=str(t), repr=str(r)[:200]) for n, t, r in listed)

    async def get(self, name: str) -> Any:
        """Return the value of a variable. Raises KeyError where there is none, `WireError` where it can't cross."""
        if name.startswith("_") or not name.isidentifier():
            raise KeyError(name)
        found = await self._ask("_pyrlm_get", [name])
        if not found:
            raise KeyError(name)
        if found[0] != "value":
            raise WireError(f"{name}: {found[1]}")
        return plain(found[1], name)

    async def _ask(self, helper: str, names: Sequence[str]) -> Any:
        from pydantic_monty import MontyCrashedError, MontyError  # noqa: PLC0415

        async with self._one_at_a_time:
            thread = self._running()
            pairs = ", ".join(f"({name!r}, lambda: {name})" for name in names)
            loaded = set(self._loaded)
            source = f"{prelude((helper,), loaded)}\n{helper}([{pairs}])"
            try:
                found = await thread.submit(lambda: thread.plain(source))
            except (MontyCrashedError, RuntimeError) as error:
                raise await self._lost(error) from None
            except MontyError as error:
                raise WireError(f"the values could not be read: {error}") from None
            self._loaded = loaded
            return found

    def idle(self) -> bool:
        """Whether the code computes nothing at this moment."""
        return self._thread is None or self._thread.idle

    async def close(self) -> None:
        """End worker, thread and whatever was started for them."""
        thread, self._thread = self._thread, None
        launcher, self._launcher = self._launcher, None
        if thread is not None:
            await asyncio.shield(thread.close())
        if launcher is not None:
            launcher.close()
        self._saved, self._loaded, self._text_loaded = None, set(), False

    def _running(self) -> MontyThread:
        if self._thread is None:
            raise ReplCrashedError(
                "The REPL isn't running: start() has not been called, or it has crashed or was closed."
            )
        return self._thread
