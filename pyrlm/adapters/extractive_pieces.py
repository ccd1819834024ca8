"""Choosing among passages of several documents: used in the host, and sent as code into the REPL after a search."""

from __future__ import annotations

from pyrlm.adapters.extractive_search import rank, segments, together, weigh, words_of

__all__ = ["best_of", "quotes_of"]

Choice = tuple[float, float, int, int, int]


def best_of(pieces: list[list[str]], question: str) -> list[Choice]:
    """Return the best segments of pieces that are pairs of source and text: (score, share, number of the piece, start, end).

    Words are weighed over all pieces together. A source says what its piece is about, and is never part of a segment.
    """
    cut = [text[start:end].lower() for _, text in pieces for start, end in segments(text)]
    counts = {word: sum([1 for piece in cut if word in piece]) for word in words_of(question)}
    words = {word: part for word, part in words_of(question).items() if part == 1.0 or counts[word]}
    weights = weigh(words, counts, max(20, len(cut)))
    found: list[Choice] = []
    for number, (source, text) in enumerate(pieces):
        for score, share, start, end in rank(text, weights, question, source)[:8]:
            found.append((score, share, number, start, end))
    return sorted(found, key=lambda item: (-item[0], item[2], item[3]))[:12]


def quotes_of(pieces: list[list[str]], found: list[Choice]) -> list[str]:
    """Return the best segment, and up to two near ones of the same piece, as they stand in it."""
    same = [(score, share, start, end) for score, share, number, start, end in found if number == found[0][2]]
    return [pieces[found[0][2]][1][start:end].strip() for start, end in together(same)]
