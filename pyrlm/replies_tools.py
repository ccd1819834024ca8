"""Code in the tool-call syntaxes that models fall back to when they were asked for a fence."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from pyrlm.replies_code import looks_like_code, parse, tidy

__all__ = ["ToolCall", "code_in_call", "harmony", "tool_code"]

_KEYS = ("code", "python", "source", "script", "input", "cmd", "command", "cell")
_PARAMETER = re.compile(
    r"<(?:antml:)?parameter(?:=|\s+name=)[\"']?(?P<name>\w+)[\"']?[^<>\n]{0,80}>(?P<value>[\s\S]*?)(?:</(?:antml:)?parameter>|\Z)"
    r"|<arg_key>\s*+(?P<key>\w+)\s*+</arg_key>\s*+<arg_value>(?P<arg>[\s\S]*?)(?:</arg_value>|\Z)"
)
_NAME = re.compile(r"<(?:antml:)?(?:invoke|function)(?:=|\s+name=)[\"']?(\w+)")
_TAGS = re.compile(r"^\s*+<[^<>]{1,300}>|</[^<>]{1,80}>\s*+$")
_HARMONY = re.compile(r"<\|start\|>\w*|<\|channel\|>")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a tool call asks for: code to run, or (a call of FINAL) an answer; `name` is the tool's."""

    kind: Literal["code", "answer"]
    text: str
    name: str = ""


def tool_code(region: str) -> ToolCall | None:
    """Return what a region in tool tags, the outer tags included, wants done; None where that can't be told."""
    name = _NAME.search(region)
    parts = [
        _unescaped((match["value"] if match["name"] else match["arg"]) or "")
        for match in _PARAMETER.finditer(region)
        if (match["name"] or match["key"]) in _KEYS or (name and name[1] in _FINALS)
    ]
    if parts:
        return _call(name[1] if name else "", "\n".join(parts))
    inner = _TAGS.sub("", _TAGS.sub("", region)).strip()
    data = _json(inner)
    if data is not None:
        return _from_json(data)
    inner = tidy(inner, "")
    return ToolCall("code", inner) if looks_like_code(inner) else None


_FINALS = frozenset({"FINAL", "FINAL_VAR", "final", "final_answer"})


def _call(name: str, text: str) -> ToolCall:
    return ToolCall("answer" if name in _FINALS else "code", text, name)


def _unescaped(text: str) -> str:
    """Return code as it was meant: XML entities only where they are what keeps it from being Python."""
    text = tidy(text.removeprefix("\r").removeprefix("\n").rstrip(), "")
    plain = html.unescape(text)
    return plain if plain != text and parse(text) is None and parse(plain) is not None else text


def code_in_call(text: str) -> str | None:
    """Return the code of a tool call written as bare JSON, such as ``{"name": "python", "arguments": {"code": "…"}}``."""
    call = _from_json(_json(text))
    return call.text if call is not None and call.kind == "code" else None


def _json(text: str) -> Any:
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _from_json(data: Any) -> ToolCall | None:
    calls = [call for item in (data if isinstance(data, list) else [data]) if (call := _one_call(item)) is not None]
    codes = [call.text for call in calls if call.kind == "code"]
    if codes:
        return ToolCall("code", "\n".join(codes), calls[0].name)
    return calls[-1] if calls else None


def _one_call(item: Any) -> ToolCall | None:
    if not isinstance(item, dict):
        return None
    function = item.get("function")
    item = function if isinstance(function, dict) else item
    name = item.get("name") or item.get("tool") or item.get("tool_name")
    arguments = next((item[key] for key in ("arguments", "parameters", "input", "args") if key in item), None)
    if isinstance(arguments, str):
        arguments = _json(arguments.strip()) or {"code": arguments}
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return None
    texts = [value for key, value in arguments.items() if isinstance(value, str) and (key in _KEYS or name in _FINALS)]
    return _call(name, texts[0]) if texts else None


def harmony(text: str) -> str:
    """Rewrite a reply in the channels of gpt-oss: analysis is left out, calls become fences, the rest is text.

    What it says beside a final message, such as what it is about to do, is no part of the answer.
    """
    if not text.lstrip().startswith(("<|channel|>", "<|start|>")):
        return text
    parts: list[str] = []
    beside: list[str] = []
    final = "<|channel|>final" in text
    for section in _HARMONY.split(text):
        head, found, body = section.partition("<|message|>")
        body = re.sub(r"<\|(?:end|return|call)\|>\s*+$", "", body)
        if not found or head.startswith("analysis"):
            continue
        if head.startswith("commentary") and " to=" in head:
            parts.append(f"````python\n{code_in_call(body.strip()) or _bare_code(body)}\n````")
        else:
            (beside if final and head.startswith("commentary") else parts).append(body)
    return "\n".join(parts or beside)


def _bare_code(body: str) -> str:
    data = _json(body.strip())
    if isinstance(data, dict):
        return next((value for key, value in data.items() if key in _KEYS and isinstance(value, str)), body)
    return body
