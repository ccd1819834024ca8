"""Lexical search in plain Python: used in the host, and sent as code into the REPL, whichever backend it has.

It therefore needs nothing but `math` and `re`, defines no classes, and of the Context API takes `ctx.find`, `ctx.slice`,
`ctx.len_chars` and, where it is there, `ctx.metadata`. Weights are inverse frequencies as in BM25
(Robertson and Zaragoza, 2009); the other numbers are rules of thumb, tried on questions that no test holds.
"""

from __future__ import annotations

import math
import re
from typing import Any

__all__ = ["best_in", "search", "tidy", "together", "words_of"]

Found = tuple[float, float, int, int]

STOP = set(
    (  # noqa: SIM905 - a block of words reads better than a hundred strings
        "a about actually all also an and any are as at be been being but by can could did do does doing done each else "
        "for from get gets give given gives go goes had has have how i if in into is it its kind like long many me mean "
        "means more most much must my name named no not of off on one only or other our out over say says shall should so "
        "some still such tell text than that the their them then there these they this those to too under up use used "
        "uses using very was way we were what when where whether which while who whom whose why will with would you your "
        "document documents file files function method class module passage passages happen happens work works"
    ).split()
)
HEAD = r"[ \t]*(?:async )?(def|class) (\w+)"
LINE = r"(?<=\"\"\")\n|(?<=''')\n|\n(?=[ \t]*(?:(?:async def|def|class|raise|return)\b|[@#]|r?\"\"\"|r?'''|>>>|[-*] |\d+[.)] ))"
EDGE = r"\S(?:\"\"\"|''')\s*$"
SIGNATURE = r"[\s\"'r]*[\w.]+\(.*\)"
SENTENCE = r"[.!?][\"')`]*\s+(?=\S)"
ENDINGS = set("e es s ed er ers est ing ings ion ions ies y ly al able ment ments d r rs".split())  # noqa: SIM905 - likewise
STEM, NAME, SENTENCE_CHARS, SHORT = 4, 4, 60, 30  # least characters
PARAGRAPH = 400  # most characters of a segment that is not cut into sentences
COMMON = 2_000  # matches from which on a word says nothing about places
REACH, SENTENCES, NEARLY = 500, 3, 0.75  # what is answered together: within so many characters, so many, so good


def stem(word: str) -> str:
    """Cut the commonest English endings, so that "raises" finds "raise" and "raised"."""
    for ending in ("ing", "ies", "ied", "es", "ed", "s", "e"):
        if word.endswith(ending) and not word.endswith("ss") and len(word) - len(ending) >= STEM:
            return word[: len(word) - len(ending)]
    return word


def words_of(question: str) -> dict[str, float]:
    """Return the stems of a question's telling words with their part in it; modules of dotted names count half."""
    found: dict[str, float] = {}
    for match in re.findall(r"[^\W_]\w*(?:[.'-]\w+)*|_\w+", question):
        parts = [part for part in match.removesuffix("'s").split(".") if part]
        for number, part in enumerate(parts):
            low = part.lower()
            if (len(low) == 1 and not low.isdigit()) or (low in STOP and len(parts) == 1):
                continue
            cut = low if "_" in low or not low.isalpha() or part.isupper() else stem(low)
            found[cut] = max(found.get(cut, 0.0), 1.0 if number == len(parts) - 1 else 0.5)
    return found


def names_of(question: str) -> dict[str, float]:
    """Return words that may be names of functions or classes, as written: 1 for those that look like it, else 0.5."""
    found: dict[str, float] = {}
    for match in re.findall(r"[^\W\d]\w*(?:\.\w+)*(?:\(\))?", question):
        parts = match.removesuffix("()").split(".")
        name = parts[-1]
        sure = len(parts) > 1 or match.endswith("()") or "_" in name or name[-1].isdigit()
        sure = sure or (name[1:] != name[1:].lower() and not name.isupper())
        if sure or (name.lower() not in STOP and len(name) >= NAME):
            found[name] = 1.0 if sure else 0.5
    for name in re.findall(r"(\w+)(?:\(\))? (?:function|method|class|exception|decorator)\b", question):
        found[name] = 1.0
    return {name: value for name, value in found.items() if name.lower() not in STOP or value == 1.0}


def cut(text: str, pattern: str, least: int) -> list[tuple[int, int]]:
    """Cut text behind the matches of a pattern into pieces of some length; heads of definitions stand alone."""
    result: list[tuple[int, int]] = []
    last = 0
    for gap in re.finditer(pattern, text):
        piece = text[last : gap.end()]
        head = re.match(HEAD, piece)
        closed = (
            piece.rstrip().endswith(":")
            if head
            else len(piece) >= least or re.search(EDGE, piece) or re.match(HEAD, text[gap.end() :])
        )
        if closed and piece.strip():
            result.append((last, gap.end()))
            last = gap.end()
    return [*result, (last, len(text))] if text[last:].strip() else result


