"""Approximate vector search in one folder: never a wrong passage, and the near ones of what the graph does not hold."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from retrieval_corpus import HashEmbedder

from pyrlm import RLM
from pyrlm.adapters import FakeAdapter
from pyrlm.errors import ConfigurationError
from pyrlm.retrievers import graph, linking, vectors
from pyrlm.retrievers.embedded import EmbeddedRetriever
from pyrlm.retrievers.protocol import Document

TOPICS = np.random.default_rng(5).standard_normal((40, 32)).astype(np.float32)


class TopicEmbedder:
    """A text ``… topic7 …`` lies near the other texts of topic 7, as texts on one matter do; the rest of it decides where."""

    name, dimensions = "topics", 32

    def embed(self, texts):
        made = np.zeros((len(texts), 32), dtype=np.float32)
        for row, text in enumerate(texts):
            topic = re.search(r"topic(\d+)", text)
            own = np.random.default_rng(list(hashlib.sha256(text.encode()).digest()[:8]))
            made[row] = TOPICS[int(topic[1]) % 40 if topic else 0] + 0.7 * own.standard_normal(32)
        return made / np.linalg.norm(made, axis=1, keepdims=True)


def docs(numbers, mark=""):
    return [Document(f"d{n}", f"topic{n % 40} entry {n} {mark}".strip(), {"n": n, "topic": n % 40}) for n in numbers]


@pytest.fixture
def no_shortcut(monkeypatch):
    """The graph is asked however small the corpus."""
    monkeypatch.setattr(vectors, "FEW_ROWS", 0)


def pair(folder, **options):
    """The same folder, searched by its graph and exactly."""
    embedder = TopicEmbedder()
    return (
        EmbeddedRetriever(folder, embedder=embedder, approximate=True, **options),
        EmbeddedRetriever(folder, embedder=embedder, approximate=False, **options),
    )


def found(retriever, query, count=10, filters=None):
    return [(hit.doc_id, round(hit.score, 5)) for hit in retriever.vector_search(query, count, filters)]


CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "change", "delete"]), st.integers(0, 150), st.integers(1, 60)),
    min_size=1,
    max_size=5,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.integers(1, 120), changes=CHANGES, threshold=st.sampled_from([0, 10]))
def test_it_finds_what_is_there_through_every_kind_of_change(tmp_path_factory, no_shortcut, first, changes, threshold):
    near, exact = pair(tmp_path_factory.mktemp("g") / "i")
    near.index(docs(range(first)))
    for number, (kind, start, count) in enumerate(changes):
        numbers = range(start, start + count)
        if kind == "delete":
            near.delete([f"d{n}" for n in numbers])
        else:
            # Some changes extend the graph, others are left beside it.
            writer = near if number % 2 or not threshold else exact
            writer.index(docs(numbers, mark="anew" if kind == "change" else ""))
        for query, filters in [("topic3 entry", None), ("topic3", {"n": {"lt": 50}}), ("topic9", {"topic": [9, 10]})]:
            assert_nearly_the_best(found(near, query, filters=filters), found(exact, query, 400, filters))
    assert near.count() == exact.count()


def assert_nearly_the_best(got, everything, count=10):
    """All that is found is there, with its true score, the best first; a graph may pass by a few of the very best."""
    assert set(got) <= set(everything)
    assert [score for _, score in got] == sorted((score for _, score in got), reverse=True)
    assert len(set(got)) == len(got) == min(count, len(everything))
    assert len(set(everything[:count]) - set(got)) <= count // 5, (got, everything[: count + 2])


def test_it_finds_what_exact_search_finds_in_a_bigger_corpus(tmp_path):
    near, exact = pair(tmp_path / "i")
    near.index(docs(range(12_000)))
    kept = shown = 0
    for n in range(60):
        by_graph = near.vector_search(f"topic{n % 40} entry {n * 7} of the kind", 10)
        compared = exact.vector_search(f"topic{n % 40} entry {n * 7} of the kind", 10)
        assert (by_graph.approximate, compared.approximate) == (True, False)
        kept += len({hit.doc_id for hit in by_graph} & {hit.doc_id for hit in compared})
        shown += len(compared)
        scores = {hit.doc_id: hit.score for hit in compared}
        for hit in by_graph:
            assert hit.score == pytest.approx(scores.get(hit.doc_id, hit.score), abs=1e-6), "candidates get true scores"
    assert kept / shown >= 0.95
    # A filter that leaves little, and one whose passages lie far from the query, are searched exactly.
    for filters in ({"n": {"lt": 300}}, {"topic": 5, "n": {"gte": 100}}, {"topic": {"not": 3}}):
        assert found(near, "topic3 entry", filters=filters) == found(exact, "topic3 entry", filters=filters)
    assert near.hybrid_search("topic3 entry 43", 5).approximate
    assert not near.search("topic3 entry 43", 5).approximate
    assert not near.vector_search("topic3", 5, {"n": {"lt": 300}}).approximate


def test_documents_added_later_are_found_and_deleted_ones_are_not(tmp_path, no_shortcut):
    near, exact = pair(tmp_path / "i")
    near.index(docs(range(400)))
    [before] = (tmp_path / "i" / "vectors").glob("*.graph")
    near.index(docs(range(400, 430)))  # under a tenth: the graph stays as it is
    assert [before] == list((tmp_path / "i" / "vectors").glob("*.graph"))
    target = near.get("d415")["content"]
    assert near.vector_search(target, 1)[0].doc_id == "d415"
    near.delete(["d415", *(f"d{n}" for n in range(0, 400, 2))])
    assert found(near, target) == found(exact, target)
    assert not any(int(doc_id[1:]) % 2 == 0 and int(doc_id[1:]) < 400 for doc_id, _ in found(near, target, 50))
    near.index(docs(range(600, 800)))  # more than a quarter is gone: built anew
    [after] = (tmp_path / "i" / "vectors").glob("*.graph")
    assert after != before
    assert len(graph.newest(tmp_path / "i" / "vectors", 32).nodes) == near.count_passages()
    assert found(near, target) == found(exact, target)


@pytest.mark.parametrize("harm", ["torn graph", "torn list", "no graph", "no list", "zeros", "other list", "garbage"])
def test_a_graph_that_is_torn_missing_or_foreign_is_not_used(tmp_path, no_shortcut, harm):
    near, exact = pair(tmp_path / "i")
    near.index(docs(range(300)))
    [listed] = (tmp_path / "i" / "vectors").glob("*.nodes")
    whole, drawn = listed.read_bytes(), listed.with_suffix(".graph").read_bytes()
    assert near.vector_search("topic3", 5).approximate
    if harm == "torn graph":
        listed.with_suffix(".graph").write_bytes(drawn[: len(drawn) // 2])
    elif harm == "torn list":
        listed.write_bytes(whole[: len(whole) // 2])
    elif harm == "no graph":
        listed.with_suffix(".graph").unlink()
    elif harm == "no list":
        listed.unlink()
    elif harm == "zeros":
        listed.with_suffix(".graph").write_bytes(drawn[:9000] + bytes(len(drawn) - 9000))
    elif harm == "other list":
        listed.write_bytes(whole[:16] + whole[24:] + whole[16:24])
    else:
        listed.with_suffix(".graph").write_bytes(b"garbage")
        listed.write_bytes(b"garbage")
    near.close()
    again = near.vector_search("topic3", 5)
    assert not again.approximate
    assert found(near, "topic3", 5) == found(exact, "topic3", 5)
    near.index([])  # nothing new, but the graph is due
    assert near.vector_search("topic3", 5).approximate


def test_a_kill_while_the_graph_is_built_loses_nothing(tmp_path):
    code = f"""
        import os, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_retrieval_graph import TopicEmbedder, docs
        from pyrlm.retrievers import graph
        from pyrlm.retrievers.embedded import EmbeddedRetriever
        graph.BATCH = 50
        kept = graph._settle
        def settle(part, path):
            print("written", flush=True)
            sys.stdin.readline()
            kept(part, path)
        graph._settle = settle
        EmbeddedRetriever({str(tmp_path / "i")!r}, embedder=TopicEmbedder(), approximate=True).index(docs(range(500)))
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "written\n", "the graph lies in a file that does not count yet"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    near, exact = pair(tmp_path / "i")
    assert near.count() == 500
    assert not near.vector_search("topic3", 5).approximate
    assert found(near, "topic3") == found(exact, "topic3")
    parts = list((tmp_path / "i" / "vectors").glob("*.part"))
    assert parts, "what the kill left"
    for part in parts:
        os.utime(part, (1, 1))
    assert near.index(docs(range(500))).unchanged == 500
    assert not list((tmp_path / "i" / "vectors").glob("*.part"))
    assert graph.newest(tmp_path / "i" / "vectors", 32) is not None


