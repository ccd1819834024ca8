"""The system message of a root model: put together from a variant's parts, or filled into a template of one's own."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from pyrlm.errors import ConfigurationError
from pyrlm.prompts_template import PromptTemplate
from pyrlm.prompts_variants import DATA_RULE, VARIANTS, Wording

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrlm.rlm import RLM

__all__ = ["check_prompt_options", "compose_system", "subcalls_opened", "without_subcalls"]

_DATA_EXAMPLE = """\
print(type(context), len(context))"""

_TEXT_EXAMPLE = """\
for start, end, text, doc, line in ctx.find("warranty", ignore_case=True, max_results=5):
    print(doc, line, ctx.slice(max(0, start - 200), end + 300))"""

_SMALL_EXAMPLE = """\
hits = ctx.find("warranty", ignore_case=True)
print(len(hits), [ctx.slice(start - 80, end + 80) for start, end, *_ in hits[:3]])"""

_MILLION = 1_000_000


def compose_system(
    *,
    has_text: bool,
    subcalls: bool,
    sub_chars: int,
    max_output_chars: int,
    extra_names: Iterable[str] = (),
    example: str = "",
    language_notes: str = "",
    variant: str = "default",
    template: PromptTemplate | None = None,
) -> str:
    """Return the system message for runs with these abilities; it holds nothing of a single run.

    Args:
        has_text: Whether `P` and `ctx` exist.
        subcalls: Whether sub-calls exist.
        sub_chars: Characters that one sub-call takes.
        max_output_chars: Characters of print-out shown a step.
        extra_names: A line for each further name (searches, tools).
        example: First code, for runs without a text.
        language_notes: What this backend's Python lacks.
        variant: How its parts are worded; see `pyrlm.prompts_variants`.
        template: Puts the parts together; by default each is a paragraph.
    """
    wording = VARIANTS[variant]
    names = [
        *(wording.text_names if has_text else ()),
        *(wording.sub_names if subcalls else ()),
        *extra_names,
    ]
    shown = (_SMALL_EXAMPLE if variant == "small_context" else _TEXT_EXAMPLE) if has_text else example or _DATA_EXAMPLE
    rules = _sub_rules(wording, sub_chars) if subcalls else ""
    role = wording.role.format(example=shown, max_output_chars=max_output_chars)
    listed = "\n".join(f"- {name}" for name in names) + f"\n{wording.modules}"
    if template is None:
        parts = (role, f"Names:\n{listed}", rules, language_notes, wording.answer_form, DATA_RULE)
        return "\n\n".join(part for part in parts if part)
    return template.render(
        {
            "role": role,
            "names": listed,
            "rules": "\n".join(rule for rule in (rules, DATA_RULE) if rule),
            "language_notes": language_notes,
            "answer_form": wording.answer_form,
            "example": shown,
            "max_output_chars": f"{max_output_chars}",
            "sub_chars": f"{_sub_chars(wording, sub_chars):,}",
        }
    )


def subcalls_opened(count: int | None, sub_chars: int, variant: str = "default", *, more: Iterable[str] = ()) -> str:
    """What a later stage says when sub-calls become available; `more` are lines of further names."""
    wording = VARIANTS[variant]
    much = "Sub-calls are" if count is None else f"Up to {count} sub-calls are"
    names = "\n".join(f"- {name}" for name in (*wording.sub_names, *more))
    return f"{much} available from now on:\n{names}\n{_sub_rules(wording, sub_chars)}"


def _sub_chars(wording: Wording, sub_chars: int) -> int:
    return min(sub_chars, wording.most_sub_chars or sub_chars)


def _sub_rules(wording: Wording, sub_chars: int) -> str:
    chars = _sub_chars(wording, sub_chars)
    return wording.sub_rules.format(sub_chars=f"{chars:,}", calls=f"{math.ceil(_MILLION / chars):,}")


_NOT_THERE = re.compile(
    "NameError: .*'(llm_query|llm_batch|llm_query_batched|llm_query_batch|ask|ask_chunks|ask_chunks_first|rlm_query|"
    "rlm_query_batch|rlm_query_batched)'"
)


def without_subcalls(error: str) -> str:
    """Say of an error of code, where it is that a function of sub-calls is not there, that this run has none."""
    if _NOT_THERE.search(error) is None:
        return error
    return f"{error}\nThis run has no sub-calls and no sub-agents: find the answer with code alone."


def check_prompt_options(rlm: RLM) -> None:
    """Check the options of a run that shape its system message.

    Raises:
        ConfigurationError: One can't be used, or two contradict each other.
    """
    own, variant = rlm.system_prompt, rlm.prompt_variant
    if not isinstance(variant, str) or variant not in VARIANTS:
        known = ", ".join(map(repr, VARIANTS))
        raise ConfigurationError(f"RLM(prompt_variant={variant!r}): expected one of {known}.")
    if own is not None and not isinstance(own, str | PromptTemplate):
        raise ConfigurationError(
            f"RLM(system_prompt={type(own).__name__}): expected a string, a PromptTemplate, or None."
        )
    if isinstance(own, str) and own and variant != "default":
        raise ConfigurationError(
            f"RLM(prompt_variant={variant!r}, system_prompt=…): a plain text takes the place of the whole message, so the "
            "variant would change nothing; leave one of them out, or put the parts into a PromptTemplate."
        )
    if rlm.recursive_subcalls and not rlm.enable_sub_calls:
        raise ConfigurationError(
            "RLM(recursive_subcalls=True, enable_sub_calls=False): there are no sub-calls that could become sub-agents; leave "
            "one of them out."
        )
    if rlm.require_subcall_before_final and not rlm.enable_sub_calls:
        raise ConfigurationError(
            "RLM(require_subcall_before_final=True, enable_sub_calls=False): no answer could pass; leave one of them out."
        )
