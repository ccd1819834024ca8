"""What code of a run can't reach, lift, poison or leave behind, through the whole of a run on both backends."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import pytest
from openai_server import LoopbackServer
from pitfalls import BACKENDS, SUB, TEXT, descendants, python, wait_until

from pyrlm import RLM, Policy
from pyrlm.adapters import FakeAdapter, OpenAICompatAdapter

KEY = "sk-test-77aa1d2c3b4a59687766"


@pytest.fixture
def listening():
    """A socket that counts who connects."""
    server, seen = socket.create_server(("127.0.0.1", 0)), []

    def take():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            seen.append(connection)

    threading.Thread(target=take, daemon=True).start()
    yield server.getsockname()[1], seen
    server.close()


ATTEMPTS = {
    "the environment": "import os\nfound = dict(os.environ)",
    "the environment of a module": "import random\nfound = dict(random._os.environ)",
    "the environment by a class": (
        "for c in ().__class__.__base__.__subclasses__():\n"
        "    if c.__name__ == '_wrap_close':\n        found = c.__init__.__globals__['environ']"
    ),
    "the environment of the parent": "found = open('/proc/' + str(__import__('os').getppid()) + '/environ').read()",
    "a file": "found = open('/etc/hostname').read()",
    "a file by a module": "import io\nfound = io.open('/etc/hostname').read()",
    "a file by a loader": "found = __loader__.get_data('/etc/hostname').decode()",
    "a file of a module": "import pathlib\nfound = pathlib.Path('/etc/hostname').read_text()",
    "a browser's file system": "import js\nfound = js.Deno.readTextFileSync('/etc/hostname')",
    "a socket": "import socket\nsocket.create_connection(('127.0.0.1', {port})).send(P[:9].encode())",
    "a request": "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}/?' + P[:9])",
    "a socket of a module": "import asyncio\nasyncio.run(asyncio.open_connection('127.0.0.1', {port}))",
    "a process": "import subprocess\nfound = subprocess.run(['env'], capture_output=True, text=True).stdout",
}


@BACKENDS
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_an_attempt_gets_nothing_and_costs_one_step(backend, attempt, listening, monkeypatch):
    monkeypatch.setenv("LLM_API_KEY", KEY)
    port, connected = listening
    code = f"found = ''\n{ATTEMPTS[attempt].replace('{port}', str(port))}\nprint('got', found)"
    shown = []

    def model(body):
        shown.append(body["messages"][-1]["content"])
        return [python(code), python("print(6 * 7)"), "FINAL: 42"][len(body["messages"]) // 2 - 1]

    with LoopbackServer(model, api_key=KEY) as server:
        result = RLM(OpenAICompatAdapter("m", base_url=server.url), repl_backend=backend).run("q", TEXT)
    assert result.output == "42"
    assert shown[2] == "Output:\n42\n"
    assert connected == []
    for secret in (KEY, Path("/etc/hostname").read_text().strip(), os.environ["PATH"]):
        assert secret not in shown[1]
        assert secret not in result.trace.to_json()


LIFTS = {
    "its function": "try:\n    llm_query.__globals__.clear()\nexcept Exception as error: print(error)",
    "its limits": "try:\n    llm_query.__self__._allowed = 10**9\nexcept Exception as error: print(error)",
    "its name": "llm_query = lambda *a, **k: 'mine'\nllm_batch = llm_query",
    "its frames": (
        "import sys\ntry:\n    f = sys._getframe()\n    while f:\n        for k in list(f.f_locals):\n"
        "            if 'budget' in k or 'allowed' in k: f.f_locals[k] = 10**9\n        f = f.f_back\n"
        "except Exception as error: print(error)"
    ),
    "the collector": (
        "try:\n    import gc\n    for o in gc.get_objects():\n        if type(o).__name__ in {'Budget', 'Policy'}: o.max_subcalls = 10**9\n"
        "except Exception as error: print(error)"
    ),
}


@BACKENDS
@pytest.mark.parametrize("what", LIFTS)
def test_code_lifts_no_limit(backend, what):
    script = [python(LIFTS[what]), python("a = llm_batch([str(n) for n in range(20)])"), "FINAL: done"]
    adapter = FakeAdapter(script, rules=[(SUB, "yes")])
    result = RLM(adapter, repl_backend=backend, policy=Policy(max_subcalls=3), on_limit="return").run("q", TEXT)
    assert sum(SUB in call.text for call in adapter.calls) <= 3
    assert result.output == "done"


@BACKENDS
def test_code_poisons_neither_the_host_nor_the_next_run(backend):
    poison = """
import json, re, math
for break_it in (
    lambda: setattr(json, 'dumps', None),
    lambda: setattr(re, 'compile', None),
    lambda: setattr(math, 'pi', 3),
    lambda: __builtins__.update(len=None) if isinstance(__builtins__, dict) else setattr(__builtins__, 'len', None),
    lambda: str.__dict__.update(join=None),
):
    try:
        break_it()
    except Exception as error:
        print(type(error).__name__)
