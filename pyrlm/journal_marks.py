"""Keys that turn up in a durable run: in its file stands a mark for each, and the key itself where the file is read again.

A text, a reply or a print-out may hold a key that this process knows (`pyrlm.redact`). No file gets it. Replaced by the
same word each, such texts would be others when the run is repeated; so a mark says which key it was, to a process that
has that key: it is a hash of four bytes, slow to compute, salted anew for each file. To anyone else it says nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from functools import lru_cache
from typing import TYPE_CHECKING

from pyrlm.errors import CheckpointError
from pyrlm.redact import known_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Marks"]

_ROUNDS = 20_000
_BLANK = b"[secret]"


class Marks:
    """The marks of one file.

    Args:
        salt: Of the file, in hexadecimal digits.
    """

    def __init__(self, salt: str) -> None:
        self.salt = salt
        self._pattern = re.compile(rf"\[secret {salt} ([0-9a-f]{{8}})\]".encode())

    @classmethod
    def new(cls) -> Marks:
        """Return those of a new file."""
        return cls(secrets.token_hex(8))

    def hide(self, data: bytes) -> bytes:
        """Return JSON or text with a mark in the place of each key."""
        found = [form for form in _forms(known_secrets()) if form in data]
        if not found:
            return data
        return re.sub(b"|".join(map(re.escape, found)), lambda key: self._mark(key[0]), data)

    def hide_all(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield a long text in pieces, with marks; a key may begin in one piece and end in the next."""
        longest = max(map(len, _forms(known_secrets())), default=1)
        kept = b""
        for piece in pieces:
            kept += piece
            cut = self._cut(kept, max(0, len(kept) - longest + 1))
            if cut:
                yield self.hide(kept[:cut])
                kept = kept[cut:]
        if kept:
            yield self.hide(kept)

    def show(self, data: bytes, path: Path) -> bytes:
        """Return what `hide` was given.

        Raises:
            CheckpointError: It held a key that this process does not have.
        """
        if not self._pattern.search(data):
            return data
        known = {_digest(form, self.salt): form for form in _forms(known_secrets())}

        def key(mark: re.Match[bytes]) -> bytes:
            if mark[1] not in known:
                raise CheckpointError(
                    f"{str(path)!r} can't be resumed: what the run read or wrote holds an API key or a password, which no "
                    "file gets, and this process has another one or none. Set up the models, the retriever and the MCP "
                    "servers with the key that the run was begun with; where there is no such key any more, start it again."
                )
            return known[mark[1]]

        return self._pattern.sub(key, data)

    def blank(self, data: bytes) -> bytes:
        """Return text with the same word for every key."""
        return self._pattern.sub(_BLANK, data)

    def _mark(self, key: bytes) -> bytes:
        return b"[secret %s %s]" % (self.salt.encode(), _digest(key, self.salt))

    @staticmethod
    def _cut(data: bytes, cut: int) -> int:
        """Return where `data` is cut near `cut`: before a key that stands across it."""
        starts = (
            data.rfind(form, max(0, cut - len(form) + 1), cut + len(form) - 1) for form in _forms(known_secrets())
        )
        return min((start for start in starts if 0 <= start < cut), default=cut)


@lru_cache(maxsize=4)
def _forms(known: tuple[str, ...]) -> tuple[bytes, ...]:
    """Return the bytes that secrets are in text and in JSON, longer ones first: one may be part of another."""
    forms = set()
    for secret in known:
        for text in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
            forms.add(text.encode("utf-8", "surrogatepass"))
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


@lru_cache(maxsize=1024)
def _digest(key: bytes, salt: str) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", key, salt.encode(), _ROUNDS, dklen=4).hex().encode()
