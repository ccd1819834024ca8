"""Retrievers: where passages come from when the text is never loaded as a whole.

`EmbeddedRetriever` keeps a corpus in one folder on this machine, `ElasticsearchRetriever` on a cluster; anything with the
methods of `Retriever` can stand in their place. Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyrlm.retrievers.chunking import Chunker as Chunker
    from pyrlm.retrievers.elasticsearch import ElasticsearchRetriever as ElasticsearchRetriever
    from pyrlm.retrievers.embedded import EmbeddedRetriever as EmbeddedRetriever
    from pyrlm.retrievers.embedding_cache import CachedEmbedder as CachedEmbedder
    from pyrlm.retrievers.embeddings import Embedder as Embedder
    from pyrlm.retrievers.es_layout import FieldNames as FieldNames
    from pyrlm.retrievers.minilm import MiniLMEmbedder as MiniLMEmbedder
    from pyrlm.retrievers.openai_embeddings import OpenAIEmbedder as OpenAIEmbedder
    from pyrlm.retrievers.protocol import Document as Document
    from pyrlm.retrievers.protocol import Hit as Hit
    from pyrlm.retrievers.protocol import Hits as Hits
    from pyrlm.retrievers.protocol import Passage as Passage
    from pyrlm.retrievers.protocol import Retriever as Retriever
    from pyrlm.retrievers.protocol import RetrieverError as RetrieverError
    from pyrlm.retrievers.protocol import StoredDocument as StoredDocument
    from pyrlm.retrievers.reports import IndexFailure as IndexFailure
    from pyrlm.retrievers.reports import IndexProgress as IndexProgress
    from pyrlm.retrievers.reports import IndexReport as IndexReport

_MODULES = {
    "OpenAIEmbedder": "openai_embeddings",
    "MiniLMEmbedder": "minilm",
    "CachedEmbedder": "embedding_cache",
    "Chunker": "chunking",
    "Document": "protocol",
    "ElasticsearchRetriever": "elasticsearch",
    "EmbeddedRetriever": "embedded",
    "Embedder": "embeddings",
    "FieldNames": "es_layout",
    "Hit": "protocol",
    "Hits": "protocol",
    "IndexFailure": "reports",
    "IndexProgress": "reports",
    "IndexReport": "reports",
    "Passage": "protocol",
    "Retriever": "protocol",
    "RetrieverError": "protocol",
    "StoredDocument": "protocol",
}

__all__ = sorted(_MODULES)  # noqa: PLE0605 - one list of names, not two


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return list(__all__)
