"""The names that code finds in Monty: host functions, `ctx` and its like, variables; put back before each execution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrlm.repl import monty_surrogates, monty_text
from pyrlm.repl.common import ERRORS
from pyrlm.repl.monty_serve import PROMISES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["GIVEN_MODULES", "Given", "opening"]

GIVEN_MODULES = ("re", "json", "math", "collections", "itertools", "asyncio")
"""Modules that are there without an import."""
_ENDING = ("FINAL", "FINAL_VAR")
_FRESH = "_pyrlm_side = False\n_pyrlm_step = []\n"
"""Whether tasks run side by side, and what tells the tasks of this execution from those of earlier ones."""


def opening(helpers: str, restore: str, seed: int | None) -> str:
    """Return the source that runs before any code: modules, helpers, functions; and the seed of `random`."""
    seeded = "" if seed is None else f"import random as _pyrlm_random\n_pyrlm_random.seed({seed})\n"
    return f"import {', '.join(GIVEN_MODULES)}\n{seeded}{helpers}\n{restore}"


class Given:
    """What is given to code.

    A host function is a small function there, which checks its arguments (of a function or an object only its repr would
    cross) and calls the placeholder of the host.

    Args:
        functions: Names of host functions, dotted ones included.
        variables: Values by name.

    Attributes:
        names: Every name.
        inputs: Placeholders and objects, bound anew for each execution.
        objects: Names of the objects by their ids.
        restore: Source that defines the functions anew.
        variables: The variables, ready for the sandbox.
    """

    def __init__(self, functions: Sequence[str], variables: Mapping[str, Any]) -> None:
        called = [name for name in functions if "." not in name]
        plain = [*called, *_ENDING]
        self.inputs: dict[str, Any] = {f"_pyrlm_host_{name}": _placeholder(name) for name in plain}
        self.inputs |= {name: _placeholder(name) for name in PROMISES}
        self.objects: dict[Any, str] = {}
        for owner in dict.fromkeys(name.split(".")[0] for name in functions if "." in name):
            methods = [name.split(".", 1)[1] for name in functions if name.startswith(owner + ".")]
            wrapper = monty_text.host_object(methods)
            self.inputs[owner] = wrapper
            self.objects[wrapper.id] = owner
        errors = [error for name, error in ERRORS.items() if name in plain]
        self.names = frozenset({*plain, *errors, *self.objects.values(), "SHOW_VARS"})
        self.restore = _FRESH + "".join(_stub(name, waits=name in called) for name in plain)
        self.restore += "".join(f"{error} = RuntimeError\n" for error in errors)
        self.variables = {name: monty_surrogates.inward(value) for name, value in variables.items()}
        if "context" in self.variables:  # sent once, under a name that code does not bind
            self.variables["_pyrlm_data"] = self.variables.pop("context")
            self.restore += "P = context = CONTEXT = _pyrlm_data\n"

    def again(self, bound: set[str]) -> dict[str, Any]:
        """Return what to bind for an execution: the variables only where code has bound their names."""
        return {**self.inputs, **{name: value for name, value in self.variables.items() if name in bound}}


def _stub(name: str, *, waits: bool) -> str:
    """Return the source of the function that code calls; with `waits`, a call beside others halts its own task only."""
    beside = f"    if _pyrlm_side:\n        return _pyrlm_waited({name!r}, *_pyrlm_sent(a), **_pyrlm_sent(k))\n"
    return f"def {name}(*a, **k):\n{beside if waits else ''}    return _pyrlm_host_{name}(*_pyrlm_sent(a), **_pyrlm_sent(k))\n"


def _placeholder(name: str) -> Any:
    """Make what stands for a host function: only its name crosses."""

    def call() -> None:
        return None

    call.__name__ = name
    return call
