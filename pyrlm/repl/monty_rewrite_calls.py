"""Rewrites of calls of builtins: what Monty lacks, does otherwise, or can't do while a host call waits."""

# ruff: noqa: D102, N802 - the methods are named by ast.NodeTransformer or after the builtin that they rewrite

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from pyrlm.repl import monty_rewrite_tables as tables
from pyrlm.repl.common import HANDED_ON
from pyrlm.repl.monty_rewrite_expr import Expressions, call
from pyrlm.repl.monty_rewrite_scan import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Calls"]

_ENDLESS = frozenset({"count", "cycle", "repeat"})


class Calls(Expressions):
    """The part of the rewriter that replaces calls of builtins, one method each."""

    def _ordering(self, node: ast.Call, helper: str) -> ast.expr:
        key = next((k.value for k in node.keywords if k.arg == "key"), None)
        native = key is None or self.native_key(key)
        self.arguments(node)
        if self.known.ordered:
            return call(f"{helper}_objects", *node.args, keywords=node.keywords, like=node)
        if native and not (self.known.compared and helper == "_pyrlm_sorted"):
            return node
        name = "_pyrlm_sorted_any" if self.known.compared and helper == "_pyrlm_sorted" else helper
        return call(name, *node.args, keywords=node.keywords, like=node)

    def call_sorted(self, node: ast.Call) -> ast.expr:
        return self._ordering(node, "_pyrlm_sorted")

    def call_min(self, node: ast.Call) -> ast.expr:
        return self._ordering(node, "_pyrlm_min")

    def call_max(self, node: ast.Call) -> ast.expr:
        return self._ordering(node, "_pyrlm_max")

    def _lazy(self, node: ast.Call, made: ast.expr) -> ast.expr:
        return made if id(node) in self.used_up else call("iter", made, like=node)

    def _applied(self, node: ast.Call, helper: str) -> ast.expr:
        native = bool(node.args) and self.native_key(node.args[0])
        self.arguments(node)
        return self._lazy(node, node if native else call(helper, *node.args, like=node))

    def call_map(self, node: ast.Call) -> ast.expr:
        return self._applied(node, "_pyrlm_map")

    def call_filter(self, node: ast.Call) -> ast.expr:
        return self._applied(node, "_pyrlm_filter")

    def call_zip(self, node: ast.Call) -> ast.expr:
        endless = any(isinstance(a, ast.Call) and _last_name(a.func) in _ENDLESS for a in node.args)
        self.arguments(node)
        made = call("_pyrlm_zip", *node.args, keywords=node.keywords, like=node) if endless else node
        return self._lazy(node, made)

    def call_enumerate(self, node: ast.Call) -> ast.expr:
        self.arguments(node)
        return self._lazy(node, node)

    call_reversed = call_enumerate

    def call_object(self, node: ast.Call) -> ast.expr | None:
        return None if node.args else call("_pyrlm_object", like=node)

    def call_round(self, node: ast.Call) -> ast.expr | None:
        if len(node.args) + len(node.keywords) == 1:
            return None
        self.arguments(node)
        return call("_pyrlm_round", *node.args, keywords=node.keywords, like=node)

    def call_isinstance(self, node: ast.Call) -> ast.expr | None:
        if not self.known.kinds:
            return None
        self.arguments(node)
        return call("_pyrlm_isinstance", *node.args, like=node)

    def call_bytes(self, node: ast.Call) -> ast.expr | None:
        if len(node.args) != 1 or isinstance(node.args[0], ast.Constant):
            return None
        self.arguments(node)
        return call("_pyrlm_bytes", *node.args, keywords=node.keywords, like=node)

    def call_print(self, node: ast.Call) -> ast.expr | None:
        if not any(k.arg == "file" for k in node.keywords):
            return None
        self.arguments(node)
        return call("_pyrlm_print", *node.args, keywords=node.keywords, like=node)

    def call_len(self, node: ast.Call) -> ast.expr | None:
        if not self.known.sized:
            return None
        self.arguments(node)
        return call("_pyrlm_len", *node.args, like=node)

    def call_bool(self, node: ast.Call) -> ast.expr | None:
        if not self.known.sized or len(node.args) != 1:
            return None
        self.arguments(node)
        return call("_pyrlm_truth", *node.args, like=node)

    def call_hasattr(self, node: ast.Call) -> ast.expr | None:
        self.arguments(node)
        return call("_pyrlm_hasattr", *node.args, like=node)

    def call_getattr(self, node: ast.Call) -> ast.expr | None:
        name = node.args[1] if len(node.args) > 1 else None
        if not isinstance(name, ast.Constant) or name.value not in tables.BOUND_METHODS | self.known.properties:
            return None
        self.arguments(node)
        if name.value in self.known.properties:
            return call("_pyrlm_prop", node.args[0], name, like=node)
        if not node.args[2:]:
            return call(f"_pyrlm_bound_{name.value}", node.args[0], like=node)
        has = call("_pyrlm_hasattr", node.args[0], name, like=node)
        made = ast.IfExp(has, call(f"_pyrlm_bound_{name.value}", node.args[0], like=node), node.args[2])
        return ast.copy_location(made, node) if isinstance(node.args[0], ast.Name) else node

    def call_vars(self, node: ast.Call) -> ast.expr:
        if not node.args:
            return self.call_locals(node)
        self.arguments(node)
        return call("_pyrlm_vars", *node.args, like=node)

    def call_globals(self, node: ast.Call) -> ast.expr:
        return self._names(node, sorted(self.known.names | self.module_names()))

    def call_locals(self, node: ast.Call) -> ast.expr:
        if not self.scopes:
            return self.call_globals(node)
        return self._names(node, self.local_names())

    def call_dir(self, node: ast.Call) -> ast.expr:
        if node.args:
            raise UnsupportedError("dir(object): not supported here; hasattr(object, name) is", node)
        return call("sorted", self.call_locals(node), like=node)

    def call_input(self, node: ast.Call) -> ast.expr:
        raise UnsupportedError("input(): there is nobody to ask in this sandbox", node)

    def call_delattr(self, node: ast.Call) -> ast.expr:
        raise UnsupportedError("delattr(): not supported here; set the attribute to None instead", node)

    def call_rlm_query(self, node: ast.Call) -> ast.expr | None:
        """Functions of the code go by name: the host has their source."""
        for keyword in node.keywords:
            if keyword.arg in HANDED_ON:
                names = self.all_names(node, without=self.shadowing_names())
                keyword.value = call("_pyrlm_by_name", keyword.value, names, like=keyword.value)
        return None

    call_rlm_query_batch = call_rlm_query_batched = call_rlm_query

    def call_FINAL_VAR(self, node: ast.Call) -> ast.expr | None:
        if len(node.args) != 1 or node.keywords:
            return None
        self.arguments(node)
        return call("_pyrlm_final_var", node.args[0], self.all_names(node), like=node)

    def call_SHOW_VARS(self, node: ast.Call) -> ast.expr:
        return call("_pyrlm_show_vars", self.all_names(node), like=node)

    def all_names(self, node: ast.Call, *, without: Iterable[str] = ()) -> ast.expr:
        """Return what reads every variable of the session, but those names that a function has for its own."""
        made = self._names(node, sorted((self.known.names | self.module_names()) - self.known.host - {*without}))
        assert isinstance(made, ast.Call)
        return made.args[0]

    def call_memoryview(self, node: ast.Call) -> ast.expr:
        raise UnsupportedError("memoryview: not supported here; slices of bytes are", node)

    def _names(self, node: ast.Call, names: list[str]) -> ast.expr:
        empty = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        pairs: list[ast.expr] = []
        for name in names:
            read = ast.Lambda(empty, ast.Name(name, ast.Load()))
            pairs.append(ast.Tuple([ast.Constant(name), read], ast.Load()))
        return call("_pyrlm_names", ast.List(pairs, ast.Load()), like=node)

    def module_names(self) -> set[str]:
        """Names that this code binds at its top level."""
        return set()

    def local_names(self) -> list[str]:
        """Names of the function that is being rewritten."""
        return []

    def shadowing_names(self) -> set[str]:
        """Names that stand for something else here than at top level, so that those of the session can't be read."""
        return set()


def _last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
