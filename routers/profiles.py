"""Execution profiles: which stages a loop goes through, as data."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from pyrlm.routers.query_kinds import QueryKind
from pyrlm.stages import Stage

__all__ = ["FEW_SUBCALLS", "ExecutionProfile", "profile_for", "stages_of"]

FEW_SUBCALLS = 8
"""Sub-calls of the second stage of `DETERMINISTIC_FIRST`: enough to read what a search has found, not the whole text."""


class ExecutionProfile(StrEnum):
    """How a run works on a text that one call should not read whole.

    Attributes:
        DETERMINISTIC_FIRST: A stage in which sub-calls don't exist: search, regular expressions, `extract_after`. Only
            if it ends without an answer that stands in the text does a second stage open up to `FEW_SUBCALLS`.
        SEMANTIC_BATCHES: Cut, read the pieces with parallel sub-calls, combine. A final answer without sub-calls is
            turned back.
        HYBRID: The deterministic stage, which narrows the text down, then the semantic one on what it found, in the
            same session with its variables.
        VERIFY: The route that the decision table gives, then one independent second route, a comparison against the
            text, and at most one arbitration.
    """

    DETERMINISTIC_FIRST = "deterministic_first"
    SEMANTIC_BATCHES = "semantic_batches"
    HYBRID = "hybrid"
    VERIFY = "verify"


_DETERMINISTIC = (
    "Work with code alone: ctx.find, regular expressions, extract_after. Print what you find before you answer, and "
    "answer in the words of the text. If the text can't be searched for the answer, end with FINAL: NO_ANSWER."
)
_FEW = "Code alone did not settle it. Read the likeliest passages with a few sub-calls, then answer."
_SEMANTIC = (
    "Cut the text into pieces with ctx.chunk (as large as one sub-call takes), put the question to all of them in one "
    "llm_batch, and combine the replies with code. An answer without sub-calls is not accepted."
)
_NARROW = (
    "First narrow the text down with code alone: collect the passages that matter, by search and regular expressions, "
    "into the variable `passages` (a list of str) and print how many there are. Then end this stage with "
    "FINAL_VAR: passages; the question itself is answered in the next stage, which has sub-calls."
)
_READ = "Now read what you collected (the variables are still there) with llm_batch, combine the replies, and answer."
_ALONE = (
    "Work with code alone: find the passages that matter by search and regular expressions, print them, read them yourself, "
    "and answer from what you have read."
)

_OVER_AN_INDEX = {
    _DETERMINISTIC: (
        "Work with code alone: search in several wordings (es_search_batch, es_hybrid_search), read what stands around the "
        "hits with es_get, use regular expressions on it. Print what you find before you answer, and answer in the words "
        "of the documents. If they can't be searched for the answer, end with FINAL: NO_ANSWER."
    ),
    _SEMANTIC: (
        "Collect all that may count by searches with a large top_k and by filters, read it with es_get, put the question "
        "to the pieces in one llm_batch, and combine the replies with code. An answer without sub-calls is not accepted."
    ),
    _NARROW: (
        "First narrow the corpus down with code alone: collect the passages that matter, by searches in several wordings "
        "and es_get, into the variable `passages` (a list of str) and print how many there are. Then end this stage with "
        "FINAL_VAR: passages; the question itself is answered in the next stage, which has sub-calls."
    ),
    _ALONE: (
        "Work with code alone: find the passages that matter by searches in several wordings and es_get, print them, read "
        "them yourself, and answer from what you have read."
    ),
}
"""What a stage says instead where there is no text at hand."""

_STAGES: dict[ExecutionProfile, tuple[Stage, ...]] = {
    ExecutionProfile.DETERMINISTIC_FIRST: (
        Stage(name="deterministic", subcalls=0, max_steps=8, require_grounded=True, instruction=_DETERMINISTIC),
        Stage(name="few_subcalls", subcalls=FEW_SUBCALLS, instruction=_FEW),
    ),
    ExecutionProfile.SEMANTIC_BATCHES: (Stage(name="semantic", require_subcalls=True, instruction=_SEMANTIC),),
    ExecutionProfile.HYBRID: (
        Stage(name="deterministic", subcalls=0, max_steps=6, hands_over=True, instruction=_NARROW),
        Stage(name="semantic", instruction=_READ),
    ),
}

_BY_KIND = {
    QueryKind.LITERAL: ExecutionProfile.DETERMINISTIC_FIRST,
    QueryKind.SEMANTIC: ExecutionProfile.HYBRID,
    QueryKind.AGGREGATE: ExecutionProfile.SEMANTIC_BATCHES,
    QueryKind.CLASSIFY_EACH: ExecutionProfile.SEMANTIC_BATCHES,
    QueryKind.MULTI_HOP: ExecutionProfile.HYBRID,
    QueryKind.SUMMARISE: ExecutionProfile.SEMANTIC_BATCHES,
    QueryKind.UNKNOWN: ExecutionProfile.HYBRID,
}


def profile_for(kind: QueryKind) -> ExecutionProfile:
    """Return the profile of a query of this kind, where the caller names none."""
    return _BY_KIND[kind]


def stages_of(
    profile: ExecutionProfile, kind: QueryKind, *, corpus: bool = False, sub_calls: bool = True
) -> tuple[Stage, ...]:
    """Return the stages of a loop in `profile`; `VERIFY` has those of the query's kind.

    Args:
        profile: The profile.
        kind: Kind of the query.
        corpus: Whether an index is all that there is: the stages then speak of searches instead of a text.
        sub_calls: Whether the run has any; without them every profile is one stage of code.
    """
    stages: tuple[Stage, ...] = (Stage(name="code", subcalls=0, instruction=_ALONE),)
    if sub_calls:
        stages = _STAGES[profile_for(kind) if profile is ExecutionProfile.VERIFY else profile]
    if not corpus:
        return stages
    return tuple(
        replace(stage, instruction=_OVER_AN_INDEX.get(stage.instruction, stage.instruction)) for stage in stages
    )
