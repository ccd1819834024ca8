"""The root model of one run: the conversation with it, cut where it must be, and room for its replies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyrlm.calls import Call, Caller, Reply
from pyrlm.errors import ContextLengthError, ModelError

if TYPE_CHECKING:
    from pyrlm.models import Model
    from pyrlm.rlm import RLM
    from pyrlm.transcript import Transcript

__all__ = ["LAST_CALL_TOKENS", "Root"]

LAST_CALL_TOKENS = 1024
"""Reply tokens that the call kept in reserve asks for at most."""

_MAX_REFUSALS = 4
"""Times in a row that a refused request is made smaller and sent again."""

_CUT_FACTOR = 4
"""A root reply that was cut gets twice the room the next time, up to this many times `max_tokens`."""

_REPLY_SHARE = 4
"""A reply is given up to one in this many tokens of a small window; the conversation has the rest."""

_LEAST_REPLY = 256
_BAD_REQUEST = 400

_TIME_KEPT = (0.2, 30.0)
"""Share of `max_seconds`, and most seconds, kept for the last call."""


class Root:
    """Asks the root model.

    Args:
        rlm: Options of the run.
        model: The root model.
        transcript: The conversation so far.
        caller: Makes the calls.

    Attributes:
        reminder: What a later stage has told; repeated where compaction cuts it out.
    """

    def __init__(self, rlm: RLM, model: Model, transcript: Transcript, caller: Caller) -> None:
        self.model = model
        self.transcript = transcript
        self.reminder = ""
        self._rlm = rlm
        self._caller = caller
        self._cap = rlm.max_tokens
        self._highest_cap = rlm.max_tokens * _CUT_FACTOR

    async def ask(self) -> Reply:
        """Ask for the next step. What the model refuses as too long is made smaller and sent again."""
        self.keep_back()
        self._compact(self._history_limit())
        for _ in range(_MAX_REFUSALS):
            try:
                return await self._caller.ask(self.model, self._call())
            except ModelError as error:
                if not self._gives_way(error):
                    raise
        return await self._caller.ask(self.model, self._call())

    def grant_room(self) -> None:
        """Give the next reply more room, after one that was cut."""
        self._cap = max(self._cap, min(self._cap * 2, self._highest_cap))

    def keep_back(self) -> None:
        """Hold what the last call would cost now, so that there is always room for it."""
        tokens, price, budget = self.transcript.tokens, self.model.price, self._caller.budget
        cost = price.upper_cost(tokens, LAST_CALL_TOKENS) if price is not None else 0.0
        share, most = _TIME_KEPT
        seconds = min(most, share * budget.policy.max_seconds) if budget.policy.max_seconds else 0.0
        budget.keep_back(tokens=tokens + LAST_CALL_TOKENS, cost_usd=cost, seconds=seconds)

    def _call(self) -> Call:
        return Call(
            messages=self.transcript.messages,
            purpose="root",
            kind="root_call",
            max_tokens=self._room(),
            temperature=self._rlm.temperature,
            prompt_tokens=self.transcript.tokens,
        )

    def _room(self) -> int:
        """Tokens that the reply may have: beside the conversation, where the model's window is known."""
        window = self.model.window
        if window.source == "unknown":
            return self._cap
        beside = window.total_tokens - self.transcript.tokens
        return max(1, min(self._cap, window.output_limit or self._cap, max(_LEAST_REPLY, beside)))

    def _history_limit(self) -> int:
        window = self.model.window
        limits = [self._rlm.max_history_tokens]
        if window.source != "unknown":
            limits.append(window.room(min(self._rlm.max_tokens, window.total_tokens // _REPLY_SHARE)))
        return min((limit for limit in limits if limit), default=0)

    def _compact(self, limit: int) -> bool:
        if not limit or self.transcript.tokens < limit:
            return False
        removed = self.transcript.compact(limit, self.reminder)
        if removed:
            reason = f"history over {limit} tokens"
            self._caller.recorder.record("compaction", reason=reason, data={"messages": removed})
        return removed > 0

    def _gives_way(self, error: ModelError) -> bool:
        """Make the next request smaller after a refusal; False where nothing can be done."""
        if not isinstance(error, ContextLengthError):
            refused = error.status == _BAD_REQUEST and self._cap > self._rlm.max_tokens  # it takes no such max_tokens
            if refused:
                self._cap = self._highest_cap = self._rlm.max_tokens
            return refused
        tokens = self.transcript.tokens
        if self._compact(min(error.limit or tokens, tokens)):
            return True
        lower = max(_LEAST_REPLY, error.limit // _REPLY_SHARE) if error.limit else self._cap
        if lower < self._cap:
            self._cap = self._highest_cap = lower
            return True
        removed = self.transcript.shorten_last()
        if removed:
            reason = f"the latest message is too long for the model: {removed} characters of it were cut"
            self._caller.recorder.record("compaction", reason=reason)
        return removed > 0
