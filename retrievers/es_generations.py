"""The indices behind one alias: numbered, each made for itself, the newest put in place in one step."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.es_errors import ClusterError
from pyrlm.retrievers.es_own import META, name_of, number_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrlm.retrievers.es_connection import Connection

__all__ = ["Generations", "write_alias"]

TRIES: Final = 10
_NOT_FOUND: Final = 404
_DENIED: Final = 403
_EXISTS: Final = "resource_already_exists_exception"


def write_alias(index: str) -> str:
    """An alias that no other index ever gets: what is written to it can't land in another, or make a new one."""
    return f"{index}.writes"


@dataclass(frozen=True, slots=True)
class _Generation:
    own: bool
    aliases: frozenset[str]


class Generations:
    """The indices behind the alias `alias`, in place or on their way."""

    def __init__(self, connection: Connection, alias: str) -> None:
        self._connection = connection
        self._alias = alias

    async def make(self, body: Mapping[str, Any]) -> None:
        """Make the first index, in place; no harm where somebody else was faster."""
        number = 1
        while not await self._make(number, body, {self._alias: {}}) and not self._in_place(await self._found()):
            number += 1  # the name is taken by what a rebuild left

    async def make_next(self, body: Mapping[str, Any]) -> str:
        """Make an index that is to take the place of the present one, under a name of its own; returns that.

        Raises:
            RetrieverError: The name belongs to an index itself, or to indices that `pyrlm` hasn't made.
        """
        found = await self._found()
        if self._alias in found:
            raise RetrieverError(
                f"{self._alias!r} is an index, not an alias: only an alias can be moved to a rebuilt index"
            )
        foreign = [name for name in self._in_place(found) if not found[name].own]
        if foreign:
            raise RetrieverError(
                f"index {foreign[0]!r}, which {self._alias!r} stands for, was not made by pyrlm, which only reads it; "
                "name another one to write to"
            )
        number = 1 + max((number_of(self._alias, name) for name in found), default=0)
        while not await self._make(number, body, {}):
            number += 1
        return name_of(self._alias, number)

    async def _make(self, number: int, body: Mapping[str, Any], aliases: Mapping[str, Any]) -> bool:
        name = name_of(self._alias, number)
        options = {**body, "aliases": {**aliases, write_alias(name): {}}}
        try:
            await self._connection.call(
                "making the index", lambda client: client.indices.create(index=name, **options), index=name
            )
        except ClusterError as error:
            if error.kind != _EXISTS:
                raise
            return False
        return True

    async def put_in_place(self, name: str) -> None:
        """Let the alias point to `name`, in one step, and delete what it replaces: also what broken-off rebuilds left.

        Raises:
            RetrieverError: A rebuild that began later was put in place before.
        """
        number = number_of(self._alias, name)
        for _ in range(TRIES):
            found = await self._found()
            if name not in found or any(number_of(self._alias, one) > number for one in self._in_place(found)):
                raise self._superseded()
            old = [one for one in found if one != name and self._is_replaced(one, found[one], number)]
            actions: list[dict[str, Any]] = [{"add": {"index": name, "alias": self._alias}}]
            actions += [{"remove_index": {"index": one}} for one in old]
            try:
                await self._put(actions)
            except ClusterError as error:
                if error.status != _NOT_FOUND:
                    raise
                continue  # somebody else has deleted one of them meanwhile
            return
        raise RetrieverError(f"putting {name!r} in place of {self._alias!r} was always forestalled", retryable=True)

    async def _put(self, actions: list[dict[str, Any]]) -> None:
        await self._connection.call(
            "putting the rebuilt index in place", lambda client: client.indices.update_aliases(actions=actions)
        )

    def _is_replaced(self, name: str, generation: _Generation, number: int) -> bool:
        if self._alias in generation.aliases:
            return True
        older = 0 < number_of(self._alias, name) < number
        return older and generation.own and generation.aliases <= {write_alias(name)}

    async def check_there(self, name: str) -> None:
        """Refuse to go on with a rebuild whose index is gone; a cluster that doesn't answer has refused nothing.

        Raises:
            RetrieverError: It is.
        """
        with contextlib.suppress(ClusterError):
            if name not in await self._found():
                raise self._superseded()

    def _superseded(self) -> RetrieverError:
        return RetrieverError(
            f"a rebuild that began later has been put in place of {self._alias!r} meanwhile, and nothing of this one is "
            "kept"
        )

    async def writable(self, index: str) -> str | None:
        """The alias through which an index is written to; None where the credentials are not enough to give it one."""
        alias = write_alias(index)
        try:
            await self._connection.call(
                "naming the index", lambda client: client.indices.put_alias(index=index, name=alias), index=index
            )
        except ClusterError as error:
            if error.status != _DENIED:
                raise
            return None
        return alias

    async def check_in_place(self, index: str) -> None:
        """Refuse to call safe what was written to an index that is no longer the one that is asked.

        Raises:
            RetrieverError: It isn't.
        """
        with contextlib.suppress(ClusterError):
            if index not in self._in_place(await self._found()):
                raise RetrieverError(
                    f"{self._alias!r} was rebuilt or deleted while documents were written to it, and they are gone with "
                    "what it was; index them again",
                    retryable=True,
                )

    async def _found(self) -> dict[str, _Generation]:
        body = await self._connection.call(
            "looking for indices",
            lambda client: client.indices.get(
                index=[self._alias, f"{self._alias}-*"],
                ignore_unavailable=True,
                # Of an index that has neither there would be nothing left but for its uuid.
                filter_path=f"*.aliases,*.mappings._meta.{META}.format,*.settings.index.uuid",
            ),
            index=self._alias,
        )
        return {
            name: _Generation(
                META in ((one.get("mappings") or {}).get("_meta") or {}), frozenset(one.get("aliases") or {})
            )
            for name, one in body.items()
        }

    def _in_place(self, found: Mapping[str, _Generation]) -> list[str]:
        return [name for name, one in found.items() if self._alias in one.aliases or name == self._alias]
