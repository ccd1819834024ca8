"""Is it Python? Where does the code in a fence end? Answered by Python's own lexical rules, in linear time.

Nothing here runs code. Text is parsed with the contents of its strings and comments blanked out: positions stay the
same, a marker inside a string is invisible, and the parser has no escape sequences to warn about.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
import textwrap

__all__ = ["HOST_NAMES", "Closer", "calls_for_execution", "find_closer", "looks_like_code", "mask", "parse", "tidy"]

_TRIPLE = r"{q}{q}{q}(?:[^{q}\\]++|\\[\s\S]?|{q}(?!{q}{q}))*+"
_SINGLE = r"{q}(?:[^{q}\\\n]++|\\[\s\S])*+{q}"
_TOKEN = re.compile(
    rf"""
      (?P<comment>\#[^\n]*+)
    | (?P<triple>{_TRIPLE.format(q="'")}''' | {_TRIPLE.format(q='"')}\"\"\")
    | (?P<open>{_TRIPLE.format(q="'")}\Z | {_TRIPLE.format(q='"')}\Z)
    | (?P<string>{_SINGLE.format(q="'")} | {_SINGLE.format(q='"')})
    | (?P<bad>['"](?:[^\\\n]++|\\[\s\S]?)*+)
    | (?P<line>^[ \t>]*+(?P<mark>`{{3,}}+|~{{3,}}+)(?P<info>[^`\n]*+)$)
    | (?P<end>(?<!`)`{{3,}}+(?=[ \t\r]*+$))
    """,
    re.VERBOSE | re.MULTILINE,
)
_BARE_FENCE = re.compile(r"^[ \t>]*+(?P<mark>`{3,}+|~{3,}+)[ \t\r]*+$", re.MULTILINE)
_BODY = re.compile(r"[^\n\\]|\\(?!\n)")
_LARGEST = 500_000
"""Characters beyond which text is not given to the parser: no model writes that much code in one reply."""

HOST_NAMES = frozenset(
    [
        "FINAL",
        "FINAL_VAR",
        "SHOW_VARS",
        "llm_query",
        "llm_batch",
        "llm_query_batched",
        "llm_query_batch",
        "ask",
        "ask_chunks",
        "ask_chunks_first",
        "pick_first_answer",
        "extract_after",
        "es_search",
        "es_vector_search",
        "es_hybrid_search",
        "es_get",
        "peek",
        "tail",
        "lenP",
    ]
)
"""Functions that only a REPL of pyrlm has."""
_BUILTINS = frozenset(name for name in dir(builtins) if name.islower())
_STATEMENTS = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.For,
    ast.While,
    ast.If,
    ast.With,
    ast.Try,
    ast.Match,
    ast.Assign,
    ast.AugAssign,
)


def mask(code: str) -> str:
    """Blank comments and the insides of strings, keeping every position and every line end."""
    return _TOKEN.sub(_blank, code)


def _blank(token: re.Match[str]) -> str:
    text = token[0]
    if token.lastgroup == "comment":
        return " " * len(text)
    if token.lastgroup == "triple":
        return text[:3] + re.sub(r"[^\n]", "x", text[3:-3]) + text[-3:]
    if token.lastgroup == "string":
        return text[0] + _BODY.sub("x", text[1:-1]) + text[-1]
    return text


def parse(code: str, masked: str | None = None) -> ast.Module | None:
    """Parse `code` as Python; None where it is not. Never raises and never warns."""
    if len(code) > _LARGEST:
        return None
    try:
        return ast.parse(mask(code) if masked is None else masked)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return None


def looks_like_code(code: str) -> bool:
    """Tell whether `code` is Python that does something, and not prose or data that happens to parse.

    `Yes`, `42`, `a, b`, `not found`, `Answer: 42` and `Paris (France)` parse as Python; none of them is meant as code.
    """
    tree = parse(code)
    if tree is None or any(isinstance(node, ast.AnnAssign) for node in tree.body):
        return False
    lines = code.splitlines()
    return any(
        isinstance(node, _STATEMENTS) or _known_import(node) or (isinstance(node, ast.Call) and _is_call(node, lines))
        for node in ast.walk(tree)
    )


def _known_import(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").partition(".")[0] in sys.stdlib_module_names
    return isinstance(node, ast.Import) and all(a.name.partition(".")[0] in sys.stdlib_module_names for a in node.names)


def _is_call(node: ast.Call, lines: list[str]) -> bool:
    """Tell a call from a word with a remark in brackets: `peek(3)`, not `Paris (France)` or `Iron(III)`."""
    func = node.func
    if isinstance(func, ast.Call):  # `f(1)(2)` is a call if `f(1)` is; `0(0)(0)` is none
        return _is_call(func, lines)
    if not isinstance(func, ast.Name | ast.Attribute | ast.Subscript):
        return False
    if isinstance(func, ast.Name) and not (func.id.islower() or func.id in HOST_NAMES):
        return False
    line = lines[func.end_lineno - 1] if func.end_lineno and func.end_lineno <= len(lines) else ""
    after = line.encode(errors="surrogatepass")[func.end_col_offset or 0 :]
    return after.startswith(b"(")


def calls_for_execution(call: str) -> bool:
    """Tell whether a call of `FINAL` outside code means values of the REPL: an f-string, a built-in, `quotes=`."""
    tree = parse(call, masked=call if "\\" not in call else None)
    if tree is None or len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr):
        return False
    final = tree.body[0].value
    if not isinstance(final, ast.Call) or len(final.args) > 1:
        return False
    if any(keyword.arg == "quotes" for keyword in final.keywords) or re.match(r"FINAL\(\s*[rR]?[fF][rR]?['\"]", call):
        return True
    inner = final.args[0] if final.args else None
    if not isinstance(inner, ast.Call):
        return False
    return isinstance(inner.func, ast.Attribute) or (isinstance(inner.func, ast.Name) and inner.func.id in _BUILTINS)


class Closer:
    """Where a fence closes.

    Attributes:
        end: Offset at which the code ends (the line end before the closing fence is not part of it).
        after: Offset at which the text goes on.
        closed: False where the fence was never closed.
        chars: Characters looked at, for the caller's bound on the work.
    """

    __slots__ = ("after", "chars", "closed", "end")

    def __init__(self, end: int, after: int, *, closed: bool = True, chars: int = 0) -> None:
        self.end, self.after, self.closed, self.chars = end, after, closed, chars


def find_closer(text: str, start: int, fence: str, *, python: bool, lexical: bool = True) -> Closer:
    """Find the end of the fenced block whose content begins at `start`.

    In Python a run of backticks stands only inside strings and comments, so the first one elsewhere closes the fence;
    a tagged fence there closes this block and opens the next. Code with a quote that is never closed hides its closing
    fence from this rule: if the code found does not parse, the first bare fence closes it.

    Args:
        text: The reply.
        start: Offset of the first character after the opening fence's line.
        fence: The opening fence, such as ``"```"``.
        python: Whether the content may be Python. If not, tagged fences inside nest, as in Markdown about Markdown.
        lexical: False takes the first bare fence without looking at strings.
    """
    if not python:
        return _close_markdown(text, start, fence)
    if not lexical:
        return _first_bare(text, start, fence)
    found, chars = None, len(text) - start
    for token in _TOKEN.finditer(text, start):
        found = _closes(token, text, start, fence)
        if found is not None:
            chars = token.end() - start
            break
    bare = _first_bare(text, start, fence, len(text) if found is None else found.end)
    if found is None or (bare.closed and bare.end < found.end and parse(text[start : found.end]) is None):
        found = bare
    found.chars = chars + found.after - start
    return found


def _closes(token: re.Match[str], text: str, start: int, fence: str) -> Closer | None:
    if token.lastgroup == "end":
        return Closer(token.start(), token.end()) if fence[0] == "`" and len(token[0]) >= len(fence) else None
    if token.lastgroup != "line":
        return None
    mark = token["mark"]
    if mark[0] != fence[0] or len(mark) < len(fence):
        return None
    if not token["info"].strip():
        return Closer(_line_end_before(text, token.start(), start), token.end())
    if mark[0] == "`":
        return Closer(_line_end_before(text, token.start(), start), token.start())
    return None


def _first_bare(text: str, start: int, fence: str, stop: int | None = None) -> Closer:
    for match in _BARE_FENCE.finditer(text, start, len(text) if stop is None else stop):
        if match["mark"].startswith(fence):
            return Closer(_line_end_before(text, match.start(), start), match.end())
    return Closer(_without_short_fence(text, start), len(text), closed=False)


def _without_short_fence(text: str, start: int) -> int:
    """Leave out a closing fence that is too short for the one that it was meant to close."""
    match = re.search(r"(?:^|\n)[ \t>]*+(?:`{3,}+|~{3,}+)\s*+\Z", text[-80:])
    return max(start, len(text) - len(match[0])) if match else len(text)


def _close_markdown(text: str, start: int, fence: str) -> Closer:
    depth = 1
    pattern = re.compile(rf"^[ \t>]*+{re.escape(fence)}{fence[0]}*+(?P<info>[^`\n]*+)$", re.MULTILINE)
    for match in pattern.finditer(text, start):
        depth += 1 if match["info"].strip() else -1
        if depth == 0:
            return Closer(_line_end_before(text, match.start(), start), match.end(), chars=match.end() - start)
    first = _first_bare(text, start, fence)
    first.chars = len(text) - start
    return first


def _line_end_before(text: str, offset: int, start: int) -> int:
    if offset > start and text[offset - 1] == "\n":
        offset -= 1
        if offset > start and text[offset - 1] == "\r":
            offset -= 1
    return offset


def tidy(code: str, prefix: str) -> str:
    """Undo what the place of a fence did to its code: a list's indentation, a block quote's marks, prompts.

    Code that parses as it stands is never touched, except by the indentation of its own fence.
    """
    if ">" in prefix:
        code = re.sub(r"^[ \t]*+(?:>[ \t]?)+", "", code, flags=re.MULTILINE)
    elif prefix:
        code = re.sub(rf"^[ \t]{{1,{len(prefix)}}}", "", code, flags=re.MULTILINE)
    if parse(code) is not None:
        return code
    dedented = textwrap.dedent(code)
    if dedented != code and parse(dedented) is not None:
        return dedented
    if re.search(r"^>>> ", code, re.MULTILINE):
        session = re.findall(r"^(?:>>>|\.\.\.)(?: (.*))?$", code, re.MULTILINE)
        if parse("\n".join(session)) is not None:
            return "\n".join(session)
    return code
