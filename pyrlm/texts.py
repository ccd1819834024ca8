"""Passes over many strings that stand for one text: encoding it, sampling it, checking it."""

from __future__ import annotations

import hashlib
from array import array
from itertools import islice
from typing import TYPE_CHECKING, Any

from pyrlm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["PIECE_CHARS", "Count", "check_texts", "encode_pieces", "fingerprint"]

PIECE_CHARS = 1 << 20
"""Characters encoded at a time; at most 4 MB of UTF-8."""
_SAMPLED_DOCUMENTS = 64
_SAMPLE_CHARS = 256


class Count(int):
    """A number that may also be called: `context.len_chars` and `context.len_chars()` mean the same."""

    __slots__ = ()

    def __call__(self) -> int:
        """Return the plain number."""
        return int(self)


def check_texts(texts: Sequence[Any], where: str) -> None:
    """Raise `ConfigurationError` that names the first of `texts` that is no string, and what to do."""
    if set(map(type, texts)) <= {str}:
        return
    for number, text in enumerate(texts):
        if isinstance(text, str):
            continue
        name = type(text).__name__
        hint = "decode it first: data.decode('utf-8')" if isinstance(text, bytes) else "pass its text"
        raise ConfigurationError(f"{where}: document {number} must be a string, got {name}; {hint}")


def encode_pieces(texts: Sequence[str], separator: str, max_chars: int = PIECE_CHARS) -> Iterator[bytes]:
    """Yield `texts` joined by `separator` as UTF-8, lone surrogates kept, at most `max_chars` characters a piece."""
    held: list[str] = []
    size = 0
    for part in _parts(texts, separator, max_chars):
        if size + len(part) > max_chars:
            yield "".join(held).encode("utf-8", "surrogatepass")
            held, size = [], 0
        held.append(part)
        size += len(part)
    if size:
        yield "".join(held).encode("utf-8", "surrogatepass")


def _parts(texts: Sequence[str], separator: str, max_chars: int) -> Iterator[str]:
    for number, text in enumerate(texts):
        for whole in (separator if number else "", text):
            if len(whole) <= max_chars:
                yield whole
            else:
                yield from (whole[start : start + max_chars] for start in range(0, len(whole), max_chars))


def fingerprint(texts: Sequence[str], separator: str) -> str:
    """Return a hash of all lengths and of text sampled from up to 65 documents."""
    digest = hashlib.blake2b(array("q", map(len, texts)).tobytes(), digest_size=16)
    digest.update(separator.encode("utf-8", "surrogatepass"))
    for text in _evenly(texts):
        middle = len(text) // 2
        sample = text[:_SAMPLE_CHARS] + text[middle : middle + _SAMPLE_CHARS] + text[-_SAMPLE_CHARS:]
        digest.update(sample.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _evenly(texts: Sequence[str]) -> Iterator[str]:
    step = max(1, len(texts) // _SAMPLED_DOCUMENTS)
    yield from islice(texts, 0, step * _SAMPLED_DOCUMENTS, step)
    yield from texts[-1:]
