"""Replies kept on disk, so that what was paid for once need not be paid for again."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
import logging
import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from pyrlm.adapters.base import ModelResponse, Usage
from pyrlm.errors import AuthenticationError, ConfigurationError, ContextLengthError, ModelError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

    from pyrlm.adapters.base import Message
    from pyrlm.cache_store import Store

__all__ = ["CacheOutcome", "DiskCache"]

CacheOutcome = Literal["hit", "miss", "shared"]
"""`hit`: read from disk. `miss`: the call was made. `shared`: an equal call in flight was waited for."""

_KEY_VERSION = 1
_ENDED = {"stop", "end_turn", "eos", "eos_token", "stop_sequence", "complete"}  # providers' words for a whole reply
_log = logging.getLogger(__name__)
T = TypeVar("T")


class DiskCache:
    """A cache of model replies that any number of threads, event loops and processes can share.

    The folder is opened when it is first needed. What can't be read is a miss, and is removed; where the folder can't
    be used at all (no right to write, disk full, locked) calls go on without it, with one warning in the log.

    Args:
        directory: Folder of the cache, made where needed and readable by its owner only; None: ``pyrlm`` in the
            user's cache folder.
        size_limit: Bytes on disk; beyond them the replies longest in store go.
        expire: Seconds that a reply is kept; None: until it has to go.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        size_limit: int = 1 << 30,
        expire: float | None = None,
    ) -> None:
        if size_limit <= 0 or (expire is not None and expire <= 0):
            raise ConfigurationError(
                f"DiskCache(size_limit={size_limit}, expire={expire}): expected bytes and seconds above 0."
            )
        self.directory = None if directory is None else os.fspath(directory)
        self.size_limit = size_limit
        self.expire = expire
        self._lock = threading.Lock()
        self._desk: _Desk | None = None
        self._flights: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Flight]]
        self._flights = weakref.WeakKeyDictionary()

    @staticmethod
    def key(
        *,
        endpoint: str | None,
        model: str | None,
        messages: Sequence[Message],
        max_tokens: int,
        temperature: float | None,
        options: Mapping[str, Any] | None = None,
        schema: Any = None,
        adapter: str = "",
        identity: Any = None,
    ) -> str:
        """Return the key of a call: a hash of everything that can change the answer.

        Args:
            endpoint: Base URL of the requests.
            model: Model's name as sent.
            messages: All messages, the system prompt included.
            max_tokens: Completion cap as wished for, before a budget cuts it: only whole replies are stored, and a
                whole reply is the same under any cap that it fits in.
            temperature: As sent; None where the provider decides.
            options: Further parameters of the request, JSON types only.
            schema: JSON Schema of the reply, where one is asked for.
            adapter: What kind of adapter asks.
            identity: What else of the adapter can change its answer, JSON types only.

        Raises:
            ConfigurationError: A value is of no JSON type, so that two different calls could look equal.
        """
        parts = {
            "version": _KEY_VERSION,
            "endpoint": endpoint,
            "adapter": adapter,
            "model": model,
            "messages": list(messages),
            "max_tokens": max_tokens,
            "temperature": None if temperature is None else float(temperature),
            "options": dict(options or {}),
            "schema": schema,
            "identity": identity,
        }
        text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=_no_json)
        return hashlib.sha256(text.encode()).hexdigest()

    async def get(self, key: str) -> ModelResponse | None:
        """Return the reply kept under `key`, or None. Its usage is what was once paid: for display, not for charging."""
        text = await self._on_desk(lambda store: store.read(key))
        if text is None:
            return None
        response = _decode(text)
        if response is None:
            _log.warning("A damaged entry of the reply cache was removed.")
            await self._on_desk(lambda store: store.remove(key))
        return response

    async def put(self, key: str, response: ModelResponse) -> bool:
        """Keep a reply, if it is whole: not empty, not cut, not refused. Returns whether it was kept."""
        if not is_whole(response):
            return False
        text = _encode(response)
        return bool(await self._on_desk(lambda store: store.write(key, text)))

    async def fetch(
        self, key: str, call: Callable[[], Awaitable[ModelResponse]], fits: Callable[[str], bool] | None = None
    ) -> tuple[ModelResponse, CacheOutcome]:
        """Return the reply kept under `key`, or make the call and keep its reply, where it is whole and its text `fits`.

        Equal calls at the same time in one event loop make one request. If the one that makes it is cancelled, another
        takes over. If it fails, so do the others where they could only fail the same way (the key is wrong, the prompt
        too long); after any other failure of the model one of the others tries once more, and what happens then holds
        for all. A limit of one run is never another's: whoever is refused by its own budget leaves the others waiting
        for the next.

        Raises:
            Exception: What `call` raises.
        """
        flights = self._flights_here()
        failures = 0
        while (flight := flights.get(key)) is not None:
            await flight.landed.wait()
            if flight.response is not None:
                return flight.response, "shared"
            if flight.error is not None:
                raise _own_copy(flight.error) from flight.error
            failures = flight.failures
        flight = flights[key] = _Flight(failures=failures)
        try:
            flight.response, outcome = await self._get_or_call(key, call, fits)
        except ModelError as error:
            if failures or isinstance(error, AuthenticationError | ContextLengthError):
                flight.error = error
            flight.failures += 1
            raise
        finally:
            del flights[key]
            flight.landed.set()
        return flight.response, outcome

    async def _get_or_call(
        self, key: str, call: Callable[[], Awaitable[ModelResponse]], fits: Callable[[str], bool] | None
    ) -> tuple[ModelResponse, CacheOutcome]:
        kept = await self.get(key)
        if kept is not None and (fits is None or fits(kept.text)):
            return kept, "hit"
        response = await call()
        if fits is None or fits(response.text):
            await self.put(key, response)
        return response, "miss"

    def _flights_here(self) -> dict[str, _Flight]:
        with self._lock:
            return self._flights.setdefault(asyncio.get_running_loop(), {})

    async def _on_desk(self, work: Callable[[Store], T]) -> T | None:
        desk = self._open_desk()
        return await asyncio.get_running_loop().run_in_executor(desk.pool, work, desk.store)

    def _open_desk(self) -> _Desk:
        from pyrlm.cache_store import Store, user_directory  # noqa: PLC0415 - sqlite3 waits until a cache is used

        with self._lock:
            if self._desk is None or self._desk.pid != os.getpid():  # a fork has the object, but not its thread
                directory = self.directory if self.directory is not None else user_directory()
                self._desk = _Desk(
                    pid=os.getpid(),
                    pool=ThreadPoolExecutor(1, thread_name_prefix="pyrlm-cache"),
                    store=Store(directory, size_limit=self.size_limit, expire=self.expire),
                )
            return self._desk

    def close(self) -> None:
        """Close the files. The cache opens them again if it is used again."""
        with self._lock:
            desk, self._desk = self._desk, None
        if desk is not None and desk.pid == os.getpid():
            desk.pool.submit(desk.store.close)
            desk.pool.shutdown(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(slots=True)
class _Desk:
    """One thread for all disk work: SQLite connections belong to threads, and one waits for locks instead of many."""

    pid: int
    pool: ThreadPoolExecutor
    store: Store


@dataclass(slots=True)
class _Flight:
    """A call that equal calls wait for."""

    failures: int = 0
    landed: asyncio.Event = field(default_factory=asyncio.Event)
    response: ModelResponse | None = None
    error: ModelError | None = None


def is_whole(response: ModelResponse) -> bool:
    """Tell whether a reply may be kept: it has text, was not cut and is no refusal."""
    reason = response.finish_reason
    ended = reason is None or reason.lower() in _ENDED
    return bool(response.text.strip()) and ended and not response.refusal


def _encode(response: ModelResponse) -> str:
    usage = Usage.parse(response.usage)
    return json.dumps(
        {
            "text": response.text,
            "finish_reason": response.finish_reason,
            "model": response.model,
            "usage": None if usage is None else asdict(usage),
        }
    )


def _decode(text: str) -> ModelResponse | None:
    """Read an entry; None where it is not what `_encode` writes."""
    try:
        entry = json.loads(text)
        usage = entry["usage"]
        response = ModelResponse(
            text=entry["text"],
            usage=None if usage is None else Usage(**usage),
            finish_reason=entry["finish_reason"],
            model=entry["model"],
        )
        named = all(isinstance(name, str | None) for name in (response.finish_reason, response.model))
        counted = all(type(count) in {int, bool} and count >= 0 for count in (usage or {}).values())
    except (ValueError, TypeError, KeyError, RecursionError, ConfigurationError):
        return None
    return response if named and counted and is_whole(response) else None


def _own_copy(error: ModelError) -> ModelError:
    """Copy an error that several runs get: each run writes its own trace into its own."""
    try:
        return copy.copy(error)
    except Exception:  # noqa: BLE001 - an adapter's own error class may not be made for copying
        return ModelError(str(error), model=error.model, status=error.status, attempts=error.attempts)


def _no_json(value: object) -> Any:
    raise ConfigurationError(
        f"A request parameter of type {type(value).__name__} can't be part of a cache key: pass JSON types (numbers, "
        "strings, lists, dicts), or turn the cache off."
    )
