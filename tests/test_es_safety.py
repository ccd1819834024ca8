"""What two do to one index at once, and slips: nothing is lost in silence, and nothing is reported that isn't so."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from es_server import index, request, server  # noqa: F401 - fixtures

from pyrlm.errors import ConfigurationError, RetrieverError
from pyrlm.retrievers.elasticsearch import ElasticsearchRetriever
from pyrlm.retrievers.ingest import ingest
from pyrlm.retrievers.protocol import Document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("es")


def docs(count: int, *, start: int = 0, word: str = "text") -> list[Document]:
    return [Document(f"d{n}", f"{word} number{n}", {"n": n}) for n in range(start, start + count)]


def opened(url: str, name: str, **options: Any) -> ElasticsearchRetriever:
    return ElasticsearchRetriever(url, index=name, **options)


def indices_of(url: str, name: str) -> list[str]:
    return sorted(request("GET", f"{url}/_cat/indices/{name}*?h=index").decode().split())


class Paused:
    """A stream that waits before its last document until it is let go."""

    def __init__(self, documents: list[Document], before: int) -> None:
        self._documents, self._before = documents, before
        self.reached, self.go = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[Document]:
        for number, document in enumerate(self._documents):
            if number == self._before:
                self.reached.set()
                assert self.go.wait(60)
            yield document


class Outcome(threading.Thread):
    """Runs a call beside the test, and keeps what came of it."""

    def __init__(self, call: Any, *args: Any) -> None:
        super().__init__(daemon=True)
        self._call, self._args = call, args
        self.report: Any = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.report = self._call(*self._args)
        except Exception as error:
            self.error = error

    def done(self) -> Outcome:
        self.join(60)
        assert not self.is_alive()
        return self


def test_none_in_a_stream_is_a_failure_and_no_end(server: str, index: str) -> None:  # noqa: F811
    with opened(server, index) as made:
        made.index(docs(10))
        stream: list[Any] = [None if one.doc_id == "d2" else one for one in docs(10)]
        report = made.index(stream, remove_missing=True)
        assert (report.unchanged, report.deleted, report.interrupted) == (9, 1, False)
        assert [(one.doc_id, "got NoneType" in one.reason) for one in report.failed] == [("#3", True)]
        odd: Any = Document([], "text")  # type: ignore[arg-type]  # hostile
        assert [one.doc_id for one in made.index([*docs(1), odd]).failed] == ["#2"]


def test_a_mistyped_path_empties_no_index(
    server: str,  # noqa: F811
    index: str,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "many").mkdir()
    for number in range(3):
        (tmp_path / "many" / f"{number}.txt").write_text(f"Note {number}.\n")
    with opened(server, index) as made:
        assert ingest("many", made).index.indexed == 3
        with pytest.raises(ConfigurationError, match="no such file or folder: 'mnay'"):
            ingest(["many/1.txt", "mnay"], made, remove_missing=True)
        (tmp_path / "many" / "1.txt").write_bytes(bytes(range(256)) * 10)
        (tmp_path / "many" / "2.txt").unlink()
        assert ingest("many", made, remove_missing=True).index.deleted == 1
        assert made.get("many/1.txt")["content"] == "Note 1.\n"


def test_of_two_rebuilds_at_once_the_later_one_stays_whole(server: str, index: str) -> None:  # noqa: F811
    with opened(server, index) as made:
        made.index(docs(5))
        slow = Paused(docs(1200, word="older"), 700)
        first = Outcome(opened(server, index).rebuild, slow)
        assert slow.reached.wait(60)
        assert opened(server, index).rebuild(docs(900, word="newer")).indexed == 900
        slow.go.set()
        error = first.done().error
        assert first.report is None
        assert "a rebuild that began later" in str(error)
        assert made.count() == 900
        assert not made.search("older")
        assert len(indices_of(server, index)) == 1
        assert made.index(docs(900, word="newer")).unchanged == 900


@pytest.mark.parametrize("there", [True, False])
def test_of_two_rebuilds_at_once_the_one_that_ends_last_replaces_the_other(
    server: str,  # noqa: F811
    index: str,  # noqa: F811
    there: bool,
) -> None:
    with opened(server, index) as made:
        if there:
            made.index(docs(5))
        slow = Paused(docs(700, word="newer"), 600)
        first = Paused(docs(900, word="older"), 800)
        older = Outcome(opened(server, index).rebuild, first)
        assert first.reached.wait(60)
        newer = Outcome(opened(server, index).rebuild, slow)
        assert slow.reached.wait(60)
        first.go.set()
        assert older.done().report.indexed == 900
        assert made.count() == 900
        slow.go.set()
        assert newer.done().report.indexed == 700
        assert made.count() == 700
        assert len(indices_of(server, index)) == 1


def test_what_a_killed_rebuild_left_is_in_nobodys_way(server: str, index: str) -> None:  # noqa: F811
    with opened(server, index) as made:
        made.index(docs(5))
        [name] = indices_of(server, index)
        about = json.loads(request("GET", f"{server}/{name}/_mapping"))[name]["mappings"]
        request("PUT", f"{server}/{index}-000002", json.dumps({"mappings": about}).encode())
        # Of somebody else, though it is named alike.
        request("PUT", f"{server}/{index}-000003", b"{}")
        assert made.rebuild(docs(7)).indexed == 7
        assert indices_of(server, index) == [f"{index}-000003", f"{index}-000004"]
        request("DELETE", f"{server}/{index}-000004")
        request("PUT", f"{server}/{index}-000001", json.dumps({"mappings": about}).encode())
        assert opened(server, index).index(docs(3)).indexed == 3, "a name that is taken is passed over"


def test_an_alias_of_other_indices_is_not_rebuilt(server: str, index: str) -> None:  # noqa: F811
    body = {"aliases": {index: {}}, "mappings": {"properties": {"text": {"type": "text"}}}}
    request("PUT", f"{server}/{index}-foreign", json.dumps(body).encode())
    with opened(server, index) as made, pytest.raises(RetrieverError, match="was not made by pyrlm"):
        made.rebuild(docs(3))
    assert indices_of(server, index) == [f"{index}-foreign"]


@pytest.mark.parametrize(("before", "there"), [(600, True), (1199, True), (600, False)])
def test_indexing_across_a_rebuild_notices(server: str, index: str, before: int, there: bool) -> None:  # noqa: F811
    with opened(server, index) as made:
        made.index(docs(5))
        if not there:  # an empty index isn't asked for what it holds, so that the next that is sent is a write
            made.delete([one.doc_id for one in docs(5)])
        slow = Paused(docs(1200, word="lost"), before)
        run = Outcome(opened(server, index).index, slow)
        assert slow.reached.wait(60)
        assert made.rebuild(docs(900, word="newer")).indexed == 900
        slow.go.set()
        assert "was rebuilt or deleted while documents were written to it" in str(run.done().error)
        assert made.count() == 900
        assert not made.search("lost"), "nothing of it is in the index that was rebuilt"
        assert len(indices_of(server, index)) == 1, "nor in one that nobody asked for"
        assert made.index(docs(900, word="newer"), remove_missing=True).unchanged == 900


def test_what_is_missing_is_not_deleted_from_another_index(server: str, index: str) -> None:  # noqa: F811
    with opened(server, index) as made:
        made.index(docs(50))
        slow = Paused(docs(10), 9)
        run = Outcome(lambda: opened(server, index).index(slow, remove_missing=True))
        assert slow.reached.wait(60)
        made.rebuild(docs(50))
        slow.go.set()
        assert "was rebuilt" in str(run.done().error)
        assert made.count() == 50


def test_an_index_without_an_alias_of_its_own_for_writing(server: str, index: str) -> None:  # noqa: F811
    """As earlier versions made them."""
    with opened(server, index) as made:
        made.index(docs(3))
        [name] = indices_of(server, index)
        for alias in json.loads(request("GET", f"{server}/{name}/_alias"))[name]["aliases"]:
            if alias != index:
                request("DELETE", f"{server}/{name}/_alias/{alias}")
        assert opened(server, index).index(docs(6)).indexed == 3
        assert made.count() == 6


class Model:
    """Knows two words; each model its own direction for them."""

    dimensions = 3

    def __init__(self, name: str, words: tuple[str, ...], dimensions: int = 3) -> None:
        self.name, self._words, self.dimensions = name, words, dimensions

    def embed(self, texts: Any) -> Any:
        rows = [[0.01 + (word in text) for word in self._words] for text in texts]
        return np.array(rows, dtype=np.float32)


PLACES = [Document("depot", "the depot"), Document("kettle", "the kettle")]
ONE = ("depot", "kettle", "x")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Model("model-b", ("kettle", "depot", "x")), "model-b"),
        (Model("model-c", ("kettle", "depot", "x", "y"), 4), "model-c"),
        (None, "has no vectors"),
    ],
)
def test_vectors_of_another_model_are_noticed_after_a_rebuild(
    server: str,  # noqa: F811
    index: str,  # noqa: F811
    other: Model | None,
    words: str,
) -> None:
    with opened(server, index, embedder=Model("model-a", ONE)) as made:
        made.index(PLACES)
        assert [hit.doc_id for hit in made.vector_search("depot", 1)] == ["depot"]
        with opened(server, index, embedder=other) as builder:
            builder.rebuild(PLACES)
        with pytest.raises(RetrieverError, match=words):
            made.vector_search("depot", 1)
        if other is None:
            found = made.hybrid_search("depot", 1)
            assert (found[0].doc_id, found.method, "no vectors" in found.note) == ("depot", "bm25", True)
        else:
            for search in (made.hybrid_search, made.search):
                with pytest.raises(RetrieverError, match=words):
                    search("depot", 1)


def test_a_rebuild_by_the_same_model_is_no_matter(server: str, index: str) -> None:  # noqa: F811
    with opened(server, index, embedder=Model("model-a", ONE)) as made:
        made.index(PLACES)
        for round_ in range(2):
            assert made.vector_search("depot", 1)[0].doc_id == "depot"
            with opened(server, index, embedder=Model("model-a", ONE)) as builder:
                builder.rebuild([*PLACES, Document(f"new{round_}", "a new depot", {"year": 2000 + round_})])
            assert {hit.doc_id for hit in made.search("depot")} == {"depot", f"new{round_}"}
            assert made.search_batch(["kettle"])[0][0].doc_id == "kettle"


def test_a_pattern_is_only_read(server: str, index: str) -> None:  # noqa: F811
    with opened(server, index) as made:
        made.index(docs(2))
    with opened(server, f"{index}*") as made:
        assert len(made.search("text")) == 2
        with pytest.raises(RetrieverError, match="is a pattern, which can be read"):
            made.index(docs(3))


class Failing(Model):
    def embed(self, texts: Any) -> Any:
        raise RetrieverError("no key")


def test_a_first_run_that_comes_to_nothing_leaves_no_index(server: str, index: str) -> None:  # noqa: F811
    with (
        opened(server, index, embedder=Failing("failing", ONE)) as made,
        pytest.raises(RetrieverError, match="no key"),
    ):
        made.index(PLACES)
    assert indices_of(server, index) == []
    with opened(server, index) as made:
        assert made.index(PLACES).indexed == 2


@pytest.mark.parametrize("name", [None, "", "  ", 7])
def test_a_retriever_needs_the_name_of_its_index(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="name of the index"):
        ElasticsearchRetriever("localhost", index=name)
