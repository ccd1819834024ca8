"""Rewrites of classes: properties, static and class methods, inheritance by copying, enums, named tuples, exceptions."""

# ruff: noqa: D102, N802 - the methods are named by ast.NodeTransformer or after the builtin that they rewrite

from __future__ import annotations

import ast
import copy

from pyrlm.repl import monty_rewrite_tables as tables
from pyrlm.repl.monty_rewrite_kinds import Kinds, assigned, code_of, defined, name_of
from pyrlm.repl.monty_rewrite_scan import ClassInfo, UnsupportedError

__all__ = ["Classes"]

_SIZED = frozenset({"__len__", "__bool__"})


class _Supers(ast.NodeTransformer):
    """`super().method(…)` in a method of a class whose parent is known."""

    def __init__(self, parents: list[str], bodies: dict[str, set[str]], first: str) -> None:
        self.parents, self.bodies, self.first = parents, bodies, first

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        function = node.func
        if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Call):
            return node
        if name_of(function.value.func) != "super":
            return node
        owner = next((p for p in self.parents if function.attr in self.bodies.get(p, ())), None)
        if owner is None:
            if function.attr == "__init__":
                return ast.copy_location(ast.Constant(None), node)
            raise UnsupportedError(f"super().{function.attr}(): no parent class here defines it", node)
        method = ast.Attribute(ast.Name(owner, ast.Load()), function.attr, ast.Load())
        return ast.copy_location(ast.Call(method, [ast.Name(self.first, ast.Load()), *node.args], node.keywords), node)


