"""One call on the text or on passages of it, as part of the run: its budget, cache, trace and the signals of its reply."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyrlm import prompts
from pyrlm.calls import Call
from pyrlm.citations import find_quotes
from pyrlm.errors import MaxSecondsExceeded
from pyrlm.prompts_data import direct_json_system
from pyrlm.replies_said import without_thinking
from pyrlm.routers.fitting import Said, ask_fitting, free, reply_fits
from pyrlm.routers.prefix import prompt_bound
from pyrlm.routers.work import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from pyrlm.adapters.base import Message
    from pyrlm.calls import Reply
    from pyrlm.citations import Citation
    from pyrlm.routers.work import Work

    QuoteCheck = Callable[[Sequence[str]], Awaitable[tuple[tuple[Citation, ...], tuple[str, ...]]]]

__all__ = ["ask_once", "ask_with_room"]

_AT_ONCE_CHARS = 1_000_000  # quotes are found in so much text in less time than a thread takes to start


async def ask_once(
    work: Work,
    route: str,
    pieces: Sequence[str],
    *,
    coverage: float | None,
    system: str | None = None,
    check: QuoteCheck | None = None,
) -> Answer:
    """Ask the root model once about `pieces` of the text and read its reply.

    Args:
        work: The run.
        route: Name of the route, for the answer.
        pieces: What the model reads.
        coverage: Their share of the text; None for passages of an index.
        system: In the place of the built-in system message.
        check: Looks quotes up; in the text by default.

    Raises:
        PolicyError: A limit leaves no room for the call, or its time is over.
        ModelError: The call failed for good.
    """
    if work.schema is not None:
        system = direct_json_system(work.schema.shown(), checks=system is not None)
    messages = prompts.direct_messages(work.query, pieces, system=system, instruction=work.rlm.instruction)
    size = sum(map(len, pieces))
    said = await _said(work, messages, f"{work.query}\n[{route}: {len(pieces)} texts, {size:,} characters]")
    citations, missing = await (check(said.quotes) if check is not None else _checked(work, said.quotes))
    return Answer(
        route=route,
        text=said.text,
        value=said.value,
        citations=citations,
        missing=missing,
        coverage=coverage,
        abstained=said.abstained,
        cut=said.reply.cut,
        signal=_signal(said, missing=len(missing)),
        calibration=_calibration(work, said.reply, messages) if route == "baseline" else None,
    )


async def _said(work: Work, messages: list[Message], shown: str) -> Said:
    async def ask(asked: Sequence[Message], options: dict[str, Any]) -> Reply:
        return await ask_with_room(work, list(asked), shown, options, fits=fits)

    fits = reply_fits(work.schema)
    if work.schema is None:
        return free(await ask(messages, {}))
    return await ask_fitting(ask, messages, work.schema, work.root)


async def _checked(work: Work, quotes: Sequence[str]) -> tuple[tuple[Citation, ...], tuple[str, ...]]:
    if work.chars <= _AT_ONCE_CHARS:
        return find_quotes(quotes, work.context)
    return await asyncio.to_thread(find_quotes, quotes, work.context)


async def ask_with_room(
    work: Work,
    messages: list[Message],
    shown: str,
    options: Mapping[str, Any] | None = None,
    *,
    fits: Callable[[str], bool] | None = None,
) -> Reply:
    """Ask; a reply that was cut is asked for once more with more room, before anything else is tried."""
    call = Call(
        messages=messages,
        purpose="direct",
        kind="direct_call",
        max_tokens=work.answer_tokens,
        temperature=work.rlm.temperature,
        options=options or {},
        cached=True,
        fits=fits,
        shown=shown,
        prompt_tokens=prompt_bound(work.root.counter, messages),
    )
    reply = await _ask(work, call)
    if not reply.cut:
        return reply
    more = _more_room(work, messages, reply)
    if more <= reply.max_tokens:
        work.caller.recorder.record("limit", reason=f"the reply was cut at {reply.max_tokens} tokens: no room for more")
        return reply
    reason = f"the reply was cut at {reply.max_tokens} tokens: asked again with {more}"
    work.caller.recorder.record("escalation", reason=reason)
    return await _ask(work, replace(call, max_tokens=more))


async def _ask(work: Work, call: Call) -> Reply:
    try:
        async with work.caller.effects.time_limit(work.caller.budget.seconds_left):
            return await _sent(work, call)
    except TimeoutError:
        limit = work.caller.budget.max_seconds
        raise MaxSecondsExceeded(f"max_seconds={limit}: the call was still under way when they were over.") from None


async def _sent(work: Work, call: Call) -> Reply:
    if work.prefix is None:
        return await work.caller.ask(work.root, call)
    async with work.prefix.turn(call.messages, work.root.counter) as not_sent:
        reply = await work.caller.ask(work.root, call)
        if reply.step.kind == "cache_hit":
            not_sent()
        return reply


def _more_room(work: Work, messages: list[Message], reply: Reply) -> int:
    """Return the larger cap: times `length_factor`, within the model's window and what the limits leave; else 0."""
    window, price, left = work.root.window, work.root.price, work.caller.budget.left()
    used = reply.step.usage.input_tokens if reply.step.usage is not None else 0
    bound = prompt_bound(work.root.counter, messages)
    most = min(work.answer_tokens * work.config.length_factor, window.total_tokens - used)
    if window.output_limit is not None:
        most = min(most, window.output_limit)
    if left.tokens is not None:
        most = min(most, left.tokens - bound)
    if left.cost_usd is not None and price is not None and most > 0 and price.upper_cost(bound, most) > left.cost_usd:
        return 0
    return most


def _signal(said: Said, *, missing: int) -> str:
    """Say what speaks against a reply; empty where nothing does."""
    reply = said.reply
    if reply.response.refusal or reply.response.finish_reason == "content_filter":
        return f"the model refused: {(reply.response.refusal or 'content filter')[:200]}"
    if reply.cut:
        return f"the reply was cut at {reply.max_tokens} tokens"
    return _signal_of_answer(said, missing)


def _signal_of_answer(said: Said, missing: int) -> str:
    if said.abstained:
        return "the model says that what it read does not hold the answer"
    if said.misfit and without_thinking(said.reply.text).strip():
        return f"the answer does not fit the schema: {said.misfit[:500]}"
    if not said.text.strip():
        return "the reply was empty"
    if missing:
        return f"{missing} of {len(said.quotes)} quotes are not in the text"
    return ""


def _calibration(work: Work, reply: Reply, messages: Sequence[Message]) -> float | None:
    """Return the provider's tokens of the prompt for each one that was estimated here."""
    usage, tokens = reply.step.usage, work.decision.tokens
    if usage is None or usage.estimated or tokens is None or not usage.input_tokens:
        return None
    frame = work.root.counter.count(messages[0]["content"]) + work.root.counter.count(work.query)
    estimated = tokens.best / work.config.calibration + frame
    return round(usage.input_tokens / estimated, 4) if estimated else None
