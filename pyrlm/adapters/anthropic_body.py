"""The bodies of Anthropic's Messages API: from chat messages to a request, and from a reply to its text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrlm.adapters.base import ModelResponse, Usage
from pyrlm.adapters.completion import well_formed, without_thinking
from pyrlm.adapters.parameters import without_extra

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrlm.adapters.base import Message

__all__ = ["MessagePieces", "message_body", "read_message"]

_SYSTEM = frozenset({"system", "developer"})
_MARK = {"type": "ephemeral"}
_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
    "tool_use": "tool_calls",
}
_EFFORTS = {"none": "low", "minimal": "low"}  # OpenAI's names for less than Anthropic's least


def message_body(model: str, messages: Sequence[Message], options: Mapping[str, Any], *, cache: str) -> dict[str, Any]:
    """A request's body, without the limit of the reply.

    Args:
        model: Name of the model.
        messages: Chat messages, oldest first; further system messages than those at the start become the user's.
        options: Further parameters, under OpenAI's names or Anthropic's.
        cache: Where prompt-cache marks go: ``"conversation"``, ``"always"`` or ``"never"``.
    """
    start = next((n for n, message in enumerate(messages) if message["role"] not in _SYSTEM), len(messages))
    system = [_block(message["content"]) for message in messages[:start] if message["content"].strip()]
    turns = _turns(without_thinking(messages[start:]))
    if cache != "never":
        _mark(system, turns, conversation=cache == "conversation")
    body = {"model": model, "messages": turns, **_named(options)}
    return {"system": system, **body} if system else body


def _turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages, those of one role in a row as blocks of one; the first is the user's, and none is empty."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message["role"] == "assistant" else "user"
        if not message["content"].strip():  # refused by the API
            continue
        if not turns and role == "assistant":
            turns.append({"role": "user", "content": [_block("[The conversation goes on.]")]})
        if not turns or turns[-1]["role"] != role:
            turns.append({"role": role, "content": []})
        turns[-1]["content"].append(_block(message["content"]))
    return turns or [{"role": "user", "content": [_block("[empty message]")]}]


def _block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _mark(system: list[dict[str, Any]], turns: list[dict[str, Any]], *, conversation: bool) -> None:
    """Set the marks up to which the provider keeps the prompt.

    The last message is marked so that the next step can read all that this one sent; the user's turn before it, which
    was last when it was sent, so that this step reads what the one before wrote, however many blocks came since.
    """
    if system:
        system[-1]["cache_control"] = _MARK
    users = [turn for turn in turns if turn["role"] == "user"]
    if conversation and len(users) == len(turns):
        return
    for turn in users[-2:]:
        turn["content"][-1]["cache_control"] = _MARK


def _named(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options under Anthropic's names, those of `extra_body` as they are."""
    named = {name: value for name, value in options.items() if value is not None}
    extra = without_extra({"extra_body": named.pop("extra_body", None)})
    named.pop("seed", None)
    stop, effort, form = (named.pop(name, None) for name in ("stop", "reasoning_effort", "response_format"))
    if stop:
        named["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    output = dict(named.pop("output_config", None) or {})
    if effort:
        output["effort"] = _EFFORTS.get(effort, effort)
    if isinstance(form, dict) and form.get("type") == "json_schema":
        output["format"] = {"type": "json_schema", "schema": form["json_schema"]["schema"]}
    return {**named, **({"output_config": output} if output else {}), **extra}


def read_message(data: Any) -> ModelResponse:
    """The reply in a message's JSON; thinking is no part of its text.

    Raises:
        ValueError: It is no message; the message says what it lacks.
    """
    if not isinstance(data, dict):
        raise ValueError(f"is JSON of type {type(data).__name__}, not an object")  # noqa: TRY004 - a value was read, not passed
    content = data.get("content")
    if not isinstance(content, list):
        raise ValueError("has no content")  # noqa: TRY004
    texts = [block.get("text") for block in content if isinstance(block, dict) and block.get("type") == "text"]
    return _response("".join(text for text in texts if isinstance(text, str)), data, data.get("usage"))


def _response(text: str, data: Mapping[str, Any], usage: Any) -> ModelResponse:
    reason, model, details = data.get("stop_reason"), data.get("model"), data.get("stop_details")
    told = details.get("explanation") if isinstance(details, dict) else None
    return ModelResponse(
        well_formed(text),
        usage=Usage.parse(usage) if isinstance(usage, dict) else None,
        finish_reason=_REASONS.get(reason, reason) if isinstance(reason, str) else None,
        model=model if isinstance(model, str) and model else None,
        refusal=well_formed(told) if isinstance(told, str) and told else None,
    )


class MessagePieces:
    """A message that arrives in pieces."""

    def __init__(self) -> None:
        self.complete = False
        self._data: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}

    def feed(self, data: dict[str, Any]) -> str:
        """Take in one event; return the text that it adds.

        Raises:
            ValueError: It is no event of a message.
        """
        kind = data.get("type")
        if kind == "message_start":
            self._take(data.get("message"))
        elif kind == "message_delta":
            self._take(data.get("delta"))
            self._take({"usage": data.get("usage")})
        elif kind == "message_stop":
            self.complete = True
        elif kind == "content_block_start":
            return _text_of(data.get("content_block"), "text")
        elif kind == "content_block_delta":
            return _text_of(data.get("delta"), "text_delta")
        elif not isinstance(kind, str):
            raise ValueError("has an event without a type")
        return ""

    def _take(self, part: Any) -> None:
        if not isinstance(part, dict):
            return
        self._data |= {name: value for name, value in part.items() if value is not None}
        usage = part.get("usage")
        if isinstance(usage, dict):
            self._usage |= {name: value for name, value in usage.items() if value is not None}

    def response(self, text: str) -> ModelResponse:
        """The whole reply, of which `text` is the text."""
        return _response(text, self._data, self._usage or None)


def _text_of(part: Any, kind: str) -> str:
    text = part.get("text") if isinstance(part, dict) and part.get("type") == kind else None
    return text if isinstance(text, str) else ""
