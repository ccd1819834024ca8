"""How providers word their refusals of a prompt that is too long."""

from __future__ import annotations

import re

__all__ = ["context_limit", "is_context_length"]

# OpenAI, Azure, OpenRouter: "context_length_exceeded", "maximum context length is 8192 tokens"; newer ones "exceeds the
# context window"; llama.cpp: "exceed_context_size_error", "exceeds the available context size"; vLLM: "maximum model
# length"; Anthropic: "prompt is too long"; Gemini: "input token count (…) exceeds the maximum"; Together, TGI:
# "`inputs` tokens + `max_new_tokens` must be <= 4097"; Groq: "reduce the length of the messages"; Bedrock: "Input is
# too long"; Mistral: "too large for model with … maximum context length"; Ollama: "input length exceeds".
_TOO_LONG = re.compile(
    r"""context_length_exceeded | exceed_context_size | string_above_max_length
    | (maximum|max|model'?s|available)\ (allowed\ )?context\ (length|size|window)
    | (exceed\w*|larger\ than|longer\ than|greater\ than|beyond|over)\ (the\ |this\ |its\ )?(model'?s?\ )?
      (maximum\ |max\ |available\ |allowed\ )?(context|input)[\ _](length|size|window|limit|tokens?)
    | maximum\ model\ length | max_model_len
    | (prompt|input|request|inputs?\ token\s?s?|conversation)\ is\ too\ (long|large)\b
    | input\ token\ count .{0,40} exceeds
    | inputs`?\ tokens\ \+ | reduce\ the\ length\ of\ the\ (messages|prompt|input)
    | too\ many\ (input\ |prompt\ )?tokens\ (in|for)\ (the\ )?(prompt|input|model)
    | input\ length .{0,40} exceeds | exceeds\ the\ (limit|maximum)\ of\ [\d,]+\ (input\ |prompt\ )?tokens
    """,
    re.IGNORECASE | re.VERBOSE,
)
_LIMIT = re.compile(
    r"""(?: (?:context|model)\ (?:length|size|window|limit)[^\d]{0,24}
      | n_ctx["']?\s*[:=]\s*
      | tokens?\ >\ | must\ be\ <=\ | (?:maximum|limit)[^\d]{0,40}
      ) (\d[\d,]{2,})""",
    re.IGNORECASE | re.VERBOSE,
)


def is_context_length(text: str) -> bool:
    """Whether an error text says that the prompt is longer than the model can take in."""
    return _TOO_LONG.search(text) is not None


def context_limit(text: str) -> int | None:
    """The model's limit in tokens, where such a text tells it."""
    found = _LIMIT.search(text)
    return int(found[1].replace(",", "")) if found else None
