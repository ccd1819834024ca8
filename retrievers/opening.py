"""Making an index folder and checking that it is used as it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.chunking import Chunker
from pyrlm.retrievers.embeddings import same_model
from pyrlm.retrievers.manifest import Manifest
from pyrlm.retrievers.reading import ENGINE_FOLDER, VECTORS_FOLDER, open_engine

if TYPE_CHECKING:
    from pathlib import Path

    from pyrlm.retrievers.chunking import PassageSplitter
    from pyrlm.retrievers.embeddings import Embedder

__all__ = ["advice", "check_embedder", "chunker_for", "create", "default_chunker"]

BIG_TEXT: Final = 5_000_000
BIG_VECTORS: Final = 1_000_000
"""Passages from which on a cluster serves better: a text query then takes some 40 ms, an exact vector query 30 ms and
1.5 GB of memory for 384 dimensions, all of it on one machine."""

SAFE_SHARE: Final = 0.8
"""Of an embedder's window, for passages measured by an estimate of tokens."""


def check_embedder(manifest: Manifest, embedder: Embedder | None, folder: Path) -> None:
    """Refuse vectors of two models in one index; without an embedder an index can still be searched by BM25.

    Raises:
        RetrieverError: The index was made with another embedder, or with none.
    """
    if embedder is None:
        return
    if same_model(manifest.embedder, embedder.name) and manifest.dimensions == embedder.dimensions:
        return
    made = f"with {manifest.embedder} ({manifest.dimensions} dimensions)" if manifest.embedder else "without vectors"
    raise RetrieverError(
        f"the index at {folder} was made {made} and was opened with {embedder.name} ({embedder.dimensions} dimensions): "
        "vectors of different models can't be compared; open it as it was made, or index into a new folder"
    )


def create(folder: Path, embedder: Embedder | None, chunker: PassageSplitter | None) -> Manifest:
    """Read the manifest of an index that is to be written, making the index where there is none.

    Raises:
        RetrieverError: The folder holds something else, or an index that was made in another way.
    """
    manifest = Manifest.read(folder)
    if manifest is None:
        return _made(folder, embedder, chunker)
    if manifest.embedder is not None and embedder is None:
        raise RetrieverError(
            f"the index at {folder} has vectors of {manifest.embedder}: open it with that embedder to add documents"
        )
    check_embedder(manifest, embedder, folder)
    if chunker is not None and chunker.name != manifest.chunker:
        raise RetrieverError(
            f"the index at {folder} holds passages cut by {manifest.chunker}, not by {chunker.name}: "
            "leave the chunker out, or index into a new folder"
        )
    return manifest


def _made(folder: Path, embedder: Embedder | None, chunker: PassageSplitter | None) -> Manifest:
    try:
        found = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise RetrieverError(f"can't make an index at {folder}: {error}") from error
    if strange := [name for name in found if name not in {ENGINE_FOLDER, VECTORS_FOLDER} and ".part" not in name]:
        raise RetrieverError(f"{folder} is no index and holds other files ({strange[0]}, …); name a new folder")
    manifest = Manifest(
        chunker=(chunker or default_chunker(embedder)).name,
        embedder=embedder.name if embedder is not None else None,
        dimensions=embedder.dimensions if embedder is not None else 0,
        fields={"doc_id": "keyword"},
    )
    open_engine(folder, create=True)
    # Last: a folder with a manifest is an index.
    manifest.write(folder)
    return manifest


def default_chunker(embedder: Embedder | None) -> Chunker:
    """How documents of a new index are cut: so that passages fit into the embedder's window."""
    window = getattr(embedder, "max_tokens", None)
    size = min(Chunker().size, int(window * SAFE_SHARE)) if isinstance(window, int) else Chunker().size
    return Chunker(size=max(16, size), overlap=size * 15 // 100)


def chunker_for(manifest: Manifest, chunker: PassageSplitter | None) -> PassageSplitter:
    """The chunker that the index was made with."""
    found = chunker or Chunker.named(manifest.chunker)
    if found is None:
        raise RetrieverError(f"this index holds passages cut by {manifest.chunker}: open it with that chunker")
    return found


def advice(manifest: Manifest, passages: int) -> str:
    """What should be known about an index of this size."""
    limit = BIG_VECTORS if manifest.embedder else BIG_TEXT
    if passages < limit:
        return ""
    return (
        f"{passages:,} passages: beyond about {limit:,} an Elasticsearch cluster answers faster than one folder; "
        "`pyrlm index --from THIS --to es://…` moves the corpus, with its vectors"
    )
