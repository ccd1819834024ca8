"""Outcomes of a run in JSON types, as its file holds them, and back: replies, executions, hits, values, errors."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pyrlm import errors
from pyrlm.adapters.base import ModelResponse, Usage
from pyrlm.redact import redact
from pyrlm.repl.common import error_named
from pyrlm.repl.protocol import Execution, Final, Variable
from pyrlm.repl.wire import decode, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrlm.retrievers.protocol import Hits

__all__ = [
    "all_hits_form",
    "all_hits_of",
    "error_form",
    "error_of",
    "execution_form",
    "execution_of",
    "field_form",
    "hits_form",
    "hits_of",
    "part_form",
    "part_of",
    "response_form",
    "response_of",
    "usage_form",
    "usage_of",
    "variables_form",
    "variables_of",
]

_ATTRIBUTES = ("model", "status", "attempts", "limit", "retryable")
_PLAIN = ("stdout", "stdout_chars", "error", "error_type", "elapsed", "waited", "host_calls")
_RESPONSE = ("text", "finish_reason", "model", "refusal", "answered_by")


def error_form(error: BaseException) -> dict[str, Any]:
    """Return class, message and facts of an exception, without secrets."""
    single = error.args[0] if isinstance(error, KeyError) and len(error.args) == 1 else None
    message = single if isinstance(single, str) else str(error)
    bases = (kind.__name__ for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind)
    facts = {name: getattr(error, name, None) for name in _ATTRIBUTES if not isinstance(error, errors.PolicyError)}
    return {
        "type": type(error).__name__,
        "base": next(bases, None),
        "message": redact(message),
        "facts": {name: value for name, value in facts.items() if isinstance(value, str | int | bool)},
    }


def error_of(form: dict[str, Any]) -> Exception:
    """Return the exception of a form: of the same class where it is one of pyrlm or of Python."""
    kind = getattr(errors, form["base"] or "", None)
    if kind is None:
        return error_named(form["type"], form["message"])
    error: Exception = kind(form["message"])
    for name, value in form["facts"].items():
        setattr(error, name, value)
    return error


def usage_form(usage: Usage) -> dict[str, Any]:
    """Return a usage as a dict."""
    return {item.name: getattr(usage, item.name) for item in fields(usage)}


def usage_of(form: dict[str, Any]) -> Usage:
    """Return the usage of a form."""
    return Usage(**form)


def response_form(response: ModelResponse) -> dict[str, Any]:
    """Return a reply as a dict; usage and price stand beside it as what was charged."""
    return {name: getattr(response, name) for name in _RESPONSE if getattr(response, name) is not None}


def response_of(form: dict[str, Any], usage: Usage | None) -> ModelResponse:
    """Return the reply of a form."""
    return ModelResponse(**form, usage=usage)


def execution_form(execution: Execution) -> dict[str, Any]:
    """Return an execution as a dict. The value of an answer that can't be written is left out."""
    form: dict[str, Any] = {name: getattr(execution, name) for name in _PLAIN}
    final = execution.final
    if final is not None:
        form["final"] = {"quotes": list(final.quotes), "name": final.name}
        with suppress(errors.WireError):  # of a backend of the application's own
            form["final"]["value"] = encode(final.value)
    return form


def execution_of(form: dict[str, Any], again: Execution) -> Execution:
    """Return the execution of a form; `again` is the one that came of running the code again."""
    plain = {name: form[name] for name in _PLAIN}
    final = form.get("final")
    if final is None:
        return Execution(**plain)
    value = decode(final["value"]) if "value" in final else again.final and again.final.value
    return Execution(**plain, final=Final(value=value, quotes=tuple(final["quotes"]), name=final["name"]))


def variables_form(variables: Sequence[Variable]) -> list[list[str]]:
    """Return name, type and repr of each variable."""
    return [[variable.name, variable.type, variable.repr] for variable in variables]


def variables_of(form: Sequence[Sequence[str]]) -> tuple[Variable, ...]:
    """Return the variables of a form."""
    return tuple(Variable(name=name, type=kind, repr=shown) for name, kind, shown in form)


def hits_form(hits: Hits) -> dict[str, Any]:
    """Return the hits of a search as a dict."""
    return {
        "method": hits.method,
        "note": hits.note,
        "hits": [{item.name: field_form(getattr(hit, item.name)) for item in fields(hit)} for hit in hits],
    }


def hits_of(form: dict[str, Any]) -> Hits:
    """Return the hits of a form."""
    from pyrlm.retrievers.protocol import Hit, Hits  # noqa: PLC0415 - runs without a retriever need none of it

    hits = [{name: decode(value) for name, value in hit.items()} for hit in form["hits"]]
    return Hits((Hit(**hit) for hit in hits), method=form["method"], note=form["note"])


def all_hits_form(found: Sequence[Hits]) -> list[dict[str, Any]]:
    """Return the hits of several searches."""
    return [hits_form(hits) for hits in found]


def all_hits_of(form: Sequence[dict[str, Any]]) -> list[Hits]:
    """Return the hits of a form."""
    return [hits_of(hits) for hits in form]


def part_form(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part of a document as a dict."""
    return {name: field_form(value) for name, value in part.items()}


def part_of(form: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a form."""
    return {name: decode(value) for name, value in form.items()}


def field_form(value: Any) -> Any:
    """Return a field of a hit or document; of metadata, what has no form of its own is written as its string."""
    if hasattr(value, "items"):
        return encode({str(key): _value(item) for key, item in value.items()})
    return _value(value)


def _value(value: Any) -> Any:
    try:
        return encode(value)
    except errors.WireError:
        return str(value)
