"""Thinking in a reply: it says nothing, and is dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re

    from pyrlm.replies_scan import Scan

__all__ = ["end_thinking", "thinking"]

_LONGEST_QUOTE = 20_000


def thinking(result: Scan, event: re.Match[str]) -> int:
    """Drop what stands between an opening tag and its end."""
    closer = f"</{event['think']}>" if event["think"] else {"[THINK]": "[/THINK]"}.get(event[0], "◁/think▷")
    end = result.find(closer, event.end())
    if end >= 0:
        result.dropped.append((event.start(), end + len(closer)))
        return end + len(closer)
    before = result.said(max(0, event.start() - 200), event.start())
    if before.rpartition("\n")[2].strip():
        return event.end()  # prose that mentions the tag
    result.note("unclosed thinking")
    result.open_thought = True
    result.dropped.append((event.start(), len(result.text)))
    return len(result.text)


def end_thinking(result: Scan, event: re.Match[str]) -> int:
    """A closing tag alone: the template has opened it, so all before it was thinking; in a quote it is quoted."""
    start = event.start()
    if result.find("<quote", 0) >= 0:
        near = max(0, start - _LONGEST_QUOTE)
        if result.text.rfind("<quote>", near, start) > result.text.rfind("</quote>", near, start):
            return event.end()
    result.pieces.clear()
    result.dropped[:] = [(0, event.end())]
    return event.end()
