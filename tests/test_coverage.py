"""How much of the text was read, against sets of characters counted one by one."""

import random
import threading
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyrlm.context import Context
from pyrlm.coverage import Coverage

WORDS = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "omicron",
    "pi",
    "rho",
    "sigma",
    "tau",
]


def prose(chars, seed=0, words=WORDS, width=12):
    rng = random.Random(seed)
    lines = []
    size = 0
    while size < chars:
        lines.append(" ".join(f"{rng.choice(words)}{rng.randrange(10_000)}" for _ in range(width)))
        size += len(lines[-1]) + 1
    return "\n".join(lines)[:chars]


def share(texts, *read, separator="\n\n"):
    coverage = Coverage(Context.from_documents([texts] if isinstance(texts, str) else texts, separator=separator))
    for text in read:
        coverage.add(text)
    return coverage.share


TEXT = prose(20_000)


def test_nothing_everything_and_an_empty_text():
    assert share(TEXT) == 0
    assert share(TEXT, "Some instructions that have nothing to do with the text, but are long enough.") == 0
    assert share(TEXT, TEXT) == 1
    assert share("", "x") is None
    assert share([], "x") is None
    coverage = Coverage(Context.from_text(TEXT))
    coverage.add_all()
    coverage.add("x")
    assert coverage.share == 1


def test_a_slice_within_instructions():
    got = share(TEXT, f"You are a sub-LLM. Answer from this:\n<<<{TEXT[1000:3000]}>>>\nQuestion: what is alpha?")
    assert got == pytest.approx(2000 / 20_000, abs=3 / 20_000)


SLICES = st.lists(st.tuples(st.integers(0, 19_999), st.integers(40, 3000)), max_size=8)


@example([(0, 40), (1, 40)], "\x01")
@example([(0, 1768), (0, 1769)], "\x01")
@given(SLICES, st.sampled_from(["\x01", "\nNote: ", " -> "]))
@settings(max_examples=150, deadline=None)
def test_slices_count_once_and_exactly(slices, around):
    read = [TEXT[start : start + length] for start, length in slices]
    expected = {
        at for start, length in slices for at in range(start, min(start + length, len(TEXT))) if len(TEXT) - start >= 40
    }
    got = share(TEXT, *(f"{around}{piece}{around}" for piece in read))
    # A word or two beside a slice may happen to stand there; a slice at the end may be a short line.
    assert len(expected) / len(TEXT) <= got + 1e-9
    assert got <= min(1, (len(expected) + 45 * len(slices)) / len(TEXT)) + 1e-9


@given(st.lists(st.text(max_size=120), max_size=6), st.lists(st.text(max_size=120), max_size=6))
@settings(max_examples=200, deadline=None)
def test_never_raises_and_never_leaves_its_bounds(texts, read):
    got = share(texts, *read)
    assert got is None or 0 <= got <= 1
    if any(texts):
        assert share(texts, *read, *(text for text in texts)) >= got


ANY = st.text(st.sampled_from("ab\n漢é𝄞 "), min_size=200, max_size=600)


@given(ANY, st.integers(0, 500), st.integers(40, 600))
@settings(max_examples=150, deadline=None)
def test_any_alphabet(text, start, length):
    piece = text[start : start + length]
    if len(piece) >= 40:
        assert share(text, f"<{piece}>") >= len(piece) / len(text) - 1e-9


def test_print_outs_of_lists_lines_and_numbered_lines():
    lines = TEXT.split("\n")[:60]
    text = "\n".join(lines)
    whole = pytest.approx(1, abs=0.02)
    assert share(text, repr(lines)) == whole
    assert share(text, repr(text)) == whole
    assert share(text, repr([text[i : i + 500] for i in range(0, len(text), 500)])) == whole
    assert share(text, "\n".join(f"{number}: {line}" for number, line in enumerate(lines))) == whole
    assert share(text, *lines) == whole


