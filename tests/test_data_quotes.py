"""Quotes of data: checked against its strings and the forms in which it is shown, cited by their place."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrlm import RLM, Context, SmartRouter
from pyrlm.adapters import FakeAdapter
from pyrlm.citations import find_quotes

both = pytest.mark.parametrize("backend", ["exec", "monty"])

LAMP = 'Then she said: "The lamp\nis red", and left.'
RECORDS = [
    {"t": "The door is open today.", "n": 19.5},
    {"t": LAMP, "n": 2, "tags": {"home"}, "on": dt.date(2024, 1, 2)},
    {"t": "The lamp is green.", "n": 3, "deep": {"list": [["nothing", "A word from below."]]}},
]


def python(code):
    return f"```python\n{code}\n```"


def cited(quote, data=RECORDS):
    """Where a quote stands: the source and the passage of each citation; None where it is missing."""
    citations, missing = find_quotes([quote], Context.of(data))
    assert not missing or missing == (quote,)
    return None if missing else [(citation.source, citation.text) for citation in citations]


@both
def test_a_false_quote_is_turned_back_and_a_true_one_cited_by_its_place(backend):
    script = [python(f"FINAL(context[0]['t'], quotes=['{quote}'])") for quote in ("The door is shut.", "door is open")]
    adapter = FakeAdapter(script)
    result = RLM(adapter, repl_backend=backend).run("Who?", RECORDS)
    assert [step.reason for step in result.trace.of_kind("guard")] == ["false quotes"]
    assert "- The door is shut." in adapter.calls[1].messages[-1]["content"]
    (citation,) = result.citations
    assert (citation.source, citation.start, citation.end) == ("context[0]['t']", 4, 16)
    assert (citation.doc, citation.line, citation.global_start) == (0, 1, None)
    assert result.coverage is None


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ('said: "The lamp\nis red"', [("context[1]['t']", 'said: "The lamp\nis red"')]),
        ('said: "The lamp is red"', [("context[1]['t']", 'said: "The lamp\nis red"')]),
        (r"said: \"The lamp\nis red\"", [("context", r"said: \"The lamp\nis red\"")]),
        ("a word from below.", None),
        ("A word from below.", [("context[2]['deep']['list'][0][1]", "A word from below.")]),
        ('"The lamp is green.","n":3', [("context", '"The lamp is green.","n":3')]),
        ('{"t": "The door is open today.", "n": 19.5}', [("context", '{"t": "The door is open today.", "n": 19.5}')]),
        ("{'t': 'The door is open today.', 'n': 19.5}", [("context", "{'t': 'The door is open today.', 'n': 19.5}")]),
        ("'on': datetime.date(2024, 1, 2)", [("context", "'on': datetime.date(2024, 1, 2)")]),
        ("2024-01-02", [("context", "2024-01-02")]),
        ("19.5", [("context", "19.5")]),
        ("19.6", None),
        ("home", [("context[1]['tags']", "home")]),
        ("The lamp is green, I think.", None),
    ],
)
def test_where_a_quote_of_data_stands(quote, found):
    assert cited(quote) == found


def test_what_json_can_not_spell_hinders_nothing():
    data = {"big": 7**9_000, "no": float("nan"), "t": "The lamp is green."}
    assert cited("'no': nan, 'nothing else'", data) is None
    assert cited("The lamp is green.", data) == [("context['t']", "The lamp is green.")]


@given(
    st.recursive(
        st.text(max_size=30),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4),
        max_leaves=8,
    ).map(lambda inner: {"all": inner}),
    st.data(),
)  # fmt: skip
def test_any_piece_of_any_string_is_cited_where_it_stands(context, data):
    strings = [string for string in Context.of(context).quotes.strings if len(string.strip()) > 8]
    if not strings:
        return
    whole = data.draw(st.sampled_from(strings))
    start = data.draw(st.integers(0, len(whole) - 8))
    quote = whole[start : data.draw(st.integers(start + 8, len(whole)))]
    citations, missing = find_quotes([quote], Context.of(context))
    assert not missing
    for citation in citations:
        holder = eval(citation.source, {"context": context})
        assert holder[citation.start : citation.end] == citation.text


def test_a_value_with_quotation_marks_is_no_false_quote_and_is_not_paid_twice():
    adapter = FakeAdapter([f"red\n<quotes>\n<quote>{LAMP}</quote>\n</quotes>"])
    result = SmartRouter(adapter).run("What did she say of the lamp?", RECORDS)
    assert (result.method, result.output, len(adapter.calls)) == ("baseline", "red", 1)
    assert [(citation.source, citation.text) for citation in result.citations] == [("context[1]['t']", LAMP)]


@both
def test_data_that_is_added_is_quoted_too_and_shown_under_its_own_name(backend):
    quotes = ["The lamp is green.", "The roof is new."]
    adapter = FakeAdapter([python("print(len(P))"), "FINAL: 3", python(f"FINAL('yes', quotes={quotes!r})"), "FINAL: x"])
    with RLM(adapter, repl_backend=backend).session(RECORDS) as session:
        session.ask("How many?")
        assert session.add([{"roof": "The roof is new."}]) == "P2"
        result = session.ask("Is it?")
    assert [citation.source for citation in result.citations] == ["context[2]['t']", "P2[0]['roof']"]
    assert result.quotes_missing == ()
    told = next(call.messages[-1]["content"] for call in adapter.calls if "`P2`" in call.messages[-1]["content"])
    assert "P2[i]['roof']: str, 16 characters" in told
    assert "context" not in told.partition("<outline>")[2].partition("</outline>")[0]


def test_the_arbiter_is_shown_the_record_around_a_quote():
    context = Context.of(RECORDS)
    (citation, json_citation), _ = find_quotes(['she said: "The lamp', '"n":3'], context)
    assert json.loads(context.quotes.around(citation, 400)) == {"t": LAMP, "n": 2, "tags": ["home"], "on": "2024-01-02"}
    assert context.quotes.around(json_citation, 10) == ' green.","n":3,"deep":{"'
    (printed,), _ = find_quotes(["'on': datetime.date(2024, 1, 2)"], context)
    assert context.quotes.around(printed, 10) == "'on': datetime.date(2024, 1, 2)"
