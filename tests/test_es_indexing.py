"""Writing to a real cluster: what is there stays right whatever is indexed again, changed, deleted, broken off."""

import asyncio
import json
import threading
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
from es_server import index, request, server  # noqa: F401 - fixtures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from retrieval_corpus import DOCUMENTS, LONG, HashEmbedder

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.chunking import Chunker
from pyrlm.retrievers.elasticsearch import ElasticsearchRetriever
from pyrlm.retrievers.embedded import EmbeddedRetriever
from pyrlm.retrievers.es_actions import entry_id
from pyrlm.retrievers.filters import parse_filters
from pyrlm.retrievers.manifest import Manifest
from pyrlm.retrievers.metadata import evaluate
from pyrlm.retrievers.protocol import Document

pytestmark = pytest.mark.xdist_group("es")
SMALL = Chunker(size=40, overlap=6)


def docs(count: int, *, words: int = 60, start: int = 0) -> list[Document]:
    return [
        Document(f"d{n}", f"document number{n} " + f"word{n % 7} " * words, {"n": n, "even": n % 2 == 0}, f"T{n}")
        for n in range(start, start + count)
    ]


@pytest.fixture
def made(server: str, index: str) -> Any:  # noqa: F811
    with ElasticsearchRetriever(server, index=index, chunker=SMALL) as retriever:
        yield retriever


def entries(server: str, index: str) -> list[dict]:  # noqa: F811
    request("POST", f"{server}/{index}/_refresh")
    found = json.loads(request("GET", f"{server}/{index}/_search?size=1000"))
    return found["hits"]["hits"]


def test_indexing_again_changes_only_what_changed(server: str, index: str) -> None:  # noqa: F811
    embedder = HashEmbedder()
    with ElasticsearchRetriever(server, index=index, chunker=SMALL, embedder=embedder) as made:
        first = docs(20)
        assert made.index(first).indexed == 20
        embedded = len(embedder.texts)
        before = made.count_passages()
        changed = [Document("d3", "something else entirely", {"n": 3}, "T3"), *first[:3], *first[4:]]
        report = made.index(changed)
        assert (report.indexed, report.unchanged, report.passages, report.failed) == (1, 19, 1, [])
        assert len(embedder.texts) == embedded + 1
        assert made.get("d3")["content"] == "something else entirely"
        assert not any(hit.doc_id == "d3" for hit in made.search("number3", 50))
        assert made.count() == 20
        # The passages that it no longer has are gone.
        assert made.count_passages() == before - len(SMALL.split(first[3].content)) + 1


@pytest.mark.parametrize(
    "change",
    [
        Document("a", "text", {"k": 2}, "title"),
        Document("a", "text", {"k": 1}, "other title"),
        Document("a", "Text", {"k": 1}, "title"),
        Document("a", "text", {}, "title"),
    ],
)
def test_every_kind_of_change_is_seen(made: Any, change: Document) -> None:
    original = Document("a", "text", {"k": 1}, "title")
    made.index([original])
    assert made.index([original]).unchanged == 1
    assert made.index([change]).indexed == 1
    assert made.index([original]).indexed == 1
    assert made.search("text")[0].metadata == {"k": 1}


def test_what_a_crash_left_is_repaired(made: Any, server: str) -> None:  # noqa: F811
    long = Document("long", LONG, {}, "")
    made.index([long, *docs(3)])
    name = made.search("item5")[0].doc_id
    assert name == "long"
    index_name = made._indices.name
    request("DELETE", f"{server}/{index_name}/_doc/long%2317?refresh=true")
    with pytest.raises(RetrieverError, match="not whole") as caught:
        made.get("long")
    assert caught.value.retryable
    report = made.index([long, *docs(3)])
    assert (report.indexed, report.unchanged) == (1, 3)
    assert made.get("long")["content"] == LONG


def test_versions_of_one_document_in_one_stream_keep_their_order(made: Any) -> None:
    stream = [Document("a", f"version{n} " * (1 + 50 * (n % 3)), {}) for n in range(8)]
    report = made.index(stream)
    assert (report.indexed, report.failed) == (8, [])
    assert made.get("a")["content"] == stream[-1].content
    assert not made.search("version2")
    assert made.index([stream[-1], stream[-1]]).unchanged == 2


def test_documents_are_deleted(made: Any) -> None:
    made.index([*docs(5), Document("long", LONG)])
    assert made.delete(["long", "d1", "nope", "d1"]) == 2
    assert made.count() == 4
    assert not made.search("item7")
    assert made.delete([]) == 0


def test_what_the_stream_lacks_is_removed(made: Any) -> None:
    made.index(docs(10))
    report = made.index(docs(4), remove_missing=True)
    assert (report.unchanged, report.deleted) == (4, 6)
    assert made.count() == 4