def segments(text: str) -> list[tuple[int, int]]:
    """Cut text into short paragraphs, sentences, heads of definitions and lines of code: (start, end) pairs."""
    result: list[tuple[int, int]] = []
    for paragraph in re.finditer(r"(?:[^\n]*\S[^\n]*(?:\n|$))+", text):
        for start, end in cut(paragraph.group(0), LINE, SENTENCE_CHARS):
            base = paragraph.start() + start
            if end - start <= PARAGRAPH:
                result.append((base, base + end - start))
            else:
                result.extend(
                    (base + low, base + high)
                    for low, high in cut(text[base : base + end - start], SENTENCE, SENTENCE_CHARS)
                )
    return result


def held(low: str, word: str) -> float:
    """Return how well a lower-case text holds a stem: 1 as a word, 0.6 at the start of another one, 0.4 inside of one."""
    best = 0.0
    at = low.find(word)
    while at >= 0 and best < 1.0:
        if at and low[at - 1].isalnum():
            best = max(best, 0.4)
        else:
            tail = re.findall(r"^[a-z]*", low[at + len(word) : at + len(word) + 12])[0]
            best = max(best, 1.0 if not tail or tail in ENDINGS else 0.6)
        at = low.find(word, at + 1)
    return best


def style(piece: str, question: str) -> float:
    """Return a factor that prefers sentences to code, and what looks like the kind of thing that is asked for."""
    letters = len(re.findall(r"[^\W\d_]{2,}", piece))
    marks = len(re.findall(r"[=()\[\]{}_<>\\|/*%@'\",]", piece))
    factor = 0.4 + 0.7 * letters / (letters + marks + 1)
    if re.search(r"(?i)\b(?:which|what) (?:exception|error|warning)s?\b|\braise", question):
        factor = factor * (1.25 if re.search(r"[A-Z]\w*(?:Error|Exception|Warning)\b", piece) else 0.8)
    if re.search(r"(?i)\b(?:how many|port|size|number|default|maximum|minimum|version|date)\b|^when", question):
        factor = factor * (1.2 if re.search(r"\b\d", piece) else 0.9)
    empty = re.match(HEAD, piece) or re.match(SIGNATURE + r"[^.]*$|\s*(?:from \S+ )?import ", piece)
    return factor * (0.5 if empty or len(piece.strip()) < SHORT else 1.0)


def outline(text: str, names: dict[str, float]) -> list[tuple[int, int, int, str, str, bool]]:
    """Return for each segment: start, end, start of its passage, definitions around it, name of the innermost, is it first.

    First is what opens a definition that the question names: its docstring, mostly.
    """
    result: list[tuple[int, int, int, str, str, bool]] = []
    outer, inner, name = "", "", ""
    opened, first = -1, False
    for start, end in segments(text):
        head = re.match(HEAD, text[start:end])
        if head:
            level, name = head.group(1), head.group(2)
            outer = head.group(0) if level == "class" else outer if text[start].isspace() else ""
            inner = head.group(0) if level == "def" else ""
        elif not text[start].isspace():
            outer, inner, name = "", "", ""
        result.append((start, end, start if opened < 0 else opened, f"{outer} {inner}".lower(), name, first))
        first = (first and re.match(SIGNATURE, text[start:end]) is not None) or (head is not None and name in names)
        opened = start if head else -1
    return result


def rank(text: str, weights: dict[str, float], question: str, source: str = "") -> list[Found]:
    """Return the segments of a text that hold any of the words: (score, share of the weights, start, end), best first.

    A segment counts what it says itself, and less what stands around it: the definition it belongs to, the lines before.
    """
    names = names_of(question)
    sure = [name.lower() for name, value in names.items() if value == 1.0]
    home = 1.5 if any(part in re.findall(r"\w+", source) for part in re.findall(r"(\w+)\.\w", question)) else 1.0
    whole = sum(weights.values()) or 1.0
    ranked: list[Found] = []
    for start, end, opened, around, name, first in outline(text, names):
        piece = text[start:end]
        low = piece.lower()
        around = f"{around} {source.lower()}"  # noqa: PLW2901
        beside = text[max(0, start - 240) : end + 160].lower()
        own, score, share = 0.0, 0.0, 0.0
        for word, weight in weights.items():
            here = held(low, word) or (0.8 * held(low, "error") if word == "exception" else 0.0)
            there = max(0.8 * held(around, word), 0.5 * held(beside, word))
            own += here * weight
            score += max(here, there) * weight
            share += max(here, min(1.0, 2.0 * there)) * weight
        if own > 0 or first:
            part = max(weights.get(stem(name.lower()), 0.0), 0.25 * whole)
            bonus = names.get(name, 0.0) * part * home * (1.4 if first else 0.5)
            named = 1.0 if not sure or any(name in around + low for name in sure) else 0.7
            value = (score + 0.5 * own + bonus) * named * style(piece, question) / (0.9 + len(piece) / 3000)
            ranked.append((value / whole, share / whole, opened, end))
    return sorted(ranked, key=lambda item: (-item[0], item[2]))


