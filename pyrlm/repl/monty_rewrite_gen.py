"""Generator functions as objects with `__next__`: the body is cut at each `yield` into blocks that jump to each other.

Every variable of the function becomes one of an enclosing function that the blocks share. A block returns where to go
on: a number, or a pair of number and yielded value, or None at the end. A `yield` inside `try` or `with`, or one whose
value is used, is not supported and left to Monty's own error.
"""

# ruff: noqa: N815 - the methods are named by ast.NodeTransformer or after the builtin that they rewrite

from __future__ import annotations

import ast

from pyrlm.repl.monty_rewrite_scan import UnsupportedError, bound_names, walk_scope

__all__ = ["generator_to_blocks"]

_PREFIX = "_pyrlm_b"


def _yields(node: ast.AST) -> bool:
    return any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in walk_scope([node]))


def _constant(value: int) -> ast.Constant:
    return ast.Constant(value)


class _Jumps(ast.NodeTransformer):
    """`return`, and `break` and `continue` of the loop that was cut, inside a statement that stays whole."""

    def __init__(self, leave: int | None, again: int | None) -> None:
        self.leave, self.again, self.depth = leave, again, 0

    def visit_Return(self, node: ast.Return) -> ast.AST:
        return ast.copy_location(ast.Return(None), node)

    def visit_Break(self, node: ast.Break) -> ast.AST:
        if self.depth or self.leave is None:
            return node
        return ast.copy_location(ast.Return(_constant(self.leave)), node)

    def visit_Continue(self, node: ast.Continue) -> ast.AST:
        if self.depth or self.again is None:
            return node
        return ast.copy_location(ast.Return(_constant(self.again)), node)

    def _loop(self, node: ast.AST) -> ast.AST:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1
        return node

    visit_For = visit_While = visit_AsyncFor = _loop

    def _scope(self, node: ast.AST) -> ast.AST:
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = visit_ClassDef = _scope


class _Cutter:
    def __init__(self) -> None:
        self.blocks: list[list[ast.stmt]] = [[]]
        self.at = 0
        self.extra: list[str] = []

    def new(self) -> int:
        self.blocks.append([])
        return len(self.blocks) - 1

    def add(self, statement: ast.stmt) -> None:
        self.blocks[self.at].append(statement)

    def goto(self, block: int, like: ast.AST) -> None:
        self.add(ast.copy_location(ast.Return(_constant(block)), like))

    def body(self, statements: list[ast.stmt], leave: int | None, again: int | None) -> None:
        for statement in statements:
            if not _yields(statement):
                self.add(_Jumps(leave, again).visit(statement))
            else:
                self.cut(statement, leave, again)

    def cut(self, node: ast.stmt, leave: int | None, again: int | None) -> None:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield):
            after = self.new()
            value = node.value.value or ast.Constant(None)
            pair = ast.Tuple([_constant(after), value], ast.Load())
            self.add(ast.copy_location(ast.Return(pair), node))
            self.at = after
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.YieldFrom):
            self.loop_over(node, node.value.value, None, [], leave=None)
        elif isinstance(node, ast.If):
            self.branch(node, leave, again)
        elif isinstance(node, ast.While):
            self.loop_while(node)
        elif isinstance(node, ast.For):
            self.loop_over(node, node.iter, node.target, node.body, leave=node.orelse)
        else:
            where = "try" if isinstance(node, (ast.Try, ast.With)) else "an expression"
            raise UnsupportedError(
                f"yield inside {where}: not supported here; collect the values in a list and return it", node
            )

    def branch(self, node: ast.If, leave: int | None, again: int | None) -> None:
        then, other, end = self.new(), self.new(), self.new()
        jump = ast.IfExp(node.test, _constant(then), _constant(other))
        self.add(ast.copy_location(ast.Return(jump), node))
        for block, statements in ((then, node.body), (other, node.orelse)):
            self.at = block
            self.body(statements, leave, again)
            self.goto(end, node)
        self.at = end

    def loop_while(self, node: ast.While) -> None:
        head, inside, other, end = self.new(), self.new(), self.new(), self.new()
        self.goto(head, node)
        self.at = head
        self.add(ast.copy_location(ast.Return(ast.IfExp(node.test, _constant(inside), _constant(other))), node))
        self.at = inside
        self.body(node.body, end, head)
        self.goto(head, node)
        self.at = other
        self.body(node.orelse, None, None)
        self.goto(end, node)
        self.at = end

    def loop_over(
        self,
        node: ast.stmt,
        iterable: ast.expr,
        target: ast.expr | None,
        body: list[ast.stmt],
        leave: list[ast.stmt] | None,
    ) -> None:
        head, other, end = self.new(), self.new(), self.new()
        name = f"_pyrlm_it{len(self.extra)}"
        self.extra += [name, name + "v"]
        source = ast.parse(f"{name} = iter(None)").body[0]
        assert isinstance(source, ast.Assign)
        assert isinstance(source.value, ast.Call)
        source.value.args = [iterable]
        step = ast.parse(f"{name}v = next({name}, _pyrlm_none)\nif {name}v is _pyrlm_none:\n return {other}").body
        for statement in [source, *step]:
            _relocate(statement, node)
        self.add(source)
        self.goto(head, node)
        self.at = head
        for statement in step:
            self.add(statement)
        value = ast.Name(name + "v", ast.Load())
        if target is None:
            after = self.new()
            self.add(ast.copy_location(ast.Return(ast.Tuple([_constant(after), value], ast.Load())), node))
            self.at = after
        else:
            self.add(ast.copy_location(ast.Assign([target], value, lineno=node.lineno), node))
            self.body(body, end, head)
        self.goto(head, node)
        self.at = other
        self.body(leave or [], None, None)
        self.goto(end, node)
        self.at = end


