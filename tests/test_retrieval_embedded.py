"""The embedded retriever: what is written stays, what is read is whole, what goes wrong is named."""

import asyncio
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from retrieval_corpus import DOCUMENTS, HashEmbedder

from pyrlm.errors import ConfigurationError, RetrieverError
from pyrlm.retrievers.chunking import Chunker
from pyrlm.retrievers.embedded import EmbeddedRetriever
from pyrlm.retrievers.filters import parse_filters
from pyrlm.retrievers.metadata import evaluate
from pyrlm.retrievers.protocol import Document, Passage
from pyrlm.retrievers.records import number_key, sortable

SMALL = Chunker(size=40, overlap=6)


def docs(count: int, *, words: int = 60, mark: str = "") -> list[Document]:
    return [
        Document(
            f"d{n}", f"{mark} document number{n} " + f"word{n % 7} " * words, {"n": n, "even": n % 2 == 0}, f"T{n}"
        )
        for n in range(count)
    ]


# --- indexing again, changing, deleting ---------------------------------------------------------------------------


def test_indexing_again_changes_only_what_changed(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    retriever = EmbeddedRetriever(tmp_path / "i", embedder=embedder, chunker=SMALL)
    first = docs(20)
    assert retriever.index(first).indexed == 20
    embedded = len(embedder.texts)
    changed = [Document(first[3].doc_id, "something else entirely", {"n": 3}, "T3"), *first[:3], *first[4:]]
    report = retriever.index(changed)
    assert (report.indexed, report.unchanged, report.passages) == (1, 19, 1)
    assert len(embedder.texts) == embedded + 1
    assert retriever.get("d3")["content"] == "something else entirely"
    assert not any(hit.doc_id == "d3" for hit in retriever.search("number3", 50))
    assert retriever.count() == 20


@pytest.mark.parametrize(
    "change",
    [
        Document("a", "text", {"k": 2}, "title"),
        Document("a", "text", {"k": 1}, "other title"),
        Document("a", "Text", {"k": 1}, "title"),
    ],
)
def test_every_kind_of_change_is_seen(tmp_path: Path, change: Document) -> None:
    retriever = EmbeddedRetriever(tmp_path / "i")
    original = Document("a", "text", {"k": 1}, "title")
    retriever.index([original, *docs(5)])
    assert retriever.index([original]).unchanged == 1
    assert retriever.index([change]).indexed == 1
    # Back again: the old version, deleted but still in a segment, doesn't count as present.
    assert retriever.index([original]).indexed == 1
    assert retriever.search("text")[0].metadata == {"k": 1}
    assert (retriever.count(), retriever.count_passages()) == (6, 6)


def test_the_same_id_twice_in_one_stream_keeps_the_last(tmp_path: Path) -> None:
    retriever = EmbeddedRetriever(tmp_path / "i")
    report = retriever.index(
        [Document("a", "first"), Document("b", "b"), Document("a", "second"), Document("a", "second")]
    )
    assert (report.indexed, report.unchanged) == (3, 1)
    assert retriever.count_passages() == 2
    assert retriever.get("a")["content"] == "second"


def test_delete(tmp_path: Path) -> None:
    retriever = EmbeddedRetriever(tmp_path / "i", embedder=HashEmbedder(), chunker=SMALL)
    retriever.index(docs(10, words=0))
    assert retriever.vector_search("T4 document number4", 1)[0].doc_id == "d4"
    assert retriever.delete(["d4", "d4", "nope", "\ud800"]) == 1
    assert retriever.count() == 9
    for method in (retriever.search, retriever.vector_search, retriever.hybrid_search):
        assert all(hit.doc_id != "d4" for hit in method("number4", 100))
    with pytest.raises(RetrieverError, match="no document"):
        retriever.get("d4")


def test_what_the_stream_does_not_hold_is_removed_on_request(tmp_path: Path) -> None:
    retriever = EmbeddedRetriever(tmp_path / "i")
    retriever.index(docs(10))
    report = retriever.index(docs(10)[5:], remove_missing=True)
    assert (report.unchanged, report.deleted) == (5, 5)
    assert sorted(document.document.doc_id for document in retriever.documents()) == [f"d{n}" for n in range(5, 10)]


def test_documents_that_cannot_be_indexed_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    retriever = EmbeddedRetriever(tmp_path / "i")
    stream = [
        Document("a", "fine", {"year": 2001, "day": date(2020, 1, 1), "when": "x"}),
        Document("b", "  \n"),
        Document("c", "text", {"year": "soon"}),
        Document("d", "text \ud800"),
        Document("e", "text", {"blob": b"x"}),
        Document("", "text"),
        Document("f" * 513, "text"),
        Document("g", "text", {"bad": float("nan")}),
        Document("h", "text", {"big": 1 << 64}),
        Document("i", "text", {"mixed": [1, "a"]}),
        Document("j", "text", {"x\x1fy": 1}),
        "no document",
        Document("k", 5),
        Document("l", "text", {"day": "no date"}),
        Document("n", "text", {"a\ud800": 1}),
        Document("o", "text", None),
        Document("p", "text", {f"field{n}": 1 for n in range(1_001)}),
        Document("m", "fine", {"day": "2020-01-02", "when": date(2020, 1, 1), "year": 2.5}),
    ]
    report = retriever.index(stream)
    assert report.indexed == 2
    reasons = {failure.doc_id[:5]: failure.reason for failure in report.failed}
    assert len(reasons) == 16
    for doc_id, words in {
        "b": "no text",
        "c": "'year' is a number field here and can't hold 'soon'",
        "d": "half a surrogate pair at 5",
        "e": "'blob' holds a bytes",
        "#6": "doc_id has 1 to 512 characters",
        "fffff": "got 513",
        "g": "out of range",
        "h": "out of range",
        "i": "number field here",
        "j": "control character",
        "#12": "expected a Document, got str",
        "k": "content must be a string",
        "l": "date field",
        "n": "half a surrogate pair",
        "o": "metadata must be a mapping",
        "p": "at most 1000 metadata fields",
    }.items():
        assert words in reasons[doc_id]
    assert report.documents == len(stream)
    assert [hit.doc_id for hit in retriever.search("fine", filters={"day": "2020-01-02"})] == ["m"]
    assert [hit.doc_id for hit in retriever.search("fine", filters={"when": "2020-01-01"})] == ["m"]


@pytest.mark.parametrize(
    "content",
    [
        "\x00nul\x00 inside",
        "x" * 100_000,
        "word " * 50_000,
        "\r\n\ttabs",
        "🙂 emoji",
        "<b>&amp;</b>",
        "\ufeffbom",
        "a\u2028b",
    ],
)
def test_any_text_comes_back_unchanged(tmp_path: Path, content: str) -> None:
    retriever = EmbeddedRetriever(tmp_path / "i")
    assert retriever.index([Document("a", content, {"v": content})]).failed == []
    assert retriever.get("a")["content"] == content
    assert retriever.search("", filters={"v": content})[0].doc_id == "a"
    assert retriever.search("", filters={"v": content + "x"}) == []


def test_a_stream_that_fails_leaves_what_was_read(tmp_path: Path) -> None:
    def stream():
        yield from docs(5)
        raise ValueError("the disk was pulled")

    retriever = EmbeddedRetriever(tmp_path / "i")
    with pytest.raises(ValueError, match="pulled"):
        retriever.index(stream())
    assert retriever.count() == 5
    assert retriever.index(docs(6)).unchanged == 5


def test_ctrl_c_leaves_a_usable_index_and_the_next_run_goes_on(tmp_path: Path) -> None:
    def stream():
        yield from docs(5)
        raise KeyboardInterrupt

    retriever = EmbeddedRetriever(tmp_path / "i")
    retriever.index(docs(2))
    with pytest.raises(KeyboardInterrupt):
        retriever.index(stream())
    assert retriever.count() == 2
    assert retriever.index(docs(6)).documents == 6
    assert retriever.count() == 6


def test_progress_and_stop(tmp_path: Path) -> None:
    retriever = EmbeddedRetriever(tmp_path / "i")
    stop = threading.Event()
    seen = []

    def stream():
        for n, document in enumerate(docs(100)):
            if n == 10:
                stop.set()
            yield document

    report = retriever.index(stream(), progress=seen.append, total=100, stop=stop)
    assert report.interrupted
    assert report.indexed == retriever.count() == seen[-1].acknowledged == 10
    assert seen[-1].total == 100
    assert seen[-1].remaining_seconds > 0


def test_a_cancelled_aindex_ends_and_keeps_what_was_read(tmp_path: Path) -> None:
    retriever = EmbeddedRetriever(tmp_path / "i")
    read = threading.Event()

    def stream():
        for n in range(1_000_000):
            yield Document(f"d{n}", "text")
            read.set()

    async def main() -> None:
        task = asyncio.create_task(retriever.aindex(stream()))
        await asyncio.to_thread(read.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before = threading.active_count()
    asyncio.run(main())
    assert threading.active_count() <= before
    assert 0 < retriever.count() < 1_000_000
    assert retriever.index([Document("z", "z")]).indexed == 1  # the lock is free again


# --- readers and writers ------------------------------------------------------------------------------------------


def test_readers_see_each_commit_while_a_writer_writes(tmp_path: Path) -> None:
    writer = EmbeddedRetriever(tmp_path / "i")
    writer.index(docs(1))
    reader = EmbeddedRetriever(tmp_path / "i")
    assert reader.count() == 1

    def stream():
        yield from docs(50)[1:]
        assert reader.count() == 1  # nothing is visible before the commit
        assert reader.search("number7") == []

    writer.index(stream())
    assert reader.count() == 50
    assert reader.search("number7")[0].doc_id == "d7"
    assert "n" in reader.fields


def test_a_second_writer_is_refused_and_told_why(tmp_path: Path) -> None:
    first, second = EmbeddedRetriever(tmp_path / "i"), EmbeddedRetriever(tmp_path / "i")

    def stream():
        yield from docs(3)
        with pytest.raises(RetrieverError, match="another writer is at work") as caught:
            second.index(docs(1))
        assert caught.value.retryable
        with pytest.raises(RetrieverError, match="another writer"):
            second.delete(["d0"])

    first.index(stream())
    assert second.index(docs(4)).indexed == 1


def test_many_threads_search_while_one_writes(tmp_path: Path) -> None:
    retriever = EmbeddedRetriever(tmp_path / "i", embedder=HashEmbedder(), chunker=SMALL)
    retriever.index(docs(30))
    wrong: list[str] = []
    done = threading.Event()

    def search(seed: int) -> None:
        rng = random.Random(seed)
        while not done.is_set():
            n = rng.randrange(30)
            method = rng.choice([retriever.search, retriever.vector_search, retriever.hybrid_search])
            hits = method(f"number{n}", 3, {"n": n})
            if [hit.doc_id for hit in hits[:1]] != [f"d{n}"]:
                wrong.append(f"{method.__name__} {n}: {hits}")
            if retriever.get(f"d{n}")["doc_id"] != f"d{n}":
                wrong.append(f"get {n}")

    threads = [threading.Thread(target=search, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for round_ in range(4):
        retriever.index([*docs(30), *(Document(f"x{round_}-{n}", f"extra {n}") for n in range(20))])
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert retriever.count() == 30 + 4 * 20


CHILD = """
    import sys
    from pyrlm.retrievers import writing
    from pyrlm.retrievers.embedded import EmbeddedRetriever
    from pyrlm.retrievers.protocol import Document
    writing.COMMIT_PASSAGES = 40
    def stream():
        for n in range(100_000):
            yield Document(f"d{n}", f"document number{n} " + "word " * 300, {"n": n})
    def acknowledged(progress):
        print(progress.acknowledged, flush=True)
    EmbeddedRetriever(sys.argv[1]).index(stream(), progress=acknowledged)
"""


def test_killed_while_indexing_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    for lines in (1, 2, 7, 19):
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CHILD), str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        known = [int(child.stdout.readline()) for _ in range(lines)]
        time.sleep(random.random() * 0.02)
        os.kill(child.pid, signal.SIGKILL)
        known += [int(line) for line in child.stdout.read().splitlines()]
        child.wait()
        acknowledged = known[-1]
        retriever = EmbeddedRetriever(folder)
        assert retriever.count() >= acknowledged > 0
        for n in {0, acknowledged // 2, acknowledged - 1}:
            assert retriever.get(f"d{n}")["content"].startswith(f"document number{n} ")
        # No document is there in part, and the folder can be written at once.
        whole = retriever.count()
        assert retriever.count_passages() == sum(len(stored.passages) for stored in retriever.documents())
        assert retriever.index([Document(f"after{lines}", "x")]).indexed == 1
        assert retriever.count() == whole + 1
        retriever.delete([f"after{lines}"])


FULL = """
    import resource, signal, sys
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    from pyrlm.retrievers.embedded import EmbeddedRetriever
    from pyrlm.retrievers.protocol import Document
    retriever = EmbeddedRetriever(sys.argv[1])
    retriever.index([Document("first", "safe text")])
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    try:
        retriever.index(Document(f"d{n}", " ".join(f"{n}x{m}" for m in range(400))) for n in range(2_000))
    except Exception as error:
        print(type(error).__name__, error)
    print(retriever.count(), retriever.search("safe")[0].doc_id)
"""


def test_a_full_disk_is_named_and_what_was_there_stays(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path / "i")], capture_output=True, text=True, check=True
    )
    error, after = done.stdout.splitlines()
    assert error.startswith("RetrieverError writing the index at")
    assert "disk full" in error
    assert after == "1 first"
    assert EmbeddedRetriever(tmp_path / "i").index(docs(2)).indexed == 2


# --- opening ------------------------------------------------------------------------------------------------------


def test_a_folder_without_an_index(tmp_path: Path) -> None:
    retriever = EmbeddedRetriever(tmp_path / "nothing")
    for call in (
        lambda: retriever.search("x"),
        lambda: retriever.get("x"),
        retriever.count,
        lambda: retriever.delete([]),
    ):
        with pytest.raises(RetrieverError, match=r"no index at .*nothing"):
            call()
    assert not (tmp_path / "nothing").exists()
    retriever.index(docs(1))
    assert retriever.search("number0")[0].doc_id == "d0"


def test_an_empty_index_finds_nothing(tmp_path: Path) -> None:
    retriever = EmbeddedRetriever(tmp_path / "i", embedder=HashEmbedder())
    retriever.index([])
    assert retriever.count() == 0
    assert retriever.search("x") == retriever.vector_search("x") == retriever.hybrid_search("x") == []


def test_another_folder_is_not_taken_for_an_index(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RetrieverError, match="holds other files"):
        EmbeddedRetriever(tmp_path).index(docs(1))
    with pytest.raises(RetrieverError, match="can't make an index"):
        EmbeddedRetriever(tmp_path / "thesis.txt").index(docs(1))


class OtherEmbedder(HashEmbedder):
    name = "other-64"


def test_the_manifest_keeps_embedder_and_chunker(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    EmbeddedRetriever(folder, embedder=HashEmbedder(), chunker=SMALL).index(docs(2))
    with pytest.raises(RetrieverError, match=r"made with hash-64 \(64 dimensions\).*opened with other-64"):
        EmbeddedRetriever(folder, embedder=OtherEmbedder())
    with pytest.raises(RetrieverError, match="has vectors of hash-64"):
        EmbeddedRetriever(folder).index(docs(3))
    with pytest.raises(RetrieverError, match="cut by structure-1/40/6, not by structure-1/300/45"):
        EmbeddedRetriever(folder, embedder=HashEmbedder(), chunker=Chunker()).index(docs(3))
    again = EmbeddedRetriever(folder, embedder=HashEmbedder())
    again.index([Document("new", "word " * 200)])
    assert sum(len(stored.passages) for stored in again.documents() if stored.document.doc_id == "new") > 4
    EmbeddedRetriever(tmp_path / "plain").index(docs(1))
    with pytest.raises(RetrieverError, match="made without vectors"):
        EmbeddedRetriever(tmp_path / "plain", embedder=HashEmbedder())


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (b"{", "can't read"),
        (b"[]", "format None"),
        (b'{"format": 99}', "format 99.*reads format 1"),
        (b'{"format": 1}', "damaged"),
        (b'{"format": 1, "chunker": "x", "embedder": null, "dimensions": 0, "fields": {"a": "blob"}}', "damaged"),
    ],
)
def test_a_manifest_that_cannot_be_used(tmp_path: Path, manifest: bytes, words: str) -> None:
    EmbeddedRetriever(tmp_path / "i").index(docs(1))
    (tmp_path / "i" / "manifest.json").write_bytes(manifest)
    with pytest.raises(RetrieverError, match=words):
        EmbeddedRetriever(tmp_path / "i")


def test_a_damaged_index_is_an_error_that_says_so(tmp_path: Path) -> None:
    EmbeddedRetriever(tmp_path / "i").index(docs(1))
    (tmp_path / "i" / "text" / "meta.json").write_text("{}")
    with pytest.raises(RetrieverError, match="can't open the index"):
        EmbeddedRetriever(tmp_path / "i").search("x")


def test_options_are_checked() -> None:
    for options in ({"preview_chars": 0}, {"passages_per_document": 0}):
        with pytest.raises(ConfigurationError, match="at least 1"):
            EmbeddedRetriever("x", **options)


# --- vectors ------------------------------------------------------------------------------------------------------


def test_without_an_embedder_there_is_bm25_and_it_is_said(tmp_path: Path) -> None:
    retriever = EmbeddedRetriever(tmp_path / "i")
    retriever.index(docs(3))
    assert not retriever.has_vectors
    hits = retriever.hybrid_search("number1")
    assert (hits[0].doc_id, hits.method) == ("d1", "bm25")
    assert "BM25 alone" in hits.note
    with pytest.raises(RetrieverError, match="needs an embedder"):
        retriever.vector_search("number1")


class BrokenEmbedder(HashEmbedder):
    broken = False

    def embed(self, texts, /):
        if self.broken:
            raise OSError("no route to host")
        return super().embed(texts)


def test_while_the_embedder_fails_hybrid_search_is_bm25(tmp_path: Path) -> None:
    embedder = BrokenEmbedder()
    retriever = EmbeddedRetriever(tmp_path / "i", embedder=embedder)
    retriever.index(docs(3))
    embedder.broken = True
    hits = retriever.hybrid_search("number1")
    assert (hits[0].doc_id, hits.method) == ("d1", "bm25")
    assert "no route to host" in hits.note
    with pytest.raises(RetrieverError, match="no route to host"):
        retriever.vector_search("number1")
    with pytest.raises(RetrieverError, match="no route to host"):
        retriever.index(docs(4))
    embedder.broken = False
    assert retriever.index(docs(4)).indexed == 1


def test_cosine_is_exact_after_every_kind_of_change(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    retriever = EmbeddedRetriever(tmp_path / "i", embedder=embedder, chunker=SMALL, passages_per_document=1000)

    def check() -> None:
        stored = list(retriever.documents())
        texts = [(one.document.doc_id, passage.start) for one in stored for passage in one.passages]
        matrix = np.array([np.frombuffer(vector, "<f4") for one in stored for vector in one.vectors])
        query = embedder.embed(["number5 word3"])[0]
        expected = dict(zip(texts, (1 + matrix @ query) / 2, strict=True))
        hits = retriever.vector_search("number5 word3", 20)
        assert len(hits) == 20
        for hit in hits:
            assert hit.score == pytest.approx(expected[hit.doc_id, hit.start], abs=1e-5)
        assert hits[-1].score == pytest.approx(sorted(expected.values(), reverse=True)[19], abs=1e-5)

    retriever.index(docs(30))
    check()
    retriever.index(docs(40, mark="changed")[20:])
    check()
    retriever.delete([f"d{n}" for n in range(0, 30, 3)])
    check()
    files = sorted(path.suffix for path in (tmp_path / "i" / "vectors").iterdir())
    assert files == [".npy", ".uids"]
    for path in (tmp_path / "i" / "vectors").iterdir():
        path.write_bytes(b"damaged")
    retriever.close()
    check()


class Planted:
    def __reduce__(self):
        return os.mkdir, ("planted",)


def test_nothing_on_disk_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    retriever = EmbeddedRetriever(tmp_path / "i", embedder=HashEmbedder())
    retriever.index(docs(3, words=0))
    retriever.vector_search("x")
    for path in (tmp_path / "i" / "vectors").glob("*.npy"):
        path.write_bytes(pickle.dumps(Planted()))
        np.save(path.with_name("object"), np.array([Planted()], dtype=object), allow_pickle=True)
        path.with_name("object.npy").replace(path)
    retriever.close()
    assert retriever.vector_search("T1 document number1", 1)[0].doc_id == "d1"
    assert not (tmp_path / "planted").exists()


def test_moving_a_corpus_needs_no_embedding(tmp_path: Path) -> None:
    retriever = EmbeddedRetriever(tmp_path / "i", embedder=HashEmbedder(), chunker=SMALL)
    retriever.index(DOCUMENTS)
    stored = {one.document.doc_id: one for one in retriever.documents()}
    assert stored.keys() == {document.doc_id for document in DOCUMENTS}
    for document in DOCUMENTS:
        one = stored[document.doc_id]
        assert (one.document.content, one.document.title) == (document.content, document.title)
        assert list(one.passages) == SMALL.split(document.content)
        assert len(one.vectors) == len(one.passages)
        assert all(len(vector) == 4 * 64 for vector in one.vectors)


# --- ranking and filters ------------------------------------------------------------------------------------------


def bm25(query: list[str], documents: list[list[str]]) -> list[float]:
    """Robertson's formula with Lucene's idf, k1 1.2 and b 0.75; lengths up to 40 words are kept exactly."""
    mean = sum(map(len, documents)) / len(documents)
    scores = []
    for words in documents:
        score = 0.0
        for term in query:
            have = sum(term in other for other in documents)
            idf = np.log(1 + (len(documents) - have + 0.5) / (have + 0.5))
            tf = words.count(term)
            score += idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * len(words) / mean))
        scores.append(score)
    return scores


