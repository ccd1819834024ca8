"""What a sub-agent is given beside question and text: functions that the model has defined, as source."""

from __future__ import annotations

import ast
import builtins
import symtable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from pyrlm.repl.common import cut_middle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pyrlm.coverage import Coverage
    from pyrlm.mcp_connection import Connection

__all__ = ["Handed", "definitions", "statements", "told_of"]

_PURE = frozenset({"re.compile", "set", "frozenset", "dict", "list", "tuple", "str", "int", "float", "range"})
"""Calls that a constant of the code may hold: they do the same wherever they are made, and ask nobody."""

_CHANGING = frozenset(
    {
        *(
            "append",
            "extend",
            "insert",
            "pop",
            "popitem",
            "remove",
            "discard",
            "clear",
            "sort",
            "reverse",
            "add",
            "update",
        )
    }
    | {*("setdefault", "appendleft", "popleft", "write")}
)
"""Methods that change what they belong to."""

_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
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


def definitions(sources: Iterable[str], names: Sequence[str], others: Sequence[str] = ()) -> str:
    """Return the source of functions and classes `names`, with the functions, imports and constants that they use.

    Args:
        sources: Pieces of code in the order in which they ran; the latest definition of a name counts.
        names: Functions or classes defined there at top level.
        others: What else could have been named, for the error.

    Raises:
        ValueError: A name is not defined so, or uses a variable whose value can't be told from its source.
    """
    if not names:
        return ""
    known = {name: found for source in sources for statement in statements(source) for name, found in _gives(statement)}
    wanted: dict[int, ast.stmt | None] = {}
    for name in names:
        if name not in known or not _is_function(known[name]):
            have = _listed([other for other, found in known.items() if _is_function(found)])
            more = f". Tools and servers that can be passed on: {_listed(others)}" if others else ""
            raise ValueError(
                f"{name!r:.100} is no function that your code has defined at top level; it has: {have}{more}"
            )
        _Collector(name, known, wanted).add(name)
    return "\n\n".join(ast.unparse(statement) for statement in wanted.values() if statement)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return (", ".join(names[-_MAX_LISTED:]) or "none yet") + more


@lru_cache(maxsize=64)  # each call of a fan-out asks for the same
def statements(source: str) -> tuple[ast.stmt, ...]:
    """Return the statements of a piece of the model's code; none of one that can't be parsed."""
    try:
        return tuple(ast.parse(source).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # code that never ran
        return ()


def _defines(statement: ast.stmt) -> list[str]:
    if isinstance(statement, _NAMED):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in statement.names]
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


def _gives(node: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the names that a statement defines or changes, each with the statement that says what it is now."""
    if isinstance(node, ast.stmt):
        yield from ((name, node) for name in _defines(node))
        if isinstance(node, (*_NAMED, ast.Import, ast.ImportFrom)):
            return
    for inner in _of_the_same_scope(node):
        if isinstance(inner, ast.Import | ast.ImportFrom):  # within `try`
            yield from _gives(inner)
        else:
            assert isinstance(node, ast.stmt)
            yield from ((name, node) for name in _changes(inner))


def _of_the_same_scope(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        own = isinstance(node, ast.comprehension) and child is node.target
        if not own and not isinstance(child, (*_NAMED, ast.Lambda)):
            yield child
            yield from _of_the_same_scope(child)


def _changes(node: ast.AST) -> list[str]:
    """Return the name that an expression sets, deletes or changes in place."""
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        return [node.id]
    changed: ast.AST | None = None
    if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
        changed = node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGING:
        changed = node.func.value
    while isinstance(changed, ast.Subscript | ast.Attribute):
        changed = changed.value
    return [changed.id] if isinstance(changed, ast.Name) else []


def _is_function(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign):
        return isinstance(statement.value, ast.Lambda)
    return isinstance(statement, _NAMED)


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
        if isinstance(statement, ast.Import | ast.ImportFrom | ast.ClassDef):
            return
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            for default in (*statement.args.defaults, *filter(None, statement.args.kw_defaults)):
                if not all(map(self._is_harmless, ast.walk(default))):
                    shown = ast.unparse(default)
                    raise ValueError(f"{name}() has the default {shown:.60}, which was computed; write its value there")
            return
        if not self._says_its_value(name, statement, used):
            raise ValueError(
                f"{self._name}() uses the variable {name!r}, whose value was computed; give it to the function as an "
                "argument, or put it into the context"
            )

    def _says_its_value(self, name: str, statement: ast.stmt, used: set[str]) -> bool:
        if _is_function(statement):
            return True
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            return False
        names = _defines(statement)
        return name in names and self._is_constant(statement.value, used - {*names})

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
    for statement in statements(code):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            doc = " ".join((ast.get_docstring(statement) or "").partition("\n\n")[0].split())[:_MAX_DOC]
            line = f"- {statement.name}({ast.unparse(statement.args)})"
            lines.append(cut_middle(line, _MAX_LINE) + (f": {doc}" if doc else ""))
        elif _is_function(statement):
            lines += [f"- {name}" for name in _defines(statement)]
    more = [f"- and {len(lines) - _MAX_LISTED} more"] if len(lines) > _MAX_LISTED else []
    return "\n".join([*more, *lines[-_MAX_LISTED:]])
