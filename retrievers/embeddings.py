"""Vectors for texts: the protocol of an embedder, checks on what it returns, and a cache on disk.

Nothing is embedded by default. `OpenAIEmbedder` (any OpenAI-compatible endpoint) and `MiniLMEmbedder` (a model on this
machine) stand in modules of their own; an embedder of yours is an object with two attributes and one method.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from pyrlm.errors import ConfigurationError, RetrieverError
from pyrlm.foreign import tamed

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pyrlm.retrievers.protocol import Passage

__all__ = [
    "Embedder",
    "embed",
    "embed_query",
    "embedder_named",
    "passage_input",
    "same_model",
    "split_server",
    "unit_length",
]

MAX_TITLE_CHARS: Final = 200
MAX_QUERY_CHARS: Final = 8_000
_SERVER: Final = re.compile(r"@(?=https?://)")


@runtime_checkable
class Embedder(Protocol):
    """Makes vectors.

    Attributes:
        name: Names the model; an index keeps it and takes no other.
        dimensions: Numbers in a vector.
    """

    @property
    def name(self) -> str:
        """Names the model."""

    @property
    def dimensions(self) -> int:
        """Numbers in a vector."""

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Make one vector of unit length for each text, none of them empty: float32 of shape ``(n, dimensions)``."""


def embedder_named(name: str, *, cache: str | os.PathLike[str] | None = None) -> Embedder:
    """Make an embedder from a name as the command line takes it, or as an index keeps it.

    Args:
        name: ``minilm``, ``minilm:FOLDER``, ``openai``, ``openai:MODEL`` or ``openai:MODEL@URL``.
        cache: File that keeps the vectors.

    Raises:
        ConfigurationError: There is no embedder of this name, or what it needs is missing.
    """
    kind, _, rest = name.partition(":")
    made: Embedder
    if kind == "minilm":
        from pyrlm.retrievers.minilm import MiniLMEmbedder  # noqa: PLC0415 - an extra

        made = MiniLMEmbedder(rest if Path(rest).is_dir() and rest else None)
    elif kind == "openai":
        from pyrlm.retrievers.openai_embeddings import OpenAIEmbedder  # noqa: PLC0415 - one or the other

        model, url = split_server(rest)
        made = OpenAIEmbedder(model or "text-embedding-3-small", base_url=url or None)
    else:
        raise ConfigurationError(
            f"no embedder {name!r}; there are minilm, minilm:FOLDER, openai, openai:MODEL and openai:MODEL@URL"
        )
    if cache is None:
        return made
    from pyrlm.retrievers.embedding_cache import CachedEmbedder  # noqa: PLC0415 - it imports this module

    return CachedEmbedder(made, cache)


def split_server(name: str) -> tuple[str, str]:
    """Split ``openai:MODEL@URL`` into what is before the address and the address, an empty string where there is none."""
    before, *url = _SERVER.split(name, maxsplit=1)
    if not url:  # an address without a scheme; names of models may begin with @
        head, at, after = name.rpartition("@")
        return (head, after) if at and head and not head.endswith(":") else (name, "")
    return before, url[0]


def same_model(made: str | None, name: str) -> bool:
    """Whether two names are of one model, whose vectors can be compared: where its server stands doesn't matter."""
    return made is not None and split_server(made)[0] == split_server(name)[0]


def passage_input(passage: Passage, title: str) -> str:
    """What is embedded for a passage: the title and headings that it stands under, and its text."""
    above = " > ".join(part for part in (title, passage.heading) if part)[:MAX_TITLE_CHARS]
    return f"{above}\n{passage.text.strip()}" if above else passage.text.strip()


def embed(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    """Ask an embedder, and check and normalise what it returns; empty texts get the vector of a full stop.

    Raises:
        RetrieverError: It failed, or returned something else than it promised.
    """
    try:
        vectors = embedder.embed([text if text.strip() else "." for text in texts])
    except RetrieverError:
        raise
    except BaseException as error:
        problem = tamed("the embedder", error)
        raise RetrieverError(f"embedding with {embedder.name} failed: {type(problem).__name__}: {problem}") from error
    return unit_length(vectors, len(texts), embedder.dimensions, embedder.name)


def embed_query(embedder: Embedder, query: str) -> NDArray[np.float32]:
    """The vector of a query; of a very long one, its beginning is embedded."""
    vector: NDArray[np.float32] = embed(embedder, [query[:MAX_QUERY_CHARS]])[0]
    return vector


def unit_length(vectors: object, count: int, dimensions: int, name: str) -> NDArray[np.float32]:
    """Check vectors and bring them to unit length.

    Raises:
        RetrieverError: The shape is not ``(count, dimensions)``, or a vector holds no direction (zeros, NaN, infinity).
    """
    import numpy as np  # noqa: PLC0415

    try:
        matrix = np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise RetrieverError(f"{name} returned {type(vectors).__name__}, expected an array of numbers") from error
    if matrix.shape != (count, dimensions):
        raise RetrieverError(f"{name} returned vectors of shape {matrix.shape}, expected {(count, dimensions)}")
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    if not np.all(np.isfinite(lengths)) or not np.all(lengths > 0):
        raise RetrieverError(f"{name} returned a vector of zeros or of numbers that are not finite")
    return np.asarray(matrix / lengths, dtype=np.float32)
