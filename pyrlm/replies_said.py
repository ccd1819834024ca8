"""What a reply says, without its thinking: what becomes data, and what is sent back to a model."""

from __future__ import annotations

import re

from pyrlm.replies_scan import scan
from pyrlm.replies_thinking import THINK_WORDS
from pyrlm.replies_tools import harmony

__all__ = ["without_thinking"]

_PERHAPS = re.compile(rf"</?(?:antml:)?(?:{THINK_WORDS})>|\[/?THINK\]|◁/?think▷|<\|(?:channel|start)\|>")


def without_thinking(text: str) -> str:
    """Return a reply without the thinking in it, whatever tags or channels it stands in; one without any as it is.

    All that `parse_reply` takes for thinking is left out, and nothing else: tags in code, in other fences, in quotations
    and in backticks stay. Thinking that never ends leaves nothing. The same text always gives the same.
    """
    if _PERHAPS.search(text) is None:
        return text
    said = harmony(text)
    scanned = scan(said)
    if said == text and not scanned.thoughts:
        return text
    return scanned.without(scanned.thoughts).strip()
