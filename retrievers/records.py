"""How a document lies in the index: one tantivy document a passage, all of a document in one atomic commit.

Fields: ``title`` and ``text`` are analysed and searched; ``doc`` is the document's id, ``version`` its id and content
hash (on its first passage only); ``terms`` and ``numbers`` hold the metadata for filters; ``uid``, ``group`` and
``start`` are numbers read in bulk (which passage, which document, where); ``payload`` (JSON), ``body`` (the passage) and
``vector`` are stored bytes.
"""

from __future__ import annotations

import functools
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.dates import microseconds, parse_date
from pyrlm.retrievers.filters import INTEGER_LIMIT, FieldType
from pyrlm.retrievers.metadata import Value, field_values, jsonable, value_type
from pyrlm.retrievers.protocol import Document, Passage

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tantivy

__all__ = [
    "HEAD",
    "Record",
    "analyzer",
    "exists_term",
    "keyword_term",
    "number_key",
    "number_keys",
    "number_term",
    "prepare",
    "schema",
    "searchable",
    "sortable",
    "tantivy_document",
]

ANALYZER: Final = "pyrlm_text"
MAX_ID_CHARS: Final = 512
MAX_FIELDS: Final = 1_000
MAX_TERM_CHARS: Final = 1_000
_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

HEAD: Final = "\x00head"
"""Term of the first passage of every document."""

# Scripts without spaces: Elasticsearch's standard analyzer makes every character a word.
_UNSPACED: Final = re.compile(
    r"([\u2e80-\u2fdf\u3005-\u3007\u3040-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f])"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f]")


