"""An index that fails, changes or is slow in the middle of a run: the run makes do with what works, within its limits."""

from __future__ import annotations

import gc
import threading
import time

import pytest
from retrieval_corpus import DOCUMENTS, HashEmbedder

from pyrlm import RLM, Policy, SmartRouter
from pyrlm.adapters import FakeAdapter
from pyrlm.errors import RetrieverError
from pyrlm.retrievers import Document, EmbeddedRetriever, Hit

QUERY = "Which handshake has zero round trips?"
GOOD = "TLS 1.3\n<quotes>\n<quote>Zero round trips.</quote>\n</quotes>"
LOOP = [
    "```python\nhit = es_search('zero round trips')[0]\nprint(hit['preview'])\n```",
    "```python\nFINAL('1.3 has ' + hit['preview'][-17:-1].lower(), quotes=['Zero round trips.'])\n```",
]


MINUTES = [
    Document(f"minutes/{n}", f"On day {n} the handshake was talked about. " + "Nothing else. " * 40) for n in range(60)
]


class Failing(HashEmbedder):
    """Fails from when it is told to."""

    bad = False

    def embed(self, texts):
        if self.bad:
            raise OSError("no route to the embedder")
        return super().embed(texts)


def routes(result):
    return [(attempt.route, attempt.status) for attempt in result.attempts]


@pytest.fixture
def failing(tmp_path):
    embedder = Failing()
    retriever = EmbeddedRetriever(tmp_path / "c.idx", embedder=embedder)
    retriever.index([*DOCUMENTS, *MINUTES])
    embedder.bad = True
    return retriever


def test_without_its_embedder_the_wider_search_goes_by_words(failing):
    result = SmartRouter(FakeAdapter(["NO_ANSWER", GOOD]), retriever=failing).run(QUERY)
    assert routes(result) == [("retrieval", "rejected"), ("retrieval_wide", "accepted")]
    assert result.citations[0].doc_id == "rfc/8446"
    assert any("the wider search did without vector_search" in note for note in result.notes)
    assert sum("no route to the embedder" in note for note in result.notes) == 2


def test_and_the_loop_takes_over_where_that_finds_no_answer(failing):
    result = SmartRouter(FakeAdapter(["NO_ANSWER", "NO_ANSWER", *LOOP]), retriever=failing).run(QUERY)
    assert routes(result) == [("retrieval", "rejected"), ("retrieval_wide", "rejected"), ("rlm", "accepted")]
    assert (result.output, result.status) == ("1.3 has zero round trips", "answered")


class Gone(EmbeddedRetriever):
    """Most of what a search finds is deleted before it is read."""

    async def aget(self, doc_id, offset=0, limit=1_000_000):
        if doc_id.startswith("minutes/"):
            raise RetrieverError(f"no document {doc_id!r} in the index")
        return await super().aget(doc_id, offset, limit)


def test_a_document_that_is_deleted_before_it_is_read_ends_nothing(tmp_path):
    retriever = Gone(tmp_path / "c.idx")
    retriever.index([*DOCUMENTS, *MINUTES])
    result = SmartRouter(FakeAdapter(["NO_ANSWER", "NO_ANSWER", *LOOP]), retriever=retriever).run(QUERY)
    assert routes(result)[1:] == [("retrieval_wide", "rejected"), ("rlm", "accepted")]
    verified = SmartRouter(FakeAdapter([GOOD, GOOD]), retriever=retriever).run(QUERY, profile="verify")
    assert verified.status == "answered"


def test_a_wider_search_of_which_everything_fails_is_an_error(tmp_path):
    class Down(EmbeddedRetriever):
        async def asearch(self, query, top_k=10, filters=None):
            raise RetrieverError("the index is gone")

    retriever = Down(tmp_path / "c.idx")
    retriever.index(DOCUMENTS)
    result = SmartRouter(FakeAdapter(["NO_ANSWER"]), retriever=retriever).run(QUERY)
    assert (result.status, result.error) == ("error", "RetrieverError: the index is gone")
    assert routes(result) == [("retrieval", "rejected"), ("retrieval_wide", "failed")]


class Slow:
    """Every call takes until `release` is set; the first `quick` ones don't."""

    has_vectors = False

    def __init__(self, quick=0):
        self.quick, self.calls, self.release = quick, [], threading.Event()

    def _wait(self, name):
        self.calls.append(name)
        if len(self.calls) > self.quick:
            self.release.wait(30)

    def search(self, query, top_k=10, filters=None):
        self._wait("search")
        return [Hit(doc_id="a", preview="The depot opens at nine.", score=1.0)]

    hybrid_search = search

    def get(self, doc_id):
        self._wait("get")
        return {"doc_id": doc_id, "content": "The depot opens at nine. And more.", "metadata": {}}

    def count(self):
        self._wait("count")
        return 1


@pytest.fixture
def slow():
    made = []

    def make(quick=0):
        made.append(Slow(quick))
        return made[-1]

    yield make
    for one in made:
        one.release.set()


@pytest.mark.parametrize("quick", [0, 1])
def test_searches_keep_to_the_time_of_the_run(slow, quick, caplog):
    retriever = slow(quick)
    policy = Policy(max_seconds=0.5)
    began = time.monotonic()
    result = SmartRouter(FakeAdapter(["NO_ANSWER"] * 3), retriever=retriever, policy=policy).run("When does it open?")
    took = time.monotonic() - began
    gc.collect()
    assert (result.status, result.limit) == ("limit", "max_seconds"), result.error
    assert len(retriever.calls) <= quick + 2, "none is begun when the time is over"
    assert "never retrieved" not in caplog.text
    assert took < 20, "a call takes 30 s"


def test_a_quote_that_can_not_be_checked_in_time_costs_the_citation_and_not_the_answer(slow):
    retriever = slow(1)
    said = "At nine.\n<quotes>\n<quote>The depot opens at nine.</quote>\n</quotes>"
    result = SmartRouter(FakeAdapter([said]), retriever=retriever, policy=Policy(max_seconds=1.0)).run("When?")
    assert (result.output, result.status, result.citations) == ("At nine.", "answered", ()), result.error
    assert any("could not be checked" in note for note in result.notes)


def test_a_loop_that_begins_when_its_time_is_over_leaves_no_error_behind(slow, caplog):
    retriever = slow(0)
    adapter = FakeAdapter(["FINAL: late"])
    result = RLM(adapter, retriever=retriever, policy=Policy(max_seconds=0.3), on_limit="return").run("When?")
    gc.collect()
    assert result.status == "limit"
    assert "never retrieved" not in caplog.text
    assert retriever.calls == ["count"]
