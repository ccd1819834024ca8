"""Results of MCP servers as data that crosses into the REPL."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["contents_data", "result_data", "result_text"]


def result_data(result: Any) -> Any:
    """Return a tool's result: structured content as it is, else text as str; with other blocks, a list of all of them."""
    if result.structured_content is not None:
        return result.structured_content
    if all(block.type == "text" for block in result.content):
        return result_text(result)
    return [_block(block) for block in result.content]


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
