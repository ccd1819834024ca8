"""How many tokens a text has, at once and without the network: counted, or estimated with bounds.

Three kinds of numbers, for three uses: `count` is the best single number; `upper_bound` is for budgets, where a number
that is too small lets a limit be passed; `estimate` is for decisions about texts of any size, as an interval.

Where a model's own vocabulary (tiktoken's list) is on this machine, it is used. A model that tiktoken doesn't know is
counted by the nearest vocabulary, with wider bounds. Without any vocabulary, `pyrlm.token_features` estimates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import TYPE_CHECKING, Literal, TypeVar

from pyrlm.token_features import Features
from pyrlm.token_features import estimate as features_of
from pyrlm.token_sample import SAMPLE_CHARS, Joined, project
from pyrlm.token_vocabulary import count_tokens, tokenizer_for

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from pyrlm.adapters.base import Message
    from pyrlm.token_vocabulary import Tokenizer

__all__ = ["TokenCounter", "TokenEstimate", "counter_for"]

Key = TypeVar("Key")
Found = TypeVar("Found")

_SAMPLES, _MORE_SAMPLES = 128, 256
_WHOLE_CHARS = _SAMPLES * SAMPLE_CHARS  # up to here counting all costs no more than counting samples
_EXACT_CHARS = 200_000  # counted exactly where it decides: about 10 ms
_BOUND_CHARS = 4_000_000  # beyond any window: the bound is the number of bytes
_KEPT = 2_048

# Tokens of other vocabularies against o200k_base, measured on 65 kinds of text with the tokenizers of Llama 3 and 4,
# Claude 2, Mistral 7B, Mistral Nemo, SmolLM2 and cl100k_base: on Latin scripts 0.7 to 1.8 times as many; some take each
# digit alone, and have no tokens for long runs of spaces or lines of dashes; beyond Latin up to 5 times as many. None
# has more tokens than bytes, but for one at the start and what a normalising tokenizer adds to rare characters.
_FOREIGN_LOW, _FOREIGN_HIGH, _FOREIGN_DIGIT, _FOREIGN_BEYOND = 0.7, 1.6, 0.7, 0.6
_FOREIGN_BOUND, _FOREIGN_BOUND_FEATURES = 2.0, 1.5
_RUNS = ("\t\t", *(character * 4 for character in " =-*#~_."))

# Chat templates: tokens around a message, and around all of them (start of the reply; a system prompt that some
# templates add by themselves).
_MESSAGE, _REQUEST = 4, 3
_MESSAGE_BOUND, _REQUEST_BOUND = 8, 48


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEstimate:
    """Tokens of a text as an interval.

    Attributes:
        low: The text has hardly fewer.
        high: The text has hardly more.
        best: The best single number.
        method: ``"exact"``: counted in the model's own vocabulary. ``"sampled"``: counted on samples, or in another
            vocabulary than the model's own. ``"features"``: without a vocabulary, from classes of characters.
            ``"bound"``: without a vocabulary; `high` is the number of UTF-8 bytes, which no count passes.
        vocabulary: Name of the vocabulary used; None without one.
    """

    low: int
    high: int
    best: int
    method: Literal["bound", "exact", "sampled", "features"]
    vocabulary: str | None


class TokenCounter:
    """Counts tokens for one model. Made by `counter_for`; safe to use from any number of threads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._bounds: dict[tuple[int, int, bool], int] = {}
        self._counts: dict[tuple[int, int], int] = {}
        self._measured: dict[tuple[int, int], Features] = {}

    @property
    def vocabulary(self) -> str | None:
        """Name of the vocabulary in use; None while it is being loaded, and where it is not on this machine."""
        return self._tokenizer.name if self._tokenizer.encoding is not None else None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the vocabulary is loaded or known to be missing, at most `timeout` seconds; returns whether it is.

        Nothing else here waits; this is for whoever wants the same numbers from the first call on.
        """
        return self._tokenizer.wait(timeout)

    def count(self, text: str) -> int:
        """Return the best number for `text`: exact up to 200,000 characters where there is a vocabulary."""
        encoding = self._tokenizer.encoding
        if len(text) > (_EXACT_CHARS if encoding is not None else _WHOLE_CHARS):
            return self._sampled(Joined([text]), _SAMPLES).best
        if encoding is None:
            return round(self._features(text).best)
        return _kept(self._counts, (hash(text), len(text)), lambda: count_tokens(encoding, text))

    def count_messages(self, messages: Iterable[Message]) -> int:
        """Return the best number for a chat request."""
        return _REQUEST + sum(_MESSAGE + self.count(message["content"]) for message in messages)

    def upper_bound(self, text: str) -> int:
        """Return a number that the tokens of `text` don't pass; never more than its UTF-8 bytes.

        Exact where the model's own vocabulary is loaded. Else what was never passed in calibration, which is a third
        to a half of the bytes of ordinary English; text beyond Latin scripts counts as its bytes. Bounds of long texts
        are remembered, so that asking again for a transcript that grows costs little.
        """
        encoding = self._tokenizer.encoding
        if len(text) < SAMPLE_CHARS:
            return self._bound(text)
        return _kept(self._bounds, (hash(text), len(text), encoding is not None), lambda: self._bound(text))

    def upper_bound_message(self, message: Message) -> int:
        """Return a number that one message in a request doesn't pass, its frame in the chat template included."""
        return _MESSAGE_BOUND + self.upper_bound(message["content"])

    def upper_bound_messages(self, messages: Iterable[Message]) -> int:
        """Return a number that the prompt tokens of a chat request don't pass."""
        return _REQUEST_BOUND + sum(map(self.upper_bound_message, messages))

    def estimate(
        self,
        texts: Sequence[str],
        separator: str = "",
        limits: Iterable[int] = (),
        *,
        known: dict[Hashable, TokenEstimate] | None = None,
    ) -> TokenEstimate:
        """Estimate the tokens of `texts` joined by `separator`, in milliseconds for any size.

        From 128 samples of 512 characters, spread evenly. The same texts give the same numbers, once the vocabulary is
        loaded or known to be missing.

        Args:
            texts: The parts; they are not joined.
            separator: What stands between them.
            limits: Numbers of tokens that decide something. If one of them lies inside the interval, more is counted:
                everything up to 200,000 characters, else 256 samples. Not for a model whose own vocabulary is not at
                hand: its interval would get no narrower.
            known: What was found out about the same texts before; is added to.
        """
        text = Joined(texts, separator)
        limits = list(limits)
        known = {} if known is None else known
        if text.length <= _WHOLE_CHARS:
            whole = text.whole()
            if self._tokenizer.encoding is None and limits and _bytes(whole) <= min(limits):
                return self._once(known, "bytes", lambda: self._bytes_alone(whole))
            return self._once(known, "whole", lambda: self._whole(whole))
        found = self._once(known, "samples", lambda: self._sampled(text, _SAMPLES))
        surer = self._tokenizer.own and self._tokenizer.encoding is not None
        if surer and any(found.low <= limit < found.high for limit in limits):
            if text.length <= _EXACT_CHARS:
                return self._once(known, "whole", lambda: self._whole(text.whole()))
            return self._once(known, "more samples", lambda: self._sampled(text, _MORE_SAMPLES))
        return found

    def _once(self, known: dict[Hashable, TokenEstimate], how: str, find: Callable[[], TokenEstimate]) -> TokenEstimate:
        key = (self, how, self._tokenizer.encoding is None)
        found = known.get(key)
        if found is None:
            found = known[key] = find()
        return found

    def _bytes_alone(self, text: str) -> TokenEstimate:
        """Bound by the bytes, where no vocabulary is at hand: enough for a text that is too short to pass any limit."""
        best = self._features(text).best
        return _estimate(Features(min(best, 1.0), best, _bytes(text)), "bound", None, _bytes(text))

    def _whole(self, whole: str) -> TokenEstimate:
        size = _bytes(whole)
        found = self._measure(whole)
        if self._tokenizer.encoding is None:
            return _estimate(found, "features", None, size)
        return _estimate(found, "exact" if self._tokenizer.own else "sampled", self.vocabulary, size)

    def _sampled(self, text: Joined, number: int) -> TokenEstimate:
        samples = list(text.samples(number))
        found = [self._measure(sample) for sample in samples]
        measured = [(len(sample), one.best) for sample, one in zip(samples, found, strict=True)]
        whole = project(measured, text.length)
        best = sum(one.best for one in found) or 1.0
        low = whole.best * sum(one.low for one in found) / best * (1 - min(1.0, whole.margin))
        high = whole.best * sum(one.high for one in found) / best * (1 + whole.margin)
        most = text.length if text.is_ascii() else 4 * text.length
        method: Literal["sampled", "features"] = "features" if self._tokenizer.encoding is None else "sampled"
        return _estimate(Features(low, whole.best, high), method, self.vocabulary, most)

    def _measure(self, text: str) -> Features:
        """Count or estimate `text`, with the bounds that this model's vocabulary allows."""
        encoding = self._tokenizer.encoding
        if encoding is None:
            found = self._features(text)
        else:
            tokens = count_tokens(encoding, text)
            found = Features(tokens, tokens, tokens)
        if self._tokenizer.own:
            return found
        most = _FOREIGN_HIGH * found.high + _FOREIGN_DIGIT * _digits(text) + _FOREIGN_BEYOND * _bytes_beyond_latin(text)
        most += _runs(text) + 2
        return Features(_FOREIGN_LOW * found.low, found.best, min(most, _bytes(text)))

    def _features(self, text: str) -> Features:
        return _kept(self._measured, (hash(text), len(text)), lambda: features_of(text, self._tokenizer.name))

    def _bound(self, text: str) -> int:
        size = _bytes(text)
        encoding = self._tokenizer.encoding
        if len(text) > (_BOUND_CHARS if encoding is not None else _EXACT_CHARS):
            return size
        if self._tokenizer.own and encoding is not None:
            return min(size, count_tokens(encoding, text))
        if encoding is not None:
            base = _FOREIGN_BOUND * count_tokens(encoding, text)
        else:
            base = (1.0 if self._tokenizer.own else _FOREIGN_BOUND_FEATURES) * self._features(text).high
        return min(size, ceil(base) + _digits(text) + _runs(text) + _bytes_beyond_latin(text) + 2)


