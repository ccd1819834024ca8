"""The file of a trace: an earlier trace is replaced, anything else is left alone."""

from __future__ import annotations

import json

import pytest

from pyrlm import RLM, SmartRouter
from pyrlm.adapters import FakeAdapter
from pyrlm.errors import ConfigurationError


def run(path, output="x"):
    return RLM(FakeAdapter([f"FINAL: {output}"]), trace_path=path).run("q", "t")


@pytest.mark.parametrize("text", ["The warranty lasts two years.", '{"warranty": "two years"}', "[1, 2]", "\0"])
def test_a_document_is_not_overwritten_by_a_trace(text, tmp_path):
    path = tmp_path / "c.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"c\.txt' exists and is no trace: it would be overwritten"):
        run(path)
    with pytest.raises(ConfigurationError, match="is no trace"):
        SmartRouter(FakeAdapter(["x"]), trace_path=path).run("q", "t")
    assert path.read_text(encoding="utf-8") == text


def test_an_earlier_trace_and_an_empty_file_are_replaced(tmp_path):
    path = tmp_path / "trace.jsonl"
    path.touch()
    for output in ("one", "two"):
        run(path, output)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert sum(line["kind"] == "run_started" for line in lines) == 1
    router = SmartRouter(FakeAdapter(["x"] * 4), trace_path=path)
    for _ in range(2):
        assert len(list(router.run_many(["q"], "t"))) == 1
    assert path.read_text(encoding="utf-8").startswith('{"run": ')


def test_a_device_takes_a_trace():
    assert run("/dev/null").output == "x"
