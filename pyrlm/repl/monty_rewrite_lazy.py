"""Rewrites of iterables that are lazy in Python and lists in Monty, and of comparisons and conditions."""

# ruff: noqa: D102, N802 - the methods are named by ast.NodeTransformer or after the builtin that they rewrite

from __future__ import annotations

import ast
import copy

from pyrlm.repl.monty_rewrite_calls import Calls
from pyrlm.repl.monty_rewrite_expr import call
from pyrlm.repl.monty_rewrite_scan import targets

__all__ = ["Lazies"]

_ORDERS = {"Lt": "__lt__", "Gt": "__gt__", "LtE": "__le__", "GtE": "__ge__"}
_PAIR = 2


class Lazies(Calls):
    """The part of the rewriter that keeps generator expressions lazy and asks objects what they mean."""

    # iterables that are lazy in Python and lists in Monty

    def split_generator(self, node: ast.expr) -> tuple[ast.expr, ast.expr, ast.expr] | None:
        """Take a generator expression apart: iterable, function of an item, condition (a function, or None)."""
        if not isinstance(node, ast.GeneratorExp) or any(
            isinstance(n, (ast.NamedExpr, ast.Await)) for n in ast.walk(node)
        ):
            return None
        if len(node.generators) != 1 or node.generators[0].is_async:
            return None
        source = node.generators[0]
        value = _function_of(source.target, node.elt)
        test = ast.Constant(None) if not source.ifs else None
        condition = test or _function_of(source.target, _all(source.ifs))
        if value is None or condition is None:
            return None
        return source.iter, value, condition

    def _short(self, node: ast.Call, helper: str) -> ast.expr | None:
        parts = self.split_generator(node.args[0]) if node.args else None
        if parts is None or node.keywords:
            return self._asked(node, helper)
        rest = [self.visit(a) for a in node.args[1:]]
        return call(helper, *[self.visit(p) for p in parts], *rest, like=node)

    def _asked(self, node: ast.Call, helper: str) -> ast.expr | None:
        """`any` and `all` of objects that say themselves whether they are true."""
        if not self.known.sized or helper == "_pyrlm_first" or not node.args:
            return None
        self.arguments(node)
        truth = ast.copy_location(ast.Name("_pyrlm_truth", ast.Load()), node)
        return call(helper, *node.args, truth, like=node)

    def call_any(self, node: ast.Call) -> ast.expr | None:
        return self._short(node, "_pyrlm_any")

    def call_all(self, node: ast.Call) -> ast.expr | None:
        return self._short(node, "_pyrlm_all")

    def call_next(self, node: ast.Call) -> ast.expr | None:
        return self._short(node, "_pyrlm_first")

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.AST:
        if id(node) in self.used_up:
            self.generic_visit(node)
            return node
        parts = self.split_generator(node)
        if parts is not None and self.pure(*parts):
            return call("_pyrlm_Lazy", *[self.visit(p) for p in parts], like=node)
        self.generic_visit(node)
        made = ast.copy_location(ast.ListComp(node.elt, node.generators), node)
        return call("iter", made, like=node)

    # comparisons and truth of objects whose class says what they mean

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        items = [e for e in (node.left, *node.comparators) if _is_items(e)]
        self.generic_visit(node)
        ordering = all(type(op).__name__ in _ORDERS for op in node.ops)
        if ordering and len(items) == _PAIR and len(node.ops) == 1:
            node.left = call("_pyrlm_items", node.left, like=node)
            node.comparators = [call("_pyrlm_items", node.comparators[0], like=node)]
        elif ordering and self.known.ordered and len(node.ops) == 1:
            order = ast.Constant(_ORDERS[type(node.ops[0]).__name__])
            return call("_pyrlm_compare", node.left, order, node.comparators[0], like=node)
        return node

    def truth(self, node: ast.expr) -> ast.expr:
        """Wrap a condition where classes have `__len__` or `__bool__`, which Monty passes over."""
        if not self.known.sized or isinstance(node, (ast.Compare, ast.Constant)):
            return node
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return node
        return call("_pyrlm_truth", node, like=node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        if not self.known.sized or any(isinstance(n, (ast.NamedExpr, ast.Await)) for n in ast.walk(node)):
            return node
        empty = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        later: list[ast.expr] = [ast.Lambda(empty, value) for value in node.values[1:]]
        helper = "_pyrlm_or" if isinstance(node.op, ast.Or) else "_pyrlm_and"
        return call(helper, node.values[0], *later, like=node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not):
            node.operand = self.truth(node.operand)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        node.test = self.truth(node.test)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        self.generic_visit(node)
        node.ifs = [self.truth(test) for test in node.ifs]
        return node


def _all(tests: list[ast.expr]) -> ast.expr:
    return tests[0] if len(tests) == 1 else ast.BoolOp(ast.And(), tests)


def _is_items(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"items", "keys"}


class _Subscripts(ast.NodeTransformer):
    def __init__(self, names: dict[str, int]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self.names:
            return node
        item = ast.Subscript(ast.Name("_pyrlm_x", ast.Load()), ast.Constant(self.names[node.id]), ast.Load())
        return ast.copy_location(item, node)


def _function_of(target: ast.expr, body: ast.expr) -> ast.expr | None:
    """Make a lambda of one item out of a comprehension's target and expression."""
    body = copy.deepcopy(body)
    if isinstance(target, ast.Name):
        name = target.id
    elif isinstance(target, ast.Tuple) and all(isinstance(t, ast.Name) for t in target.elts):
        inner = {n.arg for f in ast.walk(body) if isinstance(f, ast.Lambda) for n in f.args.args}
        stored = {n.id for n in ast.walk(body) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
        if (inner | stored) & targets(target):
            return None
        name = "_pyrlm_x"
        body = _Subscripts({t.id: n for n, t in enumerate(target.elts) if isinstance(t, ast.Name)}).visit(body)
    else:
        return None
    empty = ast.arguments(posonlyargs=[], args=[ast.arg(name)], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.copy_location(ast.Lambda(empty, body), target)
