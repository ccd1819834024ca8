"""What one routed run owns, and the answer that a route gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyrlm.citations import Citation
from pyrlm.data import DataContext
from pyrlm.evidence import check_quotes
from pyrlm.routers.limits import answer_reserve
from pyrlm.routers.table import TOOLS_RULE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyrlm.adapters.base import Usage
    from pyrlm.calls import Caller
    from pyrlm.context import Context
    from pyrlm.errors import PyRLMError
    from pyrlm.models import Model
    from pyrlm.output import OutputSchema
    from pyrlm.retrievers.protocol import Hit
    from pyrlm.rlm import RLM
    from pyrlm.routers.config import RouterConfig
    from pyrlm.routers.decision import RouteDecision
    from pyrlm.routers.deterministic import Plan
    from pyrlm.routers.prefix import SharedPrefix
    from pyrlm.routers.result import Attempt
    from pyrlm.searches import Searches

__all__ = ["Answer", "Work"]

_FRAMED_DOCUMENTS = 20
"""Documents that a prompt shows each in a frame of its own, of about six tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a route says.

    Attributes:
        route: The route.
        text: The answer; empty where there is none.
        value: The answer as an object.
        citations: Passages that it rests on, found in the text.
        missing: Quotes that it gives and that are not in the text.
        coverage: Share of the text that a model has read for it.
        signal: Why it is not accepted; empty where nothing speaks against it.
        abstained: Whether it says that the text does not hold the answer.
        cut: Whether the token limit cut it, even with more room.
        error: What ended the route early, where something did.
        calibration: See `RouterResult.calibration`.
    """

    route: str
    text: str = ""
    value: Any = None
    citations: tuple[Citation, ...] = ()
    missing: tuple[str, ...] = ()
    coverage: float | None = None
    signal: str = ""
    abstained: bool = False
    cut: bool = False
    error: PyRLMError | None = None
    calibration: float | None = None

    @property
    def says_something(self) -> bool:
        """Whether there is an answer in it, whatever speaks against it."""
        return bool(self.text.strip()) and not self.abstained


@dataclass(slots=True, kw_only=True)
class Work:
    """One routed run: one budget, one trace, one cache for all its routes.

    Attributes:
        query: The question as text.
        asked: The question as it was given.
        context: The text; an empty one where an index is all that there is.
        decision: Which route comes first, and why.
        config: Thresholds.
        rlm: Options of the loop.
        root: The root model.
        caller: Budget, trace and cache.
        usable_tokens: Tokens of text that one prompt can hold.
        plan: How to answer without a model, where the caller said.
        staged: Whether the caller named a profile.
        prefix: Lets one of several runs over the same text go first, where there are several.
        searches: Searches in the index, where there is one.
        tried: What was searched before, for the loop.
        read: Passages of the index that a model has read.
        attempts: Routes tried so far.
        notes: What the caller will be told.
    """

    query: str
    asked: Any
    context: Context
    decision: RouteDecision
    config: RouterConfig
    rlm: RLM
    root: Model
    caller: Caller
    usable_tokens: int
    plan: Plan | None = None
    staged: bool = False
    prefix: SharedPrefix | None = None
    searches: Searches | None = None
    tried: list[str] = field(default_factory=list)
    read: list[Hit] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def schema(self) -> OutputSchema | None:
        """What the answer has to be."""
        schema: OutputSchema | None = self.rlm.output_schema  # made by the router
        return schema

    @property
    def is_data(self) -> bool:
        """Whether the material is data, of which the text is the JSON."""
        return isinstance(self.context, DataContext)

    @property
    def answer_tokens(self) -> int:
        """Cap of the reply of a route of one call."""
        return answer_reserve(self.root.window.total_tokens, self.config)

    @property
    def corpus(self) -> bool:
        """Whether an index is all that there is."""
        return self.searches is not None and not self.chars

    @property
    def for_tools(self) -> bool:
        """Whether tools are all that a loop is for: it then has no stages for reading a long text."""
        return self.decision.rule == TOOLS_RULE and not (self.staged and (self.chars or self.corpus))

    @property
    def material(self) -> Sequence[str]:
        """The documents of the text; without one, what was read of the index."""
        return self.searches.seen.texts if self.corpus and self.searches is not None else self.context.texts

    async def check(self, quotes: Sequence[str]) -> tuple[tuple[Citation, ...], tuple[str, ...]]:
        """Look quotes up in the text and in the index; return citations, and the quotes that are in neither."""
        return await check_quotes(quotes, [] if self.corpus else [self.context], self.searches)

    @property
    def chars(self) -> int:
        """Characters of the text."""
        return self.context.len_chars()

    @property
    def pieces(self) -> Sequence[str]:
        """The whole text for one prompt: its documents, joined where their frames would weigh as much as they do."""
        texts = self.context.texts
        return texts if len(texts) <= _FRAMED_DOCUMENTS else [self.context.separator.join(texts)]

    @property
    def fits(self) -> bool:
        """Whether one prompt surely holds the whole text."""
        tokens = self.decision.tokens
        return tokens is not None and tokens.high <= self.usable_tokens

    @property
    def small(self) -> bool:
        """Whether the text is one that a single call answers best, whatever is asked."""
        tokens = self.decision.tokens
        return tokens is not None and tokens.high <= self.config.direct_tokens

    @property
    def passage_chars(self) -> int:
        """Characters of passages for one call: `select_tokens` in this text's own ratio, within what one prompt holds."""
        tokens = self.decision.tokens
        allowed = min(self.config.select_tokens, self.usable_tokens)
        ratio = self.chars / tokens.high if tokens is not None and tokens.high else 1.0
        return max(1, int(allowed * ratio))

    def cite(self, places: Iterable[tuple[int, int, int]]) -> tuple[Citation, ...]:
        """Return stretches of documents, given as ``(doc, start, end)``, as citations."""
        context, spans = self.context, self.context.api.spans()
        return tuple(
            Citation(
                text=context.texts[doc][start:end],
                doc=doc,
                start=start,
                end=end,
                line=context.locate(spans[doc][0] + start)[2],
                source=context.sources[doc],
                global_start=spans[doc][0] + start,
            )
            for doc, start, end in places
        )

    def around(self, citation: Citation, reach: int = 400) -> str:
        """Return a cited passage with the text around it."""
        if citation.doc_id is not None and self.searches is not None:
            return self.searches.seen.around(citation, reach)
        if isinstance(self.context, DataContext):
            return self.context.quotes.around(citation, reach)
        return self.context.texts[citation.doc][max(0, citation.start - reach) : citation.end + reach]

    @property
    def spent(self) -> tuple[Usage, float | None, float]:
        """Tokens, US dollars and seconds so far."""
        budget = self.caller.budget
        return budget.usage, budget.cost_usd, budget.elapsed
