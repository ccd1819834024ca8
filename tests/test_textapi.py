"""The Context API: one joined text and many documents must agree in every offset, and with Python's own str and re."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrlm import textapi
from pyrlm.textapi import TextAPI

LETTERS = st.text(alphabet="ab \nSsſiIİıkKK中é", max_size=12)
DOCS = st.lists(LETTERS, max_size=6)
SEPARATORS = st.sampled_from(["", "\n", "\n\n", "--", "a"])


def both(docs, separator):
    of_documents = TextAPI.of_documents(docs, separator)
    return of_documents, TextAPI.of_joined(separator.join(docs), of_documents.spans())


def starts_of(docs, separator):
    return [len(separator.join([*docs[:i], ""])) if i else 0 for i in range(len(docs))]


@given(DOCS, SEPARATORS, st.one_of(st.none(), st.integers(-30, 60)), st.one_of(st.none(), st.integers(-30, 60)))
def test_slices_are_those_of_the_joined_text(docs, separator, start, end):
    for api in both(docs, separator):
        assert api.slice(start, end) == separator.join(docs)[start:end]
        assert api.len_chars == len(separator.join(docs))


@given(DOCS, SEPARATORS, st.text(alphabet="ab \nSski中", min_size=1, max_size=3), st.booleans())
def test_literal_matches_are_those_of_each_document(docs, separator, needle, ignore_case):
    pattern = re.compile(re.escape(needle), re.IGNORECASE if ignore_case else 0)
    expected = [
        (start + m.start(), start + m.end(), m[0], doc, text.count("\n", 0, m.start()) + 1)
        for doc, (start, text) in enumerate(zip(starts_of(docs, separator), docs, strict=True))
        for m in pattern.finditer(text)
    ]
    for api in both(docs, separator):
        assert [tuple(m) for m in api.find(needle, ignore_case=ignore_case, max_results=None)] == expected
        assert [tuple(m) for m in api.find(needle, ignore_case=ignore_case, max_results=2)] == expected[:2]


@given(DOCS, SEPARATORS, st.sampled_from(["^", "a*", "$", r"\ba", r"(?<=\n).", r"(?m)^\w", "[ab]+", r"a\Z", r"\s"]))
def test_regex_matches_are_those_of_each_document(docs, separator, pattern):
    expected = [
        (start + m.start(), start + m.end(), m[0], doc, text.count("\n", 0, m.start()) + 1)
        for doc, (start, text) in enumerate(zip(starts_of(docs, separator), docs, strict=True))
        for m in re.finditer(pattern, text)
    ]
    for api in both(docs, separator):
        assert [tuple(m) for m in api.find(pattern, regex=True, max_results=None)] == expected


@given(DOCS, SEPARATORS)
def test_locate_inverts_the_spans(docs, separator):
    for api in both(docs, separator):
        for doc, (start, text) in enumerate(zip(starts_of(docs, separator), docs, strict=True)):
            for local in range(len(text)):
                assert api.locate(start + local) == (doc, local, text.count("\n", 0, local) + 1)


@given(DOCS, SEPARATORS, st.integers(1, 9), st.data())
def test_chunks_cover_the_text_and_overlap_as_asked(docs, separator, size, data):
    overlap = data.draw(st.integers(0, size - 1))
    joined = separator.join(docs)
    for api in both(docs, separator):
        if joined and len(joined) * size > 10 * len(joined) * (size - overlap):
            continue  # so much overlap is refused
        chunks = api.chunk(size, overlap)
        assert all(0 < len(chunk) <= size for chunk in chunks)
        assert "".join([*chunks[:1], *(chunk[overlap:] for chunk in chunks[1:])]) == joined
        assert all(len(chunk) == size for chunk in chunks[:-1])
        assert all(len(chunk) > overlap for chunk in chunks[1:]), "a tail that the chunk before it holds already"


@given(DOCS, SEPARATORS, st.integers(1, 4))
def test_chunks_of_documents_join_neighbours(docs, separator, count):
    expected = [separator.join(docs[i : i + count]) for i in range(0, len(docs), count)]
    for api in both(docs, separator):
        assert api.chunk_documents(count) == expected


def test_a_match_across_documents_is_none_and_hides_no_later_one():
    for api in both(["xab", "cab", "abc"], ""):
        assert [m[:2] for m in api.find("abc")] == [(6, 9)]
    for api in both(["one\n", "\ntwo\n\nthree"], "\n\n"):
        assert [(m.start, m.doc) for m in api.find("\n\n")] == [(10, 1)]


@settings(max_examples=20)
@given(st.lists(st.integers(0, 200_000), max_size=12, unique=True))
def test_lines_of_long_documents(places):
    """Lines are counted in blocks beyond 65,536 characters: the line must not depend on what was asked before."""
    text = ("word " * 7 + "\n") * 6000
    places = sorted(place for place in places if place < len(text))
    for at in reversed(places):
        text = text[:at] + "#" + text[at + 1 :]
    for api in both(["short\n", text], "\n"):
        for match in (*api.find("#", max_results=None), *api.find("#", regex=True, max_results=None)):
            local = match.start - 7
            assert (match.doc, match.line) == (1, text.count("\n", 0, local) + 1)
            assert api.locate(match.start) == (1, local, match.line)


def test_every_ascii_letter_finds_all_its_cases():
    """`re` takes as equal more than the two cases of some letters; the set that makes it fast must hold them all."""
    everything = "".join(map(chr, range(0x110000)))
    api = TextAPI.of_joined(everything, [(0, len(everything))])
    for letter in "abcdefghijklmnopqrstuvwxyzIKS":
        expected = [m.start() for m in re.finditer(letter, everything, re.IGNORECASE)]
        assert [m.start for m in api.find(letter, ignore_case=True)] == expected


def test_bad_arguments_say_what_to_do():
    api = TextAPI.of_documents(["ab", "cd"], "\n")
    with pytest.raises(ValueError, match="pattern is empty"):
        api.find("")
    with pytest.raises(ValueError, match=r"(?s)position 1.*regex=False"):
        api.find("a(b", regex=True)
    with pytest.raises(ValueError, match="not a valid regular expression"):
        api.find("a{99999999999999999999}", regex=True)
    with pytest.raises(TypeError, match="must be a string, got list"):
        api.find(["a"])
    with pytest.raises(ValueError, match="max_results"):
        api.find("a", max_results=-1)
    with pytest.raises(IndexError, match="there are 2, numbered 0 to 1"):
        api.get_document(2)
    with pytest.raises(IndexError, match="there are none"):
        TextAPI.of_documents([], "\n").get_document(0)
    with pytest.raises(IndexError, match="5 characters"):
        api.locate(6)
    with pytest.raises(ValueError, match="size must be 1 or more"):
        api.chunk(0)
    with pytest.raises(ValueError, match="overlap"):
        api.chunk(3, 3)
    with pytest.raises(ValueError, match="docs_per_chunk"):
        api.chunk_documents(0)
    with pytest.raises(TypeError):
        api.chunk(2.5)


def test_chunks_that_would_fill_the_memory_are_refused():
    api = TextAPI.of_joined("x" * 2_000_000, [(0, 2_000_000)])
    with pytest.raises(ValueError, match="larger size"):
        api.chunk(1)
    with pytest.raises(ValueError, match="smaller overlap"):
        api.chunk(100_000, 99_990)
    assert len(api.chunk(1000, 500)) == 3999


def test_negative_numbers_and_ends():
    for api in both(["one", "two"], "--"):
        assert api.get_document(-1) == "two"
        assert api.locate(8) == (1, 3, 1)
        assert api.locate(4) == (0, 3, 1), "a separator belongs to the document before it"
        assert api.document_lengths() == [3, 3]
        assert api.num_documents == 2
        assert api.chunk(100) == ["one--two"]
    assert TextAPI.of_joined("", [(0, 0)]).chunk(5) == []


def test_a_compiled_pattern_brings_its_flags():
    api = TextAPI.of_documents(["One\nTWO"], "")
    assert [m.text for m in api.find(re.compile("^t.o", re.IGNORECASE | re.MULTILINE))] == ["TWO"]
    assert [m.text for m in api.find(re.compile("[a-z]+"), ignore_case=True)] == ["One", "TWO"]


def test_matches_come_one_by_one():
    scanned = []

    def engine(pattern, flags):
        def scan(text):
            scanned.append(text)
            return re.finditer(pattern, text, flags)

        return scan

    api = TextAPI.of_documents(["a1", "a2", "a3"], "\n", engine=engine)
    assert [m.text for m in api.find(r"a\d", regex=True, max_results=1)] == ["a1"]
    assert scanned == ["a1"], "documents after the last match asked for were searched"


def test_the_worker_loads_it_by_path_without_pyrlm_and_without_typing():
    code = (
        "import sys, importlib.util as u\n"
        "s = u.spec_from_file_location('textapi', sys.argv[1]); m = u.module_from_spec(s); s.loader.exec_module(m)\n"
        "print(m.TextAPI.of_joined('ab\\nab', [(0, 5)]).find('ab')[1])\n"
        "print(sorted(n for n in sys.modules if n in ('typing', 'pyrlm', 'regex')))"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(Path(textapi.__file__))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["Match(start=3, end=5, text='ab', doc=0, line=2)", "[]"]
