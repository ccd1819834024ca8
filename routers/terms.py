"""The words of a query that are worth looking for, and texts in the form that they are looked for in."""

from __future__ import annotations

import re

__all__ = ["bigrams_apart", "query_phrases", "query_terms", "rough_stem"]

_STOP_WORDS = frozenset(
    """
    a about after all also am an and any are as at be because been before being but by can could did do does doing for
    from had has have having he her hers him his how i if in into is it its itself me more most my no nor not of off on
    once only or other our out over own please say says said same she should so some such tell than that the their
    theirs them then there these they this those through to too under until up us very was we were what when where
    whether which while who whom whose why will with would you your yours find show give list name many much often
    """.split()  # noqa: SIM905 - a block of words reads better than a hundred strings
)
_WORD = re.compile(r"\w+")
_PHRASE = re.compile(r'["“«`]([^"”»`\n]{3,200})["”»`]')
# Scripts written without spaces between words (and Korean, whose particles stick to them): Thai to Khmer, CJK, Hangul.
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+"
)
_MAX_TERMS = 24
_STEM_FROM = 5
_SUFFIXES = ("ations", "ation", "ingly", "ings", "ies", "ing", "ers", "eds", "ed", "er", "es", "ly", "s", "e")


def query_terms(query: str) -> list[str]:
    """Return up to 24 lower-case terms in the order of the query: words, and pairs of characters where no spaces are."""
    words = [word.lower() for word in _WORD.findall(bigrams_apart(query))]
    parts = [part for word in words for part in (word, *word.split("_")) if part]
    kept = [part for part in parts if part not in _STOP_WORDS and (len(part) > 1 or part.isdigit())]
    return list(dict.fromkeys(kept or parts))[:_MAX_TERMS]


def query_phrases(query: str) -> list[str]:
    """Return what stands in quotation marks or backticks."""
    return _PHRASE.findall(query)


def bigrams_apart(text: str) -> str:
    """Write runs of scripts without spaces as overlapping pairs of characters, so that they can be looked up."""
    return _UNSPACED.sub(_pairs, text)


def _pairs(run: re.Match[str]) -> str:
    letters = run.group()
    pairs = [letters[place : place + 2] for place in range(len(letters) - 1)] or [letters]
    return f" {' '.join(pairs)} "


def rough_stem(term: str) -> str:
    """Cut the ending off an English word, so that a plain search for the rest finds its other forms too."""
    if len(term) >= _STEM_FROM and term.isascii() and term.isalpha():
        for suffix in _SUFFIXES:
            if term.endswith(suffix) and len(term) - len(suffix) >= _STEM_FROM - 2:
                return term[: -len(suffix)]
    return term