def test_scores_are_bm25_of_title_and_text(tmp_path: Path) -> None:
    rng = random.Random(7)
    vocabulary = [f"w{n}" for n in range(12)]
    titles = [rng.choices(vocabulary, k=rng.randint(1, 5)) for _ in range(30)]
    texts = [rng.choices(vocabulary, k=rng.randint(3, 38)) for _ in range(30)]
    retriever = EmbeddedRetriever(tmp_path / "i")
    pairs = zip(titles, texts, strict=True)
    retriever.index(Document(f"d{n}", " ".join(text), {}, " ".join(title)) for n, (title, text) in enumerate(pairs))
    for query in (["w1"], ["w2", "w3"], ["w4", "w4", "w5"]):
        in_title, in_text = bm25(query, titles), bm25(query, texts)
        expected = {f"d{n}": max(2 * a, b) for n, (a, b) in enumerate(zip(in_title, in_text, strict=True))}
        hits = retriever.search(" ".join(query), 30)
        assert {hit.doc_id: hit.score for hit in hits} == pytest.approx(
            {doc_id: score for doc_id, score in expected.items() if score > 0}, rel=1e-4
        )


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_sortable_keeps_the_order_of_floats(first: float, second: float) -> None:
    if first != second:
        assert (first < second) == (sortable(first) < sortable(second))


