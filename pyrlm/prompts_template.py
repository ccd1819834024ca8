"""System messages of one's own: a template with the parts that a run fills in, checked when it is made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyrlm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PLACEHOLDERS", "REQUIRED", "PromptTemplate"]

PLACEHOLDERS = {
    "role": "what the model is to do, how code is run and print-out comes back, with an example",
    "names": "a line for each variable and function that the run has",
    "rules": "how to use sub-calls, where there are any, and that the text is data",
    "language_notes": "what the Python of the run's backend lacks",
    "answer_form": "how the final answer is given",
    "example": "a first piece of code",
    "max_output_chars": "characters of print-out shown a step",
    "sub_chars": "characters that one sub-call takes",
}
"""What a template may hold, in braces, and what stands there in the end."""

REQUIRED = ("names", "rules", "language_notes", "answer_form")
"""What a template must hold: a model that is not told one of these can't use its run."""

_MARK = re.compile(r"\{\{([A-Za-z_]\w*)\}\}|\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A system message of one's own, for ``RLM(system_prompt=PromptTemplate(…))``.

    ``{names}``, ``{rules}``, ``{language_notes}`` and ``{answer_form}`` have to be in it; ``{role}``, ``{example}``,
    ``{max_output_chars}`` and ``{sub_chars}`` may be. `PLACEHOLDERS` says what each stands for. All other braces are text:
    JSON can be written as it is. ``{{word}}`` is the text ``{word}``.

    Attributes:
        text: The template.

    Raises:
        ConfigurationError: A required part is missing, or a word in braces is no part; says which, and what there is.
    """

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise ConfigurationError(f"PromptTemplate({type(self.text).__name__}): expected a string.")
        given = [mark.group(2) for mark in _MARK.finditer(self.text) if mark.group(2)]
        unknown = [name for name in dict.fromkeys(given) if name not in PLACEHOLDERS]
        if unknown:
            raise ConfigurationError(
                f"PromptTemplate: {_braced(unknown)} is no part of a system message; known are {_braced(PLACEHOLDERS)}. "
                f"For the text itself write {{{{{unknown[0]}}}}}."
            )
        missing = [name for name in REQUIRED if name not in given]
        if missing:
            told = "; ".join(f"{{{name}}}: {PLACEHOLDERS[name]}" for name in missing)
            raise ConfigurationError(
                f"PromptTemplate: it lacks {told}. A text without parts goes in as a plain string."
            )

    def render(self, parts: Mapping[str, str]) -> str:
        """Return the message: each part once put in is text, whatever braces it holds."""
        return _MARK.sub(
            lambda mark: f"{{{mark.group(1)}}}" if mark.group(1) else parts[mark.group(2)], self.text
        ).strip()


def _braced(names: Mapping[str, str] | list[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
