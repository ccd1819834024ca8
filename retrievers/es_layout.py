"""What an index holds, found out from its mapping: which fields are text, vector, id, metadata, and of which types."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrlm.retrievers.filters import FieldType, Schema

__all__ = ["TEXTS", "TYPES", "Field", "FieldNames", "Layout"]

TEXTS: Final = frozenset({"text", "match_only_text", "search_as_you_type"})
TYPES: Final[Mapping[str, FieldType]] = {
    **dict.fromkeys(("keyword", "constant_keyword", "wildcard", "version", "ip", "flattened"), "keyword"),
    **dict.fromkeys(
        ("long", "integer", "short", "byte", "double", "float", "half_float", "scaled_float", "unsigned_long"), "number"
    ),
    **dict.fromkeys(("date", "date_nanos"), "date"),
    "boolean": "boolean",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNames:
    """Names of the fields of an index that was made elsewhere; None: found out from the mapping.

    Attributes:
        text: Fields that `search` asks, each with its weight if it has one, such as ``("title^2", "body")``; patterns
            such as ``"body*"`` will do.
        body: The field with the text, from which previews and documents are taken.
        title: The field with the title.
        vector: The field with the vectors.
        doc_id: The field that names the document where several passages make one, a keyword or a text with a keyword
            beside it; ``"_id"``: each entry is a document.
        order: The field that numbers the passages of a document; without it, they come by their ``_id``.
        metadata: The fields that filters can use; all that are fit for it.
    """

    text: tuple[str, ...] | None = None
    body: str | None = None
    title: str | None = None
    vector: str | None = None
    doc_id: str | None = None
    order: str | None = None
    metadata: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """How a filter reaches a metadata field.

    Attributes:
        path: Its name in the index.
        type: Its type, in the words of filters.
        nested: The nested object that it lies in; an empty string for none.
        whole: Where its integers lie with all of their digits; None where there is no such field.
        limit: Characters of a string that can be filtered; 0 for no limit.
    """

    path: str
    type: FieldType
    nested: str = ""
    whole: str | None = None
    limit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What an index holds.

    Attributes:
        index: The name that it is asked by.
        indices: The indices that this name stood for.
        text: Fields that a search asks, with weights.
        body: The field with the text.
        title: The field with the title; None for none.
        vector: The field with the vectors; None for none.
        dimensions: Numbers in a vector.
        doc_id: The field that names the document, to ask for it; ``_id`` where each entry is one.
        id_source: The same, as it lies in the stored JSON: a keyword beside a text is there once.
        order: The field that numbers the passages of a document; None for none.
        nested: The nested object that holds body and vector; an empty string for none.
        fields: Metadata fields by the names that filters use.
        hidden: Fields that a hit doesn't bring along.
        own: What `pyrlm` wrote about an index that it made: format, chunker, embedder, dimensions; None for others.
        stems: Whether words are found in other forms than they are written in, so that the cluster must mark them.
    """

    index: str
    indices: frozenset[str] = frozenset()
    text: tuple[str, ...]
    body: str
    title: str | None = None
    vector: str | None = None
    dimensions: int = 0
    doc_id: str = "_id"
    id_source: str = "_id"
    order: str | None = None
    nested: str = ""
    fields: Mapping[str, Field] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    own: Mapping[str, Any] | None = None
    stems: bool = True

    @property
    def schema(self) -> Schema:
        """The metadata fields and their types, for `parse_filters`."""
        return {name: found.type for name, found in self.fields.items()}

    def with_fields(self, fields: Mapping[str, Field]) -> Layout:
        """The same with `fields` added."""
        return replace(self, fields={**self.fields, **fields})
