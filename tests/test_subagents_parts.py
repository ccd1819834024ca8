"""The parts of sub-agents that need no model: definitions handed over, and how much of a text another one holds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrlm import RLM, Context, Policy
from pyrlm.adapters import FakeAdapter
from pyrlm.handed import definitions, told_of
from pyrlm.overlap import share_held, share_of

CELLS = [
    "import re, json as j\nfrom math import pi as PI\nLIMIT = 3\nNAMES = ['a', 'b']\ncount = len(rows)\n",
    "def helper(x):\n    '''Help.\n\n    More.'''\n    return x * LIMIT\n",
    "this is no python",
    "class Row:\n    def area(self):\n        return PI * LIMIT\n",
    "def top(rows, count=2):\n    return [helper(r) for r in rows if NAMES and j and Row()]\nsquare = lambda x: x * x\n",
    "LIMIT = 4\ndef broken():\n    return count\ndef counts(n):\n    return n + LIMIT\n",
]


def test_a_function_comes_with_what_it_uses_and_runs():
    code = definitions(CELLS, ["top"])
    names = {}
    exec(code, names)
    assert names["top"]([1, 2]) == [4, 8], "the latest LIMIT counts"
    assert names["Row"]().area() == pytest.approx(12.566, abs=0.01)
    assert "broken" not in names
    assert "square" not in names


def test_a_lambda_a_class_and_several_at_once():
    names = {}
    exec(definitions(CELLS, ["square", "counts"]), names)
    assert (names["square"](5), names["counts"](1)) == (25, 5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "broken() uses the variable 'count', whose value was computed"),
        ("nobody", "'nobody' is no function that your code has defined at top level; it has: helper, Row, top, square"),
        ("re", "'re' is no function"),
    ],
)
def test_what_can_not_be_handed_over_says_why(name, message):
    with pytest.raises(ValueError, match=r"variable|function") as caught:
        definitions(CELLS, [name])
    assert message in str(caught.value)


def test_a_sub_call_is_never_made_again_as_a_constant():
    with pytest.raises(ValueError, match="whose value was computed"):
        definitions(["answer = llm_query('costly')\ndef f():\n    return answer"], ["f"])


@pytest.mark.parametrize(
    "changed",
    [
        "X = []\nX.append(3)",
        "X = {}\nX['a'] = 1",
        "X = {'a': []}\nfor n in range(3):\n    X['a'].append(n)",
        "X = 1\nX += 1",
        "for X in range(3): pass",
        "with thing() as X: pass",
        "print(X := 3)",
        "X = [1]\ny = X.pop()",
        "X = 3\ndel X",
    ],
)
def test_a_variable_that_was_changed_after_it_was_set_is_not_handed_over_as_it_was(changed):
    with pytest.raises(ValueError, match=r"f\(\) uses the variable 'X', whose value was computed"):
        definitions([changed, "def f():\n    return X"], ["f"])


@pytest.mark.parametrize(
    "same",
    [
        "X = [3]\nY = [X for X in range(3)]",
        "X = [1]\nX.append(2)\nX = [3]",
        "X = [3]\ndef other():\n    X = [5]\n    X.append(4)",
        "X = [3]\nprint(X.index(3), sorted(X))",
    ],
)
def test_a_variable_that_was_only_read_since_is_handed_over(same):
    names = {}
    exec(definitions([same, "def f():\n    return X"], ["f"]), names)
    assert names["f"]() == [3]


def test_an_import_that_was_tried_comes_along():
    code = "try:\n    import re as rx\nexcept ImportError:\n    rx = None"
    assert "import re as rx" in definitions(
        ["import json", code.partition("\nexcept")[0] + "\nfinally:\n    pass", "def f(): return rx"], ["f"]
    )


def test_a_default_that_was_computed_would_be_another_one_there():
    with pytest.raises(ValueError, match=r"f\(\) has the default len\(P\), which was computed; write its value there"):
        definitions(["def f(n=len(P)): return n"], ["f"])


def test_code_that_can_not_be_read_hides_no_other():
    assert definitions(["-" * 100_000 + "1", "def f(): return 1"], ["f"])


def test_thousands_of_functions_are_not_told_of_one_by_one():
    many = "\n".join(f"def f{n}(): return {n}" for n in range(3_000))
    with pytest.raises(ValueError, match="2960 more") as caught:
        definitions([many], ["x" * 10_000])
    assert len(str(caught.value)) < 600
    told = told_of(
        definitions([many + "\ndef top(a=" + repr("y" * 9_000) + "): 'Help.'"], ["top", *(f"f{n}" for n in range(100))])
    )
    assert len(told) < 2_500


def test_what_is_told_of_functions():
    assert told_of(definitions(CELLS, ["top"])).splitlines() == ["- Row", "- helper(x): Help.", "- top(rows, count=2)"]


texts = st.lists(st.text(alphabet="abc d\n", min_size=1, max_size=400), min_size=1, max_size=8)


@given(texts, st.data())
def test_a_text_holds_itself_and_never_more_than_its_size(whole, data):
    assert share_held(whole, whole) == 1.0
    joined = "\n".join(whole)
    cut = data.draw(st.integers(0, len(joined)))
    held = share_held([joined[:cut]], [joined])
    assert 0.0 <= held <= cut / len(joined)


def test_a_hundred_thousand_documents_are_sampled_like_one():
    """With a sample of each document this takes hours."""
    whole = [f"document {n} with some words of its own" for n in range(100_000)]
    assert share_held(whole, whole) == 1.0
    assert share_held(["\n".join(whole)], whole) == 1.0
    assert share_held(["x" * 10_000_000], whole) == 0.0
    assert 0.65 < share_held(whole[: len(whole) * 7 // 10], whole) < 0.75


RECORDS = [
    {
        "t": f"Notiz {n}: die Lampe\nist „grün“, {n * n} Tage lang und nicht länger.",
        "n": n,
        "on": n % 2 == 0,
        "no": None,
    }
    for n in range(60)
]
NUMBERS = {f"k{n}": [n, n / 7, None] for n in range(300)}


@pytest.mark.parametrize(
    ("given", "own", "held"),
    [
        (RECORDS, RECORDS, 1.0),
        (json.dumps(RECORDS), RECORDS, 1.0),
        (json.dumps(RECORDS, ensure_ascii=False, indent=2), RECORDS, 1.0),
        (str(RECORDS), RECORDS, 1.0),
        ("\n".join(map(str, RECORDS)), RECORDS, 0.95),
        ([record["t"] for record in RECORDS], RECORDS, 0.95),
        ("\n".join(record["t"] for record in RECORDS), RECORDS, 0.95),
        (json.dumps(NUMBERS), NUMBERS, 1.0),
        (str(NUMBERS), NUMBERS, 0.95),
        ({"text": "".join(record["t"] for record in RECORDS)}, "".join(record["t"] for record in RECORDS), 1.0),
    ],
)
def test_data_holds_data_whatever_it_was_written_as(given, own, held):
    assert share_of(Context.of(given), Context.of(own)) >= held
    others = json.loads(json.dumps(NUMBERS if own is not NUMBERS else RECORDS))
    assert share_of(Context.of(given), Context.of(others)) < 0.5


def test_a_part_of_data_is_no_more_than_that():
    for part in (RECORDS[:40], json.dumps(RECORDS[:40]), str(RECORDS[20:]), [record["t"] for record in RECORDS[10:50]]):
        assert 0.5 < share_of(Context.of(part), Context.of(RECORDS)) < 0.85


@pytest.mark.parametrize("made", ["context", "json.dumps(context)", "str(context)", "[r['t'] for r in context]"])
def test_a_sub_agent_over_nearly_all_of_the_data_is_refused(made):
    adapter = FakeAdapter([f"```python\nimport json\nprint(rlm_query('Which?', {made}))\n```", "FINAL: x"])
    made = RLM(adapter, policy=Policy(max_recursion_depth=1)).run("Which?", RECORDS)
    assert "of your own material" in made.trace.of_kind("repl_exec")[0].stdout


def test_other_text_of_the_same_size_holds_nothing():
    whole = ["".join(f"{n:05d}," for n in range(20_000))]
    assert share_held(["".join(f"{n:05d};" for n in range(20_000))], whole) == 0.0
    pieces = [whole[0][n : n + 10_000] for n in range(0, len(whole[0]), 10_000)]
    assert share_held(pieces, whole) > 0.9
    assert share_held(pieces[: len(pieces) * 7 // 10], whole) < 0.75


F = "def f(x):\n    return x + K\n"


@pytest.mark.parametrize(
    ("cells", "completed", "why"),
    [
        (["def f(x): return x + 1", "int('no')\ndef f(x): return -1", "use()"], {0}, "did not run to its end"),
        (["def f(x): return x + 1", "int('no')\ndef f(x): return -1"], {0}, ""),
        (["def f(x): return x + 1\nif True:\n    def f(x): return x + 100"], None, "within another statement"),
        (["def f(x): return x + 1\ntry:\n    def f(x): return x + 100\nfinally:\n    pass"], None, "within another"),
        (["def f(x): return x + 1", "def f(x): return x + 2", "use()"], {0, 1}, ""),
        (["def f(x): return x + 1", "def f(x): return x + 2\nuse()"], {0}, ""),
        (
            ["def f(x): return x + 1", "def g(): rlm_query('q')\ng()\ndef f(x): return x + 2"],
            {0},
            "bound more than once",
        ),
        (
            ["def f(x): return x + 1", "rlm_query('q', functions=[f])\ndef f(x): return x + 2"],
            {0},
            "bound more than once",
        ),
        (["def f(x): return x + 1\nuse()\ndef f(x): return x + 2"], set(), "bound more than once"),
        (["def f(x): return x + 1", "def f(x): return x + 1"], {0}, ""),
        (["def f(x): return x + 1\nf.seen = {}"], None, "changed after it was set"),
        (["K = 1\n" + F + "def setk():\n    global K\n    K = 100"], None, "may be changed by setk()"),
        (["K = 1\n" + F, "globals()['K'] = 100"], None, "changed after it was set"),
        (["K = 1\n" + F, "g = globals()\ng['K'] = 100"], None, "changed after it was set"),
        (["K = 1\n" + F, "globals().update(K=100)"], None, "changed after it was set"),
        (["K = 1\n" + F, "exec('K = 100')"], None, "changed after it was set"),
        (["K = 1\n" + F, "print(globals()['K'], 'K' in globals())"], None, ""),
        (["D = [1]\nE = D\nE[0] = 100\ndef f(x): return x + D[0]"], None, "another name too"),
        (["D = [1]\ndef change(d): d[0] = 100\nchange(D)\ndef f(x): return x + D[0]"], None, "another name too"),
        (
            ["D = [1]\ndef change(): D[0] = 100\nchange()\ndef f(x): return x + D[0]"],
            None,
            "may be changed by change()",
        ),
        (["D = {'a': [1]}\nd = D['a']\nd[0] = 100\ndef f(x): return x + D['a'][0]"], None, "another name too"),
        (["D = {'a': [1]}\nd = D.get('a')\nd[0] = 100\ndef f(x): return x + D['a'][0]"], None, "another name too"),
        (
            ["D = {'a': 1}\nprint(D, len(D), D['a'], [k for k in D], json.dumps(D))\ndef f(x): return x + D['a']"],
            None,
            "",
        ),
        (["X = 1\nK = X + 1\nX = 10\n" + F], None, "made with 'X'"),
        (["X = 1\ndef f(x, k=X): return x + k\nX = 10"], None, "made with 'X'"),
        (["def g(x): return x + 1\nf = g"], None, ""),
        (["def g(x): return x + 1\nf = g\ndef g(x): return x + 2"], None, "made with 'g'"),
        (["import re\ndef f(x): return re.sub('a', 'b', x)", "import re, json", "import re"], {0, 1}, ""),
        (["from functools import lru_cache\n@lru_cache(maxsize=None)\ndef f(x): return x + 1"], None, ""),
    ],
)
def test_what_a_function_is_must_be_sure(cells, completed, why):
    if not why:
        assert "f" in definitions(cells, ["f"], completed=completed)
        return
    with pytest.raises(ValueError, match=r"f\b") as caught:
        definitions(cells, ["f"], completed=completed)
    assert why in str(caught.value)


def test_other_names_of_a_function_come_along():
    names = {}
    exec(definitions(["def g(x):\n    return x + 1\nf = g"], ["g"]), names)
    assert names["f"](1) == names["g"](1) == 2
