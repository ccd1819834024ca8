"""Previews: verbatim, bounded, and the part of the passage that matches best."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyrlm.retrievers.previews import Previewer
from pyrlm.retrievers.records import analyzer, searchable

FILLER = "and so on and on in words that nobody asked for " * 10


@given(st.text(max_size=800), st.sets(st.text("abİß中é1", min_size=1, max_size=3)), st.integers(20, 300))
@example("a " * 400, {"a"}, 20)
@example("\u0130\u0130 ab " * 50, {"ab"}, 20)
def test_a_preview_is_a_bounded_part_of_the_text(text: str, words: set[str], chars: int) -> None:
    preview, spans = Previewer(words, chars).show(text)
    assert preview in text
    assert len(preview) <= chars
    assert preview == preview.strip()
    for start, end in spans:
        assert preview[start:end].lower() in words or preview[start:end] in words


@given(st.lists(st.sampled_from(["Alpha", "beta,", "GAMMA_delta", "中文字", "x.y", "don't", "\n", "-"]), max_size=30))
def test_what_is_highlighted_is_what_the_index_matches(pieces: list[str]) -> None:
    text = " ".join(pieces)
    words = ["alpha", "gamma", "中", "y", "don"]
    _, spans = Previewer(words, 10_000).show(text)
    found = sorted(re.sub(r"\s", "", text.strip()[start:end]).lower() for start, end in spans)
    assert found == sorted(word for word in analyzer().analyze(searchable(text)) if word in words)


def test_the_window_with_the_most_different_words_is_shown() -> None:
    text = f"{FILLER}needle needle needle {FILLER} the needle in the haystack {FILLER}"
    preview, spans = Previewer(["needle", "haystack"], 120).show(text)
    assert "needle in the haystack" in preview
    assert {preview[start:end] for start, end in spans} == {"needle", "haystack"}


def test_a_preview_begins_and_ends_between_words() -> None:
    preview, _ = Previewer(["needle"], 100).show(f"{FILLER} needle {FILLER}")
    assert preview.split()[0] in FILLER.split()
    assert preview.split()[-1] in FILLER.split()


def test_without_a_match_the_beginning_is_shown() -> None:
    preview, spans = Previewer(["absent"], 50).show(FILLER)
    assert FILLER.startswith(preview)
    assert spans == ()


@pytest.mark.parametrize("count", [3, 300])
def test_many_words_are_found_as_few_are(count: int) -> None:
    words = [f"w{n}" for n in range(count)]
    text = "W1 xw2 w2 w2_w0 w1中"
    preview, spans = Previewer(words).show(text)
    assert [preview[start:end] for start, end in spans] == ["W1", "w2", "w2", "w0"]