def test_a_build_that_is_stopped_serves_with_what_it_has_and_goes_on(tmp_path, no_shortcut, monkeypatch):
    monkeypatch.setattr(graph, "BATCH", 100)
    near, exact = pair(tmp_path / "i")
    stop = threading.Event()
    seen = []

    def progress(state):
        if state.to_link:
            seen.append((state.linked, state.to_link, state.acknowledged))
            stop.set()

    report = near.index(docs(range(350)), progress=progress, stop=stop)
    assert (report.indexed, report.interrupted) == (350, False)
    assert seen == [(100, 350, 350)]
    assert len(graph.newest(tmp_path / "i" / "vectors", 32).nodes) == 100
    assert_nearly_the_best(found(near, "topic3", 30), found(exact, "topic3", 400), 30)
    seen.clear()
    near.index([], progress=progress)
    assert [linked for linked, *_ in seen] == [200, 300, 350]
    assert_nearly_the_best(found(near, "topic3", 30), found(exact, "topic3", 400), 30)


def test_a_graph_that_cannot_be_written_is_told_and_nothing_else_fails(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(graph, "_settle", full)
    near, _ = pair(tmp_path / "i")
    report = near.index(docs(range(30)))
    assert (report.indexed, "No space left" in report.advice) == (30, True)
    assert len(near.vector_search("topic3", 5)) == 5


def test_threads_search_one_graph_while_another_process_writes(tmp_path, no_shortcut):
    near, exact = pair(tmp_path / "i")
    near.index(docs(range(300)))
    code = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_retrieval_graph import TopicEmbedder, docs
        from pyrlm.retrievers.embedded import EmbeddedRetriever
        writer = EmbeddedRetriever({str(tmp_path / "i")!r}, embedder=TopicEmbedder(), approximate=True)
        for start in range(300, 900, 100):
            writer.index(docs(range(start, start + 100)))
            print(start, flush=True)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    wrong: list[object] = []

    def read(n):
        while process.poll() is None:
            try:
                hits = near.vector_search(f"topic{n} entry {n}", 10)
                if len(hits) != 10 or max(hit.score for hit in hits) != hits[0].score:
                    wrong.append(hits)
            except Exception as error:
                wrong.append(error)
            time.sleep(0.005)

    threads = [threading.Thread(target=read, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    process.communicate(timeout=60)
    for thread in threads:
        thread.join()
    assert (process.returncode, wrong) == (0, [])
    assert_nearly_the_best(found(near, "topic3", 30), found(exact, "topic3", 400), 30)
    assert near.count() == 900


def test_it_comes_by_itself_where_the_index_is_big(tmp_path, no_shortcut, monkeypatch):
    retriever = EmbeddedRetriever(tmp_path / "i", embedder=TopicEmbedder())
    retriever.index(docs(range(50)))
    assert not retriever.vector_search("topic3", 5).approximate
    monkeypatch.setattr(linking, "GRAPH_NUMBERS", 50 * 32)
    with monkeypatch.context() as without:
        without.setattr(graph.importlib.util, "find_spec", lambda name: None)
        assert "pip install 'pyrlm[ann]'" in retriever.index([]).advice
        with pytest.raises(ConfigurationError, match=r"pip install 'pyrlm\[ann\]'"):
            EmbeddedRetriever(tmp_path / "i", embedder=TopicEmbedder(), approximate=True)
    assert not retriever.index([]).advice
    assert retriever.vector_search("topic3", 5).approximate
    exact = EmbeddedRetriever(tmp_path / "i", embedder=TopicEmbedder(), approximate=False)
    assert not exact.vector_search("topic3", 5).approximate
    assert EmbeddedRetriever(tmp_path / "plain", embedder=HashEmbedder()).index([]).advice == ""


def test_the_trace_says_that_a_graph_was_used(tmp_path, no_shortcut):
    near, exact = pair(tmp_path / "i")
    near.index(docs(range(60)))
    for retriever, told in ((near, True), (exact, None)):
        script = ["```python\nprint(es_vector_search('topic3')[0]['doc_id'])\n```", "FINAL: done"]
        result = RLM(FakeAdapter(script), retriever=retriever).run("Which?")
        [search] = result.trace.of_kind("search")
        assert search.data.get("approximate") is told
