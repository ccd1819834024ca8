"""Lets code `await` host functions, which are plain functions, and gather them at once. Standard library only.

``await f(x)`` and ``asyncio.gather(f(x), f(y))`` are rewritten so that a call of a host function in such a place becomes
a coroutine that makes the call in a thread, and so does one whose value goes into a list that is gathered later; what
else is no awaitable is awaited as what it is. Loaded by code that
awaits, and only then: asyncio takes 30 ms.
"""

from __future__ import annotations

import ast
import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pyrlm.repl.awaited import gathered_calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

__all__ = ["NAMES", "rewrite", "run"]

_AWAITABLE, _CONCURRENTLY, _MAPPED = "__awaitable__", "__concurrently__", "__mapped__"
_TAKERS = frozenset({"gather", "create_task", "ensure_future", "wait_for", "as_completed", "shield", "run"})
_MAX_THREADS = 32


def rewrite(tree: ast.Module) -> ast.Module:
    """Return `tree` with calls in awaited places made through `NAMES`."""
    rewritten: ast.Module = _Rewriter(gathered_calls(tree)).visit(tree)
    return ast.fix_missing_locations(rewritten)


class _Rewriter(ast.NodeTransformer):
    def __init__(self, gathered: dict[int, ast.Call]) -> None:
        self._gathered = gathered

    def visit_Await(self, node: ast.Await) -> ast.Await:
        self.generic_visit(node)
        node.value = _through(_AWAITABLE, [_concurrent(node.value)], node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if id(node) in self._gathered:
            return _concurrent(node)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in _TAKERS:
            node.args = [_concurrent(argument) for argument in node.args]
            if name == "gather":
                node.args = [_each_awaitable(argument) for argument in node.args]
        return node


def _through(name: str, args: list[ast.expr], node: ast.expr, keywords: list[ast.keyword] | None = None) -> ast.expr:
    function = ast.copy_location(ast.Name(id=name, ctx=ast.Load()), node)
    return ast.copy_location(ast.Call(func=function, args=args, keywords=keywords or []), node)


def _concurrent(node: ast.expr) -> ast.expr:
    """Rewrite a call in the place of an awaitable, also where it makes the items of a list there."""
    if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id.startswith("__")):
        return _through(_CONCURRENTLY, [node.func, *node.args], node, node.keywords)
    if isinstance(node, ast.Starred):
        if isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "map":
            node.value = _through(_MAPPED, node.value.args, node)
        elif not isinstance(node.value, ast.Call):
            node.value = _concurrent(node.value)
    elif isinstance(node, (ast.List, ast.Tuple)):
        node.elts = [_concurrent(item) for item in node.elts]
    elif isinstance(node, (ast.ListComp, ast.GeneratorExp)):
        node.elt = _concurrent(node.elt)
    return node


def _each_awaitable(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.Starred):
        name = ast.copy_location(ast.Name(id="map", ctx=ast.Load()), node)
        function = ast.copy_location(ast.Name(id=_AWAITABLE, ctx=ast.Load()), node)
        node.value = ast.copy_location(ast.Call(func=name, args=[function, node.value], keywords=[]), node)
        return node
    return _through(_AWAITABLE, [node], node)


_pool: list[ThreadPoolExecutor] = []


def _concurrently(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    if not getattr(function, "answered_by_host", False):
        return function(*args, **kwargs)
    if not _pool:
        _pool.append(ThreadPoolExecutor(_MAX_THREADS))
    return _in_thread(_pool[0], partial(function, *args, **kwargs))


def _mapped(function: Callable[..., Any], /, *iterables: Any) -> list[Any]:
    return [_concurrently(function, *args) for args in zip(*iterables, strict=False)]


async def _in_thread(pool: ThreadPoolExecutor, call: Callable[[], Any]) -> Any:
    return await asyncio.get_running_loop().run_in_executor(pool, call)


def _awaitable(value: Any) -> Any:
    return value if hasattr(type(value), "__await__") else _done(value)


async def _done(value: Any) -> Any:
    return value


NAMES = {_AWAITABLE: _awaitable, _CONCURRENTLY: _concurrently, _MAPPED: _mapped, "asyncio": asyncio}
"""What rewritten code calls, and the module that it often forgets to import."""


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run the coroutine that code with a top-level `await` is."""
    return asyncio.run(coroutine)
