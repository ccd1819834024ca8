"""One call whose answer has to fit a schema: the provider's own structured output where it takes it, checked anyway."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from pyrlm.adapters.calling import accepts_option
from pyrlm.errors import ModelError, PolicyError
from pyrlm.output import Checked, json_in
from pyrlm.prompts_data import mend_json
from pyrlm.replies import is_abstention, parse_direct
from pyrlm.replies_said import without_thinking
from pyrlm.routers.response_format import refuses_format, response_format

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from pyrlm.adapters.base import Message
    from pyrlm.calls import Reply
    from pyrlm.models import Model
    from pyrlm.output import OutputSchema

    Ask = Callable[[Sequence[Message], dict[str, Any]], Awaitable[Reply]]

__all__ = ["Said", "ask_fitting", "fit_found", "free"]

_refused: WeakKeyDictionary[Model, set[str]] = WeakKeyDictionary()
"""Schemas that a model's provider has refused as `response_format`; ``""`` for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a reply says: the answer, its quotes, and why it does not fit the schema, where it does not."""

    reply: Reply
    text: str
    value: Any
    quotes: tuple[str, ...] = ()
    abstained: bool = False
    misfit: str = ""


def free(reply: Reply) -> Said:
    """Read a reply that need not fit a schema."""
    direct = parse_direct(reply.text)
    return Said(reply=reply, text=direct.answer, value=direct.answer, quotes=direct.quotes, abstained=direct.abstained)


async def ask_fitting(ask: Ask, messages: Sequence[Message], schema: OutputSchema, model: Model) -> Said:
    """Ask for an object with answer and quotes; once more, with the errors, where the answer does not fit."""
    reply = await _asked(ask, messages, schema, model)
    said = _said(reply, schema)
    given = without_thinking(reply.text)
    if not said.misfit or reply.cut or reply.response.refusal or not given.strip():
        return said
    try:
        again = await _asked(ask, [*messages, *mend_json(given, said.misfit)], schema, model)
    except PolicyError:
        return said
    return _said(again, schema)


def reply_fits(schema: OutputSchema | None) -> Callable[[str], bool]:
    """Return what tells of a reply's text whether it is an answer that fits, or an abstention; not thinking alone."""
    if schema is None:
        return lambda text: bool(without_thinking(text).strip())
    return lambda text: not _read(text, schema).misfit


async def _asked(ask: Ask, messages: Sequence[Message], schema: OutputSchema, model: Model) -> Reply:
    refused = _refused.setdefault(model, set())
    whole = schema.whole()
    if not accepts_option(model.adapter, "response_format") or refused & {"", whole}:
        return await ask(messages, {})
    try:
        return await ask(messages, {"response_format": response_format(schema.json_schema)})
    except ModelError as error:
        which = refuses_format(error)
        if which is None:
            raise
        refused.add(whole if which == "schema" else "")
    return await ask(messages, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What the text of a reply holds: an answer, fitting or not, and its quotes; no answer where it abstains."""

    checked: Checked | None = None
    quotes: tuple[str, ...] = ()

    @property
    def misfit(self) -> str:
        return self.checked.told() if self.checked is not None else ""


def _said(reply: Reply, schema: OutputSchema) -> Said:
    read = _read(reply.text, schema)
    if read.checked is None:
        return Said(reply=reply, text="", value=None, abstained=True)
    return Said(reply=reply, text=read.checked.text, value=read.checked.value, quotes=read.quotes, misfit=read.misfit)


def _read(text: str, schema: OutputSchema) -> _Read:
    """Read the object that was asked for; the bare answer is taken too. A reply that says nothing is none."""
    text = without_thinking(text)
    if not text.strip():
        return _Read(checked=Checked(problems=(("", "the reply was empty"),)))
    bare = schema.check_text(text)
    found = json_in(text)
    data = json.loads(found) if found is not None else None
    if isinstance(data, dict) and "answer" in data and ("found" in data or bare.problems):
        inner = schema.check_text(json.dumps(data["answer"]))
        holds_one = isinstance(data["answer"], dict) and not inner.problems
        # The fields of an answer may be named as those of the object that was asked for.
        if not bare.problems and not holds_one and set(data) <= _fields(schema.json_schema):
            return _Read(checked=bare)
        return _Read() if data.get("found") is False else _Read(checked=inner, quotes=_quotes(data.get("quotes")))
    if is_abstention(text) and (bare.problems or isinstance(bare.value, str)):
        return _Read()
    return _Read(checked=bare)


def _quotes(given: Any) -> tuple[str, ...]:
    return tuple(quote for quote in given if isinstance(quote, str)) if isinstance(given, list) else ()


def _fields(schema: Mapping[str, Any]) -> set[str]:
    """Return the names of the fields of an object that fits, where the schema or a definition that it points to has any."""
    target = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    return set(schema.get("$defs", {}).get(target, schema).get("properties", {}))


def fit_found(schema: OutputSchema | None, values: Sequence[str]) -> Checked | None:
    """Fit found values to a schema: as a list, else as the one value that they all are; None without a schema."""
    if schema is None:
        return None
    checked = schema.check_value(list(values))
    if checked.problems and len(set(values)) == 1:
        return schema.check_value(values[0])
    return checked
