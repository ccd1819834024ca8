"""What the reply to a one-call question says: the answer, the passages it quotes, or that it has none."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from pyrlm.replies_final import find_finals
from pyrlm.replies_scan import scan
from pyrlm.replies_tools import harmony

__all__ = [
    "ABSTENTION",
    "HEADING",
    "LEAD",
    "LONGEST_ABSTENTION",
    "DirectAnswer",
    "is_abstention",
    "parse_direct",
    "plain_abstention",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectAnswer:
    """A reply to a one-call question.

    Attributes:
        answer: The answer, without markers, thinking and the block of quotes.
        quotes: Passages that the reply says it rests on, in its order; unchecked.
        abstained: True where the reply says no more than that it has no answer.
    """

    answer: str
    quotes: tuple[str, ...] = ()
    abstained: bool = False


_BLOCK_OPEN = re.compile(r"<quotes>", re.IGNORECASE)
_BLOCK_CLOSE = re.compile(r"</quotes>", re.IGNORECASE)
_QUOTE_TAG = re.compile(r"<quote(?:\s[^<>\n]{0,200})?>((?:(?!<quote|</quotes?>)[\s\S])*+)(?:</quote>)?", re.IGNORECASE)
HEADING = re.compile(
    r"^[ \t>]*+(?:`{3,}(?:quotes?)[ \t\r]*+$|(?:\#{1,6}[ \t]*+)?[*_]*+(?:supporting |verbatim |exact |direct )?(?:quotes?|quotations?)"
    r"(?: from the text)?[*_]*+[ \t]*+(?::[*_]*+|(?<=[*#s])[ \t\r]*+$))",
    re.IGNORECASE | re.MULTILINE,
)
_FENCE = re.compile(r"^[ \t]*+(?:`{3,}|~{3,})\w*[ \t\r]*+$", re.MULTILINE)
_BULLET = re.compile(r"^\s*+(?:[-*+•]\s++|\(?\d{1,3}[.)]\s++|>\s?)")
LEAD = re.compile(r"\s*+[*_#\s]*+(?:the )?answer[*_]*+\s*+:[*_]*+\s*+", re.IGNORECASE)
_ENDS = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "`": "`", "„": "“", "「": "」"}

_TEXT = (
    r"(?:the |this |your |any of the |given |provided |above |supplied |available |source )*"
    r"(?:texts?|documents?|passages?|contexts?|excerpts?|sources?|materials?|snippets?|information|content|data|report|article)"
)
_IT = (
    r"(?:it|this|that|these|so|the answer(?: to (?:this|that|the) question)?|an answer|any answer|(?:this|that|the|your) question|"
    r"(?:this|that|the|any|enough|sufficient|such|the requested|the required|any relevant|relevant|the necessary) (?:information|detail|details|info))"
)
_NOT = r"(?:not|n't|never)"
_KNOWN = (
    r"(?:stated|mentioned|given|specified|provided|found|known|available|answered|answerable|clear|included|contained|present|"
    r"said|disclosed|indicated|addressed|discussed|covered|determined|established|listed|described)"
)
ABSTENTION = re.compile(
    rf"(?:(?:sorry|unfortunately|i'?m sorry|i am sorry|based on {_TEXT}),? ?(?:but )?)?(?:"
    rf"no[ _-]?answer(?: (?:found|available|is given))?|unknown|n/?a|unanswerable|not (?:sure|known|available|applicable|answerable|found)|no idea|idk|"
    rf"i (?:really )?(?:do not|don't|cannot|can't|could not|couldn't|am not able to|am unable to|was unable to|was not able to) "
    rf"(?:know|tell|say|answer(?: {_IT})?|determine(?: {_IT})?|find(?: {_IT})?)(?: (?:in|from|with) {_TEXT})?|"
    rf"i(?:'m| am) not sure|i have no idea|"
    rf"(?:{_IT} )?(?:is|are|was|were|isn't|wasn't|cannot be|can't be|could not be)? ?(?:{_NOT} )?{_KNOWN}(?: {_KNOWN})?(?: anywhere)?(?: (?:in|by|from) {_TEXT})?|(?:{_IT} )?(?:is|was|isn't|wasn't) (?:not )?(?:in|found in) {_TEXT}|"
    rf"{_TEXT} (?:does not|doesn't|do not|don't|did not|didn't) (?:say|mention|state|contain|specify|provide|include|answer|give|know|tell|indicate)"
    rf"(?: {_IT})?|"
    rf"(?:there is |there's |there are )?(?:no|not enough|insufficient) (?:information|answer|mention|details?|data|evidence|context|relevant information)"
    rf"(?: of (?:it|this|that))?(?: (?:is |was )?(?:found|available|given|provided|about (?:it|this|that)|to answer(?: {_IT}| the question)?))*(?: (?:in|from) {_TEXT})?"
    r")"
)
_NEGATED = re.compile(r"\b(?:not|no|never|un\w+|insufficient|idk|n/?a)\b|n't|no[ _-]?answer|cannot|sorry")
_TOKEN = re.compile(r"NO_ANSWER\s*(?:$|[.:,;!?)\]\n(–—*`\"'-])", re.IGNORECASE)
LONGEST_ABSTENTION = 160


def is_abstention(text: str) -> bool:
    """Tell whether `text` says no more than that there is no answer.

    `NO_ANSWER` counts in any case, with punctuation or bold, and with an explanation after it. Phrases such as "I don't
    know" and "not stated in the text" count only where they are the whole text.
    """
    head = text[: 4 * LONGEST_ABSTENTION].strip(" \t\r\n*_`\"'“”<>([")
    if _TOKEN.match(head):
        return True
    if len(text.strip()) > LONGEST_ABSTENTION:
        return False
    plain = plain_abstention(text)
    return bool(_NEGATED.search(plain)) and ABSTENTION.fullmatch(plain) is not None


def plain_abstention(text: str) -> str:
    """Return `text` in the form that `ABSTENTION` is matched against."""
    return re.sub(r"\s+", " ", text.replace("’", "'").casefold()).strip(" *_`\"'“”.!?()[]<>")


def parse_direct(text: str | None) -> DirectAnswer:
    """Take answer and quotes out of a reply that was asked for an answer and a ``<quotes>`` block. Never raises.

    Also taken: a ``QUOTES:`` heading or a ``quotes`` fence with bullets, lines or a JSON list, loose ``<quote>`` tags, and
    a reply that is one JSON object with `answer` and `quotes`.
    """
    said = scan(harmony(text or "")).said().strip()
    whole = _as_object(said)
    if whole is not None:
        return whole
    answer, quotes = _without_tags(said)
    if not quotes:
        answer, quotes = _without_list(answer)
    answer = _without_marker(answer)
    return DirectAnswer(answer=answer, quotes=tuple(dict.fromkeys(quotes)), abstained=is_abstention(answer))


def _as_object(said: str) -> DirectAnswer | None:
    body = said
    if said.startswith("```"):
        body = said.partition("\n")[2].removesuffix("```")
    if not body.startswith("{"):
        return None
    data = _json(body)
    if not isinstance(data, dict) or not isinstance(data.get("answer"), str) or not set(data) <= {"answer", "quotes"}:
        return None
    answer = data["answer"].strip()
    return DirectAnswer(answer=answer, quotes=tuple(_strings(data.get("quotes"))), abstained=is_abstention(answer))


def _json(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _strings(data: Any) -> list[str]:
    if isinstance(data, str):
        data = [data]
    if not isinstance(data, list):
        return []
    items = (item.get("quote", item.get("text")) if isinstance(item, dict) else item for item in data)
    return [item.strip() for item in items if isinstance(item, str) and item.strip()]


def _without_tags(said: str) -> tuple[str, list[str]]:
    opening = _last(_BLOCK_OPEN, said)
    if opening is None:
        loose = [match[1].strip() for match in _QUOTE_TAG.finditer(said) if match[0].lower().endswith("</quote>")]
        return (_QUOTE_TAG.sub("", said).strip(), [quote for quote in loose if quote]) if loose else (said, [])
    closing = _BLOCK_CLOSE.search(said, opening.end())
    end, after = (closing.start(), closing.end()) if closing else (len(said), len(said))
    body = said[opening.end() : end]
    quotes = [match[1].strip() for match in _QUOTE_TAG.finditer(body)] or _items(body)
    answer = said[: opening.start()].strip().removesuffix("```").strip()
    if not answer:
        answer = said[after:].strip()
    return answer, [quote for quote in quotes if quote]


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Return the last match: an earlier one may be talked about."""
    found = None
    for match in pattern.finditer(text):
        found = match
    return found


