"""What is installed works by itself: no network, no other program, nothing left in the working folder."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from pyrlm import RLM
from pyrlm.adapters import FakeAdapter

ROOT = Path(__file__).parent.parent
GUARD = """
import os, sys

def refuse(event, args):
    if event in {"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}:
        sys.stderr.write(f"network: {event} {args}\\n")
        os._exit(9)

sys.addaudithook(refuse)
"""
PROGRAM = """
import json, threading

threads, out = threading.active_count(), sys.stdout
import pyrlm
from pyrlm import RLM, SmartRouter
from pyrlm.adapters import ExtractiveAdapter, FakeAdapter

code = "```python\\nfound = ctx.find('24')\\nprint(found)\\n```"
rlm = RLM(FakeAdapter([code, "FINAL: 24 months"]), repl_backend=sys.argv[1])
result = rlm.run("How long?", "The warranty lasts 24 months.")
routed = SmartRouter(ExtractiveAdapter(), repl_backend=sys.argv[1]).run(
    "How long does the warranty last?", "Nothing here.\\n" * 9000 + "The warranty lasts 24 months.\\n"
)
assert sys.stdout is out
print(json.dumps([pyrlm.__file__, result.output, result.steps, result.trace.of_kind("repl_exec")[0].stdout, routed.output]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel, unpacked as an installer does."""
    base = tmp_path_factory.mktemp("wheel")
    links = {ROOT / "pyrlm" / "routers", ROOT / "pyrlm" / "retrievers"}
    packaged = [
        path
        for top in ("pyrlm", "routers", "retrievers")
        for path in (ROOT / top).rglob("*")
        if (path.suffix == ".py" or path.name == "py.typed") and not links & set(path.parents)
    ]
    for path in [*packaged, ROOT / "pyproject.toml", ROOT / "README.md", ROOT / "LICENSE"]:
        target = base / "source" / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(base)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=base / "source", check=True, capture_output=True)
    wheel = next(base.glob("*.whl"))
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(base / "site")
    return base / "site", wheel


@pytest.mark.parametrize("backend", ["exec", "monty"])
def test_the_first_run_needs_no_network_and_no_other_program(backend, installed, tmp_path):
    site, _ = installed
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    ran = subprocess.run(
        [sys.executable, "-P", "-c", GUARD + PROGRAM, backend],
        cwd=work,
        env={"PYTHONPATH": str(site), "HOME": str(home), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    where, output, steps, printed, routed = json.loads(ran.stdout)
    assert Path(where).is_relative_to(site), "the checkout was run, not what is installed"
    assert (output, steps) == ("24 months", 2)
    assert "'24'" in printed
    assert "24 months" in routed
    assert list(work.iterdir()) == []
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_the_guard_of_these_tests_sees_the_network():
    for reach in ("socket.create_connection(('127.0.0.1', 9))", "socket.getaddrinfo('pypi.org', 443)"):
        ran = subprocess.run(
            [sys.executable, "-c", f"{GUARD}\nimport socket\n{reach}"], capture_output=True, check=False
        )
        assert ran.returncode == 9


def test_the_wheel_is_small_and_holds_code_and_types(installed):
    site, wheel = installed
    assert wheel.stat().st_size < 2_000_000
    assert len(list((site / "pyrlm").rglob("*.py"))) > 150
    assert (site / "pyrlm" / "py.typed").exists()
    scripts = next(site.glob("*.dist-info/entry_points.txt")).read_text()
    assert "pyrlm = pyrlm.cli:main" in scripts


@pytest.mark.parametrize("backend", ["exec", "monty"])
def test_a_run_waits_for_nothing_but_what_it_asked(backend, monkeypatch):
    slept, sleep, asleep = [], time.sleep, asyncio.sleep

    def waited(seconds):
        sleep(seconds)
        slept.append(seconds)

    async def awaited(seconds, result=None):
        value = await asleep(seconds, result)
        slept.append(seconds)  # of one that was cancelled nothing is kept
        return value

    monkeypatch.setattr(time, "sleep", waited)
    monkeypatch.setattr(asyncio, "sleep", awaited)
    for _ in range(3):
        adapter = FakeAdapter(
            ["```python\nprint(llm_query('q'))\n```", "FINAL: x"], rules=[("You are a sub-LLM", "yes")]
        )
        assert RLM(adapter, repl_backend=backend).run("q", "some text").output == "x"
    assert max(slept, default=0) < 0.1, "a run has begun or ended with a pause of a fixed length"
