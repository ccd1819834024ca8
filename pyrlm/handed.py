"""What a sub-agent is given beside question and text: functions that the model has defined, as source."""

from __future__ import annotations

import ast
import builtins
import symtable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyrlm.coverage import Coverage
    from pyrlm.mcp_connection import Connection

__all__ = ["Handed", "definitions", "told_of"]

_PURE = frozenset({"re.compile", "set", "frozenset", "dict", "list", "tuple", "str", "int", "float", "range"})
"""Calls that a constant of the code may hold: they do the same wherever they are made, and ask nobody."""

_MAX_DOC = 200


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


def definitions(sources: Iterable[str], names: Sequence[str]) -> str:
    """Return the source of functions and classes `names`, with the functions, imports and constants that they use.

    Args:
        sources: Pieces of code in the order in which they ran; the latest definition of a name counts.
        names: Functions or classes defined there at top level.

    Raises:
        ValueError: A name is not defined so, or uses a variable whose value can't be told from its source.
    """
    known = {name: statement for source in sources for statement in _statements(source) for name in _defines(statement)}
    wanted: dict[int, ast.stmt | None] = {}
    for name in names:
        if name not in known or not _is_function(known[name]):
            have = ", ".join(other for other, found in known.items() if _is_function(found)) or "none yet"
            raise ValueError(f"{name!r} is no function that your code has defined at top level; it has: {have}")
        _Collector(name, known, wanted).add(known[name])
    return "\n\n".join(ast.unparse(statement) for statement in wanted.values() if statement)


def _statements(source: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):  # code that never ran
        return []


def _defines(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in statement.names]
    if isinstance(statement, ast.Assign):
        return [node.id for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    if isinstance(statement, ast.AnnAssign | ast.AugAssign) and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    return []


def _is_function(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign):
        return isinstance(statement.value, ast.Lambda)
    return isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


class _Collector:
    """Collects a function and what it uses, each after what it uses itself.

    Args:
        name: The function, for messages.
        known: Statements by the name that they define.
        wanted: Gets the statements, by their `id`.
    """

    def __init__(self, name: str, known: Mapping[str, ast.stmt], wanted: dict[int, ast.stmt | None]) -> None:
        self._name = name
        self._known = known
        self._wanted = wanted
        self._modules = {alias: real for found in known.values() for alias, real in _imported(found)}

    def add(self, statement: ast.stmt) -> None:
        if id(statement) in self._wanted:
            return
        used = _uses(symtable.symtable(ast.unparse(statement), "<code>", "exec"), top=True)
        self._check(statement, used)
        self._wanted[id(statement)] = None  # a function may use itself
        for other in sorted(used & self._known.keys()):
            self.add(self._known[other])
        del self._wanted[id(statement)]
        self._wanted[id(statement)] = statement

    def _check(self, statement: ast.stmt, used: set[str]) -> None:
        if isinstance(statement, ast.AugAssign):
            computed = True
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and not _is_function(statement):
            computed = statement.value is None or not self._is_constant(statement.value, used - {*_defines(statement)})
        else:
            return
        if computed:
            raise ValueError(
                f"{self._name}() uses the variable {_defines(statement)[0]!r}, whose value was computed; give it to the "
                "function as an argument, or put it into the context"
            )

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


def _uses(table: symtable.SymbolTable, *, top: bool = False) -> set[str]:
    """Return the names of other definitions that a definition uses; its own locals are none."""
    used = {s.get_name() for s in table.get_symbols() if s.is_referenced() and (top or s.is_global())}
    return used.union(*map(_uses, table.get_children()))


def _imported(statement: ast.stmt) -> list[tuple[str, str]]:
    """Return the names that an import gives, each with the dotted name that it stands for."""
    if isinstance(statement, ast.Import):
        return [(alias.asname, alias.name) for alias in statement.names if alias.asname]
    if isinstance(statement, ast.ImportFrom):
        return [(alias.asname or alias.name, f"{statement.module}.{alias.name}") for alias in statement.names]
    return []


def told_of(code: str) -> str:
    """Return a line for each function that `code` defines: its signature and what its docstring says first."""
    lines = []
    for statement in _statements(code):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            doc = " ".join((ast.get_docstring(statement) or "").partition("\n\n")[0].split())[:_MAX_DOC]
            lines.append(f"- {statement.name}({ast.unparse(statement.args)})" + (f": {doc}" if doc else ""))
        elif _is_function(statement):
            lines += [f"- {name}" for name in _defines(statement)]
    return "\n".join(lines)
