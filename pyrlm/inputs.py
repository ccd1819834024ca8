"""What a run is given: the question, the material (text or data), and the form that its answer has to have."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pyrlm.context import Context
from pyrlm.data import DataContext, is_data, plain, query_text
from pyrlm.outline import outline
from pyrlm.prompts_data import DATA_NAME, QUERY_NAME, material_note, schema_note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrlm.citations import Quotable, Quoted
    from pyrlm.data_quotes import DataQuotes
    from pyrlm.output import OutputSchema
    from pyrlm.rlm import RLM

__all__ = ["Inputs", "take_in", "with_schema"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a run is given.

    Attributes:
        query: The question as text.
        context: The text; None without one.
        data: The data, in the place of a text; None without any.
        added: Data that was added to a conversation.
        schema: What the answer has to be; None for a text or whatever the REPL held.
        variables: Variables of the REPL.
    """

    query: str
    context: Context | None = None
    data: DataContext | None = None
    added: tuple[DataQuotes, ...] = ()
    schema: OutputSchema | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)

    @property
    def material(self) -> Context | None:
        """The text or the data; None without either."""
        return self.context if self.context is not None else self.data

    @property
    def quotable(self) -> list[Quotable | Quoted]:
        """What an answer can quote."""
        own: list[Quotable | Quoted] = [held for held in (self.context, self.data) if held is not None]
        return [*own, *self.added]

    @property
    def chars(self) -> int:
        """Characters of the material, data as JSON."""
        return self.material.len_chars() if self.material is not None else 0

    @property
    def names(self) -> list[str]:
        """What the system message says of the variables, a line each."""
        return [line for name, line in (("context", DATA_NAME), ("query", QUERY_NAME)) if name in self.variables]

    @property
    def notes(self) -> list[str]:
        """What the first message says of the data and of the answer's form."""
        notes = [material_note(outline(self.data.data), self.chars)] if self.data is not None else []
        return [*notes, schema_note(self.schema.shown())] if self.schema is not None else notes


async def take_in(query: Any, context: Any, output_schema: Any) -> Inputs:
    """Check what a run is given; data is made plain in a worker thread.

    Raises:
        ConfigurationError: Question, context or schema can't be used; says what was given and what is expected.
    """
    if context is None or isinstance(context, Context) or not is_data(context):
        return _taken(query, context, output_schema)
    return await asyncio.to_thread(_taken, query, context, output_schema)


def _taken(query: Any, source: Any, output_schema: Any) -> Inputs:
    text = query_text(query)
    context = None if source is None else Context.of(source)
    data = context if isinstance(context, DataContext) else None
    variables: dict[str, Any] = {} if data is None else {"context": data.data}
    if not isinstance(query, str):
        variables["query"] = plain(query)
    return Inputs(
        query=text,
        context=context if data is None else None,
        data=data,
        schema=_schema(output_schema),
        variables=variables,
    )


def with_schema(rlm: RLM, output_schema: Any) -> RLM:
    """Return `rlm` with its schema made, that of a run in the place of its own."""
    given = rlm.output_schema if output_schema is None else output_schema
    return rlm if given is None else replace(rlm, output_schema=_schema(given))


def _schema(output_schema: Any) -> OutputSchema | None:
    if output_schema is None:
        return None
    from pyrlm.output import OutputSchema  # noqa: PLC0415 - most runs have no schema

    return OutputSchema.of(output_schema)
