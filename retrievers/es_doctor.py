"""What a cluster is, what an index on it holds, and what will not work there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.es_own import check_embedder
from pyrlm.retrievers.es_scan import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrlm.retrievers.embeddings import Embedder
    from pyrlm.retrievers.es_connection import Connection
    from pyrlm.retrievers.es_indices import Indices
    from pyrlm.retrievers.es_layout import Layout
    from pyrlm.retrievers.filters import FieldType

__all__ = ["Diagnosis", "diagnose"]

OLDEST_SERVER = (8, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What `ElasticsearchRetriever.diagnose` found.

    Attributes:
        server: Version of the cluster, such as ``"9.5"``; an empty string where it doesn't tell.
        client: Version of the client.
        licence: Type of the licence, such as ``"basic"``; an empty string where it doesn't tell.
        health: ``"green"``, ``"yellow"`` or ``"red"``; an empty string where it doesn't tell.
        index: Name of the index.
        own: Whether `pyrlm` made it.
        documents: Documents in it; None where they can't be counted.
        passages: Entries in it.
        text: Fields that a search asks.
        vector: The field with the vectors, its dimensions and its embedder, in words; an empty string for none.
        fields: Metadata fields that filters can use, and their types.
        problems: What will not work, and what to do.
    """

    server: str = ""
    client: str = ""
    licence: str = ""
    health: str = ""
    index: str = ""
    own: bool = False
    documents: int | None = None
    passages: int | None = None
    text: tuple[str, ...] = ()
    vector: str = ""
    fields: Mapping[str, FieldType] | None = None
    problems: tuple[str, ...] = ()


async def diagnose(connection: Connection, indices: Indices, embedder: Embedder | None) -> Diagnosis:
    """Look at a cluster and an index; what fails is a problem in the result, never an exception."""
    import elasticsearch  # noqa: PLC0415

    problems: list[str] = []
    found: dict[str, Any] = {
        "client": ".".join(map(str, elasticsearch.__version__)),
        "index": indices.name,
    }
    reached = await _cluster(connection, indices, found, problems)
    if reached:
        await _index(connection, indices, embedder, found, problems)
    return Diagnosis(**found, problems=tuple(problems))


async def _cluster(connection: Connection, indices: Indices, found: dict[str, Any], problems: list[str]) -> bool:
    try:
        health = await connection.call("asking for the health", lambda client: client.cluster.health())
    except RetrieverError as error:
        problems.append(str(error))
        return False
    found["health"] = str(health.get("status") or "")
    if found["health"] == "red":
        problems.append("the cluster's health is red: some data can't be read, and searches there fail")
    server = await indices.server()
    if server > (0, 0):
        found["server"] = f"{server[0]}.{server[1]}"
        if server < OLDEST_SERVER:
            problems.append(f"the server is {found['server']}; 8.19 and 9 are what pyrlm is tested with")
    try:
        licence = await connection.call("asking for the licence", lambda client: client.license.get())
        found["licence"] = str(licence["license"]["type"])
    except RetrieverError:
        found["licence"] = ""  # a key may do everything that is needed here and not see the licence
    return True


async def _index(
    connection: Connection, indices: Indices, embedder: Embedder | None, found: dict[str, Any], problems: list[str]
) -> None:
    try:
        layout = await indices.layout(again=True)
        found["passages"] = await count(connection, layout)
        if layout.own is not None:
            found["documents"] = await count(connection, layout, {"term": {layout.order or "": 0}})
        await _check_writable(connection, layout, problems)
    except RetrieverError as error:
        problems.append(str(error))
        return
    found |= {"own": layout.own is not None, "text": layout.text, "fields": layout.schema}
    if layout.vector is not None:
        made = (layout.own or {}).get("embedder")
        found["vector"] = f"{layout.vector}: {layout.dimensions} dimensions{f' of {made}' if made else ''}"
    _check_vectors(layout, embedder, problems)
    if not found["passages"]:
        problems.append(f"index {layout.index!r} is empty")


async def _check_writable(connection: Connection, layout: Layout, problems: list[str]) -> None:
    settings = await connection.call(
        "reading the settings",
        lambda client: client.indices.get_settings(index=layout.index, flat_settings=True),
        index=layout.index,
    )
    for name, one in settings.items():
        blocks = [
            key for key, value in one.get("settings", {}).items() if key.startswith("index.blocks.") and value == "true"
        ]
        if blocks:
            problems.append(f"index {name!r} takes no writes: {', '.join(blocks)}")


def _check_vectors(layout: Layout, embedder: Embedder | None, problems: list[str]) -> None:
    try:
        check_embedder(layout, embedder)
    except RetrieverError as error:
        problems.append(str(error))
    if layout.vector is None:
        problems.append("the index has no vectors: es_vector_search is not offered, es_hybrid_search is BM25")
    elif embedder is None:
        problems.append("no embedder was given: es_vector_search is not offered, es_hybrid_search is BM25")
