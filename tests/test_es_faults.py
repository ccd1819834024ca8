"""Faults in the server and between it and the client: every document is indexed or named, every search says what failed."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from es_proxy import between
from es_server import index, own_server, request, run_script, server  # noqa: F401 - fixtures

from pyrlm.errors import ConfigurationError, RetrieverError
from pyrlm.retrievers.chunking import Chunker
from pyrlm.retrievers.elasticsearch import ElasticsearchRetriever
from pyrlm.retrievers.protocol import Document

pytestmark = pytest.mark.xdist_group("es")
SMALL = Chunker(size=40, overlap=6)


def docs(count: int, words: int = 100) -> list[Document]:
    return [Document(f"d{n}", f"document number{n} " + f"word{n % 7} " * words, {"n": n}) for n in range(count)]


def check_accounted(made: ElasticsearchRetriever, documents: list[Document], report: Any) -> set[str]:
    """Each document is whole in the index or named in the report; returns those that are in."""
    named = {failure.doc_id for failure in report.failed}
    assert len(named) == len(report.failed)
    there = set()
    for document in documents:
        try:
            if made.get(document.doc_id)["content"] == document.content:
                there.add(document.doc_id)
        except RetrieverError:
            pass
    assert there | named == {document.doc_id for document in documents}
    assert report.indexed + report.unchanged == len(documents) - len(named)
    return there


# --- in the server ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def narrow() -> Iterator[tuple[str, dict[str, str]]]:
    """A server with room for next to nothing, whose data outlives it."""
    with own_server(
        "thread_pool.write.size: 1\nthread_pool.write.queue_size: 1\nindexing_pressure.memory.limit: 1mb"
    ) as made:
        yield made


def test_refused_items_and_refused_requests_go_in_by_and_by(narrow: Any) -> None:
    url, _ = narrow
    documents = docs(400, words=600)  # 2.6 MB: more than the server takes in one request

    async def many() -> None:
        writers = [ElasticsearchRetriever(url, index="crowd", shards=4, chunker=SMALL) for _ in range(6)]
        await writers[0].aindex([])
        parts = [documents[n::6] for n in range(6)]
        reports = await asyncio.gather(*(one.aindex(part) for one, part in zip(writers, parts, strict=True)))
        assert [report.failed for report in reports] == [[]] * 6
        assert await writers[0].acount() == 400
        for one in writers:
            await one.aclose()

    asyncio.run(many())
    refused = json.loads(request("GET", f"{url}/_nodes/stats/thread_pool,indexing_pressure"))
    stats = next(iter(refused["nodes"].values()))
    pressure = stats["indexing_pressure"]["memory"]["total"]
    assert stats["thread_pool"]["write"]["rejected"] + pressure["coordinating_rejections"] > 0


def test_time_for_retries_ends(server: str, index: str) -> None:  # noqa: F811
    with ElasticsearchRetriever(server, index=index, chunker=SMALL, indexing_retry_seconds=1.0) as made:
        made.index(docs(3))

        def busy(message: bytes, number: int) -> Any:
            error = {
                "type": "es_rejected_execution_exception",
                "reason": "rejected execution of coordinating operation",
            }
            return (429, {"error": error, "status": 429}) if b"_bulk" in message else None

        with (
            between(server, busy) as proxy,
            ElasticsearchRetriever(proxy.url, index=index, indexing_retry_seconds=1.0) as late,
        ):
            report = late.index(docs(10))
        assert report.interrupted
        assert (report.unchanged, report.indexed, len(report.failed)) == (3, 0, 7)
        assert all("429" in failure.reason and "rejected execution" in failure.reason for failure in report.failed)
        again = made.index(docs(10))
        assert (again.unchanged, again.indexed) == (3, 7)


def test_a_read_only_index_is_no_matter_of_time(server: str, index: str) -> None:  # noqa: F811
    with ElasticsearchRetriever(server, index=index, chunker=SMALL) as made:
        made.index(docs(2))
        block = json.dumps({"index.blocks.read_only_allow_delete": True}).encode()
        request("PUT", f"{server}/{index}/_settings", block)
        began = time.monotonic()
        documents = docs(30)
        report = made.index(documents)
        assert time.monotonic() - began < 60  # the time for retries is 120 s
        assert report.interrupted
        assert (report.unchanged, len(report.failed)) == (2, 28)
        assert "takes no writes" in report.failed[0].reason
        report = made.index([Document("new", "text", {"field": 1})])
        assert [failure.doc_id for failure in report.failed] == ["new"]
        with pytest.raises(RetrieverError, match=r"could not be deleted: .*takes no writes"):
            made.delete(["d1"])
        assert "takes no writes" in "".join(made.diagnose().problems)
        request("PUT", f"{server}/{index}/_settings", b'{"index.blocks.read_only_allow_delete": null}')
        assert made.index(documents).indexed == 28


def test_a_kill_in_the_middle_of_a_bulk(narrow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One writer gives up soon and tells what became of everything; another one waits until the server is back."""
    monkeypatch.setattr("pyrlm.retrievers.es_writing.BATCH_DOCUMENTS", 50)
    monkeypatch.setattr("pyrlm.retrievers.reports.PROGRESS_SECONDS", 0.0)
    url, environment = narrow
    pid = int((Path(environment["PYRLM_ES_RUN"]) / "pid").read_text())
    documents = docs(1_000)  # enough that neither writer is done before the other has begun
    acknowledged = [0, 0]
    begun, killed = asyncio.Event(), asyncio.Event()

    def watch(writer: int) -> Any:
        def progress(state: Any) -> None:
            acknowledged[writer] = state.acknowledged
            if acknowledged[1] >= 50:
                begun.set()
            if acknowledged[0] >= 50 and not killed.is_set():
                killed.set()
                os.kill(pid, signal.SIGKILL)

        return progress

    async def restart(given_up: asyncio.Future) -> None:
        await asyncio.wait([given_up])
        assert killed.is_set()
        options = {"PYRLM_ES_KEEP_DATA": "1", "PYRLM_ES_PORT": url.rsplit(":", 1)[1]}
        await asyncio.to_thread(run_script, "start", **environment, **options)

    async def both() -> list[Any]:
        hasty = ElasticsearchRetriever(
            url, index="hasty", chunker=SMALL, indexing_retry_seconds=10.0, retry_seconds=1.0
        )
        patient = ElasticsearchRetriever(url, index="patient", chunker=SMALL)
        async with hasty, patient:
            waits = asyncio.ensure_future(patient.aindex(documents, progress=watch(1)))
            await begun.wait()
            given_up = asyncio.ensure_future(hasty.aindex(documents, progress=watch(0)))
            await restart(given_up)
            return [await given_up, await waits]

    broken, whole = asyncio.run(both())
    assert (whole.indexed, whole.failed, whole.interrupted) == (len(documents), [], False)
    assert broken.interrupted
    assert "no connection" in broken.failed[0].reason
    with ElasticsearchRetriever(url, index="patient") as made:
        assert made.count() == len(documents)
    with ElasticsearchRetriever(url, index="hasty") as made:
        named = {failure.doc_id for failure in broken.failed}
        there = {document.doc_id for document in documents if _is_there(made, document.doc_id)}
        assert broken.indexed >= 50
        assert there | named == {document.doc_id for document in documents[: broken.documents]}
        assert len(there - named) == broken.indexed
        # Run again, it goes on; what is there twice over, or in part, is put right.
        again = made.index(documents)
        assert (again.failed, made.count()) == ([], len(documents))
        assert again.unchanged >= broken.indexed
        assert check_accounted(made, documents[:50], made.index(documents[:50])) >= {"d0"}


