"""The Elasticsearch retriever does what every retriever must do, on a real server."""

import os
from collections.abc import Iterator

import pytest
from es_server import drop, server  # noqa: F401 - a fixture
from retrieval_corpus import DOCUMENTS, HashEmbedder

pytest.register_assert_rewrite("retriever_conformance")

from retriever_conformance import *  # noqa: E402, F403 - its tests run here, on this file's retriever
from retriever_conformance import CHUNKER, call  # noqa: E402, F401

from pyrlm.retrievers.elasticsearch import ElasticsearchRetriever  # noqa: E402

pytestmark = pytest.mark.xdist_group("es")


@pytest.fixture(scope="module")
def retriever(server: str) -> Iterator[ElasticsearchRetriever]:  # noqa: F811
    name = f"pyrlm-conformance-{os.getpid()}"
    with ElasticsearchRetriever(server, index=name, embedder=HashEmbedder(), chunker=CHUNKER) as made:
        report = made.index(DOCUMENTS)
        assert (report.indexed, report.failed) == (len(DOCUMENTS), [])
        yield made
    drop(server, name)
