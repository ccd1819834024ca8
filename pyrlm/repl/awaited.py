"""Finds the calls of a program that stand in the place of an awaitable. Standard library only: the worker loads it.

Code in the style of other runtimes takes `llm_query` for a coroutine function: it makes a list of calls and gathers it.
Here a call gives its value, so that such calls must be told from others before the code runs.
"""

from __future__ import annotations

import ast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["gathered_calls", "leaves", "taker"]

_TAKERS = frozenset({"gather", "create_task", "ensure_future", "wait_for", "as_completed", "shield", "wait"})
_OF_LISTS = frozenset({"as_completed", "wait"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_NESTED = (*_FUNCTIONS, ast.Lambda, ast.ClassDef)
_LISTS = (ast.List, ast.Tuple, ast.ListComp, ast.GeneratorExp)


def taker(node: ast.AST) -> str | None:
    """Return the name of the function of `asyncio` that takes awaitables and is called here; None for other nodes."""
    if not isinstance(node, ast.Call):
        return None
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name == "wait" and not (
        isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "asyncio"
    ):
        return None
    return name if name in _TAKERS else None


def leaves(node: ast.expr) -> Iterator[ast.Call]:
    """Yield the calls that give an expression's awaitables: itself, or the items of a list written here."""
    if isinstance(node, ast.Call):
        yield node
    elif isinstance(node, ast.Starred):
        if isinstance(node.value, _LISTS) or _is_map(node.value):
            yield from leaves(node.value)
    elif isinstance(node, (ast.List, ast.Tuple)):
        for item in node.elts:
            yield from leaves(item)
    elif isinstance(node, (ast.ListComp, ast.GeneratorExp)):
        yield from leaves(node.elt)


def _is_map(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "map"


def gathered_calls(tree: ast.AST) -> dict[int, ast.Call]:
    """Return the calls whose values go into variables that are gathered and used for nothing else, by their ids.

    ``tasks = [llm_query(c) for c in chunks]`` before ``await asyncio.gather(*tasks)`` gives one, and so does
    ``tasks.append(llm_query(c))``.
    """
    parents = {id(child): parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    found: dict[int, ast.Call] = {}
    for scope in ast.walk(tree):
        if isinstance(scope, (ast.Module, *_FUNCTIONS)):
            for values in _gathered(scope, parents):
                found.update((id(leaf), leaf) for value in values for leaf in leaves(value))
    return found


def _gathered(scope: ast.AST, parents: dict[int, ast.AST]) -> Iterator[list[ast.expr]]:
    """Yield, for each such variable of a scope, the expressions that its values come from."""
    own: dict[str, list[ast.Name]] = {}
    shared: set[str] = set()
    waiting = [(child, False) for child in ast.iter_child_nodes(scope)]
    while waiting:
        node, nested = waiting.pop()
        if isinstance(node, ast.Name):
            own.setdefault(node.id, []).append(node)
            if nested:
                shared.add(node.id)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            shared.update(node.names)
        inside = nested or isinstance(node, _NESTED)
        waiting.extend((child, inside) for child in ast.iter_child_nodes(node))
    for name, nodes in own.items():
        values = None if name in shared else _values(nodes, parents)
        if values is not None:
            yield values


def _values(nodes: list[ast.Name], parents: dict[int, ast.AST]) -> list[ast.expr] | None:
    """Return what a variable's values come from; None where anything but a gathering reads it."""
    values: list[ast.expr] = []
    single, lists, made = False, False, False
    for node in nodes:
        parent = parents[id(node)]
        above = parents.get(id(parent))
        given = _given(parent, node)
        if given is not None:
            values.append(given)
            made = True
        elif isinstance(parent, ast.AugAssign) and parent.target is node:
            values.append(parent.value)
        elif isinstance(parent, ast.Starred) and above is not None and taker(above) == "gather":
            lists = True
        elif isinstance(parent, ast.Call) and node in parent.args and taker(parent):
            lists = lists or taker(parent) in _OF_LISTS
            single = single or taker(parent) not in _OF_LISTS
        elif isinstance(parent, ast.Attribute) and isinstance(above, ast.Call) and _adds(parent, above, parents):
            values.append(above.args[0] if parent.attr == "extend" else ast.List(above.args, ast.Load()))
        elif not (isinstance(parent, ast.Await) or _is_len(parent)):
            return None
    if not made or single == lists:
        return None
    return [value for value in values if isinstance(value, _LISTS if lists else ast.Call)]


def _given(statement: ast.AST, name: ast.Name) -> ast.expr | None:
    """Return what a statement assigns to a name and to no other."""
    if isinstance(statement, ast.AnnAssign) and statement.target is name:
        return statement.value
    return statement.value if isinstance(statement, ast.Assign) and statement.targets == [name] else None


def _adds(method: ast.Attribute, called: ast.Call, parents: dict[int, ast.AST]) -> bool:
    """Whether this is a statement ``x.append(…)`` or ``x.extend(…)``."""
    if called.func is not method or method.attr not in {"append", "extend"} or len(called.args) != 1:
        return False
    return isinstance(parents.get(id(called)), ast.Expr)


def _is_len(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len"
