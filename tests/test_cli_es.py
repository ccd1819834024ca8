"""The command line, the loop and the router on a real Elasticsearch."""

from __future__ import annotations

import json
import signal
import time

import pytest
from cli_process import pyrlm, started
from es_server import index, request, server  # noqa: F401 - fixtures
from retrieval_corpus import DOCUMENTS, HashEmbedder

from pyrlm import RLM, SmartRouter
from pyrlm.adapters import FakeAdapter
from pyrlm.retrievers import ElasticsearchRetriever, EmbeddedRetriever

pytestmark = pytest.mark.xdist_group("es")
QUOTE = "Zero round trips."
GOOD = f"TLS 1.3\n<quotes>\n<quote>{QUOTE}</quote>\n</quotes>"


@pytest.fixture
def home(tmp_path):
    with EmbeddedRetriever(tmp_path / "corpus.idx", embedder=HashEmbedder()) as retriever:
        retriever.index(DOCUMENTS)
    return tmp_path


def target(server, index):  # noqa: F811
    return f"es://{server.removeprefix('http://')}/{index}"


def test_an_index_moves_with_its_vectors_and_is_searched_and_asked(home, server, index):  # noqa: F811
    moved = pyrlm(home, "index", "--from", "corpus.idx", "--to", target(server, index), "--json")
    assert (moved.returncode, moved.stderr) == (0, "")
    assert json.loads(moved.stdout)["indexed"] == len(DOCUMENTS)
    again = pyrlm(home, "index", "--from", "corpus.idx", "--to", target(server, index), "--json")
    assert json.loads(again.stdout)["unchanged"] == len(DOCUMENTS)

    embedder = HashEmbedder()
    with ElasticsearchRetriever(server, index=index, embedder=embedder) as there:
        assert there.count() == len(DOCUMENTS)
        first = there.vector_search("zero round trips handshake", 3)
        assert len(embedder.texts) == 1, "the query alone was embedded"
        with EmbeddedRetriever(home / "corpus.idx", embedder=HashEmbedder()) as here:
            assert first[0].doc_id == here.vector_search("zero round trips handshake", 3)[0].doc_id

    found = pyrlm(home, "search", "round trips", "--es", server, "--index", index, "--json")
    assert (found.returncode, found.stderr.partition(": no embedder 'hash-64'")[0]) == (0, "searching by words alone")
    assert json.loads(found.stdout)["hits"][0]["doc_id"] == "rfc/8446"
    asked = [
        "ask",
        "What does the handshake negotiate?",
        "--es",
        target(server, index),
        "--model",
        "extractive:",
        "--json",
    ]
    result = json.loads(pyrlm(home, *asked).stdout)
    assert result["status"] == "answered"
    assert result["citations"][0]["doc_id"] == "rfc/5246"


def test_files_are_indexed_on_a_cluster_and_doctor_looks_at_it(home, server, index):  # noqa: F811
    (home / "kettle.md").write_text("The kettle boils at 96 degrees.\n")
    done = pyrlm(home, "index", "kettle.md", "--es", server, "--index", index)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 documents indexed" in done.stdout
    seen = pyrlm(home, "doctor", "--es", server, "--index", index)
    assert (seen.returncode, seen.stderr) == (0, "")
    for words in (
        "licence basic",
        f"{index}: 1 documents, 1 passages, made by pyrlm",
        "es_vector_search is not offered",
    ):
        assert words in seen.stdout


@pytest.mark.parametrize("backend", ["exec", "monty"])
def test_loop_and_router_on_a_cluster(server, index, backend):  # noqa: F811
    with ElasticsearchRetriever(server, index=index, embedder=HashEmbedder()) as retriever:
        retriever.index(DOCUMENTS)
        code = (
            "found = es_search_batch(['round trips', 'cache'])\nprint([hits[0]['doc_id'] for hits in found])\n"
            "print(es_vector_search('handshake')[0]['method'], len(es_get('long', 100, 50)['content']))\n"
            "try:\n    es_search('x', filters={'yaer': 1})\nexcept RuntimeError as error:\n    print(error)"
        )
        script = [f"```python\n{code}\n```", f"```python\nFINAL(found[0][0]['doc_id'], quotes=[{QUOTE!r}])\n```"]
        adapter = FakeAdapter(script)
        result = RLM(adapter, retriever=retriever, repl_backend=backend).run("Which?")
        shown = adapter.calls[1].messages[-1]["content"]
        assert "['rfc/8446', 'rfc/2616']\nvector 50" in shown
        assert "did you mean 'year'" in shown
        assert f"{len(DOCUMENTS)} documents" in adapter.calls[0].text
        [citation] = result.citations
        content = retriever.get("rfc/8446")["content"]
        assert (citation.doc_id, content[citation.start : citation.end]) == ("rfc/8446", QUOTE)
        batch = [step.data for step in result.trace.of_kind("search") if step.data["function"] == "es_search_batch"]
        assert [(data["query"], data["batch"]) for data in batch] == [("round trips", 2), ("cache", 2)]

        routed = SmartRouter(FakeAdapter([GOOD]), retriever=retriever).run("Which handshake has zero round trips?")
        assert (routed.method, routed.citations[0].doc_id) == ("retrieval", "rfc/8446")


def test_ctrl_c_while_a_cluster_is_written_goes_on_later(home, server, index):  # noqa: F811
    total = 40_000
    lines = (json.dumps({"id": n, "text": f"Entry {n} of many. " + "Words and words. " * 20}) for n in range(total))
    (home / "many.jsonl").write_text("\n".join(lines))
    process = started(home, "index", "many.jsonl", "--es", server, "--index", index)
    deadline = time.monotonic() + 60
    while b'"count":0' in (found := counted(server, index)) or not found:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "stopped early" in out
    assert "Traceback" not in err
    done = json.loads(pyrlm(home, "index", "many.jsonl", "--es", server, "--index", index, "--json").stdout)
    assert 0 < done["unchanged"] < total
    assert done["unchanged"] + done["indexed"] == total


def counted(server, index):  # noqa: F811
    try:
        request("POST", f"{server}/{index}/_refresh")
        return request("GET", f"{server}/{index}/_count")
    except OSError:
        return b""
