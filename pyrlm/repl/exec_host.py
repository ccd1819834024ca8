"""The `exec` backend: CPython in a worker process of its own, which is locked before any code runs in it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyrlm.errors import ReplCrashedError, ReplUnavailableError, WireError
from pyrlm.repl.common import cut_middle
from pyrlm.repl.drive import FunctionTable, asleep
from pyrlm.repl.exec_spawn import spawn
from pyrlm.repl.exec_turn import Turn
from pyrlm.repl.functions import context_functions
from pyrlm.repl.isolation import LAYERS
from pyrlm.repl.protocol import Execution, Final, Setup, Variable
from pyrlm.repl.wire import decode, encode, pack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrlm.repl.exec_pool import ReplPool
    from pyrlm.repl.exec_process import WorkerProcess
    from pyrlm.repl.protocol import HostFunction

__all__ = ["ExecRepl"]

_MAX_ERROR_CHARS = 5_000
_MAX_NAME = 200
_START_SECONDS = 60.0
_log = logging.getLogger("pyrlm")
_warned: set[str] = set()


class ExecRepl:
    """Runs code by CPython's own `exec` in a locked worker process; implements `pyrlm.repl.protocol.Repl`.

    Args:
        python: The interpreter to run; the one that runs now by default. Its version must be 3.11 or later.
        hash_seed: PYTHONHASHSEED of the worker (default 0), so that a run can be replayed.
        pool: Takes a worker that has been started beforehand.

    Attributes:
        layers: The layers of isolation that are on, of `pyrlm.repl.isolation.LAYERS`; empty before `start`.
        missing: The layers that are missing, each with the reason.
    """

    name = "exec"
    language_notes = "Python's standard library can be imported; there are no files, network or processes."

    def __init__(self, *, python: str | None = None, hash_seed: int = 0, pool: ReplPool | None = None) -> None:
        self._python = python
        self._hash_seed = hash_seed
        self._pool = pool
        self._process: WorkerProcess | None = None
        self._sending: asyncio.Future[None] | None = None
        self._setup = Setup()
        self._table = FunctionTable({})
        self._turn: Turn | None = None
        self._one_at_a_time = asyncio.Lock()
        self.layers: tuple[str, ...] = ()
        self.missing: Mapping[str, str] = {}

    async def start(self, setup: Setup) -> None:
        """Start a worker, hand it the text and lock it.

        Raises:
            ReplUnavailableError: It can't be started, or a layer is missing with ``isolation="strict"``.
            WireError: A variable of the setup can't cross.
        """
        await self.close()
        self._setup = setup
        self._table = FunctionTable(_functions(setup))
        first = pack(_setup_message(setup, self._table))
        try:
            self._process = await (self._pool.take() if self._pool else spawn(self._python, self._hash_seed))
            await self._hand_over(first)
        except BaseException:
            await self.close()
            raise

    async def _hand_over(self, first: bytes) -> None:
        process = self._running()
        process.attach(self._on_frame, self._on_end)
        context = self._setup.context
        limit = _START_SECONDS
        if context is None:
            process.send(first)
        else:
            limit += context.len_chars / 1e6
            self._sending = asyncio.ensure_future(asyncio.to_thread(process.send_text, first, context.encode_pieces()))
        try:
            answer = await self._exchange(None, Turn(process, self._table, expects=("ready", "failed"), limit=limit))
        except ReplCrashedError as error:
            raise ReplUnavailableError(f"The worker could not be started: {error}") from error
        if self._sending is not None:
            await self._sending
        if answer[0] == "failed":
            reason = ": ".join(str(part)[:_MAX_ERROR_CHARS] for part in answer[1:3])
            raise ReplUnavailableError(f"The worker could not be started: {reason}")
        self._judge_layers(answer[1])

    def _judge_layers(self, missing: Any) -> None:
        if not isinstance(missing, dict):
            raise ReplUnavailableError("The worker's report on its isolation is malformed.")
        self.missing = {str(layer)[:_MAX_NAME]: str(reason)[:_MAX_NAME] for layer, reason in missing.items()}
        self.layers = tuple(layer for layer in LAYERS if layer not in self.missing)
        _log.debug("exec REPL: layers of isolation on: %s", ", ".join(self.layers))
        if not self.missing:
            return
        lacking = "; ".join(f"{layer} ({reason})" for layer, reason in self.missing.items())
        if self._setup.isolation == "strict":
            raise ReplUnavailableError(
                f"isolation='strict', and layers are missing on this system: {lacking}. Use repl_backend='monty', or "
                "isolation='best_effort' where the text and the model can be trusted."
            )
        if lacking not in _warned:
            _warned.add(lacking)
            _log.warning("Model-written code runs with less isolation than pyrlm can give. Missing: %s.", lacking)

    async def run(self, code: str) -> Execution:
        """Run `code`. Raises `ReplCrashedError` where the worker died, lied or had to be killed."""
        async with self._one_at_a_time:
            setup, process = self._setup, self._running()
            turn = Turn(process, self._table, expects=("done",), limit=setup.timeout, max_calls=setup.max_host_calls)
            _, result = await self._exchange(pack(["run", code]), turn)
            try:
                return self._execution(result, turn)
            except (WireError, TypeError, ValueError, KeyError, AttributeError) as error:
                raise await self._broken(f"its result was malformed ({type(error).__name__})") from None

    def _execution(self, result: Any, turn: Turn) -> Execution:
        """Make the result of what the worker says, and believe no size in it."""
        error, final = result.get("error"), result["final"]
        return Execution(
            stdout=cut_middle(_string(result["stdout"]), self._setup.max_output_chars),
            stdout_chars=int(result["chars"]),
            error=None if error is None else cut_middle(_string(error), _MAX_ERROR_CHARS),
            error_type=None if error is None else _string(result["error_type"])[:_MAX_NAME],
            final=None if final is None else _final(final),
            elapsed=turn.clock.elapsed,
            waited=turn.clock.waited,
            host_calls=turn.calls.count,
        )

    async def give(self, functions: Mapping[str, HostFunction], variables: Mapping[str, Any]) -> None:
        """Add host functions and variables to the running worker. Raises `WireError` where a value can't cross."""
        async with self._one_at_a_time:
            described, values = FunctionTable(functions).describe(), encode(dict(variables), "variables")
            setup = replace(
                self._setup,
                functions={**self._setup.functions, **functions},
                variables={**self._setup.variables, **variables},
            )
            answer = await self._ask(["give", described, values])
            if answer[0] == "failed":
                raise await self._broken(f"it could not take what was added ({_string(answer[2])[:_MAX_NAME]})")
            self._setup, self._table = setup, FunctionTable(_functions(setup))

    async def variables(self) -> tuple[Variable, ...]:
        """List what code has defined."""
        async with self._one_at_a_time:
            answer = await self._ask(["variables"])
            if answer[0] == "failed":
                return ()
            try:
                return tuple(
                    Variable(
                        name=_string(name)[:_MAX_NAME], type=_string(kind)[:_MAX_NAME], repr=_string(shown)[:_MAX_NAME]
                    )
                    for name, kind, shown in answer[1]
                )
            except (TypeError, ValueError) as error:
                raise await self._broken(f"its list of variables was malformed ({type(error).__name__})") from None

    async def get(self, name: str) -> Any:
        """Return the value of a variable. Raises KeyError where there is none, `WireError` where it can't cross."""
        async with self._one_at_a_time:
            answer = await self._ask(["get", name])
            if answer[0] == "failed":
                kind, text = _string(answer[1]), _string(answer[2])[:_MAX_ERROR_CHARS]
                raise KeyError(name) if kind == "KeyError" else WireError(f"{name}: {text}")
            try:
                return decode(answer[1])
            except WireError as error:
                raise await self._broken(f"a value was malformed: {error}") from None

    def idle(self) -> bool:
        """Whether no thread of the code computes at this moment; where the system doesn't tell, none does."""
        return self._process is None or (asleep(self._process.pid) and not self._process.receiving)

    async def close(self) -> None:
        """Kill the worker and wait for its end; nothing is left behind."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        if self._turn is not None:  # a step that another task is waiting for
            self._turn.fail("it was closed")
        if self._sending is not None:
            await asyncio.gather(self._sending, return_exceptions=True)
            self._sending = None
        await process.close()

    async def _ask(self, command: list[Any]) -> list[Any]:
        """Send a command that runs no code of its own, though the repr of an object may."""
        turn = Turn(self._running(), self._table, expects=("value", "failed"), limit=self._setup.timeout)
        return await self._exchange(pack(command), turn)

    def _running(self) -> WorkerProcess:
        if self._process is None:
            raise ReplCrashedError(
                "The REPL isn't running: start() has not been called, or it has crashed or was closed."
            )
        return self._process

    async def _exchange(self, frame: bytes | None, turn: Turn) -> list[Any]:
        """Send a command, serve the calls that the code makes, and return the answer."""
        self._turn = turn
        try:
            return await turn.run(frame)
        except ReplCrashedError:
            await self.close()
            raise
        finally:
            self._turn = None

    def _on_end(self, reason: str) -> None:
        if self._turn is not None:
            self._turn.fail(reason)

    def _on_frame(self, payload: bytes) -> None:
        if self._turn is not None:
            self._turn.on_frame(payload)

    async def _broken(self, reason: str) -> ReplCrashedError:
        await self.close()
        return ReplCrashedError(f"The REPL's worker process was ended: {reason}.")


def _functions(setup: Setup) -> dict[str, HostFunction]:
    """Return the functions that the host answers: of the Context API only what the worker doesn't know."""
    functions = dict(setup.functions)
    if setup.context is not None:
        functions.setdefault("ctx.metadata", context_functions(setup.context)["ctx.metadata"])
    return functions


def _setup_message(setup: Setup, table: FunctionTable) -> dict[str, Any]:
    context = setup.context
    return {
        "functions": table.describe(),
        "documents": None if context is None else context.document_lengths(),
        "separator": 0 if context is None else len(context.separator),
        "variables": encode(dict(setup.variables), "variables"),
        "timeout": setup.timeout,
        "max_output_chars": setup.max_output_chars,
        "memory_bytes": setup.memory_bytes,
        "cpu_seconds": int(max(600, 100 * setup.timeout)),
        "random_seed": setup.random_seed,
    }


def _final(final: Any) -> Final:
    name = final["name"]
    return Final(
        value=decode(final["value"]),
        quotes=tuple(map(_string, final["quotes"])),
        name=None if name is None else _string(name)[:_MAX_NAME],
    )


def _string(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("expected a string")
    return value
