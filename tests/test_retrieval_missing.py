"""Nothing is deleted or left behind by a slip: mistyped paths, files that can't be read, runs that come to nothing."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cli_process import pyrlm

from pyrlm.errors import ConfigurationError, RetrieverError
from pyrlm.retrievers import EmbeddedRetriever
from pyrlm.retrievers.ingest import aingest, ingest
from pyrlm.retrievers.protocol import Document

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedRetriever:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "many").mkdir()
    for number in range(3):
        (tmp_path / "many" / f"{number}.txt").write_text(f"Note {number}.\n")
    (tmp_path / "rows.csv").write_text("name,colour\nrose,red\n")
    made = EmbeddedRetriever("c.idx")
    assert ingest(["many", "rows.csv"], made).index.indexed == 4
    return made


@pytest.mark.parametrize("paths", ["mnay", ["many/1.txt", "mnay"], ["many", "*.jsno"], ["rows.csv", "many", ""]])
def test_a_path_that_names_nothing_deletes_nothing(corpus: EmbeddedRetriever, paths: Any) -> None:
    for run in (ingest, lambda *args, **options: asyncio.run(aingest(*args, **options))):
        with pytest.raises(ConfigurationError, match="no such file or folder"):
            run(paths, corpus, remove_missing=True)
        assert corpus.count() == 4


def test_what_was_passed_over_is_not_missing(corpus: EmbeddedRetriever, tmp_path: Path) -> None:
    (tmp_path / "many" / "1.txt").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "many" / "2.txt").unlink()
    (tmp_path / "rows.csv").write_bytes(b"")
    report = ingest(["many", "rows.csv"], corpus, remove_missing=True)
    assert (report.index.unchanged, report.index.deleted) == (1, 1)
    assert [corpus.get(name)["doc_id"] for name in ("many/1.txt", "rows.csv#1")] == ["many/1.txt", "rows.csv#1"]


def test_lines_that_cannot_be_read_may_name_any_document(corpus: EmbeddedRetriever, tmp_path: Path) -> None:
    named = tmp_path / "named.jsonl"
    named.write_text(json.dumps({"doc_id": "of its own", "content": "x"}) + "\n")
    assert ingest(["many", "rows.csv", "named.jsonl"], corpus, remove_missing=True).index.indexed == 1
    named.write_text(json.dumps({"doc_id": "other", "content": "x"}) + "\nbroken\n")
    report = ingest(["many", "rows.csv", "named.jsonl"], corpus, remove_missing=True)
    assert ("line 2" in report.read.notes[0].text, report.index.deleted) == (True, 0)
    corpus.delete(["other"])
    named.write_bytes(bytes(range(256)) * 10)
    report = ingest(["many", "named.jsonl"], corpus, remove_missing=True)
    assert ([one.path for one in report.read.skipped], report.index.deleted) == (["named.jsonl"], 0)
    assert corpus.count() == 5


def test_paths_without_any_document_change_nothing(corpus: EmbeddedRetriever, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    report = ingest("empty", corpus, remove_missing=True)
    assert (report.index.documents, report.index.deleted, corpus.count()) == (0, 0, 4)
    ingest("empty", EmbeddedRetriever("new.idx"))
    assert not (tmp_path / "new.idx").exists()


def test_the_command_line_says_so_and_does_nothing(corpus: EmbeddedRetriever, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in ("mnay", "empty"):
        ran = pyrlm(tmp_path, "index", path, "--to", "c.idx", "--remove-missing")
        assert (ran.returncode, ran.stdout, path in ran.stderr) == (2, "", True)
        assert pyrlm(tmp_path, "index", path, "--to", "new.idx").returncode == 2
        assert not (tmp_path / "new.idx").exists()
    assert corpus.count() == 4
    EmbeddedRetriever(tmp_path / "bare.idx").index([])
    ran = pyrlm(tmp_path, "index", "--from", "bare.idx", "--to", "es://127.0.0.1:9/x", "--remove-missing")
    assert (ran.returncode, "Nothing to index in bare.idx" in ran.stderr) == (2, True)


def test_an_index_is_no_document(corpus: EmbeddedRetriever, tmp_path: Path) -> None:
    assert ingest(".", corpus, remove_missing=True).index.unchanged == 4
    report = ingest(["c.idx", "many"], corpus)
    assert [(one.path, one.reason) for one in report.read.skipped] == [("c.idx", "an index, no documents")]
    assert corpus.count() == 4
    for _ in range(2):
        ran = pyrlm(tmp_path, "index", ".", "--to", "many/self.idx", "--json")
        assert (ran.returncode, json.loads(ran.stdout)["failed"]) == (0, [])
        assert EmbeddedRetriever(tmp_path / "many" / "self.idx").count() == 4


def test_what_is_no_document_has_its_place_in_the_stream(tmp_path: Path) -> None:
    stream: list[Any] = [Document("a", "x"), None, Document("b", "x"), Document([], "x"), Document("", "x")]  # type: ignore[arg-type]  # hostile
    with EmbeddedRetriever(tmp_path / "i") as made:
        made.index([Document("b", "x"), Document("gone", "x")])
        report = made.index(stream, remove_missing=True)
        assert [failure.doc_id for failure in report.failed] == ["#2", "#4", "#5"]
        assert (report.indexed, report.unchanged, report.deleted) == (1, 1, 1)


class Failing:
    """An embedder without its key."""

    name, dimensions = "failing", 3

    def embed(self, texts: Any) -> Any:
        raise RetrieverError("no key")


def test_a_first_run_that_comes_to_nothing_leaves_no_index(tmp_path: Path) -> None:
    for folder in (tmp_path / "new.idx", tmp_path / "there"):
        if folder.name == "there":
            folder.mkdir()
        with pytest.raises(RetrieverError, match="no key"):
            EmbeddedRetriever(folder, embedder=Failing()).index([Document("a", "x")])
        assert folder.exists() == (folder.name == "there")
        assert EmbeddedRetriever(folder).index([Document("a", "x")]).indexed == 1
    # An index that was there stays, empty as it may be.
    EmbeddedRetriever(tmp_path / "old.idx", embedder=Failing()).index([])
    with pytest.raises(RetrieverError, match="no key"):
        EmbeddedRetriever(tmp_path / "old.idx", embedder=Failing()).index([Document("a", "x")])
    assert EmbeddedRetriever(tmp_path / "old.idx").count() == 0


def test_an_embedder_without_its_key_leaves_no_index(corpus: EmbeddedRetriever, tmp_path: Path) -> None:
    assert corpus.count() == 4
    ran = pyrlm(tmp_path, "index", "many", "--to", "n.idx", "--embed", "openai")
    assert (ran.returncode, "Traceback" in ran.stderr) == (1, False), ran.stderr
    ran = pyrlm(tmp_path, "index", "many", "--to", "n.idx")
    assert (ran.returncode, ran.stderr) == (0, "")


class Model:
    """Knows two words; each model its own direction for them."""

    dimensions = 3

    def __init__(self, name: str, words: tuple[str, ...]) -> None:
        self.name, self._words = name, words

    def embed(self, texts: Any) -> Any:
        return np.array([[0.01 + (word in text) for word in self._words] for text in texts], dtype=np.float32)


@pytest.mark.parametrize(
    ("other", "words"),
    [(Model("model-b", ("kettle", "depot", "x")), "was made with model-b"), (None, "was made without vectors")],
    ids=["another model", "none"],
)
def test_vectors_of_another_model_are_noticed_in_a_folder_that_was_replaced(
    tmp_path: Path, other: Model | None, words: str
) -> None:
    places = [Document("depot", "the depot"), Document("kettle", "the kettle")]
    folder = tmp_path / "i"
    with EmbeddedRetriever(folder, embedder=Model("model-a", ("depot", "kettle", "x"))) as made:
        made.index(places)
        assert made.vector_search("depot", 1)[0].doc_id == "depot"
        EmbeddedRetriever(tmp_path / "new", embedder=other).index(places)
        shutil.rmtree(folder)
        (tmp_path / "new").rename(folder)
        for call in (made.vector_search, made.hybrid_search, made.search):
            with pytest.raises(RetrieverError, match=words):
                call("depot", 1)
        with pytest.raises(RetrieverError, match=words):
            made.index(places)
