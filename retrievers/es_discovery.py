"""Finding out from a mapping, and from what the caller named, which fields an index has for what."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.es_layout import TEXTS, TYPES, Field, Layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyrlm.retrievers.es_layout import FieldNames

__all__ = ["discover"]

BODIES: Final = ("text", "content", "body", "page_content", "passage", "chunk", "message", "contents", "full_text")
TITLES: Final = ("title", "name", "subject", "headline", "heading")
PARENTS: Final = ("parent_id", "doc_id", "document_id", "source_id")
ORDERS: Final = ("chunk", "chunk_id", "chunk_index", "chunk_number", "position", "seq", "ordinal")
TITLE_WEIGHT: Final = 2


@dataclass(frozen=True, slots=True)
class _Leaf:
    path: str
    kind: str
    nested: str
    options: Mapping[str, Any]
    source: str
    """Where its value lies in the stored JSON."""

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
        leaves.setdefault(path, _Leaf(path, str(options.get("type")), "", options, path))
    named = _Named(index, leaves)
    texts = [leaf for leaf in leaves.values() if leaf.kind in TEXTS and leaf.options.get("index", True)]
    body = named.stored("body", names.body) or _best(texts, BODIES) or (texts[0] if texts else None)
    if body is None:
        listed = ", ".join(f"{leaf.path} ({leaf.kind})" for leaf in leaves.values()) or "none"
        raise RetrieverError(f"index {index!r} has no text field to search; its fields: {listed}")
    _check_kept(index, mapping.get("_source") or {}, body)
    title = named.stored("title", names.title) or _best([leaf for leaf in texts if leaf is not body], TITLES)
    vector = named.vector(names.vector) or _vector(leaves, body)
    parent = _parent(named) if names.doc_id is None else named.parent(names.doc_id)
    order = named.stored("order", names.order) or _best(_numbers(leaves), ORDERS)
    for name in names.metadata or ():
        named.one("metadata", name)
    return Layout(
        index=index,
        text=named.texts(names.text) or _weighted(texts, body, title),
        body=body.path,
        title=title.path if title else None,
        vector=vector.path if vector else None,
        dimensions=int(vector.options.get("dims") or 0) if vector else 0,
        doc_id=parent.path if parent else "_id",
        id_source=parent.source if parent else "_id",
        order=order.path if order and parent else None,
        nested=body.nested,
        fields=_fields(leaves, names, parent),
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
            yield _Leaf(path, kind, nested, options, path)


class _Named:
    """The fields that a caller may name, keywords beside texts and the like among them."""

    def __init__(self, index: str, leaves: Mapping[str, _Leaf]) -> None:
        self._index = index
        self.leaves = leaves
        self.every = dict(leaves)
        for leaf in leaves.values():
            for name, options in (leaf.options.get("fields") or {}).items():
                path = f"{leaf.path}.{name}"
                self.every[path] = _Leaf(path, str(options.get("type")), leaf.nested, options, leaf.path)

    def one(self, role: str, name: str) -> _Leaf:
        """The field of this name.

        Raises:
            RetrieverError: There is none.
        """
        if name in self.every:
            return self.every[name]
        if "*" in name:
            raise RetrieverError(f"{role} is one field, got the pattern {name!r}")
        if name == "_id":
            raise RetrieverError(f"{role} can't be '_id': name a field of the mapping")
        raise self._none(name)

    def stored(self, role: str, name: str | None) -> _Leaf | None:
        """The field whose value is stored, for one that is indexed beside it too."""
        return None if name is None else self.leaves[self.one(role, name).source]

    def vector(self, name: str | None) -> _Leaf | None:
        """The field with vectors."""
        found = None if name is None else self.one("vector", name)
        if found is not None and found.kind != "dense_vector":
            raise RetrieverError(f"vector: field {name!r} is {found.kind}, not dense_vector")
        return found

    def parent(self, name: str) -> _Leaf | None:
        """The field that documents are asked for by; None: by their ``_id``."""
        if name == "_id":
            return None
        found = self.one("doc_id", name)
        if found.kind in TYPES:
            return found
        beside = self.keyword(found)
        if beside is None:
            raise RetrieverError(
                f"doc_id: field {name!r} is {found.kind} without a keyword beside it, and documents can't be asked for by "
                "it; name another, or '_id'"
            )
        return beside

    def keyword(self, leaf: _Leaf) -> _Leaf | None:
        """A text as a whole string, where it is indexed as one too."""
        beside = (self.every[f"{leaf.path}.{name}"] for name in leaf.options.get("fields") or {})
        return next((one for one in beside if TYPES.get(one.kind) == "keyword"), None)

    def texts(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """The fields to be searched, as they were named."""
        for name in (one.partition("^")[0] for one in names or ()):
            if not any(fnmatchcase(path, name) for path in self.every):
                raise self._none(name)
        return names

    def _none(self, name: str) -> RetrieverError:
        listed = ", ".join(sorted(self.leaves)) or "none"
        return RetrieverError(f"index {self._index!r} has no field {name!r}; its fields: {listed}")


def _check_kept(index: str, source: Mapping[str, Any], body: _Leaf) -> None:
    """Refuse an index whose text can be found but not read."""

    def names(key: str) -> bool:
        return any(fnmatchcase(body.path, one) or body.path.startswith(f"{one}.") for one in source.get(key) or ())

    off = source.get("enabled") is False or source.get("mode") == "disabled"
    if off or names("excludes") or (source.get("includes") and not names("includes")):
        raise RetrieverError(
            f"index {index!r} keeps no {'_source' if off else f'{body.path!r} in its _source'}: what is found there can't "
            "be shown or read; index the documents again into one that does"
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


def _parent(named: _Named) -> _Leaf | None:
    whole = {
        leaf.path: leaf if leaf.kind == "keyword" else named.keyword(leaf) if leaf.kind in TEXTS else None
        for leaf in named.leaves.values()
        if not leaf.nested
    }
    found = _best([named.leaves[path] for path, one in whole.items() if one is not None], PARENTS)
    return whole[found.path] if found is not None else None


def _numbers(leaves: Mapping[str, _Leaf]) -> list[_Leaf]:
    return [leaf for leaf in leaves.values() if TYPES.get(leaf.kind) == "number" and not leaf.nested]


def _weighted(texts: list[_Leaf], body: _Leaf, title: _Leaf | None) -> tuple[str, ...]:
    """The title, twice as heavy, and every text beside the body. A nested body is asked by itself."""
    inside = [leaf for leaf in texts if leaf.nested == body.nested]
    return tuple(f"{leaf.path}^{TITLE_WEIGHT}" if leaf is title else leaf.path for leaf in inside)


def _fields(leaves: Mapping[str, _Leaf], names: FieldNames, parent: _Leaf | None) -> dict[str, Field]:
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
    limit = _limit(parent.options) if parent else 0
    fields["doc_id"] = Field(path=parent.path if parent else "_id", type="keyword", limit=limit)
    return fields


def _limit(options: Mapping[str, Any]) -> int:
    limit = options.get("ignore_above")
    return int(limit) if limit is not None else 0