def test_numbers_that_are_equal_lie_in_one_place() -> None:
    assert number_key("x", 5) == number_key("x", 5.0)
    assert number_key("x", -0.0) == number_key("x", 0)


NAMES = st.sampled_from(["n", "k", "b", "d", "we ird:.[*]\\", "a.b"])
NUMBERS = st.integers(-3, 3) | st.sampled_from(
    [0.5, -0.5, 2.5, 1e-9, 2**53 + 1, 2**53, -(2**63), 2**63 - 1, 1e300, -0.0]
)
WORDS = st.text("ab*.\n\\[", max_size=3)
DAYS = st.sampled_from(["2019", "2019-05", "2019-05-31", "2019-05-31T10:00:00+02:00", "0001-01-01", "9999-12-31"])
VALUES = {
    "n": NUMBERS,
    "k": WORDS,
    "b": st.booleans(),
    "d": st.dates(date(2019, 5, 29), date(2019, 6, 2)) | st.just(datetime(2019, 5, 31, 8, tzinfo=UTC)),
    "we ird:.[*]\\": NUMBERS,
    "a.b": WORDS,
}
METADATA = st.fixed_dictionaries({}, optional={name: st.lists(value, max_size=3) for name, value in VALUES.items()})


def conditions(name: str) -> st.SearchStrategy:
    value = DAYS if name == "d" else VALUES[name]
    plain = value | st.lists(value, min_size=1, max_size=3) | st.fixed_dictionaries({"exists": st.booleans()})
    if name != "b":
        lower = st.none() | st.tuples(st.sampled_from(["gte", "gt"]), value)
        upper = st.none() | st.tuples(st.sampled_from(["lte", "lt"]), value)
        plain |= st.tuples(lower, upper).filter(any).map(lambda pair: dict(filter(None, pair)))
    if name in {"k", "a.b"}:
        plain |= WORDS.filter(bool).map(lambda prefix: {"prefix": prefix})
    return plain | plain.map(lambda condition: {"not": condition})