"""
    check = "print(json.dumps([1]), re.compile('a').pattern, round(math.pi, 2), len('ab'))"
    kept = json.dumps, len
    first = RLM(FakeAdapter([python(poison), "FINAL: x"]), repl_backend=backend).run("q", TEXT)
    second = RLM(FakeAdapter([python(check), "FINAL: x"]), repl_backend=backend).run("q", TEXT)
    assert (json.dumps, len) == kept
    assert first.output == "x"
    assert second.trace.of_kind("repl_exec")[0].stdout == "[1] a 3.14 2\n"


@BACKENDS
def test_runs_leave_no_processes(backend):
    def once():
        adapter = FakeAdapter([python("a = llm_query('q')"), python("print(a)"), "FINAL: x"], rules=[(SUB, "yes")])
        return RLM(adapter, repl_backend=backend).run("q", TEXT)

    once()
    before = len(descendants(os.getpid()))
    for _ in range(6):
        once()
    assert wait_until(lambda: len(descendants(os.getpid())) <= before)


IDIOMS = """
class Box:
    def __init__(self, n): self.n = n
    def __lt__(self, other): return self.n < other.n
    def __repr__(self): return f'Box({self.n})'
    @property
    def twice(self): return 2 * self.n
    @classmethod
    def of(cls, n): return cls(n)
    @staticmethod
    def one(): return 1
print(sorted([Box(2), Box(1)]), Box.of(4).twice, Box.one())
###
import itertools
print(list(itertools.chain([1], [2])), [(k, len(list(g))) for k, g in itertools.groupby('aab')])
###
try:
    1 / 0
except ZeroDivisionError as error:
    print(error)
finally:
    print('finally')
###
from collections import Counter, defaultdict
d = defaultdict(list)
d['a'].append(1)
print(dict(d), Counter('aab').most_common(1))
###
def numbers(n):
    for i in range(n):
        yield i
print(sum(numbers(4)), next(numbers(1)))
###
t = 0
for i in range(10):
    t += i
print(t)
###
a, *rest = [1, 2, 3]
print(rest, {**{'x': 1}, 'y': 2}, f'{3.14159:.2f} {a=}')
###
if (n := 5) > 3:
    print(n)
###
from datetime import date, timedelta
print(date(2024, 2, 28) + timedelta(days=2))
###
import re
print([m.group(1) for m in re.finditer(r'(\\w)1', 'a1b1')], re.sub('a', lambda m: m[0].upper(), 'aba'))
###
import json
print(json.loads(json.dumps({'a': [1, None]})))
###
def outer():
    n = 0
    def inner():
        nonlocal n
        n += 1
        return n
    return inner() + inner()
print(outer())
###
x = 1
def change():
    global x
    x = 2
change()
print(x)
###
with_map = list(map(str.upper, filter(None, ['a', '', 'b'])))
print(with_map, any(c == 'A' for c in with_map), max('abc', key=ord))
###
match {'kind': 'a', 'n': 3}:
    case {'kind': 'a', 'n': n}:
        print(n)
###
from dataclasses import dataclass
@dataclass
class Point:
    x: int
    y: int = 2
print(Point(1), Point(1) == Point(1))
###
from functools import reduce, lru_cache
print(reduce(lambda p, q: p * q, [1, 2, 3]))
###
matrix = [[1, 2], [3, 4]]
matrix[0][1] = 9
print([list(row) for row in zip(*matrix)], matrix[::-1])
###
s = 'The WARRANTY'
print(s.title(), s.casefold().split(), s.partition(' '), '%s-%03d' % ('a', 7), '{:>5}'.format('b'))
###
from statistics import mean, median
import textwrap
print(mean([1, 2]), median([3, 1, 2]), textwrap.shorten('one two three', 9, placeholder='…'))
###
while True:
    try:
        raise KeyError('k')
    except (ValueError, KeyError) as error:
        print(repr(error))
        break
###
print(*enumerate('ab', 1), sep=';', end='!')
###
for message in ('text', 5, (3, 4), None, ['a']):
    try:
        assert 1 == 2, message
    except AssertionError as error:
        print(repr(str(error)), error.args)
assert [1], 1 / 0
###
try:
    assert []
except AssertionError as error:
    print(error.args)
""".strip().split("\n###\n")


def said_by_python(code):
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "idiom", "exec", dont_inherit=True), {"__name__": "__main__"})
    return out.getvalue()


@BACKENDS
def test_ordinary_python_prints_what_python_prints(backend):
    script = [python(code) for code in IDIOMS]
    result = RLM(FakeAdapter([*script, "FINAL: x"]), repl_backend=backend).run("q", TEXT)
    for code, step in zip(IDIOMS, result.trace.of_kind("repl_exec"), strict=True):
        assert step.error is None, f"{code}\n{step.error}"
        assert step.stdout == said_by_python(code), code


@BACKENDS
@pytest.mark.parametrize("code", ["if len(P) > 5:\n    return 5", "for n in range(3):\n    return n", "x = 1\nbreak"])
def test_code_that_would_stop_in_the_middle_is_told_and_not_cut_short(backend, code):
    adapter = FakeAdapter([python(f"print('before')\n{code}\nprint('after')"), "FINAL: x"])
    result = RLM(adapter, repl_backend=backend).run("q", TEXT)
    step = result.trace.of_kind("repl_exec")[0]
    assert "SyntaxError" in (step.error or "")
    assert "line 3" in step.error
    assert "outside" in step.error
    assert step.stdout == ""
