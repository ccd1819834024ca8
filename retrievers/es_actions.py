"""Documents as actions of bulk requests, one an entry for each passage."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from pyrlm.retrievers.dates import parse_date
from pyrlm.retrievers.metadata import jsonable
from pyrlm.retrievers.protocol import StoredDocument

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pyrlm.retrievers.filters import FieldType
    from pyrlm.retrievers.protocol import Passage
    from pyrlm.retrievers.records import Record

__all__ = ["Work", "actions_of", "entry_id", "packs_vectors", "version_of", "work_of"]

MAX_ENTRY_ID_BYTES: Final = 512
PACKED: Final = (9, 3)
_ISO: Final = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII)


@dataclass(slots=True)
class Work:
    """A document on its way into the index.

    Attributes:
        record: The document, checked.
        passages: Its passages.
        vectors: Their vectors, where the index has some.
        before: Passages that the index may hold of it.
    """

    record: Record
    passages: Sequence[Passage] = ()
    vectors: Sequence[NDArray[np.float32]] | None = None
    before: int = 0


def work_of(record: Record, item: object) -> Work:
    """A document on its way; one from another index brings its passages and vectors along."""
    if not isinstance(item, StoredDocument):
        return Work(record)
    import numpy as np  # noqa: PLC0415

    vectors = [np.frombuffer(vector, "<f4") for vector in item.vectors] if item.vectors else None
    return Work(record, item.passages, vectors)


def version_of(record: Record) -> str:
    """A hash of all that is indexed of a document."""
    return record.version.rpartition("\x00")[2]


def entry_id(doc_id: str, number: int) -> str:
    """Id of a passage: always the same, so that indexing again overwrites."""
    name = f"{doc_id}#{number}"
    if len(name.encode()) <= MAX_ENTRY_ID_BYTES:
        return name
    return f"{blake2b(doc_id.encode(), digest_size=32).hexdigest()}##{number}"


def packs_vectors(server: tuple[int, int]) -> bool:
    """Whether the cluster takes vectors as base64: half the bytes of lists of numbers, and read faster."""
    return server >= PACKED


def actions_of(work: Work, *, packed: bool) -> Iterator[dict[str, Any]]:
    """What is sent for a document: its passages, and deletions of what it no longer has."""
    document = work.record.document
    shared: dict[str, Any] = {
        "doc_id": document.doc_id,
        "version": version_of(work.record),
        "passages": len(work.passages),
        "chars": len(document.content),
        "title": document.title,
        "meta": _stored(jsonable(document.metadata), work.record.fields, ""),
    }
    for number, passage in enumerate(work.passages):
        source = {
            **shared,
            "chunk": number,
            "start": passage.start,
            "end": passage.end,
            "line": passage.line,
            "heading": passage.heading,
            "text": passage.text,
        }
        if work.vectors is not None:
            source["vector"] = _written(work.vectors[number], packed=packed)
        yield {"_op_type": "index", "_id": entry_id(document.doc_id, number), "_source": source}
    for number in range(len(work.passages), work.before):
        yield {"_op_type": "delete", "_id": entry_id(document.doc_id, number)}


def _written(vector: NDArray[np.float32], *, packed: bool) -> str | list[float]:
    if packed:
        return base64.b64encode(vector.astype(">f4").tobytes()).decode()
    numbers: list[float] = vector.tolist()
    return numbers


def _stored(value: Any, fields: Mapping[str, FieldType], name: str) -> Any:
    """Metadata with the dates as the cluster reads them, where they are written in another form of ISO 8601."""
    if isinstance(value, Mapping):
        return {key: _stored(inner, fields, f"{name}.{key}" if name else key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_stored(inner, fields, name) for inner in value]
    if isinstance(value, str) and fields.get(name) == "date" and not _ISO.fullmatch(value):
        span = parse_date(value)
        return value if span is None else span[0].isoformat()
    return value
