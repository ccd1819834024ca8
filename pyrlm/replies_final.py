"""Final answers in what a model says outside its code: which markers are meant, and how far the answer goes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyrlm.replies_code import HOST_NAMES, calls_for_execution, looks_like_code, mask, parse
from pyrlm.replies_scan import MARKER, Piece, Scan

__all__ = ["FinalAnswer", "Found", "find_finals", "is_placeholder", "split_final"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalAnswer:
    """A final answer outside code: either its `text` or the `name` of the variable that holds it, never both.

    Attributes:
        text: The answer, written out.
        name: The variable, for `FINAL_VAR` (and for `FINAL(answer)`, where the word is a name for an answer and not one).
        may_be_name: True where `text` was written as ``FINAL(word)``: if a variable of that name exists, it is meant.
    """

    text: str | None = None
    name: str | None = None
    may_be_name: bool = False

    @property
    def literal(self) -> bool:
        """True for an answer that was written out before any output of code beside it was seen."""
        return self.text is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What stands at a marker.

    Attributes:
        final: The answer; None where the marker is only talked about, or `code` is set.
        code: A call of FINAL that needs the REPL, such as one with an f-string.
        start: Offset where the answer begins.
        end: Offset where it ends; blocks in between belong to it.
        complete: False where a reply cut by the token limit may have lost a part of it.
    """

    final: FinalAnswer | None = None
    code: str | None = None
    start: int
    end: int
    complete: bool = True


_GENERIC = r"(?:answer|result|text|value|response|output|content)"
_PLACEHOLDER = re.compile(
    rf"\.{{2,}}|…|_+|"
    rf"[<\[{{]+[^<>\[\]{{}}\n]*\b(?:{_GENERIC}|your|insert|here)\b[^<>\[\]{{}}\n]*[>\]}}]+|"
    rf"(?:(?:your|the|my|insert|put|write|give)[ _]){{1,3}}(?:(?:final|direct|full|complete|actual)[ _])?{_GENERIC}(?:[ _](?:goes )?here)?|"
    rf"(?:final[ _])?{_GENERIC}(?:[ _](?:goes )?here)?",
    re.IGNORECASE,
)
_LATER = re.compile(
    r"(?:the |my )?(?:final )?(?:answer )?(?:will|shall|to|is to|is going to|is still to) (?:come|follow|be (?:given|provided|"
    r"determined|announced|decided|filled|added|computed|calculated|confirmed|available|ready|here|updated|written|done))\b.*|"
    r"(?:t\.?b\.?[dac]\.?|to ?do|pending|coming (?:soon|later|next|up)|not yet\b.{0,60}|later|none yet)\W*|"
    r"(?:I|we)(?:'ll|’ll| will| shall| still| need| have to| must| can't| cannot| am| are)\b.*"
    r"\b(?:once|after|later|when|next|until|before|first|yet|soon)\b.*|"
    r"(?:once|as soon as|after|when) (?:I|we)(?:'ve|’ve)?\b.*",
    re.IGNORECASE,
)
_TALK = re.compile(
    r"\s*[`*\"'”’]*\s*,?\s*(?:once|when|after|if|as soon|until|yet|later|only|instead|function|call|will|to|is|are|or|and|can|"
    r"should|must|would|at the end|here|now|with|for|in order)\b",
    re.IGNORECASE,
)
_BRACKET = re.compile(r"\)(?P<last>[*_`\"'”’.;]*+[ \t\r]*+(?:<\|[^<>|\n]{1,40}\|>)?+$)?+|(?P<open>\()", re.MULTILINE)
_NAME = r"[^\W\d]\w*+(?:[.\[][^\s()]*+)?"
_IN_CALL = re.compile(rf"\s*+[\"'`]*+(?P<name>{_NAME}?)[\"'`]*+\s*+\)(?P<rest>[^\n]*+)")
_AFTER_COLON = re.compile(rf"\s*+[\"'`*]*+(?P<name>{_NAME}?)(?P<rest>(?![\w(])[^\n]*+)")
_NOTHING_MORE = re.compile(r"[\s*_`\"'”’.;)]*(?:<\|[^<>|\n]{1,40}\|>)?[\s.]*")
_STRING = re.compile(
    r"\s*+[rR]?(?:(?P<triple>\"\"\"|''')(?P<long>[\s\S]*?)(?P=triple)|(?P<q>[\"'])(?P<short>(?:(?!(?P=q))[^\\\n]|\\.)*+)(?P=q))\s*+"
)
_ESCAPE = re.compile(r"\\([nt\"'\\])")
_ENDS = {"“": "”", "‘": "’"}
_HOST_CODE = re.compile(
    rf"\b(?:{'|'.join(sorted(HOST_NAMES))})\(|\bctx\.(?:find|chunk|slice|get_document|chunk_documents)\b|\b(?:context|CONTEXT|P)\["
)
_LONGEST_PROMISE = 160
_TRIES = 5
"""Markers in code that are looked at: each costs a parse of what stands before it."""
_DATA_TAGS = frozenset({"", "text", "txt", "plain", "plaintext", "answer", "final", "json", "markdown", "md"})


