"""Which part of a reply may be shown while it is written: what is surely the answer, whatever comes after it.

Held back are thinking, the block of quotes, a marker before the answer, and what may turn out to say that there is no
answer. What is let through is the beginning of what `parse_direct` makes of the whole reply, but for oddities; whoever
shows it compares the two at the end.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Literal

from pyrlm.replies_direct import ABSTENTION, HEADING, LEAD, LONGEST_ABSTENTION, plain_abstention
from pyrlm.replies_scan import MARKER
from pyrlm.replies_thinking import QUOTATION_MARKS, THINK_TAGS, in_quote, mentioned, mentioned_pair

__all__ = ["ShownAnswer"]

_OPENED = {f"<{space}{tag}>": f"</{tag}>" for tag in THINK_TAGS for space in ("", "antml:")}
_OPENED |= {"[THINK]": "[/THINK]", "◁think▷": "◁/think▷"}
_CLOSED = [f"</{space}{tag}>" for tag in THINK_TAGS for space in ("", "antml:")] + ["[/THINK]", "◁/think▷"]
_QUOTES = ["<quotes>", "</quotes>", "<quote>", "<quote ", "</quote>"]
_ANY_CLOSER = re.compile("|".join(map(re.escape, _CLOSED)))
_ANY_OPENER = re.compile("|".join(map(re.escape, _OPENED)))
_CHANNELS = ("<|channel|>", "<|start|>")
_MARK = re.compile(r"[<\[◁]")
_LONGEST_TAG = max(map(len, _CLOSED))
_NO_ANSWER = "NO_ANSWER"
_AROUND = " \t\r\n*_`\"'“”<>(["
_HELD_AT_THE_END = " \t\r\n`"

Phase = Literal["thinking", "marker", "opening", "answer", "silent"]
Found = Literal["thinking", "thought", "quotes", "maybe", ""]


class ShownAnswer:
    """Takes a reply in pieces and gives what may be shown.

    Args:
        final: Whether the reply is one of the loop, of which only an answer after ``FINAL:`` is shown.
        thinking: Whether it begins in the middle of thinking, as templates do that open the tag themselves.

    Attributes:
        thought: Whether all before was thinking, as a closing tag alone has told: what was shown is to be taken back.
    """

    def __init__(self, *, final: bool = False, thinking: bool = False) -> None:
        self.thought = False
        self._text = ""
        self._place = 0  # what is before it was shown, or is not to be shown
        self._searched = 0  # no closing tag begins before it
        self._quoted = 0  # tags before it are quoted
        self._closer: str | None = None
        self._restarted = self._led = False
        self._begin: Phase = "marker" if final else "opening"
        self._phase: Phase = "thinking" if thinking else self._begin

    def feed(self, piece: str) -> str:
        """Take the next piece of the reply; return what may be shown beyond what was shown before."""
        self._text += piece
        shown: list[str] = []
        while True:
            before, self._restarted = self._phase, False
            if before == "answer":
                shown.append(self._answer())
            else:
                {"thinking": self._think, "marker": self._mark, "opening": self._open, "silent": self._watch}[before]()
            if self._restarted:
                self.thought = True
                shown.clear()
            elif self._phase == before:
                return "".join(shown)

    def _think(self) -> None:
        """Look for the end of thinking."""
        if self._closer is None:
            found = _ANY_CLOSER.search(self._text, self._searched)
            end = found.end() if found is not None else -1
        else:
            start = self._text.find(self._closer, self._searched)
            end = start + len(self._closer) if start >= 0 else -1
        self._searched = max(self._searched, len(self._text) - _LONGEST_TAG)
        if end >= 0:
            self._place, self._searched, self._phase = end, end, self._begin

    def _mark(self) -> None:
        """Look for ``FINAL:`` at the beginning; a reply that begins otherwise is not shown."""
        rest = self._rest()
        if not rest or self._thinks(rest):
            return
        match = _partial(MARKER).match(rest, partial=True)
        if match is None:
            self._phase = "silent"
        elif not match.partial and match.end() < len(rest):
            opened, closed = match["open"], (match["mid"] or "") + (match["post"] or "")
            plain = match["colon"] and (match["word"] or "").isupper() and ">" not in match["lead"]
            self._phase = "opening" if plain and (not opened or closed.endswith(opened[::-1])) else "silent"
            self._place += match.end() if self._phase == "opening" else 0

    def _open(self) -> None:
        """Hold the beginning back until it is known not to be a marker, an object or the word that there is no answer."""
        rest = self._rest()
        if not rest or self._thinks(rest):
            return
        lead = None if self._led else _partial(LEAD).match(rest, partial=True)
        if lead is not None and (lead.partial or lead.end() == len(rest)):
            return
        if lead is not None:
            self._place, self._led = self._place + lead.end(), True
            rest = rest[lead.end() :]
        marker = None if self._led else _partial(MARKER).match(rest, partial=True)
        if marker is not None and (marker.partial or marker.end() == len(rest)):
            return
        stop, found = self._next_mark(self._place)
        head = self._text[self._place : stop]
        if found == "thought":
            self._again(stop)
        elif marker is not None or rest.startswith(("{", *_CHANNELS)) or _fenced_object(rest):
            self._phase = "silent"
        elif found == "quotes":
            self._phase = "silent" if _may_abstain(head) else "answer"  # what follows a loose quote belongs to it too
        elif not _may_abstain(head) and not _may_be_fenced(rest):
            self._phase = "answer"

    def _rest(self) -> str:
        """Return what is left to look at, from its first character that is no space."""
        rest = self._text[self._place :]
        self._place += len(rest) - len(rest.lstrip())
        return rest.lstrip()

    def _thinks(self, rest: str) -> bool:
        """Tell whether what begins here is thinking, or may be."""
        for opener, closer in _OPENED.items():
            if rest.startswith(opener):
                self._closer, self._phase, self._searched = closer, "thinking", self._place
                return True
        return any(opener.startswith(rest) for opener in (*_OPENED, *_CHANNELS))

    def _answer(self) -> str:
        """Return as much as is surely the answer; thinking in the middle of it is cut out."""
        shown = []
        while True:
            stop, found = self._next_mark(self._place)
            shown.append(self._text[self._place : stop])
            self._place = stop
            if found == "quotes":
                self._phase, self._searched = "silent", stop
            if found == "thought":
                self._again(stop)
            if found != "thinking":
                return "".join(shown)
            opener = _ANY_OPENER.search(self._text, stop)
            end = self._text.find(self._closer or "", stop)
            if opener is None or end < 0:
                return "".join(shown)
            self._text = self._text[: opener.start()] + self._text[end + len(self._closer or "") :]

    def _watch(self) -> None:
        """Watch what is not shown for the end of thinking that no tag had opened."""
        for closer in _ANY_CLOSER.finditer(self._text, self._searched):
            known = mentioned(self._text, *closer.span()) or in_quote(self._text, self._place, closer.start())
            if not known and _ANY_OPENER.search(self._text, self._place, closer.start()) is None:
                self._again(closer.start())
                return
        self._searched = max(self._searched, len(self._text) - _LONGEST_TAG)

    def _again(self, place: int) -> None:
        """Begin anew after a closing tag: all before it was thinking."""
        closer = _ANY_CLOSER.search(self._text, place)
        self._place = self._searched = closer.end() if closer is not None else len(self._text)
        self._restarted, self._led, self._phase = True, False, self._begin

    def _next_mark(self, start: int) -> tuple[int, Found]:
        """Return how far the text may be shown from `start` on, and what stands there."""
        heading = self._heading(start)
        limit = heading[0] if heading is not None else len(self._text)
        for mark in _MARK.finditer(self._text, start, limit):
            found = self._tag(mark.start()) if mark.start() >= self._quoted else ""
            if found:
                return self._trimmed(start, mark.start()), found
        return self._trimmed(start, limit), heading[1] if heading is not None else ""

    def _trimmed(self, start: int, end: int) -> int:
        return start + len(self._text[start:end].rstrip(_HELD_AT_THE_END))

    def _tag(self, place: int) -> Found:
        tail = self._text[place : place + 40]
        for opener, closer in _OPENED.items():
            if tail.startswith(opener):
                return self._opened(place, place + len(opener), closer)
        closed = _ANY_CLOSER.match(self._text, place)
        if closed is not None:
            return self._ended(*closed.span())
        if tail.lower().startswith(tuple(_QUOTES)):
            return "quotes"
        return "maybe" if any(tag.startswith((tail, tail.lower())) for tag in (*_OPENED, *_CLOSED, *_QUOTES)) else ""

    def _opened(self, place: int, end: int, closer: str) -> Found:
        """Tell an opening tag from one that is quoted, alone or together with its closing tag."""
        after = self._text.find(closer, end) + len(closer)
        if mentioned(self._text, place, end):
            self._quoted = end
        elif after >= len(closer) and mentioned_pair(self._text, place, after):
            self._quoted = after
        else:
            self._closer = closer
            return "maybe" if after == len(self._text) and self._in_marks(place) else "thinking"
        return ""

    def _ended(self, place: int, end: int) -> Found:
        """Tell a closing tag from one that is quoted."""
        if end == len(self._text) and self._in_marks(place):
            return "maybe"
        return "" if mentioned(self._text, place, end) else "thought"

    def _in_marks(self, place: int) -> bool:
        return self._text[place - 1 : place] in QUOTATION_MARKS if place else False

    def _heading(self, start: int) -> tuple[int, Found] | None:
        """Find a line that is, or may become, the heading of a list of quotes."""
        begins = start == 0 or self._text[start - 1] == "\n"
        line = start if begins else self._text.find("\n", start) + 1
        while begins or line:
            match = _partial(HEADING).match(self._text, line, partial=True)
            if match is not None:
                return line, "maybe" if match.partial or match.end() == len(self._text) else "quotes"
            begins, line = False, self._text.find("\n", line) + 1
        return None


def _may_abstain(head: str) -> bool:
    """Tell whether what begins like this may turn out to say that there is no answer."""
    token = head[: 4 * LONGEST_ABSTENTION].strip(_AROUND).upper()
    if token.startswith(_NO_ANSWER) or _NO_ANSWER.startswith(token) or not any(map(str.isalnum, token)):
        return True
    if len(head.strip()) > LONGEST_ABSTENTION:
        return False
    return _partial(ABSTENTION).fullmatch(plain_abstention(head), partial=True) is not None


def _may_be_fenced(rest: str) -> bool:
    """Tell whether a fence that opens here may hold an object."""
    return "```".startswith(rest[:3]) and not rest.partition("\n")[2].strip()


def _fenced_object(rest: str) -> bool:
    return rest.startswith("```") and rest.partition("\n")[2].lstrip().startswith("{")


@cache
def _partial(pattern: re.Pattern[str] | str) -> Any:
    """Return the same expression in the engine that knows matches which the end of the text has cut off."""
    import regex  # noqa: PLC0415 - 20 ms, for runs that are streamed

    if isinstance(pattern, str):
        return regex.compile(pattern)
    return regex.compile(pattern.pattern, pattern.flags & (re.IGNORECASE | re.MULTILINE | re.VERBOSE))
