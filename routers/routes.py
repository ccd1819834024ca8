"""The routes, one coroutine each: from the work to be done to an answer with the signals that speak against it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pyrlm.errors import ContextLengthError, ModelError, PolicyError, ReplError
from pyrlm.replies import is_abstention
from pyrlm.routers.deterministic import extract
from pyrlm.routers.fitting import fit_found
from pyrlm.routers.one_call import ask_once
from pyrlm.routers.profiles import stages_of
from pyrlm.routers.retrieval import retrieval, retrieval_wide
from pyrlm.routers.select import Passage, select
from pyrlm.routers.table import EVERY_ENTRY
from pyrlm.routers.work import Answer

if TYPE_CHECKING:
    from pyrlm.errors import PyRLMError
    from pyrlm.result import RunResult
    from pyrlm.routers.work import Work

__all__ = ["find_passages", "take_route"]


async def take_route(route: str, work: Work) -> Answer:
    """Answer by `route`; whatever goes wrong on it is in the answer, but for errors of the caller's making.

    Raises:
        ConfigurationError: An option or an argument can't be used.
    """
    try:
        return await _ROUTES[route](work)
    except ContextLengthError as error:
        return Answer(route=route, signal=f"the provider refused the prompt as too long: {error}")
    except (PolicyError, ModelError) as error:
        return Answer(route=route, signal=f"{type(error).__name__}: {error}", error=error)


async def _baseline(work: Work) -> Answer:
    return await ask_once(work, "baseline", work.pieces, coverage=1.0)


async def _select(work: Work) -> Answer:
    passages = await find_passages(work, work.query)
    if not passages:
        return Answer(route="select", signal="no passage holds a term of the query")
    read = sum(len(passage.text) for passage in passages) / max(1, work.chars)
    return await ask_once(work, "select", [passage.text for passage in passages], coverage=min(1.0, read))


async def find_passages(work: Work, query: str, *, window_chars: int | None = None) -> list[Passage]:
    """Search the text for `query`, with as much of it as one call should read; the search is an event of the trace."""
    size = window_chars or work.config.window_chars
    passages = await asyncio.to_thread(
        select,
        query,
        work.context.texts,
        max_chars=work.passage_chars,
        window_chars=size,
        overlap=min(work.config.window_overlap, size // 2),
    )
    work.caller.recorder.record(
        "search",
        prompt=query,
        output="\n".join(_describe(work, passage) for passage in passages[:50]),
        data={"passages": len(passages), "chars": sum(len(passage.text) for passage in passages)},
    )
    return passages


def _describe(work: Work, passage: Passage) -> str:
    source = work.context.sources[passage.doc] or f"document {passage.doc}"
    return f"{source}:{passage.line} ({len(passage.text):,} characters, score {passage.score:.1f})"


async def _deterministic(work: Work) -> Answer:
    assert work.plan is not None  # the decision has seen to it
    result = await asyncio.to_thread(
        extract,
        work.plan,
        work.context.texts,
        seconds=work.config.pattern_seconds,
        max_results=work.config.pattern_results,
    )
    work.caller.recorder.record(
        "search", prompt=str(work.plan), reason=result.reason, data={"found": len(result.found)}
    )
    timed_out = not result.complete and len(result.found) < work.config.pattern_results
    if result.reason and not timed_out:
        work.notes.append(f"deterministic: {result.reason}")
    values = [found.text for found in result.found]
    signal = result.reason if timed_out else "" if values else "the pattern or marker is nowhere in the text"
    fitted = fit_found(work.schema, values)
    if fitted is not None and not signal:
        signal = f"what was found does not fit the schema: {fitted.told()}" if fitted.problems else ""
    return Answer(
        route="deterministic",
        text="\n".join(values if len(set(values)) > 1 else values[:1]) if fitted is None else fitted.text,
        value=values if fitted is None else fitted.value,
        citations=work.cite((found.doc, found.start, found.end) for found in result.found),
        coverage=0.0,
        signal=signal,
    )


async def _loop(work: Work) -> Answer:
    decision, sub_calls = work.decision, work.rlm.enable_sub_calls
    of_profile = stages_of(decision.profile, decision.kind, corpus=work.corpus, sub_calls=sub_calls)
    stages = () if work.for_tools else of_profile
    context = work.context if work.chars else None
    try:
        result = await work.rlm.arun(work.asked, context, stages=stages, caller=work.caller, notes=_tried_before(work))
    except (PolicyError, ModelError, ReplError) as error:
        return _ended_early(error)
    finally:
        work.caller.budget.keep_back()  # what the loop held for its last call is free for other routes
    _note_coverage(work, result)
    return Answer(
        route="rlm",
        text=result.output,
        value=result.value,
        citations=result.citations,
        missing=result.quotes_missing,
        coverage=result.coverage,
        abstained=result.status == "unanswered",
        signal="the loop ended without an answer" if result.status == "unanswered" else "",
    )


def _ended_early(error: PyRLMError) -> Answer:
    result = error.result
    signal = f"{type(error).__name__}: {error}"
    if result is None:
        return Answer(route="rlm", signal=signal, error=error)
    return Answer(
        route="rlm",
        text=result.output,
        value=result.value,
        citations=result.citations,
        missing=result.quotes_missing,
        coverage=result.coverage,
        abstained=is_abstention(result.output),
        signal=signal,
        error=error,
    )


def _tried_before(work: Work) -> list[str]:
    """Tell the loop what failed, without the answer that failed: it would only be repeated."""
    told = [f"Tried before without success: {attempt.route} ({attempt.reason[:200]})." for attempt in work.attempts]
    return [*told, *work.tried]


def _note_coverage(work: Work, result: RunResult) -> None:
    read = result.coverage
    if work.decision.kind in EVERY_ENTRY and read is not None and read < work.config.min_coverage:
        work.notes.append(
            f"a model has read {read:.0%} of the text (min_coverage={work.config.min_coverage:.0%}); the rest was seen "
            "by code alone, or not at all"
        )


_ROUTES = {
    "baseline": _baseline,
    "select": _select,
    "deterministic": _deterministic,
    "retrieval": retrieval,
    "retrieval_wide": retrieval_wide,
    "rlm": _loop,
}