class Classes(Kinds):
    """The part of the rewriter that replaces class definitions."""

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST | list[ast.stmt]:
        bases = [name_of(b) for b in node.bases if name_of(b) not in tables.PASSING_BASES]
        if any(b in tables.ENUM_BASES for b in bases):
            kind = next(b for b in bases if b in tables.ENUM_BASES)
            return self.enum(node, "Mixed" if kind == "Enum" and len(bases) > 1 else kind)
        if "NamedTuple" in bases:
            return self.named_tuple(node)
        if "TypedDict" in bases:
            return code_of(f"{node.name} = dict", node)
        self.refuse_missing(node)
        node.bases, node.keywords = [], []
        parents, copied, exception = self.parents(node, bases)
        after = self.methods(node, parents)
        own = {s.name for s in node.body if isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef))}
        own |= {n for s in node.body if isinstance(s, (ast.Assign, ast.AnnAssign)) for n in assigned(s)}
        node.body = [s for s in copied if not (defined(s) & own)] + node.body
        if exception is not None:
            after += self.exception_class(node, exception)
        after += self.dataclass(node)
        data = any(name_of(d) == "dataclass" for d in node.decorator_list)
        self.known.classes[node.name] = ClassInfo(tuple(copy.deepcopy(node.body)), tuple(parents), exception, data)
        self.note_special(node)
        if parents:
            self.known.kinds = True
            every = list(dict.fromkeys(self.ancestors(parents)))
            after += [
                s for p in every for s in code_of(f"_pyrlm_subclasses.setdefault({p}, []).append({node.name})", node)
            ]
        self.generic_visit(node)
        if not node.body:
            node.body = [ast.copy_location(ast.Pass(), node)]
        self.known.fields.extend(_fields(node))
        if self.wants_fields:
            names = [*dict.fromkeys([*_fields(node), *self.known.fields])]
            after += code_of(f"_pyrlm_fields[{node.name!r}] = {names!r}", node)
        return [node, *after]

    wants_fields = False

    def ancestors(self, parents: list[str]) -> list[str]:
        """Return parents and their parents."""
        found = list(parents)
        for parent in parents:
            found += self.ancestors(list(self.known.classes[parent].parents))
        return found

    def refuse_missing(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            name = getattr(statement, "name", "")
            if name in tables.MISSING_SPECIAL:
                instead = tables.MISSING_SPECIAL[name]
                raise UnsupportedError(f"class {node.name}: {name} is not supported here; {instead}", statement)

    def parents(self, node: ast.ClassDef, bases: list[str]) -> tuple[list[str], list[ast.stmt], str | None]:
        """Return known parent classes, what is copied from them, and the builtin exception at the root."""
        parents: list[str] = []
        copied: list[ast.stmt] = []
        exception: str | None = None
        for base in bases:
            renamed = tables.RENAMED_EXCEPTIONS.get(base, base)
            if base in self.known.classes:
                info = self.known.classes[base]
                parents.append(base)
                seen = {n for s in copied for n in defined(s)}
                copied += [s for s in copy.deepcopy(list(info.body)) if not (defined(s) & seen) and defined(s)]
                exception = exception or info.exception
            elif renamed in tables.EXCEPTIONS:
                exception = exception or renamed
            else:
                raise UnsupportedError(
                    f"class {node.name}({base}): inheritance from {base or 'this'} is not supported here; write functions, "
                    "or a class that holds such an object in an attribute",
                    node,
                )
        return parents, copied, exception

    def methods(self, node: ast.ClassDef, parents: list[str]) -> list[ast.stmt]:
        """Rename decorated methods; return what stands behind the class."""
        bodies = {p: {n for s in self.known.classes[p].body for n in defined(s)} for p in parents}
        after: list[ast.stmt] = []
        for statement in node.body:
            if not isinstance(statement, ast.FunctionDef):
                continue
            if statement.args.args:
                _Supers(parents, bodies, statement.args.args[0].arg).visit(statement)
            kept: list[ast.expr] = []
            for decorator in statement.decorator_list:
                kind = name_of(decorator)
                if kind in {"property", "cached_property"}:
                    self.known.properties.add(statement.name)
                    statement.name = f"_pyrlm_get_{statement.name}"
                elif isinstance(decorator, ast.Attribute) and decorator.attr == "setter":
                    statement.name = f"_pyrlm_set_{statement.name}"
                elif kind in {"staticmethod", "classmethod"}:
                    name = statement.name
                    statement.name = f"_pyrlm_in_{name}"
                    wrapper = "_pyrlm_Static" if kind == "staticmethod" else "_pyrlm_ClassMethod"
                    after += code_of(
                        f"{node.name}.{name} = {wrapper}({node.name}, {node.name}._pyrlm_in_{name})", statement
                    )
                elif kind not in {"abstractmethod", "override", "final"}:
                    kept.append(decorator)
            statement.decorator_list = kept
        inherited = {n.removeprefix("_pyrlm_in_") for p in parents for n in bodies[p] if n.startswith("_pyrlm_in_")}
        mine = {getattr(s, "name", "").removeprefix("_pyrlm_in_") for s in node.body}
        for name in sorted(inherited - mine):
            parent = next(p for p in parents if f"_pyrlm_in_{name}" in bodies[p])
            after += code_of(f"{node.name}.{name} = {parent}.{name}._for({node.name})", node)
        return after

    def note_special(self, node: ast.ClassDef) -> None:
        """Remember what operators of the language must ask this class from now on."""
        names = {n for s in node.body for n in defined(s)}
        total = any(name_of(d) == "total_ordering" for d in node.decorator_list)
        node.decorator_list = [d for d in node.decorator_list if name_of(d) != "total_ordering"]
        if total:
            self.total_ordering(node, names)
        self.known.sized |= bool(names & _SIZED)
        self.known.ordered |= bool(names & set(tables.ORDER_METHODS.values()))

    def total_ordering(self, node: ast.ClassDef, names: set[str]) -> None:
        root = next((n for n in ("__lt__", "__le__", "__gt__", "__ge__") if n in names), None)
        if root is None:
            raise UnsupportedError("total_ordering: the class must define one of <, >, <=, >=", node)
        rules = {
            "__lt__": {
                "__gt__": "not (self < o) and self != o",
                "__le__": "self < o or self == o",
                "__ge__": "not self < o",
            },
            "__gt__": {
                "__lt__": "not (self > o) and self != o",
                "__ge__": "self > o or self == o",
                "__le__": "not self > o",
            },
            "__le__": {
                "__ge__": "not (self <= o) or self == o",
                "__lt__": "self <= o and self != o",
                "__gt__": "not self <= o",
            },
            "__ge__": {
                "__le__": "not (self >= o) or self == o",
                "__gt__": "self >= o and self != o",
                "__lt__": "not self >= o",
            },
        }[root]
        self.known.ordered = True
        for name, value in rules.items():
            if name not in names:
                node.body += code_of(f"def {name}(self, o):\n return {value}", node)

    def dataclass(self, node: ast.ClassDef) -> list[ast.stmt]:
        """Take options away that Monty lacks, and tell the fields."""
        decorator = next((d for d in node.decorator_list if name_of(d) == "dataclass"), None)
        if decorator is None:
            return []
        fields = [
            s.target.id
            for s in node.body
            if isinstance(s, ast.AnnAssign)
            and isinstance(s.target, ast.Name)
            and "ClassVar" not in ast.unparse(s.annotation)
        ]
        if isinstance(decorator, ast.Call):
            options = {k.arg: k.value for k in decorator.keywords}
            order = options.get("order")
            decorator.keywords = [k for k in decorator.keywords if k.arg not in {"order", "slots", "eq", "unsafe_hash"}]
            if isinstance(order, ast.Constant) and order.value:
                mine, other = (", ".join(f"{o}.{f}" for f in fields) for o in ("self", "o"))
                for name, sign in (("__lt__", "<"), ("__gt__", ">"), ("__le__", "<="), ("__ge__", ">=")):
                    node.body += code_of(f"def {name}(self, o):\n return ({mine},) {sign} ({other},)", node)
        return code_of(f"_pyrlm_dc_fields[{node.name}] = {tuple(fields)!r}", node)


def _fields(node: ast.AST) -> list[str]:
    """Attributes that methods set on their objects, in order."""
    found = [
        (n.lineno, n.col_offset, n.attr)
        for n in ast.walk(node)
        if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) and hasattr(n, "lineno")
    ]
    own = [
        s.target.id
        for s in getattr(node, "body", [])
        if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)
    ]
    return [*own, *(name for _, _, name in sorted(found))]
