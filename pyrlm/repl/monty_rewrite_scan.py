"""What a rewrite must know of code before it touches it: names, and where iterables are used up at once."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace

from pyrlm.repl import monty_rewrite_tables as tables

__all__ = [
    "ClassInfo",
    "Known",
    "UnsupportedError",
    "bound_names",
    "check_returns",
    "consumed",
    "has_yield",
    "is_pure",
    "targets",
    "walk_scope",
]

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class UnsupportedError(Exception):
    """A construct that this backend refuses before anything runs; the message says what to write instead.

    Attributes:
        line: Line of the model's code, from 1.
    """

    def __init__(self, message: str, node: ast.AST) -> None:
        super().__init__(message)
        self.line: int = getattr(node, "lineno", 1)


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """A class that code has defined: its rewritten body, to be copied into classes made from it."""

    body: tuple[ast.stmt, ...]
    parents: tuple[str, ...] = ()
    exception: str | None = None
    dataclass: bool = False


@dataclass(slots=True)
class Known:
    """What is known of a session's code from one execution to the next."""

    host: frozenset[str] = frozenset()
    modules: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    classes: dict[str, ClassInfo] = field(default_factory=dict)
    generators: dict[str, bool] = field(default_factory=dict)
    docs: dict[str, str | None] = field(default_factory=dict)
    properties: set[str] = field(default_factory=set)
    function_names: set[str] = field(default_factory=set)
    function_attributes: set[str] = field(default_factory=set)
    fields: list[str] = field(default_factory=list)
    kinds: bool = False
    ordered: bool = False
    sized: bool = False
    compared: bool = False

    def copy(self) -> Known:
        """Return a copy that can be changed on its own."""
        return replace(
            self,
            modules=dict(self.modules),
            names=set(self.names),
            deleted=set(self.deleted),
            classes=dict(self.classes),
            generators=dict(self.generators),
            docs=dict(self.docs),
            properties=set(self.properties),
            function_names=set(self.function_names),
            function_attributes=set(self.function_attributes),
            fields=list(self.fields),
        )


def walk_scope(nodes: list[ast.stmt] | list[ast.expr] | list[ast.AST]) -> list[ast.AST]:
    """List the nodes of one scope: those of nested functions, classes and lambdas are left out."""
    found: list[ast.AST] = []
    waiting: list[ast.AST] = list(nodes)
    while waiting:
        node = waiting.pop()
        found.append(node)
        if isinstance(node, _SCOPES):
            continue
        waiting.extend(ast.iter_child_nodes(node))
    return found


def targets(node: ast.AST) -> set[str]:
    """Return the plain names in an assignment's target."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def bound_names(nodes: list[ast.stmt]) -> list[str]:
    """List the names that statements bind in their own scope, in the order of first mention."""
    found: dict[str, int] = {}
    inner: set[int] = set()
    every = walk_scope(nodes)
    for node in every:
        if isinstance(node, _COMPREHENSIONS):
            for generator in node.generators:
                inner.update(id(n) for n in ast.walk(generator.target))
    for node in every:
        for name in () if id(node) in inner else _given_names(node):
            found.setdefault(name, getattr(node, "lineno", 0))
    return sorted(found, key=lambda name: found[name])


def _given_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Name):
        return [] if isinstance(node.ctx, ast.Load) else [node.id]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, _NAMED):
        return [node.name] if node.name else []
    return [node.rest] if isinstance(node, ast.MatchMapping) and node.rest else []


def consumed(tree: ast.AST) -> dict[int, ast.AST]:
    """Return the expressions whose iterable is used up where it stands, so that a list does as well, by their ids.

    They are kept alive by it, so that no new node gets the id of one that a rewrite has dropped.
    """
    found: dict[int, ast.AST] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else None
            attribute = node.func.attr if isinstance(node.func, ast.Attribute) else None
            if name in tables.CONSUMERS or attribute in tables.CONSUMING_METHODS:
                found.update((id(argument), argument) for argument in node.args)
        elif isinstance(node, (ast.For, ast.comprehension)):
            found[id(node.iter)] = node.iter
        elif isinstance(node, (ast.Starred, ast.YieldFrom)) or (
            isinstance(node, ast.Assign) and any(isinstance(t, (ast.Tuple, ast.List)) for t in node.targets)
        ):
            found[id(node.value)] = node.value
        elif isinstance(node, ast.Compare):
            found.update((id(c), c) for c in node.comparators)
    return found


def check_returns(tree: ast.Module) -> None:
    """Raise SyntaxError for a `return` outside of functions, at which Monty would end the code without a word."""
    found = next((node for node in walk_scope(list(tree.body)) if isinstance(node, ast.Return)), None)
    if found is not None:
        raise SyntaxError("'return' outside function", ("<code>", found.lineno, found.col_offset + 1, None))


def has_yield(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function is a generator."""
    return any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in walk_scope(list(node.body)))


def is_pure(nodes: list[ast.AST], known: Known, bound: set[str]) -> bool:
    """Whether expressions surely call nothing of the host: only builtins and methods of plain values."""
    for root in nodes:
        for node in ast.walk(root):
            if isinstance(node, ast.Await):
                return False
            if not isinstance(node, ast.Call):
                continue
            function = node.func
            if isinstance(function, ast.Name):
                helper = function.id.startswith(("_pyrlm_bound_", "_pyrlm_attr_", "_pyrlm_call_", "_pyrlm_round"))
                if not helper and (function.id not in tables.PURE_BUILTINS or function.id in bound):
                    return False
            elif isinstance(function, ast.Attribute):
                owner = function.value
                if function.attr not in tables.BOUND_METHODS or (
                    isinstance(owner, ast.Name) and owner.id in known.host
                ):
                    return False
            else:
                return False
    return True
