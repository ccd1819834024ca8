"""Checks what model-written code passes to `rlm_query` and `rlm_query_batch`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyrlm import arguments
from pyrlm.subcall_data import schema_given

if TYPE_CHECKING:
    from pyrlm.models import Model
    from pyrlm.output import OutputSchema

__all__ = ["Errand", "How", "errands", "how"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What one sub-agent is to do: the question, and the material, where there is any."""

    query: str | dict[str, Any] | list[Any]
    context: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How sub-agents are made.

    Attributes:
        model: Their root model; its name where code gives one; None for that of their depth.
        max_steps: Most steps of each; None for the run's option.
        schema: What their answers have to be.
        names: Tools, and functions of the code, that are passed on.
    """

    model: str | Model | None = None
    max_steps: int | None = None
    schema: OutputSchema | None = None
    names: tuple[str, ...] = ()


def how(model: Any, max_steps: Any, schema: Any, tools: Any, functions: Any) -> How:
    """Read what is the same for all sub-agents of one call.

    Raises:
        TypeError: An argument is of a wrong type.
        ValueError: An argument has a wrong value.
    """
    model, form = schema_given(model, schema)
    if model is not None:
        arguments.text(model, "rlm_query(model)")
    if max_steps is not None and (isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 1):
        raise ValueError(f"max_steps={max_steps!r}: expected a whole number of 1 or more")
    names = [*_names(tools, "tools"), *_names(functions, "functions")]
    return How(model=model, max_steps=max_steps, schema=form, names=tuple(dict.fromkeys(names)))


def _names(value: Any, where: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    return arguments.texts(list(value) if isinstance(value, dict | set) else value, f"rlm_query({where})")


def errands(queries: Any, contexts: Any) -> list[Errand]:
    """Read the items of a batch: questions with a list of contexts beside them, pairs, or dicts.

    Raises:
        TypeError: An argument is of a wrong type.
        ValueError: There are not as many questions as contexts.
    """
    if isinstance(queries, str):
        if contexts is None:
            raise TypeError("rlm_query_batch(queries): expected a list of (query, context) pairs, got str")
        queries = [queries] * len(_items(contexts, "contexts"))
    listed = _items(queries, "queries")
    if contexts is None:
        return [_errand(item, f"rlm_query_batch(queries)[{index}]") for index, item in enumerate(listed)]
    given = _items(contexts, "contexts")
    if len(listed) != len(given):
        raise ValueError(f"rlm_query_batch: {len(listed)} queries and {len(given)} contexts; expected one for each")
    return [
        Errand(query=_query(query, f"rlm_query_batch(queries)[{index}]"), context=context)
        for index, (query, context) in enumerate(zip(listed, given, strict=True))
    ]


def _items(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"rlm_query_batch({where}): expected a list, got {type(value).__name__}")
    return list(value)


def _query(value: Any, where: str) -> str | dict[str, Any] | list[Any]:
    return value if isinstance(value, dict | list) else arguments.text(value, where)


def _errand(item: Any, where: str) -> Errand:
    if isinstance(item, str):
        return Errand(query=item)
    if isinstance(item, dict) and "query" in item and set(item) <= {"query", "context"}:
        return Errand(query=_query(item["query"], f"{where}['query']"), context=item.get("context"))
    if isinstance(item, list | tuple) and len(item) == 2:  # noqa: PLR2004 - a pair
        return Errand(query=_query(item[0], f"{where}[0]"), context=item[1])
    raise TypeError(f"{where}: expected a query, a pair (query, context) or a dict of both, got {type(item).__name__}")
