"""Answers without a model: patterns and markers, with offsets as proof."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrlm.errors import ConfigurationError
from pyrlm.routers.deterministic import Plan, extract


def run(documents, *, seconds=5.0, max_results=100, **plan):
    return extract(Plan(**plan), documents, seconds=seconds, max_results=max_results)


def test_a_group_is_the_value_and_offsets_prove_it():
    documents = ["no order here", "order A-17 and order B-99"]
    result = run(documents, pattern=r"order (\w-\d+)")
    assert [found.text for found in result.found] == ["A-17", "B-99"]
    assert all(documents[found.doc][found.start : found.end] == found.text for found in result.found)
    assert result.complete


def test_a_pattern_without_signs_is_found_as_it_stands():
    assert [found.start for found in run(["aXa, aXa"], pattern="aXa").found] == [0, 5]


def test_a_compiled_pattern_keeps_its_flags():
    result = run(["First\nSECOND: x"], pattern=re.compile(r"^second: (.)", re.IGNORECASE | re.MULTILINE))
    assert [found.text for found in result.found] == ["x"]
    assert [found.text for found in run(["é e"], pattern=re.compile(r"\w", re.ASCII)).found] == ["e"]


def test_a_marker_gives_the_rest_of_its_line():
    documents = ["Invoice no:  42 \nTotal: 9", "Invoice no:\nnothing", "Invoice no: " + "x" * 500]
    result = run(documents, marker="Invoice no:")
    assert [found.text for found in result.found] == ["42", "x" * 127]
    assert [found.doc for found in result.found] == [0, 2]


def test_the_number_of_values_is_limited_and_said():
    result = run(["7 " * 50], pattern=r"\d", max_results=10)
    assert len(result.found) == 10
    assert not result.complete
    assert "10" in result.reason
    assert run(["7 " * 10], pattern=r"\d", max_results=10).complete


def test_a_pattern_that_backtracks_without_end_is_stopped():
    result = run(["id 5 " + "a" * 5_000 + "!"], pattern=r"(\d)|(?:a|a?)+b", seconds=0.2)
    assert not result.complete
    assert "0.2 s" in result.reason


@pytest.mark.parametrize(
    ("plan", "part"),
    [
        ({"pattern": "("}, "re.escape"),
        ({"pattern": ""}, "pattern=''"),
        ({"marker": ""}, "marker=''"),
        ({"pattern": 5}, "pattern=5"),
        ({}, "pattern"),
        ({"pattern": "a", "marker": "b"}, "not both"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_at_once(plan, part):
    with pytest.raises(ConfigurationError, match=re.escape(part)):
        Plan(**plan)


@given(st.lists(st.text("ab 1:\n", max_size=60), max_size=5), st.sampled_from(["a", "a:", "b 1"]))
def test_values_stand_where_they_are_said_to(documents, marker):
    for plan in ({"marker": marker}, {"pattern": re.escape(marker)}):
        for found in run(documents, **plan).found:
            assert documents[found.doc][found.start : found.end] == found.text != ""
