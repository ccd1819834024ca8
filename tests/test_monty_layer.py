"""The layer over Monty: programs give what CPython gives, or an error that says why not; never another result."""

import ast
import contextlib
import io
import json
import re
import warnings
from functools import cache
from pathlib import Path

import pytest
from pydantic_monty import Monty, MontyError

from pyrlm.repl.monty_rewrite import Known, UnsupportedError, prelude, rewrite

DATA = Path(__file__).parent / "data"
SNIPPETS = [json.loads(line) for line in (DATA / "monty_snippets.jsonl").read_text().splitlines()]


def programs(file):
    parts = re.split(r"^### (\w+)\n", (DATA / file).read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


PROGRAMS = programs("monty_programs.txt")
MORE = programs("monty_more.txt")
LIMITS = {"max_feed_duration_secs": 10.0, "max_memory": 300 << 20}
# Shown otherwise by Monty, as by a later CPython: the class of a regex error, flags as numbers, a message, a type's name.
SHOWN_OTHERWISE = {"re_error_handling", "at_re_S_U_flags", "at_zip_is_list", "at_list_index_err"}
SHOWN_OTHERWISE_OF_MORE = {"p30", "p80", "p73", "p76"}  # flags as numbers; an address; what is an error in CPython
OTHERWISE_OF_OURS = {"json_error_position"}
REFUSED_OF_OURS = {"format_map_default", "exception_args"}


@cache
def pool():
    made = Monty(min_processes=1, max_processes=1)
    return made.__enter__()


def in_monty(*steps, known=None):
    """Return what the steps print, and the error of the last."""
    known = known or Known(modules={name: name for name in ("re", "json", "collections")})
    out, loaded = [], set()
    with pool().checkout(limits=LIMITS, os_policy={"sleep": "zero"}, assert_message_annotations=False) as session:
        session.feed_run("import re, json, math, collections, itertools")
        for code in steps:
            try:
                made = rewrite(code, known)
            except UnsupportedError as error:
                return "".join(out), f"unsupported: {error}"
            session.feed_run(prelude(made.pieces, loaded))
            known = made.known
            try:
                session.feed_run(made.source, print_callback=lambda _, text: out.append(text))
            except MontyError as error:
                return "".join(out), error.display("type-msg")
    return "".join(out), None


def in_cpython(*steps):
    out, names = io.StringIO(), {"__name__": "__main__"}
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for code in steps:
            exec(compile(code, "<step>", "exec"), names)
    return out.getvalue(), None


def test_the_snippets():
    got = {one["name"]: in_monty(one["code"]) for one in SNIPPETS}
    expected = {one["name"]: (one["expected_stdout"], None) for one in SNIPPETS}
    same = {name for name in got if got[name] == expected[name]}
    assert len(same) >= 165
    silent = {name for name in got if got[name] != expected[name] and got[name][1] is None}
    assert silent == SHOWN_OTHERWISE


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_of_our_own(name):
    stdout, error = in_monty(PROGRAMS[name])
    if name in REFUSED_OF_OURS:
        assert error is not None or "('a', 1)" in stdout
        return
    assert error is None
    if name not in OTHERWISE_OF_OURS:
        assert (stdout, error) == in_cpython(PROGRAMS[name])


def test_never_another_result():
    same, silent = set(), set()
    for name, code in MORE.items():
        try:
            expected = in_cpython(code)
        except Exception as error:
            expected = ("", type(error).__name__)
        stdout, error = in_monty(code)
        if (stdout, error) == expected:
            same.add(name)
        elif error is None:
            silent.add(name)
    assert len(same) >= 0.85 * len(MORE)
    assert {name: MORE[name].splitlines()[-1][:60] for name in silent - SHOWN_OTHERWISE_OF_MORE} == {}


STEPS = {
    "a generator of an earlier step": ("def g():\n    yield 1\n    yield 2", "print(list(g()), next(g()))"),
    "a class of an earlier step": (
        "class A:\n    @property\n    def p(self):\n        return 3",
        "class B(A):\n    def q(self):\n        return self.p + 1",
        "print(B().q(), B().p, isinstance(B(), A))",
    ),
    "a deleted name": (
        "x = 1",
        "del x",
        "try:\n    print(x)\nexcept NameError as e:\n    print('gone')",
        "x = 2\nprint(x)",
    ),
    "an alias of a module": (
        "import re as r, json as j",
        "print(r.sub('a', lambda m: 'b', 'aa'), j.dumps([1], default=str))",
    ),
    "an exception of an earlier step": (
        "class Bad(Exception):\n    pass",
        "def f():\n    raise Bad('x')",
        "try:\n    f()\nexcept Bad as e:\n    print(type(e).__name__, e)",
    ),
    "globals": ("seen = [1]", "if 'seen' not in globals():\n    seen = []\nprint(seen)"),
    "a name that shadows a builtin": ("def sorted(x, key=None):\n    return 'mine'", "print(sorted([2, 1], key=len))"),
    "a list called map": ("map = [3, 4]", "print(map[0], [m for m in map])"),
}


@pytest.mark.parametrize("name", STEPS)
def test_several_steps(name):
    assert in_monty(*STEPS[name]) == in_cpython(*STEPS[name])


REFUSED = {
    "class A:\n    def __new__(cls):\n        return 5": "__init__",
    "class A:\n    def __getattr__(self, name):\n        return 5": "method or a dict",
    "class A(dict):\n    pass": "inheritance from dict",
    "try:\n    pass\nexcept* ValueError:\n    pass": "use except",
    "async def f():\n    yield 1": "list",
    "def f():\n    try:\n        yield 1\n    finally:\n        print(2)": "list",
    "input('name?')": "nobody",
    "class A:\n    pass\na = A()\na.x = 1\ndel a.x": "None",
    "x = _pyrlm_none": "not yours",
    "from re import *": "name what you import",
}


@pytest.mark.parametrize("code", REFUSED)
def test_what_cannot_be_run_is_refused_with_advice(code):
    with pytest.raises(UnsupportedError, match=re.escape(REFUSED[code])):
        rewrite(code, Known())


def test_code_that_needs_nothing_stays_as_it_is():
    code = "x = [ 1,2 ]  # a comment\nfor i in x:\n    print( i )\n"
    made = rewrite(code, Known())
    assert made.source == code
    assert made.pieces == ()


def test_lines_are_those_of_the_code():
    code = "import heapq\n\nx = [\n  1,\n]\n\ndef f():\n    '''two\n    lines'''\n    yield 1\n\nif x:\n    del x[0]\nelse:\n    pass\nboom()\n"
    made = rewrite(code, Known())
    lines = made.source.splitlines()
    assert made.lines is not None
    assert len(made.lines) == len(lines)
    assert made.lines[lines.index("boom()")] == 16
    assert made.lines[next(n for n, line in enumerate(lines) if "_pyrlm_delitem" in line)] == 13


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in REFUSED_OF_OURS])
def test_what_is_made_is_python(name):
    made = rewrite(PROGRAMS[name], Known())
    ast.parse(made.source)


def test_pieces_are_loaded_once_and_with_what_they_need():
    loaded = set()
    first = prelude(("_pyrlm_sorted_objects",), loaded)
    assert "def _pyrlm_compare(" in first
    assert first.index("def _pyrlm_compare(") < first.index("def _pyrlm_sorted_objects(")
    assert prelude(("_pyrlm_sorted_objects",), loaded) == ""
