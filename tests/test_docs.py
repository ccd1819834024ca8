"""Every Python block of README and docs runs, and prints what the text block after it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from openai_server import LoopbackServer

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(
        found[1], found[2], id=f"{page.name}:{page.read_text(encoding='utf-8').count(chr(10), 0, found.start()) + 1}"
    )
    for page in PAGES
    for found in BLOCK.finditer(page.read_text(encoding="utf-8"))
]


def answer(body):
    return "The supplier.\n<quotes>\n<quote>Late deliveries cost the supplier 2 % a week.</quote>\n</quotes>"


def run_block(code, folder):
    with LoopbackServer(answer) as server:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder),
            "LLM_BASE_URL": server.url,
            "LLM_API_KEY": "test-key",
        }
        return subprocess.run(
            [sys.executable, "-W", "error::DeprecationWarning", "-c", code],
            capture_output=True,
            text=True,
            cwd=folder,
            env=environment,
            timeout=120,
            check=False,
        )


@pytest.mark.parametrize(("code", "printed"), BLOCKS)
def test_a_block_runs_and_prints_what_the_page_says(code, printed, tmp_path):
    ran = run_block(code, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == (printed or ""), "the page shows other output"


def test_there_are_blocks():
    assert len(BLOCKS) >= 7


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_of_python_is_left_out(page):
    text = page.read_text(encoding="utf-8")
    fences = re.findall(r"^[ \t>]*(?:`{3,}|~{3,})[ \t]*(?:py|ipython|>>>)", text, re.MULTILINE | re.IGNORECASE)
    assert len(fences) == len(BLOCK.findall(text)), "a fence is indented, open, or has another tag"
