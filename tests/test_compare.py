"""docs/compare.md and docs/pitfalls.md: each row is linked to tests that exist and speak of what the row names."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from pathlib import Path

import pytest

import pyrlm
import pyrlm.adapters
import pyrlm.retrievers

ROOT = Path(__file__).parent.parent
COMPARE = ROOT / "docs" / "compare.md"
PITFALLS = ROOT / "docs" / "pitfalls.md"
LINK = re.compile(r"\[[^\]]+\]\(\.\./(tests/[\w/]+\.py)#(test_\w+)\)")
NONE = "no counterpart"
CODE = re.compile(r"`([^`]+)`")
CALL = re.compile(r"\b([A-Z]\w+)\(([^()]*)\)")
KEYWORD = re.compile(r"\b(\w+)=")


def rows(page):
    """The rows of a page's tables, each with the heading above."""
    heading = ""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line.lstrip("# ")
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if line.startswith("|") and not set(cells[0]) <= set("-: ") and cells[-1] != "shown by":
            yield pytest.param(heading, cells, id=f"{heading.split()[0]}: {cells[0][:50]}")


ROWS = list(rows(COMPARE))
"""Of three cells: the other project's words, what to write here, what shows it."""
LINES = list(rows(PITFALLS))
"""Of two cells: what goes wrong, what shows that it does not here."""


@cache
def text_of(path):
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def names_in(path):
    """Names of the tests of a file, those that it takes from another included."""
    tree = ast.parse(text_of(path))
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return found | {
        name.asname or name.name for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names
    }


def check_links(cell):
    linked = LINK.findall(cell)
    assert linked, "no test is linked"
    for path, name in linked:
        assert (ROOT / path).is_file(), path
        assert name in names_in(path), f"{path} has no {name}"


@pytest.mark.parametrize(("heading", "cells"), LINES)
def test_a_pitfall_has_a_test_that_exists(heading, cells):
    assert len(cells) == 2, "a line has two cells"
    check_links(cells[1])


@pytest.mark.parametrize(("heading", "cells"), ROWS)
def test_a_row_has_a_test_that_exists_or_says_that_there_is_nothing(heading, cells):
    assert len(cells) == 3, "a row has three cells"
    if cells[1].startswith(NONE):
        assert not LINK.search(cells[2])
        return
    check_links(cells[2])


@pytest.mark.parametrize(("heading", "cells"), ROWS)
def test_what_a_row_names_is_spoken_of_in_its_tests(heading, cells):
    told = "\n".join(text_of(path) for path, _ in LINK.findall(cells[2]))
    for code in CODE.findall(cells[1]):
        for option in KEYWORD.findall(code):
            assert not told or option in told, f"{option}= is not in the tests that are linked"


def signature_of(name):
    for module in (pyrlm, pyrlm.adapters, pyrlm.retrievers):
        if name in module.__all__:
            return inspect.signature(getattr(module, name)).parameters
    return None


@pytest.mark.parametrize(("heading", "cells"), ROWS)
def test_the_options_that_a_row_names_exist(heading, cells):
    for code in CODE.findall(cells[1]):
        for name, given in CALL.findall(code):
            takes = signature_of(name)
            if takes is None:
                continue
            if name == "SmartRouter":
                takes = {**takes, **signature_of("RLM")}
            missing = set(KEYWORD.findall(given)) - set(takes)
            more = any(one.kind is one.VAR_KEYWORD for one in takes.values()) and name != "SmartRouter"
            assert more or not missing, f"{name} has no {missing}"


def test_every_project_has_its_table():
    headings = {heading.split()[0] for heading, _ in (row.values for row in ROWS)}
    expected = {"pyrlm-runtime", "fast-rlm", "rlm-loop", "replm", "rlms", "dspy.RLM", "Elasticsearch", "LiteLLM's"}
    assert expected <= headings
    assert len(ROWS) > 150
    assert len(LINES) > 70


@pytest.mark.parametrize("page", [COMPARE, PITFALLS], ids=lambda page: page.name)
def test_links_point_into_the_repository(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target
