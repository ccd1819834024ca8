"""Chunking: passages cover the document, know their place, keep to their size, and follow its structure."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyrlm.errors import ConfigurationError
from pyrlm.retrievers.chunking import Chunker, estimate_tokens

LINES = st.one_of(
    st.sampled_from(
        ["", "", " ", "# Head", "## Sub head", "1.2.  Numbered", "Title", "=====", "-----", "```", "```python", "~~~"]
    ),
    st.text(max_size=60),
    st.text("ab .!?\n\t", max_size=300),
    st.text("中文。、", max_size=200),
    st.integers(1, 400).map(lambda n: "x" * n),
    st.integers(1, 60).map(lambda n: "word " * n),
)
TEXTS = st.lists(LINES, max_size=30).map("\n".join)
CHUNKERS = st.integers(16, 60).flatmap(
    lambda size: st.integers(0, size // 2).map(lambda overlap: Chunker(size=size, overlap=overlap))
)


@given(TEXTS, CHUNKERS)
@example("\n\n\n", Chunker(size=16, overlap=8))
@example("\ud800" * 100, Chunker(size=16, overlap=0))
@example("# a\n# b\n# c", Chunker(size=16, overlap=8))
@example("```\n" * 9, Chunker(size=16, overlap=8))
def test_passages_cover_the_document_and_know_their_place(text: str, chunker: Chunker) -> None:
    passages = chunker.split(text)
    reached = 0
    starts = []
    for passage in passages:
        assert text[passage.start : passage.end] == passage.text != ""
        assert passage.line == text.count("\n", 0, passage.start) + 1
        assert passage.start <= reached < passage.end
        assert estimate_tokens(passage.text) <= chunker.size
        assert estimate_tokens(text[passage.start : reached]) <= chunker.overlap
        reached = passage.end
        starts.append(passage.start)
    assert reached == len(text)
    assert starts == sorted(set(starts))
    assert chunker.split(text) == passages


def test_a_counter_of_ones_own_bounds_the_size() -> None:
    words = Chunker(size=20, overlap=4, count=lambda text: len(text.split()))
    text = " ".join(f"word{n}." for n in range(500))
    sizes = [len(passage.text.split()) for passage in words.split(text)]
    assert max(sizes) <= 20
    assert min(sizes[:-1]) >= 10


def test_defaults_give_passages_of_150_to_200_words_with_15_percent_overlap() -> None:
    sentence = "The quick brown foxes often jump over seven lazy dogs near the river bank. "
    text = "".join(sentence * 5 + "\n\n" for _ in range(60))
    passages = Chunker().split(text)
    words = [len(passage.text.split()) for passage in passages[:-1]]
    assert 150 <= sum(words) / len(words) <= 220
    overlaps = [before.end - after.start for before, after in itertools.pairwise(passages)]
    share = sum(overlaps) / sum(passage.end - passage.start for passage in passages)
    assert 0.05 <= share <= 0.2


MARKDOWN = """# Guide

Intro text that says what this guide is about, in a line that is long enough.

## Install

Run the installer and wait until it has finished; then look at the log of it.

```sh
# not a heading

make install
```

## Use

Call the program with a file and read what it prints on the terminal.

# Reference

All of the options, one by one, in the order of the alphabet, with examples.
"""


def test_passages_begin_at_headings_and_carry_them() -> None:
    passages = Chunker(size=48, overlap=6).split(MARKDOWN)
    first_lines = {passage.text.split("\n")[0]: passage.heading for passage in passages}
    assert first_lines["## Install"] == "Guide > Install"
    assert first_lines["## Use"] == "Guide > Use"
    assert first_lines["# Reference"] == "Reference"
    assert not any("not a heading" in passage.heading for passage in passages)


def test_a_passage_does_not_repeat_text_across_a_heading() -> None:
    passages = Chunker(size=48, overlap=20).split(MARKDOWN)
    use = next(passage for passage in passages if passage.text.startswith("## Use"))
    assert all(passage.end <= use.start for passage in passages if passage.start < use.start)


@pytest.mark.parametrize(
    ("text", "heading"),
    [
        ("Title\n=====\n\nbody\n", "Title"),
        ("3.1.  Message Flow\n\n   The client sends a request.\n", "3.1. Message Flow"),
        ("# Title #\nbody", "Title"),
        ("3.1.  Message Flow ........ 17\n\n   and so on\n", ""),
        ("1. Open the door\n2. Close the door\n\nand so on", ""),
        ("import os\n\n# a comment\n\nx = 1\n", ""),
        ("plain text\n", ""),
    ],
)
def test_what_a_heading_is(text: str, heading: str) -> None:
    assert Chunker().split(text)[0].heading == heading


def test_code_blocks_stay_whole_where_they_fit() -> None:
    code = "```python\nfor a in b:\n\n    print(a)\n\n    print(a, a)\n```"
    text = "Some words before the code block, a few.\n\n" * 3 + code + "\n\nSome words behind it.\n"
    passages = Chunker(size=40, overlap=0).split(text)
    assert sum(code in passage.text for passage in passages) == 1


@pytest.mark.parametrize("settings", [{"size": 15}, {"overlap": -1}, {"size": 100, "overlap": 51}])
def test_settings_that_make_no_sense_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigurationError, match="at least 16 tokens"):
        Chunker(**settings)


def test_settings_are_in_the_name() -> None:
    assert Chunker(size=99).name != Chunker().name == Chunker(size=300, overlap=45).name
