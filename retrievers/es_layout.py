"""What an index holds, found out from its mapping: which fields are text, vector, id, metadata, and of which types."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pyrlm.errors import RetrieverError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyrlm.retrievers.filters import FieldType, Schema

__all__ = ["Field", "FieldNames", "Layout", "discover"]

TEXTS: Final = frozenset({"text", "match_only_text", "search_as_you_type"})
TYPES: Final[Mapping[str, FieldType]] = {
    **dict.fromkeys(("keyword", "constant_keyword", "wildcard", "version", "ip", "flattened"), "keyword"),
    **dict.fromkeys(
        ("long", "integer", "short", "byte", "double", "float", "half_float", "scaled_float", "unsigned_long"), "number"
    ),
    **dict.fromkeys(("date", "date_nanos"), "date"),
    "boolean": "boolean",
}
BODIES: Final = ("text", "content", "body", "page_content", "passage", "chunk", "message", "contents", "full_text")
TITLES: Final = ("title", "name", "subject", "headline", "heading")
PARENTS: Final = ("parent_id", "doc_id", "document_id", "source_id")
ORDERS: Final = ("chunk", "chunk_id", "chunk_index", "chunk_number", "position", "seq", "ordinal")
TITLE_WEIGHT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNames:
    """Names of the fields of an index that was made elsewhere; None: found out from the mapping.

    Attributes:
        text: Fields that `search` asks, each with its weight if it has one, such as ``("title^2", "body")``.
        body: The field with the text, from which previews and documents are taken.
        title: The field with the title.
        vector: The field with the vectors.
        doc_id: The field that names the document where several passages make one; without it, each is a document.
        order: The field that numbers the passages of a document.
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
        doc_id: The field that names the document; ``_id`` where each entry is one.
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


@dataclass(frozen=True, slots=True)
class _Leaf:
    path: str
    kind: str
    nested: str
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]


def discover(index: str, mapping: Mapping[str, Any], names: FieldNames) -> Layout:
    """Find out what an index that was made elsewhere holds.

    Args:
        index: Its name.
        mapping: Its mapping, as the cluster tells it.
        names: What the caller told.

    Raises:
        RetrieverError: A field that the caller named isn't there, or the index has no text.
    """
    leaves = {leaf.path: leaf for leaf in _leaves(mapping.get("properties") or {}, "", "")}
    for path, options in (mapping.get("runtime") or {}).items():
        leaves.setdefault(path, _Leaf(path, str(options.get("type")), "", options))
    _check_names(index, leaves, names)
    texts = [leaf for leaf in leaves.values() if leaf.kind in TEXTS and leaf.options.get("index", True)]
    body = leaves[names.body] if names.body else _best(texts, BODIES) or (texts[0] if texts else None)
    if body is None:
        listed = ", ".join(f"{leaf.path} ({leaf.kind})" for leaf in leaves.values()) or "none"
        raise RetrieverError(f"index {index!r} has no text field to search; its fields: {listed}")
    title = leaves[names.title] if names.title else _best([leaf for leaf in texts if leaf is not body], TITLES)
    vector = leaves.get(names.vector) if names.vector else _vector(leaves, body)
    parent = leaves.get(names.doc_id) if names.doc_id else _parent(leaves)
    order = leaves.get(names.order) if names.order else _best(_numbers(leaves), ORDERS)
    return Layout(
        index=index,
        text=names.text or _weighted(texts, body, title),
        body=body.path,
        title=title.path if title else None,
        vector=vector.path if vector else None,
        dimensions=int(vector.options.get("dims") or 0) if vector else 0,
        doc_id=parent.path if parent else "_id",
        order=order.path if order and parent else None,
        nested=body.nested,
        fields=_fields(leaves, names, parent.path if parent else "_id"),
        hidden=tuple({*_vectors(leaves), body.nested or body.path}),
    )


