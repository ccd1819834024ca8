"""Rewrites of expressions: builtins, methods and attributes that Monty lacks, lazy iterables, host calls in `map`."""

# ruff: noqa: D102 - the methods are named by ast.NodeTransformer or after the builtin that they rewrite

from __future__ import annotations

import ast

from pyrlm.repl import monty_rewrite_tables as tables
from pyrlm.repl.monty_rewrite_scan import Known, is_pure

__all__ = ["Expressions"]

_LAZY = frozenset({"map", "filter", "zip", "enumerate", "reversed"})
_ENDLESS = frozenset({"count", "cycle", "repeat"})
_ORDERS = {"Lt": "__lt__", "Gt": "__gt__", "LtE": "__le__", "GtE": "__ge__"}


def call(name: str, *arguments: ast.expr, keywords: list[ast.keyword] | None = None, like: ast.AST) -> ast.Call:
    """Build a call of a prelude function at the place of `like`."""
    function = ast.copy_location(ast.Name(name, ast.Load()), like)
    return ast.copy_location(ast.Call(function, list(arguments), keywords or []), like)


class Expressions(ast.NodeTransformer):
    """The part of the rewriter that replaces expressions.

    Args:
        known: What the session knows; changed as code defines things.
        bound: Names that this code binds anywhere, which stand for nothing else.
        used_up: Expressions in whose place a list does as well, by their ids.
    """

    def __init__(self, known: Known, bound: set[str], used_up: dict[int, ast.AST]) -> None:
        self.known = known
        self.bound = bound
        self.used_up = used_up
        self.handlers: list[str] = []
        self.scopes: list[ast.AST] = []

    def is_free(self, name: str) -> bool:
        """Whether a name still means the builtin."""
        return name not in self.bound and (name not in self.known.names or name in self.known.modules)

    def pure(self, *nodes: ast.AST) -> bool:
        """Whether expressions surely call nothing of the host."""
        return is_pure(list(nodes), self.known, self.bound | self.known.names)

    # names and attributes

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            return node
        if node.id in tables.BUILTINS and self.is_free(node.id):
            return ast.copy_location(ast.Name(tables.BUILTINS[node.id], ast.Load()), node)
        if node.id in tables.RENAMED_EXCEPTIONS and self.is_free(node.id):
            return ast.copy_location(ast.Name(tables.RENAMED_EXCEPTIONS[node.id], ast.Load()), node)
        if node.id in self.known.deleted:
            return call("_pyrlm_there", node, ast.Constant(node.id), like=node)
        return node

    def overlay(self, node: ast.Attribute) -> ast.expr | None:
        """Return the prelude's version of ``module.name``, where Monty's module lacks it."""
        if not isinstance(node.value, ast.Name):
            return None
        module = self.known.modules.get(node.value.id)
        if module is None or node.attr not in tables.OVERLAYS.get(module, ()):
            return None
        owner = ast.copy_location(ast.Name(f"_pyrlm_mod_{module}", ast.Load()), node)
        return ast.copy_location(ast.Attribute(owner, node.attr, ast.Load()), node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            self.generic_visit(node)
            return node
        return self.loaded(node, called=False)

    def loaded(self, node: ast.Attribute, *, called: bool) -> ast.expr:
        """Rewrite a read of an attribute; `called` where it is called at once."""
        over = self.overlay(node)
        if over is not None:
            return over
        owner = node.value
        if node.attr == "__doc__" and isinstance(owner, ast.Name) and owner.id in self.known.docs:
            return ast.copy_location(ast.Constant(self.known.docs[owner.id]), node)
        node.value = self.visit(owner)
        if isinstance(owner, ast.Name) and owner.id in self.known.modules and owner.id not in self.known.host:
            return node
        return node if called else self.value(node, owner)

    def value(self, node: ast.Attribute, owner: ast.expr) -> ast.expr:
        """Rewrite the read of an attribute of an object."""
        name = node.attr
        helper = None
        if name in self.known.properties:
            helper = "_pyrlm_prop"
        elif name in self.known.function_attributes:
            helper = "_pyrlm_fget"
        elif name in {"msg", "pos", "lineno", "colno"} and isinstance(owner, ast.Name) and owner.id in self.handlers:
            helper = "_pyrlm_json_attr"
        if helper is not None:
            return call(helper, node.value, ast.Constant(name), like=node)
        prefix = "attr" if name in tables.ATTRIBUTES else "bound" if name in tables.BOUND_METHODS else None
        return node if prefix is None else call(f"_pyrlm_{prefix}_{name}", node.value, like=node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and self.is_free(node.func.id):
            special = getattr(self, f"call_{node.func.id}", None)
            if special is not None:
                made = special(node)
                if made is not None:
                    return made  # type: ignore[no-any-return]  # found by name
        if isinstance(node.func, ast.Attribute):
            return self.method(node)
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in tables.EXCEPTIONS and self.is_free(node.func.id):
            return self.exception(node)
        return node

    def arguments(self, node: ast.Call) -> None:
        """Rewrite the arguments of a call and leave its function."""
        node.args = [self.visit(a) for a in node.args]
        node.keywords = [self.visit(k) for k in node.keywords]

    def exception(self, node: ast.Call) -> ast.expr:
        """Builtin exceptions take one string at most there."""
        if not node.args or node.keywords:
            return node
        first = node.args[0]
        sure = isinstance(first, ast.JoinedStr) or (isinstance(first, ast.Constant) and isinstance(first.value, str))
        if len(node.args) == 1 and sure:
            return node
        return call("_pyrlm_exc", node.func, *node.args, like=node)

    def method(self, node: ast.Call) -> ast.expr:
        function = node.func
        assert isinstance(function, ast.Attribute)
        name, owner = function.attr, function.value
        if isinstance(owner, ast.Name) and owner.id in tables.BUILTIN_TYPES and self.is_free(owner.id):
            return self.method_of_type(node, owner, name)
        module = isinstance(owner, ast.Name) and (owner.id in self.known.modules or owner.id in self.known.host)
        if name == "sort" and any(k.arg == "key" and not self.native_key(k.value) for k in node.keywords):
            self.arguments(node)
            return call("_pyrlm_call_sort", self.visit(owner), *node.args, keywords=node.keywords, like=node)
        if name == "update" and isinstance(owner, ast.Attribute) and owner.attr == "__dict__":
            self.arguments(node)
            target = self.visit(owner.value)
            return call("_pyrlm_update_attributes", target, *node.args, keywords=node.keywords, like=node)
        node.func = self.loaded(function, called=True)
        self.arguments(node)
        return node if module or not isinstance(node.func, ast.Attribute) else self.supplied(node, node.func)

    def supplied(self, node: ast.Call, function: ast.Attribute) -> ast.expr:
        """Call the prelude in place of a method that Monty lacks on some type."""
        name, arguments = function.attr, node.args
        starred = any(isinstance(a, ast.Starred) for a in arguments)
        least = tables.METHODS.get(name)
        if least is None or (not starred and len(arguments) + len(node.keywords) < least):
            return node
        if (
            name in {"start", "end", "span"}
            and isinstance(arguments[0], ast.Constant)
            and arguments[0].value in range(100)
        ):
            return node
        return call(f"_pyrlm_call_{name}", function.value, *arguments, keywords=node.keywords, like=node)

    def method_of_type(self, node: ast.Call, owner: ast.Name, name: str) -> ast.expr:
        """Call a method through its type: ``str.lower(x)``."""
        self.arguments(node)
        if name in tables.METHODS:
            return call(f"_pyrlm_call_{name}", owner, *node.args, keywords=node.keywords, like=node)
        if name in tables.BOUND_METHODS:
            node.func = call(f"_pyrlm_bound_{name}", owner, like=node)
        return node

    def native_key(self, key: ast.expr) -> bool:
        """Whether a native `sorted` can call this key function: it surely suspends nothing."""
        if self.known.compared:
            return False
        if isinstance(key, ast.Constant):
            return True
        if isinstance(key, ast.Lambda):
            return self.pure(key.body)
        if isinstance(key, ast.Name):
            return key.id in tables.PURE_BUILTINS and self.is_free(key.id)
        if isinstance(key, ast.Attribute):
            owner = key.value
            host = isinstance(owner, ast.Name) and owner.id in self.known.host
            return key.attr in tables.BOUND_METHODS and not host
        return False
