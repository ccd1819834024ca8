"""Rewrites of code that awaits: values that are no awaitables, calls of the host in their place, `async with`."""

# ruff: noqa: D102, N802 - the methods are named by ast.NodeTransformer

from __future__ import annotations

import ast
from typing import Any

from pyrlm.repl import monty_rewrite_tables as tables
from pyrlm.repl.awaited import gathered_calls, leaves, taker
from pyrlm.repl.monty_rewrite_expr import call
from pyrlm.repl.monty_rewrite_imports import Imports
from pyrlm.repl.monty_rewrite_kinds import code_of
from pyrlm.repl.monty_rewrite_scan import UnsupportedError

__all__ = ["Awaits"]

_OF_FUTURES = frozenset({"as_completed", "wait"})  # they may be those of `concurrent.futures` too
_MAPS = frozenset({"map", "_pyrlm_map"})


class Awaits(Imports):
    """The part of the rewriter that lets code take the host's functions for coroutine functions.

    A call in the place of an awaitable becomes a coroutine that makes it: gathered, such calls go side by side.
    """

    later: dict[int, ast.Call]
    fresh: int

    def visit_Module(self, node: ast.Module) -> ast.AST:
        self.later = {key: leaf for key, leaf in gathered_calls(node).items() if self.deferrable(leaf, host=True)}
        for each in ast.walk(node):
            name = taker(each)
            if isinstance(each, ast.Call) and name is not None and getattr(each.func, "id", "") not in self.bound:
                for leaf in (leaf for argument in each.args for leaf in leaves(argument)):
                    if self.deferrable(leaf, host=name in _OF_FUTURES):
                        self.later[id(leaf)] = leaf
        return self.generic_visit(node)

    def deferrable(self, node: ast.Call, *, host: bool) -> bool:
        """Whether a call can be made when it is awaited: one by name; with `host`, of a function of the host alone."""
        name = node.func.id if isinstance(node.func, ast.Name) else None
        if name == "map" and self.is_free("map"):
            return len(node.args) > 1 and not node.keywords
        if name is None or (name in tables.PURE_BUILTINS and self.is_free(name)):
            return False
        return not host or (name in self.known.host and name not in self.bound)

    def visit(self, node: ast.AST) -> Any:
        made = super().visit(node)
        if id(node) not in self.later or not isinstance(made, ast.Call) or not isinstance(made.func, ast.Name):
            return made
        if made.func.id in _MAPS:
            return call("_pyrlm_deferred_map", *made.args, like=made)
        if made.func.id.startswith("_pyrlm_"):
            return made
        return call("_pyrlm_deferred", made.func, *made.args, keywords=made.keywords, like=made)

    def visit_Await(self, node: ast.Await) -> ast.AST:
        self.generic_visit(node)
        node.value = call("_pyrlm_awaitable", node.value, like=node)
        return node

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        raise UnsupportedError("async for: not supported here; use for, and await in its body", node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST | list[ast.stmt]:
        body: list[ast.stmt] = node.body
        for item in reversed(node.items):
            body = self.entered(item, body, node)
        made: list[ast.stmt] = []
        for statement in body:
            visited = self.visit(statement)
            made += visited if isinstance(visited, list) else [visited]
        return made

    def entered(self, item: ast.withitem, body: list[ast.stmt], like: ast.AST) -> list[ast.stmt]:
        """Write ``async with`` by the methods that it stands for."""
        self.fresh += 1
        name = f"_pyrlm_with{self.fresh}"
        made = code_of(
            f"{name} = None\n{name}v = await {name}.__aenter__()\n{name}ok = True\ntry:\n pass\n"
            f"except BaseException as {name}e:\n {name}ok = False\n"
            f" if not await {name}.__aexit__(type({name}e), {name}e, None):\n  raise\n"
            f"finally:\n if {name}ok:\n  await {name}.__aexit__(None, None, None)",
            like,
        )
        start, entry, block = made[0], made[1], made[-1]
        assert isinstance(start, ast.Assign)
        assert isinstance(entry, ast.Assign)
        assert isinstance(block, ast.Try)
        start.value = item.context_expr
        if item.optional_vars is not None:
            entry.targets = [item.optional_vars]
        block.body = body
        return made
