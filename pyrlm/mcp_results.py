"""Results of MCP servers as data that crosses into the REPL."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["contents_data", "result_data", "result_text", "wrapped"]

_RESULT = "result"
_MARK = "x-fastmcp-wrap-result"


def wrapped(schema: Mapping[str, Any] | None) -> Any:
    """Return the schema of what a tool declared to return, where its server wraps that in an object; else None.

    Structured content used to have to be an object, so that servers put a str or a list in ``{"result": …}``. FastMCP
    marks the schema; the official SDK (`mcp.server.mcpserver`) titles it after the function, ``greetOutput``.
    """
    properties = (schema or {}).get("properties")
    if not schema or not isinstance(properties, dict) or set(properties) != {_RESULT}:
        return None
    titled = str(schema.get("title", "")).endswith("Output") and schema.get("required") == [_RESULT]
    if schema.get(_MARK) is not True and not titled:
        return None
    inner = properties[_RESULT]
    return {**inner, "$defs": schema["$defs"]} if isinstance(inner, dict) and "$defs" in schema else inner


def result_data(result: Any, *, may_wrap: bool) -> Any:
    """Return a tool's result: structured content, else text as str; with other blocks, a list of all of them.

    Args:
        result: What the server sent.
        may_wrap: Whether the tool's schema is one that its server wraps results for (`wrapped`).
    """
    content = result.structured_content
    if content is not None:
        return content[_RESULT] if _is_wrapped(result, may_wrap=may_wrap) else content
    if all(block.type == "text" for block in result.content):
        return result_text(result)
    return [_block(block) for block in result.content]


def _is_wrapped(result: Any, *, may_wrap: bool) -> bool:
    """Whether structured content is a wrapped value, and not an object of the tool's own with a sole field `result`.

    Beside a wrapped value stands the value as text, beside an object of the tool's own the JSON of the object.
    """
    content = result.structured_content
    if not isinstance(content, dict) or set(content) != {_RESULT}:
        return False
    fastmcp = (result.meta or {}).get("fastmcp")
    if isinstance(fastmcp, dict) and fastmcp.get("wrap_result") is True:
        return True
    try:
        return may_wrap and bool(json.loads(result_text(result)) != content)
    except (ValueError, RecursionError):
        return may_wrap


def result_text(result: Any) -> str:
    """Return the text blocks of a tool's result, a line break between them."""
    return "\n".join(block.text for block in result.content if block.type == "text")


def contents_data(contents: Sequence[Any]) -> Any:
    """Return what a resource holds: str or bytes for one part, else a list of dicts with uri, mime_type and content."""
    if len(contents) == 1:
        return _content(contents[0])
    return [_part(part) for part in contents]


def _part(part: Any) -> dict[str, Any]:
    return {"uri": str(part.uri), "mime_type": part.mime_type, "content": _content(part)}


def _content(part: Any) -> str | bytes:
    text: str | None = getattr(part, "text", None)
    return text if text is not None else base64.b64decode(part.blob)


def _block(block: Any) -> Any:
    if block.type == "text":
        return block.text
    if block.type == "resource":
        return {"type": "resource", **_part(block.resource)}
    if block.type == "resource_link":
        return {"type": "resource_link", "uri": str(block.uri), "name": block.name, "mime_type": block.mime_type}
    return {"type": block.type, "mime_type": block.mime_type, "data": base64.b64decode(block.data)}