# --- between ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(server: str) -> Iterator[tuple[str, str]]:  # noqa: F811
    name = f"pyrlm-faults-{os.getpid()}"
    with ElasticsearchRetriever(server, index=name, chunker=SMALL) as made:
        made.index(docs(20))
        yield server, name
    request("DELETE", f"{server}/{name}-000001")


UNAVAILABLE = (503, {"error": {"type": "unavailable", "reason": "the proxy says no"}, "status": 503})


@pytest.mark.parametrize(
    "fault",
    [
        "cut",
        "cut reply",
        UNAVAILABLE,
        (502, "bad gateway"),
        (429, {"error": {"type": "es_rejected_execution_exception", "reason": "queue full"}}),
    ],
    ids=str,
)
def test_a_passing_fault_is_not_seen(filled: Any, fault: Any) -> None:
    url, name = filled
    with between(url, lambda _, number: fault if number in {0, 1, 3} else None) as proxy:
        with ElasticsearchRetriever(proxy.url, index=name) as made:
            assert made.search("number7")[0].doc_id == "d7"
            assert made.get("d7")["doc_id"] == "d7"
        assert len(proxy.requests) >= 6


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("cut", "no connection"),
        (UNAVAILABLE, "the proxy says no"),
        ((429, {"error": {"type": "x", "reason": "queue full"}}), "queue full"),
    ],
    ids=str,
)
def test_a_lasting_fault_is_named(filled: Any, fault: Any, words: str) -> None:
    url, name = filled
    with between(url, lambda *_: fault) as proxy:
        with ElasticsearchRetriever(proxy.url, index=name, retry_seconds=0.3) as made:
            for call in (lambda: made.search("x"), lambda: made.get("d1"), made.count, lambda: made.index(docs(1))):
                with pytest.raises(RetrieverError, match=words) as caught:
                    call()
                assert caught.value.retryable
            assert words in made.diagnose().problems[0]
        assert len(proxy.requests) > 5


