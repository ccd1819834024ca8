"""A corpus on a cluster: what `ElasticsearchRetriever` has beside its searches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pyrlm import portal
from pyrlm.retrievers.es_changes import Changes
from pyrlm.retrievers.es_doctor import Diagnosis, diagnose
from pyrlm.retrievers.es_own import check_embedder
from pyrlm.retrievers.es_scan import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrlm.retrievers.es_layout import Layout
    from pyrlm.retrievers.filters import FieldType

__all__ = ["Corpus"]


class Corpus(Changes):
    """Writing, counting and closing; every method that waits has a twin for a running loop (``aindex``, …).

    The plain methods run on the one background loop of the process, so that they work from scripts and threads.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def close(self) -> None:
        """Close the connections that the plain methods opened; the next call opens them again."""
        portal.run(self._connection.aclose())

    async def aclose(self) -> None:
        """Close the connections that this loop opened; the next call opens them again."""
        await self._connection.aclose()

    @property
    def has_vectors(self) -> bool:
        """Whether `vector_search` works: the retriever has an embedder."""
        return self._embedder is not None

    def embedder_name(self) -> str | None:
        """Name of the embedder that the index was made with; None where it has no vectors or does not tell."""
        return portal.run(self.aembedder_name())

    async def aembedder_name(self) -> str | None:
        """`embedder_name`, from a running loop."""
        layout = await self._indices.layout()
        made = (layout.own or {}).get("embedder")
        return str(made) if made and layout.vector is not None else None

    @property
    def fields(self) -> Mapping[str, FieldType]:
        """The metadata fields that filters can use, and their types."""
        return portal.run(self.afields())

    async def afields(self) -> Mapping[str, FieldType]:
        """`fields`, from a running loop."""
        return (await self._indices.layout(again=True)).schema

    def count(self) -> int:
        """Number of documents."""
        return portal.run(self.acount())

    async def acount(self) -> int:
        """`count`, from a running loop."""
        layout = await self._layout()
        if layout.own is not None:
            return await count(self._connection, layout, {"term": {"chunk": 0}})
        return await count(self._connection, layout)

    def count_passages(self) -> int:
        """Number of passages."""
        return portal.run(self.acount_passages())

    async def acount_passages(self) -> int:
        """`count_passages`, from a running loop."""
        return await count(self._connection, await self._layout())

    def diagnose(self) -> Diagnosis:
        """Look at the cluster and the index: versions, licence, mapping, number of documents, what will not work."""
        return portal.run(self.adiagnose())

    async def adiagnose(self) -> Diagnosis:
        """`diagnose`, from a running loop."""
        return await diagnose(self._connection, self._indices, self._embedder)

    async def _layout(self) -> Layout:
        layout = await self._indices.layout()
        check_embedder(layout, self._embedder)
        return layout
