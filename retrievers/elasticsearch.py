"""ElasticsearchRetriever: the four functions over an index on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyrlm import portal
from pyrlm.errors import ConfigurationError, RetrieverError
from pyrlm.retrievers.embedded import LISTING, NO_EMBEDDER, NO_WORDS
from pyrlm.retrievers.es_connection import Connection, server_url
from pyrlm.retrievers.es_corpus import Corpus
from pyrlm.retrievers.es_indices import Indices
from pyrlm.retrievers.es_layout import FieldNames
from pyrlm.retrievers.es_own import STANDARD
from pyrlm.retrievers.es_read import read
from pyrlm.retrievers.es_searching import Searcher
from pyrlm.retrievers.es_security import credentials, trust, without_user
from pyrlm.retrievers.previews import PREVIEW_CHARS
from pyrlm.retrievers.protocol import MAX_GET_CHARS, DocumentPart, Filters, Hits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pyrlm.retrievers.chunking import PassageSplitter
    from pyrlm.retrievers.embeddings import Embedder
    from pyrlm.retrievers.es_searching import Question

__all__ = ["ElasticsearchRetriever"]

DEFAULT_HOST: Final = "localhost"
DEFAULT_INDEX: Final = "pyrlm"
TIMEOUT: Final = 30.0
RETRY_SECONDS: Final = 10.0
INDEXING_RETRY_SECONDS: Final = 120.0


class ElasticsearchRetriever(Corpus):
    """A corpus on an Elasticsearch cluster: BM25, vectors, and both, on a free licence.

    Reads an index that is there already, however it was made, and makes and writes indices of its own. Safe for use
    from many threads and event loops: each loop gets a client, made when first needed. Every method that waits has a
    twin for a running loop (`asearch`, `aindex`, …); the plain ones run on the background loop of the process.

    Args:
        host: Address of the cluster, such as ``"localhost:9200"`` or ``"https://es.example.org"``.
        hosts: Addresses of several nodes of it.
        cloud_id: In place of an address, for Elastic Cloud.
        api_key: API key, as the cluster shows it.
        basic_auth: User and password.
        ca_certs: File with the certificate that the cluster's was signed with; None: the system's authorities.
        verify_certs: False accepts any certificate: only for trials.
        client: An `AsyncElasticsearch` or `Elasticsearch` in place of all of the above.
        index: Name of the index, an alias, or a pattern. One that isn't there is made by the first `index`.
        fields: Names of its fields, for an index that was made elsewhere; found out where not given.
        embedder: Makes vectors; None: BM25 only.
        embedding_model: Name of a model of an OpenAI-compatible server, in place of `embedder`.
        chunker: Cuts documents; by default as the index was made.
        analyzer: Analyzer of title and text of an index that is made, such as ``"english"``.
        shards: Its primary shards.
        preview_chars: Characters of a preview at most.
        passages_per_document: Hits of one document in a result, while there are others to show.
        timeout: Seconds for a request.
        retry_seconds: How long a search tries again after a lost connection or 429, 502, 503, 504.
        indexing_retry_seconds: How long indexing tries again while nothing goes in at all.

    Raises:
        ConfigurationError: The options contradict one another, or one makes no sense.
    """

    def __init__(
        self,
        host: str | None = None,
        *,
        hosts: Sequence[str] | None = None,
        cloud_id: str | None = None,
        api_key: str | None = None,
        basic_auth: tuple[str, str] | None = None,
        ca_certs: str | None = None,
        verify_certs: bool = True,
        client: object = None,
        index: str = DEFAULT_INDEX,
        fields: FieldNames | None = None,
        embedder: Embedder | None = None,
        embedding_model: str | None = None,
        chunker: PassageSplitter | None = None,
        analyzer: str = STANDARD,
        shards: int = 1,
        preview_chars: int = PREVIEW_CHARS,
        passages_per_document: int = 2,
        timeout: float = TIMEOUT,
        retry_seconds: float = RETRY_SECONDS,
        indexing_retry_seconds: float = INDEXING_RETRY_SECONDS,
    ) -> None:
        if min(preview_chars, passages_per_document, shards) < 1:
            raise ConfigurationError("preview_chars, passages_per_document and shards are at least 1")
        if embedder is not None and embedding_model is not None:
            raise ConfigurationError("give an embedder or an embedding_model, not both")
        if client is None:
            if host and hosts:
                raise ConfigurationError("give one of host, hosts and cloud_id")
            addresses = [host] if host else hosts
            options = _client_options(addresses, cloud_id, api_key, basic_auth, ca_certs, verify_certs=verify_certs)
        elif any((host, hosts, cloud_id, api_key, basic_auth, ca_certs)) or not verify_certs:
            raise ConfigurationError(
                "a client brings its address, credentials and what it trusts along: give it, or them, not both"
            )
        else:
            options = {}
        self._connection = Connection(options, client=client, timeout=timeout, retry_seconds=retry_seconds)
        self._indices = Indices(self._connection, _checked(index), fields or FieldNames())
        self._embedder = _model(embedding_model) if embedding_model is not None else embedder
        self._chunker = chunker
        self._analyzer = analyzer
        self._shards = shards
        self._indexing_retry_seconds = indexing_retry_seconds
        self._searcher = Searcher(self._connection, self._indices, self._embedder, preview_chars, passages_per_document)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(index={self._indices.name!r})"

    def search(self, query: str, top_k: int = 10, filters: Filters | None = None) -> Hits:
        """Rank passages by BM25 of title, with twice the weight, and text.

        Args:
            query: Words, in any form: nothing in it is syntax. Empty, and with filters: lists the documents that match.
            top_k: Most hits, 1 to 1,000.
            filters: Conditions on metadata; see `pyrlm.retrievers.filters`.

        Returns:
            Hits, best first.

        Raises:
            RetrieverError: An argument is wrong, or the cluster can't answer; says why.
        """
        return portal.run(self.asearch(query, top_k, filters))

    async def asearch(self, query: str, top_k: int = 10, filters: Filters | None = None) -> Hits:
        """`search`, from a running loop."""
        return await self._one(query, top_k, filters, self._by_text)

    async def _one(
        self, query: str, top_k: int, filters: Filters | None, search: Callable[[Question], Awaitable[Hits]]
    ) -> Hits:
        async def only(questions: list[Question]) -> Hits:
            return await search(questions[0])

        return await self._searcher.asked([query], top_k, filters, only)

    async def _by_text(self, asked: Question, note: str = "") -> Hits:
        if asked.words:
            found = await self._searcher.text(asked)
            found.note = note
            return found
        if asked.node is not None and not asked.query.strip():
            found = await self._searcher.listing(asked)
            found.note = LISTING
            return found
        return Hits(note=NO_WORDS)

    def vector_search(self, query: str, top_k: int = 10, filters: Filters | None = None) -> Hits:
        """Rank passages by the cosine between their vectors and the query's; scores are (1 + cosine) / 2.

        Approximate, by the cluster's graph of neighbours, with the filter applied inside. Arguments and errors as in
        `search`; without an embedder it is an error.
        """
        return portal.run(self.avector_search(query, top_k, filters))

    async def avector_search(self, query: str, top_k: int = 10, filters: Filters | None = None) -> Hits:
        """`vector_search`, from a running loop."""
        return await self._one(query, top_k, filters, self._near)

    async def _near(self, asked: Question) -> Hits:
        if not asked.words:
            return Hits(method="vector", note=NO_WORDS)
        return await self._searcher.near(asked, await self._searcher.vector(asked))

    def hybrid_search(self, query: str, top_k: int = 10, filters: Filters | None = None) -> Hits:
        """Rank passages by BM25 and by vectors, in one request, joined by reciprocal rank fusion.

        Without vectors, or while the embedder fails, by BM25 alone; `Hits.method` and `Hits.note` say so. Arguments and
        errors as in `search`.
        """
        return portal.run(self.ahybrid_search(query, top_k, filters))

    async def ahybrid_search(self, query: str, top_k: int = 10, filters: Filters | None = None) -> Hits:
        """`hybrid_search`, from a running loop."""
        return await self._one(query, top_k, filters, self._by_both)

    async def _by_both(self, asked: Question) -> Hits:
        if self._embedder is None:
            return await self._by_text(asked, NO_EMBEDDER)
        if not asked.words:
            return await self._by_text(asked)
        try:
            vector = await self._searcher.vector(asked)
        except RetrieverError as error:
            return await self._by_text(asked, f"ranked by BM25 alone: {error}")
        return await self._searcher.both(asked, vector)

    def search_batch(self, queries: Sequence[str], top_k: int = 10, filters: Filters | None = None) -> list[Hits]:
        """`search` for each query, many in one request."""
        return portal.run(self.asearch_batch(queries, top_k, filters))

    async def asearch_batch(
        self, queries: Sequence[str], top_k: int = 10, filters: Filters | None = None
    ) -> list[Hits]:
        """`search_batch`, from a running loop."""
        return await self._searcher.asked(queries, top_k, filters, self._each)

    async def _each(self, asked: list[Question]) -> list[Hits]:
        found = iter(await self._searcher.texts([one for one in asked if one.words]))
        return [next(found) if one.words else await self._by_text(one) for one in asked]

    def get(self, doc_id: str, offset: int = 0, limit: int = MAX_GET_CHARS) -> DocumentPart:
        """Read a document.

        Args:
            doc_id: Its id.
            offset: First character to return.
            limit: Most characters to return, up to 1,000,000.

        Returns:
            ``{doc_id, content, metadata}``; for a part of a longer document also ``offset``, ``total_chars`` and
            ``next_offset`` (None at the end).

        Raises:
            RetrieverError: There is no such document, an argument is wrong, or the cluster can't answer.
        """
        return portal.run(self.aget(doc_id, offset, limit))

    async def aget(self, doc_id: str, offset: int = 0, limit: int = MAX_GET_CHARS) -> DocumentPart:
        """`get`, from a running loop."""
        for name, value, least in (("offset", offset, 0), ("limit", limit, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise RetrieverError(f"{name} must be a whole number of at least {least}, got {value!r}")
        return await read(self._connection, await self._indices.layout(), doc_id, offset, min(limit, MAX_GET_CHARS))


def _checked(index: object) -> str:
    """A name that isn't empty: without one the cluster asks every index it has."""
    if not isinstance(index, str) or not index.strip():
        raise ConfigurationError(
            f"index is the name of the index, of an alias, or a pattern such as 'news-*', got {index!r}"
        )
    return index


def _client_options(
    hosts: Sequence[str] | None,
    cloud_id: str | None,
    api_key: str | None,
    basic_auth: tuple[str, str] | None,
    ca_certs: str | None,
    *,
    verify_certs: bool,
) -> dict[str, Any]:
    if hosts and cloud_id:
        raise ConfigurationError("give one of host, hosts and cloud_id")
    urls = [] if cloud_id else [server_url(one) for one in hosts or [DEFAULT_HOST]]
    options = credentials(urls, api_key, basic_auth)
    options |= {"cloud_id": cloud_id} if cloud_id else {"hosts": [without_user(url) for url in urls]}
    if cloud_id or any(url.startswith("https:") for url in urls):
        options |= trust(ca_certs, verify_certs=verify_certs)
    elif ca_certs is not None:
        raise ConfigurationError(f"ca_certs is of use with https:// only, and the address is {options['hosts'][0]}")
    return options


def _model(name: str) -> Embedder:
    from pyrlm.retrievers.openai_embeddings import OpenAIEmbedder  # noqa: PLC0415 - only where it is asked for

    return OpenAIEmbedder(name)
