"""Reads the body of a chat completion, from any server that calls itself compatible with OpenAI's."""

from __future__ import annotations

from typing import Any

from pyrlm.adapters.base import ModelResponse, Usage

__all__ = ["read_completion", "well_formed"]


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