def find_finals(scanned: Scan) -> list[Found]:
    """Resolve the markers and answer tags of a reply, in order. Each runs at most to the next one."""
    found: list[Found] = []
    limit, host_code = len(scanned.text), None
    for piece in reversed(scanned.pieces):
        if piece.kind in {"marker", "answer"}:
            found.append(_resolve(scanned, piece, limit, host_code))
            limit, host_code = piece.start, None
        elif piece.kind == "code" and _HOST_CODE.search(piece.text):
            host_code = piece.start
    return found[::-1]


def _resolve(scanned: Scan, piece: Piece, limit: int, host_code: int | None) -> Found:
    """Read one marker; `limit` is where the next one stands, `host_code` the first code for the REPL before that."""
    if piece.kind == "answer":
        if piece.tag == "FINAL_VAR":
            return Found(final=FinalAnswer(name=piece.text.strip()), start=piece.start, end=piece.end)
        return Found(final=_literal(piece.text), start=piece.start, end=piece.end, complete=piece.closed)
    match = MARKER.match(scanned.text, piece.start)
    assert match is not None
    if match["variable"]:
        return _variable(scanned.text, match, limit)
    if match["call"]:
        if match["word"] not in {"FINAL", "FINAL_ANSWER"} or match["mid"].strip("*_`"):
            return Found(start=match.end(), end=match.end())
        return _call(scanned, match, limit)
    if host_code is not None:
        scanned.note("code after the answer")
    return _colon(scanned, match, limit if host_code is None else host_code)


def _variable(text: str, match: re.Match[str], limit: int) -> Found:
    start = match.end()
    if match["bare"] is not None:
        return Found(start=start, end=start)
    named = (_IN_CALL if match["call"] else _AFTER_COLON).match(text, start, limit)
    if named is None or not _NOTHING_MORE.fullmatch(named["rest"]):
        return Found(start=start, end=start)
    complete = bool(match["call"]) or named.end() < len(text)
    return Found(final=FinalAnswer(name=named["name"].strip("\"'`*")), start=start, end=named.end(), complete=complete)


def _call(scanned: Scan, match: re.Match[str], limit: int) -> Found:
    """Read `FINAL(…)`: it ends with the bracket that closes it, or with one at a line's end if brackets don't pair."""
    start = match.end()
    close = _closing(scanned.text, start, limit)
    if close is None:
        scanned.note("unclosed FINAL(")
        return Found(final=_literal(scanned.said(start, limit)), start=start, end=limit, complete=False)
    rest = scanned.text[close + 1 : close + 80].partition("\n")[0]
    content = scanned.text[start:close]
    if _TALK.match(rest):
        return Found(start=start, end=start)
    call = f"FINAL({content})"
    if calls_for_execution(call):
        return Found(code=call, start=start, end=close + 1)
    string = _STRING.fullmatch(content)
    if string is not None:
        return Found(
            final=_literal(_ESCAPE.sub(_unescape, string["long"] or string["short"] or "")), start=start, end=close + 1
        )
    word = content.strip()
    if re.fullmatch(rf"(?:final_)?{_GENERIC}", word):
        return Found(final=FinalAnswer(name=word), start=start, end=close + 1)
    return Found(final=_literal(content, may_be_name=word.isidentifier()), start=start, end=close + 1)