def test_short_records():
    records = [f"{name},{number}" for number, name in enumerate(["Alice Adams", "Bob Brown", "Carol Clark"] * 40)]
    half = records[:60]
    for shown in ("\n".join(half), repr(half), "\n".join(f"{i}. {record}" for i, record in enumerate(half))):
        assert share(records, shown) == pytest.approx(0.5, abs=0.01)
        assert share("\n".join(records), shown) == pytest.approx(0.5, abs=0.02)


def test_a_line_read_once_does_not_count_for_all_its_copies():
    text = "\n".join(["yes, it is positive"] * 10)
    assert share(text, "1: yes, it is positive") == pytest.approx(0.1, abs=0.02)


def test_a_line_read_within_a_passage_does_not_count_for_its_copies_elsewhere():
    line = "\nyes, it is positive\n"
    text = TEXT[:3000] + line + TEXT[3000:6000] + "\x01" + line + "\x02" + TEXT[6000:9000]
    assert share(text, text[2000:4000]) == 2000 / len(text)


def test_a_word_or_a_short_piece_of_a_line_does_not_count():
    line = TEXT.split("\n")[3]
    assert share(TEXT, line[:30], line[5:40], "alpha") == 0


@pytest.mark.parametrize("separator", ["\n\n", "", "\n---\n"])
def test_documents_and_their_separators(separator):
    docs = [prose(300 + 7 * number, seed=number) for number in range(50)]
    context = Context.from_documents(docs, separator=separator)
    assert share(docs, *docs, separator=separator) == 1
    assert share(docs, *context.chunk_documents(10), separator=separator) == 1
    assert share(docs, docs[3], separator=separator) == pytest.approx(len(docs[3]) / sum(map(len, docs)))


def test_what_is_added_later_is_found_later():
    coverage = Coverage(Context.from_text(TEXT))
    coverage.add(TEXT[:5000])
    assert coverage.share == 0.25
    coverage.add(TEXT[4000:10_000])
    coverage.add(TEXT[:5000])
    assert coverage.share == 0.5
    assert coverage.share == 0.5


def test_passages_across_the_seams_of_blocks_and_parts(monkeypatch):
    monkeypatch.setattr("pyrlm.coverage_match._BLOCK", 300)
    monkeypatch.setattr("pyrlm.coverage_match._PART", 500)
    for start, length in [(0, 20_000), (250, 100), (280, 45), (100, 4000), (15_000, 41)]:
        piece = TEXT[start : start + length]
        for text in (TEXT, TEXT.replace("alpha", "älpha")):
            got = share(text, "#" * 450 + text[start : start + length] + "#" * 300)
            assert len(piece) / len(text) <= got <= (len(piece) + 6) / len(text)


def test_adding_while_the_share_is_found():
    coverage = Coverage(Context.from_text(TEXT))
    pieces = [TEXT[start : start + 100] for start in range(0, 20_000, 100)]
    adding = [
        threading.Thread(target=lambda part=part: [coverage.add(piece) for piece in part])
        for part in (pieces[:100], pieces[100:])
    ]
    for thread in adding:
        thread.start()
    shares = [coverage.share for _ in range(5)]
    for thread in adding:
        thread.join()
    assert shares == sorted(shares)
    assert coverage.share == 1


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("-" * 4_000_000, "-" * 30),
        ("------------------------------\n" * 100_000, "------------------------------\n\n x"),
        (prose(2_000_000), "\n".join(line[:39] for line in prose(2_000_000).split("\n"))),
        ("ab" * 1_000_000, "ab" * 1_000_000),
        ("a" * 2_000_000, ("a" * 100 + "b") * 20_000),
        (["x" * 30] * 50_000, "x" * 29),
    ],
)
def test_work_is_bounded_for_texts_made_to_be_slow(text, read):
    start = time.process_time()
    assert 0 <= share(text, read) <= 1
    assert time.process_time() - start < 15  # CPU time; comparing everything with everything would be hours


def test_real_text():
    source = Path(random.__file__).read_text(encoding="utf-8")
    got = share(source, f"Summarise:\n{source[2000:12_000]}\n")
    # Code repeats itself: what stands again elsewhere counts there too.
    assert 10_000 / len(source) <= got < 10_000 / len(source) + 0.03
