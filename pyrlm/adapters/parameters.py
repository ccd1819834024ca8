"""Parameters: those that some models refuse, learned from the first refusal, so that it costs one request, once."""

from __future__ import annotations

import math
import re
from typing import Any

from pyrlm.adapters.failures import provider_message
from pyrlm.adapters.rate_limit import RateLimit
from pyrlm.errors import ConfigurationError

__all__ = ["Parameters", "check_rate_limit", "check_seconds"]

# OpenAI's reasoning models refuse `max_tokens`; their names begin so. Other servers may not know the newer parameter.
_NEWER = re.compile(r"(o[134]|gpt-5)(-|\.|$)")
_REFUSAL = re.compile(
    r"unsupported|not support|deprecated|only the default|unrecogni[sz]ed|unknown|unexpected|extra (inputs|fields)"
    r"|not (permitted|allowed|available)|use '?max_(completion_)?tokens",
    re.IGNORECASE,
)
_REFUSED_WITH = frozenset({400, 422})


class Parameters:
    """How one model takes the limit of the reply and the temperature."""

    def __init__(self, model: str, *, at_openai: bool) -> None:
        newer = at_openai and _NEWER.match(model) is not None
        self._limit = "max_completion_tokens" if newer else "max_tokens"
        self._temperature = True
        self._stream_options = True
        self._switched = False

    def body(self, max_tokens: int, temperature: float | None) -> dict[str, Any]:
        """The parameters as this model takes them."""
        body: dict[str, Any] = {self._limit: max_tokens}
        if temperature is not None and self._temperature:
            body["temperature"] = temperature
        return body

    def streamed(self, body: dict[str, Any]) -> dict[str, Any]:
        """`body` for a reply in pieces, with usage at its end where the server can be asked for it."""
        asked = {"stream_options": {"include_usage": True}} if self._stream_options else {}
        return {"stream": True, **asked, **body}

    def learn(self, status: int, body: Any, sent: dict[str, Any]) -> bool:
        """Whether `body` refuses a parameter in `sent` that can be sent another way; later bodies then do so."""
        if status not in _REFUSED_WITH:
            return False
        if "temperature" in sent and _refuses(body, "temperature"):
            self._temperature = False
            return True
        if "stream_options" in sent and _refuses(body, "stream_options"):
            self._stream_options = False
            return True
        limit = "max_tokens" if "max_tokens" in sent else "max_completion_tokens"
        if _refuses(body, limit):
            if self._limit != limit:  # another call of this adapter has learned it meanwhile
                return True
            if not self._switched:
                self._switched = True
                self._limit = "max_completion_tokens" if limit == "max_tokens" else "max_tokens"
                return True
        return False


def _refuses(body: Any, name: str) -> bool:
    error = body.get("error", body) if isinstance(body, dict) else None
    code, param = (error.get("code"), error.get("param")) if isinstance(error, dict) else (None, None)
    if param == name and code in {"unsupported_parameter", "unsupported_value", "unknown_parameter"}:
        return True
    text = provider_message(body)
    # "max_tokens" is looked for as a word of its own, and first: the message may go on to name what to use instead.
    named = re.search(r"\b(max_completion_tokens|max_tokens|temperature|stream_options)\b", text)
    return named is not None and named[1] == name and _REFUSAL.search(text) is not None


def check_seconds(**given: object) -> None:
    """Raise `ConfigurationError` for a time limit that is none; those of retries may be 0."""
    for name, seconds in given.items():
        least = 0.0 if name == "retry_seconds" else 0.001
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not least <= seconds < math.inf:
            raise ConfigurationError(f"{name}={seconds!r}: expected a number of seconds of {least:g} or more.")


def check_rate_limit(given: object) -> None:
    """Raise `ConfigurationError` for what is no rate limit."""
    if given is not None and not isinstance(given, RateLimit):
        raise ConfigurationError(
            f"rate_limit={given!r}: expected a RateLimit, such as RateLimit(requests_per_minute=500)."
        )
