"""The embedded retriever does what every retriever must do."""

from collections.abc import Iterator

import pytest
from retrieval_corpus import DOCUMENTS, HashEmbedder

pytest.register_assert_rewrite("retriever_conformance")

from retriever_conformance import *  # noqa: E402, F403 - its tests run here, on this file's retriever
from retriever_conformance import CHUNKER, call  # noqa: E402, F401

from pyrlm.retrievers.embedded import EmbeddedRetriever  # noqa: E402


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRetriever]:
    folder = tmp_path_factory.mktemp("corpus") / "corpus.idx"
    with EmbeddedRetriever(folder, embedder=HashEmbedder(), chunker=CHUNKER) as made:
        report = made.index(DOCUMENTS)
        assert (report.indexed, report.failed) == (len(DOCUMENTS), [])
        yield made
