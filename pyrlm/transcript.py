"""The root model's conversation: append-only, so that a provider's prompt cache hits on every step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyrlm.adapters.base import Message
from pyrlm.replies_said import without_thinking

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrlm.tokens import TokenCounter

__all__ = ["Transcript"]

_SHORT = 1_000
"""Characters of a message that is not worth cutting."""

_EMPTY = "(empty)"
_NO_REPLY = "(stopped before I could reply)"

_KEPT_SHARE = 0.5
"""Compaction cuts to this share of the limit, well below it, so that the prefix is stable again for many steps."""


class Transcript:
    """Messages in the order sent; what was sent once is sent again byte for byte.

    Args:
        opening: The messages that are never cut: system prompt and first user message.
        counter: Counts tokens for the history limit.
        multi_turn: False sends only the opening and the last exchange; the prefix still repeats.
    """

    def __init__(self, opening: Iterable[Message], counter: TokenCounter, *, multi_turn: bool = True) -> None:
        self._messages = list(opening)
        self._opening = len(self._messages)
        self._counter = counter
        self._multi_turn = multi_turn
        self._bounds = [counter.upper_bound_message(message) for message in self._messages]
        self._total = self._fixed = counter.upper_bound_messages([]) + sum(self._bounds)

    @property
    def messages(self) -> list[Message]:
        """What the next call sends."""
        return self._messages[: self._opening] + self._messages[self._tail :]

    def closing(self, text: str) -> list[Message]:
        """What a last call sends: the conversation with `text` at its end, roles still alternating."""
        *before, last = self.messages
        if last["role"] != "user":
            return [*before, last, Message(role="user", content=text)]
        return [*before, Message(role="user", content=f"{last['content']}\n\n{text}")]

    @property
    def tokens(self) -> int:
        """Upper bound of the tokens of the messages that are sent."""
        return self._total if self._multi_turn else self._fixed + sum(self._bounds[self._tail :])

    @property
    def _tail(self) -> int:
        """Where what is sent after the opening begins."""
        return self._opening if self._multi_turn else max(self._opening, len(self._messages) - 2)

    @property
    def turns(self) -> int:
        """Messages after the opening."""
        return len(self._messages) - self._opening

    def assistant(self, text: str) -> None:
        """Add the model's reply, without its thinking: that is never sent back."""
        said = without_thinking(text)
        self._add("assistant", said if said.strip() else _EMPTY)

    def user(self, text: str) -> None:
        """Add what the run says to the model."""
        self._add("user", text)

    def ask_next(self, text: str) -> None:
        """Add a further question. Roles alternate: where the model has not replied to the last message, that is said."""
        if self._messages[-1]["role"] == "user":
            self._add("assistant", _NO_REPLY)
        self._add("user", text)

    def add_to_last(self, text: str) -> None:
        """Add to the last message, which has not been sent yet; a new one where it is the model's."""
        last = self._messages[-1]
        if last["role"] != "user" or len(self._messages) == self._opening:
            self._add("user", text)
            return
        self._messages.pop()
        self._total -= self._bounds.pop()
        self._add("user", f"{last['content']}\n\n{text}")

    def shorten_last(self) -> int:
        """Cut the middle half out of the last message, which the model refused as too long; return the characters cut.

        The opening is never cut, nor what is short.
        """
        text = self._messages[-1]["content"]
        if len(self._messages) == self._opening or len(text) < _SHORT:
            return 0
        quarter = len(text) // 4
        self._messages.pop()
        self._total -= self._bounds.pop()
        note = f"[{len(text) - 2 * quarter} characters cut: too long for you. `last_output` holds the whole print-out]"
        self._add("user", f"{text[:quarter]}\n{note}\n{text[-quarter:]}")
        return len(text) - 2 * quarter

    def _add(self, role: str, text: str) -> None:
        message = Message(role=role, content=text)
        self._messages.append(message)
        self._bounds.append(self._counter.upper_bound_message(message))
        self._total += self._bounds[-1]

    def compact(self, limit: int, reminder: str = "") -> int:
        """Cut the oldest turns until half of `limit` tokens remain; return the number of messages taken out.

        `reminder` is told anew in their place.

        The opening and the last exchange always stay, and turns go in pairs, so that roles keep alternating.
        """
        start = self._opening
        end = start
        total = self.tokens
        while end + 2 < len(self._messages) - 1 and total > limit * _KEPT_SHARE:
            total -= self._bounds[end] + self._bounds[end + 1]
            end += 2
        if end == start:
            return 0
        note = Message(
            role="user",
            content="[Earlier messages were taken out to save room. All variables are still there: SHOW_VARS() lists "
            "them.]" + (f"\n\n{reminder}" if reminder else ""),
        )
        # The first message after the opening is a reply of the model, so the note takes the place of the user's turn.
        marker = Message(role="assistant", content="[earlier steps]")
        self._messages[start:end] = [marker, note]
        self._bounds[start:end] = [self._counter.upper_bound_message(m) for m in (marker, note)]
        self._total = self._fixed + sum(self._bounds[self._opening :])
        return end - start
