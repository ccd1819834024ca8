"""Context: what it takes, what it refuses, that it copies nothing, and that no search runs for ever."""

import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrlm.context import Context
from pyrlm.errors import ConfigurationError
from pyrlm.files import FileDocument
from pyrlm.patterns import pattern_trouble
from pyrlm.textapi import TextAPI

TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=20)  # lone surrogates too


def test_of_takes_a_context_a_string_or_a_list():
    context = Context.from_text("abc")
    assert Context.of(context) is context
    assert Context.of("abc").texts == ("abc",)
    assert Context.of(["a", "b"]).texts == ("a", "b")
    assert Context.of(("a",)).num_documents == 1


@pytest.mark.parametrize(
    ("given_value", "told"),
    [
        (b"abc", "decode it to a string"),
        (bytearray(b"abc"), "decode it to a string"),
        (7, "got int"),
        (Path("notes.md"), "Context.from_files"),
        (["a", b"b"], "document 1 must be a string, got bytes; decode"),
        (["a", None], "document 1 must be a string, got NoneType"),
        ((x for x in "ab"), "got generator"),
    ],
)
def test_of_refuses_the_rest_and_says_what_to_do(given_value, told):
    with pytest.raises(ConfigurationError, match=re.escape(told)):
        Context.of(given_value)


def test_one_string_is_no_list_of_documents():
    with pytest.raises(ConfigurationError, match="from_text"):
        Context.from_documents("abc")
    with pytest.raises(ConfigurationError, match="from_text"):
        Context.from_text(["abc"])


def test_documents_are_neither_joined_nor_copied():
    docs = [chr(97 + i) * 1_000_000 for i in range(10)]
    tracemalloc.start()
    try:
        context = Context.from_documents(docs)
        found = context.find("jjj", max_results=1)
        size = (context.len_chars, context.fingerprint, context.metadata())[0]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert context.texts[3] is docs[3]
    assert (found[0].doc, size) == (9, 10_000_018)
    assert peak < 1_000_000, f"{peak} bytes were allocated over ten documents of 1 MB"


def test_sizes_read_and_call_alike():
    context = Context.from_documents(["ab", "cde"], separator="--")
    assert context.len_chars == context.len_chars() == len(context) == 7
    assert context.num_documents == context.num_documents() == 2
    assert type(context.len_chars()) is int


@given(st.lists(TEXT, max_size=5), st.sampled_from(["", "\n\n", "\ud800"]), st.integers(1, 30))
def test_the_encoded_text_is_the_joined_one(docs, separator, size):
    context = Context.from_documents(docs, separator=separator)
    pieces = list(context.encode_pieces(size))
    joined = b"".join(pieces).decode("utf-8", "surrogatepass")
    assert joined == separator.join(docs)
    assert all(0 < len(piece.decode("utf-8", "surrogatepass")) <= size for piece in pieces)
    worker = TextAPI.of_joined(joined, context.spans())
    for start in range(0, len(joined), 3):
        assert context.slice(start, start + 4) == worker.slice(start, start + 4) == joined[start : start + 4]


PATTERN = st.lists(
    st.sampled_from(
        [
            "a",
            "b",
            "ab",
            ".",
            "a*",
            "b+?",
            "(a|b)",
            "(?:ab)+",
            "[ab]",
            "[^a]",
            r"\b",
            r"\w",
            r"\s",
            r"\d",
            "^",
            "$",
            "1",
            "{e}",
            "{,2}",
            "{2}",
            "{",
            "}",
            "[[:alpha:]]",
            "[a[]",
            "(?=b)",
            "(?<!a)",
            "(?P<n>a)",
            "(?i:A)",
            r"\{",
            "?",
        ]
    ),
    min_size=1,
    max_size=5,
).map("".join)


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
@given(PATTERN, st.text(alphabet="abAB1{}e[:\n lph", max_size=25), st.booleans())
def test_patterns_match_as_with_re(pattern, text, ignore_case):
    context = Context.from_text(text)
    try:
        expected = [m.span() for m in re.finditer(pattern, text, re.IGNORECASE if ignore_case else 0)]
    except re.error:
        with pytest.raises(ValueError, match="not a valid regular expression"):
            context.find(pattern, regex=True)
    else:
        found = context.find(pattern, regex=True, ignore_case=ignore_case, max_results=None)
        assert [m[:2] for m in found] == expected


