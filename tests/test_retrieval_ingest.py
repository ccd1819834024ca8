"""Ingesting files: which documents there are, how they are named, what is passed over, going on after Ctrl-C."""

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pyrlm.errors import ConfigurationError
from pyrlm.files import ReadReport
from pyrlm.retrievers.embedded import EmbeddedRetriever
from pyrlm.retrievers.ingest import aingest, count_documents, documents_from, ingest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    files = tmp_path / "files"
    files.mkdir()
    (files / "guide.md").write_text("# The guide\n\nHow to install the program.\n")
    (files / "code.py").write_text("import os\n\n# comment\nprint(os.name)\n")
    (files / "odd [1].txt").write_text("a name with brackets")
    (files / "rows.csv").write_text("name,colour\nrose,red\nviolet,blue\n")
    (files / "empty.txt").write_text("")
    (files / "picture.png").write_bytes(bytes(range(256)) * 10)
    return files


def test_files_become_documents_named_by_their_paths(folder: Path) -> None:
    report = ReadReport()
    documents = {document.doc_id: document for document in documents_from(["./files", "files"], report)}
    assert documents.keys() == {
        "files/guide.md",
        "files/code.py",
        "files/odd [1].txt",
        "files/rows.csv#1",
        "files/rows.csv#2",
    }
    assert documents["files/guide.md"].title == "The guide (guide.md)"
    assert documents["files/code.py"].title == "code.py"
    assert documents["files/rows.csv#2"].title == "violet"
    assert documents["files/rows.csv#2"].metadata["source"] == "files/rows.csv"
    assert {Path(one.path).name for one in report.skipped} == {"empty.txt", "picture.png"}


def test_the_number_of_documents_is_known_where_files_hold_one_each(folder: Path) -> None:
    assert count_documents([folder / "guide.md", folder / "code.py"]) == 2
    assert count_documents(folder) is None


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.ndjson.gz"])
def test_lines_that_name_themselves_are_documents_as_they_are(tmp_path: Path, name: str) -> None:
    lines = [
        {"doc_id": "a", "content": "text a", "title": "A", "metadata": {"year": 2001}},
        {"id": 7, "text": "text 7", "year": 2002},
        {"_id": "c"},
        "no object",
    ]
    data = "\n\n".join([*map(json.dumps, lines), "{broken", json.dumps({"doc_id": "d", "content": "text d"})]).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    report = ReadReport()
    documents = list(documents_from(tmp_path, report))
    assert [(one.doc_id, one.content, one.title, dict(one.metadata)) for one in documents] == [
        ("a", "text a", "A", {"year": 2001}),
        ("7", "text 7", "", {"year": 2002}),
        ("d", "text d", "", {}),
    ]
    assert "3 lines are no documents" in report.notes[0].text
    assert "line 5" in report.notes[0].text
    assert (report.files, report.skipped) == (1, [])


def test_other_lines_of_json_are_records(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"level": "error"}\n{"level": "info"}\n')
    ids = [document.doc_id for document in documents_from(tmp_path / "log.jsonl", ReadReport())]
    assert [one.rsplit("/", 1)[1] for one in ids] == ["log.jsonl#1", "log.jsonl#2"]


def test_a_packed_file_that_breaks_off_is_reported_and_what_was_read_stays(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"doc_id": str(n), "content": os.urandom(99).hex()}) + "\n" for n in range(3_000))
    packed = gzip.compress(lines.encode())
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    report = ReadReport()
    documents = list(documents_from(tmp_path, report))
    assert 0 < len(documents) < 3_000
    assert "broke off" in report.skipped[0].reason


def test_ingesting_twice_changes_nothing_and_a_changed_file_is_seen(folder: Path) -> None:
    retriever = EmbeddedRetriever("corpus.idx")
    seen = []
    first = ingest("files", retriever, progress=seen.append)
    assert (first.index.indexed, first.read.files) == (5, 4)
    assert seen[-1].acknowledged == 5
    assert retriever.search("how to install")[0].doc_id == "files/guide.md"
    assert ingest("files", retriever).index.unchanged == 5
    (folder / "guide.md").write_text("# The guide\n\nNothing any more.\n")
    (folder / "code.py").unlink()
    again = asyncio.run(aingest("files", retriever, remove_missing=True))
    assert (again.index.indexed, again.index.unchanged, again.index.deleted) == (1, 3, 1)


def test_a_retriever_that_has_to_be_awaited(folder: Path) -> None:
    class Waiting:
        async def index(self, documents, **options):
            return len(list(documents))

    with pytest.raises(ConfigurationError, match="aingest"):
        ingest("files", Waiting())
    assert asyncio.run(aingest("files", Waiting())).index == 5


CHILD = """
    import sys
    from pyrlm.retrievers import writing
    from pyrlm.retrievers.embedded import EmbeddedRetriever
    from pyrlm.retrievers.ingest import ingest
    writing.COMMIT_PASSAGES = 20
    def progress(now):
        print(now.acknowledged, flush=True)
    ingest("many", EmbeddedRetriever("corpus.idx"), progress=progress)
"""


def test_ctrl_c_leaves_a_usable_index_and_a_second_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "many").mkdir()
    for n in range(2_000):
        (tmp_path / "many" / f"{n}.txt").write_text(f"file number{n}")
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    known = [int(child.stdout.readline()) for _ in range(3)]
    os.kill(child.pid, signal.SIGINT)
    out, error = child.communicate(timeout=60)
    known += map(int, out.split())
    assert "KeyboardInterrupt" in error
    retriever = EmbeddedRetriever("corpus.idx")
    assert 0 < known[-1] <= retriever.count() < 2_000
    before = retriever.count()
    report = ingest("many", retriever).index
    assert (report.indexed, report.unchanged) == (2_000 - before, before)
    assert retriever.search("number1999")[0].doc_id == "many/1999.txt"
