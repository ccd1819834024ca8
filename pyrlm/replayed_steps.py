"""Steps of a durable run: their code runs again in a new REPL, and what the model was shown of them is shown again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyrlm.journal_forms import execution_form, execution_of, variables_form, variables_of
from pyrlm.replay import STEP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrlm.repl.protocol import Execution, Variable
    from pyrlm.replay import Replay

__all__ = ["Step"]

_ADDRESS = re.compile(r"\b0x[0-9a-f]+")
_SIZE = re.compile(r"\(([\d,]+) (?:in all|items in all|characters)")
_SIZED = frozenset({"str", "bytes", "list", "tuple", "set", "frozenset", "dict"})


class Step:
    """One piece of code of a run.

    Args:
        replay: The records; None for a run that is not recorded.
        scope: Whose step it is.
        code: What runs.

    Attributes:
        difference: What differs in the print-out between then and now; empty where nothing does.

    Raises:
        CheckpointError: The recorded run ran other code here.
    """

    def __init__(self, replay: Replay | None, scope: str, code: str) -> None:
        self._replay = replay
        self._scope = scope
        self.difference = ""
        if replay is not None:
            self._key = replay.key(scope, STEP, code)
            self._record = replay.known(self._key)
            replay.begin_step(scope, self._record)

    @property
    def repeated(self) -> bool:
        """Whether the step is a recorded one."""
        return self._replay is not None and self._record is not None

    @property
    def lost_repl(self) -> str:
        """Why the REPL was lost in the recorded step; empty where it was not."""
        return str(self._record.body.get("lost") or "") if self.repeated and self._record is not None else ""

    def ended(
        self, result: Execution, variables: Sequence[Variable], lost: str = ""
    ) -> tuple[Execution, tuple[Variable, ...]]:
        """Record what came of the step; of a recorded one return what came of it then.

        Args:
            result: What came of running the code.
            variables: What code has defined.
            lost: Why the REPL was lost in it, where it was.

        Raises:
            CheckpointError: The code came out differently, or the outcome can't be recorded.
        """
        replay = self._replay
        if replay is None:
            return result, tuple(variables)
        number = replay.step_number(self._scope)
        replay.end_step(self._scope)
        replay.check()
        if self._record is None:
            body = {"execution": execution_form(result), "variables": variables_form(variables), "lost": lost}
            replay.write(self._key, body)
            return result, tuple(variables)
        then = execution_of(self._record.body["execution"], result)
        known = variables_of(self._record.body["variables"])
        if not self.lost_repl:
            problem = _outcome(then, result) or _variables(known, variables)
            if problem:
                where = f" of sub-agent {self._scope}" if self._scope else ""
                replay.differs(f"step {number}{where} came out differently: {problem}")
        self.difference = _shown(then, result)
        return then, known


def _outcome(then: Execution, now: Execution) -> str:
    if then.error_type != now.error_type:
        return f"{_end(then)} then, {_end(now)} now"
    if (then.final is None) != (now.final is None):
        return "the code gave a final answer " + ("then, and none now" if then.final is not None else "only now")
    return ""


def _end(execution: Execution) -> str:
    return f"it failed with {execution.error_type}" if execution.error is not None else "it ran to its end"


def _variables(then: Sequence[Variable], now: Sequence[Variable]) -> str:
    before, after = ({variable.name: variable for variable in variables} for variables in (then, now))
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            return f"the variable {name!r} is missing"
        if name not in before:
            return f"there is a new variable {name!r}"
        old, new = _shape(before[name]), _shape(after[name])
        if old != new:
            return f"the variable {name!r} was {old}, is {new}"
    return ""


def _shape(variable: Variable) -> str:
    """Say type and size, as far as the repr tells it."""
    size = _SIZE.search(variable.repr)
    if size is not None:
        return f"{variable.type} of {size.group(1)}"
    if variable.type in _SIZED and variable.repr.count(",") < _MANY:
        return f"{variable.type} of {_length(variable)}"
    return variable.type


_MANY = 200


def _length(variable: Variable) -> str:
    import ast  # noqa: PLC0415 - only runs that are repeated need it

    try:
        return str(len(ast.literal_eval(variable.repr)))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return "unknown size"


def _shown(then: Execution, now: Execution) -> str:
    old, new = (_ADDRESS.sub("0x…", f"{shown.stdout}\n{shown.error or ''}") for shown in (then, now))
    if old == new:
        return ""
    pairs = zip(old.splitlines(), new.splitlines(), strict=False)
    first = next(((a, b) for a, b in pairs if a != b), ("", ""))
    return f"printed {first[0][:200]!r} then, {first[1][:200]!r} now; the model is shown what it was shown then"
