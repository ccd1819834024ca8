"""The index that `pyrlm` makes: its mapping, its settings, and the alias that it is reached by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.embeddings import same_model
from pyrlm.retrievers.es_filters import MAX_KEYWORD_CHARS
from pyrlm.retrievers.es_layout import Field, Layout
from pyrlm.retrievers.manifest import FORMAT, Manifest

if TYPE_CHECKING:
    from pyrlm.retrievers.embeddings import Embedder
    from pyrlm.retrievers.filters import FieldType

__all__ = ["META", "check_embedder", "definition", "field_of", "name_of", "number_of", "own_layout", "property_of"]

META: Final = "pyrlm"
STANDARD: Final = "standard"
VECTORS_APART: Final = (9, 2)
_MANY_FIELDS: Final = 5_000
_NUMBER: Final = re.compile(r"[0-9]{6,12}")
_DATES: Final = "strict_date_optional_time||epoch_millis"


def definition(manifest: Manifest, analyzer: str, shards: int, server: tuple[int, int]) -> dict[str, Any]:
    """Mappings and settings of a new index.

    Args:
        manifest: What the index is made with.
        analyzer: Analyzer of title and text.
        shards: Primary shards; the cluster doesn't change them later.
        server: Version of the cluster; ``(0, 0)`` where it doesn't tell.
    """
    about = {
        "format": FORMAT,
        "chunker": manifest.chunker,
        "embedder": manifest.embedder,
        "dimensions": manifest.dimensions,
    }
    return {
        "mappings": {
            "dynamic": "strict",
            "date_detection": False,
            "_meta": {META: about},
            # Later servers keep vectors out of the stored JSON by themselves, and can still put them back.
            "_source": {"excludes": ["vector"]} if manifest.dimensions and server < VECTORS_APART else {},
            "properties": _properties(manifest, analyzer),
        },
        "settings": {
            "number_of_shards": shards,
            "mapping.total_fields.limit": _MANY_FIELDS,
        },
    }


def _properties(manifest: Manifest, analyzer: str) -> dict[str, Any]:
    """How the fields of a passage are mapped."""
    text = {"type": "text", "analyzer": analyzer}
    number = {"type": "integer"}
    properties: dict[str, Any] = {
        "doc_id": {"type": "keyword"},
        "version": {"type": "keyword"},
        "chunk": number,
        "passages": {**number, "index": False},
        "start": number,
        "end": number,
        "line": {**number, "index": False},
        "chars": {**number, "index": False},
        "heading": {"type": "keyword", "index": False, "doc_values": False},
        "title": text,
        "text": text,
        # Which fields it has is told before the first document that has them, so that nothing is typed by guess.
        "meta": {"type": "object", "dynamic": False, "properties": {}},
    }
    if manifest.dimensions:
        properties["vector"] = {
            "type": "dense_vector",
            "dims": manifest.dimensions,
            "index": True,
            "similarity": "cosine",
            # Named: the default drops to one bit a number from 384 dimensions on.
            "index_options": {"type": "int8_hnsw"},
        }
    return properties


def property_of(kind: FieldType) -> dict[str, Any]:
    """How a metadata field of this type is mapped."""
    match kind:
        case "number":
            # Beside each number its integer, so that big ones keep all of their digits.
            whole = {"type": "long", "coerce": False, "ignore_malformed": True}
            return {"type": "double", "fields": {"whole": whole}}
        case "boolean":
            return {"type": "boolean"}
        case "date":
            return {"type": "date", "format": _DATES}
        case _:
            return {"type": "keyword", "ignore_above": MAX_KEYWORD_CHARS}


def field_of(name: str, kind: FieldType) -> Field:
    """How filters reach a metadata field that was mapped so."""
    path = f"meta.{name}"
    whole = f"{path}.whole" if kind == "number" else None
    return Field(path=path, type=kind, whole=whole, limit=MAX_KEYWORD_CHARS if kind == "keyword" else 0)


def own_layout(index: str, target: str, mapping: Mapping[str, Any]) -> Layout | None:
    """Read the mapping of an index that `pyrlm` made; None for others.

    Args:
        index: The name that it is asked by.
        target: Its own name.
        mapping: Its mapping.

    Raises:
        RetrieverError: Another version of pyrlm made it.
    """
    about = (mapping.get("_meta") or {}).get(META)
    if not isinstance(about, Mapping):
        return None
    if about.get("format") != FORMAT:
        raise RetrieverError(
            f"index {index!r} has format {about.get('format')!r}; this version of pyrlm reads format {FORMAT}: "
            "install the version that wrote it, or index the documents again under another name"
        )
    properties = mapping["properties"]
    fields = {"doc_id": Field(path="doc_id", type="keyword")}
    fields |= {name: field_of(name, kind) for name, kind in _kinds(properties["meta"].get("properties") or {}, "")}
    return Layout(
        index=index,
        indices=frozenset({target}),
        text=("title^2", "text"),
        body="text",
        title="title",
        vector="vector" if "vector" in properties else None,
        dimensions=int(about.get("dimensions") or 0),
        doc_id="doc_id",
        id_source="doc_id",
        order="chunk",
        fields=fields,
        hidden=("vector",),
        own=about,
        stems=properties["text"].get("analyzer", STANDARD) != STANDARD,
    )


def _kinds(properties: Mapping[str, Any], above: str) -> list[tuple[str, FieldType]]:
    types: dict[str, FieldType] = {"double": "number", "boolean": "boolean", "date": "date"}
    found: list[tuple[str, FieldType]] = []
    for name, options in properties.items():
        if "properties" in options:
            found += _kinds(options["properties"], f"{above}{name}.")
        else:
            found.append((f"{above}{name}", types.get(options.get("type", ""), "keyword")))
    return found


def name_of(alias: str, number: int) -> str:
    """Name of the index number `number` behind `alias`."""
    return f"{alias}-{number:06d}"


def number_of(alias: str, index: str) -> int:
    """The number of an index behind `alias`, from 1; 0 where its name tells none."""
    number = index.removeprefix(f"{alias}-")
    return int(number) if number != index and _NUMBER.fullmatch(number) else 0


def check_embedder(layout: Layout, embedder: Embedder | None) -> None:
    """Refuse vectors of another model than the index has.

    Raises:
        RetrieverError: They can't be compared.
    """
    if embedder is None or layout.vector is None:
        return
    made = (layout.own or {}).get("embedder")
    if embedder.dimensions != layout.dimensions or (made is not None and not same_model(made, embedder.name)):
        raise RetrieverError(
            f"index {layout.index!r} has vectors {f'of {made} ' if made else ''}with {layout.dimensions} dimensions, the "
            f"embedder is {embedder.name} ({embedder.dimensions} dimensions): vectors of different models can't be "
            "compared; open it with the embedder that it was made with, or index under another name"
        )
