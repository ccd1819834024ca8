"""What does a model's reply say: code to run, a final answer, both, or neither? Pure functions, any text, linear time."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

from pyrlm.replies_code import looks_like_code
from pyrlm.replies_direct import DirectAnswer, is_abstention, parse_direct
from pyrlm.replies_final import FinalAnswer, Found, find_finals, split_final
from pyrlm.replies_scan import Piece, Scan, scan
from pyrlm.replies_tools import code_in_call, harmony

__all__ = ["DirectAnswer", "FinalAnswer", "Problem", "Reply", "is_abstention", "parse_direct", "parse_reply"]

_END_TOKEN = re.compile(r"(?:<\|(?:im_end|eot_id|eom_id|end|endoftext|end_of_text|return|end_of_box)\|>|</s>)\s*\Z")

Problem = Literal["empty", "refusal", "cut", "neither"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a reply says.

    Attributes:
        code: All code of the reply in the order it stands there, one piece a line after the other; None without any.
        final: The final answer outside code; None where there is none. `FINAL(…)` called in code is not seen here: the
            REPL reports it.
        problem: Why neither stands: ``"empty"``; ``"refusal"``, reported by the provider; ``"cut"`` by the token limit
            before it was complete (nothing of it is taken; a reply whose code was complete has no problem);
            ``"neither"`` code nor answer. None where there is something to go by.
        notes: Remarks for the trace, such as ``"unclosed fence"`` or ``"earlier answer ignored"``.
    """

    code: str | None = None
    final: FinalAnswer | None = None
    problem: Problem | None = None
    notes: tuple[str, ...] = ()


def parse_reply(text: str | None, finish_reason: str | None = None, refusal: str | None = None) -> Reply:
    """Take code and final answer out of a reply. Never raises.

    Code is what stands in Python fences (tag `python`, `py`, `repl`, …, in untagged ones where it is Python), in tool-call
    syntax, or bare where the whole reply is Python. Thinking is dropped. Of several answers the last one stands: a model
    that writes a second one corrects itself. `FINAL: text` runs to the next marker or the reply's end, and fences in it
    are part of the answer unless their code calls the REPL's own functions.

    Args:
        text: The reply; None counts as empty.
        finish_reason: Why the provider ended it; ``"length"`` means that it was cut by the token limit, and
            ``"content_filter"`` that it was refused.
        refusal: The model's own words of refusal, where the provider reports them.
    """
    reply = (text or "").removeprefix("\ufeff")
    if finish_reason == "content_filter" or (refusal and not reply.strip()):
        return Reply(problem="refusal")
    cut = finish_reason == "length"
    reply = _without_end_tokens(harmony(reply))
    bare = _bare(reply)
    scanned = scan(reply)
    if bare is None and scanned.dropped:
        bare = _bare(scanned.said())
    if bare is not None:
        return Reply(problem="cut") if cut else bare
    found = find_finals(scanned)
    codes, inner = _codes(scanned, found, cut)
    if codes is None:
        return Reply(problem="cut", notes=tuple(scanned.notes))
    answers = [(item.start, item.final) for item in found if item.final is not None and (item.complete or not cut)]
    answers = sorted(answers + inner, key=lambda item: item[0])
    code = "\n".join(codes) if codes else None
    final = answers[-1][1] if answers else None
    if len(answers) > 1:
        scanned.note("earlier answer ignored")
    if cut and (code or final):
        scanned.note("cut by the token limit after what was taken")
    return Reply(code=code, final=final, problem=_problem(scanned, code, final, cut), notes=tuple(scanned.notes))


def _without_end_tokens(reply: str) -> str:
    for _ in range(3):
        reply = reply.rstrip() if reply.endswith(">") or reply[-40:].isspace() else reply
        match = _END_TOKEN.search(reply[-60:])
        if match is None:
            break
        reply = reply[: len(reply) - len(match[0])]
    return reply


def _problem(scanned: Scan, code: str | None, final: FinalAnswer | None, cut: bool) -> Problem | None:
    if code is not None or final is not None:
        return None
    if cut:
        return "cut"
    return "neither" if scanned.said().strip() or scanned.open_thought else "empty"


def _codes(scanned: Scan, found: list[Found], cut: bool) -> tuple[list[str] | None, list[tuple[int, FinalAnswer]]]:
    """Return the code to run and the answers written into fences; None for code where the reply was cut inside it."""
    spans = [(item.start, item.end) for item in found if item.final is not None]
    parts = [(item.start, item.code) for item in found if item.code is not None]
    inner: list[tuple[int, FinalAnswer]] = []
    for piece in scanned.pieces:
        if piece.kind in {"marker", "answer"} or _inside(piece.start, spans):
            continue
        if cut and not piece.closed:
            return None, []
        code, rest = split_final(piece.text) if piece.kind == "code" else ("", _answer_in_data(piece))
        final = _last_final(rest) if rest else None
        if final is not None:
            inner.append((piece.start, final))
            scanned.note("answer inside a fence")
        elif piece.kind == "code":
            code = piece.text
        if code.strip():
            parts.append((piece.start, code))
    return [code for _, code in sorted(parts)], inner


def _inside(offset: int, spans: list[tuple[int, int]]) -> bool:
    at = bisect_right(spans, (offset, offset)) - 1
    return at >= 0 and spans[at][0] <= offset < spans[at][1]


def _answer_in_data(piece: Piece) -> str:
    """Return the content of a block that is not code if an answer is all that it holds."""
    return piece.text if re.match(r"\s*[*_\"'`]*(?:FINAL\b|FINAL_VAR\b|Final answer:)", piece.text[:200]) else ""


def _last_final(text: str) -> FinalAnswer | None:
    finals = [item.final for item in find_finals(scan(text)) if item.final is not None]
    return finals[-1] if finals else None


def _bare(reply: str) -> Reply | None:
    """Read a reply that is nothing but code: bare Python, a tool call as JSON, either with a final line after it."""
    text = reply.strip()
    if text.startswith(("```", "~~~", "<")) or not text:
        return None
    if text.startswith("{") and (called := code_in_call(text)) is not None:
        return Reply(code=called, notes=("tool-call syntax",))
    code, rest = split_final(text)
    if not code.strip() or text.startswith("FINAL") or not looks_like_code(code):
        return None
    final = _last_final(rest) if rest else None
    if rest and final is None:
        return None
    return Reply(code=code, final=final, notes=("bare code",))
