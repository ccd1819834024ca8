"""Code of the application that raises what no event loop can carry: the run has an outcome, and the loop lives on."""

from __future__ import annotations

import asyncio

import pytest
from retrieval_corpus import DOCUMENTS, HashEmbedder

from pyrlm import RLM, SmartRouter, portal
from pyrlm.adapters import FakeAdapter
from pyrlm.errors import ModelError
from pyrlm.foreign import contained, in_thread
from pyrlm.retrievers import EmbeddedRetriever

RAISED = [StopIteration, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError]
EXCEPTIONS = [StopIteration, SystemExit, KeyboardInterrupt, asyncio.CancelledError]
PRINT_ERROR = "```python\ntry:\n    es_search('x')\nexcept Exception as e:\n    print('caught', e)\n```"


class Plain:
    """A retriever of which every method raises."""

    has_vectors = True

    def __init__(self, raised):
        self.raised = raised

    def search(self, query, top_k=10, filters=None):
        raise self.raised

    vector_search = hybrid_search = search

    def get(self, doc_id):
        raise self.raised

    def count(self):
        raise self.raised


class Waiting(Plain):
    async def search(self, query, top_k=10, filters=None):
        raise self.raised

    vector_search = hybrid_search = search

    async def get(self, doc_id):
        raise self.raised


@pytest.mark.parametrize("raised", EXCEPTIONS)
@pytest.mark.parametrize("made", [Plain, Waiting])
def test_a_retriever_that_raises_what_ends_a_loop_ends_a_route(made, raised):
    result = SmartRouter(FakeAdapter(["NO_ANSWER", "FINAL: NO_ANSWER"]), retriever=made(raised)).run("q")
    assert result.status == "error"
    assert result.error.startswith("RetrieverError: hybrid_search")
    if raised is not asyncio.CancelledError:
        assert raised.__name__ in result.error or "StopIteration" in result.error


@pytest.mark.parametrize("raised", EXCEPTIONS)
@pytest.mark.parametrize("made", [Plain, Waiting])
def test_in_a_loop_code_gets_the_error(made, raised):
    adapter = FakeAdapter([PRINT_ERROR, "FINAL: done"])
    result = RLM(adapter, retriever=made(raised)).run("q")
    assert result.output == "done"
    assert "caught search" in adapter.calls[-1].text


@pytest.mark.parametrize("raised", EXCEPTIONS)
def test_an_embedder_that_raises_it_leaves_the_words(tmp_path, raised):
    class Breaking(HashEmbedder):
        broken = False

        def embed(self, texts):
            if self.broken:
                raise raised
            return super().embed(texts)

    embedder = Breaking()
    retriever = EmbeddedRetriever(tmp_path / "c.idx", embedder=embedder)
    retriever.index(DOCUMENTS)
    embedder.broken = True
    result = SmartRouter(FakeAdapter(["TLS 1.3"]), retriever=retriever).run("Which handshake has zero round trips?")
    assert (result.output, result.method) == ("TLS 1.3", "retrieval")
    assert any("the search used words alone" in note for note in result.notes)


@pytest.mark.parametrize("raised", EXCEPTIONS)
def test_an_adapter_that_raises_it_is_a_model_error(raised):
    class Silent:
        def complete(self, messages, max_tokens, temperature):
            raise raised

    class Later:
        async def acomplete(self, messages, max_tokens, temperature):
            raise raised

    class Streaming(Later):
        async def astream(self, messages, max_tokens, temperature):
            yield "a"
            raise raised

    for adapter in (Silent(), Later()):
        with pytest.raises(ModelError):
            RLM(adapter).run("q", "text")
    with pytest.raises(ModelError):
        for _ in SmartRouter(Streaming(), on_limit="raise").stream("q", "text"):
            pass


@pytest.mark.parametrize("raised", [StopIteration, SystemExit, KeyboardInterrupt, ValueError])
def test_a_listener_that_raises_it_ends_no_run(raised, caplog):
    def listener(_):
        raise raised

    result = SmartRouter(FakeAdapter(["yes"]), event_listener=listener).run("q", "text")
    assert result.output == "yes"
    assert "listener failed" in caplog.text


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt])
def test_what_nobody_contains_reaches_the_caller_and_the_loop_lives_on(raised):
    async def alone():
        raise raised("why")

    async def in_a_task():
        await asyncio.create_task(alone())

    for work in (alone, in_a_task):
        with pytest.raises(raised, match="why"):
            portal.run(work())
    assert portal.run(asyncio.sleep(0, 7)) == 7


@pytest.mark.parametrize("raised", RAISED)
def test_what_a_thread_raises_is_an_exception(raised):
    def work():
        raise raised

    async def ask():
        with pytest.raises(RuntimeError, match="work"):
            await contained("work", in_thread(work))

    if raised is GeneratorExit:  # that of a coroutine which is closed has to pass
        with pytest.raises(GeneratorExit):
            asyncio.run(contained("work", in_thread(work)))
    elif raised is StopIteration:
        with pytest.raises(RuntimeError, match=r"next\(\) was called"):
            asyncio.run(contained("work", in_thread(work)))
    else:
        portal.run(ask())


def test_being_cancelled_is_passed_on():
    async def cancelled():
        task = asyncio.create_task(contained("work", asyncio.sleep(60)))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
