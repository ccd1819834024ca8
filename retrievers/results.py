"""From passages of the index to what callers get: hits, documents, documents with their passages and vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.fusion import spread
from pyrlm.retrievers.previews import Previewer
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
    from collections.abc import Iterable, Sequence

    import tantivy

    from pyrlm.retrievers.reading import Snapshot

__all__ = ["hits", "read", "stored_document"]


def hits(
    snapshot: Snapshot,
    ranked: Sequence[tuple[tantivy.DocAddress, float]],
    words: Iterable[str],
    top_k: int,
    *,
    per_document: int,
    preview_chars: int,
    method: Method,
    note: str = "",
) -> Hits:
    """Choose `top_k` of the ranked passages, so that no document fills the list, and show them."""
    groups = snapshot.groups([address for address, _ in ranked])
    chosen = spread(list(zip(groups, ranked, strict=True)), top_k, group=lambda item: item[0], per_group=per_document)
    previewer = Previewer(words, preview_chars)
    found = (_hit(snapshot.payload(address), score, previewer) for _, (address, score) in chosen)
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