def _relocate(node: ast.AST, like: ast.AST) -> None:
    for child in ast.walk(node):
        ast.copy_location(child, like)


def _argument_names(node: ast.FunctionDef) -> list[str]:
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [a.arg for a in [*every, *[x for x in (arguments.vararg, arguments.kwarg) if x]]]


def generator_to_blocks(node: ast.FunctionDef) -> ast.FunctionDef:
    """Return a function that returns a generator object, in place of a generator function.

    Raises:
        UnsupportedError: A yield stands where the body can't be cut.
    """
    declared: set[str] = set()
    body: list[ast.stmt] = []
    for statement in node.body:
        if isinstance(statement, (ast.Global, ast.Nonlocal)):
            declared.update(statement.names)
        else:
            body.append(statement)
    shared_by = [s for s in node.body if isinstance(s, (ast.Global, ast.Nonlocal))]
    local = [name for name in bound_names(body) if name not in declared]
    cutter = _Cutter()
    cutter.body(body, None, None)
    cutter.add(ast.Return(None))
    arguments = _argument_names(node)
    made = [name for name in [*local, *cutter.extra] if name not in arguments]
    shared = [*dict.fromkeys([*local, *cutter.extra])]
    result: list[ast.stmt] = [
        ast.Assign([ast.Name(name, ast.Store())], ast.Constant(None), lineno=node.lineno) for name in made
    ]
    for number, block in enumerate(cutter.blocks):
        head: list[ast.stmt] = [*shared_by, *([ast.Nonlocal(shared)] if shared else [])]
        empty = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        function = ast.FunctionDef(
            name=f"{_PREFIX}{number}", args=empty, body=[*head, *(block or [ast.Return(None)])], decorator_list=[]
        )
        result.append(ast.copy_location(function, node))
    blocks = ast.List([ast.Name(f"{_PREFIX}{n}", ast.Load()) for n in range(len(cutter.blocks))], ast.Load())
    call = ast.Call(ast.Name("_pyrlm_Generator", ast.Load()), [blocks], [])
    result.append(ast.copy_location(ast.Return(call), node))
    made_function = ast.FunctionDef(
        name=node.name, args=node.args, body=result, decorator_list=node.decorator_list, returns=None
    )
    return ast.copy_location(made_function, node)
