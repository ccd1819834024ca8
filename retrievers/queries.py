"""Turn a query's text and a filter into queries of the engine. Text from a model is never parsed, only analysed."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.dates import microseconds
from pyrlm.retrievers.filters import INTEGER_LIMIT, And, Exists, Node, Not, Or, Prefix, Range, Terms
from pyrlm.retrievers.records import (
    MAX_TERM_CHARS,
    analyzer,
    exists_term,
    keyword_term,
    number_keys,
    number_term,
    schema,
    searchable,
    sortable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import tantivy

__all__ = ["FilterCompiler", "query_terms", "text_query"]

TITLE_WEIGHT: Final = 2.0
MAX_QUERY_TERMS: Final = 1_024
"""As many clauses as Elasticsearch takes."""


def query_terms(query: str) -> Counter[str]:
    """The words of a query as the index holds them, and how often each occurs; of a very long query the first ones."""
    words = Counter(analyzer().analyze(searchable(query)))
    return Counter(dict(list(words.items())[:MAX_QUERY_TERMS]))


def text_query(words: Counter[str], *, titles: bool) -> tantivy.Query:
    """Passages with any of the words, by BM25 of the better field: the title counts twice, as in ``title^2, text``."""
    import tantivy  # noqa: PLC0415

    text = _any_word("text", words)
    if not titles:
        return text
    return tantivy.Query.disjunction_max_query(
        [tantivy.Query.boost_query(_any_word("title", words), TITLE_WEIGHT), text]
    )


def _any_word(field: str, words: Counter[str]) -> tantivy.Query:
    import tantivy  # noqa: PLC0415

    clauses = []
    for word, times in words.items():
        term = tantivy.Query.term_query(schema(), field, word, "freq")
        clauses.append((tantivy.Occur.Should, term if times == 1 else tantivy.Query.boost_query(term, float(times))))
    return tantivy.Query.boolean_query(clauses)


class FilterCompiler:
    """Turns filters into queries for one state of the index."""

    def __init__(self, index: tantivy.Index, searcher: tantivy.Searcher) -> None:
        self._index = index
        self._searcher = searcher

    def compile(self, node: Node) -> tantivy.Query:
        """The documents that match `node`; their scores mean nothing."""
        import tantivy  # noqa: PLC0415

        match node:
            case And(nodes):
                return tantivy.Query.boolean_query([(tantivy.Occur.Must, self.compile(part)) for part in nodes])
            case Or(nodes):
                return tantivy.Query.boolean_query([(tantivy.Occur.Should, self.compile(part)) for part in nodes])
            case Not(part):
                everything = tantivy.Query.all_query()
                clauses = [(tantivy.Occur.Must, everything), (tantivy.Occur.MustNot, self.compile(part))]
                return tantivy.Query.boolean_query(clauses)
            case _:
                return self._leaf(node)

    def _leaf(self, node: Terms | Prefix | Exists | Range) -> tantivy.Query:
        match node:
            case Terms(field, values):
                return _any_term([_exact_term(field, value) for value in values])
            case Exists(field):
                return _any_term([exists_term(field)])
            case Prefix(field, prefix):
                return self._prefix(field, prefix)
            case Range(type="keyword"):
                return self._words_between(node)
            case Range():
                return self._numbers_between(node)

    def _prefix(self, field: str, prefix: str) -> tantivy.Query:
        import tantivy  # noqa: PLC0415

        if len(prefix) > MAX_TERM_CHARS:
            raise RetrieverError(
                f"field {field!r}: a prefix has at most {MAX_TERM_CHARS} characters, got {len(prefix)}"
            )
        literal = "".join(_literal(char) for char in keyword_term(field, prefix))
        return tantivy.Query.regex_query(schema(), "terms", f"{literal}(.|\n)*")

    def _words_between(self, bounds: Range) -> tantivy.Query:
        """Strings have no ranges in the engine: choose among those that the field has."""
        begin = keyword_term(bounds.field, "")
        terms = (term for term, _ in self._searcher.terms_with_prefix("terms", begin))
        return _any_term([term for term in terms if _between(bounds, term[len(begin) :])])

    def _numbers_between(self, bounds: Range) -> tantivy.Query:
        import tantivy  # noqa: PLC0415

        whole, other = number_keys(bounds.field)
        if bounds.type == "date":
            return self._parsed(whole, _moment(bounds.gte, 0), _moment(bounds.lt, -1))
        low, high = _lower(bounds), _upper(bounds)
        ranges = [self._parsed(whole, *_whole_bounds(bounds)), self._parsed(other, low, high)]
        return tantivy.Query.boolean_query([(tantivy.Occur.Should, query) for query in ranges])

    def _parsed(self, key: str, low: int | None, high: int | None) -> tantivy.Query:
        import tantivy  # noqa: PLC0415

        low = -INTEGER_LIMIT if low is None else max(low, -INTEGER_LIMIT)
        high = INTEGER_LIMIT - 1 if high is None else min(high, INTEGER_LIMIT - 1)
        if low > high:
            return tantivy.Query.empty_query()
        return self._index.parse_query(f"numbers.{key}:[{low} TO {high}]")


def _any_term(terms: Sequence[str]) -> tantivy.Query:
    import tantivy  # noqa: PLC0415

    if not terms:
        return tantivy.Query.empty_query()
    if len(terms) == 1:
        return tantivy.Query.term_query(schema(), "terms", terms[0], "basic")
    return tantivy.Query.term_set_query(schema(), "terms", terms)


def _exact_term(field: str, value: str | float) -> str:
    return keyword_term(field, value) if isinstance(value, (str, bool)) else number_term(field, value)


_PLAIN: Final = re.compile(r"[A-Za-z0-9]|[^\x00-\x7f]")


def _literal(char: str) -> str:
    return char if _PLAIN.fullmatch(char) else f"\\x{{{ord(char):x}}}"


def _between(bounds: Range, value: str) -> bool:
    return (
        (bounds.gte is None or value >= str(bounds.gte))
        and (bounds.gt is None or value > str(bounds.gt))
        and (bounds.lte is None or value <= str(bounds.lte))
        and (bounds.lt is None or value < str(bounds.lt))
    )


def _moment(moment: str | float | datetime | None, step: int) -> int | None:
    return None if moment is None or isinstance(moment, (str, int, float)) else microseconds(moment) + step


def _whole_bounds(bounds: Range) -> tuple[int | None, int | None]:
    """The least and the greatest whole number within `bounds`, both included."""
    low = high = None
    if isinstance(bounds.gte, (int, float)):
        low = math.ceil(bounds.gte)
    elif isinstance(bounds.gt, (int, float)):
        low = math.floor(bounds.gt) + 1
    if isinstance(bounds.lte, (int, float)):
        high = math.floor(bounds.lte)
    elif isinstance(bounds.lt, (int, float)):
        high = math.ceil(bounds.lt) - 1
    return low, high


def _lower(bounds: Range) -> int | None:
    """The least sortable form of a number that isn't whole within `bounds`."""
    if isinstance(bounds.gte, (int, float)):
        return _sortable_at_least(bounds.gte)
    return _sortable_at_most(bounds.gt) + 1 if isinstance(bounds.gt, (int, float)) else None


def _upper(bounds: Range) -> int | None:
    if isinstance(bounds.lte, (int, float)):
        return _sortable_at_most(bounds.lte)
    return _sortable_at_least(bounds.lt) - 1 if isinstance(bounds.lt, (int, float)) else None


def _sortable_at_least(value: float) -> int:
    near = float(value)
    return sortable(near if near >= value else math.nextafter(near, math.inf))


def _sortable_at_most(value: float) -> int:
    near = float(value)
    return sortable(near if near <= value else math.nextafter(near, -math.inf))
