"""What the model's code binds and changes: each name with the statements that give it a value, and how sure each is."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["NAMED", "Binding", "bindings", "imported", "local_names", "says", "statements", "unsure"]

NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_CHANGING = frozenset(
    """\
    append extend insert pop popitem remove discard clear sort reverse add update setdefault appendleft popleft write
    extendleft rotate subtract move_to_end difference_update intersection_update symmetric_difference_update __setitem__
    __delitem__
    """.split()  # noqa: SIM905 - a list of names reads better than a column of literals
)
"""Methods that change what they belong to."""
_READING = frozenset({"get", "keys", "items", "values", "copy"})
_SCOPES = frozenset({"globals", "vars", "locals"})
ANY_NAME = "*"
"""Stands for every name, where code changes names that only show when it runs."""
_STARTING = frozenset({"rlm_query", "rlm_query_batch", "rlm_query_batched"})


@dataclass(frozen=True, slots=True)
class Binding:
    """One place that binds or changes a name.

    Attributes:
        step: Number of the piece of code, from 0.
        place: Number of the statement in it, from 0.
        statement: The statement at top level.
        why: Why it doesn't say what the name is; empty for a definition at top level, which does.
        lasting: Whether it may happen at any time: it is within a function.
    """

    step: int
    place: int
    statement: ast.stmt
    why: str = ""
    lasting: bool = False

    def meaning(self, name: str) -> str:
        """Return what is alike in bindings that bind a name to the same."""
        known = dict(imported(self.statement))
        return f"import {known[name]}" if name in known else ast.dump(self.statement)


@lru_cache(maxsize=64)  # each call of a fan-out asks for the same
def statements(source: str) -> tuple[ast.stmt, ...]:
    """Return the statements of a piece of the model's code; none of one that can't be parsed."""
    try:
        return tuple(ast.parse(source).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # code that never ran
        return ()


def bindings(sources: Sequence[str]) -> dict[str, list[Binding]]:
    """Return what binds or changes each name, in the order of the code."""
    found: dict[str, list[Binding]] = {}
    for step, source in enumerate(sources):
        for place, statement in enumerate(statements(source)):
            _Scan(found, step, place, statement).look()
    return found


def says(name: str, events: Sequence[Binding]) -> ast.stmt:
    """Return the statement that last gave a name what it is, sure or not."""
    given = [event.statement for event in events if not event.why or getattr(event.statement, "name", "") == name]
    return given[-1] if given else events[-1].statement


def unsure(name: str, found: dict[str, list[Binding]], sources: Sequence[str], completed: Collection[int]) -> str:
    """Return why it can't be told what a name is; empty where its last binding says it.

    Args:
        name: The name.
        found: All bindings.
        sources: The code, of which the last piece runs now.
        completed: Pieces of code of which all has run.
    """
    events = sorted([*found[name], *found.get(ANY_NAME, [])], key=lambda event: (event.step, event.place))
    last, odd = events[-1], [event for event in events if event.why]
    for event in odd:
        if event.lasting or event is last:
            return event.why
    if len(events) == 1 or (not odd and len({event.meaning(name) for event in events}) == 1):
        return ""
    if last.step in completed:
        return ""
    if last.step != len(sources) - 1:
        return "was bound again in a step that did not run to its end, so that it can't be told which binding counts"
    before = statements(sources[last.step])[: last.place]
    if any(event.step == last.step for event in events[:-1]) or any(_may_start(each, found) for each in before):
        return (
            "is bound more than once, so that it can't be told which binding counts; bind it once, in a step of its own"
        )
    return ""


def _may_start(statement: ast.stmt, found: dict[str, list[Binding]]) -> bool:
    """Whether a statement of the running step may be the one that starts the sub-agent."""
    if isinstance(statement, (*NAMED, ast.Import, ast.ImportFrom)):
        return False
    names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    return bool(names & _STARTING) or any(
        isinstance(event.statement, NAMED) or isinstance(getattr(event.statement, "value", None), ast.Lambda)
        for name in names
        for event in found.get(name, [])
    )


def imported(statement: ast.AST) -> list[tuple[str, str]]:
    """Return the names that an import gives, each with the dotted name that it stands for."""
    if isinstance(statement, ast.Import):
        return [
            (a.asname or a.name.partition(".")[0], a.name if a.asname else a.name.partition(".")[0])
            for a in statement.names
        ]
    if isinstance(statement, ast.ImportFrom):
        return [(alias.asname or alias.name, f"{statement.module}.{alias.name}") for alias in statement.names]
    return []


class _Scan:
    """Looks through one statement at top level, the functions in it included."""

    def __init__(self, found: dict[str, list[Binding]], step: int, place: int, statement: ast.stmt) -> None:
        self._found = found
        self._where = (step, place)
        self._top = statement

    def _note(self, name: str, why: str = "", statement: ast.stmt | None = None, *, lasting: bool = False) -> None:
        binding = Binding(*self._where, statement or self._top, why, lasting)
        self._found.setdefault(name, []).append(binding)

    def look(self) -> None:
        top = self._top
        plain: set[int] = set()
        if isinstance(top, NAMED):
            self._note(top.name)
        elif isinstance(top, ast.Assign | ast.AnnAssign) and top.value is not None:
            targets = top.targets if isinstance(top, ast.Assign) else [top.target]
            for node in (node for target in targets for node in ast.walk(target)):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    self._note(node.id)
                    plain.add(id(node))
        self._walk(top, frozenset(), "", plain)

    def _walk(self, node: ast.AST, local: frozenset[str], inside: str, plain: set[int]) -> None:
        """Note what a node and those below it bind or change; `inside` names the function that they are in."""
        self._event(node, local, inside, plain)
        if isinstance(node, _FUNCTIONS):
            inside = inside or getattr(node, "name", "a lambda")
            local |= local_names(node)
        elif isinstance(node, ast.ClassDef):
            local |= {n.id for s in node.body for n in ast.walk(s) if isinstance(n, ast.Name) and _stores(n)}
            local |= {s.name for s in node.body if isinstance(s, NAMED)}
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            local |= {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        for child in ast.iter_child_nodes(node):
            self._walk(child, local, inside, plain)

    def _event(self, node: ast.AST, local: frozenset[str], inside: str, plain: set[int]) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name, _ in imported(node):
                if name not in local:
                    self._note(name, statement=node)
            return
        if isinstance(node, NAMED) and node is not self._top:
            if node.name not in local:
                self._note(node.name, "is defined within another statement, which may not have run", node)
            return
        name = "" if id(node) in plain else _changed(node)
        if name and name not in local:
            why = (
                f"may be changed by {inside}()"
                if inside
                else "is bound within a statement, or changed after it was set"
            )
            self._note(name, why, lasting=bool(inside))


def _stores(node: ast.Name) -> bool:
    return not isinstance(node.ctx, ast.Load)


def local_names(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> frozenset[str]:
    """Return the names that belong to a function, those of comprehensions in it included."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    names = {argument.arg for argument in every if argument is not None}
    shared: set[str] = set()
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        if isinstance(node, NAMED):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {name for name, _ in imported(node)}
        elif isinstance(node, ast.Global):
            shared.update(node.names)
        elif isinstance(node, ast.Name) and _stores(node):
            names.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
        if not isinstance(node, (*NAMED, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(node))
    return frozenset(names - shared)


def _changed(node: ast.AST) -> str:
    """Return the name that a node binds, deletes or changes in place; `ANY_NAME` where only the run shows it."""
    if isinstance(node, ast.Name):
        return node.id if _stores(node) else ""
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return node.name or ""
    owner: ast.AST | None = None
    if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
        if _is_scope(node.value):
            key = node.slice if isinstance(node, ast.Subscript) else None
            return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ANY_NAME
        owner = node.value
    elif isinstance(node, ast.Call):
        owner = _changed_by(node)
    elif isinstance(node, ast.Assign | ast.NamedExpr) and _is_scope(node.value):  # g = globals()
        return ANY_NAME
    while isinstance(owner, ast.Subscript | ast.Attribute):
        owner = owner.value
    return owner.id if isinstance(owner, ast.Name) else ""


def _changed_by(call: ast.Call) -> ast.expr | None:
    """Return what a call changes."""
    function = call.func
    if isinstance(function, ast.Attribute):
        if _is_scope(function.value) and function.attr not in _READING:
            return ast.Name(ANY_NAME, ast.Load())
        return function.value if function.attr in _CHANGING else None
    name = getattr(function, "id", "")
    if name == "exec":
        return ast.Name(ANY_NAME, ast.Load())
    return call.args[0] if name in {"setattr", "delattr"} and call.args else None


def _is_scope(node: ast.AST) -> bool:
    """Whether an expression is the dict of all names."""
    return isinstance(node, ast.Call) and not node.args and getattr(node.func, "id", "") in _SCOPES