def test_flags_of_a_compiled_pattern_hold_in_the_host():
    context = Context.from_text("One\nTWO é")
    assert [m.text for m in context.find(re.compile("^t . o", re.IGNORECASE | re.MULTILINE | re.VERBOSE))] == ["TWO"]
    assert [m.text for m in context.find(re.compile(r"\w+$", re.ASCII))] == []


@pytest.mark.parametrize(
    ("pattern", "text", "told"),
    [
        ("(a+)+$", "a" * 5_000 + "b", "a group that repeats something is itself repeated"),
        ("^(a|aa)+$", "a" * 200 + "b", "alternatives that may match the same"),
        (r"x\w*y\w*z", "x" * 50_000 + "y z", "several open-ended parts"),
    ],
)
def test_a_pattern_without_end_is_stopped_and_explained(pattern, text, told):
    with pytest.raises(TimeoutError, match=re.escape(told)) as caught:
        Context.from_text(text).find(pattern, regex=True, timeout=0.2)
    assert pattern in str(caught.value).replace("\\\\", "\\")


def test_the_time_limit_is_for_all_documents_together():
    context = Context.from_documents(["a" * 5_000 + "b"] * 1000)
    with pytest.raises(TimeoutError):
        context.find("(a+)+c?$", regex=True, timeout=0.2)


def test_the_api_that_code_uses_has_the_time_limit_too():
    assert Context.from_text("ab").api.find("a.", regex=True)[0].text == "ab"
    with pytest.raises(ValueError, match="not a valid regular expression"):
        Context.from_text("ab").api.find(r"\p{L}", regex=True)  # regex knows it, re does not


def test_explaining_a_hostile_pattern_ends():
    for pattern in ("(" * 100_000, "[" * 100_000, "(a+" * 50_000, ".*" * 50_000, "a" * 100_000):
        assert pattern_trouble(pattern)


def test_metadata_of_the_whole_is_bounded_and_of_a_document_is_its_own():
    docs = [f"text {i}" for i in range(5000)]
    context = Context.from_documents(docs, metadata=[{"source": f"file{i}.md", "year": i} for i in range(5000)])
    assert len(repr(context.metadata())) < 1000
    assert context.metadata()["num_documents"] == 5000
    assert context.metadata(7) == {"source": "file7.md", "year": 7}
    assert context.sources[7] == "file7.md"
    assert len(repr(context)) < 200
    with pytest.raises(IndexError, match="there are 5000"):
        context.metadata(5000)
    with pytest.raises(ConfigurationError, match="got 1 for 2 documents"):
        Context.from_documents(["a", "b"], metadata=[{}])
    assert Context.from_documents(["a"], metadata={"year": 3}).metadata()["year"] == 3
    assert Context.from_text("abc", metadata={"source": "x.md"}).sources == ("x.md",)


def test_fingerprints_differ_with_text_and_order():
    contexts = [["ab", "c"], ["c", "ab"], ["a", "bc"], ["ab", "d"], ["abc"], [], [""]]
    prints = {Context.from_documents(docs).fingerprint for docs in contexts}
    assert len(prints) == len(contexts)
    assert Context.from_documents(["ab", "c"]).fingerprint == Context.of(("ab", "c")).fingerprint


def test_places_are_cited_by_file_and_line():
    context = Context.from_read(
        [
            FileDocument(text="one\ntwo", source="a.md"),
            FileDocument(text="name: x\nage: 3", source="t.csv", kind="record", line=9, record=4),
            FileDocument(text="first\fsecond", source="r.pdf", kind="pdf"),
        ]
    )
    cited = [context.where(context.find(word)[0].start) for word in ("two", "age", "first", "second")]
    assert cited == ["a.md:2", "t.csv:9", "r.pdf, page 1", "r.pdf, page 2"]
    assert Context.of(["x", "y\nz"]).where(5) == "document 1:2"


def test_from_files_reads_and_keeps_what_was_skipped(tmp_path):
    (tmp_path / "a.md").write_text("alpha")
    (tmp_path / "b.bin").write_bytes(b"\0\1")
    context = Context.from_files(tmp_path)
    assert context.texts == ("alpha",)
    assert [Path(item.path).name for item in context.skipped] == ["b.bin"]
    with pytest.raises(ConfigurationError, match=r"missing\.txt: no such file"):
        Context.from_files(tmp_path / "missing.txt")


def test_no_documents_are_a_context_too():
    context = Context.from_documents([])
    assert (len(context), context.find("a"), context.chunk(5), context.document_lengths()) == (0, [], [], [])
    assert context, "an empty context is still a context"
