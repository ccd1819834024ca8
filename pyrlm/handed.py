"""What a sub-agent is given beside question and text: functions that the model has defined, as source."""

from __future__ import annotations

import ast
import builtins
import symtable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyrlm.handed_bindings import NAMED, bindings, imported, says, statements, unsure
from pyrlm.handed_shared import other_name, with_parts_that_change
from pyrlm.repl.common import cut_middle

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pyrlm.coverage import Coverage
    from pyrlm.mcp_connection import Connection

__all__ = ["Handed", "definitions", "statements", "told_of"]

_PURE = frozenset({"re.compile", "set", "frozenset", "dict", "list", "tuple", "str", "int", "float", "range"})
"""Calls that a constant of the code may hold: they do the same wherever they are made, and ask nobody."""

_MAX_DOC = 200
_MAX_LISTED = 40
_MAX_LINE = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What a sub-agent gets from the run that starts it.

    Attributes:
        coverage: Of the run's text: what the sub-agent's models read of it counts.
        servers: MCP servers that are passed on.
        code: Definitions that are there before the sub-agent's own code.
        notes: What it is told.
    """

    coverage: Coverage | None = None
    servers: Mapping[str, Connection] = field(default_factory=dict)
    code: str = ""
    notes: tuple[str, ...] = ()


def definitions(
    sources: Sequence[str],
    names: Sequence[str],
    others: Sequence[str] = (),
    *,
    completed: Collection[int] | None = None,
) -> str:
    """Return the source of functions and classes `names`, with the functions, imports and constants that they use.

    What a name is has to be sure: of several bindings the last one counts only where it has certainly run, after the
    others; names that are bound within statements or changed by functions are refused.

    Args:
        sources: Pieces of code in the order in which they ran; the last one may be running.
        names: Functions or classes defined there at top level.
        others: What else could have been named, for the error.
        completed: Numbers of the pieces of which all has run, from 0; by default all.

    Raises:
        ValueError: A name is not defined so, or uses a variable whose value can't be told from its source.
    """
    if not names:
        return ""
    code = _Code(sources, range(len(sources)) if completed is None else completed)
    wanted: dict[int, ast.stmt | None] = {}
    for name in names:
        if not code.is_function(name):
            have = _listed([other for other in code.known if code.is_function(other)])
            more = f". Tools and servers that can be passed on: {_listed(others)}" if others else ""
            raise ValueError(
                f"{name!r:.100} is no function that your code has defined at top level; it has: {have}{more}"
            )
        collector = _Collector(name, code, wanted)
        for each in (name, *code.aliases(name)):
            collector.add(each)
    return "\n\n".join(ast.unparse(statement) for statement in wanted.values() if statement)


class _Code:
    """What the code of a run has defined."""

    def __init__(self, sources: Sequence[str], completed: Collection[int]) -> None:
        self.sources = sources
        self._completed = completed
        self._found = bindings(sources)
        self.known = {name: says(name, events) for name, events in self._found.items()}

    def why(self, name: str) -> str:
        """Why it can't be told what a name is; empty where it can."""
        return unsure(name, self._found, self.sources, self._completed)

    def is_bound_once(self, name: str) -> bool:
        """Whether a name has been the same since it was bound first."""
        return len({event.meaning(name) + event.why for event in self._found[name]}) == 1

    def is_function(self, name: str) -> bool:
        """Whether a name stands for a function or class, or is another name of one."""
        statement = self.known.get(name)
        while isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Name):
            statement, last = self.known.get(statement.value.id), statement
            if statement is last:
                return False
        return statement is not None and _is_function(statement)

    def aliases(self, function: str) -> list[str]:
        """Return other names of a function: code that knows it by one of them passes it on by any."""
        return [
            name
            for name, statement in self.known.items()
            if isinstance(statement, ast.Assign)
            and getattr(statement.value, "id", "") == function
            and not self.why(name)
            if self.is_bound_once(function)
        ]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return (", ".join(names[-_MAX_LISTED:]) or "none yet") + more


def _defines(statement: ast.stmt) -> list[str]:
    if isinstance(statement, NAMED):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in statement.names]
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


def _is_function(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign):
        return isinstance(statement.value, ast.Lambda)
    return isinstance(statement, NAMED)


