"""Passages for a look-up: found by BM25, with true offsets, within the room given."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pyrlm.routers.select import select
from pyrlm.routers.terms import query_terms

FILLER = "The quick brown fox jumps over the lazy dog while the rain keeps falling on the quiet town.\n"


def needle_text(size: int, needle: str, share: float = 0.6) -> str:
    text = FILLER * (size // len(FILLER) + 1)
    at = text.index("\n", int(share * size)) + 1
    return text[:at] + needle + "\n" + text[at:]


def test_the_needle_is_found_and_knows_its_place():
    needle = "The combination of the vault in the marmoset lodge is 48-15-16."
    documents = [FILLER * 20, needle_text(200_000, needle), FILLER * 5]
    passages = select("What is the vault combination?", documents, max_chars=4_000)
    best = max(passages, key=lambda passage: passage.score)
    assert needle in best.text
    assert best.doc == 1
    assert documents[1].splitlines()[best.line - 1 :][0] in best.text


def test_a_big_text_is_narrowed_down_before_it_is_indexed():
    needle = "The combination of the vault in the marmoset lodge is 48-15-16."
    for share in (0.0, 0.37, 0.999):
        text = needle_text(12_000_000, needle, share)
        passages = select("vault combination in marmoset lodge", [text], max_chars=4_000)
        assert any(needle in passage.text for passage in passages), share


def test_many_small_documents_are_searched_like_one_big_one():
    documents = [f"Record {number}. {FILLER}" * 20 for number in range(2_000)]
    documents[1_234] += "The zirconium valve was replaced by Inga."
    [passage] = select("Who replaced the zirconium valve?", documents, max_chars=3_000)
    assert passage.doc == 1_234
    assert "Inga" in passage.text


def test_other_word_forms_are_found():
    documents = [FILLER * 50 + "The engine raises an exception when parsing fails.\n" + FILLER * 50]
    assert any("raises" in passage.text for passage in select("raised exceptions", documents, max_chars=2_000))


def test_text_without_spaces_between_words_is_searched():
    documents = ["今天天气很好，我们去公园散步。\n" * 3_000 + "合同的违约金是三万元。\n" + "大家都很高兴。\n" * 3_000]
    passages = select("违约金是多少？", documents, max_chars=2_000)
    assert any("三万元" in passage.text for passage in passages)
    big = [documents[0] * 40]
    assert any("三万元" in passage.text for passage in select("违约金是多少？", big, max_chars=2_000))


def test_a_phrase_in_quotation_marks_weighs_more_than_its_words_apart():
    apart = "peer review of the reset button, by the connection team. " * 6
    together = "Then it printed: connection reset by peer."
    documents = [apart * 4 + "\n\n" + FILLER * 30 + "\n\n" + together + "\n\n" + FILLER * 30 + apart * 4]
    passages = select('Where is "connection reset by peer" printed?', documents, max_chars=1_000)
    assert any(together in passage.text for passage in passages)


def test_nothing_is_found_where_no_term_occurs():
    assert select("zirconium valve", [FILLER * 100], max_chars=4_000) == []
    assert select("zirconium valve", [FILLER * 50_000], max_chars=4_000) == []
    assert select("?!", [FILLER], max_chars=4_000) == []
    assert select("anything", [], max_chars=4_000) == []
    assert select("anything", [""], max_chars=4_000) == []


def test_a_word_on_the_border_of_two_blocks_is_not_missed():
    for shift in range(12):
        text = "x" * 5 + FILLER * 40_000
        at = 4_000 * 300 - shift
        text = text[:at] + " zirconium " + text[at + 11 :]
        assert any("zirconium" in passage.text for passage in select("zirconium", [text], max_chars=4_000)), shift


def test_windows_that_hardly_match_are_left_out():
    noise = "The town has a valve. " + FILLER * 12
    documents = [noise * 10 + "The zirconium valve of the marmoset lodge leaks. " + noise * 10]
    passages = select("zirconium valve marmoset lodge", documents, max_chars=20_000)
    assert sum(len(passage.text) for passage in passages) < 4_000


def test_text_that_would_be_query_syntax_is_only_text():
    documents = ["error: E-4471 (fatal) at line 3\n"]
    for query in ("error: AND (", 'text:"E-4471', "E-4471^2 OR [a TO", "-error +fatal ~2 \\", "*:*"):
        select(query, documents, max_chars=1_000)
    assert select('E-4471) AND "', documents, max_chars=1_000)


def test_excluded_passages_are_not_found_again():
    text = needle_text(50_000, "The marmoset sleeps.", 0.2) + needle_text(50_000, "A marmoset wakes.", 0.5)
    [first, second] = select("marmoset", [text], max_chars=4_000)
    found = select("marmoset", [text], max_chars=4_000, exclude=[(0, first.start, first.end)])
    assert [passage.text for passage in found] == [second.text]


def test_real_sources_give_the_passage_that_answers():
    library = Path(os.__file__).parent
    files = [library / name for name in ("json/decoder.py", "json/__init__.py", "shutil.py", "socket.py", "queue.py")]
    documents = [file.read_text(encoding="utf-8") for file in files]
    passages = select("Which exception does queue.get raise when the queue is empty?", documents, max_chars=6_000)
    assert any("raise Empty" in passage.text for passage in passages if passage.doc == 4)


WORDS = st.sampled_from(["alpha", "beta", "gamma", "delta", "Émile", "违约金", "x_y", "\n", "\n\n", ". ", "42"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(WORDS, max_size=400).map(" ".join), max_size=6),
    st.lists(WORDS, min_size=1, max_size=4).map(" ".join),
    st.integers(50, 3_000),
    st.integers(20, 400),
)
def test_passages_are_verbatim_in_order_apart_and_within_the_room(documents, query, max_chars, window):
    passages = select(query, documents, max_chars=max_chars, window_chars=window, overlap=window // 5)
    assert sum(len(passage.text) for passage in passages) <= max_chars
    for passage in passages:
        text = documents[passage.doc]
        assert text[passage.start : passage.end] == passage.text != ""
        assert passage.line == 1 + text[: passage.start].count("\n")
    spans = [(passage.doc, passage.start, passage.end) for passage in passages]
    for before, after in pairwise(spans):
        assert before[0] < after[0] or (before[0] == after[0] and before[2] < after[1])


@given(st.text(max_size=400))
def test_terms_of_any_text_are_few_and_lower_case(query):
    terms = query_terms(query)
    assert len(terms) <= 24
    assert all(term == term.lower() for term in terms)


def test_words_that_every_question_has_are_left_out():
    assert query_terms("What is the name of the `max_workers` default?") == ["max_workers", "max", "workers", "default"]
    assert query_terms("what is it") == ["what", "is", "it"]
