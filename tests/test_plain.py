"""Objects of other libraries as plain data: what a context and the result of a tool become in the REPL."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import ipaddress
import pathlib
import threading
import uuid
import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, HttpUrl, SecretStr

from pyrlm import RLM
from pyrlm.adapters import FakeAdapter
from pyrlm.data import DataContext, plain
from pyrlm.errors import ConfigurationError, WireError
from pyrlm.plain import crossing

both = pytest.mark.parametrize("backend", ["exec", "monty"])

NEW_YEAR = dt.datetime.fromisoformat("2024-01-02")
ID = uuid.UUID("12345678123456781234567812345678")
SALES = pd.DataFrame({"region": ["eur", "usd", "eur"], "n": [1, 2, 3]})


@dataclasses.dataclass(frozen=True)
class Point:
    x: int


class Visit(BaseModel):
    when: dt.datetime
    who: uuid.UUID
    file: pathlib.Path
    page: HttpUrl
    token: SecretStr


class Colour(enum.Enum):
    RED = "red"


class Pair(tuple):
    __slots__ = ()


class Day(dt.date):
    pass


class Named(NamedTuple):
    a: Point
    b: int


VISIT = Visit(
    when="2024-01-02T03:04:05+02:00", who=ID, file="/notes/a.txt", page="https://example.org/a", token="sk-very-secret"
)
VISIT_DATA = {
    "when": dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.timezone(dt.timedelta(hours=2))),
    "who": str(ID),
    "file": "/notes/a.txt",
    "page": "https://example.org/a",
    "token": "**********",
}

FRAMES = [
    (SALES, [{"region": "eur", "n": 1}, {"region": "usd", "n": 2}, {"region": "eur", "n": 3}]),
    (SALES.groupby("region").sum(), [{"region": "eur", "n": 4}, {"region": "usd", "n": 2}]),
    (SALES.set_index("region")["n"].iloc[:1], [{"region": "eur", "n": 1}]),
    (SALES.region.value_counts(), [{"region": "eur", "count": 2}, {"region": "usd", "count": 1}]),
    (pd.Series({"a": 1}), [{"index": "a", "value": 1}]),
    (pd.Series([1], index=pd.Index([5], name="value")), [{"value_2": 5, "value": 1}]),
    (pd.Series([1, 2]), [1, 2]),
    (pd.DataFrame({"s": [1]}, index=pd.RangeIndex(1, name="row")), [{"row": 0, "s": 1}]),
    (pd.DataFrame({"s": [1, 2]})[lambda frame: frame.s > 1], [{"s": 2}]),
    (pd.DataFrame({"s": [1]}, index=[7]), [{"index": 7, "s": 1}]),
    (SALES.iloc[:1].set_index("n", drop=False), [{"n_2": 1, "region": "eur", "n": 1}]),
    (pd.DataFrame({"index": [1]}, index=["z"]), [{"index_2": "z", "index": 1}]),
    (pd.DataFrame([[1, 2, 3]], columns=["a", "a", "a_2"]), [{"a": 1, "a_3": 2, "a_2": 3}]),
    (SALES.groupby(["region", "n"]).size().iloc[:1], [{"region": "eur", "n": 1, "value": 1}]),
    (pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, "x")])), [{"level_0": 1, "level_1": "x", "a": 1}]),
    (SALES.groupby("region").agg({"n": ["sum"]}).iloc[:1], [{"region": "eur", ("n", "sum"): 4}]),
    (pd.DataFrame(index=range(2)), [{}, {}]),
    (pd.DataFrame({"a": []}), []),
    (pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}), [{"a": 1}, {"a": None}]),
    (pd.DataFrame({"p": pd.period_range("2024-01", periods=1, freq="M")}), [{"p": "2024-01"}]),
    (pd.DataFrame({"c": pd.cut(pd.Series([1, 2]), [0, 1, 2])}), [{"c": "(0, 1]"}, {"c": "(1, 2]"}]),
    (SALES.columns, ["region", "n"]),
    (SALES.region.unique(), ["eur", "usd"]),
    (SALES.region.astype("category").array, ["eur", "usd", "eur"]),
    (pl.DataFrame({"a": [1]}), [{"a": 1}]),
    (pl.Series([dt.date(2024, 1, 2)]), [dt.date(2024, 1, 2)]),
]

ARRAYS = [
    (np.float64(2.5), 2.5),
    (np.int8(3), 3),
    (np.bool_(True), True),
    (np.str_("a"), "a"),
    (np.longdouble(1.5), 1.5),
    (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
    (np.array(["2024-01-02", "NaT"], dtype="datetime64[ns]"), [NEW_YEAR, None]),
    (np.array(["2024-01-02"], dtype="datetime64[D]"), [dt.date(2024, 1, 2)]),
    (np.datetime64("2024-01-02T00:00:00.000006789", "ns"), NEW_YEAR.replace(microsecond=6)),
    (np.timedelta64(1_500, "ns"), dt.timedelta(microseconds=1)),
    (np.array([(1, "a", "2024-01-02")], dtype=[("x", int), ("y", "U3"), ("t", "M8[ns]")]), [{"x": 1, "y": "a", "t": NEW_YEAR}]),
    (np.array([Point(1), ID], dtype=object), [{"x": 1}, str(ID)]),
]  # fmt: skip

OBJECTS = [
    (VISIT, VISIT_DATA),
    (ID, str(ID)),
    (pathlib.PurePosixPath("/a/b"), "/a/b"),
    (ipaddress.ip_address("127.0.0.1"), "127.0.0.1"),
    (bytearray(b"ab"), b"ab"),
    ({"b": 1, "a": 2}.keys(), ["b", "a"]),
    ({"b": Point(1)}.values(), [{"x": 1}]),
    (collections.deque([Point(1)]), [{"x": 1}]),
    (collections.defaultdict(list, {"a": [Point(1)]}), {"a": [{"x": 1}]}),
    (collections.OrderedDict(a=Colour.RED), {"a": "red"}),
    ({Point(1)}, [{"x": 1}]),
    (Named(Point(1), 2), ({"x": 1}, 2)),
    (Pair((1, 2)), (1, 2)),
    ({Colour.RED: 1, ID: 2}, {"red": 1, str(ID): 2}),
    (Day(2024, 1, 2), dt.date(2024, 1, 2)),
    ({"red", Colour.RED}, ["red", "red"]),
]


def typed(value):
    """A form in which 1 and 1.0, and a date and a moment, differ."""
    if isinstance(value, dict):
        return [(typed(key), typed(item)) for key, item in value.items()]
    return (type(value), [typed(item) for item in value]) if isinstance(value, list | tuple) else (type(value), value)


@pytest.mark.parametrize(("value", "expected"), [*FRAMES, *ARRAYS, *OBJECTS])
def test_objects_become_plain_data_and_nothing_is_lost(value, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert typed(plain([value])) == typed([expected])


@both
def test_contexts_and_results_of_tools_become_the_same(backend):
    given_and_expected = [*FRAMES, *ARRAYS, *OBJECTS]

    def found(i: int):
        return given_and_expected[i][0]

    script = [f"```python\nFINAL([context, [found(i) for i in range({len(given_and_expected)})]])\n```"]
    rlm = RLM(FakeAdapter(script), tools=[found], repl_backend=backend)
    context, results = rlm.run("What is there?", [value for value, _ in given_and_expected]).value
    expected = [expected for _, expected in given_and_expected]
    assert typed(context) == typed(expected)
    assert typed(results) == typed(expected)


@both
def test_the_index_of_a_grouped_frame_is_there_to_answer_with(backend):
    script = ["```python\nFINAL(max(context, key=lambda row: row['n'])['region'])\n```"]
    result = RLM(FakeAdapter(script), repl_backend=backend).run(
        "Which region sells most?", SALES.groupby("region").sum()
    )
    assert result.value == "eur"


def test_what_crosses_stays_of_its_type():
    value = {"pair": (1, 2.0), "names": {"a"}, "count": collections.Counter("aab"), 3: None}
    assert crossing(value)[0] is value


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({Colour.RED: 1, "red": 2}, "two of its keys would become one"),
        ({Point(1): 1}, "a key would become a dict"),
        ({"lock": threading.Lock()}, "object of type lock can't cross"),
    ],
)
def test_what_has_no_plain_form_is_refused(bad, told):
    with pytest.raises(ConfigurationError, match=told):
        DataContext(bad)
    with pytest.raises(WireError, match=told):
        crossing(bad)


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)


@given(plain_values)
def test_plain_data_stays_as_it_is(value):
    assert typed(plain(value)) == typed(value)
