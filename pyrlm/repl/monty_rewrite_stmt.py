"""Rewrites of statements: imports, `del`, assignments to attributes, generators, loops, own exceptions."""

# ruff: noqa: D102, N802 - the methods are named by ast.NodeTransformer or after the builtin that they rewrite

from __future__ import annotations

import ast

from pyrlm.repl import monty_rewrite_tables as tables
from pyrlm.repl.monty_rewrite_await import Awaits
from pyrlm.repl.monty_rewrite_expr import call
from pyrlm.repl.monty_rewrite_gen import generator_to_blocks
from pyrlm.repl.monty_rewrite_kinds import code_of
from pyrlm.repl.monty_rewrite_scan import Known, UnsupportedError, bound_names, has_yield

__all__ = ["Rewriter"]


class Rewriter(Awaits):
    """Rewrites a module; what it learns goes into `known`."""

    def __init__(
        self, known: Known, bound: set[str], used_up: dict[int, ast.AST], top: set[str], *, causes: bool
    ) -> None:
        super().__init__(known, bound, used_up)
        self.top = top
        self.causes = causes
        self.fresh = 0
        self.later = {}

    def module_names(self) -> set[str]:
        return self.top

    def shadowing_names(self) -> set[str]:
        functions = [scope for scope in self.scopes if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef)]
        return {name for function in functions for name in _locals_of(function)}

    def local_names(self) -> list[str]:
        function = self.scopes[-1]
        assert isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        return _locals_of(function)

    # del and assignments

    def visit_Delete(self, node: ast.Delete) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        for target in node.targets:
            made += self.deleted(target, node)
        return made

    def deleted(self, target: ast.expr, node: ast.Delete) -> list[ast.stmt]:
        if isinstance(target, (ast.Tuple, ast.List)):
            return [s for t in target.elts for s in self.deleted(t, node)]
        if isinstance(target, ast.Name):
            made = code_of(f"{target.id} = _pyrlm_del({target.id}, {target.id!r})", node)
            self.known.deleted.add(target.id)
            return made
        if isinstance(target, ast.Subscript):
            key = target.slice
            if isinstance(key, ast.Slice):
                parts = [p or ast.Constant(None) for p in (key.lower, key.upper, key.step)]
                key = call("slice", *parts, like=node)
            gone = call("_pyrlm_delitem", self.visit(target.value), self.visit(key), like=node)
            return [ast.copy_location(ast.Expr(gone), node)]
        raise UnsupportedError("del object.attribute: not supported here; set the attribute to None instead", node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.stmt]:
        if len(node.targets) == 1:
            made = self.special_target(node.targets[0], node)
            if made is not None:
                return made
        self.generic_visit(node)
        return node

    def special_target(self, target: ast.expr, node: ast.Assign) -> list[ast.stmt] | None:
        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Call):
            function = target.value.func
            if (
                isinstance(function, ast.Name)
                and function.id in {"globals", "locals", "vars"}
                and self.is_free(function.id)
            ):
                name = target.slice.value if isinstance(target.slice, ast.Constant) else None
                if self.scopes or not isinstance(name, str) or not name.isidentifier():
                    raise UnsupportedError(f"{function.id}()[…] = …: not supported here; use a dict of your own", node)
                made = ast.Assign([ast.Name(name, ast.Store())], self.visit(node.value), lineno=node.lineno)
                return [ast.copy_location(made, node)]
        if not isinstance(target, ast.Attribute):
            return None
        setter = None
        if target.attr in self.known.properties:
            setter = "_pyrlm_setprop"
        elif target.attr in self.known.function_attributes:
            setter = "_pyrlm_fset"
        if setter is None:
            return None
        made_call = call(setter, self.visit(target.value), ast.Constant(target.attr), self.visit(node.value), like=node)
        return [ast.copy_location(ast.Expr(made_call), node)]

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST | list[ast.stmt]:
        target = node.target
        special = self.known.properties | self.known.function_attributes
        if isinstance(target, ast.Attribute) and target.attr in special:
            read = ast.copy_location(ast.Attribute(target.value, target.attr, ast.Load()), node)
            value = ast.copy_location(ast.BinOp(read, node.op, node.value), node)
            return self.visit_Assign(ast.copy_location(ast.Assign([target], value, lineno=node.lineno), node))
        self.generic_visit(node)
        return node

    # functions and loops

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if not self.scopes:
            self.known.function_names.add(node.name)
            self.known.docs[node.name] = ast.get_docstring(node, clean=False)
        generator = has_yield(node)
        if generator:
            self.known.generators[node.name] = not self.pure(*node.body)
        self.scopes.append(node)
        self.generic_visit(node)
        self.scopes.pop()
        return generator_to_blocks(node) if generator else node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        if has_yield(node):
            raise UnsupportedError("async generators: not supported here; collect the values in a list", node)
        self.scopes.append(node)
        self.generic_visit(node)
        self.scopes.pop()
        return node

    def impure_generator(self, node: ast.expr) -> bool:
        """Whether an iterable is a generator whose body may call the host, which `for` can't wait for there."""
        if not isinstance(node, ast.Call):
            return False
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name == "enumerate" and node.args:
            return self.impure_generator(node.args[0])
        return self.known.generators.get(name, False)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in tables.CONSUMERS | tables.CONSUMING_METHODS:
            node.args = [self.pulled(a) for a in node.args]
        return super().visit_Call(node)

    def pulled(self, node: ast.expr) -> ast.expr:
        return call("_pyrlm_pull", node, like=node) if self.impure_generator(node) else node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.iter = self.pulled(node.iter)
        return super().visit_comprehension(node)

    def visit_For(self, node: ast.For) -> ast.AST | list[ast.stmt]:
        lazy = isinstance(node.iter, ast.GeneratorExp) and not self.pure(node.iter)
        if not (lazy or self.impure_generator(node.iter)) or node.orelse:
            self.generic_visit(node)
            return node
        return self.stepwise(node, lazy=lazy)

    def stepwise(self, node: ast.For, *, lazy: bool) -> list[ast.stmt]:
        """Take items one by one with `next`, which may wait for the host."""
        self.fresh += 1
        name = f"_pyrlm_for{self.fresh}"
        source = node.iter
        number = None
        if isinstance(source, ast.Call) and isinstance(source.func, ast.Name) and source.func.id == "enumerate":
            number, source = source.args[1] if len(source.args) > 1 else ast.Constant(0), source.args[0]
        if lazy:
            assert isinstance(source, ast.GeneratorExp)
            parts = self.split_generator(source)
            if parts is None:
                self.generic_visit(node)
                return [node]
            source = call("_pyrlm_Lazy", *parts, like=node)
        made = code_of(
            f"{name} = None\n{name}n = None\nwhile True:\n {name}v = next({name}, _pyrlm_none)\n"
            f" if {name}v is _pyrlm_none:\n  break\n {name}t = {name}v",
            node,
        )
        start, counter, loop = made
        assert isinstance(start, ast.Assign)
        assert isinstance(counter, ast.Assign)
        assert isinstance(loop, ast.While)
        start.value = call("iter", self.visit(source), like=node)
        last = loop.body[-1]
        assert isinstance(last, ast.Assign)
        last.targets = [node.target]
        if number is not None:
            counter.value = self.visit(number)
            last.value = _expression(f"({name}n, {name}v)", node)
            loop.body += code_of(f"{name}n += 1", node)
        loop.body += [s for b in node.body for s in _listed(self.visit(b))]
        return [start, counter, loop]

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        node.test = self.truth(node.test)
        return node

    def visit_While(self, node: ast.While) -> ast.AST:
        self.generic_visit(node)
        node.test = self.truth(node.test)
        return node

    # exceptions

    def own_exceptions(self) -> bool:
        """Whether code has defined exceptions of its own."""
        return any(info.exception for info in self.known.classes.values())

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        """A message that may be no string is an internal error there."""
        self.generic_visit(node)
        node.test = self.truth(node.test)
        if node.msg is None or isinstance(node.msg, ast.JoinedStr):
            return node
        if isinstance(node.msg, ast.Constant) and isinstance(node.msg.value, str):
            return node
        made = call("_pyrlm_exc", ast.Name("AssertionError", ast.Load()), node.msg, like=node)
        failed = ast.UnaryOp(ast.Not(), node.test)
        return ast.fix_missing_locations(ast.copy_location(ast.If(failed, [ast.Raise(made)], []), node))

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        self.generic_visit(node)
        if node.exc is not None and self.own_exceptions():
            node.exc = call("_pyrlm_raise", node.exc, like=node)
        if node.exc is not None and node.cause is not None and self.causes:
            node.exc = call("_pyrlm_from", node.exc, node.cause, like=node)
        if node.cause is not None and not isinstance(node.cause, ast.Constant) and self.own_exceptions():
            node.cause = None
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        if node.name:
            self.handlers.append(node.name)
        self.generic_visit(node)
        if node.name:
            self.handlers.pop()
        return node

    def visit_TryStar(self, node: ast.TryStar) -> ast.AST:
        raise UnsupportedError("except*: not supported here; use except", node)

    def visit_Try(self, node: ast.Try) -> ast.AST:
        self.generic_visit(node)
        if not node.handlers or not self.own_exceptions():
            return node
        self.fresh += 1
        name = f"_pyrlm_e{self.fresh}"
        chain: list[ast.stmt] = [ast.copy_location(ast.Raise(), node)]
        broad = "Exception"
        for handler in reversed(node.handlers):
            kind = handler.type
            if kind is None or (
                isinstance(kind, ast.Name) and kind.id in {"BaseException", "SystemExit", "KeyboardInterrupt"}
            ):
                broad = "BaseException"
            body = handler.body
            if handler.name:
                body = [*code_of(f"{handler.name} = _pyrlm_unwrap({name})", handler), *body]
            test: ast.expr = ast.Constant(True)
            if kind is not None:
                test = call("_pyrlm_caught", ast.Name(name, ast.Load()), kind, like=handler)
            chain = [ast.copy_location(ast.If(test, body, chain), handler)]
        one = ast.ExceptHandler(ast.Name(broad, ast.Load()), name, chain)
        node.handlers = [ast.copy_location(one, node.handlers[0])]
        return node


def _expression(source: str, like: ast.AST) -> ast.expr:
    made = code_of(source, like)[0]
    assert isinstance(made, ast.Expr)
    return made.value


def _listed(made: ast.AST | list[ast.stmt]) -> list[ast.stmt]:
    return made if isinstance(made, list) else [made]  # type: ignore[list-item]  # visiting a statement gives statements


def _locals_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    given = [a.arg for a in [*every, *(x for x in (arguments.vararg, arguments.kwarg) if x)]]
    return [n for n in dict.fromkeys([*given, *bound_names(function.body)]) if not n.startswith("_pyrlm_")]
