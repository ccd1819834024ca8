"""What a retriever is: four functions over a corpus that is never loaded, and the records that they exchange.

Two retrievers stand behind this protocol (`EmbeddedRetriever`: one folder on this machine; `ElasticsearchRetriever`: a
cluster), and one of your own needs no more than the methods of `Retriever`, each synchronous or asynchronous. Only the
standard library is imported here.

Searches find passages, `get` reads documents. A hit therefore carries the document's id and the place of the passage in
it, in characters, so that a quotation can be checked against the index.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import index
from typing import Any, Literal, NotRequired, Protocol, SupportsFloat, SupportsIndex, TypedDict, cast, runtime_checkable

from pyrlm.errors import RetrieverError

__all__ = [
    "MAX_GET_CHARS",
    "MAX_TOP_K",
    "Document",
    "DocumentPart",
    "Filters",
    "Hit",
    "Hits",
    "Method",
    "Passage",
    "Retriever",
    "RetrieverError",
    "StoredDocument",
    "as_hits",
    "check_query",
    "document_part",
    "has_vectors",
]

Filters = Mapping[str, Any]
"""Conditions on metadata, in the form that `pyrlm.retrievers.filters` describes."""

Method = Literal["bm25", "vector", "hybrid"]

MAX_TOP_K = 1_000
"""Most hits that one search returns."""

MAX_GET_CHARS = 1_000_000
"""Characters of a document that one `get` returns where no smaller limit is given; longer documents come in parts."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text to be indexed.

    Attributes:
        doc_id: Name of the document, unique in its corpus and stable: indexing the same id again replaces it.
        content: The whole text. Offsets everywhere count its characters.
        metadata: What filters can ask for: strings, numbers, booleans, dates, lists of these, and nested mappings (their
            fields are named ``outer.inner``). Dates come back as ISO 8601 strings.
        title: Searched as a field of its own with twice the weight of the text; an empty string where there is none.
    """

    doc_id: str
    content: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document: ``content[start:end] == text``.

    Attributes:
        text: The passage, unchanged.
        start: Offset of its first character in the document.
        end: Offset behind its last character.
        line: Line of its first character, counted from 1.
        heading: Headings above it, outermost first, joined by " > "; an empty string where there are none.
    """

    text: str
    start: int
    end: int
    line: int
    heading: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A document as an index holds it: what another index takes over without cutting and embedding it again.

    Attributes:
        document: The document.
        passages: Its passages, in order.
        vectors: The vector of each passage as little-endian float32; None where the index has no vectors.
    """

    document: Document
    passages: tuple[Passage, ...]
    vectors: tuple[bytes, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A passage that a search found.

    Attributes:
        doc_id: The document that holds it; `get` takes this.
        preview: The part of the passage that matches best, verbatim.
        score: Higher is better; comparable within one search only.
        metadata: The document's metadata.
        text: The whole passage, verbatim; the preview where the index holds no passages.
        title: The document's title.
        heading: Headings above the passage.
        start: Offset of the passage in the document, in characters; None where the index doesn't know.
        end: Offset behind the passage.
        line: Line of the passage's first character, counted from 1.
        highlights: Spans in `preview` that match a word of the query.
    """

    doc_id: str
    preview: str
    score: float
    metadata: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    title: str = ""
    heading: str = ""
    start: int | None = None
    end: int | None = None
    line: int | None = None
    highlights: tuple[tuple[int, int], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """What model-written code gets: ``{doc_id, preview, score, metadata}``."""
        return {
            "doc_id": self.doc_id,
            "preview": self.preview,
            "score": self.score,
            "metadata": dict(self.metadata),
        }


class Hits(list[Hit]):
    """The hits of one search, best first, and how they were found.

    Attributes:
        method: The ranking that was used: a hybrid search without an embedder is ``"bm25"``.
        note: What the caller should know of this result, such as why a hybrid search was none; empty where all is usual.
        approximate: Whether vectors were compared by way of a graph of neighbours, so that a near one may be missing.
    """

    def __init__(
        self, hits: Iterable[Hit] = (), *, method: Method = "bm25", note: str = "", approximate: bool = False
    ) -> None:
        super().__init__(hits)
        self.method: Method = method
        self.note = note
        self.approximate = approximate


class DocumentPart(TypedDict):
    """What `get` returns. The last three keys are there only if `content` is not the whole document."""

    doc_id: str
    content: str
    metadata: dict[str, Any]
    offset: NotRequired[int]
    next_offset: NotRequired[int | None]
    total_chars: NotRequired[int]


@runtime_checkable
class Retriever(Protocol):
    """Four functions over a corpus, each a plain or an `async` method.

    They raise `RetrieverError` for whatever went wrong, with a message that names the cause; a search that finds nothing
    returns nothing. A retriever that has no vectors says so in an attribute ``has_vectors = False``; one that can serve
    many queries in one round trip may have ``search_batch(queries, top_k=10, filters=None)``.
    """

    def search(
        self, query: str, top_k: int = 10, filters: Filters | None = None
    ) -> Sequence[Hit] | Awaitable[Sequence[Hit]]:
        """Rank passages by BM25."""

    def vector_search(
        self, query: str, top_k: int = 10, filters: Filters | None = None
    ) -> Sequence[Hit] | Awaitable[Sequence[Hit]]:
        """Rank passages by the cosine between their vectors and the query's."""

    def hybrid_search(
        self, query: str, top_k: int = 10, filters: Filters | None = None
    ) -> Sequence[Hit] | Awaitable[Sequence[Hit]]:
        """Rank passages by both, joined by reciprocal rank fusion; by BM25 alone where there are no vectors."""

    def get(self, doc_id: str) -> Mapping[str, Any] | Awaitable[Mapping[str, Any]]:
        """Read a document, or its first part if it is long: ``{doc_id, content, metadata}``."""


def has_vectors(retriever: object) -> bool:
    """Whether `vector_search` can work, so that it is offered only then."""
    return bool(getattr(retriever, "has_vectors", hasattr(retriever, "vector_search")))


def as_hits(found: object, *, method: Method = "bm25") -> Hits:
    """Take what a retriever of any make returned: hits, or mappings with at least ``doc_id``.

    A preview is the whole passage where ``end - start`` says so or no place is given. Places below 0 and NaN are none.

    Raises:
        RetrieverError: It is no sequence of these, or a field is of a wrong type; the message names it.
    """
    if isinstance(found, Hits):
        if all(map(_is_sound, found)):
            return found
        return Hits(map(_as_hit, found), method=found.method, note=found.note, approximate=found.approximate)
    if isinstance(found, (str, bytes, Mapping)) or not isinstance(found, Iterable):
        raise RetrieverError(f"the retriever returned {type(found).__name__}, expected a list of hits")
    return Hits((_as_hit(item) for item in found), method=method)


def _is_sound(hit: object) -> bool:
    if not isinstance(hit, Hit) or not (hit.text or hit.start is None):
        return False
    places = ((hit.start, 0), (hit.end, 0), (hit.line, 1))
    return (
        all(isinstance(text, str) for text in (hit.doc_id, hit.preview, hit.text, hit.title))
        and all(place is None or (type(place) is int and place >= least) for place, least in places)
        and isinstance(hit.score, (int, float))
        and isinstance(hit.metadata, Mapping)
    )


def _as_hit(item: object) -> Hit:
    if _is_sound(item):
        return cast("Hit", item)
    made = {one.name: getattr(item, one.name) for one in fields(item)} if isinstance(item, Hit) else item
    if not isinstance(made, Mapping) or "doc_id" not in made:
        raise RetrieverError(
            f"the retriever returned {type(item).__name__} as a hit, expected Hit or a dict with doc_id"
        )
    preview, text = str(made.get("preview") or made.get("text") or ""), str(made.get("text") or "")
    start, end, line = _place(made, "start", 0), _place(made, "end", 0), _place(made, "line", 1)
    whole = start is None or end == start + len(preview)
    metadata, score = made.get("metadata") or {}, made.get("score") or 0.0
    if not isinstance(metadata, Mapping):
        raise _wrong("metadata", metadata, "a mapping")
    if not isinstance(score, SupportsFloat):
        raise _wrong("score", score, "a number")
    return Hit(
        doc_id=str(made["doc_id"]),
        preview=preview,
        score=float(score),
        metadata=dict(metadata),
        text=text or (preview if whole else ""),
        title=str(made.get("title") or ""),
        heading=str(made.get("heading") or ""),
        start=start,
        end=end if start is not None else None,
        line=line,
        highlights=tuple(made.get("highlights") or ()),
    )


def _place(made: Mapping[str, Any], name: str, least: int) -> int | None:
    value = made.get(name)
    if value is None or value != value:  # noqa: PLR0124 - only NaN, a table's empty cell, differs from itself
        return None
    value = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise _wrong(name, value, f"a whole number of at least {least}, or None")
    return index(value) if index(value) >= least else None


def _wrong(name: str, value: object, expected: str) -> RetrieverError:
    return RetrieverError(f"the retriever returned a hit with {name}={repr(value)[:80]}, expected {expected}")


def check_query(query: object, top_k: object) -> tuple[str, int]:
    """Check the two arguments that every search has; half surrogate pairs in the query are replaced.

    Raises:
        RetrieverError: `query` is no string, or `top_k` no whole number from 1 to `MAX_TOP_K`.
    """
    if not isinstance(query, str):
        raise RetrieverError(f"query must be a string, got {type(query).__name__}")
    if isinstance(top_k, bool) or not isinstance(top_k, int) or not 1 <= top_k <= MAX_TOP_K:
        raise RetrieverError(f"top_k must be a whole number from 1 to {MAX_TOP_K}, got {top_k!r}")
    return query.encode(errors="replace").decode(), top_k


def document_part(
    doc_id: str, content: str, metadata: Mapping[str, Any], offset: int, total_chars: int
) -> DocumentPart:
    """Describe `content`, which begins at `offset` in a document of `total_chars` characters."""
    part: dict[str, Any] = {"doc_id": doc_id, "content": content, "metadata": dict(metadata)}
    end = offset + len(content)
    if offset or end < total_chars:
        part |= {"offset": offset, "next_offset": end if end < total_chars else None, "total_chars": total_chars}
    return cast("DocumentPart", part)