def weigh(words: dict[str, float], counts: dict[str, int], places: int) -> dict[str, float]:
    """Return a weight for each word: the rarer, the heavier. What occurs nowhere weighs most, and is missed."""
    return {word: part * math.log(1 + places / (counts[word] + 0.5)) for word, part in words.items()}


def best_in(text: str, question: str) -> list[Found]:
    """Return the best segments of a text that can be read whole, as `rank` does. It need not name its own module."""
    pieces = [text[start:end].lower() for start, end in segments(text)]
    counts = {word: sum(1 for piece in pieces if word in piece) for word in words_of(question)}
    words = {word: part for word, part in words_of(question).items() if part == 1.0 or counts[word]}
    return rank(text, weigh(words, counts, max(20, len(pieces))), question)[:8]


def source_of(ctx: Any, doc: int) -> str:
    """Return the last two parts of a document's path, where it is known."""
    try:
        return " ".join(re.split(r"[/\\]", str(ctx.metadata(doc).get("source", "")))[-2:])
    except Exception:  # noqa: BLE001 - a REPL of one's own may have no metadata, by whatever error
        return ""


def places_in(ctx: Any, question: str, hits: dict[str, Any], weights: dict[str, float], size: int) -> list[list[int]]:
    """Return the places (in units of `size` characters) and their documents, the likeliest first.

    These are where the question's rare words stand together, and where what it names is defined.
    """
    there: dict[int, dict[str, float]] = {}
    docs: dict[int, int] = {}
    least = min((len(found) for found in hits.values() if found), default=0) + 1
    for word, found in hits.items():
        for hit in found if len(found) < max(COMMON, least) else []:
            there.setdefault(hit[0] // size, {})[word] = weights[word]
            docs[hit[0] // size] = hit[3]
    for name, value in names_of(question).items():
        for hit in ctx.find(f"def {name}", max_results=50) + ctx.find(f"class {name}", max_results=50):
            if not ctx.slice(hit[1], hit[1] + 1).isalnum():
                for later in (0, 1, 2):
                    there.setdefault(hit[0] // size + later, {})["def " + name] = value * (8.0 - 2.0 * later)
                    docs.setdefault(hit[0] // size + later, hit[3])
    sums = {place: sum(words.values()) for place, words in there.items()}
    order = [(-sums[place] - 0.4 * max(sums.get(place - 1, 0.0), sums.get(place + 1, 0.0)), place) for place in sums]
    return [[place, docs[place]] for _, place in sorted(order)]


def search(ctx: Any, question: str, size: int = 900, most: int = 40) -> list[Found]:
    """Find the segments of a big text that answer best, as `rank` does, with global offsets. A few places are read."""
    hits = {word: ctx.find(word, ignore_case=True, max_results=COMMON) for word in words_of(question)}
    counts = {word: len(found) for word, found in hits.items()}
    weights = weigh(words_of(question), counts, ctx.len_chars() // 600 + 20)
    sources: dict[int, str] = {}
    best: dict[tuple[int, int], tuple[float, float]] = {}
    for place, doc in places_in(ctx, question, hits, weights, size)[:most]:
        if doc not in sources:
            sources[doc] = source_of(ctx, doc)
        start = max(0, place * size - 2000)
        text = ctx.slice(start, (place + 1) * size + 600)
        skip = text.find("\n") + 1 if start else 0
        text = text[skip : max(text.rfind("\n\n"), (place + 1) * size + 300 - start)]
        for score, share, low, high in rank(text, weights, question, sources[doc])[:5]:
            span = (start + skip + low, start + skip + high)
            best[span] = max(best.get(span, (0.0, 0.0)), (score, share))
    ranked = [(score, share, low, high) for (low, high), (score, share) in best.items()]
    return sorted(ranked, key=lambda item: (-item[0], item[2]))[:12]


def together(ranked: list[Found]) -> list[tuple[int, int]]:
    """Return where the best segment stands and, in the order of the text, up to two near ones that are nearly as good."""
    if not ranked:
        return []
    spans = [(ranked[0][2], ranked[0][3])]
    for score, _, start, end in ranked[1:]:
        close = abs(start - ranked[0][2]) < REACH and len(spans) < SENTENCES and score >= NEARLY * ranked[0][0]
        if close and all(end <= low or start >= high for low, high in spans):
            spans.append((start, end))
    return sorted(spans)


def tidy(passage: str) -> str:
    """Write a passage in one line, without comment signs and docstring quotes."""
    bare = re.sub(r"(?m)^[ \t]*#+:? ?|\"\"\"|'''", "", passage)
    return " ".join(bare.split())
