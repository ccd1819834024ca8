"""Source text of a rewritten syntax tree, and for each of its lines the line of the model's own code."""

from __future__ import annotations

import ast
import copy

__all__ = ["emit"]

_INDENT = "    "
_Block = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith)
_Definition = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class _Emitter:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.origins: list[int] = []
        self.origin = 1

    def push(self, depth: int, text: str) -> None:
        first, *rest = text.split("\n")
        self.lines.append(_INDENT * depth + first)
        self.lines.extend(rest)  # inside a string of several lines: as it stands
        self.origins.extend([self.origin] * (1 + len(rest)))

    def body(self, statements: list[ast.stmt], depth: int) -> None:
        for statement in statements or [ast.Pass()]:
            self.origin = getattr(statement, "lineno", self.origin)
            self.statement(statement, depth)

    def header(self, node: ast.stmt, depth: int, **empty: list[ast.stmt]) -> None:
        bare = copy.copy(node)
        bare.body = [ast.Pass()]  # type: ignore[attr-defined]  # only compound statements come here
        for name, value in empty.items():
            setattr(bare, name, value)
        self.push(depth, ast.unparse(bare).rsplit("\n", 1)[0])

    def statement(self, node: ast.stmt, depth: int) -> None:
        if isinstance(node, _Definition):
            for decorator in node.decorator_list:
                self.push(depth, "@" + ast.unparse(decorator))
            self.header(node, depth, decorator_list=[])
            self.body(node.body, depth + 1)
        elif isinstance(node, _Block):
            if hasattr(node, "orelse"):
                self.header(node, depth, orelse=[])
            else:
                self.header(node, depth)
            self.body(node.body, depth + 1)
            self.otherwise(getattr(node, "orelse", []), depth)
        elif isinstance(node, (ast.Try, ast.TryStar)):
            self.tried(node, depth)
        elif isinstance(node, ast.Match):
            self.push(depth, f"match {ast.unparse(node.subject)}:")
            for case in node.cases:
                bare = ast.match_case(pattern=case.pattern, guard=case.guard, body=[ast.Pass()])
                self.push(depth + 1, ast.unparse(bare).strip().rsplit("\n", 1)[0])
                self.body(case.body, depth + 2)
        else:
            self.push(depth, ast.unparse(node))

    def otherwise(self, statements: list[ast.stmt], depth: int) -> None:
        if statements:
            self.push(depth, "else:")
            self.body(statements, depth + 1)

    def tried(self, node: ast.Try | ast.TryStar, depth: int) -> None:
        word = "except*" if isinstance(node, ast.TryStar) else "except"
        self.push(depth, "try:")
        self.body(node.body, depth + 1)
        for handler in node.handlers:
            self.origin = getattr(handler, "lineno", self.origin)
            kind = f" {ast.unparse(handler.type)}" if handler.type else ""
            name = f" as {handler.name}" if handler.name else ""
            self.push(depth, f"{word}{kind}{name}:")
            self.body(handler.body, depth + 1)
        self.otherwise(node.orelse, depth)
        if node.finalbody:
            self.push(depth, "finally:")
            self.body(node.finalbody, depth + 1)


def emit(tree: ast.Module) -> tuple[str, tuple[int, ...]]:
    """Return the source of `tree`, and the original line of each of its lines."""
    emitter = _Emitter()
    ast.fix_missing_locations(tree)
    for statement in tree.body:
        emitter.body([statement], 0)
    return "\n".join(emitter.lines) + "\n", tuple(emitter.origins)
