"""The loopback server of `openai_server.py`, speaking Anthropic's Messages API, with a prompt cache that works.

Script, faults and records are those of `LoopbackServer`. A request without ``anthropic-version``, with an empty block,
a first message of the assistant's, two messages of one role, or more than four cache marks is refused with 400, as is a
parameter that the API doesn't know. The usage tells what was read from the cache and what was written to it: marks write
the prompt up to them, and a later request reads the longest prompt written that ends at one of its marks or up to twenty
blocks before.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from openai_server import COUNTED, LoopbackServer, Reply, Status, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiohttp import web

_KINDS = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}
_KNOWN = {"model", "messages", "system", "max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "stream"}
_KNOWN |= {"thinking", "output_config", "metadata"}
_LOOKED_BACK = 20
_REASONS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}


class AnthropicServer(LoopbackServer):
    first_text = 2

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._kept: set[str] = set()

    @property
    def url(self) -> str:
        return self.origin

    def _refusal(self, request: web.BaseRequest, body: Any) -> Status | None:
        key = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._api_key is not None and key != self._api_key:
            return Status(401, f"invalid x-api-key: {key}")
        for name in self._refuse:
            if name in body:
                return Status(400, f"`{name}` is deprecated for this model.")
        wrong = _wrong(request, body)
        if wrong:
            return Status(400, wrong)
        tokens = sum(_tokens(block["text"]) for block in _blocks(body))
        if self._context_window is not None and tokens > self._context_window:
            return Status(400, f"prompt is too long: {tokens} tokens > {self._context_window} maximum")
        return None

    def _error(self, reply: Status) -> dict[str, Any]:
        kind = _KINDS.get(reply.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": reply.message}, "request_id": "req_1"}

    def _completion(self, body: Any, reply: Reply) -> dict[str, Any]:
        content = [{"type": "thinking", "thinking": reply.reasoning, "signature": "s"}] if reply.reasoning else []
        content += [{"type": "text", "text": reply.content}] if reply.content else []
        refused = {"type": "refusal", "category": None, "explanation": reply.refusal} if reply.refusal else None
        return {
            "id": f"msg_{self.count}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content,
            "stop_reason": _REASONS.get(str(reply.finish_reason), reply.finish_reason),
            "stop_sequence": None,
            "stop_details": refused,
            "usage": self._counted(body, reply) if reply.usage is COUNTED else reply.usage,
        }

    def _counted(self, body: Any, reply: Reply) -> Mapping[str, Any]:
        blocks = _blocks(body)
        texts = [_tokens(block["text"]) for block in blocks]
        prefixes = [
            json.dumps([[b["place"], b["text"]] for b in blocks[: number + 1]]) for number in range(len(blocks))
        ]
        marks = [number for number, block in enumerate(blocks) if block["mark"]]
        near = [n for mark in marks for n in range(mark, max(-1, mark - _LOOKED_BACK), -1) if prefixes[n] in self._kept]
        read = max(near, default=-1)
        written = max(marks, default=-1)
        self._kept.update(prefixes[mark] for mark in marks)
        counts = {
            "cache_read_input_tokens": sum(texts[: read + 1]),
            "cache_creation_input_tokens": sum(texts[read + 1 : written + 1]),
            "input_tokens": sum(texts[max(read, written) + 1 :]),
        }
        return counts | {"output_tokens": _tokens(str(reply.content or ""))}

    def _broken_event(self) -> str:
        error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        return _event("error", error)

    def _events(self, body: Any, reply: Reply) -> Iterator[str]:
        whole = self._completion(body, reply)
        usage = whole["usage"]
        start = {**whole, "content": [], "stop_reason": None, "stop_details": None}
        first = usage and {**usage, "output_tokens": 1}
        yield _event("message_start", {"message": {**start, "usage": first}})
        yield _event("ping", {})
        for number, block in enumerate(whole["content"]):
            empty = {"type": "text", "text": ""} if block["type"] == "text" else {"type": "thinking", "thinking": ""}
            yield _event("content_block_start", {"index": number, "content_block": empty})
            for piece in pieces(block.get("text") or block.get("thinking")):
                delta = (
                    {"type": "text_delta", "text": piece}
                    if block["type"] == "text"
                    else {"type": "thinking_delta", "thinking": piece}
                )
                yield _event("content_block_delta", {"index": number, "delta": delta})
            yield _event("content_block_stop", {"index": number})
        ending = {name: whole[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
        yield _event("message_delta", {"delta": ending, "usage": usage and {"output_tokens": usage["output_tokens"]}})
        yield _event("message_stop", {})


def _blocks(body: Any) -> list[dict[str, Any]]:
    found = [("system", block) for block in body.get("system", [])]
    for number, message in enumerate(body["messages"]):
        found += [(f"{number} {message['role']}", block) for block in message["content"]]
    return [
        {"place": place, "text": block["text"], "mark": block.get("cache_control") is not None}
        for place, block in found
    ]


def _wrong(request: web.BaseRequest, body: Any) -> str | None:
    if "anthropic-version" not in request.headers:
        return "anthropic-version: header is required"
    unknown = sorted(set(body) - _KNOWN)
    if unknown:
        return f"{unknown[0]}: Extra inputs are not permitted"
    roles = [message["role"] for message in body["messages"]]
    if roles[:1] != ["user"] or any(role not in {"user", "assistant"} for role in roles):
        return "messages: first message must use the user role"
    if any(before == after for before, after in pairwise(roles)):
        return "messages: roles must alternate"
    blocks = _blocks(body)
    if not all(block["text"].strip() for block in blocks):
        return "messages: text content blocks must contain non-whitespace text"
    if sum(block["mark"] for block in blocks) > 4:
        return "A maximum of 4 blocks with cache_control may be provided."
    return None


def _event(name: str, data: Mapping[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps({'type': name} | dict(data), ensure_ascii=False)}\n\n"


def _tokens(text: str) -> int:
    return -(-len(text) // 4)