def _unescape(match: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t"}.get(match[1], match[1])


def _closing(text: str, start: int, limit: int) -> int | None:
    """Return the offset of the bracket that closes the one before `start`; None where there is none.

    It is the one that pairs, if text follows it or a line ends there. Where the answer's own brackets don't pair, it is
    the first at a line's end that leaves nothing open, else the last at a line's end of the first paragraph that has one.
    """
    depth, pairs, last = 1, None, None
    paragraph = text.find("\n\n", start, limit)
    for token in _BRACKET.finditer(text, start, limit):
        if token["open"]:
            depth += 1
            continue
        depth -= 1
        if depth == 0 and pairs is None:
            pairs = token.start()
        if token["last"] is None:
            continue
        if depth <= 0:
            return pairs if depth == 0 else token.start()
        if last is None or paragraph < 0 or token.start() < paragraph or last > paragraph:
            last = token.start()
    return last if pairs is None else pairs


def _colon(scanned: Scan, match: re.Match[str], limit: int) -> Found:
    """Read `FINAL: …`: it runs to the next marker or the end, fences included, but not code for the REPL."""
    heading = "#" in match["lead"] or "*" in match["open"] or match["word"].isupper()
    if match["colon"] is None and not (heading and re.search("answer", match["word"], re.IGNORECASE)):
        return Found(start=match.end(), end=match.end())
    if re.search(r"\d", match["lead"]) and not match["word"].isupper():
        return Found(start=match.end(), end=match.end())  # an item of a plan: "3. Final answer: combine the results"
    raw = scanned.said(match.end(), limit)
    if ">" in match["lead"]:
        raw = re.sub(r"^[ \t]*+>[ \t]?", "", raw, flags=re.MULTILINE)
    answer = _undecorated(raw, match["open"], (match["mid"] or "") + (match["post"] or ""))
    return Found(final=_literal(answer), start=match.end(), end=limit, complete=limit < len(scanned.text))


def _undecorated(raw: str, opened: str, closed: str) -> str:
    """Take away the end of what was opened before the marker: ``**FINAL: 42**``, ``"FINAL: 42"``."""
    answer = raw.strip()
    ends = "".join(_ENDS.get(mark, mark) for mark in reversed(opened))
    if not ends or closed.endswith(ends) or closed == opened:
        return answer
    first, newline, rest = answer.partition("\n")
    for part, tail in ((first, newline + rest), (answer, "")):
        if part.rstrip().endswith(ends):
            return part.rstrip().removesuffix(ends) + tail
    return answer


def _literal(text: str, *, may_be_name: bool = False) -> FinalAnswer | None:
    answer = text.strip()
    head, _, rest = answer.partition("\n")
    body, _, tail = rest.rpartition("\n")
    if (
        head[:3] in {"```", "~~~"}
        and tail.strip() == head[:3]
        and head[:3] not in body
        and head[3:].strip().lower() in _DATA_TAGS
    ):
        answer = body.strip()
    if not answer or is_placeholder(answer):
        return None
    return FinalAnswer(text=answer, may_be_name=may_be_name)


def is_placeholder(answer: str) -> bool:
    """Tell an echo of the instructions or a promise (`<your answer>`, `will come later`) from an answer."""
    if len(answer) > _LONGEST_PROMISE or "\n" in answer:
        return False
    bare = answer.strip(" \t*_`\"'“”")
    return not bare or bool(_PLACEHOLDER.fullmatch(bare) or _LATER.fullmatch(bare))


def split_final(code: str) -> tuple[str, str]:
    """Part code from an answer that was written into its fence as `FINAL: text` (in Python an annotation).

    Returns:
        The code (empty where there is none) and the text from the marker on (empty where there is none). A call, as
        `FINAL(x)`, is code where it is Python.
    """
    masked = mask(code)
    tree = parse(code, masked)
    tried = 0
    for match in MARKER.finditer(masked):
        if match["lead"] or match["open"] or match["bare"] is not None:
            continue
        tried += 1
        if tried > _TRIES:
            break
        before, rest = code[: match.start()], code[match.start() :]
        if (tree is None or _is_annotation(masked, match)) and parse(before, masked[: match.start()]) is not None:
            line, _, after = rest.partition("\n")
            if after.strip() and looks_like_code(after):
                return before + after, line
            return before.rstrip(), rest
    return code, ""


def _is_annotation(masked: str, match: re.Match[str]) -> bool:
    """Tell `FINAL: x` as a statement from a key in a literal, an annotation with a value, and a call."""
    return match["colon"] is not None and "=" not in masked[match.start() :].partition("\n")[0]
