"""Real text: BM25 and filters on Debian's package of 197 Internet and Draft Standards, which is fetched once and kept."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
sys.path.insert(0, str(EXAMPLES))
import rfc_corpus  # noqa: E402 - a script beside its questions
import rfc_recall  # noqa: E402

from pyrlm.errors import RetrieverError  # noqa: E402
from pyrlm.retrievers import EmbeddedRetriever  # noqa: E402

sys.path.remove(str(EXAMPLES))

pytestmark = pytest.mark.xdist_group("rfc")


@pytest.fixture(scope="module")
def paths():
    try:
        return rfc_corpus.documents(rfc_corpus.fetch())
    except rfc_corpus.NoTextError as error:
        pytest.skip(
            f"the texts of the RFCs are not here: {error} (here: unpack it into {rfc_corpus.CACHE}/doc-rfc-std)"
        )


@pytest.fixture(scope="module")
def retriever(paths, tmp_path_factory):
    with EmbeddedRetriever(tmp_path_factory.mktemp("rfc") / "rfc.idx") as made:
        report = made.index(rfc_corpus.read(paths))
        assert (report.indexed, report.failed) == (197, [])
        yield made


@pytest.fixture(scope="module")
def asked(retriever):
    return rfc_recall.answerable(retriever, rfc_recall.questions())


def test_the_questions_are_thirty_of_four_kinds_and_most_can_be_asked_here(asked):
    every = rfc_recall.questions()
    assert len(every) == 30
    assert {question["kind"] for question in every} == set(rfc_recall.KINDS)
    assert [question["id"] for question in asked] == [
        question["id"] for question in every if question["package"] == "doc-rfc-std"
    ]
    assert len(asked) >= 20


def test_the_answers_stand_in_the_texts(retriever, asked):
    for question in asked:
        for rfc, words in question.get("evidence", {}).items():
            if rfc not in question["rfcs"] and not rfc_recall.answerable(retriever, [{"rfcs": [rfc]}]):
                continue  # only a larger package has it
            text = " ".join(retriever.get(rfc)["content"].split())
            assert words.lower() in text.lower(), question["id"]


def test_recall_of_bm25_does_not_fall(retriever, asked):
    recall = rfc_recall.by_kind(rfc_recall.ask(retriever.search, asked))
    assert recall["known-item"] >= 0.8
    assert recall["filter"] == 1.0
    assert recall["multi-document"] >= 0.8
    assert recall["all"] >= 0.7
    # Questions that share few words with their answers: what BM25 can't do, and vectors are for.
    assert recall["semantic"] >= 0.1


def test_a_search_by_date_and_status_finds_what_a_scan_of_the_metadata_finds(paths, retriever):
    metadata = {document.doc_id: document.metadata for document in rfc_corpus.read(paths)}
    spans = [
        ({"date": "2020"}, lambda about: about["date"].year == 2020),
        ({"date": {"gte": "1983-05", "lt": "1983-06"}}, lambda about: about["date"] == date(1983, 5, 1)),
        ({"date": {"lt": "1981"}}, lambda about: about["date"] < date(1981, 1, 1)),
        ({"number": {"gte": 9000}}, lambda about: about["number"] >= 9000),
        (
            {"status": {"not": "draft standard"}, "date": {"gt": "2016"}},
            lambda about: about["status"] != "draft standard" and about["date"] > date(2016, 12, 31),
        ),
        ({"obsoletes": "rfc793"}, lambda about: "rfc793" in about["obsoletes"]),
    ]
    for filters, matches in spans:
        expected = {doc_id for doc_id, about in metadata.items() if matches(about)}
        found = {hit.doc_id for hit in retriever.search("", 1_000, filters)}
        ranked = {hit.doc_id for hit in retriever.search("the protocol of this memo", 1_000, filters)}
        assert 0 < len(expected) < len(metadata)
        assert found == expected, filters
        assert ranked <= expected, filters


def test_the_status_is_the_one_that_the_package_files_the_text_under(paths, retriever):
    for status, folder in (("internet standard", "standard"), ("draft standard", "draft-standard")):
        filed = {path.stem for path in paths if path.parent.name == folder}
        assert len(filed) > 70
        assert {hit.doc_id for hit in retriever.search("", 1_000, {"status": status})} == filed


def test_a_wrong_status_field_is_an_error_that_lists_the_fields(retriever):
    with pytest.raises(RetrieverError, match=r"date \(date\).*status \(keyword\)"):
        retriever.search("mail", filters={"state": "draft standard"})


def test_page_breaks_are_out_and_paragraphs_whole_again(paths, retriever):
    text = retriever.get("rfc1034")["content"]
    assert "[Page" not in text
    assert "\f" not in text
    assert text.count("Domain Concepts and Facilities") == 0
    # Page 1 ends and page 2 begins in the middle of this sentence.
    assert "The total network\n     bandwidth consumed" in text
    left = [document.doc_id for document in rfc_corpus.read(paths) if document.content.count("[Page ") > 1]
    assert left == []


@pytest.mark.parametrize(
    ("given", "day"),
    [("November 1987", date(1987, 11, 1)), ("1 April 1998", date(1998, 4, 1)), ("May 1983", date(1983, 5, 1))],
)
def test_publication_dates_are_read(given, day):
    assert rfc_corpus.publication_date(given) == day


def test_where_there_is_no_text_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(rfc_corpus.NoTextError, match=r"Debian's package doc-rfc-std.*--folder"):
        rfc_corpus.fetch(cache=tmp_path)
    with pytest.raises(rfc_corpus.NoTextError, match="no RFCs"):
        rfc_corpus.documents([tmp_path])


def test_a_mirror_that_cannot_be_reached_is_told_with_the_way_out(tmp_path, monkeypatch):
    if not rfc_corpus.KEYRING.exists():
        with pytest.raises(rfc_corpus.NoTextError, match="Debian's keys"):
            rfc_corpus.fetch(cache=tmp_path)
        return
    monkeypatch.setattr(rfc_corpus, "_mirror", lambda: "http://127.0.0.1:9/debian")
    with pytest.raises(rfc_corpus.NoTextError, match=r"apt-get update failed.*Debian's package doc-rfc-std"):
        rfc_corpus.fetch(cache=tmp_path)
    assert not (tmp_path / "doc-rfc-std").exists()
