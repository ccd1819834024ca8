"""Do two answers say the same? Pure rules that would rather see a difference than miss one."""

from __future__ import annotations

import re

__all__ = ["agree", "stands_in"]

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NEGATIONS = frozenset("no not never none neither nor cannot without nothing nobody false".split())  # noqa: SIM905
_SMALL_WORDS = frozenset(
    """
    a about all an and answer are as at be been by did do does for from had has have he her his in is it its of on or
    she so that the their there they this to was were which who will with would yes
    """.split()  # noqa: SIM905 - a block of words reads better than fifty strings
)
_SHORT = 8  # content words; of a shorter answer every word counts
_LONG_SHARE = 0.6  # of the shorter answer's content words must stand in the longer one


def agree(first: str, second: str) -> bool:
    """Whether two answers say the same: no number and no negation that only one has, and the same content words.

    A short answer agrees with one that holds all its words; long ones when most words of the shorter stand in the other.
    """
    if _plain(first) == _plain(second):
        return True
    if _negative(first) != _negative(second) or not _numbers_agree(first, second):
        return False
    ours, theirs = _content(first), _content(second)
    if not ours or not theirs:
        return bool(_numbers(first) & _numbers(second))
    shorter, longer = sorted((ours, theirs), key=len)
    share = len(shorter & longer) / len(shorter)
    return share == 1.0 if len(shorter) < _SHORT else share >= _LONG_SHARE


def stands_in(answer: str, text: str) -> bool:
    """Whether all numbers and all content words of `answer` stand in `text`."""
    words = set(_WORD.findall(text.casefold()))
    return (
        _numbers(answer) <= _numbers(text) and _content(answer) <= words and bool(_numbers(answer) or _content(answer))
    )


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


def _negative(text: str) -> bool:
    lowered = text.casefold()
    return "n't" in lowered.replace("\u2019", "'") or not _NEGATIONS.isdisjoint(_WORD.findall(lowered))


def _numbers(text: str) -> set[str]:
    return {number.replace(",", "").rstrip(".") for number in _NUMBER.findall(text)}


def _numbers_agree(first: str, second: str) -> bool:
    """Numbers that only a longer answer has may explain it; each answer having one of its own is a difference."""
    ours, theirs = _numbers(first), _numbers(second)
    return not ours or not theirs or ours <= theirs or theirs <= ours


def _content(text: str) -> set[str]:
    words = (word for word in _WORD.findall(text.casefold()) if not word[0].isdigit())
    return {word for word in words if word not in _SMALL_WORDS and word not in _NEGATIONS and len(word) > 1}