class _Collector:
    """Collects a function and what it uses, each after what it uses itself.

    Args:
        name: The function, for messages.
        code: What the code has defined.
        wanted: Gets the statements, by their `id`.
    """

    def __init__(self, name: str, code: _Code, wanted: dict[int, ast.stmt | None]) -> None:
        self._name = name
        self._code = code
        self._known = code.known
        self._wanted = wanted
        self._modules = {alias: real for found in code.known.values() for alias, real in imported(found)}

    def add(self, name: str) -> None:
        statement = self._known[name]
        if id(statement) in self._wanted:
            return
        used = _uses(symtable.symtable(ast.unparse(statement), "<code>", "exec"), top=True)
        self._check(name, statement, used)
        self._wanted[id(statement)] = None  # a function may use itself
        for other in sorted(used & self._known.keys()):
            self.add(other)
        del self._wanted[id(statement)]
        self._wanted[id(statement)] = statement

    def _check(self, name: str, statement: ast.stmt, used: set[str]) -> None:
        why = self._code.why(name) or self._made_of(name, statement)
        if isinstance(statement, (*NAMED, ast.Import, ast.ImportFrom)) or _is_function(statement):
            if why:
                uses = f"{name!r:.100}" if name == self._name else f"{self._name}() uses {name!r:.100}, which"
                raise ValueError(f"{uses} can't be handed over: it {why}")
        elif why or not self._says_its_value(name, statement, used):
            raise ValueError(
                f"{self._name}() uses the variable {name!r}, whose value was computed{why and '; it '}{why}; give it to the "
                "function as an argument, or put it into the context"
            )
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            for default in (*statement.args.defaults, *filter(None, statement.args.kw_defaults)):
                if not all(map(self._is_harmless, ast.walk(default))):
                    shown = ast.unparse(default)
                    raise ValueError(f"{name}() has the default {shown:.60}, which was computed; write its value there")

    def _made_of(self, name: str, statement: ast.stmt) -> str:
        """Why what a definition was made of when it ran may be something else now; empty where it is the same."""
        for other in sorted(_eager(statement) & self._known.keys()):
            if other != name and not self._code.is_bound_once(other):
                return f"was made with {other!r}, which is bound or changed in several places"
        return ""

    def _says_its_value(self, name: str, statement: ast.stmt, used: set[str]) -> bool:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            return False
        names = _defines(statement)
        if name not in names or not self._is_constant(statement.value, used - {*names}):
            return False
        changes, parts = with_parts_that_change(statement.value)
        place = other_name(name, self._code.sources, parts=parts) if changes else ""
        if place:
            raise ValueError(
                f"{self._name}() uses the variable {name!r}, which has another name too by which it may have been changed: "
                f"`{place}`; give it to the function as an argument, or put it into the context"
            )
        return True

    def _is_constant(self, value: ast.expr, used: set[str]) -> bool:
        """Whether an expression gives the same value wherever it stands, and asks nobody."""
        if not all(name in self._known or hasattr(builtins, name) or name == "re" for name in used):
            return False
        return all(self._is_harmless(node) for node in ast.walk(value))

    def _is_harmless(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Call):
            owner, dot, name = ast.unparse(node.func).partition(".")
            return self._modules.get(owner, owner) + dot + name in _PURE
        return not isinstance(node, ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr)


def _eager(statement: ast.stmt) -> set[str]:
    """Return the names that a definition reads when it runs, and not when it is called."""
    names: set[str] = set()
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            names.add(node.id)
        later = node.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) else []
        body = later if isinstance(later, list) else [later]
        waiting.extend(child for child in ast.iter_child_nodes(node) if child not in body)
    return names


def _uses(table: symtable.SymbolTable, *, top: bool = False) -> set[str]:
    """Return the names of other definitions that a definition uses; its own locals are none."""
    used = {s.get_name() for s in table.get_symbols() if s.is_referenced() and (top or s.is_global())}
    return used.union(*map(_uses, table.get_children()))


def told_of(code: str) -> str:
    """Return a line for each function that `code` defines: its signature and what its docstring says first."""
    lines = []
    for statement in statements(code):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            doc = " ".join((ast.get_docstring(statement) or "").partition("\n\n")[0].split())[:_MAX_DOC]
            line = f"- {statement.name}({ast.unparse(statement.args)})"
            lines.append(cut_middle(line, _MAX_LINE) + (f": {doc}" if doc else ""))
        elif _is_function(statement):
            lines += [f"- {name}" for name in _defines(statement)]
    more = [f"- and {len(lines) - _MAX_LISTED} more"] if len(lines) > _MAX_LISTED else []
    return "\n".join([*more, *lines[-_MAX_LISTED:]])
