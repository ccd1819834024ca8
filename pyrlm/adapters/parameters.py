"""Parameters: those that some models refuse, learned from the first refusal, so that it costs one request, once."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from pyrlm.adapters.failures import provider_message
from pyrlm.adapters.rate_limit import RateLimit
from pyrlm.errors import ConfigurationError

__all__ = ["Parameters", "check_rate_limit", "check_seconds", "check_whole", "without_extra"]

# OpenAI's reasoning models refuse `max_tokens`; their names begin so. Other servers may not know the newer parameter.
_NEWER = re.compile(r"(o[134]|gpt-5)(-|\.|$)")
_REFUSAL = re.compile(
    r"unsupported|not support|deprecated|only the default|unrecogni[sz]ed|unknown|unexpected|extra (inputs|fields)"
    r"|not (permitted|allowed|available)|use '?max_(completion_)?tokens",
    re.IGNORECASE,
)
_REFUSED_WITH = frozenset({400, 422})
_LIMITS = ("max_tokens", "max_completion_tokens")
# llama.cpp's server, text-generation servers and others read a limit of their own name before OpenAI's.
_CAPS = (*_LIMITS, "max_output_tokens", "max_new_tokens", "n_predict", "num_predict")


class Parameters:
    """How one model takes the limit of the reply and the temperature."""

    def __init__(self, model: str, *, at_openai: bool) -> None:
        newer = at_openai and _NEWER.match(model) is not None
        self._limit = "max_completion_tokens" if newer else "max_tokens"
        self._switched = False
        self._refused: set[str] = set()

    def fit(self, body: Mapping[str, Any], max_tokens: int, temperature: float | None) -> dict[str, Any]:
        """`body` with limit and temperature as this model takes them.

        A temperature in `body` goes before `temperature`. A limit in it is a cap of its own: the smaller one is sent.

        Raises:
            ConfigurationError: `body` holds a parameter that no call can be made with.
        """
        _check(body)
        fitted = {name: value for name, value in body.items() if name not in (*_LIMITS, *self._refused)}
        if temperature is not None and "temperature" not in (*body, *self._refused):
            fitted["temperature"] = temperature
        given = {name: body[name] for name in _LIMITS if body.get(name) is not None}
        name = self._limit if self._switched or len(given) != 1 else next(iter(given))
        return self.capped({**fitted, name: min([max_tokens, *given.values()])}, max_tokens)

    @staticmethod
    def capped(body: Mapping[str, Any], max_tokens: int) -> dict[str, Any]:
        """`body`, no limit of the reply in it above `max_tokens`."""
        return {
            name: min(value, max_tokens) if name in _CAPS and _is_count(value) else value
            for name, value in body.items()
        }

    def takes_temperature(self) -> bool:
        """Whether a temperature was never refused."""
        return "temperature" not in self._refused

    def streamed(self, body: dict[str, Any]) -> dict[str, Any]:
        """`body` for a reply in pieces, with usage at its end where the server can be asked for it."""
        asked = {} if "stream_options" in self._refused else {"stream_options": {"include_usage": True}}
        return {**asked, **body, "stream": True}

    def learn(self, status: int, body: Any, sent: Any) -> str | None:
        """The parameter in `sent` that `body` refuses, if it is one that can be left out or sent by another name.

        Later bodies do so; one that still has it can't be helped.
        """
        if status not in _REFUSED_WITH or not isinstance(sent, dict):
            return None
        for name in ("temperature", "stream_options"):
            if name in sent and _refuses(body, name):
                self._refused.add(name)
                return name
        for name in _LIMITS:
            if name in sent and _refuses(body, name):
                if not self._switched:
                    self._switched = True
                    self._limit = next(other for other in _LIMITS if other != name)
                return name
        return None


def without_extra(options: Mapping[str, Any]) -> dict[str, Any]:
    """`options`, those in `extra_body` among them."""
    extra = options.get("extra_body")
    if extra is not None and not isinstance(extra, Mapping):
        raise ConfigurationError(f"extra_body={type(extra).__name__}: expected a dict of further parameters.")
    return {**{name: value for name, value in options.items() if name != "extra_body"}, **(extra or {})}


def check_whole(options: Mapping[str, Any]) -> None:
    """Raise `ConfigurationError` for options that ask for a reply in pieces."""
    if options.get("stream"):
        raise ConfigurationError("stream=True: replies are read as a whole; leave the option out, or use astream.")


def _check(body: Mapping[str, Any]) -> None:
    check_whole(body)
    for name, value in body.items():
        if name == "n" and value not in (None, 1):
            raise ConfigurationError(f"n={value!r}: one reply is read, and each is paid for; leave the option out.")
        if name in _CAPS and value is not None and not _is_count(value):
            raise ConfigurationError(
                f"{name}={value!r}: expected a whole number of tokens, 1 or more; without it the limit of the call is sent."
            )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


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
