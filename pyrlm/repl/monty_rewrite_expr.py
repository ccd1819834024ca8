"""Rewrites of expressions: builtins, methods and attributes that Monty lacks, lazy iterables, host calls in `map`."""

from __future__ import annotations

import ast

from pyrlm.repl import monty_rewrite_tables as tables
from pyrlm.repl.monty_rewrite_scan import Known, UnsupportedError, is_pure, targets

__all__ = ["Expressions"]

_LAZY = frozenset({"map", "filter", "zip", "enumerate", "reversed"})
_ENDLESS = frozenset({"count", "cycle", "repeat"})
_ORDERS = {"Lt": "__lt__", "Gt": "__gt__", "LtE": "__le__", "GtE": "__ge__"}


def call(name: str, *arguments: ast.expr, keywords: list[ast.keyword] | None = None, like: ast.AST) -> ast.Call:
    """Build a call of a prelude function at the place of `like`."""
    function = ast.copy_location(ast.Name(name, ast.Load()), like)
    return ast.copy_location(ast.Call(function, list(arguments), keywords or []), like)


class Expressions(ast.NodeTransformer):
    """The part of the rewriter that replaces expressions.

    Args:
        known: What the session knows; changed as code defines things.
        bound: Names that this code binds anywhere, which stand for nothing else.
        used_up: Ids of expressions in whose place a list does as well.
    """

    def __init__(self, known: Known, bound: set[str], used_up: set[int]) -> None:
        self.known = known
        self.bound = bound
        self.used_up = used_up
        self.handlers: list[str] = []
        self.scopes: list[ast.AST] = []

    def is_free(self, name: str) -> bool:
        """Whether a name still means the builtin."""
        return name not in self.bound and (name not in self.known.names or name in self.known.modules)

    def pure(self, *nodes: ast.AST) -> bool:
        """Whether expressions surely call nothing of the host."""
        return is_pure(list(nodes), self.known, self.bound | self.known.names)

    # names and attributes

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            return node
        if node.id in tables.BUILTINS and self.is_free(node.id):
            return ast.copy_location(ast.Name(tables.BUILTINS[node.id], ast.Load()), node)
        if node.id in tables.RENAMED_EXCEPTIONS and self.is_free(node.id):
            return ast.copy_location(ast.Name(tables.RENAMED_EXCEPTIONS[node.id], ast.Load()), node)
        if node.id in self.known.deleted:
            return call("_pyrlm_there", node, ast.Constant(node.id), like=node)
        return node

    def overlay(self, node: ast.Attribute) -> ast.expr | None:
        """Return the prelude's version of ``module.name``, where Monty's module lacks it."""
        if not isinstance(node.value, ast.Name):
            return None
        module = self.known.modules.get(node.value.id)
        if module is None or node.attr not in tables.OVERLAYS.get(module, ()):
            return None
        owner = ast.copy_location(ast.Name(f"_pyrlm_mod_{module}", ast.Load()), node)
        return ast.copy_location(ast.Attribute(owner, node.attr, ast.Load()), node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            self.generic_visit(node)
            return node
        return self.loaded(node, called=False)

    def loaded(self, node: ast.Attribute, *, called: bool) -> ast.expr:
        """Rewrite a read of an attribute; `called` where it is called at once."""
        over = self.overlay(node)
        if over is not None:
            return over
        owner = node.value
        if node.attr == "__doc__" and isinstance(owner, ast.Name) and owner.id in self.known.docs:
            return ast.copy_location(ast.Constant(self.known.docs[owner.id]), node)
        module = isinstance(owner, ast.Name) and (owner.id in self.known.modules or owner.id in self.known.host)
        name = node.attr
        node.value = self.visit(owner)
        if module and owner.id not in self.known.host:  # type: ignore[union-attr]  # a name, as tested above
            return node
        if name in self.known.properties and not called:
            return call("_pyrlm_prop", node.value, ast.Constant(name), like=node)
        if name in self.known.function_attributes and not called:
            return call("_pyrlm_fget", node.value, ast.Constant(name), like=node)
        if called:
            return node
        if name in {"msg", "pos", "lineno", "colno"} and isinstance(owner, ast.Name) and owner.id in self.handlers:
            place = call("_pyrlm_json_place", node.value, like=node)
            return ast.copy_location(ast.Subscript(place, ast.Constant(name), ast.Load()), node)
        if name in tables.ATTRIBUTES:
            return call(f"_pyrlm_attr_{name}", node.value, like=node)
        if name in tables.BOUND_METHODS:
            return call(f"_pyrlm_bound_{name}", node.value, like=node)
        return node

    # calls

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and self.is_free(node.func.id):
            special = getattr(self, f"call_{node.func.id}", None)
            if special is not None:
                made = special(node)
                if made is not None:
                    return made  # type: ignore[no-any-return]  # found by name
        if isinstance(node.func, ast.Attribute):
            return self.method(node)
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in tables.EXCEPTIONS and self.is_free(node.func.id):
            return self.exception(node)
        return node

    def arguments(self, node: ast.Call) -> None:
        """Rewrite the arguments of a call and leave its function."""
        node.args = [self.visit(a) for a in node.args]
        node.keywords = [self.visit(k) for k in node.keywords]

    def exception(self, node: ast.Call) -> ast.expr:
        """Builtin exceptions take one string at most there."""
        if not node.args or node.keywords:
            return node
        first = node.args[0]
        sure = isinstance(first, ast.JoinedStr) or (isinstance(first, ast.Constant) and isinstance(first.value, str))
        if len(node.args) == 1 and sure:
            return node
        return call("_pyrlm_exc", node.func, *node.args, like=node)

    def method(self, node: ast.Call) -> ast.expr:
        function = node.func
        assert isinstance(function, ast.Attribute)
        name, owner = function.attr, function.value
        if isinstance(owner, ast.Name) and owner.id in tables.BUILTIN_TYPES and self.is_free(owner.id):
            self.arguments(node)
            if name in tables.METHODS:
                return call(f"_pyrlm_call_{name}", owner, *node.args, keywords=node.keywords, like=node)
            if name in tables.BOUND_METHODS:
                return ast.copy_location(
                    ast.Call(call(f"_pyrlm_bound_{name}", owner, like=node), node.args, node.keywords), node
                )
            return node
        module = isinstance(owner, ast.Name) and (owner.id in self.known.modules or owner.id in self.known.host)
        if name == "sort" and any(k.arg == "key" and not self.native_key(k.value) for k in node.keywords):
            self.arguments(node)
            return call("_pyrlm_call_sort", self.visit(owner), *node.args, keywords=node.keywords, like=node)
        node.func = self.loaded(function, called=True)
        self.arguments(node)
        least = tables.METHODS.get(name)
        if least is None or module or not isinstance(node.func, ast.Attribute):
            return self.passed_functions(node)
        starred = any(isinstance(a, ast.Starred) for a in node.args)
        if not starred and len(node.args) + len(node.keywords) < least:
            return node
        if (
            name in {"start", "end", "span"}
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, int)
        ):
            return node
        return call(f"_pyrlm_call_{name}", node.func.value, *node.args, keywords=node.keywords, like=node)

    def passed_functions(self, node: ast.Call) -> ast.expr:
        """``re.sub`` and the like with a function: nothing to do, the prelude calls it. Kept for `reduce`."""
        return node

    def native_key(self, key: ast.expr) -> bool:
        """Whether a native `sorted` can call this key function: it surely suspends nothing."""
        if self.known.compared:
            return False
        if isinstance(key, ast.Constant):
            return True
        if isinstance(key, ast.Lambda):
            return self.pure(key.body)
        if isinstance(key, ast.Name):
            return key.id in tables.PURE_BUILTINS and self.is_free(key.id)
        if isinstance(key, ast.Attribute):
            owner = key.value
            host = isinstance(owner, ast.Name) and owner.id in self.known.host
            return key.attr in tables.BOUND_METHODS and not host
        return False

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
        if len(node.args) + len(node.keywords) < 2:
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
        if len(node.args) == 2:
            return call(f"_pyrlm_bound_{name.value}", node.args[0], like=node)
        has = call("_pyrlm_hasattr", node.args[0], name, like=node)
        made = ast.IfExp(has, call(f"_pyrlm_bound_{name.value}", node.args[0], like=node), node.args[2])
        return ast.copy_location(made, node) if isinstance(node.args[0], ast.Name) else None

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

    def call_FINAL_VAR(self, node: ast.Call) -> ast.expr | None:  # noqa: N802 - named after what it rewrites
        if len(node.args) != 1 or node.keywords:
            return None
        self.arguments(node)
        return call("_pyrlm_final_var", node.args[0], self.all_names(node), like=node)

    def call_SHOW_VARS(self, node: ast.Call) -> ast.expr:  # noqa: N802
        return call("_pyrlm_show_vars", self.all_names(node), like=node)

    def all_names(self, node: ast.Call) -> ast.expr:
        """Return what reads every variable of the session."""
        made = self._names(node, sorted((self.known.names | self.module_names()) - self.known.host))
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

    # iterables that are lazy in Python and lists in Monty

    def split_generator(self, node: ast.expr) -> tuple[ast.expr, ast.expr, ast.expr] | None:
        """Take a generator expression apart: iterable, function of an item, condition (a function, or None)."""
        if not isinstance(node, ast.GeneratorExp) or any(
            isinstance(n, (ast.NamedExpr, ast.Await)) for n in ast.walk(node)
        ):
            return None
        if len(node.generators) != 1 or node.generators[0].is_async:
            return None
        source = node.generators[0]
        value = _function_of(source.target, node.elt)
        test = ast.Constant(None) if not source.ifs else None
        condition = test or _function_of(source.target, _all(source.ifs))
        if value is None or condition is None:
            return None
        return source.iter, value, condition

    def _short(self, node: ast.Call, helper: str) -> ast.expr | None:
        parts = self.split_generator(node.args[0]) if node.args else None
        if parts is None or node.keywords:
            return None
        rest = [self.visit(a) for a in node.args[1:]]
        return call(helper, *[self.visit(p) for p in parts], *rest, like=node)

    def call_any(self, node: ast.Call) -> ast.expr | None:
        return self._short(node, "_pyrlm_any")

    def call_all(self, node: ast.Call) -> ast.expr | None:
        return self._short(node, "_pyrlm_all")

    def call_next(self, node: ast.Call) -> ast.expr | None:
        return self._short(node, "_pyrlm_first")

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.AST:
        if id(node) in self.used_up:
            self.generic_visit(node)
            return node
        parts = self.split_generator(node)
        if parts is not None and self.pure(*parts):
            return call("_pyrlm_Lazy", *[self.visit(p) for p in parts], like=node)
        self.generic_visit(node)
        made = ast.copy_location(ast.ListComp(node.elt, node.generators), node)
        return call("iter", made, like=node)

    # comparisons and truth of objects whose class says what they mean

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        items = [e for e in (node.left, *node.comparators) if _is_items(e)]
        self.generic_visit(node)
        ordering = all(type(op).__name__ in _ORDERS for op in node.ops)
        if ordering and len(items) == 2 and len(node.ops) == 1:
            node.left = call("_pyrlm_items", node.left, like=node)
            node.comparators = [call("_pyrlm_items", node.comparators[0], like=node)]
        elif ordering and self.known.ordered and len(node.ops) == 1:
            order = ast.Constant(_ORDERS[type(node.ops[0]).__name__])
            return call("_pyrlm_compare", node.left, order, node.comparators[0], like=node)
        return node

    def truth(self, node: ast.expr) -> ast.expr:
        """Wrap a condition where classes have `__len__` or `__bool__`, which Monty passes over."""
        if not self.known.sized or isinstance(node, (ast.Compare, ast.Constant)):
            return node
        if isinstance(node, ast.BoolOp):
            node.values = [self.truth(v) for v in node.values]
            return node
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return node
        return call("_pyrlm_truth", node, like=node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not):
            node.operand = self.truth(node.operand)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        node.test = self.truth(node.test)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        self.generic_visit(node)
        node.ifs = [self.truth(test) for test in node.ifs]
        return node