def test_a_slow_cluster_is_a_time_out_and_not_asked_again(filled: Any) -> None:
    url, name = filled
    with between(url, lambda message, _: 1.0 if b"_search" in message else None) as proxy:
        with ElasticsearchRetriever(proxy.url, index=name, timeout=0.3) as made:
            with pytest.raises(RetrieverError, match=r"no answer within 0\.3 s") as caught:
                made.search("number7")
            assert caught.value.retryable
        assert sum("_search" in line for line in proxy.requests) == 1


@pytest.mark.parametrize("fault", ["cut", "cut reply", UNAVAILABLE, 0.2], ids=str)
def test_bulks_through_a_bad_line(server: str, index: str, fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("pyrlm.retrievers.es_writing.BATCH_DOCUMENTS", 10)
    bulks = 0

    def rule(message: bytes, _: int) -> Any:
        nonlocal bulks
        if b"_bulk" not in message:
            return None
        bulks += 1
        return fault if bulks % 2 else None

    with between(server, rule) as proxy, ElasticsearchRetriever(proxy.url, index=index, chunker=SMALL) as made:
        report = made.index(docs(60))
        assert (report.indexed, report.failed, report.interrupted) == (60, [], False)
        assert check_accounted(made, docs(60), report) == {f"d{n}" for n in range(60)}
        assert bulks >= 6


def test_a_line_that_breaks_for_good(server: str, index: str, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("pyrlm.retrievers.es_writing.BATCH_DOCUMENTS", 10)
    bulks = 0

    def rule(message: bytes, _: int) -> Any:
        nonlocal bulks
        bulks += b"_bulk" in message
        return "cut reply" if bulks > 2 else None

    documents = docs(100)
    with (
        between(server, rule) as proxy,
        ElasticsearchRetriever(proxy.url, index=index, indexing_retry_seconds=0.5, retry_seconds=0.5) as made,
    ):
        report = made.index(documents)
    assert report.interrupted
    assert report.indexed == 20
    with ElasticsearchRetriever(server, index=index) as made:
        named = {failure.doc_id for failure in report.failed}
        # The third request went in without an answer: named, because nobody knows.
        assert named >= {f"d{n}" for n in range(20, 30)}
        there = {document.doc_id for document in documents if _is_there(made, document.doc_id)}
        assert {document.doc_id for document in documents[: report.documents]} == named | there
        assert made.index(documents).failed == []


def _is_there(made: ElasticsearchRetriever, doc_id: str) -> bool:
    try:
        made.get(doc_id)
    except RetrieverError:
        return False
    return True


def test_partial_results_are_none(filled: Any) -> None:
    url, name = filled
    hits = {"hits": {"hits": []}, "took": 1}
    failure = {"shard": 0, "reason": {"type": "x", "reason": "the heap is full"}}
    for body, words in (
        ({**hits, "timed_out": True, "_shards": {"failed": 0}}, "ran out of time"),
        (
            {**hits, "timed_out": False, "_shards": {"failed": 1, "total": 2, "failures": [failure]}},
            "1 of 2 shards: the heap is full",
        ),
    ):
        with (
            between(url, lambda message, _, body=body: (200, body) if b"_search" in message else None) as proxy,
            ElasticsearchRetriever(proxy.url, index=name) as made,
            pytest.raises(RetrieverError, match=words),
        ):
            made.search("number7")


def test_one_search_of_a_batch_that_is_refused_is_asked_again(filled: Any) -> None:
    url, name = filled
    refused = {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "queue full"}}
    seen: list[bytes] = []

    def rule(message: bytes, _: int) -> Any:
        if b"_msearch" not in message:
            return None
        seen.append(message)
        return (200, {"took": 1, "responses": [refused, refused]}) if len(seen) < 3 else None

    with between(url, rule) as proxy, ElasticsearchRetriever(proxy.url, index=name) as made:
        assert [hits[0].doc_id for hits in made.search_batch(["number7", "number8"])] == ["d7", "d8"]
    assert len(seen) == 3


# --- what else goes wrong -----------------------------------------------------------------------------------------


def test_a_missing_index_says_so(server: str) -> None:  # noqa: F811
    with ElasticsearchRetriever(server, index="nothing-here") as made:
        for call in (lambda: made.search("x"), lambda: made.get("x"), made.count):
            with pytest.raises(RetrieverError, match="there is no index 'nothing-here'") as caught:
                call()
            assert not caught.value.retryable
        assert "no index" in made.diagnose().problems[0]


def test_the_wrong_client_is_told_which_is_right(filled: Any) -> None:
    url, name = filled
    cause = {
        "type": "media_type_header_exception",
        "reason": "Invalid media-type value on headers [Content-Type, Accept]",
    }
    body = {
        "error": {
            "root_cause": [cause],
            **cause,
            "caused_by": {"type": "status_exception", "reason": "A compatible version is required"},
        },
        "status": 400,
    }
    with (
        between(url, lambda *_: (400, body)) as proxy,
        ElasticsearchRetriever(proxy.url, index=name) as made,
        pytest.raises(RetrieverError, match=r"pip install 'elasticsearch\[async\]>=8\.19,<\d'"),
    ):
        made.search("x")


def test_keys_are_never_told(filled: Any) -> None:
    url, name = filled
    key = "c2VjcmV0LWlkOnNlY3JldC1rZXktMTIzNDU2"

    def echo(message: bytes, _: int) -> Any:
        reason = f"unable to authenticate with {message.decode(errors='replace')}"
        return 401, {"error": {"type": "security_exception", "reason": reason}, "status": 401}

    with between(url, echo) as proxy:
        for made in (
            ElasticsearchRetriever(proxy.url, index=name, api_key=key),
            ElasticsearchRetriever(proxy.url, index=name, basic_auth=("user", "open-sesame-123")),
            ElasticsearchRetriever(proxy.url.replace("//", "//user:open-sesame-123@"), index=name),
        ):
            with made, pytest.raises(RetrieverError, match="does not know the credentials") as caught:
                made.search("x")
            error: BaseException | None = caught.value
            while error is not None:
                told = f"{error!r} {error} {made!r}"
                assert key not in told
                assert "open-sesame" not in told
                assert "dXNlcjpvcGVuLXNlc2FtZS0xMjM=" not in told  # user and password as the header has them
                error = error.__cause__


def test_what_is_no_elasticsearch(server: str) -> None:  # noqa: F811
    import http.server
    import threading

    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        made = ElasticsearchRetriever(f"http://127.0.0.1:{other.server_port}")
        with made, pytest.raises(RetrieverError):
            made.search("x")
        other.shutdown()


def test_clients_that_are_there_already(filled: Any) -> None:
    from elasticsearch import AsyncElasticsearch, Elasticsearch

    url, name = filled
    with Elasticsearch(url) as client, ElasticsearchRetriever(client=client, index=name) as made:
        assert made.search("number7")[0].doc_id == "d7"

    async def own_loop() -> str:
        async with AsyncElasticsearch(url) as client:
            made = ElasticsearchRetriever(client=client, index=name)
            found = await made.asearch("number7")
            await made.aclose()
            await client.count(index=name)  # it is the caller's, and still open
            return found[0].doc_id

    assert asyncio.run(own_loop()) == "d7"
    with pytest.raises(ConfigurationError, match="AsyncElasticsearch or an Elasticsearch"):
        ElasticsearchRetriever(client=object(), index=name).search("x")


def test_threads_and_loops(filled: Any) -> None:
    url, name = filled

    async def in_a_loop(made: ElasticsearchRetriever) -> list[str]:
        found = await asyncio.gather(*(made.asearch(f"number{n}") for n in range(10)))
        # The plain methods work beside a running loop.
        found += [await asyncio.to_thread(made.search, f"number{n}") for n in range(10, 12)]
        await made.aclose()
        return [hits[0].doc_id for hits in found]

    with ElasticsearchRetriever(url, index=name) as made:
        for _ in range(2):
            assert asyncio.run(in_a_loop(made)) == [f"d{n}" for n in range(12)]


def test_diagnosis(filled: Any) -> None:
    url, name = filled
    with ElasticsearchRetriever(url, index=name) as made:
        found = made.diagnose()
        assert found.server in {"9.5", "8.19"}
        assert (found.licence, found.own, found.documents) == ("basic", True, 20)
        assert found.passages == made.count_passages()
        assert found.fields == {"doc_id": "keyword", "n": "number"}
        assert found.problems == (
            "the index has no vectors: es_vector_search is not offered, es_hybrid_search is BM25",
        )


@pytest.mark.parametrize(
    "options",
    [
        {"host": "a", "hosts": ["b"]},
        {"host": "ftp://x"},
        {"host": "http://x:port"},
        {"client": object(), "api_key": "x"},
        {"embedder": object(), "embedding_model": "m"},
        {"shards": 0},
    ],
    ids=" ".join,
)
def test_options_that_make_no_sense(options: dict) -> None:
    with pytest.raises(ConfigurationError):
        ElasticsearchRetriever(**options)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("localhost", "http://localhost:9200"),
        ("localhost:9201", "http://localhost:9201"),
        ("es.example.org", "https://es.example.org:9200"),
        ("https://es.example.org", "https://es.example.org:443"),
        ("http://es:9201/path/", "http://es:9201/path"),
        ("http://u:p@es", "http://u:p@es:9200"),
        ("[::1]:9200", "http://[::1]:9200"),
    ],
)
def test_addresses_are_completed(given: str, url: str) -> None:
    from pyrlm.retrievers.es_connection import server_url

    assert server_url(given) == url
