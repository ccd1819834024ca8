"""Rewrites of imports: modules that Monty lacks, wholly or in part, come from the prelude."""

# ruff: noqa: D102, N802 - the methods are named by ast.NodeTransformer or after the builtin that they rewrite

from __future__ import annotations

import ast

from pyrlm.repl import monty_rewrite_tables as tables
from pyrlm.repl.monty_rewrite_class import Classes
from pyrlm.repl.monty_rewrite_kinds import code_of
from pyrlm.repl.monty_rewrite_scan import UnsupportedError

__all__ = ["Imports"]


class Imports(Classes):
    """The part of the rewriter that replaces imports."""

    def visit_Import(self, node: ast.Import) -> ast.AST | list[ast.stmt]:
        made: list[ast.stmt] = []
        for alias in node.names:
            name = alias.name
            piece = tables.MODULES.get(name)
            shown = alias.asname or name.split(".")[0]
            if name == "collections.abc" and not alias.asname:
                name, piece = "collections", None
            if piece is not None:
                if not alias.asname and "." in name:
                    piece = tables.MODULES[name.split(".")[0]]
                made += code_of(f"{shown} = {piece}", node)
                continue
            if name in tables.OVERLAYS:
                self.known.modules[shown] = name
            kept = ast.alias(name, alias.asname)
            made.append(ast.copy_location(ast.Import([kept]), node))
        return made

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | list[ast.stmt]:
        module = node.module or ""
        if module == "__future__":
            return ast.copy_location(ast.Pass(), node)
        if node.level:
            return node
        if any(a.name == "*" for a in node.names):
            if module in tables.MODULES or module in tables.OVERLAYS:
                raise UnsupportedError(f"from {module} import *: not supported here; name what you import", node)
            return node
        made: list[ast.stmt] = []
        native: list[ast.alias] = []
        for alias in node.names:
            source = _source(module, alias.name)
            if source is None:
                native.append(alias)
            else:
                made += code_of(f"{alias.asname or alias.name} = {source}", node)
        if native:
            made.append(ast.copy_location(ast.ImportFrom(module, native, 0), node))
        return made


def _source(module: str, name: str) -> str | None:
    """Return where the prelude has a name of a module; None where Monty has it itself."""
    if f"{module}.{name}" in tables.MODULES:
        return tables.MODULES[f"{module}.{name}"]
    if module in tables.MODULES:
        return f"{tables.MODULES[module]}.{name}"
    return f"_pyrlm_mod_{module}.{name}" if name in tables.OVERLAYS.get(module, ()) else None
