"""`Context`: the text that a question is asked over, as one string or as documents; never joined, never copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from pyrlm.errors import ConfigurationError
from pyrlm.patterns import timed_engine
from pyrlm.textapi import Match, TextAPI
from pyrlm.texts import PIECE_CHARS, Count, check_texts, encode_pieces, fingerprint

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator
    from os import PathLike

    from pyrlm.files import FileDocument, Skipped

__all__ = ["Context", "Count", "Match"]

_SEPARATOR = "\n\n"
_FIND_SECONDS = 10.0


class Context:
    """Text to answer questions over: made by `from_text`, `from_documents`, `from_files`, or `of` any of these.

    Documents are referred to, not joined and not copied. Offsets are global: positions in characters in the text that
    joining the documents with the separator would give. Safe to use from several threads; it does not change.

    Attributes:
        texts: The documents.
        separator: What stands between two documents.
        skipped: Files that `from_files` did not read, with the reason for each.
    """

    texts: tuple[str, ...]
    separator: str
    skipped: tuple[Skipped, ...]

    def __init__(
        self,
        texts: tuple[str, ...],
        *,
        separator: str = _SEPARATOR,
        metadata: Mapping[str, Any] | None = None,
        documents: Sequence[Mapping[str, Any]] | Sequence[FileDocument] = (),
        skipped: tuple[Skipped, ...] = (),
    ) -> None:
        self.texts = texts
        self.separator = separator
        self.skipped = skipped
        self._metadata = metadata or {}
        self._documents = documents

    @classmethod
    def from_text(cls, text: str, *, metadata: Mapping[str, Any] | None = None) -> Context:
        """Make a context of one text; of its `metadata`, ``"source"`` is shown in citations."""
        check_texts((text,), "from_text")
        return cls((text,), documents=() if metadata is None else (metadata,))

    @classmethod
    def from_documents(
        cls,
        docs: Sequence[str],
        *,
        separator: str = _SEPARATOR,
        metadata: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None,
    ) -> Context:
        """Make a context of many documents.

        Args:
            docs: The documents.
            separator: What stands between two of them where text is shown across documents.
            metadata: One mapping a document (``"source"`` is shown in citations), or one for all of them together.

        Raises:
            ConfigurationError: A document is no string, or there is not one mapping of metadata for each.
        """
        if isinstance(docs, str) or not isinstance(docs, Sequence):
            raise ConfigurationError(
                f"from_documents takes a list of strings, got {type(docs).__name__}; for one text use from_text"
            )
        texts = tuple(docs)
        check_texts(texts, "from_documents")
        if metadata is None or isinstance(metadata, Mapping):
            return cls(texts, separator=separator, metadata=metadata)
        if len(metadata) != len(texts):
            raise ConfigurationError(
                f"metadata must have one mapping for each document: got {len(metadata)} for {len(texts)} documents"
            )
        return cls(texts, separator=separator, documents=tuple(metadata))

    @classmethod
    def from_files(
        cls, paths: str | PathLike[str] | Sequence[str | PathLike[str]], *, separator: str = _SEPARATOR, **options: Any
    ) -> Context:
        """Read files, folders and globs; formats and `options` are those of `pyrlm.files.read_paths`.

        What can't be read is listed in `skipped`. ConfigurationError: nothing at all could be read, and why.
        """
        from pyrlm.files import read_paths  # noqa: PLC0415 - readers are not needed for text in memory

        documents, report = read_paths(paths, **options)
        if not documents:
            reasons = "; ".join(f"{item.path}: {item.reason}" for item in report.skipped[:5]) or "no paths were given"
            raise ConfigurationError(f"from_files found nothing to read ({reasons})")
        return cls.from_read(documents, separator=separator, skipped=report.skipped)

    @classmethod
    def from_read(
        cls,
        documents: Sequence[FileDocument],
        *,
        separator: str = _SEPARATOR,
        skipped: Sequence[Skipped] = (),
    ) -> Context:
        """Make a context of what `pyrlm.files.read_paths` has read."""
        texts = tuple(document.text for document in documents)
        return cls(texts, separator=separator, documents=tuple(documents), skipped=tuple(skipped))

    @classmethod
    def of(cls, source: Any) -> Context:
        """Return `source` if it is a context, else make one of a string, a list of strings, or data (`pyrlm.data`).

        Raises:
            ConfigurationError: It is something else; the message names what was given and what to do.
        """
        if isinstance(source, Context):
            return source
        if isinstance(source, str):
            return cls.from_text(source)
        if isinstance(source, bytes | bytearray | memoryview):
            raise ConfigurationError("the context is bytes; decode it to a string first: data.decode('utf-8')")
        from pyrlm.data import DataContext, is_data  # noqa: PLC0415 - it is made of this class

        if is_data(source):
            return DataContext(source)
        if isinstance(source, Sequence):
            return cls.from_documents(source)
        raise ConfigurationError(
            f"the context must be a Context, a string, a list of strings, or data (dict, list, model, frame), got "
            f"{type(source).__name__}; for files use Context.from_files(path)"
        )

    @cached_property
    def api(self) -> TextAPI:
        """The search and cutting behind `ctx`, with regular expressions that end after 10 seconds."""
        return TextAPI.of_documents(self.texts, self.separator, engine=timed_engine(_FIND_SECONDS))

    @cached_property
    def len_chars(self) -> Count:
        """Length of the whole text in characters, separators included."""
        return Count(sum(map(len, self.texts)) + len(self.separator) * max(len(self.texts) - 1, 0))

    @property
    def num_documents(self) -> Count:
        """Number of documents."""
        return Count(len(self.texts))

    @cached_property
    def sources(self) -> tuple[str | None, ...]:
        """Where each document comes from: a file's path as it was given, or None."""
        if not self._documents:
            return (None,) * len(self.texts)
        return tuple(_source(item) for item in self._documents)

    @property
    def provenance(self) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]] | Sequence[FileDocument]]:
        """What is known of the whole, and of each document, as it was given; nothing for documents of which nothing is."""
        return self._metadata, self._documents

    def get_document(self, i: int) -> str:
        """Return document `i`; negative numbers count from the end. IndexError says how many there are."""
        return self.api.get_document(i)

    def document_lengths(self) -> list[int]:
        """Return the length of each document in characters."""
        return list(map(len, self.texts))

    def slice(self, start: int | None = None, end: int | None = None) -> str:
        """Return the text from `start` to `end`, by the rules of Python's slices, separators included."""
        return self.api.slice(start, end)

    def find(
        self,
        pattern: str | re.Pattern[str],
        regex: bool = False,
        ignore_case: bool = False,
        max_results: int | None = 100,
        *,
        timeout: float = _FIND_SECONDS,
    ) -> list[Match]:
        """Find `pattern` in every document, as tuples ``(start, end, text, doc, line)`` with global offsets.

        Args:
            pattern: Text to look for; a regular expression with ``regex=True``, or a compiled one.
            regex: Take `pattern` in the syntax of `re` (`pyrlm.patterns` tells where matches may differ).
            ignore_case: Take upper and lower case as equal.
            max_results: Stop after so many; None for all.
            timeout: Seconds after which a search by regular expression or without case is given up.

        Raises:
            TimeoutError: The pattern did not end in time; the message says why that is likely and what to write.
            ValueError: An empty pattern, or one that is not a regular expression.
        """
        if max_results is not None and max_results < 0:
            raise ValueError(f"find: max_results must be 0 or more, or None for all; got {max_results}")
        found = self.api.iter_matches(pattern, regex, ignore_case, engine=timed_engine(timeout))
        return list(islice(found, max_results))

    def chunk(self, size: int, overlap: int = 0) -> list[str]:
        """Cut the whole text into pieces of `size` characters, each `overlap` characters into the next."""
        return self.api.chunk(size, overlap)

    def chunk_documents(self, docs_per_chunk: int = 10) -> list[str]:
        """Join every `docs_per_chunk` documents by the separator."""
        return self.api.chunk_documents(docs_per_chunk)

    def locate(self, offset: int) -> tuple[int, int, int]:
        """Return the document of a global offset, the offset within that document, and the line there (from 1)."""
        return self.api.locate(offset)

    def where(self, offset: int) -> str:
        """Return a global offset as people cite it: ``"notes.md:12"``, ``"report.pdf, page 3"``, ``"document 4:7"``.

        Lines are the file's own; a record's line is the one that it begins on.
        """
        doc, local, line = self.locate(offset)
        item = self._documents[doc] if self._documents else {}
        if not isinstance(item, Mapping):
            return item.where(local, line)
        return f"{_source(item) or f'document {doc}'}:{line}"

    def spans(self) -> list[tuple[int, int]]:
        """Return the global start and end of each document, in characters."""
        return self.api.spans()

    def encode_pieces(self, max_chars: int = PIECE_CHARS) -> Iterator[bytes]:
        """Yield the joined text as UTF-8 in bounded pieces, for a process that is to hold it as one string.

        Lone surrogates are kept (decode with ``errors="surrogatepass"``). A piece has at most `max_chars` characters.
        """
        return encode_pieces(self.texts, self.separator, max_chars)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all lengths and of sampled text, in milliseconds; too weak to tell close versions apart."""
        return fingerprint(self.texts, self.separator)

    def metadata(self, document: int | None = None) -> dict[str, Any]:
        """Return what is known of one document, or of the whole: of bounded size whatever the number of documents."""
        if document is not None:
            self.api.get_document(document)
            item = self._documents[document] if self._documents else {}
            return dict(item) if isinstance(item, Mapping) else item.metadata()
        lengths = self.document_lengths()
        known = [source for source in islice(self.sources, 20) if source]
        summary: dict[str, Any] = {
            "len_chars": int(self.len_chars),
            "num_documents": len(lengths),
            "separator": self.separator,
            "shortest_document": min(lengths, default=0),
            "longest_document": max(lengths, default=0),
        }
        if known:
            summary["sources"] = list(dict.fromkeys(known))
        if len(self.texts) == 1:
            summary |= self.metadata(0)
        return summary | dict(self._metadata)

    def __len__(self) -> int:
        return self.len_chars

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        start = self.texts[0][:40] if self.texts else ""
        return f"<Context: {self.len_chars:,} characters in {self.num_documents:,} documents, {start!r}…>"


def _source(item: Mapping[str, Any] | FileDocument) -> str | None:
    if not isinstance(item, Mapping):
        return item.source
    source = item.get("source")
    return None if source is None else str(source)
