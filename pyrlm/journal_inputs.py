"""What a durable run was given, as its file holds it: the question, the material in compressed pieces, the schema."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyrlm.context import Context
from pyrlm.data import DataContext, plain
from pyrlm.errors import CheckpointError
from pyrlm.journal_forms import field_form
from pyrlm.repl.wire import decode, dumps, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyrlm.journal import Journal
    from pyrlm.journal_marks import Marks
    from pyrlm.readers import FileDocument

__all__ = ["Given", "given_of", "pieces_of", "query_form", "schema_form"]

_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Given:
    """What a run was given.

    Attributes:
        query: The question.
        context: The material, whatever it is made of; None without any.
        schema: The schema that was given with the question; None without one.
    """

    query: Any
    context: Any
    schema: Any


def pieces_of(context: Context | None, marks: Marks) -> tuple[dict[str, Any], list[bytes]]:
    """Return what is to be known of a run's material, and the material itself in compressed pieces, keys as marks."""
    if context is None:
        return {"form": "none"}, []
    if isinstance(context, DataContext):
        raw = [dumps(encode(context.data, "context"))]
        facts: dict[str, Any] = {"form": "data"}
    else:
        raw = [_about(context), *context.encode_pieces()]
        facts = {"form": "text"}
    hidden = [marks.hide(raw[0]), *marks.hide_all(raw[1:])]
    return {**facts, "hash": _hash(raw), "chars": context.len_chars()}, [
        zlib.compress(piece, _LEVEL) for piece in hidden
    ]


def _material_of(facts: Mapping[str, Any], journal: Journal) -> Context | None:
    """Return the material of a run.

    Raises:
        CheckpointError: It is not what was written, or holds a key that this process does not have.
    """
    if facts["form"] == "none":
        return None
    try:
        raw = [journal.marks.show(zlib.decompress(piece), journal.path) for piece in journal.pieces()]
    except zlib.error as error:
        raise CheckpointError(f"The text in the file of the run is damaged: {error}.") from error
    if _hash(raw) != facts["hash"]:
        raise CheckpointError("The text in the file of the run is damaged: its hash is another one.")
    if facts["form"] == "data":
        return DataContext(decode(json.loads(raw[0].decode("utf-8", "surrogatepass"))))
    about = json.loads(raw[0])
    joined = b"".join(raw[1:]).decode("utf-8", "surrogatepass")
    texts = tuple(_cut(joined, about["lengths"], len(about["separator"])))
    return Context(
        texts,
        separator=about["separator"],
        metadata=decode(about["metadata"]),
        documents=_documents(about["documents"], texts),
    )


def given_of(facts: Mapping[str, Any], journal: Journal, again: Given) -> Given:
    """Return what a run was given; `again` holds material and schema where they are given again.

    Raises:
        CheckpointError: What is given again is not the same, or is needed and not there.
    """
    material = Context.of(again.context) if again.context is not None else None
    if material is None:
        material = _material_of(facts["context"], journal)
    elif pieces_of(material, journal.marks)[0] != facts["context"]:
        then, now = facts["context"].get("chars", 0), material.len_chars()
        raise CheckpointError(
            f"The context is not the one of the recorded run ({then:,} characters then, {now:,} now, or another text of the "
            "same length). Leave it out: the file holds it."
        )
    return Given(decode(facts["query"]), material, _schema_of(facts["schema"], again.schema))


def schema_form(schema: Any) -> dict[str, Any] | None:
    """Return a schema as the file holds it: a JSON Schema as it is, of a type its own."""
    if schema is None:
        return None
    from pyrlm.output import OutputSchema  # noqa: PLC0415 - most runs have no schema

    made = schema if isinstance(schema, OutputSchema) else OutputSchema.of(schema)
    given = schema if isinstance(schema, dict) else None
    return {"given": given, "json_schema": made.json_schema, "name": getattr(schema, "__name__", str(schema))[:200]}


def _schema_of(form: Mapping[str, Any] | None, schema: Any) -> Any:
    """Return the schema of a form; `schema` is the type, given again.

    Raises:
        CheckpointError: The type is missing, or is not the same.
    """
    if form is None:
        if schema is not None:
            raise CheckpointError("output_schema: the recorded run was given none.")
        return None
    if schema is None:
        if form["given"] is None:
            raise CheckpointError(
                f"The recorded run was given output_schema={form['name']}, a type that no file can hold: give it again, "
                "resume(path, output_schema=…)."
            )
        return form["given"]
    again = schema_form(schema)
    if again is None or again["json_schema"] != form["json_schema"]:
        raise CheckpointError(f"output_schema is not the one of the recorded run, {form['name']}.")
    return schema


def query_form(query: Any) -> Any:
    """Return a question as the file holds it."""
    return encode(query if isinstance(query, str) else plain(query), "query")


def _about(context: Context) -> bytes:
    whole, documents = context.provenance
    about = {
        "lengths": context.document_lengths(),
        "separator": context.separator,
        "metadata": field_form(whole),
        "documents": [_document_form(item) for item in documents],
    }
    return json.dumps(about, separators=(",", ":")).encode()


def _document_form(item: Mapping[str, Any] | FileDocument) -> dict[str, Any]:
    if isinstance(item, Mapping):
        return {"metadata": field_form(item)}
    return {"file": [item.source, item.kind, item.line, item.record]}


def _documents(forms: Sequence[Any], texts: Sequence[str]) -> Sequence[Mapping[str, Any]] | Sequence[FileDocument]:
    if not forms:
        return ()
    if "file" not in forms[0]:
        return tuple(decode(form["metadata"]) for form in forms)
    from pyrlm.readers import FileDocument  # noqa: PLC0415 - only runs over files

    return tuple(
        FileDocument(text=text, source=source, kind=kind, line=line, record=record)
        for text, (source, kind, line, record) in zip(texts, (form["file"] for form in forms), strict=True)
    )


def _cut(joined: str, lengths: Sequence[int], between: int) -> Iterator[str]:
    start = 0
    for length in lengths:
        yield joined[start : start + length]
        start += length + between


def _hash(raw: Sequence[bytes]) -> str:
    whole = hashlib.blake2b(digest_size=16)
    for piece in raw:
        whole.update(piece)
    return whole.hexdigest()
