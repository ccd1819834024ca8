"""Cuts a model's reply into what it consists of: code, other blocks, answer markers; thinking is dropped."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pyrlm.replies_code import find_closer, looks_like_code, parse, tidy
from pyrlm.replies_thinking import THINK_WORDS, end_of_draft, end_thinking, thinking
from pyrlm.replies_tools import code_in_call, tool_code

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MARKER", "Piece", "Scan", "scan"]

MARKER = re.compile(
    r"""(?:^|(?<=[\w|/\]]>)|(?<=\[/THINK\])|(?<=◁/think▷))(?P<lead>[ \t>]*+(?:\#{1,6}[ \t]*+)?+(?:[-*+][ \t]++|\d{1,3}[.)][ \t]++)?+)
    (?P<open>[*_`"'“‘]*+)
    (?:(?P<variable>FINAL_VAR)|(?P<word>FINAL(?:[ _]ANSWER)?|(?:[Tt]he[ ])?[Ff]inal[ _][Aa]nswer|Final))
    (?P<mid>[*_`"'”’]*+)(?:(?P<call>\()|[ \t]*+(?P<colon>[:：])(?P<post>[*_`]*+)|(?P<bare>[ \t\r]*+$))""",
    re.VERBOSE | re.MULTILINE,
)
"""A marker of a final answer: at the start of a line (or after a tag), with whatever models put around it."""

_PYTHON = "python3|python|py3|py|repl|tool_code|ipython|pycon|python-repl|jupyter|pyodide|exec|execute|code"
_TAGS = frozenset(_PYTHON.split("|"))
_OTHER = frozenset(
    (  # noqa: SIM905 - as one text: a list takes a line a word
        "json jsonl json5 yaml yml toml xml html css text txt plain plaintext output stdout stderr console "
        "log bash sh shell zsh powershell sql markdown md csv tsv diff patch javascript js typescript ts java "
        "c cpp c++ go rust ruby r latex math mermaid ini result results quotes answer final http regex none"
    ).split()
)
_CODE = "code|execute|execute_python|execute_ipython|python|py|ipython|repl|tool_code|run_code"
_TOOL = "function_calls|tool_calls|tool_call|tool_use|invoke|function_call"
_RESULT = (
    "function_results|function_result|tool_response|tool_results|tool_result|tool_output|execution_results|"
    "execution_result|execution_output|code_output|observation|stdout|output|result"
)
_ANSWER = "final_answer|answer|final|FINAL"
_EVENT = re.compile(
    rf"""
      ^[ \t]*+```(?P<inline>[^`\n]++)```[ \t\r]*+$
    | ^(?P<prefix>[ \t]*+(?:>[ \t]?)*+(?:(?:[-*+]|\d{{1,3}}[.)])[ \t]++)?+)(?P<fence>`{{3,}}+|~{{3,}}+)(?P<info>[^`\n]*+)$
    | (?<!`)(?P<late>`{{3,}}+)(?P<lateinfo>(?:{_PYTHON})[ \t\r]*+$)
    | <(?:antml:)?(?P<think>{THINK_WORDS})>
    | (?P<endthink></(?:antml:)?(?:{THINK_WORDS})>|\[/THINK\]|◁/think▷)
    | (?P<bracket>\[THINK\]|◁think▷)
    | <(?:antml:)?(?P<tool>{_TOOL})(?:[ ][^<>\n]{{0,200}})?>
    | <\|(?P<pytag>python_tag)\|>
    | ^[ \t]*+<(?P<tag>{_CODE}|{_RESULT}|{_ANSWER})(?:[ ][^<>\n]{{0,200}})?>
    | (?P<marker>{MARKER.pattern.replace("(?P<open>", "(?:").replace("(?P<", "(?P<m_")})
    """,
    re.VERBOSE | re.MULTILINE,
)
_OUTPUT_LINE = re.compile(
    r"\W*(?:the |expected |sample |example |code |execution |simulated |console |printed |REPL )*"
    r"(?:output|outputs|result|results|stdout|observation|prints)\b[^\n]{0,40}:\W*",
    re.IGNORECASE,
)

Kind = Literal["code", "data", "marker", "answer"]


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of a reply.

    Attributes:
        kind: ``"code"`` to be run, ``"data"`` (a block that is not code), ``"marker"`` of an answer, ``"answer"`` in tags.
        start: Offset of its first character in the reply.
        end: Offset after its last.
        text: Content of a block.
        tag: The fence's tag in lower case; the tool's name; empty where there is none.
        closed: False where its end is missing.
    """

    kind: Kind
    start: int
    end: int
    text: str = ""
    tag: str = ""
    closed: bool = True


@dataclass(slots=True)
class Scan:
    """What stands in `text`: its pieces in order, the spans that say nothing, thinking among them, and remarks."""

    text: str
    pieces: list[Piece] = field(default_factory=list)
    dropped: list[tuple[int, int]] = field(default_factory=list)
    thoughts: list[tuple[int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    open_thought: bool = False
    work: int = 0
    absent: set[str] = field(default_factory=set)

    def note(self, remark: str) -> None:
        """Add a remark once."""
        if remark not in self.notes:
            self.notes.append(remark)

    def said(self, start: int = 0, end: int | None = None) -> str:
        """Return the text of a range without the dropped spans; `start` lies in none of them."""
        return self.without(self.dropped, start, end)

    def without(self, spans: Sequence[tuple[int, int]], start: int = 0, end: int | None = None) -> str:
        """Return the text of a range without `spans`, which are in order; `start` lies in none of them."""
        end = len(self.text) if end is None else end
        parts = []
        for hole_start, hole_end in spans[bisect_left(spans, (start, start)) :]:
            if hole_start >= end:
                break
            parts.append(self.text[start:hole_start])
            start = hole_end
        return "".join([*parts, self.text[start:end]])

    def drop_thought(self, start: int, end: int) -> None:
        """Drop a span that is thinking."""
        self.dropped.append((start, end))
        self.thoughts.append((start, end))

    def find(self, needle: str, start: int) -> int:
        """Find `needle` from `start` on; what was not found once is not looked for again."""
        if needle in self.absent:
            return -1
        found = self.text.find(needle, start)
        if found < 0:
            self.absent.add(needle)
        return found


def scan(text: str) -> Scan:
    """Cut `text` into its pieces, in time linear in its length."""
    result, position = Scan(text), 0
    while (event := _EVENT.search(text, position)) is not None:
        position = max(_take(result, event), event.end())
    return result


def _take(result: Scan, event: re.Match[str]) -> int:
    """Note what stands at `event`; return where the text goes on."""
    for group, handle in _HANDLERS.items():
        if event[group] is not None:
            return handle(result, event)
    return event.end()


def _fence(result: Scan, event: re.Match[str]) -> int:
    fence, info, prefix = (
        event["fence"] or event["late"],
        event["info"] or event["lateinfo"] or "",
        event["prefix"] or "",
    )
    match = re.match(r"[\s{.]*([\w+#-]+)", info)
    tag = match[1].lower() if match else ""
    closer = find_closer(
        result.text, event.end() + 1, fence, python=tag not in _OTHER, lexical=result.work <= 8 * len(result.text)
    )
    result.work += closer.chars
    body = result.text[event.end() + 1 : closer.end]
    thought = end_of_draft(body)
    if thought >= 0 and result.work <= 8 * len(result.text) and (tag in _OTHER or parse(body) is None):
        return event.end() + 1 + thought  # a draft in thinking that was not opened by a tag
    if not closer.closed:
        result.note("unclosed fence")
    _block(result, (event.start(), closer.after), tidy(body, prefix) if tag not in _OTHER else body, tag, closer.closed)
    return closer.after


def _block(result: Scan, span: tuple[int, int], body: str, tag: str, closed: bool) -> None:
    output = tag in {"output", "stdout"} or (tag not in _TAGS and _follows_output_line(result, span[0]))
    code = tag in _TAGS or (tag not in _OTHER and not output and (looks_like_code(body) or _meant_as_code(body)))
    kind: Kind = "code" if code else "data"
    if output and result.pieces:
        result.note("invented output")
    result.pieces.append(Piece(kind, *span, body, tag, closed))


def _follows_output_line(result: Scan, start: int) -> bool:
    line = result.text[max(0, start - 120) : start].rstrip().rpartition("\n")[2]
    return bool(result.pieces) and _OUTPUT_LINE.fullmatch(line) is not None


_STATEMENT = re.compile(
    r"\s*(?:#|@|import \w|from [\w.]+ import|(?:async )?def \w+\(|class \w+[(:]|(?:for|while|if|elif|with|except|match|case) .*:|"
    r"(?:else|try|finally):|[\w.\[\]'\"]+(?:, ?\w+)* ?[-+*/|&]?= ?\S|[\w.]+\(.*\)?$|return\b|[\])}]+$)"
)


def _meant_as_code(body: str) -> bool:
    """Tell code with a syntax error (which the model has to be told of) from prose and data."""
    if parse(body) is not None:
        return False
    lines = [line for line in body[:20_000].splitlines() if line.strip()]
    marks = sum(MARKER.match(line) is not None for line in lines)
    hits = sum(_STATEMENT.match(line) is not None for line in lines)
    return hits >= 1 and 2 * hits >= len(lines) - marks


def _inline(result: Scan, event: re.Match[str]) -> int:
    tag, _, rest = event["inline"].strip().partition(" ")
    tagged = tag.lower() in _TAGS and bool(rest.strip())
    body = rest.strip() if tagged else event["inline"].strip()
    _block(result, event.span(), body, tag.lower() if tagged else "", closed=True)
    return event.end()


def _tool(result: Scan, event: re.Match[str]) -> int:
    closer = re.sub(r"[ >].*", "", event[0]).replace("<", "</") + ">"
    end = result.find(closer, event.end())
    stop = len(result.text) if end < 0 else end
    after = len(result.text) if end < 0 else end + len(closer)
    call = tool_code(event[0] + result.text[event.end() : stop] + ("" if end < 0 else closer))
    result.note("tool-call syntax")
    if call is not None:
        result.pieces.append(Piece(call.kind, event.start(), after, call.text, call.name, end >= 0))
    elif end < 0:
        result.pieces.append(Piece("data", event.start(), after, closed=False))
    return after


def _python_tag(result: Scan, event: re.Match[str]) -> int:
    end = re.compile(r"<\|(?:eom_id|eot_id|python_end|im_end)\|>").search(result.text, event.end())
    stop, after = (end.start(), end.end()) if end else (len(result.text), len(result.text))
    result.note("tool-call syntax")
    body = result.text[event.end() : stop].strip()
    result.pieces.append(Piece("code", event.start(), after, code_in_call(body) or body))
    return after


def _tag(result: Scan, event: re.Match[str]) -> int:
    tag = event["tag"]
    if tag in _RESULT.split("|") and not result.pieces:
        return event.end()
    end = result.find(f"</{tag}>", event.end())
    if end < 0:
        if tag not in _CODE.split("|") or not result.text[event.end() : event.end() + 1].isspace():
            return event.end()
        end = len(result.text)
    after, closed = min(len(result.text), end + len(tag) + 3), end < len(result.text)
    body = result.text[event.end() : end]
    if tag in _ANSWER.split("|"):
        result.pieces.append(Piece("answer", event.start(), after, body.strip()))
    elif tag in _RESULT.split("|"):
        result.note("invented output")
        result.dropped.append((event.start(), after))
    else:
        _tagged_code(result, event.start(), after, body, closed)
    return after


def _tagged_code(result: Scan, start: int, after: int, body: str, closed: bool) -> None:
    fenced = re.match(r"\s*+(`{3,}+|~{3,}+)[^`\n]*+\n", body)
    if fenced:
        closer = find_closer(body, fenced.end(), fenced[1], python=True)
        body = body[fenced.end() : closer.end]
    body = tidy(body.removeprefix("\r").removeprefix("\n").rstrip(), "")
    if looks_like_code(body) or _meant_as_code(body):
        result.note("tool-call syntax")
        result.pieces.append(Piece("code", start, after, body, closed=closed))


def _marker(result: Scan, event: re.Match[str]) -> int:
    result.pieces.append(Piece("marker", event.start(), event.end()))
    return event.end()


_HANDLERS: dict[str, Callable[[Scan, re.Match[str]], int]] = {
    "inline": _inline,
    "fence": _fence,
    "late": _fence,
    "think": thinking,
    "bracket": thinking,
    "tool": _tool,
    "pytag": _python_tag,
    "tag": _tag,
    "endthink": end_thinking,
    "marker": _marker,
}
