"""Answers of a run that has a schema: checked, and made into typed values."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyrlm.guards import Candidate
from pyrlm.replies import parse_direct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrlm.output import Checked, OutputSchema

__all__ = ["fitted", "spelled_out"]


def fitted(candidate: Candidate, schema: OutputSchema | None) -> Candidate:
    """Check an answer: it becomes typed, or says why it does not fit. One that says that there is none stays."""
    if schema is None or candidate.typed:
        return candidate
    text = candidate.value if isinstance(candidate.value, str) else None
    checked = schema.check_value(candidate.value) if text is None or not candidate.literal else schema.check_text(text)
    if candidate.abstains and (checked.problems or isinstance(checked.value, str)):
        return candidate
    if checked.problems:
        return replace(candidate, misfit=checked.told())
    return _typed(candidate, checked)


def spelled_out(text: str, schema: OutputSchema | None, beside: str | None) -> Candidate:
    """Read an answer that was given as text: as a value of the schema, where it is one, else with quotes apart."""
    direct = parse_direct(text)
    plain = Candidate(value=direct.answer, text=direct.answer, quotes=direct.quotes, beside=beside)
    if schema is None or plain.abstains:
        return plain
    whole = schema.check_text(text)
    if whole.problems or isinstance(whole.value, str):
        return plain
    return _typed(replace(plain, quotes=()), whole)


def _typed(candidate: Candidate, checked: Checked) -> Candidate:
    # Integers as they are written: Python reads no more than 4,300 digits.
    said = " ".join(_leaves(json.loads(checked.text, parse_int=str))) if checked.text[:1] in '{["' else checked.text
    return replace(candidate, value=checked.value, text=checked.text, typed=True, said=said)


def _leaves(value: Any) -> Iterator[str]:
    """Yield the texts and numbers within JSON: keys are the schema's words, not the answer's."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