def _kept(known: dict[Key, Found], key: Key, find: Callable[[], Found]) -> Found:
    """Return what is known under `key`, or find it out; system messages, questions and texts come again and again."""
    found = known.get(key)
    if found is None:
        found = find()
        if len(known) >= _KEPT:
            known.clear()
        known[key] = found
    return found


@cache
def counter_for(model: str | None) -> TokenCounter:
    """Return the counter of a model: at once, while its vocabulary is loaded in the background.

    Args:
        model: Name as sent to the provider, with or without a provider in front (``"openai/gpt-4o"``). None, or a
            model that tiktoken doesn't know: the nearest vocabulary, with wider bounds.
    """
    return TokenCounter(tokenizer_for(model))


def _estimate(
    found: Features, method: Literal["bound", "exact", "sampled", "features"], vocabulary: str | None, most: int
) -> TokenEstimate:
    best = min(round(found.best), most)
    return TokenEstimate(
        low=min(int(found.low), best),
        high=max(min(ceil(found.high), most), best),
        best=best,
        method=method,
        vocabulary=vocabulary,
    )


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _digits(text: str) -> int:
    return sum(map(text.count, "0123456789"))


def _runs(text: str) -> int:
    """Count the pieces of long runs of one character, each of which may be a token."""
    return sum(map(text.count, _RUNS))


def _bytes_beyond_latin(text: str) -> int:
    """Count the UTF-8 bytes of the characters that Latin-1 lacks."""
    if text.isascii():
        return 0
    latin = text.encode("latin-1", "ignore").decode("latin-1")
    return _bytes(text) - _bytes(latin)
