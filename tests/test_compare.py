"""docs/compare.md: each row is linked to a test that exists and speaks of what the row names."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import pyrlm
import pyrlm.adapters
import pyrlm.retrievers

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "compare.md"
TEXT = PAGE.read_text(encoding="utf-8")
LINK = re.compile(r"\[[^\]]+\]\(\.\./(tests/[\w/]+\.py)#(test_\w+)\)")
NONE = "no counterpart"
CODE = re.compile(r"`([^`]+)`")
CALL = re.compile(r"\b([A-Z]\w+)\(([^()]*)\)")
KEYWORD = re.compile(r"\b(\w+)=")


def rows():
    """The rows of every table: heading above, the peer's words, what to write here, what shows it."""
    heading = ""
    for line in TEXT.splitlines():
        if line.startswith("## "):
            heading = line.lstrip("# ")
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if line.startswith("|") and not set(cells[0]) <= set("-: ") and cells[-1] != "shown by":
            yield pytest.param(heading, cells, id=f"{heading.split()[0]}: {cells[0][:50]}")


ROWS = list(rows())


def names_in(path):
    """Names of the tests of a file, those that it takes from another included."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return found | {
        name.asname or name.name for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names
    }


@pytest.mark.parametrize(("heading", "cells"), ROWS)
def test_a_row_has_a_test_that_exists_or_says_that_there_is_nothing(heading, cells):
    assert len(cells) == 3, "a row has three cells"
    if cells[1].startswith(NONE):
        assert not LINK.search(cells[2])
        return
    linked = LINK.findall(cells[2])
    assert linked, "no test is linked"
    for path, name in linked:
        assert (ROOT / path).is_file(), path
        assert name in names_in(path), f"{path} has no {name}"


@pytest.mark.parametrize(("heading", "cells"), ROWS)
def test_what_a_row_names_is_spoken_of_in_its_tests(heading, cells):
    told = "\n".join((ROOT / path).read_text(encoding="utf-8") for path, _ in LINK.findall(cells[2]))
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


def test_links_stand_nowhere_else_and_point_into_the_repository():
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert target.startswith("http") or (PAGE.parent / target).exists(), target