def _last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _all(tests: list[ast.expr]) -> ast.expr:
    return tests[0] if len(tests) == 1 else ast.BoolOp(ast.And(), tests)


def _is_items(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"items", "keys"}


class _Subscripts(ast.NodeTransformer):
    def __init__(self, names: dict[str, int]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self.names:
            return node
        item = ast.Subscript(ast.Name("_pyrlm_x", ast.Load()), ast.Constant(self.names[node.id]), ast.Load())
        return ast.copy_location(item, node)


def _function_of(target: ast.expr, body: ast.expr) -> ast.expr | None:
    """Make a lambda of one item out of a comprehension's target and expression."""
    import copy  # noqa: PLC0415

    body = copy.deepcopy(body)
    if isinstance(target, ast.Name):
        name = target.id
    elif isinstance(target, ast.Tuple) and all(isinstance(t, ast.Name) for t in target.elts):
        inner = {n.arg for f in ast.walk(body) if isinstance(f, ast.Lambda) for n in f.args.args}
        stored = {n.id for n in ast.walk(body) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
        if (inner | stored) & targets(target):
            return None
        name = "_pyrlm_x"
        body = _Subscripts({t.id: n for n, t in enumerate(target.elts) if isinstance(t, ast.Name)}).visit(body)
    else:
        return None
    empty = ast.arguments(posonlyargs=[], args=[ast.arg(name)], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.copy_location(ast.Lambda(empty, body), target)