def _without_list(said: str) -> tuple[str, list[str]]:
    heading = _last(HEADING, said)
    if heading is None or not said[: heading.start()].strip():
        return said, []
    quotes = _items(said[heading.end() :])
    return (said[: heading.start()].strip(), quotes) if quotes else (said, [])


def _items(body: str) -> list[str]:
    """Read a list of quotes: JSON, bullets (with their continuation lines), or one quote a line."""
    body = _FENCE.sub("", body).strip().removesuffix("```").strip()
    if body.startswith("["):
        found = _strings(_json(body))
        if found:
            return found
    items: list[str] = []
    bulleted = any(_BULLET.match(line) for line in body.splitlines())
    for line in body.splitlines():
        if not line.strip():
            continue
        if bulleted and items and not _BULLET.match(line):
            items[-1] += "\n" + line
        else:
            items.append(_BULLET.sub("", line))
    return [quote for item in items if (quote := _unquoted(item.strip().rstrip(",").strip())) and not _is_none(quote)]


def _unquoted(item: str) -> str:
    while len(item) > 1 and _ENDS.get(item[0]) == item[-1]:
        item = item[1:-1].strip()
    return item


def _is_none(quote: str) -> bool:
    return quote.strip("()[]. ").casefold() in {"none", "n/a", "no quotes", "no_answer", ""}


def _without_marker(answer: str) -> str:
    """Take away a marker that opens the answer: `Answer:`, `FINAL: `, `FINAL(…)`."""
    scanned = scan(answer)
    first = next((piece for piece in scanned.pieces if piece.kind in {"marker", "answer"}), None)
    if first is not None and not answer[: first.start].strip():
        finals = [found.final for found in find_finals(scanned)]
        final = finals[-1]
        if final is not None:
            return final.text if final.text is not None else final.name or ""
    match = LEAD.match(answer)
    return answer[match.end() :].strip() if match and match.end() < len(answer) else answer
