"""Sending bulk requests until every item is in or has a reason why not: tried again by time, not by number."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pyrlm.redact import redact
from pyrlm.retrievers.es_errors import BLOCKED, cause_of, explain, is_worth_repeating, item_cause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrlm.retrievers.es_connection import Connection

__all__ = ["BulkSender", "Outcome"]

CHUNK_BYTES: Final = 10_000_000
LEAST_CHUNK_BYTES: Final = 100_000
CHUNK_ACTIONS: Final = 1_000
TIMEOUT: Final = 120.0
FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 10.0
BUSY: Final = frozenset({429, 502, 503, 504})
TOO_MUCH: Final = frozenset({413, 429})
GONE: Final = 404
IN_VAIN: Final = {BLOCKED: "the index takes no writes: ", "index_not_found_exception": "the index is gone: "}
"""What is true of all that could still be sent."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of a list of actions.

    Attributes:
        failed: Reason by place in the list, for those that are not in.
        stopped: Why sending more is in vain; an empty string where it isn't.
    """

    failed: dict[int, str] = field(default_factory=dict)
    stopped: str = ""


class BulkSender:
    """Sends actions to one index.

    Args:
        connection: The way to the cluster.
        index: The index.
        alias: An alias of it, which is written to in its place, and which must be there; None: the index itself.
        retry_seconds: How long refused and lost requests are tried again while nothing goes in at all.
    """

    def __init__(self, connection: Connection, index: str, alias: str | None, retry_seconds: float) -> None:
        self._connection = connection
        self._index = index
        self._alias = alias
        self._retry_seconds = retry_seconds
        self._chunk_bytes = CHUNK_BYTES

    async def send(self, actions: Sequence[Mapping[str, Any]]) -> Outcome:
        """Send actions as the bulk helpers of the client take them, each of them safe to be repeated."""
        outcome = Outcome()
        pending = list(range(len(actions)))
        pause = FIRST_PAUSE
        progress = time.monotonic()
        while pending:
            attempt = _Attempt(pending)
            await self._try(attempt, actions, outcome)
            if len(attempt.left) < len(pending):
                progress, pause = time.monotonic(), FIRST_PAUSE
            pending = attempt.left
            if pending and (attempt.final or time.monotonic() + pause > progress + self._retry_seconds):
                outcome.stopped = attempt.reason
                outcome.failed |= dict.fromkeys(pending, attempt.reason)
                break
            if pending:
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads requests, no secret
                pause = min(2 * pause, LONGEST_PAUSE)
        return outcome

    async def _try(self, attempt: _Attempt, actions: Sequence[Mapping[str, Any]], outcome: Outcome) -> None:
        """Send what is pending once; what may be tried again stays in `attempt.left`."""
        from elasticsearch import ApiError, TransportError  # noqa: PLC0415
        from elasticsearch.helpers import async_streaming_bulk  # noqa: PLC0415

        client = self._connection.client().options(max_retries=0, request_timeout=TIMEOUT)
        answered = 0
        try:
            results = async_streaming_bulk(
                client,
                [dict(actions[place]) for place in attempt.pending],
                index=self._alias or self._index,
                require_alias=self._alias is not None,
                chunk_size=CHUNK_ACTIONS,
                max_chunk_bytes=self._chunk_bytes,
                raise_on_error=False,
                raise_on_exception=False,
                max_retries=0,
            )
            async for ok, info in results:
                place = attempt.pending[answered]
                answered += 1
                if not ok:
                    self._take_failure(attempt, outcome, place, *info.popitem())
        except (ApiError, TransportError) as error:
            # No answer to this request: whether it was carried out isn't known, and it may be repeated.
            attempt.left += attempt.pending[answered:]
            self._take_error(attempt, error)

    def _take_failure(
        self, attempt: _Attempt, outcome: Outcome, place: int, operation: str, item: Mapping[str, Any]
    ) -> None:
        error = item.get("exception")
        if error is not None:  # the whole request was refused
            attempt.left.append(place)
            self._take_error(attempt, error)
            return
        status = item.get("status", 500)
        kind, reason = item_cause(item)
        if operation == "delete" and status == GONE and not kind:
            return
        text = redact(f"{reason or kind} (status {status}, {kind})")
        if kind in IN_VAIN:
            attempt.left.append(place)
            attempt.give_up(IN_VAIN[kind] + text)
        elif status in BUSY:
            attempt.left.append(place)
            attempt.reason = f"the cluster had no room for it until the time for retries was over: {text}"
        else:
            outcome.failed[place] = text

    def _take_error(self, attempt: _Attempt, error: Any) -> None:
        if attempt.seen is error:
            return
        attempt.seen = error
        attempt.reason = str(explain(error, doing="indexing", index=self._index, seconds=TIMEOUT))
        too_much = (
            getattr(error, "status_code", None) in TOO_MUCH and cause_of(getattr(error, "body", None))[0] != BLOCKED
        )
        if too_much and self._chunk_bytes > LEAST_CHUNK_BYTES:
            self._chunk_bytes //= 2  # the request alone may be more than the cluster takes at a time
        elif not is_worth_repeating(error) and not _timed_out(error):
            attempt.give_up(attempt.reason)


@dataclass(slots=True)
class _Attempt:
    pending: list[int]
    left: list[int] = field(default_factory=list)
    reason: str = ""
    final: bool = False
    seen: object = None

    def give_up(self, reason: str) -> None:
        self.reason, self.final = reason, True


def _timed_out(error: object) -> bool:
    from elasticsearch import ConnectionTimeout  # noqa: PLC0415

    return isinstance(error, ConnectionTimeout)
