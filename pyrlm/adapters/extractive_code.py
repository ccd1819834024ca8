"""The code that `ExtractiveAdapter` writes as the root of a loop: its own search, and what the stage asks for."""

from __future__ import annotations

import ast
from functools import cache
from importlib import resources
from textwrap import indent
from typing import TYPE_CHECKING

from pyrlm.prompts import NO_ANSWER

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["root_code"]

_SEARCH = """\
QUESTION = {question}
found = search(ctx, QUESTION)
sure = bool(found) and found[0][1] >= {min_share}
"""

_QUOTES = """\
quotes = [ctx.slice(start, end).strip() for start, end in together(found)] if sure else []
"""

_ANSWER = """\
if quotes:
    answer = " ".join([tidy(quote) for quote in quotes])
    print(answer)
    FINAL(answer, quotes=quotes)
else:
    print("The words of the question do not stand together anywhere.")
    FINAL("{no_answer}")
"""

_CUT = """\
spans = [(start, end) for score, share, start, end in found if share >= {min_share} * 0.8]
if spans:
    best = together(found)
    spans = [(best[0][0], best[-1][1])] + [span for span in spans if span[0] < best[0][0] or span[1] > best[-1][1]]
passages = []
for start, end in spans[:6]:
    piece = ctx.slice(max(0, start - 600), end + 600)
    passages.append(piece[piece.find("\\n", 0, 600) + 1 :] if start > 600 else piece)
"""

_SEARCH_INDEX = """\
QUESTION = {question}
pieces, seen = [], []
words = [word for word in re.findall(r"\\w+", QUESTION) if word.lower() not in STOP]
for hit in es_hybrid_search(QUESTION, 10) + es_search(" ".join(words), 10):
    first, last = (0, 20000) if hit["start"] is None else (hit["start"], hit["end"])
    if not any([doc == hit["doc_id"] and low <= first and last <= high for doc, low, high in seen]):
        low, high = max(0, first - 300), last + 300
        part = es_get(hit["doc_id"], low, high - low)["content"]
        source = hit["doc_id"] + " " + str(hit["metadata"].get("title", ""))
        pieces.append([source, part[part.find("\\n", 0, 300) + 1 :] if low else part])
        seen.append((hit["doc_id"], low, high))
chosen = best_of(pieces, QUESTION)
"""

_QUOTE_INDEX = """\
quotes = quotes_of(pieces, chosen) if chosen and chosen[0][1] >= {min_share} else []
"""

_CUT_INDEX = """\
places = []
for score, share, number, start, end in chosen:
    if share >= {min_share} * 0.8 and number not in places:
        places.append(number)
passages = [pieces[number][1] for number in places[:6]]
"""

_COLLECT = """\
print(len(passages), "passages")
"""

_AGAIN = """\
QUESTION = {question}
"""

_ASK = """\
pieces = passages or {beginning}
answers = ask_chunks(QUESTION, pieces)
given = [a for a in answers if a != "{no_answer}" and not a.startswith("[sub-call failed")]
print(len(given), "of", len(answers), "pieces hold an answer")
if given:
    parts = given[0].split(" … ")
    whole = [" ".join(piece.split()) for piece in pieces]
    answer = " ".join([tidy(part) for part in parts])
    print(answer)
    FINAL(answer, quotes=[part for part in parts if any([part in piece for piece in whole])])
else:
    FINAL("{no_answer}")
"""


def root_code(
    question: str,
    min_share: float,
    *,
    stage: str,
    said: Sequence[str],
    heard: Sequence[str],
    has_text: bool = True,
    has_index: bool = False,
) -> str:
    """Return the root's next reply: search code, with the functions where they are not yet defined.

    Args:
        question: The question.
        min_share: Share of its words, by weight, that must stand together.
        stage: The latest message that says how to work; empty where none does.
        said: The root's replies so far.
        heard: What the run said to them.
        has_text: Whether the run has a text, `ctx`.
        has_index: Whether it has the searches of an index, asked where the text does not answer.
    """
    values = {
        "question": repr(question).replace("`", r"\x60"),
        "min_share": min_share,
        "no_answer": NO_ANSWER,
        "beginning": "[ctx.slice(0, 2000)]" if has_text else "[text for source, text in pieces[:2]]",
    }
    known = any("def search(" in reply for reply in said) and not any("started anew" in text for text in heard)
    body = _body(stage, said, has_text=has_text, has_index=has_index, known=known)
    code = "" if known else library(has_index=has_index) + "\n"
    ending = "\nFINAL_VAR: passages" if "FINAL_VAR: passages" in stage else ""
    return f"```python\n{code}{body.format(**values)}```{ending}"


def _body(stage: str, said: Sequence[str], *, has_text: bool, has_index: bool, known: bool) -> str:
    collects, asks = "FINAL_VAR: passages" in stage, "llm_batch" in stage
    if asks and not collects and known and any("FINAL_VAR: passages" in reply for reply in said):
        return _AGAIN + _ASK
    if not has_text:
        search, cut, quotes = _SEARCH_INDEX, _CUT_INDEX, _QUOTE_INDEX
    elif not has_index:
        search, cut, quotes = _SEARCH, _CUT, _QUOTES
    else:
        search = _SEARCH
        cut = _CUT + _where("not passages", _SEARCH_INDEX + _CUT_INDEX)
        quotes = _QUOTES + _where("not quotes", _SEARCH_INDEX + _QUOTE_INDEX)
    if collects:
        return search + cut + _COLLECT
    return search + (cut + _ASK if asks else quotes + _ANSWER)


def _where(condition: str, code: str) -> str:
    return f"if {condition}:\n{indent(code, '    ')}"


@cache
def library(*, has_index: bool = False) -> str:
    """Return the search functions as code for the REPL: no docstrings, annotations or comments, so that replies stay short."""
    names = ["extractive_search.py", *(["extractive_pieces.py"] if has_index else [])]
    folder = resources.files("pyrlm.adapters")
    body = [node for name in names for node in ast.parse(folder.joinpath(name).read_text(encoding="utf-8")).body]
    kept = [node for node in body if not _is_for_the_host(node)]
    return ast.unparse(_Bare().visit(ast.Module(body=kept, type_ignores=[])))


def _is_for_the_host(node: ast.stmt) -> bool:
    """Whether a statement is of no use in the REPL: the docstring, imports of types, names of types and of the module."""
    if isinstance(node, ast.ImportFrom | ast.Expr):
        return True
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in {"__all__", "Found", "Choice"}


class _Bare(ast.NodeTransformer):
    """Takes annotations and docstrings away."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.returns = None
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        assert node.value is not None
        return ast.copy_location(ast.Assign(targets=[node.target], value=self.visit(node.value)), node)
