"""Model calls of a durable run: charged and shown again where their outcome is recorded, else made and recorded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pyrlm.errors import ModelError, PolicyError
from pyrlm.journal_forms import error_form, error_of, response_form, response_of, usage_form, usage_of
from pyrlm.meters import Reservation
from pyrlm.replay import CALL, digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrlm.adapters.base import ModelResponse
    from pyrlm.calls import Call, Caller, Reply
    from pyrlm.effects import Effects
    from pyrlm.journal import Record
    from pyrlm.models import Model
    from pyrlm.replay import Replay

__all__ = ["asked"]


async def asked(effects: Effects, replay: Replay, caller: Caller, model: Model, call: Call) -> Reply:
    """Return the recorded outcome of a call, or make it and record what comes of it, before anyone sees it.

    Raises:
        PolicyError, ModelError: Now or then.
        CheckpointError: The repetition came out differently.
    """
    key = replay.key(effects.scope, CALL, _asked(model, call))
    record = replay.known(key)
    if record is not None:
        await replay.turn(record)
        return await _again(effects, caller, model, call, record)
    if replay.is_over(effects.scope) and call.purpose != "last":
        await effects.wait_for_the_end()
    replay.go_on(key, root=call.purpose == "root")
    noted, lost = False, dict[str, Any]()

    def note(response: ModelResponse, max_tokens: int, values: Mapping[str, Any]) -> None:
        nonlocal noted
        replay.write(key, _form(call, response, max_tokens, values))
        noted = True

    try:
        return await caller.asked(model, call, note, lost.update)
    except (ModelError, PolicyError) as error:
        replay.write(key, {"purpose": call.purpose, "error": error_form(error), **_charges(lost)})
        raise
    except asyncio.CancelledError:
        if not noted:  # the reply may be there already, and only its way to the cache be cut short
            replay.write(key, {"purpose": call.purpose, "cancelled": True})
        raise


def _asked(model: Model, call: Call) -> list[Any]:
    messages = [[message["role"], digest(message["content"])] for message in call.messages]
    return [call.purpose, model.name, messages, call.max_tokens, call.temperature, dict(call.options)]


def _form(call: Call, response: ModelResponse, max_tokens: int, values: Mapping[str, Any]) -> dict[str, Any]:
    form: dict[str, Any] = {
        "purpose": call.purpose,
        "reply": response_form(response),
        "max_tokens": max_tokens,
        "elapsed": values.get("elapsed", 0.0),
        "facts": dict(values["data"]),
        "reason": values.get("reason"),
    }
    return form | _charges(values)


def _charges(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"usage": usage_form(values["usage"]), "cost_usd": values["cost_usd"]} if "usage" in values else {}


async def _again(effects: Effects, caller: Caller, model: Model, call: Call, record: Record) -> Reply:
    body = record.body
    if "reply" in body:
        return _reply_again(caller, model, call, body)
    error = error_of(body["error"]) if "error" in body else None
    usage = usage_of(body["usage"]) if "usage" in body else None  # of replies that broke off
    if usage is not None:
        _charge(caller, call, body["cost_usd"], usage)
    if usage is not None or not isinstance(error, PolicyError):  # a call that was refused is in no trace
        why = f"{type(error).__name__}: {error}" if error is not None else "cancelled in flight"
        charged: dict[str, Any] = {"usage": usage, "cost_usd": body.get("cost_usd")}
        caller.record(call.kind, model, call, error=why, data={"replayed": True}, **charged)
    if error is None:
        await effects.wait_for_the_end()
    assert error is not None
    raise error


def _reply_again(caller: Caller, model: Model, call: Call, body: dict[str, Any]) -> Reply:
    from pyrlm.calls import Reply  # noqa: PLC0415 - it is made of this module's effects

    usage = usage_of(body["usage"]) if "usage" in body else None
    if usage is not None:
        _charge(caller, call, body["cost_usd"], usage)
    response = response_of(body["reply"], usage)
    step = caller.record(
        call.kind if usage is not None else "cache_hit",
        model,
        call,
        output=response.text,
        answered_by=response.answered_by,
        usage=usage,
        cost_usd=body.get("cost_usd"),
        elapsed=body["elapsed"],
        reason=body["reason"],
        data={**body["facts"], "replayed": True},
    )
    return Reply(response.text, response, step, body["max_tokens"])


def _charge(caller: Caller, call: Call, cost_usd: float | None, usage: Any) -> None:
    """Charge what the call has cost, whatever is left."""
    nothing_held = Reservation(
        kind=call.purpose, prompt_tokens=0, max_tokens=1, cost_usd=None, price=None, state="released"
    )
    caller.budget.settle(nothing_held, usage, cost_usd)
    if call.purpose == "last":
        caller.budget.keep_back()
