"""Sub-calls that give data: asked for by a schema, checked, asked once more where the reply does not fit."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pyrlm.prompts import NO_ANSWER, sub_messages
from pyrlm.prompts_data import mend_json, schema_prompt
from pyrlm.replies import is_abstention
from pyrlm.simple_schema import as_json_schema
from pyrlm.subcall_options import failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Ask = Callable[[Sequence["Message"], Callable[[str], bool]], Awaitable[str]]

    from pyrlm.adapters.base import Message
    from pyrlm.output import OutputSchema

__all__ = ["ask_for_data", "schema_given"]

_FAILED = failed("")[:-1]


def schema_given(model: Any, schema: Any) -> tuple[str | None, OutputSchema | None]:
    """Read `model` and `schema` of a call: a dict or list in the place of the model is the schema.

    Raises:
        ValueError: The schema is none; says what is expected.
    """
    if isinstance(model, dict | list):
        if schema is not None:
            raise ValueError(f"model={model!r:.80}: expected the name of a model")
        model, schema = None, model
    if schema is None:
        return model, None
    made = as_json_schema(schema)
    return model, _compiled(json.dumps(made, ensure_ascii=False, separators=(",", ":")))


@lru_cache(maxsize=64)
def _compiled(text: str) -> OutputSchema:
    from pyrlm.output import OutputSchema  # noqa: PLC0415 - most runs have no schema

    return OutputSchema.of(json.loads(text))


async def ask_for_data(ask: Ask, prompt: str, schema: OutputSchema) -> Any:
    """Return the data of a reply; else ``NO_ANSWER``, or ``[sub-call failed: reason]`` after a second one does not fit.

    Args:
        ask: Asks; also gets what tells whether a reply may be kept in the cache.
        prompt: The task.
        schema: What the data has to be.
    """

    def fits(text: str) -> bool:
        return is_abstention(text) or not schema.check_text(text).problems

    asked = sub_messages(schema_prompt(prompt, schema.whole()))
    said = await ask(asked, fits)
    if said.startswith(_FAILED):
        return said
    checked = schema.check_text(said)
    if not checked.problems:
        return checked.value
    if is_abstention(said):
        return NO_ANSWER
    again = await ask([*asked, *mend_json(said, checked.told())], fits)
    if again.startswith(_FAILED):
        return again
    checked = schema.check_text(again)
    return failed(f"the reply does not fit the schema: {checked.told()}") if checked.problems else checked.value
