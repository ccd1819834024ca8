"""Files of records: JSON, JSON Lines, CSV. Each record becomes a document of ``name: value`` lines."""

from __future__ import annotations

import csv
import json
import re
import threading
from typing import TYPE_CHECKING, Any

from pyrlm.readers import FileDocument

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["read_csv", "read_json", "read_jsonl", "render"]

_BLANK = re.compile(r"[ \t\n]*")
_DELIMITERS = ",;\t|"
_SAMPLE_CHARS = 1 << 16
_SAMPLE_ROWS = 30
_FIELD_LIMIT = 1 << 30
_csv_lock = threading.Lock()


def render(record: Any) -> str:
    """Return a record as text: a mapping as ``name: value`` lines, a string as it is, anything else as JSON."""
    if isinstance(record, str):
        return record
    if not isinstance(record, dict):
        return json.dumps(record, ensure_ascii=False)
    return "\n".join(
        f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in record.items()
    )


def read_jsonl(text: str, source: str, notes: list[str]) -> Iterator[FileDocument]:
    """Yield a document a line; a line that is no JSON is kept as it stands, and noted."""
    number, broken = 0, []
    for at, (start, end) in enumerate(_line_spans(text), start=1):
        line = text[start:end].strip()
        if not line:
            continue
        number += 1
        try:
            shown = render(json.loads(line))
        except (ValueError, RecursionError):
            broken.append(at)
            shown = line
        yield FileDocument(text=shown, source=source, kind="record", line=at, record=number)
    if broken:
        notes.append(f"{len(broken)} lines are no JSON and were kept as text, the first is line {broken[0]}")


def read_json(text: str, source: str, notes: list[str]) -> Iterator[FileDocument]:
    """Yield a document for each item of a list of records; the file as it stands where it is no such list."""
    start = _end(text, 0)
    if text.startswith("[", start) and text[_end(text, start + 1) : _end(text, start + 1) + 1] in ("{", '"'):
        yield from _items(text, start + 1, source, notes)
    elif _looks_like_lines(text, start):
        yield from read_jsonl(text, source, notes)
    elif "\\u" in text:  # escaped letters could not be searched
        try:
            shown = json.dumps(json.loads(text), ensure_ascii=False, indent=2)
        except (ValueError, RecursionError) as error:
            notes.append(f"no valid JSON, read as text: {error}")
            yield FileDocument(text=text, source=source)
        else:
            yield FileDocument(text=shown, source=source, kind="record")
    else:
        yield FileDocument(text=text, source=source)


def _items(text: str, at: int, source: str, notes: list[str]) -> Iterator[FileDocument]:
    """Yield the items of a list one by one, so that the whole is never held as Python objects."""
    decoder, line, counted, number = json.JSONDecoder(), 1, 0, 0
    at = _end(text, at)
    while not text.startswith("]", at):
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            notes.append(f"no valid JSON after item {number}, the rest is read as text: {error}")
            line += text.count("\n", counted, at)
            yield FileDocument(text=text[at:], source=source, line=line)
            return
        number += 1
        line += text.count("\n", counted, at)
        counted = at
        yield FileDocument(text=render(value), source=source, kind="record", line=line, record=number)
        at = _end(text, end)
        if text.startswith(",", at):
            at = _end(text, at + 1)
        elif not text.startswith("]", at):
            notes.append(f"the list is not closed after item {number}")
            if at < len(text):
                line += text.count("\n", counted, at)
                yield FileDocument(text=text[at:], source=source, line=line)
            return


def read_csv(text: str, source: str, notes: list[str], *, delimiter: str | None = None) -> Iterator[FileDocument]:
    """Yield a document a row, as ``column: value`` lines; the first row names the columns.

    The delimiter is the one of comma, semicolon, tab and bar that divides the first rows most evenly.
    """
    delimiter = delimiter or _sniff(text)
    with _csv_lock:  # the limit is one for the process; it stays raised, as a smaller one would lose rows
        csv.field_size_limit(max(csv.field_size_limit(), _FIELD_LIMIT))
    rows = csv.reader(_lines(text), delimiter=delimiter)
    names: list[str] = []
    number = 0
    first = 1
    for row in rows:
        if not any(row):
            pass
        elif not names:
            names = _unique(row)
        else:
            number += 1
            names += [f"column_{place + 1}" for place in range(len(names), len(row))]
            shown = "\n".join(f"{name}: {value}" for name, value in zip(names, row, strict=False))
            yield FileDocument(text=shown, source=source, kind="record", line=first, record=number)
        first = rows.line_num + 1
    if names and not number:
        notes.append("only one row, read as text")
        yield FileDocument(text=text, source=source)


def _unique(row: Sequence[str]) -> list[str]:
    names: list[str] = []
    for place, cell in enumerate(row, start=1):
        name = " ".join(cell.split()) or f"column_{place}"
        names.append(f"{name}_{place}" if name in names else name)
    return names


def _sniff(text: str) -> str:
    sample = text[:_SAMPLE_CHARS]
    best, best_score = ",", (0.0, 0)
    for delimiter in _DELIMITERS:
        widths = []
        for row in csv.reader(_lines(sample), delimiter=delimiter):
            if any(row):
                widths.append(len(row))
            if len(widths) == _SAMPLE_ROWS:
                break
        usual = max(set(widths), key=widths.count, default=1)
        score = (widths.count(usual) / len(widths), usual) if usual > 1 else (0.0, 0)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _looks_like_lines(text: str, start: int) -> bool:
    end = text.find("\n", start)
    if end < 0 or not text.startswith("{", start) or not text.startswith("{", _end(text, end)):
        return False
    try:
        json.loads(text[start:end])
    except (ValueError, RecursionError):
        return False
    return True


def _end(text: str, at: int) -> int:
    """Return where the white space at `at` ends."""
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _line_spans(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, end
        start = end + 1


def _lines(text: str) -> Iterator[str]:
    return (text[start : end + 1] for start, end in _line_spans(text))
