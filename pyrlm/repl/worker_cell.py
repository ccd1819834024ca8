"""Runs pieces of code in one namespace and says what came of each. Standard library only."""

from __future__ import annotations

import sys

from pyrlm.repl.common import cut_middle
from pyrlm.repl.wire import decode, encode
from pyrlm.repl.worker_channel import CodeTimeout
from pyrlm.repl.worker_errors import describe, remember_sources
from pyrlm.repl.worker_names import GIVEN_MODULES, guarded_builtins
from pyrlm.repl.worker_show import Output, brief, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from pyrlm.repl.worker_channel import Interrupts

__all__ = ["Cells"]

_CO_COROUTINE = 0x80
_BRIEF = 160
_MAX_LISTED = 40


class FinalAnswer(KeyboardInterrupt):
    """Ends the code that gave its answer, in whichever task of asyncio; ``except Exception`` lets it pass."""


class Cells:
    """One namespace and the code that runs in it.

    Args:
        given: Names that are put back before each execution.
        interrupts: When code may be stopped.
        timeout: Seconds that it has, for messages.
        max_output_chars: Characters of print-out handed back.
    """

    def __init__(self, given: dict[str, Any], interrupts: Interrupts, timeout: float, max_output_chars: int) -> None:
        self._interrupts = interrupts
        self._timeout = timeout
        self._max_output_chars = max_output_chars
        self._given = {
            **GIVEN_MODULES,
            "last_output": "",
            **given,
            "FINAL": self._final,
            "FINAL_VAR": self._final_var,
            "SHOW_VARS": self.show_variables,
        }
        self._extra: dict[str, Any] = {}
        self._sources: dict[str, list[str]] = {}
        self._answer: dict[str, Any] | None = None
        module = type(sys)("__main__")  # classes of the code find their module there
        sys.modules["__main__"] = module
        self._names: dict[str, Any] = module.__dict__

    def give(self, names: dict[str, Any]) -> None:
        """Put these names back too before each execution."""
        self._given.update(names)

    def run(self, code: str) -> dict[str, Any]:
        """Run `code` and return the fields of an execution, ready for the wire."""
        self._names.update(self._given)
        self._names["__builtins__"] = guarded_builtins(self._extra)
        self._answer = None
        output = sys.stdout = sys.stderr = Output()
        error = self._guarded(code, output)
        result: dict[str, Any] = {"final": self._answer}
        if error is not None:
            result["error_type"], result["error"] = error
        whole = output.text()
        self._given["last_output"] = whole
        result["chars"] = output.chars
        result["stdout"] = cut_middle(whole, self._max_output_chars, "; last_output holds the whole")
        return result

    def _guarded(self, code: str, output: Output) -> tuple[str, str] | None:
        """Run, show, and describe the error, all of it within the time of the code."""
        interrupts = self._interrupts
        try:
            try:
                interrupts.begin()
                value = self._execute(code)
                if value is not None:
                    self._echo(value, output)
            except FinalAnswer:
                return None
            except BaseException as error:  # noqa: BLE001 - code may raise anything
                return describe(error, self._sources, self._timeout)
            finally:
                interrupts.active = False
                sys.settrace(None)
        except CodeTimeout as error:  # came while an error was described
            interrupts.active = False
            sys.settrace(None)
            return describe(error, self._sources, self._timeout)
        return None

    def _execute(self, code: str) -> Any:
        name = f"<step {len(self._sources) + 1}>"
        self._sources[name] = code.splitlines()
        remember_sources(self._sources)
        import _ast  # noqa: PLC0415 - takes 2 ms, which the start is spared

        flags = _ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        tree: Any = compile(code, name, "exec", flags | _ast.PyCF_ONLY_AST, dont_inherit=True)
        if "await" in code or "async" in code or "gather" in code:
            tree = self._rewritten(tree)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], _ast.Expr) else None
        parts = [compile(tree, name, "exec", flags, dont_inherit=True)]
        if last is not None:
            parts.append(compile(_ast.Expression(last.value), name, "eval", flags, dont_inherit=True))
        if any(part.co_flags & _CO_COROUTINE for part in parts):
            from pyrlm.repl import worker_loop  # noqa: PLC0415 - takes 30 ms

            return worker_loop.run(self._awaited(parts))
        return [self._evaluate(part) for part in parts][-1]

    async def _awaited(self, parts: list[Any]) -> Any:
        """Evaluate in the running loop: the tasks that the statements begin are those that the last line awaits."""
        value = None
        for part in parts:
            value = self._evaluate(part)
            if part.co_flags & _CO_COROUTINE:
                value = await value
        return value

    def _evaluate(self, compiled: Any) -> Any:
        return eval(compiled, self._names)  # noqa: S307 - this process exists to run it

    def _rewritten(self, tree: Any) -> Any:
        from pyrlm.repl import worker_async  # noqa: PLC0415 - takes 30 ms

        self._extra.update(worker_async.NAMES)
        self._names["__builtins__"].update(self._extra)
        return worker_async.rewrite(tree)

    def _echo(self, value: Any, output: Output) -> None:
        shown = brief(value, self._max_output_chars)
        output.write(shown + "\n")

    def stop(self, _: int, frame: FrameType | None) -> None:
        """Handle the host's signal that the time is over.

        Code that swallows the first one (``except:`` in a loop) is traced from the second on: then each further line
        raises, the ones of its handlers too.
        """
        if self._interrupts.active and self._interrupts.count:
            sys.settrace(self._trace)
            while frame is not None:
                if frame.f_code.co_filename in self._sources:
                    frame.f_trace = self._trace
                frame = frame.f_back
        self._interrupts.on_signal()

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in self._sources:
            return None
        if event == "line" and self._interrupts.active:
            raise CodeTimeout
        return self._trace

    def _final(self, value: Any, quotes: Any = ()) -> None:
        """End the run with `value` as the answer; `quotes` are the passages, word for word, that it rests on."""
        self._record(value, quotes, None)

    def _final_var(self, name: str) -> None:
        """End the run with the value of the variable `name`."""
        if not isinstance(name, str):
            raise TypeError(
                f"FINAL_VAR takes a variable's name as a string, not {type_name(name)}; FINAL(x) takes a value"
            )
        if name not in self._names or name.startswith("__"):
            raise NameError(f"FINAL_VAR: there is no variable {name[:100]!r}. {self._listed()}")
        self._record(self._names[name], (), name)

    def _record(self, value: Any, quotes: Any, name: str | None) -> None:
        quotes = [quotes] if isinstance(quotes, str) else list(quotes or ())
        if not all(isinstance(quote, str) for quote in quotes):
            raise TypeError("FINAL: quotes must be strings, word for word as they stand in the text")
        answer = {"value": encode(value, name or "the answer"), "quotes": list(map(str, quotes)), "name": name}
        if self._answer is None:
            self._answer = answer
        raise FinalAnswer

    def _listed(self) -> str:
        names = list(self._defined())
        return f"There are: {', '.join(names[:_MAX_LISTED])}" if names else "No variables have been set so far."

    def _defined(self) -> dict[str, Any]:
        return {
            name: value
            for name, value in list(self._names.items())
            if name not in self._given and not name.startswith("__") and not isinstance(value, type(sys))
        }

    def show_variables(self) -> dict[str, str]:
        """Return your variables, each with its type and a short repr."""
        return {name: f"{type_name(value)}: {brief(value, _BRIEF)}" for name, value in self._defined().items()}

    def variables(self) -> list[list[str]]:
        """Return name, type and short repr of each variable that code has defined."""
        return [[name, type_name(value), brief(value, _BRIEF)[:200]] for name, value in self._defined().items()]

    def value(self, name: str) -> Any:
        """Return the encoded value of a name; KeyError where there is none."""
        if name.startswith("__"):
            raise KeyError(name)
        return encode(self._names[name], name)


def decoded_variables(variables: Any) -> dict[str, Any]:
    """Return the variables of the setup; `context` is called `CONTEXT` and `P` too."""
    decoded: dict[str, Any] = decode(variables)
    if "context" in decoded:
        decoded.setdefault("CONTEXT", decoded["context"])
        decoded.setdefault("P", decoded["context"])
    return decoded
