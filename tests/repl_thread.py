"""A third backend, for the tests alone: `exec` in a thread of this process, written against the protocol and no more.

It isolates nothing. It shows what a backend of one's own has to do.
"""

import ast
import asyncio
import builtins
import collections
import ctypes
import io
import itertools
import json
import math
import re
import threading
import time
import traceback

from pyrlm.errors import ReplCrashedError, WireError
from pyrlm.repl.common import cut_middle, error_named
from pyrlm.repl.drive import CodeClock, FunctionTable, HostCalls
from pyrlm.repl.protocol import Execution, Final, Setup, Variable
from pyrlm.repl.wire import decode, encode


class Done(BaseException):
    """FINAL was called."""


class OutOfTime(BaseException):
    """Raised in the thread when its time is over."""


class ThreadRepl:
    name = "thread"
    language_notes = ""

    async def start(self, setup: Setup) -> None:
        self.setup, self.loop = setup, asyncio.get_running_loop()
        self.table = FunctionTable(setup.functions)
        self.names, self.dead, self.last = {}, False, ""

    async def close(self) -> None:
        self.dead = True

    async def run(self, code: str) -> Execution:
        if self.dead:
            raise ReplCrashedError("the REPL is gone")
        self.clock = CodeClock()
        self.calls = HostCalls(self.table, max_calls=self.setup.max_host_calls, clock=self.clock)
        self.final, self.error, self.out = None, None, io.StringIO()
        thread = threading.Thread(target=self._execute, args=(code,), daemon=True)
        thread.start()
        while thread.is_alive():
            await asyncio.sleep(0.002)
            if self.clock.elapsed > self.setup.timeout:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(OutOfTime))
        self.clock.stop()
        self.last = self.out.getvalue()
        kind, text = self.error or (None, None)
        return Execution(
            stdout=cut_middle(self.last, self.setup.max_output_chars), stdout_chars=len(self.last), final=self.final,
            error_type=kind, error=text, elapsed=self.clock.elapsed, waited=self.clock.waited, host_calls=self.calls.count,
        )  # fmt: skip

    def _execute(self, code: str) -> None:
        self.names.update(self._given())
        try:
            tree = ast.parse(code, "<code>")
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, "<code>", "exec"), self.names)
            value = eval(compile(ast.Expression(last.value), "<code>", "eval"), self.names) if last else None
            if value is not None:
                shown = (
                    value if isinstance(value, str) else str(value[:500]) if isinstance(value, list) else repr(value)
                )
                self.out.write((repr(shown[:1000]) if isinstance(value, str) else shown[:1000]) + "\n")
        except Done:
            pass
        except BaseException as error:
            lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == "<code>"]
            where = f"line {lines[-1] if lines else getattr(error, 'lineno', 0)}: "
            kind = "TimeoutError" if isinstance(error, OutOfTime) else type(error).__name__
            self.error = kind, cut_middle(f"{where}{kind}: {error}", 4_000)

    def _given(self) -> dict:
        given = {"re": re, "json": json, "math": math, "collections": collections, "itertools": itertools}
        own = dict(self.names)
        given |= decode(encode(dict(self.setup.variables)))
        if self.setup.context is not None:
            text = self.setup.context.slice(0, None)
            given |= {"P": text, "context": text, "CONTEXT": text}
        for name in self.table.names:
            owner, dot, method = name.partition(".")
            if dot:
                holder = given.setdefault(owner, type(owner, (), {})())
                setattr(holder, method, self._caller(name))
            else:
                given[name] = self._caller(name)
        self.given = {*given, "FINAL", "FINAL_VAR", "SHOW_VARS", "last_output", "print", "__builtins__"}
        shown = {n: f"{type(v).__name__}: {repr(v)[:100]}" for n, v in own.items() if n not in self.given}
        sleep = lambda seconds: [time.sleep(0.01) for _ in range(int(seconds * 100))]
        fake_time = type("time", (), {"sleep": staticmethod(sleep)})
        load = lambda name, *rest: fake_time if name == "time" else builtins.__import__(name, *rest)
        return given | {
            "__builtins__": {**vars(builtins), "__import__": load}, "last_output": self.last,
            "print": lambda *args, **kw: print(*args, **{"file": self.out, **kw}),
            "FINAL": self._final, "FINAL_VAR": self._final_var, "SHOW_VARS": lambda: shown,
        }  # fmt: skip

    def _caller(self, name: str):
        def call(*args, **kwargs):
            crossed = decode(encode(list(args))), decode(encode(kwargs))
            answer = asyncio.run_coroutine_threadsafe(self.calls.answer(name, *crossed), self.loop).result()
            if answer.error_type:
                raise error_named(answer.error_type, answer.error)
            return decode(encode(answer.value))

        return call

    def _final(self, value, quotes=(), name=None) -> None:
        quotes = (quotes,) if isinstance(quotes, str) else tuple(quotes)
        self.final = self.final or Final(value=decode(encode(value)), quotes=quotes, name=name)
        raise Done

    def _final_var(self, name: str) -> None:
        if name not in self.names:
            raise NameError(
                f"no variable {name!r}; there are: {', '.join(n for n in self.names if n not in self.given)}"
            )
        self._final(self.names[name], name=name)

    async def variables(self) -> tuple[Variable, ...]:
        mine = {n: v for n, v in self.names.items() if n not in self.given}
        return tuple(Variable(name=n, type=type(v).__name__, repr=repr(v)[:200]) for n, v in mine.items())

    async def get(self, name: str):
        try:
            return decode(encode(self.names[name]))
        except WireError as error:
            raise WireError(f"{name}: {error}") from None
