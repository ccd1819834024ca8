"""Repeats failed requests, with back-off, within a time limit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from pyrlm.adapters.base import Retry, on_retry, tell_loss
from pyrlm.adapters.failures import RequestFailed, backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenacity import RetryCallState

__all__ = ["with_retries"]

_T = TypeVar("_T")
_BRIEFLY_SECONDS = 10.0  # a server that is being started answers by then; a wrong address never does


async def with_retries(request: Callable[[], Awaitable[_T]], *, model: str, seconds: float) -> _T:
    """Await `request()`, again while that can help.

    Args:
        request: Makes one request; raises `RequestFailed`.
        model: Model named in the error.
        seconds: How long after the first failure a request may still be repeated.

    Raises:
        ModelError: What the last failure says.
    """
    started = time.monotonic()
    try:
        return await request()  # tenacity costs a tenth of a request on loopback: it is asked only when one has failed
    except RequestFailed as failed:
        if failed.began:
            tell_loss()
        failures = [failed]

    async def attempt() -> _T:
        if failures:
            raise failures.pop()
        try:
            return await request()
        except RequestFailed as failed:
            if failed.began:
                tell_loss()
            raise

    from tenacity import AsyncRetrying, retry_if_exception_type  # noqa: PLC0415 - imported together with the SDK

    plan = _Plan(seconds, started)
    retrying = AsyncRetrying(
        retry=retry_if_exception_type(RequestFailed),
        wait=plan.wait,
        stop=plan.stop,
        before_sleep=_tell,
        reraise=True,
    )
    try:
        return await retrying(attempt)
    except RequestFailed as failed:
        raise failed.error(model, plan.attempts, plan.note) from None


class _Plan:
    """When the next request of one call is made, and when there is none."""

    def __init__(self, seconds: float, started: float) -> None:
        self._seconds, self._started = seconds, started
        self._first_failure = time.monotonic()
        self._bad_replies = 0
        self.attempts = 0
        self.note = ""

    def wait(self, state: RetryCallState) -> float:
        return backoff(state.attempt_number, _failure(state).wait)

    def stop(self, state: RetryCallState) -> bool:
        failed, now = _failure(state), time.monotonic()
        self.attempts = state.attempt_number
        elapsed = now - self._first_failure
        if self.attempts > 1:
            self.note = f" ({self.attempts} requests in {now - self._started:.1f} s)"
        if failed.again == "once":
            self._bad_replies += 1
            return self._bad_replies > 1
        limit = min(self._seconds, _BRIEFLY_SECONDS) if failed.again == "briefly" else self._seconds
        if failed.again == "never" or elapsed + state.upcoming_sleep <= limit:
            return failed.again == "never"
        if failed.wait is not None:
            self.note += (
                f". It asks to wait {failed.wait:g} s; retry_seconds={self._seconds:g} leaves {limit - elapsed:.0f} s"
            )
        return True


def _failure(state: RetryCallState) -> RequestFailed:
    failed = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(failed, RequestFailed)
    return failed


def _tell(state: RetryCallState) -> None:
    tell = on_retry.get()
    if tell is not None:
        tell(Retry(attempt=state.attempt_number, reason=str(_failure(state)), delay=state.upcoming_sleep))
