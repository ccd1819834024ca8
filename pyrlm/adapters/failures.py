"""Reads a failed request: which error it is, and whether asking again can help."""

from __future__ import annotations

import json
import math
import random
import socket
import ssl
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

from pyrlm.adapters.wording import context_limit, is_context_length
from pyrlm.errors import (
    AuthenticationError,
    BadReplyError,
    ContextLengthError,
    ModelError,
    ModelUnavailableError,
    RateLimitError,
)
from pyrlm.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "FIRST_WAIT",
    "Origin",
    "RequestFailed",
    "backoff",
    "bad_reply",
    "failed_connection",
    "failed_status",
    "provider_message",
]

Again = Literal["never", "once", "briefly", "yes"]
"""Whether a request is worth repeating: "briefly" for a server that may be starting, "once" for a garbled reply."""

FIRST_WAIT = 0.5
"""Seconds before the first repeated request, where the provider doesn't tell; doubled each time."""

_LONGEST_WAIT = 20.0
_MESSAGE_CHARS = 500
_TRANSIENT = frozenset({408, 409, 425, 429})
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_IN_THE_MIDDLE = "peer closed connection without sending complete message body"  # httpx's words; aiohttp has a class
_NO_CREDIT = "credit balance is too low"  # Anthropic says so with status 400
_TOO_LONG_STATUSES = frozenset({400, 413, 422, 429, 500})  # 429: "Request too large"; 500: older llama.cpp


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who was asked: named in every error."""

    model: str
    endpoint: str
    key_variables: tuple[str, ...] = ()
    url_hint: str = "that the base URL has the right path (most end in /v1)"

    def __str__(self) -> str:
        return f"model {self.model!r} at {self.endpoint}"


class RequestFailed(Exception):  # noqa: N818 - it carries the error that is raised in the end
    """One request that failed.

    Attributes:
        kind: Class of the error to raise when it is not repeated.
        again: Whether it is worth repeating.
        wait: Seconds that the provider asks to wait, if it does.
        status: HTTP status of the reply; None where there was none.
        began: Whether a reply had begun, or the time for it was over: the provider may bill it.
    """

    def __init__(
        self,
        kind: type[ModelError],
        message: str,
        *,
        again: Again = "never",
        wait: float | None = None,
        status: int | None = None,
        limit: int | None = None,
        began: bool = False,
    ) -> None:
        super().__init__(redact(message))
        self.began = began
        self.kind, self.again, self.wait, self.status, self._limit = kind, again, wait, status, limit

    def error(self, model: str, attempts: int, note: str = "") -> ModelError:
        """The error to raise after so many requests; the SDK's exceptions, which hold the request with its key, let go."""
        self.__cause__ = self.__context__ = None
        message = f"{self}{note}"
        if self.kind is ContextLengthError:
            return ContextLengthError(message, model=model, status=self.status, attempts=attempts, limit=self._limit)
        return self.kind(message, model=model, status=self.status, attempts=attempts)


def failed_status(status: int, headers: Mapping[str, str], body: Any, origin: Origin) -> RequestFailed:
    """What a reply of status 400 or above means; `body` is parsed JSON, or text."""
    code, message = _code(body), provider_message(body)
    told = f"{origin} answered {status}: {message}"
    wait = _retry_after(headers)
    if status == 413 or (status in _TOO_LONG_STATUSES and is_context_length(f"{code} {message} {_kind(body)}")):  # noqa: PLR2004
        limit = context_limit(message) or _count(body, "n_ctx")
        return RequestFailed(ContextLengthError, f"the prompt is too long: {told}", status=status, limit=limit)
    if status in (401, 403):
        return RequestFailed(AuthenticationError, f"{told}. {_which_key(origin)}", status=status)
    if status == 404:  # noqa: PLR2004
        hint = f"check the model's name, and {origin.url_hint}"
        return RequestFailed(ModelError, f"{told}; {hint}", status=status)
    if status == 402 or code in _QUOTA_CODES or _NO_CREDIT in message.lower():  # noqa: PLR2004
        return RequestFailed(RateLimitError, f"quota or credit used up: {told}", status=status)
    transient = status in _TRANSIENT or status >= 500  # noqa: PLR2004
    if headers.get("x-should-retry") == "false":
        transient = False
    kind = RateLimitError if status == 429 else ModelUnavailableError if transient else ModelError  # noqa: PLR2004
    return RequestFailed(kind, told, again="yes" if transient else "never", wait=wait, status=status)


