"""Filters: what the form takes, what it refuses and with which help, and what a filter means."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.dates import parse_date
from pyrlm.retrievers.filters import And, Exists, Not, Or, Prefix, Range, Terms, parse_filters
from pyrlm.retrievers.metadata import evaluate, field_values, value_type

SCHEMA = {"year": "number", "status": "keyword", "final": "boolean", "date": "date", "body": "text", "a.b": "keyword"}


def refused(filters: object) -> str:
    with pytest.raises(RetrieverError) as caught:
        parse_filters(filters, SCHEMA)
    return str(caught.value)


@pytest.mark.parametrize(
    ("filters", "node"),
    [
        (None, None),
        ({}, None),
        ({"year": 2019}, Terms("year", (2019,))),
        ({"status": ["a", "b"]}, Terms("status", ("a", "b"))),
        ({"final": True}, Terms("final", (True,))),
        ({"year": {"gte": 2018, "lt": 2021.5}}, Range("year", "number", gte=2018, lt=2021.5)),
        ({"status": {"gt": "a", "lte": "b"}}, Range("status", "keyword", gt="a", lte="b")),
        ({"status": {"prefix": "dr"}}, Prefix("status", "dr")),
        ({"a.b": {"exists": True}}, Exists("a.b")),
        ({"body": {"exists": False}}, Not(Exists("body"))),
        ({"status": {"not": ["a", "b"]}}, Not(Terms("status", ("a", "b")))),
        ({"status": {"not": {"prefix": "a"}}}, Not(Prefix("status", "a"))),
        ({"year": 1, "final": False}, And((Terms("year", (1,)), Terms("final", (False,))))),
        ({"or": [{"year": 1}, {"year": 2}]}, Or((Terms("year", (1,)), Terms("year", (2,))))),
        ({"not": {"year": 1}}, Not(Terms("year", (1,)))),
        ({"year": {"gte": 1, "not": 5}}, And((Range("year", "number", gte=1), Not(Terms("year", (5,)))))),
    ],
)
def test_every_form_is_read(filters: object, node: object) -> None:
    assert parse_filters(filters, SCHEMA) == node


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"yaer": 1}, ["'yaer'", "did you mean 'year'", "year (number)", "status (keyword)"]),
        ({"year.keyword": 1}, ["'year.keyword'", "fields:"]),
        ({"gte": 5}, ["is an operator", "inside a field"]),
        ({"year": {"min": 5}}, ["'min'", "gte, gt, lte, lt, prefix, exists, not", "'year'"]),
        ({"year": {"$gte": 5}}, ["'$gte'", "operators:"]),
        ({"year": "2019"}, ["number field", "'2019' (str)", "2019"]),
        ({"year": True}, ["number field", "True (bool)"]),
        ({"status": 1}, ["keyword field", "1 (int)"]),
        ({"final": "true"}, ["boolean field", "'true' (str)"]),
        ({"date": "yesterday"}, ["date field", "'yesterday'", "2019-05-31"]),
        ({"date": 20190531}, ["date field"]),
        ({"body": "word"}, ["analysed text", "exists"]),
        ({"status": []}, ["1 to 1000 values", "got 0"]),
        ({"status": None}, ["null", '{"exists": false}']),
        ({"year": {"gte": 1, "gt": 2}}, ["gte or gt, not both"]),
        ({"final": {"gte": True}}, ["no ranges"]),
        ({"year": {"prefix": "20"}}, ["number field", "keyword"]),
        ({"status": {"prefix": ""}}, ["not empty"]),
        ({"status": {"exists": 1}}, ["true or false"]),
        ({"year": {}}, ["operators"]),
        ({"or": {"year": 1}}, ["list of filters"]),
        ({"or": []}, ["list of filters"]),
        ([{"year": 1}], ["must be a dict", '"or"']),
        ("year = 2019", ["must be a dict"]),
        ({"year": float("nan")}, ["no number that an index can hold"]),
        ({"year": 1 << 63}, ["no number that an index can hold"]),
        ({5: 1}, ["no metadata field 5"]),
    ],
)
def test_what_is_wrong_is_an_error_that_says_what_is_right(filters: object, words: list[str]) -> None:
    message = refused(filters)
    for word in words:
        assert word in message


def test_many_fields_are_listed_up_to_a_limit() -> None:
    with pytest.raises(RetrieverError, match="and 60 more") as caught:
        parse_filters({"x": 1}, {f"field{n:03}": "keyword" for n in range(100)})
    assert "field039" in str(caught.value)
    assert "field040" not in str(caught.value)


def test_deep_nesting_is_an_error_and_no_recursion_error() -> None:
    nested: dict = {"year": 1}
    for _ in range(5_000):
        nested = {"not": nested}
    assert "deeper" in refused(nested)
    inside: dict = {"not": 1}
    for _ in range(5_000):
        inside = {"not": inside}
    refused({"year": inside})


DAY = datetime(2019, 5, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("condition", "begin", "end"),
    [
        ("2019-05-31", DAY, DAY + timedelta(days=1)),
        (date(2019, 5, 31), DAY, DAY + timedelta(days=1)),
        ("2019", datetime(2019, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)),
        ("2019-12", datetime(2019, 12, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)),
        ({"gt": "2019-05-30"}, DAY, None),
        ({"gte": "2019-05-31", "lte": "2019-05-31"}, DAY, DAY + timedelta(days=1)),
        ({"lt": "2019-05-31T02:00:00+02:00"}, None, DAY),
        ({"lte": DAY}, None, DAY + timedelta(microseconds=1)),
        ({"gte": datetime(2019, 5, 31, 2, tzinfo=timezone(timedelta(hours=2)))}, DAY, None),
    ],
)
def test_a_date_means_the_whole_of_what_it_names(condition: object, begin: object, end: object) -> None:
    assert parse_filters({"date": condition}, SCHEMA) == Range("date", "date", gte=begin, lt=end)


@pytest.mark.parametrize("text", ["9999", "9999-12", "9999-12-31", "0001", "9999-12-31T23:59:59.999999"])
def test_dates_at_the_ends_of_the_calendar(text: str) -> None:
    span = parse_date(text)
    assert span is not None
    assert span[0] <= span[1]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.text(st.characters(), max_size=4),
    st.dates(),
    st.datetimes(),
    st.sampled_from(["2019", "2019-05", "2019-13", "a", "b", b"x", object()]),
)
KEYS = st.one_of(
    st.sampled_from([*SCHEMA, "and", "or", "not", "gte", "gt", "lte", "lt", "prefix", "exists", "nope", "\ud800"]),
    st.text(max_size=3),
    st.integers(0, 1),
)
ANYTHING = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)


@given(st.dictionaries(KEYS, ANYTHING, max_size=3) | ANYTHING)
@example({"year": 10**5000})
@example({"date": {"gt": "9999-12-31T23:59:59.999999-23:59"}})
@example({"status": "\ud800"})
def test_parsing_raises_nothing_but_a_retriever_error(filters: object) -> None:
    try:
        node = parse_filters(filters, SCHEMA)
    except RetrieverError as error:
        node, message = None, str(error)
    else:
        message = ""
    assert len(message.encode()) < 1_000  # can be shown and sent
    evaluate(node, {"year": 2, "status": ["a", "b"], "date": date(2019, 5, 1), "final": True})


@pytest.mark.parametrize(
    ("filters", "matching"),
    [
        ({"status": "a"}, [0, 1]),
        ({"status": ["b", "zz"]}, [1]),
        ({"status": {"not": "a"}}, [2, 3]),
        ({"year": {"gte": 2, "lt": 4}}, [1, 2]),
        ({"year": 2.0}, [1]),
        ({"date": "2019"}, [0, 2]),
        ({"date": {"gt": "2019"}}, [1]),
        ({"date": {"exists": False}}, [3]),
        ({"a.b": {"prefix": "x"}}, [3]),
        ({"or": [{"year": 1}, {"final": True}]}, [0, 3]),
        ({"and": [{"year": {"gt": 1}}, {"not": {"final": True}}]}, [1, 2]),
    ],
)
def test_what_a_filter_means(filters: dict, matching: list[int]) -> None:
    documents = [
        {"status": "a", "year": 1, "date": "2019-01-01"},
        {"status": ["b", "a"], "year": 2, "date": datetime(2020, 1, 1, tzinfo=UTC)},
        {"status": "c", "year": 3.5, "date": date(2019, 12, 31)},
        {"status": None, "year": [7, 9], "final": True, "a": {"b": "xyz"}},
    ]
    node = parse_filters(filters, SCHEMA)
    assert [n for n, metadata in enumerate(documents) if evaluate(node, metadata)] == matching


def test_fields_of_nested_metadata() -> None:
    assert field_values({"a": {"b": [1, {"c": "x"}], "n": None}, "empty": []}) == {"a.b": [1], "a.b.c": ["x"]}
    with pytest.raises(RetrieverError, match=r"'a.b' holds a bytes"):
        field_values({"a": {"b": b""}})
    with pytest.raises(RetrieverError, match="number out of range"):
        field_values({"n": float("inf")})
    assert [value_type(value) for value in (True, 1, "x", date.min, None)] == [
        "boolean",
        "number",
        "keyword",
        "date",
        None,
    ]
