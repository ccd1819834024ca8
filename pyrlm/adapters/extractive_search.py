"""Lexical search in plain Python: used in the host, and sent as it stands into the REPL as the root model's code.

It therefore imports nothing but `re`, defines no classes, and keeps to what every REPL backend runs.
"""

import re

STOP = set(
    ["a", "about", "all", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do", "does", "for", "from", "get", "give", "gives", "given", "had", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "kind", "many", "me", "most", "much", "must", "my", "name", "named", "no", "not", "of", "on", "one", "or", "our", "out", "shall", "should", "so", "some", "tell", "text", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "to", "under", "up", "use", "used", "uses", "was", "we", "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "will", "with", "would", "you", "your", "document", "documents", "file", "files", "say", "says", "mean", "means", "happen", "happens", "passage", "passages"]
)


def stem(word):
    """Cut the commonest English endings, so that "raises" finds "raise" and "raised"."""
    for ending in ("ing", "ies", "ied", "es", "ed", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: len(word) - len(ending)]
    return word


def stems_of(question):
    """Return the stems of a question's telling words, each once; dotted names also part by part."""
    found = []
    for word in re.findall(r"[^\W_][\w.'-]*", question):
        word = word.strip(".'-")
        parts = [word]
        if "." in word:
            parts = parts + word.split(".")
        for part in parts:
            low = part.lower()
            low = low.removesuffix("'s")
            if len(low) < 2 or low in STOP:
                continue
            cut = low if "." in low or "_" in low else stem(low)
            if cut not in found:
                found.append(cut)
    return found


def segments(text):
    """Cut text into sentences and short paragraphs: (start, end) pairs."""
    result = []
    for paragraph in re.finditer(r"(?:[^\n]+\n?)+", text):
        base = paragraph.start()
        block = paragraph.group(0)
        if len(block) <= 240:
            result.append((base, base + len(block)))
            continue
        last = 0
        for gap in re.finditer(r"[.!?:;][\"')`]*\s+|\n(?=\s*(?:def|class|@|#|-|\*|\d+\.|raise|return|>>>)\b)|\n(?=[A-Z-])", block):
            if gap.end() - last >= 40:
                result.append((base + last, base + gap.end()))
                last = gap.end()
        if last < len(block):
            result.append((base + last, base + len(block)))
    return [(start, end) for start, end in result if text[start:end].strip()]


def score(segment, weights):
    """Return how much of the question's weight a segment holds, shorter and denser ones first."""
    low = segment.lower()
    total = 0.0
    for name, weight in weights.items():
        at = low.find(name)
        if at < 0:
            continue
        whole = at == 0 or not (low[at - 1].isalnum() or low[at - 1] == "_")
        total += weight if whole else weight * 0.4
    return total / (1.0 + len(segment) / 1200.0)


def weigh(counts, total):
    """Return a weight for each stem: the rarer, the heavier. Stems that occur nowhere weigh most, and are missed."""
    weights = {}
    for name, count in counts.items():
        weights[name] = 1.0 / (1.0 + (20.0 * count / total) if total else 1.0)
    return weights


def rank(text, weights):
    """Return the segments of a text that hold any of the words, best first: (score, start, end) each."""
    ranked = []
    before = ""
    for start, end in segments(text):
        piece = text[start:end]
        value = score(piece, weights)
        if value > 0:
            ranked.append((value + 0.3 * score(before, weights), start, end))
        before = piece
    ranked.sort(key=lambda item: (-item[0], item[1]))
    return ranked


def best_in(text, question, count=3):
    """Return the best segments of a text, (score, start, end) each, and the share of the question's weight at the first."""
    pieces = [text[start:end].lower() for start, end in segments(text)]
    counts = {name: sum(1 for piece in pieces if name in piece) for name in stems_of(question)}
    weights = weigh(counts, len(pieces))
    ranked = rank(text, weights)
    return ranked[:count], share_of(text, ranked[:1], weights)


def share_of(text, ranked, weights):
    """Return the share of the question's weight that stands in and shortly before the best segment."""
    whole = sum(weights.values())
    if not ranked or not whole:
        return 0.0
    low = text[max(0, ranked[0][1] - 300) : ranked[0][2] + 200].lower()
    return sum(weight for name, weight in weights.items() if name in low) / whole


def search(ctx, question, size=1200, count=12):
    """Find the segments of a big text that answer best: (score, start, end) with global offsets, and the share as above.

    The places are found first where the question's rare words stand together; only these are read.
    """
    hits = {name: ctx.find(name, ignore_case=True, max_results=3000) for name in stems_of(question)}
    weights = {name: 1.0 / (1.0 + len(found) / 20.0) for name, found in hits.items()}
    places = {}
    for name, found in hits.items():
        for hit in found:
            for place in (hit[0] // size, (hit[0] + size // 2) // size + 0.5):
                names = places.get(place, {})
                names[name] = weights[name]
                places[place] = names
    best = sorted(places.items(), key=lambda item: (-sum(item[1].values()), item[0]))[:count]
    ranked = []
    for place, _ in best:
        start = max(0, int(place * size) - (size // 2 if place % 1 else 0))
        piece = ctx.slice(start, start + size)
        ranked = ranked + [(value, start + low, start + high) for value, low, high in rank(piece, weights)[:3]]
    ranked = sorted(set(ranked), key=lambda item: (-item[0], item[1]))
    if not ranked:
        return [], 0.0
    around = ctx.slice(max(0, ranked[0][1] - 300), ranked[0][2] + 200)
    shift = ranked[0][1] - min(300, ranked[0][1])
    return ranked, share_of(around, [(0, ranked[0][1] - shift, ranked[0][2] - shift)], weights)
