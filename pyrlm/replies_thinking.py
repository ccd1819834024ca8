"""Thinking in a reply: it says nothing, and is dropped. Tags that are quoted or talked about are no thinking."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyrlm.replies_scan import Scan

__all__ = [
    "QUOTATION_MARKS",
    "THINK_TAGS",
    "THINK_WORDS",
    "end_of_draft",
    "end_thinking",
    "in_quote",
    "mentioned",
    "mentioned_pair",
    "thinking",
]

THINK_WORDS = "think|thinking|thought|thoughts|reasoning|scratchpad|antThinking"
THINK_TAGS = tuple(THINK_WORDS.split("|"))
_TAG = re.compile(
    rf"</(?:antml:)?(?:{THINK_WORDS})>|\[/THINK\]|◁/think▷|(?P<opens><(?:antml:)?(?:{THINK_WORDS})>|\[THINK\]|◁think▷)"
)
_LONGEST_QUOTE = 20_000
_LONGEST_LINE = 500
QUOTATION_MARKS = {'"': '"', "`": "`", "'": "'", "“": "”", "‘": "’", "«": "»", "„": "“", "「": "」"}


def thinking(result: Scan, event: re.Match[str]) -> int:
    """Drop what stands between an opening tag and its end."""
    if mentioned(result.text, *event.span()) or _in_quote(result, event.start()):
        return event.end()
    closer = f"</{event['think']}>" if event["think"] else {"[THINK]": "[/THINK]"}.get(event[0], "◁/think▷")
    end = result.find(closer, event.end())
    if end >= 0:
        after = end + len(closer)
        if not mentioned_pair(result.text, event.start(), after):
            result.drop_thought(event.start(), after)
        return after
    before = result.said(max(0, event.start() - 200), event.start())
    if before.rpartition("\n")[2].strip():
        return event.end()  # prose that mentions the tag
    result.note("unclosed thinking")
    result.open_thought = True
    result.drop_thought(event.start(), len(result.text))
    return len(result.text)


def end_thinking(result: Scan, event: re.Match[str]) -> int:
    """A closing tag alone: the template has opened it, so all before it was thinking."""
    if not mentioned(result.text, *event.span()) and not _in_quote(result, event.start()):
        result.pieces.clear()
        result.dropped.clear()
        result.thoughts.clear()
        result.drop_thought(0, event.end())
    return event.end()


def end_of_draft(body: str) -> int:
    """Return where thinking that no tag has opened ends within a block; -1 for nowhere. Pairs of tags are its content."""
    depth = 0
    for tag in _TAG.finditer(body):
        if tag["opens"]:
            depth += 1
        elif depth:
            depth -= 1
        elif not mentioned(body, *tag.span()):
            return tag.start()
    return -1


def mentioned(text: str, start: int, end: int) -> bool:
    """Tell whether a tag is talked about: it stands by itself in quotation marks or backticks that open before it."""
    mark = text[start - 1 : start] if start else ""
    return mark in QUOTATION_MARKS and text[end : end + 1] == QUOTATION_MARKS[mark] and _opens(text, mark, start)


def mentioned_pair(text: str, start: int, end: int) -> bool:
    """Tell whether tags are quoted together with what stands between them, on one line."""
    return mentioned(text, start, end) and "\n" not in text[start : min(end, start + _LONGEST_LINE)]


def in_quote(text: str, since: int, start: int) -> bool:
    """Tell whether what begins at `start` stands in a ``<quote>`` that has begun at `since` or after it."""
    near = max(since, start - _LONGEST_QUOTE)
    return text.rfind("<quote>", near, start) > text.rfind("</quote>", near, start)


def _opens(text: str, mark: str, place: int) -> bool:
    """Tell whether the mark before `place` opens a quotation: those of its line pair up before it."""
    if mark != QUOTATION_MARKS[mark] or mark == "'":  # an apostrophe is no mark
        return True
    line = text[max(0, place - _LONGEST_LINE) : place]
    return line.rpartition("\n")[2].count(mark) % 2 == 1


def _in_quote(result: Scan, start: int) -> bool:
    if result.find("<quote", 0) < 0:
        return False
    return in_quote(result.text, result.thoughts[-1][1] if result.thoughts else 0, start)
