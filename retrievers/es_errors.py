"""What went wrong between here and a cluster, in words: the cause, not the type of the exception."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyrlm.errors import RetrieverError
from pyrlm.redact import redact

__all__ = [
    "BLOCKED",
    "ClusterError",
    "RefusedItem",
    "cause_of",
    "check_complete",
    "explain",
    "is_worth_repeating",
    "item_cause",
]

BLOCKED: Final = "cluster_block_exception"
"""The index takes no writes. It comes with status 429 where the disk is full, though trying again is in vain."""

BUSY: Final = frozenset({429, 502, 503, 504})
UNKNOWN: Final = 401
DENIED: Final = frozenset({UNKNOWN, 403})
_CAUSES_SHOWN: Final = 3
_MESSAGE_CHARS: Final = 600


class ClusterError(RetrieverError):
    """What a request to a cluster failed of.

    Attributes:
        status: HTTP status of the reply; 0 where there was none.
        kind: Elasticsearch's name for the error; empty where it gave none.
    """

    def __init__(self, message: str, *, retryable: bool = False, status: int = 0, kind: str = "") -> None:
        super().__init__(message, retryable=retryable)
        self.status = status
        self.kind = kind


class RefusedItem(Exception):  # noqa: N818 - it never leaves these modules
    """One search of a request that holds several was refused, with the status that it would have had by itself."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        super().__init__("refused")
        self.status_code = int(item.get("status") or 500)
        self.body = item


def cause_of(body: object) -> tuple[str, str]:
    """Type and reason of the error in a reply's body: with its deepest causes, and those of the shards that failed."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if not isinstance(error, Mapping):
        return "", str(error or "")[:_MESSAGE_CHARS]
    found: dict[str, None] = {}
    _collect(error, found)
    return str(error.get("type") or ""), "; ".join(list(found)[:_CAUSES_SHOWN])[:_MESSAGE_CHARS]


def item_cause(item: Mapping[str, Any]) -> tuple[str, str]:
    """Type and reason of one failed item of a bulk request."""
    return cause_of({"error": item.get("error")})


def _collect(error: Mapping[str, Any], found: dict[str, None]) -> None:
    reason = error.get("reason")
    if isinstance(reason, Mapping):  # a failed shard: its reason is an error again
        _collect(reason, found)
    elif reason and reason != "all shards failed":
        found[str(reason)] = None
    for key in ("root_cause", "failed_shards"):
        for inner in error.get(key) or ():
            if isinstance(inner, Mapping):
                _collect(inner, found)
    if isinstance(error.get("caused_by"), Mapping):
        _collect(error["caused_by"], found)


def is_worth_repeating(error: BaseException) -> bool:
    """Whether the same request may well work a moment later. A time-out is none: the work may still be going on."""
    import elasticsearch  # noqa: PLC0415

    if isinstance(error, (elasticsearch.ApiError, RefusedItem)):
        return error.status_code in BUSY and cause_of(error.body)[0] != BLOCKED
    timed_out = isinstance(error, elasticsearch.ConnectionTimeout)
    return isinstance(error, elasticsearch.ConnectionError) and not timed_out and not _is_tls(error)


def explain(error: BaseException, *, doing: str, index: str = "", seconds: float | None = None) -> ClusterError:
    """Turn an exception of the client into a `RetrieverError` that names the cause and what to do.

    Args:
        error: The exception.
        doing: What was tried, such as ``"searching"``.
        index: The index that was asked.
        seconds: The time-out of the request.
    """
    import elasticsearch  # noqa: PLC0415

    if isinstance(error, elasticsearch.UnsupportedProductError):
        message, retryable = "the server there is not Elasticsearch", False
    elif isinstance(error, (elasticsearch.ApiError, RefusedItem)):
        message, retryable = _refusal(error, index)
    elif isinstance(error, elasticsearch.ConnectionTimeout):
        within = f" within {seconds:g} s" if seconds else ""
        message, retryable = f"no answer{within}; give a larger timeout, or a narrower filter", True
    elif _is_tls(error):
        message = (
            f"the connection isn't trusted ({_plain(error)}): give the file of the authority that signed the cluster's "
            "certificate as ca_certs (on the command line --ca-certs)"
        )
        retryable = False
    elif isinstance(error, elasticsearch.ConnectionError):
        message, retryable = f"no connection to Elasticsearch: {_plain(error)}", True
    else:
        message, retryable = f"{type(error).__name__}: {_plain(error)}", False
    where = f" in {index!r}" if index else ""
    return ClusterError(
        redact(f"{doing}{where} failed: {message}"),
        retryable=retryable,
        status=int(getattr(error, "status_code", 0)),
        kind=cause_of(getattr(error, "body", None))[0],
    )


def _plain(error: BaseException) -> str:
    return str(getattr(error, "message", "") or error)[:_MESSAGE_CHARS]


def _is_tls(error: BaseException) -> bool:
    import elasticsearch  # noqa: PLC0415

    return isinstance(error, elasticsearch.SSLError) or "CERTIFICATE_VERIFY_FAILED" in str(error)


def _refusal(error: Any, index: str) -> tuple[str, bool]:
    status = error.status_code
    kind, reason = cause_of(error.body)
    reason = reason or _plain(error)
    if kind == "media_type_header_exception":
        return _wrong_client(), False
    if kind == BLOCKED:
        return (
            f"the index takes no writes ({reason}); a disk that is nearly full does that: make room, then set "
            "index.blocks.read_only_allow_delete to null"
        ), False
    if kind == "index_not_found_exception":
        return f"there is no index {index!r}: index documents first, or name another", False
    if status in DENIED:
        return _denied(status, reason), False
    if status in BUSY:
        return f"the cluster has no room for the request now (status {status}): {reason}", True
    return f"{reason} (status {status}{', ' + kind if kind else ''})", False


def _denied(status: int, reason: str) -> str:
    if status != UNKNOWN:
        return f"the credentials are known but may not do this (status {status}): {reason}"
    return (
        f"the cluster does not know the credentials, or there were none (status {status}): {reason}; give api_key "
        "or basic_auth (on the command line ELASTICSEARCH_API_KEY, or --user and ELASTICSEARCH_PASSWORD)"
    )


def _wrong_client() -> str:
    import elasticsearch  # noqa: PLC0415

    version = elasticsearch.__version__
    return (
        f"the server is older than the client ({version[0]}.{version[1]}) and refuses its requests: "
        f"pip install 'elasticsearch[async]>=8.19,<{version[0]}', which talks to servers 8 and 9"
    )


def check_complete(body: Mapping[str, Any], doing: str, index: str) -> None:
    """Refuse a reply that looks like a success and is none: status 200 with shards missing, or out of time.

    Raises:
        RetrieverError: It is not complete.
    """
    if body.get("timed_out"):
        raise RetrieverError(f"{doing} in {index!r} failed: the cluster ran out of time", retryable=True)
    shards = body.get("_shards") or {}
    if shards.get("failed"):
        _, reason = cause_of({"error": {"failed_shards": shards.get("failures") or []}})
        raise RetrieverError(
            redact(f"{doing} in {index!r} failed: {shards['failed']} of {shards.get('total')} shards: {reason}"),
            retryable=True,
        )
