"""What a sub-agent is given beside question and text: functions that the model has defined, as source."""

from __future__ import annotations

import ast
import symtable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyrlm.coverage import Coverage
    from pyrlm.mcp_connection import Connection

__all__ = ["Handed", "definitions", "told_of"]

_PURE = frozenset({"re.compile", "set", "frozenset", "dict", "list", "tuple", "str", "int", "float", "range", "len"})
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
    known: dict[str, tuple[int, ast.stmt]] = {}
    order = 0
    for source in sources:
        for statement in _statements(source):
            order += 1
            known.update(dict.fromkeys(_defines(statement), (order, statement)))
    wanted: dict[int, ast.stmt] = {}
    for name in names:
        if name not in known or isinstance(known[name][1], ast.Import | ast.ImportFrom):
            have = ", ".join(n for n, (_, s) in known.items() if _is_function(s)) or "none yet"
            raise ValueError(f"{name!r} is no function that your code has defined at top level; it has: {have}")
        _collect(name, known, wanted)
    return "\n\n".join(ast.unparse(statement) for _, statement in sorted(wanted.items()))


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


def _collect(name: str, known: dict[str, tuple[int, ast.stmt]], wanted: dict[int, ast.stmt]) -> None:
    """Add the definition of `name` and what it uses."""
    waiting = [name]
    while waiting:
        order, statement = known[waiting.pop()]
        if order in wanted:
            continue
        if not _can_be_handed(statement):
            raise ValueError(
                f"{name}() uses the variable {_defines(statement)[0]!r}, whose value was computed; give it to the "
                "function as an argument, or put it into the context"
            )
        wanted[order] = statement
        table = symtable.symtable(ast.unparse(statement), "<code>", "exec")
        waiting += [other for other in _uses(table, top=True) if other in known]


def _uses(table: symtable.SymbolTable, *, top: bool = False) -> set[str]:
    """Return the names of other definitions that a definition uses; its own locals are none."""
    used = {s.get_name() for s in table.get_symbols() if s.is_referenced() and (top or s.is_global())}
    return used.union(*map(_uses, table.get_children()))


def _can_be_handed(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.AugAssign):
        return False
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        value = statement.value
        return value is not None and (isinstance(value, ast.Lambda) or all(map(_is_constant, ast.walk(value))))
    return True


def _is_constant(node: ast.AST) -> bool:
    """Whether a part of an expression does nothing but hold a value."""
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) in _PURE
    return not isinstance(
        node, ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr | ast.ListComp | ast.GeneratorExp | ast.Lambda
    )


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
