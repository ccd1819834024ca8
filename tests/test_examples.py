"""The examples run: offline, against a loopback server and against llama.cpp's own server; together they use every name."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from llama_server import llama  # noqa: F401 - a fixture
from openai_server import LoopbackServer

import pyrlm
import pyrlm.adapters
import pyrlm.routers

FOLDER = Path(__file__).parent.parent / "examples"
OFFLINE = {
    "minimal": ["four weeks", "line 3", "baseline"],
    "rlm_vs_baseline": ["2,000,000", "characters", "tokens (logarithmic)", "no call was possible"],
    "smart_router_demo": ["[literal]", "Route rlm", "heapq.py:", "unanswered", "verified: True", "p50/p95"],
    "deterministic_extraction": ["1000 values, 0 tokens", "1,516,000.00", "invoice-0000.txt:3", "returned damaged"],
    "cheap_submodel_pipeline": ["second run", "from the cache: 10", "subcall     10 calls", "BudgetLeft(steps=2"],
    "chat_stream": ["Books may be kept for four weeks", "[answered by baseline, 1 citations", "closed on Mondays"],
    "many_questions": ["1. How many weeks", "4. What does a lost card cost?", "5 runs: ", "extractive"],
    "own_model": ["complete: True, acomplete: True", "polite-extractive", "scripted: In the blue tin.", "ollama"],
}
EXAMPLES = sorted(OFFLINE)
FAST = ["--max-seconds", "3"]
SERVED = {
    "minimal": ["--question", "How long?"],
    "rlm_vs_baseline": ["--sizes", "1000", "9000", "--max-steps", "2", *FAST],
    "smart_router_demo": ["--question", "What is LICENSE for?", str(FOLDER.parent / "LICENSE"), *FAST],
    "deterministic_extraction": ["--question", "Who?", "--pattern", "a (\\w+)", str(FOLDER.parent / "LICENSE")],
    "cheap_submodel_pipeline": ["--reviews", "20", "--max-steps", "2", *FAST],
    "chat_stream": ["--question", "How long?"],
    "many_questions": FAST,
    "own_model": [],
}


def run(name, *arguments, **more):
    kept = {key: value for key, value in os.environ.items() if not key.endswith(("_API_KEY", "_BASE_URL"))}
    ran = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), *arguments], env=kept | {"COLUMNS": "120"} | more,
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_offline(name):
    output = run(name)
    for words in OFFLINE[name]:
        assert words in output


def test_the_loop_finds_every_needle_and_the_direct_call_ends_at_the_window():
    lines = [line.split() for line in run("rlm_vs_baseline").splitlines() if " │ " in line]
    found = {(size.replace(",", ""), way): hit for _, size, _, way, _, hit, *_ in lines}
    assert {hit for (_, way), hit in found.items() if way == "rlm"} == {"yes"}
    assert found["2000", "baseline"] == "yes"
    assert found["128000", "baseline"] == found["2000000", "baseline"] == "no"


def test_both_backends_give_the_same_answer():
    assert "same answer on both: True" in run("two_backends", "--megabytes", "2")


def test_a_fallback_answers_where_the_first_model_is_out():
    output = run("fallback")
    assert "behind the blue door" in output
    assert "fake is out, asking extractive" in output


def test_the_plot_can_be_kept_as_a_picture(tmp_path):
    run("rlm_vs_baseline", "--sizes", "2000", "--svg", str(tmp_path / "needle.svg"))
    assert (tmp_path / "needle.svg").read_text().startswith("<svg")


def test_the_json_api_of_the_example_is_a_real_one():
    answer = "The tea is stored in the blue tin."
    with LoopbackServer(lambda body: {"reply": answer, "used": {"input_tokens": 9, "output_tokens": 8}}) as server:
        output = run("own_model", "--json-api", server.origin)
    assert f"in-house: {answer}" in output
    assert server.requests[0].path == "/generate"
    assert set(server.bodies[0]) == {"prompt", "limit", "temperature"}


def test_azure_is_asked_where_its_key_is_set():
    with LoopbackServer(["In the blue tin."]) as server:
        output = run("own_model", AZURE_OPENAI_API_KEY="k", OPENAI_ENDPOINT=server.origin)
    assert "azure: In the blue tin." in output
    assert server.requests[0].path.startswith("/openai/deployments/my-deployment/")


@pytest.mark.parametrize("name", EXAMPLES)
def test_against_a_server(name):
    with LoopbackServer(lambda body: "FINAL: NO_ANSWER") as server:
        run(name, "--model", "openai-compatible:m", *SERVED[name], LLM_BASE_URL=server.url, LLM_API_KEY="k")
    assert server.bodies


@pytest.mark.xdist_group("llama")
@pytest.mark.parametrize("name", EXAMPLES)
def test_against_a_real_model_server(llama, name):  # noqa: F811 - a fixture
    model = f"openai-compatible:{llama.model}"
    assert run(name, "--model", model, *SERVED[name], LLM_BASE_URL=llama.url, LLM_API_KEY="none").strip()


@pytest.mark.parametrize("module", [pyrlm, pyrlm.adapters, pyrlm.routers], ids=lambda module: module.__name__)
def test_every_public_name_is_used_in_some_example(module):
    used = set()
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name):
                used.add(node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
    assert sorted(set(module.__all__) - used) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_says_what_it_shows_and_is_short(name):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    said = ast.get_docstring(ast.parse(text)) or ""
    assert f"python examples/{name}.py" in said
    assert "--model" in text
    assert text.count("\n") < 160
