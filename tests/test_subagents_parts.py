"""The parts of sub-agents that need no model: definitions handed over, and how much of a text another one holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrlm.handed import definitions, told_of
from pyrlm.overlap import share_held

CELLS = [
    "import re, json as j\nfrom math import pi as PI\nLIMIT = 3\nNAMES = ['a', 'b']\ncount = len(rows)\n",
    "def helper(x):\n    '''Help.\n\n    More.'''\n    return x * LIMIT\n",
    "this is no python",
    "class Row:\n    size = LIMIT\n    def area(self):\n        return PI * self.size\n",
    "def top(rows, count=2):\n    return [helper(r) for r in rows if NAMES and j and Row()]\nsquare = lambda x: x * x\n",
    "LIMIT = 4\ndef broken():\n    return count\ndef counts():\n    global LIMIT\n    LIMIT += 1\n",
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
    exec(definitions(CELLS, ["square", "Row", "counts"]), names)
    names["counts"]()
    assert (names["square"](5), names["LIMIT"], names["Row"].size) == (25, 5, 4)


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


def test_other_text_of_the_same_size_holds_nothing():
    whole = ["".join(f"{n:05d}," for n in range(20_000))]
    assert share_held(["".join(f"{n:05d};" for n in range(20_000))], whole) == 0.0
    pieces = [whole[0][n : n + 10_000] for n in range(0, len(whole[0]), 10_000)]
    assert share_held(pieces, whole) > 0.9
    assert share_held(pieces[: len(pieces) * 7 // 10], whole) < 0.75
