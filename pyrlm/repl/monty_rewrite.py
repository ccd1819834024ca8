"""The compatibility layer of the `monty` backend: rewrites a program so that Monty runs it as CPython would.

Monty runs a subset of Python. A rewrite replaces what it lacks by calls into a prelude in Monty's own Python (modules
`monty_prelude_*`), where the meaning is surely kept; other code is left as it is, byte for byte. What can't be had is
refused before anything runs, with the construct's name and what to write instead. The tables in `monty_rewrite_tables`
list everything; to drop a piece when Monty has grown it, delete its line there.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache

from pyrlm.repl.monty_rewrite_emit import emit
from pyrlm.repl.monty_rewrite_scan import Known, UnsupportedError, bound_names, check_returns, consumed
from pyrlm.repl.monty_rewrite_stmt import Rewriter
from pyrlm.repl.monty_surrogates import stand_in

__all__ = ["Known", "Rewritten", "UnsupportedError", "prelude", "rewrite"]

_HELPER = re.compile(r"\b_pyrlm_\w+")
_DEFINED = re.compile(
    r"^(?:async def |def |class )?(_pyrlm_\w+)(?: = |\(|:)|import \w+ as (_pyrlm_\w+)|(?:, |import )\w+ as (_pyrlm_\w+)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """A program for Monty.

    Attributes:
        source: What to run.
        lines: For each line of `source`, the line of the original (both from 1); None where they are the same.
        pieces: Names of the prelude that it calls.
        known: What the session knows when it has run.
    """

    source: str
    lines: tuple[int, ...] | None
    pieces: tuple[str, ...]
    known: Known


_PRELUDE = [
    "core",
    "order",
    "objects",
    "re",
    "match",
    "methods",
    "text",
    "formats",
    "diff",
    "pprint",
    "math",
    "statistics",
    "std",
    "collections",
    "enum",
    "runtime",
    "async",
    "asyncio",
    "threads",
]


@cache
def _pieces() -> dict[str, str]:
    from importlib import import_module  # noqa: PLC0415 - 80 KB of text that only this backend needs

    merged: dict[str, str] = {}
    for room in _PRELUDE:
        merged |= import_module(f"pyrlm.repl.monty_prelude_{room}").PIECES
    return merged


@cache
def _homes() -> dict[str, str]:
    """The piece in which each helper is defined; a piece may define several."""
    homes: dict[str, str] = {}
    for piece, source in _pieces().items():
        for found in _DEFINED.finditer(source):
            homes.setdefault(found.group(1) or found.group(2) or found.group(3), piece)
        homes[piece] = piece
    return homes


def _source_of(name: str) -> str | None:
    if name in _pieces():
        return _pieces()[name]
    if name.startswith("_pyrlm_bound_"):
        from pyrlm.repl.monty_prelude_methods import bound_method  # noqa: PLC0415

        return bound_method(name.removeprefix("_pyrlm_bound_"))
    return None


def prelude(names: tuple[str, ...], loaded: set[str]) -> str:
    """Return the source of the pieces that define `names`, what they need first; `loaded` is added to.

    Args:
        names: Helpers that code calls.
        loaded: Pieces that the session has already.
    """
    out: list[str] = []

    def add(name: str) -> None:
        piece = _homes().get(name, name)
        source = None if piece in loaded else _source_of(piece)
        if source is None:
            return
        loaded.add(piece)
        for needed in _HELPER.findall(source):
            add(needed)
        out.append(source.strip("\n"))

    for name in names:
        add(name)
    return "\n".join(out)


def rewrite(code: str, known: Known, *, echo: bool = False) -> Rewritten:
    """Rewrite a program.

    Args:
        code: The model's code.
        known: What the session knows from earlier programs; not changed.
        echo: Whether the value of a last expression is shown.

    Raises:
        SyntaxError: It is no Python.
        UnsupportedError: It uses a construct that Monty can't run and that has no sure replacement.
    """
    tree = ast.parse(code)
    check_returns(tree)
    for node in ast.walk(tree):
        name = getattr(node, "id", None) or getattr(node, "arg", None) or getattr(node, "attr", None)
        if isinstance(name, str) and name.startswith("_pyrlm_"):
            raise UnsupportedError(f"{name}: names that begin with _pyrlm_ are not yours to use", node)
    after = known.copy()
    top = {name for name in bound_names(tree.body) if not name.startswith("_pyrlm_")}
    top |= {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
    bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    bound |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    bound |= {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    _foresee(tree, after, bound)
    last = tree.body[-1] if tree.body else None
    before = ast.dump(tree)
    stand_in(tree)
    causes = any(isinstance(n, ast.Attribute) and n.attr in {"__cause__", "__context__"} for n in ast.walk(tree))
    rewriter = Rewriter(after, bound, consumed(tree), top, causes=causes)
    rewriter.wants_fields = any(
        (isinstance(n, ast.Name) and n.id == "vars") or (isinstance(n, ast.Attribute) and n.attr == "__dict__")
        for n in ast.walk(tree)
    ) or bool(known.fields)
    made = rewriter.visit(tree)
    if echo and isinstance(last, ast.Expr) and made.body[-1] is last and not _is_print(last.value):
        last.value = ast.copy_location(ast.Call(ast.Name("_pyrlm_show", ast.Load()), [last.value], []), last)
    after.names |= top
    if ast.dump(made) == before:
        return Rewritten(source=code, lines=None, pieces=(), known=after)
    source, lines = emit(made)
    return Rewritten(source=source, lines=lines, pieces=tuple(dict.fromkeys(_HELPER.findall(source))), known=after)


def _is_print(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"


def _foresee(tree: ast.Module, known: Known, bound: set[str]) -> None:
    """Learn what holds for the whole program before the first statement is rewritten."""
    for name in bound & set(known.modules):
        del known.modules[name]
    known.function_names |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Delete):
            known.deleted |= {t.id for t in ast.walk(node) if isinstance(t, ast.Name) and isinstance(t.ctx, ast.Del)}
        elif isinstance(node, ast.ImportFrom):
            known.compared |= any(a.name == "cmp_to_key" for a in node.names)
            known.kinds |= node.module in {"collections.abc", "numbers"}
        elif isinstance(node, ast.Attribute):
            _foresee_attribute(node, known)
        elif isinstance(node, ast.ClassDef):
            known.kinds |= bool(node.bases)


def _foresee_attribute(node: ast.Attribute, known: Known) -> None:
    known.compared |= node.attr == "cmp_to_key"
    known.kinds |= node.attr == "abc"
    owner = node.value
    if isinstance(node.ctx, ast.Store) and isinstance(owner, ast.Name) and owner.id in known.function_names:
        known.function_attributes.add(node.attr)