def failed_connection(error: BaseException, origin: Origin, timeout: float) -> RequestFailed:
    """What an exception of the network below the SDK means."""
    chain = list(_chain(error))
    if any(isinstance(link, ssl.SSLCertVerificationError) for link in chain):
        told = f"the certificate of {origin.endpoint} can't be verified: {chain[-1]}. Set SSL_CERT_FILE to your authority's file"
        return RequestFailed(ModelUnavailableError, told)
    if any(isinstance(link, ConnectionRefusedError | socket.gaierror) for link in chain):
        told = f"no server answers at {origin.endpoint}: {chain[-1]}. Is it running, and is the address right?"
        return RequestFailed(ModelUnavailableError, told, again="briefly")
    if isinstance(error, TimeoutError):
        told = f"{origin}: no complete reply within {timeout:g} s (timeout)"
        return RequestFailed(ModelUnavailableError, told, again="yes", began=True)
    told = f"{origin}: the connection failed: {type(chain[-1]).__name__}: {_cut(str(chain[-1]))}"
    began = any(type(link).__name__ == "ClientPayloadError" or _IN_THE_MIDDLE in str(link) for link in chain)
    return RequestFailed(ModelUnavailableError, told, again="yes", began=began)


def bad_reply(why: str, body: str, origin: Origin, *, again: Again = "once") -> RequestFailed:
    """A reply of status 200 that is no reply."""
    # The secret is taken out before the cut, which could otherwise leave a part of it that is no longer recognised.
    shown = _cut(redact(body)) or "(empty)"
    return RequestFailed(
        BadReplyError, f"{origin} sent a reply that {why}: {shown}", again=again, status=200, began=True
    )


def provider_message(body: Any) -> str:
    """The provider's own words in an error's body, cut to a readable size."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    if isinstance(error, list | dict):
        error = json.dumps(error, default=str)
    return _cut(redact(str(error))) or "(no message)"


def backoff(attempt: int, wait: float | None) -> float:
    """Seconds before the request after number `attempt`: what the provider asks for, else `FIRST_WAIT`, doubled, up to 20 s.

    A random part keeps calls that were refused together from coming back together.
    """
    if wait is not None:
        return wait + random.uniform(0.0, min(1.0, 0.05 + wait / 10))  # noqa: S311 - no secret is made of it
    return min(_LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempt - 1, 10)) * random.uniform(0.6, 1.0)  # noqa: S311


def _code(body: Any) -> str:
    error = body.get("error", body) if isinstance(body, dict) else None
    return str(error.get("code") or "") if isinstance(error, dict) else ""


def _kind(body: Any) -> str:
    error = body.get("error", body) if isinstance(body, dict) else None
    return str(error.get("type") or "") if isinstance(error, dict) else ""


def _count(body: Any, name: str) -> int | None:
    error = body.get("error", body) if isinstance(body, dict) else None
    value = error.get(name) if isinstance(error, dict) else None
    return value if isinstance(value, int) else None


def _which_key(origin: Origin) -> str:
    if not origin.key_variables:
        return "Check the key that was passed"
    return f"Set {' or '.join(origin.key_variables)} to a key that may use this model, or pass api_key"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if not value:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            try:
                seconds = parsedate_to_datetime(value).timestamp() - time.time()
            except ValueError:
                continue
        if not math.isnan(seconds):
            return max(0.0, seconds)
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it, down to the bottom; the cancellation that a time-out is made of is left out."""
    seen: set[int] = set()
    while isinstance(error, Exception) and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MESSAGE_CHARS else f"{text[:_MESSAGE_CHARS]}… ({len(text):,} characters)"
