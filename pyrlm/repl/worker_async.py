"""Lets code `await` host functions, which are plain functions, and gather them at once. Standard library only.

``await f(x)`` and ``asyncio.gather(f(x), f(y))`` are rewritten so that a call of a host function in such a place becomes
a coroutine that makes the call, and so does one whose value goes into a list that is gathered later; what else is no
awaitable is awaited as what it is. A function of the code's own that is named like one of `asyncio` gets values.
"""

from __future__ import annotations

import ast
import asyncio
from copy import deepcopy

from pyrlm.repl.awaited import gathered_calls
from pyrlm.repl.worker_loop import asked, awaitable, host_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["NAMES", "rewrite"]

_AWAITABLE, _AWAITABLES, _TASKS = "__awaitable__", "__awaitables__", "__tasks__"
_SURELY = ...  # in the place of a function that can't be another
_CONCURRENTLY, _MAPPED = "__concurrently__", "__mapped__"
_OF_ONE = frozenset({"create_task", "ensure_future", "wait_for", "shield", "run", "run_until_complete"})
_OF_LOOPS = frozenset({"create_task", "run_until_complete"})
_OF_A_LIST = frozenset({"as_completed", "wait"})


def rewrite(tree: ast.Module) -> ast.Module:
    """Return `tree` with calls in awaited places made through `NAMES`."""
    rewritten: ast.Module = _Rewriter(gathered_calls(tree)).visit(tree)
    return ast.fix_missing_locations(rewritten)


class _Rewriter(ast.NodeTransformer):
    def __init__(self, gathered: dict[int, ast.Call]) -> None:
        self._gathered = gathered

    def visit_Await(self, node: ast.Await) -> ast.Await:
        self.generic_visit(node)
        taker = ast.Constant(value=_SURELY)
        node.value = _through(_AWAITABLE, [taker, _concurrent(node.value, taker)], node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        taker = _again(node.func, name)
        if name == "gather":
            node.args = [_each(_concurrent(argument, taker), taker) for argument in node.args]
        elif name in _OF_ONE and node.args and not isinstance(node.args[0], ast.Starred):
            node.args[0] = _through(_AWAITABLE, [taker, _concurrent(node.args[0], taker)], node)
        elif name in _OF_A_LIST and node.args and not isinstance(node.args[0], ast.Starred):
            node.args[0] = _through(_TASKS, [taker, _concurrent(node.args[0], taker)], node)
        elif id(node) in self._gathered:
            return _concurrent(node, ast.Constant(value=_SURELY))
        return node


def _again(function: ast.expr, name: str) -> ast.expr:
    """Return an expression for what takes an awaitable: whether it is a function of `asyncio` shows when the code runs."""
    owner = function
    while isinstance(owner, ast.Attribute):
        owner = owner.value
    if isinstance(owner, ast.Name):
        return deepcopy(function)
    return ast.Constant(value=_SURELY if name in _OF_LOOPS else None)


def _through(name: str, args: list[ast.expr], node: ast.expr, keywords: list[ast.keyword] | None = None) -> ast.expr:
    function = ast.copy_location(ast.Name(id=name, ctx=ast.Load()), node)
    return ast.copy_location(ast.Call(func=function, args=args, keywords=keywords or []), node)


def _concurrent(node: ast.expr, taker: ast.expr) -> ast.expr:
    """Rewrite a call in the place of an awaitable, also where it makes the items of a list there."""
    if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id.startswith("__")):
        return _through(_CONCURRENTLY, [taker, node.func, *node.args], node, node.keywords)
    if isinstance(node, ast.IfExp):
        node.body, node.orelse = _concurrent(node.body, taker), _concurrent(node.orelse, taker)
    elif isinstance(node, ast.Starred):
        if isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "map":
            node.value = _through(_MAPPED, [taker, *node.value.args], node)
        elif not isinstance(node.value, ast.Call):
            node.value = _concurrent(node.value, taker)
    elif isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        node.elts = [_concurrent(item, taker) for item in node.elts]
    elif isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.SetComp)):
        node.elt = _concurrent(node.elt, taker)
    return node


def _each(node: ast.expr, taker: ast.expr) -> ast.expr:
    if isinstance(node, ast.Starred):
        node.value = _through(_AWAITABLES, [taker, node.value], node)
        return node
    return _through(_AWAITABLE, [taker, node], node)


def _takes(taker: Any) -> bool:
    """Whether a function is asyncio's own."""
    if taker is _SURELY or isinstance(getattr(taker, "__self__", None), asyncio.AbstractEventLoop):
        return True
    return str(getattr(taker, "__module__", "")).partition(".")[0] == "asyncio"


def _concurrently(taker: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    call = host_call(function) if _takes(taker) else None
    return function(*args, **kwargs) if call is None else asked(call, args, kwargs)


def _mapped(taker: Any, function: Callable[..., Any], /, *iterables: Any) -> list[Any]:
    return [_concurrently(taker, function, *args) for args in zip(*iterables, strict=False)]


def _awaitable(taker: Any, value: Any) -> Any:
    return awaitable(value) if _takes(taker) else value


def _awaitables(taker: Any, values: Iterable[Any]) -> Iterable[Any]:
    return map(awaitable, values) if _takes(taker) else values


def _tasks(taker: Any, values: Iterable[Any]) -> Iterable[Any]:
    """Return tasks: `asyncio.wait` takes nothing else."""
    return [asyncio.ensure_future(awaitable(value)) for value in values] if _takes(taker) else values


NAMES = {
    _AWAITABLE: _awaitable,
    _AWAITABLES: _awaitables,
    _TASKS: _tasks,
    _CONCURRENTLY: _concurrently,
    _MAPPED: _mapped,
    "asyncio": asyncio,
}
"""What rewritten code calls, and the module that it often forgets to import."""