def _leaves(properties: Mapping[str, Any], above: str, nested: str) -> Iterator[_Leaf]:
    for name, options in properties.items():
        path = f"{above}{name}"
        kind = options.get("type", "object")
        if kind == "nested":
            yield from _leaves(options.get("properties") or {}, f"{path}.", path)
        elif kind == "object":
            yield from _leaves(options.get("properties") or {}, f"{path}.", nested)
        else:
            yield _Leaf(path, kind, nested, options)


def _check_names(index: str, leaves: Mapping[str, _Leaf], names: FieldNames) -> None:
    asked = [names.body, names.title, names.vector, names.doc_id, names.order, *(names.metadata or ())]
    asked += [name.partition("^")[0] for name in names.text or ()]
    known = {
        *leaves,
        "_id",
        *(f"{leaf.path}.{sub}" for leaf in leaves.values() for sub in leaf.options.get("fields", {})),
    }
    for name in asked:
        if name is not None and name not in known and "*" not in name:
            raise RetrieverError(
                f"index {index!r} has no field {name!r}; its fields: {', '.join(sorted(leaves)) or 'none'}"
            )


def _best(leaves: list[_Leaf], names: tuple[str, ...]) -> _Leaf | None:
    ranked = sorted((names.index(leaf.name), leaf.path.count("."), leaf.path) for leaf in leaves if leaf.name in names)
    return next((leaf for leaf in leaves if ranked and leaf.path == ranked[0][2]), None)


def _vectors(leaves: Mapping[str, _Leaf]) -> list[str]:
    return [leaf.path for leaf in leaves.values() if leaf.kind in {"dense_vector", "sparse_vector", "rank_vectors"}]


def _vector(leaves: Mapping[str, _Leaf], body: _Leaf) -> _Leaf | None:
    found = [
        leaf
        for leaf in leaves.values()
        if leaf.kind == "dense_vector" and leaf.options.get("index", True) and leaf.nested in {"", body.nested}
    ]
    near = [leaf for leaf in found if leaf.nested == body.nested]
    return next(iter(near or found), None)


def _parent(leaves: Mapping[str, _Leaf]) -> _Leaf | None:
    return _best([leaf for leaf in leaves.values() if leaf.kind == "keyword" and not leaf.nested], PARENTS)


def _numbers(leaves: Mapping[str, _Leaf]) -> list[_Leaf]:
    return [leaf for leaf in leaves.values() if TYPES.get(leaf.kind) == "number" and not leaf.nested]


def _weighted(texts: list[_Leaf], body: _Leaf, title: _Leaf | None) -> tuple[str, ...]:
    """The title, twice as heavy, and every text beside the body. A nested body is asked by itself."""
    inside = [leaf for leaf in texts if leaf.nested == body.nested]
    return tuple(f"{leaf.path}^{TITLE_WEIGHT}" if leaf is title else leaf.path for leaf in inside)


def _fields(leaves: Mapping[str, _Leaf], names: FieldNames, doc_id: str) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for leaf in leaves.values():
        kind = TYPES.get(leaf.kind)
        if kind and (leaf.options.get("index", True) or leaf.options.get("doc_values", True)):
            fields[leaf.path] = Field(path=leaf.path, type=kind, nested=leaf.nested, limit=_limit(leaf.options))
        elif leaf.kind in TEXTS:
            fields[leaf.path] = Field(path=leaf.path, type="text", nested=leaf.nested)
        for name, options in (leaf.options.get("fields") or {}).items():
            if TYPES.get(options.get("type")) == "keyword":
                # People ask for `status` and for `status.keyword`: both are meant as the whole string.
                found = Field(path=f"{leaf.path}.{name}", type="keyword", nested=leaf.nested, limit=_limit(options))
                fields[found.path] = found
                if leaf.kind in TEXTS:
                    fields[leaf.path] = found
    if names.metadata is not None:
        fields = {name: found for name, found in fields.items() if name in names.metadata}
    fields["doc_id"] = Field(path=doc_id, type="keyword")
    return fields


def _limit(options: Mapping[str, Any]) -> int:
    limit = options.get("ignore_above")
    return int(limit) if limit is not None else 0
