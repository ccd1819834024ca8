"""Rewrites of classes that stand for something else: enums, named tuples, exceptions of one's own."""

# ruff: noqa: D102 - the methods are named by ast.NodeTransformer or after the builtin that they rewrite

from __future__ import annotations

import ast

from pyrlm.repl.monty_rewrite_lazy import Lazies
from pyrlm.repl.monty_rewrite_scan import UnsupportedError

__all__ = ["Kinds", "assigned", "code_of", "defined", "name_of"]


def name_of(node: ast.expr) -> str:
    """Return the last part of the name that an expression begins with."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Subscript):
        node = node.value
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def code_of(source: str, like: ast.AST) -> list[ast.stmt]:
    """Parse source as statements at the place of `like`."""
    made = ast.parse(source).body
    for statement in made:
        for node in ast.walk(statement):
            ast.copy_location(node, like)
    return made


def assigned(node: ast.Assign | ast.AnnAssign) -> set[str]:
    """Return the names that a statement of a class body gives."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {t.id for t in targets if isinstance(t, ast.Name)}


def defined(node: ast.stmt) -> set[str]:
    """Return the names that a statement of a class body gives."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return {node.name}
    return assigned(node) if isinstance(node, (ast.Assign, ast.AnnAssign)) else set()


class Kinds(Lazies):
    """The part of the rewriter that replaces enums, named tuples and exceptions."""

    def exception_class(self, node: ast.ClassDef, base: str) -> list[ast.stmt]:
        """Give an own exception what it needs; what is raised is the builtin one at its root, which remembers it."""
        names = {n for s in node.body for n in defined(s)}
        self.known.kinds = True
        if "__init__" in names:
            init = next(s for s in node.body if isinstance(s, ast.FunctionDef) and s.name == "__init__")
            first = init.args.args[0].arg
            given = ", ".join(a.arg for a in init.args.args[1:])
            init.body = [*code_of(f"{first}.args = ({given}{',' if given else ''})", init), *init.body]
            init.body = [_SuperInit(first).visit(s) for s in init.body]
        else:
            node.body += code_of("def __init__(self, *args):\n self.args = args", node)
        if "__str__" not in names:
            node.body += code_of(
                "def __str__(self):\n return '' if not self.args else str(self.args[0]) if len(self.args) == 1 else str(self.args)",
                node,
            )
        if "__repr__" not in names:
            node.body += code_of(
                "def __repr__(self):\n return type(self).__name__ + '(' + ', '.join([repr(a) for a in self.args]) + ')'",
                node,
            )
        return code_of(f"_pyrlm_exc_bases[{node.name}] = {base}", node)

    def enum(self, node: ast.ClassDef, kind: str) -> list[ast.stmt]:
        pairs: list[ast.expr] = []
        self.known.kinds = True
        for statement in node.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                value = self.visit(statement.value)
                pairs.append(ast.Tuple([ast.Constant(statement.targets[0].id), value], ast.Load()))
            elif not isinstance(statement, (ast.Expr, ast.Pass)):
                raise UnsupportedError(
                    f"class {node.name}({kind}): only names with values are supported in an enum here", statement
                )
        made = code_of(f"{node.name} = _pyrlm_EnumType({node.name!r}, [], {kind!r})", node)
        assert isinstance(made[0], ast.Assign)
        assert isinstance(made[0].value, ast.Call)
        made[0].value.args[1] = ast.copy_location(ast.List(pairs, ast.Load()), node)
        self.known.kinds = self.known.ordered = self.known.sized = True
        return made

    def named_tuple(self, node: ast.ClassDef) -> list[ast.stmt]:
        fields: list[str] = []
        defaults: list[ast.expr] = []
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                fields.append(statement.target.id)
                if statement.value is not None:
                    defaults.append(self.visit(statement.value))
            elif not isinstance(statement, (ast.Expr, ast.Pass)):
                raise UnsupportedError(
                    f"class {node.name}(NamedTuple): methods are not supported here; use a dataclass", statement
                )
        made = code_of(f"{node.name} = _pyrlm_nt({node.name!r}, {fields!r}, defaults=[])", node)
        assert isinstance(made[0], ast.Assign)
        assert isinstance(made[0].value, ast.Call)
        made[0].value.keywords[0].value = ast.copy_location(ast.List(defaults, ast.Load()), node)
        return made


class _SuperInit(ast.NodeTransformer):
    """`super().__init__(…)` of an own exception sets its args."""

    def __init__(self, first: str) -> None:
        self.first = first

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:
        value = node.value
        if not isinstance(value, ast.Call) or not ast.unparse(value.func).startswith("super("):
            return node
        made = code_of(f"{self.first}.args = ()", node)
        assert isinstance(made[0], ast.Assign)
        made[0].value = ast.copy_location(ast.Tuple(value.args, ast.Load()), node)
        return made[0]
