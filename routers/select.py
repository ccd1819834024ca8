"""Passages that a look-up needs: BM25 (Robertson and Zaragoza, 2009) over windows of the text, in memory, by tantivy.

A big text is first narrowed down by plain search for the query's terms, so that no more than a few megabytes are
indexed, whatever the size of the text.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyrlm.routers.terms import bigrams_apart, query_phrases, query_terms, rough_stem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Passage", "select"]

_INDEXED_CHARS = 1_500_000  # up to here every window is indexed (about 0.15 s); beyond, only the likeliest blocks are
_BLOCK_CHARS = 4_000
_BLOCK_REACH = 200  # characters that a block looks into the next, so that a border hides no word
_MIN_SCORE_SHARE = 0.2  # windows that score under a fifth of the best add noise, not recall
_PHRASE_BOOST = 4.0
_WRITER_BYTES = 15_000_000  # the least that tantivy takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A stretch of one document.

    Attributes:
        doc: Number of the document.
        start: First character, within the document.
        end: One past the last character.
        line: Line of `start` in the document, from 1.
        text: The characters themselves.
        score: BM25 score of its best window.
    """

    doc: int
    start: int
    end: int
    line: int
    text: str
    score: float


_Span = tuple[int, int, int]


def select(
    query: str,
    documents: Sequence[str],
    *,
    max_chars: int,
    window_chars: int = 1_000,
    overlap: int = 150,
    exclude: Iterable[_Span] = (),
) -> list[Passage]:
    """Find the passages of `documents` that speak about `query`.

    Args:
        query: Any text; it is analysed, never parsed.
        documents: The texts.
        max_chars: Characters of all passages together.
        window_chars: Characters of one window, cut at the end of a paragraph, line, sentence or word.
        overlap: Characters that neighbouring windows share.
        exclude: ``(doc, start, end)`` of passages that must not be found again.

    Returns:
        Passages in the order of the text, adjoining ones merged; empty where no term of the query occurs.
    """
    terms = query_terms(query)
    if not terms:
        return []
    regions = _whole(documents) if sum(map(len, documents)) <= _INDEXED_CHARS else _likely(documents, terms)
    taken = _by_document(exclude)
    spans = [
        (doc, start, end)
        for doc, first, last in regions
        for start, end in _windows(documents[doc], first, last, window_chars, overlap)
        if not any(start < there[1] and there[0] < end for there in taken.get(doc, ()))
    ]
    if not spans:
        return []
    found = _rank(query, documents, spans, max(1, max_chars // max(window_chars // 2, 1)))
    return _merge(documents, _best(found, max_chars))


def _whole(documents: Sequence[str]) -> list[_Span]:
    return [(doc, 0, len(text)) for doc, text in enumerate(documents)]


def _by_document(spans: Iterable[_Span]) -> dict[int, list[tuple[int, int]]]:
    result: dict[int, list[tuple[int, int]]] = {}
    for doc, start, end in spans:
        result.setdefault(doc, []).append((start, end))
    return result


def _likely(documents: Sequence[str], terms: Sequence[str]) -> list[_Span]:
    """Return the blocks whose terms weigh most (sum of inverse block frequencies), merged, in the order of the text."""
    stems = list(dict.fromkeys(rough_stem(term) for term in terms))
    blocks = [(doc, start) for doc, text in enumerate(documents) for start in range(0, len(text), _BLOCK_CHARS)]
    held = [_terms_held(documents[doc], start, stems) for doc, start in blocks]
    frequency = [sum(mask >> bit & 1 for mask in held) for bit in range(len(stems))]
    weights = [math.log(1 + len(blocks) / count) if count else 0.0 for count in frequency]
    cache: dict[int, float] = {0: 0.0}
    for mask in held:
        if mask not in cache:
            cache[mask] = sum(weight for bit, weight in enumerate(weights) if mask >> bit & 1)
    count = _INDEXED_CHARS // (_BLOCK_CHARS + 2 * _BLOCK_REACH)
    best = heapq.nlargest(count, range(len(blocks)), key=lambda place: cache[held[place]])
    return _regions(documents, [blocks[place] for place in sorted(best) if held[place]])


def _terms_held(text: str, start: int, stems: Sequence[str]) -> int:
    block = text[start : start + _BLOCK_CHARS + _BLOCK_REACH].lower()
    return sum(1 << bit for bit, stem in enumerate(stems) if stem in block)


def _regions(documents: Sequence[str], blocks: Iterable[tuple[int, int]]) -> list[_Span]:
    """Widen blocks a little and join those that then touch."""
    regions: list[_Span] = []
    for doc, at in blocks:
        start, end = max(0, at - _BLOCK_REACH), min(len(documents[doc]), at + _BLOCK_CHARS + _BLOCK_REACH)
        if regions and regions[-1][0] == doc and regions[-1][2] >= start:
            regions[-1] = (doc, regions[-1][1], end)
        else:
            regions.append((doc, start, end))
    return regions


def _windows(text: str, first: int, last: int, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Cut ``text[first:last]`` into windows of at most `size` characters that end at a border where there is one."""
    start = first
    while start < last:
        end = start + size
        if end >= last:
            yield start, last
            return
        end = _border(text, start + size // 2, end)
        yield start, end
        start = max(start + 1, _line_start(text, end - overlap, end))


def _border(text: str, low: int, high: int) -> int:
    """Return the end of the last paragraph, line, sentence or word between `low` and `high`; `high` without one."""
    for mark in ("\n\n", "\n", ". ", "。", " "):
        at = text.rfind(mark, low, high)
        if at >= 0:
            return at + len(mark)
    return high


def _line_start(text: str, low: int, high: int) -> int:
    """Return the first start of a line or a word between `low` and `high`."""
    for mark in ("\n", " "):
        at = text.find(mark, low, high - 1)
        if at >= 0:
            return at + 1
    return low


def _rank(query: str, documents: Sequence[str], spans: Sequence[_Span], limit: int) -> list[tuple[float, _Span]]:
    """Return up to `limit` windows with their BM25 scores, best first."""
    apart = bigrams_apart(query) != query
    texts = (documents[doc][start:end] for doc, start, end in spans)
    index, schema, analyzer = _index(bigrams_apart(text) if apart else text for text in texts)
    searcher = index.searcher()
    hits = searcher.search(_query(query, schema, analyzer), limit, count=False).hits
    return [(score, spans[searcher.doc(address)["place"][0]]) for score, address in hits]


def _index(texts: Iterable[str]) -> tuple[Any, Any, Any]:
    """Index `texts` in memory under their places; return the index, its schema and its analyzer."""
    import tantivy  # noqa: PLC0415 - heavy, and needed for this route alone

    analyzer = (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.ascii_fold())
        .filter(tantivy.Filter.stemmer("english"))
        .build()
    )
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("text", tokenizer_name="folded")
    builder.add_unsigned_field("place", stored=True)
    schema = builder.build()
    index = tantivy.Index(schema)
    index.register_tokenizer("folded", analyzer)
    writer = index.writer(heap_size=_WRITER_BYTES, num_threads=1)
    for place, text in enumerate(texts):
        writer.add_document(tantivy.Document(text=text, place=place))
    writer.commit()
    index.reload()
    return index, schema, analyzer


def _query(query: str, schema: Any, analyzer: Any) -> Any:
    """Build a query of should-terms, with phrases in quotation marks weighing more."""
    import tantivy  # noqa: PLC0415 - heavy, and needed for this route alone

    words = dict.fromkeys(token for term in query_terms(query) for token in analyzer.analyze(term))
    clauses = [tantivy.Query.term_query(schema, "text", word) for word in words]
    for phrase in query_phrases(query):
        tokens = analyzer.analyze(bigrams_apart(phrase))
        if len(tokens) > 1:
            exact = tantivy.Query.phrase_query(schema, "text", tokens)
            clauses.append(tantivy.Query.boost_query(exact, _PHRASE_BOOST))
    return tantivy.Query.boolean_query([(tantivy.Occur.Should, clause) for clause in clauses])


def _best(found: Sequence[tuple[float, _Span]], max_chars: int) -> list[tuple[float, _Span]]:
    """Take windows from the best down while they fit and still score."""
    kept: list[tuple[float, _Span]] = []
    left = max_chars
    for score, span in found:
        if score < _MIN_SCORE_SHARE * found[0][0]:
            break
        size = span[2] - span[1]
        if size <= left:
            kept.append((score, span))
            left -= size
    return kept


def _merge(documents: Sequence[str], windows: Iterable[tuple[float, _Span]]) -> list[Passage]:
    merged: list[tuple[float, _Span]] = []
    for score, (doc, start, end) in sorted(windows, key=lambda window: window[1]):
        if merged and merged[-1][1][0] == doc and merged[-1][1][2] >= start:
            before, (_, first, last) = merged[-1]
            merged[-1] = (max(before, score), (doc, first, max(last, end)))
        else:
            merged.append((score, (doc, start, end)))
    return [_passage(documents[doc], doc, start, end, score) for score, (doc, start, end) in merged]


def _passage(text: str, doc: int, start: int, end: int, score: float) -> Passage:
    line = 1 + text.count("\n", 0, start)
    return Passage(doc=doc, start=start, end=end, line=line, text=text[start:end], score=score)
