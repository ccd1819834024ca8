"""Indices on a cluster: reading what one holds, making one, and putting a rebuilt one in its place."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.es_discovery import discover
from pyrlm.retrievers.es_errors import ClusterError
from pyrlm.retrievers.es_generations import Generations
from pyrlm.retrievers.es_own import definition, field_of, own_layout, property_of

if TYPE_CHECKING:
    from pyrlm.retrievers.es_connection import Connection
    from pyrlm.retrievers.es_layout import FieldNames, Layout
    from pyrlm.retrievers.filters import FieldType
    from pyrlm.retrievers.manifest import Manifest

__all__ = ["Indices"]

LOOK_AGAIN_SECONDS: Final = 5.0
"""A mapping that was read longer ago is read again before a filter is refused."""

_NOT_FOUND: Final = 404


class Indices:
    """One index of a cluster, reached by its name or by an alias.

    Args:
        connection: The way to the cluster.
        name: Name of the index, an alias, or a pattern.
        names: Names of its fields, for an index that was made elsewhere.
    """

    def __init__(self, connection: Connection, name: str, names: FieldNames) -> None:
        self.connection = connection
        self.name = name
        self.generations = Generations(connection, name)
        self._names = names
        self._layout: Layout | None = None
        self._read_at = 0.0
        self._server: tuple[int, int] | None = None

    async def layout(self, *, again: bool = False) -> Layout:
        """What the index holds.

        Args:
            again: Read the mapping, also if that was done before.

        Raises:
            RetrieverError: There is no such index, or it can't be read.
        """
        if self._layout is None or again:
            self._layout = await self._read()
            self._read_at = time.monotonic()
        return self._layout

    def is_stale(self) -> bool:
        """Whether the mapping may have changed since it was read."""
        return time.monotonic() - self._read_at > LOOK_AGAIN_SECONDS

    def forget(self) -> None:
        """Read the mapping again when it is next needed."""
        self._layout = None

    async def layout_or_none(self) -> Layout | None:
        """What the index holds, read anew; None where there is none."""
        try:
            return await self.layout(again=True)
        except ClusterError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    async def _read(self) -> Layout:
        mappings = await self._mappings()
        if len(mappings) == 1:
            own = own_layout(self.name, *next(iter(mappings.items())))
            if own is not None:
                return own
        merged: dict[str, Any] = {}
        for mapping in mappings.values():
            _merge(merged, mapping)
        return replace(discover(self.name, merged, self._names), indices=frozenset(mappings))

    async def _mappings(self) -> dict[str, Any]:
        body = await self.connection.call(
            "reading the mapping", lambda client: client.indices.get_mapping(index=self.name), index=self.name
        )
        if not body:  # a pattern that nothing fits
            raise ClusterError(f"there is no index that fits {self.name!r}", status=_NOT_FOUND)
        return {name: found.get("mappings") or {} for name, found in body.items()}

    async def server(self) -> tuple[int, int]:
        """Version of the cluster: its oldest node's; ``(0, 0)`` where it doesn't tell."""
        if self._server is None:
            try:
                body = await self.connection.call(
                    "asking for the version", lambda client: client.nodes.info(filter_path="nodes.*.version")
                )
                found = [_version(node["version"]) for node in body.get("nodes", {}).values()]
            except RetrieverError as error:
                if error.retryable:
                    raise
                found = []
            self._server = min(found, default=(0, 0))
        return self._server

    async def create(self, manifest: Manifest, *, analyzer: str, shards: int) -> None:
        """Make the index, behind an alias of the name; no harm where somebody else was faster."""
        await self.generations.make(definition(manifest, analyzer, shards, await self.server()))
        self.forget()

    async def create_next(self, manifest: Manifest, *, analyzer: str, shards: int) -> str:
        """Make an index that is to take the place of the present one; returns its name.

        Raises:
            RetrieverError: The present one can't be replaced.
        """
        return await self.generations.make_next(definition(manifest, analyzer, shards, await self.server()))

    async def swap(self, name: str) -> None:
        """Put an index that `create_next` made in place, and delete what it replaces.

        Raises:
            RetrieverError: A rebuild that began later was put in place before.
        """
        await self.generations.put_in_place(name)
        self.forget()

    async def drop(self, name: str) -> None:
        """Delete an index, if it is there."""
        await self.connection.call(
            "deleting", lambda client: client.indices.delete(index=name, ignore_unavailable=True), index=name
        )

    async def typed(
        self, target: str, known: Mapping[str, FieldType], made_with: Manifest | None
    ) -> dict[str, FieldType]:
        """Type the fields of a corpus that moves as they were: a date read back from JSON looks like any text."""
        brought = {name: kind for name, kind in (made_with.fields if made_with else {}).items() if name not in known}
        if brought:
            await self.add_fields(target, brought)
        return {**known, **brought}

    async def add_fields(self, target: str, fields: Mapping[str, FieldType]) -> None:
        """Tell an index which metadata fields documents are about to bring.

        Raises:
            RetrieverError: It can't have them: of another type, too many, or a name that is no name there.
        """
        properties = {f"meta.{name}": property_of(kind) for name, kind in fields.items()}
        await self.connection.call(
            "adding metadata fields",
            lambda client: client.indices.put_mapping(index=target, properties=properties),
            index=target,
        )
        if self._layout is not None:
            self._layout = self._layout.with_fields({name: field_of(name, kind) for name, kind in fields.items()})

    async def refresh(self, target: str) -> None:
        """Let searches see what was written."""
        await self.connection.call("refreshing", lambda client: client.indices.refresh(index=target), index=target)


def _version(text: str) -> tuple[int, int]:
    major, minor, *_ = f"{text}.0".split(".")
    return int(major), int(minor)


def _merge(merged: dict[str, Any], mapping: Mapping[str, Any]) -> None:
    """Lay mappings over one another; what is of two types in two indices is of none that a filter could ask for."""
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            inner = merged.setdefault(key, {})
            if isinstance(inner, dict):
                _merge(inner, value)
        elif key == "type" and merged.setdefault(key, value) != value:
            merged[key] = "of different types"
        else:
            merged.setdefault(key, value)
