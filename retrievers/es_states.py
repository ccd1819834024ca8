"""What an index holds already of the documents that are on their way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pyrlm.retrievers.es_actions import version_of
from pyrlm.retrievers.es_errors import check_complete

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyrlm.retrievers.es_actions import Work
    from pyrlm.retrievers.es_connection import Connection

__all__ = ["State", "States"]

REFRESH_SECONDS: Final = 30.0
VERSIONS_SHOWN: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What there is of one document.

    Attributes:
        versions: Number of passages of each version. A run that broke off leaves more than one, or too few.
        expected: Passages that a whole version has.
        passages: Passages that there may be: the highest number, and one.
    """

    versions: Mapping[str, int] = field(default_factory=dict)
    expected: int = 0
    passages: int = 0

    def is_whole(self, version: str) -> bool:
        """Whether exactly this version is there, with all of its passages."""
        return dict(self.versions) == {version: self.expected}


class States:
    """Asks an index for what it holds, and remembers what it doesn't show yet.

    Args:
        connection: The way to the cluster.
        index: The index.
        fresh: Whether it is empty, so that there is nothing to ask for.
    """

    def __init__(self, connection: Connection, index: str, *, fresh: bool) -> None:
        self._connection = connection
        self._index = index
        self._fresh = fresh
        self._made: dict[str, State] = {}
        self._sent: dict[str, State] = {}
        self._refreshed = time.monotonic()

    async def of(self, doc_ids: Sequence[str]) -> dict[str, State]:
        """What there is of these documents; nothing is no entry."""
        known = {doc_id: found for doc_id in doc_ids if (found := self._made.get(doc_id) or self._sent.get(doc_id))}
        unknown = [doc_id for doc_id in doc_ids if doc_id not in known]
        return known if self._fresh or not unknown else known | await self._asked(unknown)

    async def _asked(self, doc_ids: Sequence[str]) -> dict[str, State]:
        numbers = {"expected": {"max": {"field": "passages"}}, "last": {"max": {"field": "chunk"}}}
        versions = {"terms": {"field": "version", "size": VERSIONS_SHOWN, "execution_hint": "map"}}
        documents = {"terms": {"field": "doc_id", "size": len(doc_ids), "execution_hint": "map"}}
        body: dict[str, Any] = {
            "size": 0,
            "track_total_hits": False,
            "query": {"terms": {"doc_id": list(doc_ids)}},
            "aggs": {"documents": {**documents, "aggs": {**numbers, "versions": versions}}},
        }
        reply = await self._connection.call(
            "looking for what is indexed already",
            lambda client: client.search(
                index=self._index, body=body, allow_partial_search_results=False, request_cache=False
            ),
            index=self._index,
        )
        check_complete(reply, "looking for what is indexed already", self._index)
        return {bucket["key"]: _state(bucket) for bucket in reply["aggregations"]["documents"]["buckets"]}

    def making(self, works: Iterable[Work]) -> None:
        """These are about to be sent."""
        for work in works:
            count = len(work.passages)
            state = State(versions={version_of(work.record): count}, expected=count, passages=count)
            self._made[work.record.document.doc_id] = state

    def sent(self, works: Iterable[Work], failed: Mapping[str, str]) -> None:
        """These were sent; of those that failed anything may be there."""
        for work in works:
            doc_id = work.record.document.doc_id
            state = self._made.pop(doc_id, State())
            if doc_id in failed:
                state = State(passages=max(len(work.passages), work.before))
            self._sent[doc_id] = state

    def is_due(self) -> bool:
        """Whether it is time to let the index show what was sent, and to forget it here."""
        return bool(self._sent) and time.monotonic() - self._refreshed > REFRESH_SECONDS

    def refreshed(self) -> None:
        """The index shows all that was sent."""
        self._sent.clear()
        self._fresh = False
        self._refreshed = time.monotonic()


def _state(bucket: Mapping[str, Any]) -> State:
    return State(
        versions={found["key"]: found["doc_count"] for found in bucket["versions"]["buckets"]},
        expected=int(bucket["expected"]["value"] or 0),
        passages=int(bucket["last"]["value"] or 0) + 1,
    )
