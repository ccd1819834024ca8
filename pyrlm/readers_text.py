"""From bytes to text: byte order marks, UTF-8, UTF-16, else a guess that is told; binary files are refused."""

from __future__ import annotations

import codecs
import re

from pyrlm.readers import UnreadableError

__all__ = ["decode", "unify_newlines"]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HEAD = 8192  # bytes looked at to tell text from binary
_GUESS = 1 << 16  # bytes shown to charset-normalizer, around the first one that is no UTF-8
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_MAX_CONTROL = 0.05  # share of control characters above which a file is no text
_MAX_BROKEN = 0.1  # share of characters beyond ASCII that may be damaged in a text that is still taken as UTF-8


def decode(data: bytes | bytearray, declared: str | None = None) -> tuple[str, str | None]:
    """Decode `data`; line ends stay as they are.

    Args:
        data: A file's content.
        declared: The encoding that the file itself names, used where it is no UTF-8.

    Returns:
        The text, and a note where the encoding had to be guessed or bytes were replaced; else None.

    Raises:
        UnreadableError: It is binary.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _lenient(data, name)
    head = bytes(data[:_HEAD])
    if wide := _unmarked_utf16(head):
        return _lenient(data, wide)
    if b"\0" in head or len(_CONTROL.findall(head)) > _MAX_CONTROL * len(head):
        raise UnreadableError("binary")
    try:
        return data.decode("utf-8"), None
    except UnicodeDecodeError as error:
        return _guess(data, error.start, declared)


def unify_newlines(text: str) -> str:
    """Return `text` with a newline for every kind of line end."""
    if "\r" not in text:
        return text
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _lenient(data: bytes | bytearray, encoding: str) -> tuple[str, str | None]:
    try:
        return data.decode(encoding), None
    except UnicodeDecodeError:
        text = data.decode(encoding, errors="replace")
        return text, f"{text.count(chr(0xFFFD))} places that are no {encoding} were replaced"


def _unmarked_utf16(head: bytes) -> str | None:
    """Tell UTF-16 of mostly Latin text: every second byte is zero, and none of the others."""
    pairs = len(head) // 2
    if pairs < 2 or b"\0" not in head:  # noqa: PLR2004 - a single pair tells nothing
        return None
    even, odd = head[: pairs * 2 : 2].count(0), head[1 : pairs * 2 : 2].count(0)
    if not even and odd > pairs // 2:
        return "utf-16-le"
    if not odd and even > pairs // 2:
        return "utf-16-be"
    return None


def _guess(data: bytes | bytearray, first_bad: int, declared: str | None) -> tuple[str, str | None]:
    if declared and _known(declared):
        text = data.decode(declared, errors="replace")
        return text, None
    text = data.decode("utf-8", errors="replace")
    broken = text.count(chr(0xFFFD))
    sample = bytes(data[max(0, first_bad - 1024) : first_bad + _GUESS])
    beyond = sum(1 for char in text[:_GUESS] if char > "\x7f") if broken else 0
    if broken <= _MAX_BROKEN * beyond:
        return text, f"{broken} places that are no UTF-8 were replaced"
    del text
    for name in (*_likely(sample), "latin-1"):
        try:
            return data.decode(name), f"read as {name}, a guess: it is no UTF-8"
        except UnicodeDecodeError:
            continue
    raise UnreadableError("binary")


def _likely(sample: bytes) -> list[str]:
    from charset_normalizer import from_bytes  # noqa: PLC0415 - costs 20 ms, and most files are UTF-8

    found = from_bytes(sample)
    best = found.best()
    if best is None:
        return ["cp1252"]
    for match in found:  # the Baltic and the Central European tables win ties against the far commoner Western one
        if "cp1252" in match.could_be_from_charset and match.coherence >= best.coherence:
            return ["cp1252", best.encoding]
    return [best.encoding, "cp1252"]


def _known(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding)._is_text_encoding  # noqa: SLF001 - hex, zip and the like are no text
    except LookupError:
        return False