LEAVES = NAMES.flatmap(lambda name: conditions(name).map(lambda condition: {name: condition}))
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, min_size=1, max_size=3).flatmap(
        lambda parts: st.sampled_from([{"and": parts}, {"or": parts}, {"not": parts[0]}])
    ),
    max_leaves=5,
)


@given(st.lists(METADATA, min_size=1, max_size=12), st.lists(FILTERS, min_size=5, max_size=25))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_filters_agree_with_what_they_mean(
    tmp_path_factory: pytest.TempPathFactory, metadata: list, filters: list
) -> None:
    retriever = EmbeddedRetriever(tmp_path_factory.mktemp("filters") / "i")
    everything = {"n": 1, "k": "a", "b": True, "d": date(2019, 5, 1), "we ird:.[*]\\": 1, "a.b": "b"}
    metadata = [*metadata, everything]
    report = retriever.index(Document(f"d{n}", "text", one) for n, one in enumerate(metadata))
    assert report.failed == []
    for one in filters:
        node = parse_filters(one, retriever.fields)
        expected = {f"d{n}" for n, fields in enumerate(metadata) if evaluate(node, fields)}
        assert {hit.doc_id for hit in retriever.search("text", 50, one)} == expected, one


def test_a_chunker_of_ones_own(tmp_path: Path) -> None:
    class Lines:
        name = "lines"

        def split(self, text: str) -> list[Passage]:
            place, passages = 0, []
            for n, line in enumerate(text.splitlines(keepends=True)):
                passages.append(Passage(line, place, place + len(line), n + 1))
                place += len(line)
            return passages

    retriever = EmbeddedRetriever(tmp_path / "i", chunker=Lines())
    retriever.index([Document("a", "one\ntwo\nthree")])
    assert retriever.search("three")[0].line == 3
    with pytest.raises(RetrieverError, match="cut by lines"):
        EmbeddedRetriever(tmp_path / "i").index([Document("b", "x")])


@pytest.mark.parametrize(
    "passages", [[], [Passage("one", 0, 3, 1)], [Passage("two", 3, 6, 1)], [Passage("ONETWO", 0, 6, 1)]]
)
def test_a_chunker_that_loses_text_is_found_out(tmp_path: Path, passages: list[Passage]) -> None:
    class Losing:
        name = "losing"

        def split(self, text: str) -> list[Passage]:
            return passages

    report = EmbeddedRetriever(tmp_path / "i", chunker=Losing()).index([Document("a", "onetwo")])
    assert "must cover the text" in report.failed[0].reason


def test_the_manifest_is_plain_json(tmp_path: Path) -> None:
    EmbeddedRetriever(tmp_path / "i", embedder=HashEmbedder()).index(docs(1))
    manifest = json.loads((tmp_path / "i" / "manifest.json").read_text())
    assert manifest == {
        "format": 1,
        "chunker": "structure-1/300/45",
        "embedder": "hash-64",
        "dimensions": 64,
        "fields": {"doc_id": "keyword", "n": "number", "even": "boolean"},
    }
