"""Kinds of queries, judged by a table of questions.

Those marked `held_out` were written when the rules stood, and no rule was changed for them: they show what to expect of
questions that nobody has seen.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrlm.routers.query_kinds import QueryKind, classify_query

QUESTIONS = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "query_kinds.jsonl").read_text(encoding="utf-8").splitlines()
]


def confusion_table(rows) -> str:
    counts = Counter((row["kind"], str(classify_query(row["query"]))) for row in rows)
    kinds = [str(kind) for kind in QueryKind]
    lines = ["asked as \\ came out as".ljust(24) + "".join(kind.rjust(15) for kind in kinds)]
    lines += [kind.ljust(24) + "".join(str(counts[kind, out]).rjust(15) for out in kinds) for kind in kinds]
    return "\n".join(lines)


def accuracy(rows) -> float:
    return sum(classify_query(row["query"]) == row["kind"] for row in rows) / len(rows)


def test_the_table_is_big_balanced_and_in_many_languages():
    foreign = [row for row in QUESTIONS if row["language"] != "en"]
    kinds = Counter(row["kind"] for row in QUESTIONS)
    assert len({row["query"] for row in QUESTIONS}) == len(QUESTIONS) >= 200
    assert len(foreign) >= 30
    assert len({row["language"] for row in foreign}) >= 8
    assert set(kinds) == set(QueryKind)
    assert max(kinds.values()) < 2 * min(kinds.values())


def test_english_questions_come_out_right():
    english = [row for row in QUESTIONS if row["language"] == "en"]
    seen = [row for row in english if not row["held_out"]]
    held_out = [row for row in english if row["held_out"]]
    report = f"seen {accuracy(seen):.1%}, held out {accuracy(held_out):.1%}\n{confusion_table(english)}"
    assert accuracy(seen) >= 0.95, report
    assert len(held_out) >= 40
    assert accuracy(held_out) >= 0.8, report
    assert accuracy(english) >= 0.93, report


def test_no_other_language_comes_out_wrong():
    rows = [row for row in QUESTIONS if row["language"] != "en"]
    wrong = [row["query"] for row in rows if classify_query(row["query"]) not in {row["kind"], "unknown"}]
    assert not wrong, f"{wrong}\n{confusion_table(rows)}"


@pytest.mark.parametrize("row", [row for row in QUESTIONS if row["language"] != "en"], ids=lambda row: row["query"])
def test_english_words_in_quotes_do_not_make_a_foreign_question_english(row):
    assert classify_query(f'{row["query"]} "how many of the users are in this list"') in {row["kind"], "unknown"}


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ('Where does it say "summarise the report"?', "literal"),
        ("E-4471", "literal"),
        ('"connection reset by peer"', "literal"),
        ("What is the phone number of the office?", "literal"),
        ("How many phone numbers are there in the list?", "aggregate"),
        ("What is the total number of errors?", "aggregate"),
        ("", "unknown"),
        (" \n\t ", "unknown"),
    ],
)
def test_what_tempts_the_rules(query, kind):
    assert classify_query(query) == kind


@given(st.text(max_size=300))
def test_any_text_has_a_kind_and_always_the_same(query):
    assert classify_query(query) is classify_query(query)


@given(st.sampled_from(QUESTIONS), st.sampled_from(["  ", "\n", "\t "]))
def test_white_space_does_not_matter(row, space):
    assert classify_query(space + row["query"].replace(" ", space) + space) == classify_query(row["query"])


def test_a_long_query_is_read_at_both_ends_only():
    assert classify_query("How many of these are errors?\n" + "lorem " * 200_000) == "aggregate"
