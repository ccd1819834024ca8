"""tiktoken's vocabularies, where their files are on this machine already: nothing here touches the network.

tiktoken downloads a vocabulary when it doesn't find it in its cache folder, or finds it damaged. So the file is looked
for and its hash checked first, in a background thread, and tiktoken is asked only where it will find what it wants.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tiktoken import Encoding

__all__ = ["DEFAULT_VOCABULARY", "Tokenizer", "count_tokens", "tokenizer_for"]

_log = logging.getLogger(__name__)

DEFAULT_VOCABULARY = "o200k_base"
"""Vocabulary for models that tiktoken doesn't know: the nearest to most current ones of those that it has."""

_URL = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"  # its SHA-1 is the name in tiktoken's cache
_O200K = ("o200k_base", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d")
_P50K = ("p50k_base", "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069")
_FILES = {  # file and its SHA-256, as in tiktoken's own source
    "o200k_base": _O200K,
    "o200k_harmony": _O200K,
    "cl100k_base": ("cl100k_base", "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"),
    "p50k_base": _P50K,
    "p50k_edit": _P50K,
    "r50k_base": ("r50k_base", "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"),
}

PIECE = 100_000
"""Characters handed to tiktoken at once: it panics at a million spaces in a row."""


class Tokenizer:
    """The vocabulary of one model, loaded in the background from the time it is made.

    Attributes:
        name: The vocabulary's name; `DEFAULT_VOCABULARY` until tiktoken has been asked.
        own: Whether it is the model's own, by tiktoken's list, and not just the nearest one.
        encoding: tiktoken's encoding; None until it is loaded, and for good where the file is not on this machine.
    """

    def __init__(self, model: str | None) -> None:
        self.name = DEFAULT_VOCABULARY
        self.own = False
        self.encoding: Encoding | None = None
        self._done = threading.Event()
        threading.Thread(target=self._load, args=(model,), name="pyrlm-vocabulary", daemon=True).start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the vocabulary is loaded or known to be missing, at most `timeout` seconds; returns whether it is."""
        return self._done.wait(timeout)

    def _load(self, model: str | None) -> None:
        try:
            self.name, self.own = _vocabulary_of(model)
            if _is_at_hand(self.name):
                self.encoding = _encoding(self.name)
        except Exception as error:  # noqa: BLE001 - without a vocabulary counts are estimated
            _log.debug("No vocabulary for %s: %s", model, error)
        finally:
            self._done.set()


@cache
def tokenizer_for(model: str | None) -> Tokenizer:
    """Return the tokenizer of a model, the same object every time."""
    return Tokenizer(model)


def _vocabulary_of(model: str | None) -> tuple[str, bool]:
    from tiktoken.model import encoding_name_for_model  # noqa: PLC0415 - loaded in the background

    try:
        return encoding_name_for_model((model or "").lower().rsplit("/", 1)[-1]), True
    except KeyError:
        return DEFAULT_VOCABULARY, False


def _is_at_hand(name: str) -> bool:
    if name not in _FILES:
        return False
    file, digest = _FILES[name]
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    if folder is None:
        folder = str(Path(tempfile.gettempdir()) / "data-gym-cache")
    if not folder:  # an empty name turns tiktoken's cache off: it would download
        return False
    path = Path(folder) / hashlib.sha1(_URL.format(file).encode(), usedforsecurity=False).hexdigest()
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


@cache
def _encoding(name: str) -> Encoding:
    import tiktoken  # noqa: PLC0415 - loaded in the background

    return tiktoken.get_encoding(name)


def count_tokens(encoding: Encoding, text: str) -> int:
    """Count the tokens of `text` exactly, but for one or two at each cut every `PIECE` characters."""
    return sum(_count_piece(encoding, piece) for piece in _pieces(text))


def _pieces(text: str) -> Iterator[str]:
    """Cut before white space where there is some near the end of a piece: tokens seldom reach across it."""
    start = 0
    while len(text) - start > PIECE:
        end = start + PIECE
        while end > start + PIECE - 200 and not text[end].isspace():
            end -= 1
        yield text[start:end]
        start = end
    yield text[start:] if start else text


def _count_piece(encoding: Encoding, text: str) -> int:
    try:
        return len(encoding.encode_ordinary(text))
    except BaseException as error:
        # A panic in tiktoken's Rust code is no Exception. It has no importable class, only this name.
        if type(error).__name__ != "PanicException":
            raise
        return len(text.encode("utf-8", "surrogatepass"))
