"""The material of a conversation: what it began with, and what was added."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pyrlm.context import Context
from pyrlm.data import DataContext
from pyrlm.data_quotes import DataQuotes
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
        text: The text; None for data.
        data: The data, for quotes; None for a text.
        functions: Host functions, those of its own `ctx`.
        variables: Variables.
    """

    name: str
    note: str
    text: Context | None = None
    data: DataQuotes | None = None
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

    def add(self, new: Added) -> None:
        """Add what was prepared."""
        self.added.append(new)
        if new.text is not None:
            self._texts.append(new.text)
            self._whole = _joined(self._texts)

    def prepared(self, context: Context) -> Added:
        """Return what adding a text or data takes."""
        number = len(self.added) + 2
        name, ctx = f"P{number}", f"ctx{number}"
        if isinstance(context, DataContext):
            note = added_data(name, outline(context.data, name), context.len_chars())
            return Added(name=name, note=note, data=DataQuotes(context, name), variables={name: context.data})
        whole = context.len_chars() <= _MAX_VARIABLE
        methods = {key: call for key, call in context_functions(context).items() if "." in key}
        return Added(
            name=name,
            note=added_text(name, ctx, context, whole=whole, known=bool(self._texts)),
            text=context,
            functions={f"{ctx}.{key.removeprefix('ctx.')}": call for key, call in methods.items()},
            variables={name: context.separator.join(context.texts)} if whole else {},
        )

    def inputs(self, asked: Inputs) -> Inputs:
        """Return a question with this material."""
        return replace(
            asked,
            context=self._whole,
            data=self._base.data,
            added=tuple(added.data for added in self.added if added.data is not None),
            variables={**self._base.variables, **asked.variables},
        )


def _joined(texts: list[Context]) -> Context:
    documents = [{"source": source} if source else {} for text in texts for source in text.sources]
    return Context(
        tuple(document for text in texts for document in text.texts), separator=texts[0].separator, documents=documents
    )