@functools.cache
def schema() -> tantivy.Schema:
    """The fields of every index of this format."""
    import tantivy  # noqa: PLC0415 - costs 10 ms

    builder = tantivy.SchemaBuilder()
    for name in ("title", "text"):
        builder.add_text_field(name, tokenizer_name=ANALYZER, index_option="freq")
    for name in ("doc", "version", "terms"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_json_field("numbers", fast=True, tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field("uid", indexed=True, fast=True)
    for name in ("group", "start"):
        builder.add_unsigned_field(name, fast=True)
    for name in ("payload", "body", "vector"):
        builder.add_bytes_field(name, stored=True)
    return builder.build()


@functools.cache
def analyzer() -> tantivy.TextAnalyzer:
    """Words in lower case, no stemming, no stop words: near Elasticsearch's ``standard``."""
    import tantivy  # noqa: PLC0415

    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    return builder.filter(tantivy.Filter.remove_long(255)).filter(tantivy.Filter.lowercase()).build()


def searchable(text: str) -> str:
    """`text` with Chinese and Japanese characters set apart, so that the analyzer takes each as a word."""
    return text if text.isascii() else _UNSPACED.sub(r" \1 ", text)


def exists_term(name: str) -> str:
    """Term of the documents that have this metadata field."""
    return f"{name}\x1f"


def keyword_term(name: str, value: str | bool) -> str:
    """Term of a string or a boolean in a metadata field; long strings are cut and told apart by a hash."""
    if isinstance(value, bool):
        return f"{name}\x1fb{int(value)}"
    if len(value) > MAX_TERM_CHARS:
        value = f"{value[:MAX_TERM_CHARS]}\x1e{blake2b(value.encode(), digest_size=16).hexdigest()}"
    return f"{name}\x1fs{value}"


def number_term(name: str, value: float) -> str:
    """Term of a number: 5 and 5.0 are the same."""
    whole = int(value)
    return f"{name}\x1fn{whole if whole == value else value!r}"


@dataclass(frozen=True, slots=True)
class Record:
    """A document made ready for the index: checked, with its metadata as filters need it.

    Attributes:
        document: The document.
        shared: The end of what is stored with each passage, as JSON.
        version: Its id and a hash of all that is indexed.
        group: A number that stands for its id.
        fields: Type of each metadata field that it has.
        terms: Terms for exact filters.
        numbers: Numbers and dates by the key that range filters use.
    """

    document: Document
    shared: str
    version: str
    group: int
    fields: Mapping[str, FieldType] = field(default_factory=dict)
    terms: tuple[str, ...] = ()
    numbers: Mapping[str, list[int]] = field(default_factory=dict)


def prepare(document: object, known: Mapping[str, FieldType]) -> Record:
    """Check a document against the fields that the index has so far.

    Raises:
        RetrieverError: It can't be indexed; says why.
    """
    if not isinstance(document, Document):
        raise RetrieverError(f"expected a Document, got {type(document).__name__}")
    doc_id = _checked("doc_id", document.doc_id)
    content = _checked("content", document.content)
    title = _checked("title", document.title)
    if not 0 < len(document.doc_id) <= MAX_ID_CHARS:
        raise RetrieverError(f"doc_id has 1 to {MAX_ID_CHARS} characters, got {len(document.doc_id)}")
    if not document.content.strip():
        raise RetrieverError("the document has no text")
    if not isinstance(document.metadata, Mapping):
        raise RetrieverError(f"metadata must be a mapping, got {type(document.metadata).__name__}")
    fields: dict[str, FieldType] = {"doc_id": "keyword"}
    terms: list[str] = [exists_term("doc_id"), keyword_term("doc_id", document.doc_id)]
    numbers: dict[str, list[int]] = {}
    for name, items in field_values(document.metadata).items():
        if name != "doc_id":
            fields[name] = kind = _field_type(name, items, known)
            _add_facts(name, kind, items, terms, numbers)
    if len(known.keys() | fields.keys()) > MAX_FIELDS:
        raise RetrieverError(f"an index has at most {MAX_FIELDS} metadata fields; this document brings more")
    metadata = _json(jsonable(document.metadata))
    digest = blake2b(content, digest_size=16)
    for part in (title, metadata.encode()):
        digest.update(b"%d " % len(part))
        digest.update(part)
    shared = f',"id":{_json(document.doc_id)},"chars":{len(document.content)},"title":{_json(document.title)},"meta":{metadata}}}'
    version = f"{document.doc_id}\x00{digest.hexdigest()}"
    return Record(document, shared, version, _hash(doc_id), fields, tuple(dict.fromkeys(terms)), numbers)


def _checked(name: str, text: object) -> bytes:
    if not isinstance(text, str):
        raise RetrieverError(f"{name} must be a string, got {type(text).__name__}")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise RetrieverError(
            f"{name} holds half a surrogate pair at {error.start}; decode files with errors='replace'"
        ) from None


def _field_type(name: str, values: Sequence[Value], known: Mapping[str, FieldType]) -> FieldType:
    _checked("the name of a metadata field", name)
    if _CONTROL.search(name):
        raise RetrieverError(f"metadata field {name!r} has a control character in its name")
    wanted = known.get(name) or value_type(values[0]) or "keyword"
    for value in values:
        found = value_type(value)
        if isinstance(value, str):
            _checked(f"metadata field {name!r}", value)
        compatible = found == wanted or (wanted == "keyword" and found == "date")
        if not compatible and not (wanted == "date" and isinstance(value, str) and parse_date(value)):
            raise RetrieverError(
                f"metadata field {name!r} is a {wanted} field here and can't hold {str(value)[:60]!r} "
                f"({type(value).__name__})"
            )
    return wanted


def _add_facts(
    name: str, kind: FieldType, values: Sequence[Any], terms: list[str], numbers: dict[str, list[int]]
) -> None:
    terms.append(exists_term(name))
    for value in values:
        if kind == "date":
            span = parse_date(value)
            assert span is not None
            numbers.setdefault(number_keys(name)[0], []).append(microseconds(span[0]))
        elif kind == "number":
            terms.append(number_term(name, value))
            key, number = number_key(name, value)
            numbers.setdefault(key, []).append(number)
        else:
            terms.append(keyword_term(name, value if isinstance(value, (str, bool)) else value.isoformat()))


def number_keys(name: str) -> tuple[str, str]:
    """Where ranges look for the whole numbers (and dates) of a field, and for its other numbers.

    In hexadecimal: the engine reads ranges through its query parser only, and there names need no escapes then.
    """
    plain = name.encode().hex()
    return f"i{plain}", f"d{plain}"


def number_key(name: str, value: float) -> tuple[str, int]:
    """Where ranges look for a number: whole ones as they are, others as integers of the same order."""
    whole = int(value)
    whole_key, other_key = number_keys(name)
    if whole == value and -INTEGER_LIMIT <= whole < INTEGER_LIMIT:
        return whole_key, whole
    return other_key, sortable(value)


def sortable(value: float) -> int:
    """A float's bits as an integer of the same order (the float's sign turns the order of the rest)."""
    bits: int = struct.unpack(">q", struct.pack(">d", value))[0]
    return bits if bits >= 0 else bits ^ 0x7FFF_FFFF_FFFF_FFFF


def tantivy_document(record: Record, number: int, passage: Passage, vector: bytes | None) -> tantivy.Document:
    """Passage `number` (from 0) of a document, as the index holds it."""
    import tantivy  # noqa: PLC0415

    document = record.document
    place = f'{{"start":{passage.start},"end":{passage.end},"line":{passage.line},"heading":{_json(passage.heading)}'
    row = tantivy.Document()
    row.add_text("text", searchable(passage.text))
    if document.title:
        row.add_text("title", searchable(document.title))
    row.add_text("doc", document.doc_id)
    for term in record.terms:
        row.add_text("terms", term)
    if number == 0:
        row.add_text("version", record.version)
        row.add_text("terms", HEAD)
    if record.numbers:
        row.add_json("numbers", record.numbers)
    row.add_unsigned("uid", _hash(f"{number}\x00{record.version}".encode()))
    row.add_unsigned("group", record.group)
    row.add_unsigned("start", passage.start)
    row.add_bytes("payload", f"{place}{record.shared}".encode())
    row.add_bytes("body", passage.text.encode())
    if vector is not None:
        row.add_bytes("vector", vector)
    return row


def _hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest())
