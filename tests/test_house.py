"""The house plan holds: sizes of rooms, one import package, every public name there, a light import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pyrlm

ROOT = Path(__file__).parent.parent
LINKS = (ROOT / "pyrlm" / "routers", ROOT / "pyrlm" / "retrievers")
SOURCES = sorted(
    path
    for folder in ("pyrlm", "routers", "retrievers")
    for path in (ROOT / folder).rglob("*.py")
    if not any(path.is_relative_to(link) for link in LINKS)
)
HEAVY = [
    "openai",
    "pydantic",
    "numpy",
    "tantivy",
    "tiktoken",
    "rich",
    "elasticsearch",
    "diskcache",
    "aiohttp",
    "asyncio",
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_are_small(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 300, "a module past 300 lines holds two things"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno + 1 <= 50, f"{node.name} is past 50 lines"


def test_every_public_name_can_be_had_and_is_documented():
    assert pyrlm.__all__ == sorted(pyrlm.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    for name in pyrlm.__all__:
        assert getattr(pyrlm, name).__doc__, name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = pyrlm.no_such_name


def test_importing_pyrlm_loads_nothing_heavy():
    code = f"import sys, pyrlm; print([m for m in {HEAVY!r} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_public_face_loads_no_model_library():
    code = (
        "import sys\n"
        "from pyrlm import RLM, Context, Policy, SmartRouter, RouterConfig, ExecutionProfile, DiskCache, Trace\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules and m != 'asyncio'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_top_level_folders_are_one_package():
    import pyrlm.retrievers
    import pyrlm.routers

    assert "routers" not in sys.modules
    assert "retrievers" not in sys.modules
    assert pyrlm.routers.__name__ == "pyrlm.routers"
