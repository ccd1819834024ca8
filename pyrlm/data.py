"""Data as a context: dicts, lists of records, models and frames become plain data that a REPL can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

from pyrlm.context import Context
from pyrlm.errors import ConfigurationError
from pyrlm.plain import converter, plain
from pyrlm.repl import wire
from pyrlm.value_text import json_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrlm.citations import Citation
    from pyrlm.data_quotes import DataQuotes

__all__ = ["DataContext", "is_data", "plain", "query_text"]


class DataContext(Context):
    """Data to answer questions over: `context` in the REPL is this value, with its types.

    As a text (for routes of one call, sizes) it is its JSON, in which dates, sets and other types that JSON lacks stand as
    strings and lists (`pyrlm.value_text.json_text`). Quotes are looked for in its strings and cited by their place, ``context[3]['name']``, as the source
    of the citation; then in its JSON. How much of it models have read is not worked out in a loop: `coverage` is None there.

    Args:
        source: A mapping, a list (an empty one too) or set of anything but strings, a dataclass, a pydantic model, a
            pandas or polars frame (a list of records). See `plain`.

    Attributes:
        data: The plain data.

    Raises:
        ConfigurationError: It holds an object that can't be handed to a REPL (the message says where), or is bigger than
            what crosses at once (about 168 MB as JSON, two million lists and dicts).
    """

    data: Any

    def __init__(self, source: Any) -> None:
        try:
            self.data = plain(source)
            payload = wire.dumps(wire.encode(self.data, "context"))
        except (TypeError, RecursionError) as error:
            why = "it is nested too deeply, or contains itself" if isinstance(error, RecursionError) else str(error)
            raise ConfigurationError(
                f"The context can't be handed to the REPL as data: {why}. Leave that part out or convert it; what is too "
                "big can be given as text, Context.from_text(…), or as a list of strings."
            ) from None
        tagged = b'{"$' in payload
        super().__init__((json_text(self.data) if tagged else payload.decode("utf-8", "surrogatepass"),))

    @cached_property
    def quotes(self) -> DataQuotes:
        """What finds quotes in it."""
        from pyrlm.data_quotes import DataQuotes  # noqa: PLC0415 - it is made of this class

        return DataQuotes(self)

    def find_quotes(self, quotes: Iterable[str]) -> tuple[tuple[Citation, ...], tuple[str, ...]]:
        """Find each of `quotes`; return citations, and the quotes that are not there."""
        return self.quotes.find_quotes(quotes)

    def __repr__(self) -> str:
        return f"<DataContext: {type(self.data).__name__}, {self.len_chars:,} characters as JSON>"


def is_data(source: object) -> bool:
    """Whether `source` is data rather than text: a list or tuple of strings is documents, with bytes or None a mistake.

    An empty one is data, as is an empty dict: what was looked for and not found, more likely than a text.
    """
    if isinstance(source, str | bytes | bytearray | memoryview | Context):
        return False
    if isinstance(source, Sequence):
        return not source or not all(item is None or isinstance(item, str | bytes) for item in source)
    if isinstance(source, PathLike):
        return False  # a text within data, and by itself a file that somebody means to be read
    return isinstance(source, Mapping | AbstractSet) or converter(source) is not None


def query_text(query: Any) -> str:
    """Return a query as text: a string as it is, a dict or list as JSON.

    Raises:
        ConfigurationError: It is neither, or holds what can't be written as data.
    """
    if isinstance(query, str):
        return query
    if isinstance(query, Mapping | list):
        try:
            value = plain(query)
            wire.encode(value, "query")
        except (TypeError, RecursionError) as error:
            raise ConfigurationError(f"The query can't be written as data: {error}.") from None
        return json_text(value)
    raise ConfigurationError(f"query={query!r:.80}: expected the question, a string, or a dict or list.")