def test_what_cannot_be_indexed_is_named_and_the_rest_is_in(made: Any) -> None:
    made.index([Document("first", "text", {"year": 2020, "when": date(2020, 1, 1)})])
    bad = [
        Document("type", "text", {"year": "2020"}),
        Document("", "text"),
        Document("empty", "  "),
        Document("lone", "\ud800"),
        Document("value", "text", {"x": object()}),
        Document("date", "text", {"when": "yesterday"}),
        Document("dots", "text", {"a..b": 1}),
        Document("both", "text", {"year": {"inner": 1}}),
        Document(
            "deep",
            "text",
            {
                "a": {
                    "b": {
                        "c": {
                            "d": {
                                "e": {
                                    "f": {
                                        "g": {
                                            "h": {
                                                "i": {
                                                    "j": {
                                                        "k": {
                                                            "l": {
                                                                "m": {"n": {"o": {"p": {"q": {"r": {"s": {"t": {}}}}}}}}
                                                            }
                                                        }
                                                    }
                                                }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            },
        ),
        "no document",
    ]
    good = docs(5)
    report = made.index([*bad[:5], *good, *bad[5:]])
    named = {failure.doc_id for failure in report.failed}
    assert {"type", "#2", "empty", "lone", "value", "date", "dots", "both"} <= named
    assert all(failure.reason for failure in report.failed)
    assert report.indexed + len(report.failed) == len(bad) + len(good)
    assert {hit.doc_id for hit in made.search("document", 20)} >= {document.doc_id for document in good}
    assert made.search("", 5, {"year": 2020})[0].doc_id == "first"


def test_two_types_in_one_batch(made: Any) -> None:
    report = made.index(
        [Document("a", "text", {"x": 1}), Document("b", "text", {"x": "one"}), Document("c", "text", {"x": 2.5})]
    )
    assert [failure.doc_id for failure in report.failed] == ["b"]
    assert "number field" in report.failed[0].reason
    assert [hit.doc_id for hit in made.search("", 5, {"x": {"gt": 2}})] == ["c"]


def test_odd_values_and_names(made: Any) -> None:
    stream = [
        Document("a", "text", {"none": None, "list": [], "empty": {}, "mixed": [1, None, 2]}),
        Document("ü" * 400, "text", {"when": datetime(2020, 5, 1, 10, 30, 0, 123456, tzinfo=UTC)}),
        Document("w", "text", {"when": "20200502"}),
        Document("long value", "text", {"abstract": "x" * 40_000}),
        Document("x#1", "text", {"a b": "c", "ä": 1, "a*": 2}),
    ]
    report = made.index(stream)
    assert report.failed == []
    assert made.index(stream).unchanged == 5
    assert made.get("a")["metadata"] == {"none": None, "list": [], "empty": {}, "mixed": [1, None, 2]}
    assert made.get("ü" * 400)["content"] == "text"
    assert {hit.doc_id for hit in made.search("", 5, {"when": {"gte": "2020-05"}})} == {"ü" * 400, "w"}
    assert [hit.doc_id for hit in made.search("", 5, {"when": "2020-05-01T10:30:00.123456Z"})] == ["ü" * 400]
    assert [hit.doc_id for hit in made.search("", 5, {"abstract": {"exists": True}})] == ["long value"]
    with pytest.raises(RetrieverError, match="more than 8191 characters"):
        made.search("", 5, {"abstract": "x" * 9_000})
    assert [hit.doc_id for hit in made.search("", 5, {"a b": "c", "ä": 1, "a*": 2})] == ["x#1"]


def test_ids_of_entries_are_short_and_different() -> None:
    ids = {entry_id(doc_id, n) for doc_id in ("a", "a#1", "ü" * 300, "ü" * 299 + "v", "a#") for n in range(3)}
    assert len(ids) == 15
    assert max(len(name.encode()) for name in ids) <= 512


def test_an_early_end_is_told_and_gone_on_from(made: Any) -> None:
    stop = threading.Event()

    def stream() -> Any:
        for number, document in enumerate(docs(40)):
            if number == 7:
                stop.set()
            yield document

    report = made.index(stream(), stop=stop)
    assert report.interrupted
    assert 7 <= report.indexed < 40
    again = made.index(docs(40))
    assert (again.unchanged, again.indexed, again.interrupted) == (report.indexed, 40 - report.indexed, False)


def test_a_stream_that_fails_is_the_callers_error(made: Any) -> None:
    def stream() -> Any:
        yield from docs(700)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        made.index(stream())
    assert made.index(docs(700)).unchanged >= 500


def test_progress_is_told(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrlm.retrievers.reports.PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr("pyrlm.retrievers.es_writing.BATCH_DOCUMENTS", 10)
    seen: list[Any] = []
    made.index(docs(35), progress=seen.append, total=35)
    assert [one.acknowledged for one in seen] == [10, 20, 30, 35, 35]
    assert (seen[-1].documents, seen[-1].total, seen[-1].failed) == (35, 35, 0)


def test_a_rebuild_takes_the_place_at_once(server: str, index: str) -> None:  # noqa: F811
    with ElasticsearchRetriever(server, index=index) as old:
        old.index(docs(5))
        with ElasticsearchRetriever(server, index=index, embedder=HashEmbedder(), chunker=SMALL) as new:
            with pytest.raises(RetrieverError, match="rebuild"):
                new.index(docs(1))
            counts: list[int] = []
            report = new.rebuild(docs(8, start=3), progress=lambda _: counts.append(1))
            assert (report.indexed, report.failed) == (8, [])
            assert new.count() == 8
            assert new.vector_search(f"T9\n{new.search('number9')[0].text}", 1)[0].doc_id == "d9"
        # The other retriever asks the alias, and needs nothing new to find what is there now.
        assert old.search("number9")[0].doc_id == "d9"
        assert not old.search("number1")
    listed = request("GET", f"{server}/_cat/indices/{index}*?h=index").decode().split()
    assert listed == [f"{index}-000002"]


def test_a_rebuild_that_ends_early_changes_nothing(made: Any, server: str) -> None:  # noqa: F811
    made.index(docs(5))
    stop = threading.Event()
    stop.set()
    assert made.rebuild(docs(9), stop=stop).interrupted
    assert made.count() == 5

    def stream() -> Any:
        yield docs(1)[0]
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        made.rebuild(stream())
    assert made.count() == 5
    assert len(request("GET", f"{server}/_cat/indices/{made._indices.name}*?h=index").decode().split()) == 1


def test_a_folder_moves_to_the_cluster_without_embedding(server: str, index: str, tmp_path: Any) -> None:  # noqa: F811
    embedder = HashEmbedder()
    with EmbeddedRetriever(tmp_path / "c.idx", embedder=embedder, chunker=SMALL) as folder:
        folder.index(DOCUMENTS)
        embedder.texts.clear()
        with ElasticsearchRetriever(server, index=index, embedder=embedder) as cluster:
            manifest = Manifest.read(folder.path)
            report = cluster.index(folder.documents(), made_with=manifest)
            assert (report.indexed, report.failed, embedder.texts) == (len(DOCUMENTS), [], [])
            assert report.passages == folder.count_passages() == cluster.count_passages()
            query = "transport layer security protocol handshake"
            both = [[hit.doc_id for hit in one.vector_search(query, 4)] for one in (folder, cluster)]
            assert both[0] == both[1]
            assert cluster.index(folder.documents(), made_with=manifest).unchanged == len(DOCUMENTS)
            assert cluster.index(DOCUMENTS).unchanged == len(DOCUMENTS)


def test_a_corpus_that_moves_keeps_the_types_of_its_fields(server: str, index: str, tmp_path: Any) -> None:  # noqa: F811
    letters = [Document(f"l{n}", f"a letter of the year {n}", {"sent": date(2018 + n, 5, 1)}) for n in range(3)]
    with EmbeddedRetriever(tmp_path / "letters.idx") as folder, ElasticsearchRetriever(server, index=index) as cluster:
        folder.index(letters)
        for move in (cluster.index, cluster.rebuild):
            move(folder.documents(), made_with=Manifest.read(tmp_path / "letters.idx"))
            assert cluster.fields["sent"] == "date"
            assert [hit.doc_id for hit in cluster.search("letter", filters={"sent": "2019"})] == ["l1"]


def test_two_writers_at_once(server: str, index: str) -> None:  # noqa: F811
    async def both() -> list[Any]:
        async with (
            ElasticsearchRetriever(server, index=index, chunker=SMALL) as one,
            ElasticsearchRetriever(server, index=index, chunker=SMALL) as other,
        ):
            reports = await asyncio.gather(one.aindex(docs(60)), other.aindex(docs(60, start=30)))
            assert await one.acount() == 90
            return reports

    assert [report.failed for report in asyncio.run(both())] == [[], []]


def test_ranking_is_that_of_the_folder(made: Any, tmp_path: Any) -> None:
    documents = docs(50, words=15)
    made.index(documents)
    with EmbeddedRetriever(tmp_path / "c.idx", chunker=SMALL) as folder:
        folder.index(documents)
        for query in ("document number7 word3", "T12 word5 number12", "number1 number2 number3"):
            ours, theirs = made.search(query, 5), folder.search(query, 5)
            assert ours[0].doc_id == theirs[0].doc_id
            assert [round(hit.score, 2) for hit in ours] == [round(hit.score, 2) for hit in theirs]


def test_other_analyzers(server: str, index: str) -> None:  # noqa: F811
    if "english" not in request("GET", f"{server}/_nodes/plugins").decode() and b"pyrlm-shim" not in request(
        "GET", f"{server}/_nodes/plugins"
    ):
        analyzer, query, marked = "simple", "herons", "herons"
    else:
        analyzer, query, marked = "english", "run heron", "running"
    with ElasticsearchRetriever(server, index=index, analyzer=analyzer) as made:
        made.index([Document("a", "The herons were running along the water. " + "Nothing else. " * 60)])
        hit = made.search(query)[0]
        assert marked in [hit.preview[start:end] for start, end in hit.highlights]
        assert len(hit.preview) <= 300
        assert hit.text.startswith("The herons")


def test_vectors_of_another_model_are_refused(server: str, index: str) -> None:  # noqa: F811
    class Other(HashEmbedder):
        name = "other"

    with ElasticsearchRetriever(server, index=index, embedder=HashEmbedder()) as made:
        made.index(docs(2))
    with ElasticsearchRetriever(server, index=index, embedder=Other()) as other:
        for method in (other.search, other.vector_search, other.hybrid_search):
            with pytest.raises(RetrieverError, match="hash-64"):
                method("x")
        with pytest.raises(RetrieverError, match="hash-64"):
            other.index(docs(1))
    with ElasticsearchRetriever(server, index=index) as plain:
        assert plain.search("number1")[0].doc_id == "d1"
        with pytest.raises(RetrieverError, match="open it with that embedder"):
            plain.index(docs(1))


def test_an_embedder_that_fails(server: str, index: str) -> None:  # noqa: F811
    class Failing(HashEmbedder):
        calls = 0

        def embed(self, texts: Any, /) -> np.ndarray:
            self.calls += 1
            if self.calls > 1:
                raise ValueError("out of memory")
            return super().embed(texts)

    with ElasticsearchRetriever(server, index=index, embedder=Failing()) as made:
        made.index(docs(3))
        with pytest.raises(RetrieverError, match="out of memory"):
            made.index(docs(3, start=10))
        found = made.hybrid_search("number1")
        assert (found.method, found[0].doc_id) == ("bm25", "d1")
        assert "out of memory" in found.note


NAMES = ("a", "b", "c")
VALUES = {
    "a": st.integers(-(2**63), 2**63 - 1)
    | st.integers(-3, 3)
    | st.integers(2**53 - 2, 2**53 + 2)
    | st.sampled_from([0.5, 1e19, -1e300, 2.0**60]),
    "b": st.sampled_from(["x", "xy", "y", "", "ü", "z z", "\U0001f600"]),
    "c": st.booleans(),
    "d": st.dates(date(1, 1, 1), date(9999, 12, 30))
    | st.datetimes(timezones=st.just(UTC)).map(
        lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    ),
}
METADATA = st.fixed_dictionaries({}, optional={name: one | st.lists(one, max_size=3) for name, one in VALUES.items()})


def _condition(name: str) -> st.SearchStrategy:
    value = VALUES[name]
    options = [value, st.lists(value, min_size=1, max_size=3), st.booleans().map(lambda wanted: {"exists": wanted})]
    if name != "c":
        options.append(
            st.fixed_dictionaries({}, optional={"gte": value, "lt": value})
            | st.fixed_dictionaries({}, optional={"gt": value, "lte": value})
        )
    if name == "b":
        options.append(st.sampled_from([{"prefix": "x"}, {"prefix": "ü"}]))
    plain = st.one_of(options).filter(lambda one: one != {})
    return (plain | plain.map(lambda one: {"not": one})).map(lambda one: {name: one})


FILTERS = st.recursive(
    st.sampled_from(sorted(VALUES)).flatmap(_condition),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda some: {"or": some})
        | st.lists(inner, min_size=1, max_size=3).map(lambda some: {"and": some})
        | inner.map(lambda one: {"not": one})
    ),
    max_leaves=4,
)


def test_filters_mean_what_they_say(made: Any) -> None:
    kept: dict[str, dict] = {"all": {"a": 1, "b": "x", "c": True, "d": date(2020, 1, 1)}}

    @settings(max_examples=60, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(METADATA)
    def collect(metadata: dict) -> None:
        kept[f"doc{len(kept)}"] = metadata

    collect()
    report = made.index([Document(name, "text", metadata) for name, metadata in kept.items()])
    assert report.failed == []
    schema = made.fields

    @settings(max_examples=150, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(FILTERS)
    def check(filters: dict) -> None:
        node = parse_filters(filters, schema)
        expected = {name for name, metadata in kept.items() if evaluate(node, metadata)}
        assert {hit.doc_id for hit in made.search("", 1000, filters)} == expected

    check()
