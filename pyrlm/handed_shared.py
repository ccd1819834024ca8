"""Whether a value that can be changed in place may have got another name, by which it was changed unseen."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from pyrlm.handed_bindings import local_names, statements

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["other_name", "with_parts_that_change"]

_READERS = frozenset(
    """\
    len sorted sum min max list set dict tuple frozenset any all enumerate zip map filter print str repr range bool hash
    isinstance reversed iter next Counter FINAL llm_query llm_batch llm_query_batch llm_query_batched ask ask_chunks
    rlm_query rlm_query_batch rlm_query_batched
    """.split()  # noqa: SIM905 - a list of names reads better than a column of literals
)
_READING_MODULES = frozenset({"json", "re", "math", "statistics", "textwrap", "collections", "itertools"})
_MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.Call)
_MAX_SHOWN = 80


def with_parts_that_change(value: ast.expr) -> tuple[bool, bool]:
    """Return whether a value can be changed in place, and whether a part of it can."""
    found = [node for node in ast.walk(value) if isinstance(node, _MUTABLE) and not _is_compiled(node)]
    return bool(found), len(found) > 1 or (bool(found) and found[0] is not value)


def _is_compiled(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
        ("compile", "frozenset", "str", "int", "float")
    )


def other_name(name: str, sources: Sequence[str], *, parts: bool) -> str:
    """Return the place in the code that may give a variable's value another name; empty where none does.

    Args:
        name: The variable.
        sources: The code.
        parts: Whether parts of the value can be changed in place too.
    """
    for source in sources:
        for statement in statements(source):
            parents = {id(child): node for node in ast.walk(statement) for child in ast.iter_child_nodes(node)}
            for node in ast.walk(statement):
                own = isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
                if own and not _is_local(name, node, parents) and not _is_read(node, parents, parts=parts):
                    return ast.unparse(_statement(node, parents)).partition("\n")[0][:_MAX_SHOWN]
    return ""


def _is_local(name: str, node: ast.AST | None, parents: dict[int, ast.AST]) -> bool:
    while (node := parents.get(id(node))) is not None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and name in local_names(node):
            return True
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            targets = (each for generator in node.generators for each in ast.walk(generator.target))
            if any(isinstance(each, ast.Name) and each.id == name for each in targets):
                return True
    return False


def _statement(node: ast.AST, parents: dict[int, ast.AST]) -> ast.AST:
    while not isinstance(node, ast.stmt):
        node = parents[id(node)]
    return node


def _is_read(node: ast.AST | None, parents: dict[int, ast.AST], *, parts: bool) -> bool:
    """Whether the value of an expression is read here and not handed on."""
    parent = parents.get(id(node))
    if isinstance(parent, ast.Attribute):  # a method that changes it counts as a change, not here
        above = parents.get(id(parent))
        called = isinstance(above, ast.Call) and above.func is parent
        return not (called and parts) or _is_read(above, parents, parts=False) or _is_gone_through(above, parents)
    if isinstance(parent, ast.Subscript) and parent.value is node:
        return not parts or not isinstance(parent.ctx, ast.Load) or _is_read(parent, parents, parts=parts)
    if isinstance(parent, ast.Call | ast.If | ast.While | ast.IfExp | ast.Assert):
        return _reads(parent.func) if isinstance(parent, ast.Call) else parent.test is node
    reading = (
        ast.Compare,
        ast.BinOp,
        ast.UnaryOp,
        ast.FormattedValue,
        ast.Starred,
        ast.Expr,
        ast.Return,
        ast.Subscript,
        ast.Slice,
    )
    if isinstance(parent, ast.BoolOp):
        return _is_read(parent, parents, parts=parts)
    return isinstance(parent, reading) or _is_gone_through(node, parents) or _is_unpacked(node, parent)


def _is_gone_through(node: ast.AST | None, parents: dict[int, ast.AST]) -> bool:
    parent = parents.get(id(node))
    if isinstance(parent, ast.comprehension) and node in parent.ifs:
        return True
    return isinstance(parent, ast.For | ast.AsyncFor | ast.comprehension) and parent.iter is node


def _is_unpacked(node: ast.AST | None, parent: ast.AST | None) -> bool:
    if not isinstance(parent, ast.Dict):
        return False
    return any(key is None and value is node for key, value in zip(parent.keys, parent.values, strict=True))


def _reads(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id in _READERS
    if isinstance(function, ast.Attribute):
        owner = function.value
        return isinstance(owner, ast.Constant) or (isinstance(owner, ast.Name) and owner.id in _READING_MODULES)
    return False
