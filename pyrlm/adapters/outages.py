"""What kind of failure an exception or a text is that no server of a known protocol sent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pyrlm.adapters.wording import context_limit, is_context_length
from pyrlm.errors import AuthenticationError, ContextLengthError, ModelError, ModelUnavailableError, RateLimitError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["failure"]

# "Claude AI usage limit reached", "You've hit your session limit", "5-hour limit reached", "Quota exceeded for quota
# metric", "RESOURCE_EXHAUSTED", "exceeded your current quota", "Your credit balance is too low", "ThrottlingException".
_LIMITED = re.compile(
    r"""(usage|rate|session|request|token|credit|spend\w*|quota|hour|daily|weekly|monthly)[\s_-]?limit
    | limit\ (reached|exceeded) | hit\ your\ [\w\s-]{0,20}limit | too\ many\ requests | quota\ (exceeded|exhausted|reached)
    | (exceeded|insufficient)[\s_](your\ )?(current\ )?(quota|credits?|balance|funds) | resource[\s_]?(has\ been\ )?exhausted
    | credit\ balance\ is\ too\ low | (out\ of|no\ more)\ credits? | throttl(ed|ing)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_OUT = re.compile(
    r"""overloaded | service\ (is\ )?(temporarily\ )?unavailable | temporarily\ unavailable | bad\ gateway
    | gateway\ time-?out | internal\ server\ error | (connection|network|socket)[\s_](error|refused|reset|aborted|failed|lost)
    | (connection|request|operation|read|connect)\ (was\ )?(timed\ out|closed) | network\ is\ unreachable | no\ route\ to\ host
    | (could\ not|can'?t|cannot|failed\ to|unable\ to)\ (connect|resolve|reach) | name\ resolution | fetch\ failed
    | \bE(CONNREFUSED|CONNRESET|CONNABORTED|NOTFOUND|TIMEDOUT|HOSTUNREACH|NETUNREACH|AI_AGAIN)\b | socket\ hang\ up
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NO_KEY = re.compile(
    r"invalid[\s_](api|x-api)[\s_-]key|incorrect api key|not logged in|please (run /login|log ?in)|authentication[\s_](error|failed)"
    r"|\bunauthori[sz]ed\b",
    re.IGNORECASE,
)
# "API Error: 529 {…}", "HTTP 503", "status code 429", and a line that begins with the number.
_STATUS = re.compile(
    r"(?:^\W*|\b(?:error|https?(?:/[\d.]+)?|status|code)\W{0,3}(?:code\W{0,3})?)([45]\d\d)\b",
    re.IGNORECASE | re.MULTILINE,
)
_KEPT_FROM_NETWORK = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
# Classes of the SDKs and HTTP libraries that hold no status, by name: none of them need be installed.
_CLASSES: dict[str, type[ModelError]] = {
    **dict.fromkeys(("RateLimitError", "ResourceExhausted", "TooManyRequests", "ThrottlingException"), RateLimitError),
    **dict.fromkeys(
        ("APIConnectionError", "APITimeoutError", "TransportError", "ClientConnectionError", "EndpointConnectionError"),
        ModelUnavailableError,
    ),
    **dict.fromkeys(
        ("InternalServerError", "ServiceUnavailable", "ServiceUnavailableError", "DeadlineExceeded", "OverloadedError"),
        ModelUnavailableError,
    ),
    "AuthenticationError": AuthenticationError,
}


def failure(told: str, *, said: str, error: BaseException | None = None, model: str | None = None) -> ModelError:
    """The error that stands for a failure.

    Args:
        told: Its message.
        said: What the model's program or exception said, which tells of what kind it is.
        error: The exception, where there is one.
        model: Name of the model.
    """
    if is_context_length(said):
        return ContextLengthError(told, model=model, limit=context_limit(said))
    links = list(_causes(error))
    status = next((status for link in links if (status := _status(link)) is not None), None)
    kind = _kind_of_status(status) if status is not None else _kind_of_links(links)
    if kind is None and status is None:
        kind = _kind_of_text(said)
    return (kind or ModelError)(told, model=model, status=status)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def _status(error: BaseException) -> int | None:
    """The HTTP status that an exception of an SDK or an HTTP library carries."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        response = response.get("ResponseMetadata")
        found = response.get("HTTPStatusCode") if isinstance(response, dict) else None
        return found if isinstance(found, int) else None
    for holder in (error, response):
        for name in ("status_code", "http_status", "status", "code"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and 400 <= value < 600:  # noqa: PLR2004 - HTTP's errors
                return int(value)
    return None


def _kind_of_status(status: int) -> type[ModelError] | None:
    if status in (401, 403):
        return AuthenticationError
    if status in (402, 429):
        return RateLimitError
    return ModelUnavailableError if status >= 500 or status in (408, 425) else None  # noqa: PLR2004


def _kind_of_links(links: list[BaseException]) -> type[ModelError] | None:
    for link in links:
        for parent in type(link).__mro__:
            if parent.__name__ in _CLASSES:
                return _CLASSES[parent.__name__]
        of_a_file = isinstance(link, _KEPT_FROM_NETWORK) or getattr(link, "filename", None) is not None
        if isinstance(link, OSError) and not of_a_file:
            return ModelUnavailableError
    return None


def _kind_of_text(said: str) -> type[ModelError] | None:
    if _LIMITED.search(said):
        return RateLimitError
    if _OUT.search(said):
        return ModelUnavailableError
    if _NO_KEY.search(said):
        return AuthenticationError
    found = _STATUS.search(said)
    return _kind_of_status(int(found[1])) if found is not None else None
