"""The material of a conversation: what it began with, and what was added."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pyrlm.context import Context
from pyrlm.data import DataContext
from pyrlm.outline import outline
from pyrlm.prompts_conversation import added_data, added_text
from pyrlm.repl.functions import context_functions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrlm.inputs import Inputs
    from pyrlm.repl.protocol import HostFunction

__all__ = ["Added", "Materials"]

_MAX_VARIABLE = 20_000_000
"""Characters up to which an added text is one string in the REPL: at six bytes each it still crosses in one message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A context that was added.

    Attributes:
        name: Its variable.
        note: What the model is told.
        functions: Host functions, those of its own `ctx`.
        variables: Variables.
    """

    name: str
    note: str
    functions: Mapping[str, HostFunction] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)


class Materials:
    """What the questions of a conversation are asked over.

    Args:
        base: What it began with.
    """

    def __init__(self, base: Inputs) -> None:
        self._base = base
        self._texts = [base.context] if base.context is not None else []
        self._whole = base.context
        self.added: list[Added] = []

    @property
    def empty(self) -> bool:
        """Whether there is none."""
        return self._base.material is None and not self.added

    @property
    def context(self) -> Context | None:
        """All texts as one context: its documents are theirs, one after the other."""
        return self._whole

    def begin_with(self, base: Inputs) -> None:
        """Take this as what the conversation begins with, where there was nothing."""
        self.__init__(base)  # type: ignore[misc] # nothing is kept of an empty one

    def add(self, context: Context) -> Added:
        """Add a text or data."""
        number = len(self.added) + 2
        name, ctx = f"P{number}", f"ctx{number}"
        if isinstance(context, DataContext):
            note = added_data(name, outline(context.data), context.len_chars())
            new = Added(name=name, note=note, variables={name: context.data})
        else:
            whole = context.len_chars() <= _MAX_VARIABLE
            own = {
                f"{ctx}.{key.removeprefix('ctx.')}": call
                for key, call in context_functions(context).items()
                if "." in key
            }
            note = added_text(name, ctx, context, whole=whole, known=bool(self._texts))
            new = Added(
                name=name,
                note=note,
                functions=own,
                variables={name: context.separator.join(context.texts)} if whole else {},
            )
            self._texts.append(context)
            self._whole = _joined(self._texts)
        self.added.append(new)
        return new

    def inputs(self, asked: Inputs) -> Inputs:
        """Return a question with this material."""
        return replace(
            asked, context=self._whole, data=self._base.data, variables={**self._base.variables, **asked.variables}
        )


def _joined(texts: list[Context]) -> Context:
    documents = [{"source": source} if source else {} for text in texts for source in text.sources]
    return Context(
        tuple(document for text in texts for document in text.texts), separator=texts[0].separator, documents=documents
    )
