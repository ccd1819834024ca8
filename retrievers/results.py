"""From passages of the index to what callers get: hits, documents, documents with their passages and vectors."""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.fusion import spread
from pyrlm.retrievers.protocol import (
    Document,
    DocumentPart,
    Hit,
    Hits,
    Method,
    Passage,
    StoredDocument,
    document_part,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import tantivy

    from pyrlm.retrievers.previews import Previewer
    from pyrlm.retrievers.reading import Snapshot

    Ranked = Sequence[tuple[tantivy.DocAddress, float]]

__all__ = ["diverse", "hits", "read", "stored_document"]

DEPTH_LIMIT: Final = 1_000
"""Passages beyond which no further documents are looked for."""


def diverse(
    snapshot: Snapshot, fetch: Callable[[int], Ranked], top_k: int, per_document: int
) -> list[tuple[tantivy.DocAddress, float]]:
    """The first `top_k` of a ranking, with at most `per_document` passages of a document while there are others.

    Looks at twice as many passages, and at more where one document holds most of these. Where they are of enough documents,
    looking deeper would change nothing.

    Args:
        snapshot: The state of the index.
        fetch: Returns so many passages, best first.
        top_k: Passages to choose.
        per_document: Passages of one document.
    """
    depth = min(2 * top_k, top_k + 200)
    while True:
        ranked = fetch(depth)
        groups = snapshot.groups([address for address, _ in ranked])
        free = sum(min(count, per_document) for count in Counter(groups).values())
        if free >= top_k or len(ranked) < depth or depth >= DEPTH_LIMIT:
            pairs = list(zip(groups, ranked, strict=True))
            return [found for _, found in spread(pairs, top_k, group=itemgetter(0), per_group=per_document)]
        depth *= 4


def hits(snapshot: Snapshot, ranked: Ranked, previewer: Previewer, *, method: Method, note: str = "") -> Hits:
    """Show passages of the index."""
    found = (_hit(snapshot.payload(address), score, previewer) for address, score in ranked)
    return Hits(found, method=method, note=note)


def _hit(payload: dict[str, Any], score: float, previewer: Previewer) -> Hit:
    preview, highlights = previewer.show(payload["text"])
    return Hit(
        doc_id=payload["id"],
        preview=preview,
        score=score,
        metadata=payload["meta"],
        text=payload["text"],
        title=payload["title"],
        heading=payload["heading"],
        start=payload["start"],
        end=payload["end"],
        line=payload["line"],
        highlights=highlights,
    )


def read(snapshot: Snapshot, doc_id: str, offset: int, limit: int) -> DocumentPart:
    """Put together the characters of a document from `offset` on, `limit` at most; reads only the passages needed.

    Raises:
        RetrieverError: There is no such document.
    """
    places = snapshot.places(doc_id)
    if not places:
        raise RetrieverError(f"no document {str(doc_id)[:200]!r} in the index; ids are the doc_id of hits")
    end = offset + limit
    parts: list[str] = []
    reached = offset
    payload: dict[str, Any] = {}
    for number, (start, address) in enumerate(places):
        following = places[number + 1][0] if number + 1 < len(places) else None
        if following is not None and following <= offset:
            continue
        payload = snapshot.payload(address)
        parts.append(payload["text"][reached - start : end - start])
        reached = max(reached, min(end, start + len(payload["text"])))
        if reached >= end:
            break
    return document_part(doc_id, "".join(parts), payload["meta"], offset, payload["chars"])


def stored_document(snapshot: Snapshot, doc_id: str) -> StoredDocument:
    """A document as the index holds it: whole, cut, and with its vectors."""
    payloads = [(snapshot.payload(address), snapshot.vector(address)) for _, address in snapshot.places(doc_id)]
    passages = tuple(
        Passage(payload["text"], payload["start"], payload["end"], payload["line"], payload["heading"])
        for payload, _ in payloads
    )
    pieces: list[str] = []
    reached = 0
    for passage in passages:
        pieces.append(passage.text[reached - passage.start :])
        reached = passage.end
    first = payloads[0][0]
    vectors = tuple(vector for _, vector in payloads if vector is not None)
    return StoredDocument(
        document=Document(doc_id, "".join(pieces), first["meta"], first["title"]),
        passages=passages,
        vectors=vectors or None,
    )
