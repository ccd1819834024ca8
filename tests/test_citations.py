"""Quotes against the text: what stands there is cited where it stands, what does not is missing."""

import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pyrlm.citations import find_quotes, find_quotes_in
from pyrlm.context import Context

TEXT = """The tower was built in 1889.
It is 330 metres tall,
    and "it sways" by 7 cm ... at most (a 'whole' 12).

Its lifts\tclimb  slowly; repainted every seven years.
"""


def one(quote, *texts):
    context = Context.from_documents(list(texts or (TEXT,)))
    citations, missing = find_quotes([quote], context)
    for citation in citations:
        assert context.texts[citation.doc][citation.start : citation.end] == citation.text
        assert context.slice(citation.global_start, citation.global_start + len(citation.text)) == citation.text
        assert citation.line == context.locate(citation.global_start)[2]
    return citations, missing


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("The tower was built in 1889.", "The tower was built in 1889."),
        ("  built in 1889  ", "built in 1889"),
        ("“The tower was built in 1889.”", "The tower was built in 1889."),
        ('"It is 330 metres tall,', "It is 330 metres tall,"),
        ("«built in 1889»", "built in 1889"),
        ("...was built in 1889...", "was built in 1889"),
        ("[…] was built in 1889 […]", "was built in 1889"),
        ('It is 330 metres tall, and "it sways"', 'It is 330 metres tall,\n    and "it sways"'),
        ("1889. It is\n\n 330", "1889.\nIt is 330"),
        ("Its lifts climb slowly;", "Its lifts\tclimb  slowly;"),
        ("by 7 cm ... at most", "by 7 cm ... at most"),
        ("1889", "1889"),
        ("12", "12"),
        ("whole", "whole"),
        ('"it sways"', '"it sways"'),
    ],
)
def test_quotes_that_stand_in_the_text(quote, found):
    citations, missing = one(quote)
    assert ([citation.text for citation in citations], missing) == ([found], ())


@pytest.mark.parametrize(
    "quote",
    [
        "The tower was built in 1890.",
        "the tower was built in 1889.",
        "It is 330metres tall",
        "metres tall, and it sways",
        "built in built in 1889",
        "1890",
        "Paris",
        "seven years. The tower was",
    ],
)
def test_quotes_that_do_not(quote):
    assert one(quote) == ((), (quote,))


@pytest.mark.parametrize("quote", ["", " ", "...", '""', "889", "ower", ".", "s, -", "…", "sway"])
def test_quotes_too_short_to_count_are_neither(quote):
    assert one(quote) == ((), ())


def test_words_that_are_one_in_the_text_are_not_two():
    assert one("the very extraordinary", "the the the very very theveryextraordinary")[1]


def test_dots_inside_a_quote_leave_something_out():
    citations, missing = one("The tower was built … 330 metres tall, and [...] every seven years.")
    assert [citation.text for citation in citations] == [
        "The tower was built",
        "330 metres tall,\n    and",
        "every seven years.",
    ]
    assert missing == ()
    wrong_order = "every seven years … The tower was built"
    assert one(wrong_order) == ((), (wrong_order,))


def test_parts_have_to_stand_in_one_document():
    docs = ("The first half is here.", "The second half is there.", "The first half is here, the second half is there.")
    citations, _ = one("The first half ... second half is there", *docs)
    assert [(citation.doc, citation.text) for citation in citations] == [
        (2, "The first half"),
        (2, "second half is there"),
    ]
    assert one("The first half ... second half is there", *docs[:2])[1]


def test_places_are_told():
    context = Context.from_documents(["one\ntwo", TEXT], metadata=[{"source": "a.txt"}, {"source": "b.txt"}])
    (citation,), _ = find_quotes(["It is 330 metres", "“It is 330  metres”"], context)
    assert (citation.doc, citation.line, citation.source, citation.doc_id) == (1, 2, "b.txt", None)
    assert (citation.start, citation.end) == (29, 45)


def test_hits_of_an_index():
    (first, second), missing = find_quotes_in(
        ["built in 1889", "x is not here", "seven\nyears"], {"id-1": "seven years", "id-2": TEXT}, {"id-2": "tower.txt"}
    )
    assert (first.doc_id, first.doc, first.source, first.line, first.global_start) == ("id-2", 1, "tower.txt", 1, None)
    assert (second.doc_id, second.text, second.source) == ("id-1", "seven years", None)
    assert missing == ("x is not here",)


def test_no_documents_and_no_quotes():
    assert find_quotes(["something long"], Context.from_documents([])) == ((), ("something long",))
    assert find_quotes([], Context.from_text(TEXT)) == ((), ())


PROSE = st.lists(
    st.sampled_from(["alpha", "beta", "gamma", "delta", "12", "naïve", "漢字", "a", "(b)", "c."]),
    min_size=1,
    max_size=30,
)
SPACE = st.sampled_from([" ", "\n", "  ", "\n\n    ", "\t", "\u00a0", "\r\n"])


@given(st.lists(PROSE, min_size=1, max_size=4), st.data())
@settings(max_examples=300, deadline=None)
def test_any_passage_is_found_whatever_its_white_space(docs, data):
    texts = ["".join(word + data.draw(SPACE) for word in words) for words in docs]
    words = data.draw(st.sampled_from(docs))
    start = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(start + 1, len(words)))
    quote = "".join(word + data.draw(SPACE) for word in words[start:end])
    assume(len(quote.strip()) >= 8)
    citations, missing = one(quote, *texts)
    assert missing == ()
    assert citations[0].text.split() == quote.split() or "." in quote


@given(st.text(max_size=60), st.lists(st.text(max_size=80), max_size=4))
@settings(max_examples=300, deadline=None)
def test_never_raises_and_never_invents(quote, texts):
    citations, missing = one(quote, *texts) if texts else one(quote, "")
    assert not (citations and missing)
    for citation in citations:
        assert "".join(citation.text.split()) in "".join(quote.split())


@pytest.mark.parametrize(
    ("quote", "unit"),
    [
        ("a a a a a a a a b", "a "),
        ("the the the the the the x", "the "),
        ("a" + " a" * 500 + " b", " a"),
        ("begin end word", " " * 1000),
        ("x y zzzzzzzz", "zzzzzzzz y  zzzzzzzz \n\n"),
        ("aaaaaaaa … b", "aaaaaaaa "),
    ],
)
def test_work_is_bounded_for_texts_made_to_be_slow(quote, unit):
    text = unit * (8_000_000 // len(unit))
    start = time.process_time()
    one(quote, text)
    assert time.process_time() - start < 5  # CPU time; quadratic work would be hours
