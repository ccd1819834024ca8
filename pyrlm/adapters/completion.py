"""Reads the body of a chat completion, from any server that calls itself compatible with OpenAI's, whole or in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrlm import replies_said
from pyrlm.adapters.base import Message, ModelResponse, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CompletionPieces", "read_completion", "well_formed", "without_thinking"]

_EMPTY = "(empty)"


def read_completion(data: Any) -> ModelResponse:
    """The reply in a chat completion's JSON.

    Null content is an empty text, content in parts is joined, and a lone surrogate becomes U+FFFD.

    Raises:
        ValueError: It is no chat completion; the message says what it lacks.
    """
    if not isinstance(data, dict):
        raise ValueError(f"is JSON of type {type(data).__name__}, not an object")  # noqa: TRY004 - a value was read, not passed
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise ValueError("has no choices")
    message = choices[0].get("message")
    if not isinstance(message, dict):
        raise ValueError("has no message in its first choice")  # noqa: TRY004
    refusal = message.get("refusal")
    usage, reason, model = data.get("usage"), choices[0].get("finish_reason"), data.get("model")
    return ModelResponse(
        well_formed(_text(message.get("content"))),
        usage=Usage.parse(usage) if isinstance(usage, dict) else None,
        finish_reason=reason if isinstance(reason, str) else None,
        model=model if isinstance(model, str) and model else None,
        refusal=well_formed(refusal) if isinstance(refusal, str) and refusal else None,
    )


class CompletionPieces:
    """A chat completion that arrives in pieces."""

    def __init__(self) -> None:
        self.complete = False
        self._usage: Usage | None = None
        self._reason: str | None = None
        self._model: str | None = None
        self._refusal = ""

    def feed(self, data: dict[str, Any]) -> str:
        """Take in one event; return the text that it adds.

        Raises:
            ValueError: It is no piece of a chat completion; the message says why.
        """
        if isinstance(data.get("usage"), dict):
            self._usage = Usage.parse(data["usage"]) or self._usage
        if isinstance(data.get("model"), str):
            self._model = data["model"] or self._model
        choices = data.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(first, dict):
            return ""
        if isinstance(first.get("finish_reason"), str):
            self._reason, self.complete = first["finish_reason"], True
        delta = first.get("delta")
        if not isinstance(delta, dict):
            return ""
        if isinstance(delta.get("refusal"), str):
            self._refusal += delta["refusal"]
        return _text(delta.get("content"))

    def response(self, text: str) -> ModelResponse:
        """The whole reply, of which `text` is the text."""
        return ModelResponse(
            text,
            usage=self._usage,
            finish_reason=self._reason,
            model=self._model,
            refusal=well_formed(self._refusal) or None,
        )


def without_thinking(messages: Sequence[Message]) -> list[Message]:
    """`messages`, those of the assistant without their reasoning: it is not sent back."""
    return [_said(message) if message["role"] == "assistant" else message for message in messages]


def _said(message: Message) -> Message:
    said = replies_said.without_thinking(message["content"])
    return message if said == message["content"] else Message(role=message["role"], content=said or _EMPTY)


def well_formed(text: str) -> str:
    """`text` without lone surrogates, which no file, socket or database takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_part(part) for part in content)
    raise ValueError(f"has content of type {type(content).__name__}")


def _part(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) else part
    return text if isinstance(text, str) else ""
