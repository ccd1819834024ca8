"""HTML and PDF to text."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from pyrlm.readers import UnreadableError
from pyrlm.readers_text import decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selectolax.lexbor import LexborNode

__all__ = ["html_to_text", "pdf_to_text", "read_html"]

_DROPPED = ["script", "style", "template", "noscript", "iframe", "svg", "head"]
_OWN_PARAGRAPH = (
    "address article aside blockquote details dl figure footer form h1 h2 h3 h4 h5 h6 header main nav ol p pre section "
    "table ul"
)
_OWN_LINE = "body br caption dd div dt fieldset figcaption hr legend li option summary tr"
_NEVER_CLOSED = "area base br col embed hr img input link meta source track wbr"
_END_IMPLIED = "body colgroup dd dt head html li optgroup option p rp rt tbody td tfoot th thead tr"
_PARAGRAPHS = frozenset(_OWN_PARAGRAPH.split())
_LINES = frozenset(_OWN_LINE.split())
_FLAT = frozenset(f"{_NEVER_CLOSED} {_END_IMPLIED}".split())
_PREFIX = {f"h{level}": "#" * level + " " for level in range(1, 7)} | {"li": "- "}
_MAX_DEPTH = 1000  # browsers stop at 512; a parser that follows the standard needs quadratic time for nested elements
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)[^<>]*?(/?)>")
_SPACE = re.compile(r"[ \t\n\f\r]+")
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)


def read_html(data: bytes | bytearray) -> tuple[str, str | None]:
    """Return the text of an HTML file and a note on its encoding; see `html_to_text`."""
    declared = _CHARSET.search(bytes(data[:4096]))
    html, note = decode(data, declared[1].decode("ascii") if declared else None)
    return html_to_text(html), note


def html_to_text(html: str) -> str:
    """Return what a reader of the page would read, without scripts, styles and addresses of links.

    Paragraphs are divided by an empty line, headings are marked with ``#``, list items with ``-``, cells with ``|``.

    Raises:
        UnreadableError: Elements are nested too deep to be parsed in reasonable time.
    """
    if _nesting(html) > _MAX_DEPTH:
        raise UnreadableError(f"HTML with elements nested more than {_MAX_DEPTH:,} deep")
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415 - costs 10 ms, and few runs read HTML

    tree = LexborHTMLParser(html)
    title = tree.css_first("head title")
    heading = _SPACE.sub(" ", title.text()).strip() if title else ""
    tree.strip_tags(_DROPPED)
    writer = _Writer()
    if tree.root is not None:
        for node, entering in _walk(tree.root):
            writer.visit(node, entering=entering)
    text = writer.text()
    return text if not heading or heading in text[: len(heading) + 8] else f"{heading}\n\n{text}".rstrip()


class _Writer:
    """Puts text together: runs of white space become one space, blocks begin on lines of their own."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._breaks = 0
        self._prefix = ""
        self._space = False
        self._pre = 0
        self._listed = 0

    def visit(self, node: LexborNode, *, entering: bool) -> None:
        tag = node.tag or ""
        if tag == "-text":
            if entering:
                self._write(node.text_content or "")
        elif tag == "pre":
            self._pre += 1 if entering else -1
            self._break(2)
        elif tag in _PARAGRAPHS:
            self._break(1 if self._listed else 2)
        elif tag in _LINES:
            self._break(1)
        elif tag in ("td", "th") and entering and node.prev is not None and not self._breaks:
            self._parts.append("| " if self._space else " | ")
            self._space = True
        if tag == "li":
            self._listed += 1 if entering else -1
        if entering and tag in _PREFIX:
            self._prefix = _PREFIX[tag]

    def _break(self, lines: int) -> None:
        self._breaks = max(self._breaks, lines)

    def _write(self, text: str) -> None:
        if not self._pre:
            text = _SPACE.sub(" ", text)
            if self._breaks or self._space or not self._parts:
                text = text.lstrip(" ")
        if not text:
            return
        if self._breaks and self._parts:
            self._parts.append("\n" * self._breaks)
        self._breaks = 0
        self._parts.append(self._prefix + text)
        self._prefix = ""
        self._space = text.endswith(" ")

    def text(self) -> str:
        """Return all of it, without spaces at line ends."""
        return re.sub(r"[ \t]+(?=\n)", "", "".join(self._parts)).strip()


def _walk(root: LexborNode) -> Iterator[tuple[LexborNode, bool]]:
    """Yield each node when it begins and, with False, when it ends; without recursion."""
    node: LexborNode | None = root
    while node is not None:
        yield node, True
        if node.first_child is not None:
            node = node.first_child
            continue
        yield node, False
        while node is not None and node.next is None:
            node = node.parent
            if node is None or node.mem_id == root.mem_id:  # == would compare their HTML
                return
            yield node, False
        node = node.next if node is not None else None


def _nesting(html: str) -> int:
    """Return how deep elements are nested, by their tags alone."""
    depth = deepest = 0
    for tag in _TAG.finditer(html):
        name = tag[2].lower()
        if name in _FLAT or tag[3]:
            continue
        depth = max(0, depth - 1) if tag[1] else depth + 1
        deepest = max(deepest, depth)
    return deepest


def pdf_to_text(data: bytes | bytearray) -> tuple[str, str | None]:
    """Return the text of a PDF, pages divided by form feeds, and a note on pages that could not be read.

    Raises:
        UnreadableError: pypdf is not installed, the file is damaged or encrypted, or it holds no text.
    """
    try:
        import pypdf  # noqa: PLC0415 - an extra
    except ImportError:
        raise UnreadableError("PDF needs pypdf: pip install 'pyrlm[pdf]'") from None
    pages: list[str] = []
    broken: list[int] = []
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        closed = reader.is_encrypted and not reader.decrypt("")
        count = 0 if closed else len(reader.pages)
    except Exception as error:  # noqa: BLE001 - damaged files raise all kinds
        raise UnreadableError(f"damaged PDF: {error}") from None
    if closed:
        raise UnreadableError("PDF with a password")
    for number in range(count):
        try:
            pages.append(reader.pages[number].extract_text().strip())
        except Exception:  # noqa: BLE001 - damaged pages raise all kinds; the others are kept
            broken.append(number + 1)
            pages.append("")
    if not any(pages):
        raise UnreadableError("PDF without text (scanned pages need text recognition first)")
    return "\f".join(pages), f"pages {broken} could not be read" if broken else None
