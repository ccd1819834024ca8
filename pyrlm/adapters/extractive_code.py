"""The code that `ExtractiveAdapter` writes as the root of a loop: its own search, and what the stage asks for."""

from __future__ import annotations

import ast
from functools import cache
from importlib import resources
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

_ANSWER = """\
if sure:
    quotes = [ctx.slice(start, end).strip() for start, end in together(found)]
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

_COLLECT = """\
print(len(passages), "passages")
"""

_ASK = """\
pieces = passages or [ctx.slice(0, 2000)]
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


def root_code(question: str, min_share: float, *, stage: str, said: Sequence[str], heard: Sequence[str]) -> str:
    """Return the root's next reply: search code, with the functions where they are not yet defined.

    Args:
        question: The question.
        min_share: Share of its words, by weight, that must stand together.
        stage: The latest message that says how to work; empty where none does.
        said: The root's replies so far.
        heard: What the run said to them.
    """
    values = {"question": repr(question).replace("`", r"\x60"), "min_share": min_share, "no_answer": NO_ANSWER}
    known = any("def search(" in reply for reply in said) and not any("started anew" in text for text in heard)
    parts = [] if known else [library()]
    parts.append(_SEARCH)
    if "FINAL_VAR: passages" in stage:
        parts += [_CUT, _COLLECT]
    elif "llm_batch" in stage:
        collected = known and any("FINAL_VAR: passages" in reply for reply in said)
        parts += [_ASK] if collected else [_CUT, _ASK]
    else:
        parts.append(_ANSWER)
    code = parts.pop(0) + "\n" if not known else ""
    code += "".join(parts).format(**values)
    ending = "\nFINAL_VAR: passages" if "FINAL_VAR: passages" in stage else ""
    return f"```python\n{code}```{ending}"


@cache
def library() -> str:
    """Return the search functions as code for the REPL: no docstrings, annotations or comments, so that replies stay short."""
    source = resources.files("pyrlm.adapters").joinpath("extractive_search.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    kept = [node for node in tree.body if not _is_for_the_host(node)]
    return ast.unparse(_Bare().visit(ast.Module(body=kept, type_ignores=[])))


def _is_for_the_host(node: ast.stmt) -> bool:
    """Whether a statement is of no use in the REPL: the docstring, imports of types, names of types and of the module."""
    if isinstance(node, ast.ImportFrom | ast.Expr):
        return True
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in {"__all__", "Found"}


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
