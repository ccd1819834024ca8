"""What a cluster found, as hits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrlm.retrievers.es_queries import FIRST, MARKS
from pyrlm.retrievers.protocol import Hit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrlm.retrievers.es_layout import Layout
    from pyrlm.retrievers.previews import Previewer

__all__ = ["document_id", "metadata_of", "own_hit", "text_at", "to_hit", "value_at"]


def document_id(found: Mapping[str, Any], layout: Layout) -> str:
    """The document that an entry belongs to."""
    if layout.doc_id == "_id":
        return str(found["_id"])
    return text_at(found.get("_source") or {}, layout.id_source) or str(found["_id"])


def to_hit(found: Mapping[str, Any], score: float, layout: Layout, previewer: Previewer, chars: int) -> Hit:
    """Turn one entry of a reply into a hit."""
    if layout.own is not None:
        return own_hit(found, score, layout, previewer, chars)
    source = found.get("_source") or {}
    preview, highlights = _marked(found, layout, chars)
    return Hit(
        doc_id=document_id(found, layout),
        preview=preview,
        score=score,
        metadata=metadata_of(source, layout),
        text=preview,
        title=text_at(source, layout.title) if layout.title else "",
        highlights=highlights,
    )


def own_hit(found: Mapping[str, Any], score: float, layout: Layout, previewer: Previewer, chars: int) -> Hit:
    """A hit of an index that `pyrlm` made: with the passage, and its place in the document."""
    source = found["_source"]
    text = source["text"]
    preview, highlights = _marked(found, layout, chars) if layout.stems else previewer.show(text)
    return Hit(
        doc_id=source["doc_id"],
        preview=preview or previewer.show(text)[0],
        score=score,
        metadata=source["meta"],
        text=text,
        title=source["title"],
        heading=source["heading"],
        start=source["start"],
        end=source["end"],
        line=source["line"],
        highlights=highlights,
    )


def metadata_of(source: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """What an entry holds beside its text: what filters can ask for, under the same names."""
    hidden = {*layout.hidden, layout.body}
    return {name: value for name, value in source.items() if name not in hidden}


def value_at(source: Any, path: str) -> Any:
    """The value of a field by its dotted name; None where there is none."""
    if not path or source is None:
        return source or None
    if isinstance(source, list):
        return [value_at(item, path) for item in source]
    if not hasattr(source, "get"):
        return None
    if path in source:
        return source[path]
    head, _, rest = path.partition(".")
    return value_at(source.get(head), rest) if rest else None


def text_at(source: Mapping[str, Any], path: str) -> str:
    """The text of a field; several values are joined by blank lines."""
    return "\n\n".join(_texts(value_at(source, path)))


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [] if value is None else [str(value)]


def _marked(found: Mapping[str, Any], layout: Layout, chars: int) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The fragment that the cluster chose, cut to `chars`, and the spans that it marked."""
    if layout.nested:
        inner = found.get("inner_hits") or {}
        pieces = [hit for name in (layout.nested, FIRST) for hit in inner.get(name, {}).get("hits", {}).get("hits", ())]
        found = pieces[0] if pieces else {}
    fragments = (found.get("highlight") or {}).get(layout.body) or [""]
    text = ""
    spans: list[tuple[int, int]] = []
    for number, piece in enumerate(fragments[0].split(MARKS[0])):
        word, closed, rest = piece.partition(MARKS[1])
        if number and closed:
            spans.append((len(text), len(text) + len(word)))
        text += word + rest
    start = max(0, min(spans[0][0] - chars // 5, len(text) - chars)) if spans else 0
    preview = text[start : start + chars]
    start += len(preview) - len(preview.lstrip())
    preview = preview.strip()
    inside = ((at - start, to - start) for at, to in spans if at >= start and to <= start + len(preview))
    return preview, tuple(inside)
