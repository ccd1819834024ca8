"""Which server gets the text of a query: the one that the index was made with, and no other without a word."""

from __future__ import annotations

import json

import pytest
from cli_process import pyrlm
from es_server import index, server  # noqa: F401 - fixtures
from test_retrieval_embeddings import Server

from pyrlm.cli.sources import embedder_of_index
from pyrlm.errors import ConfigurationError

KEY = "sk-real-key-0123456789"


@pytest.fixture
def local():
    made = Server()
    yield made
    made.close()


@pytest.fixture
def elsewhere():
    made = Server()
    yield made
    made.close()


@pytest.fixture
def home(tmp_path):
    for name in ("many", "more"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "depot.txt").write_text(f"The depot has {name} doors.")
    return tmp_path


def made(home, local, name="openai:little", **more):
    done = pyrlm(home, "index", "many", "--to", "v.idx", "--embed", f"{name}@{local.url}", **more)
    assert done.returncode == 0, done.stderr
    local.requests.clear()


def edit(home, name):
    path = home / "v.idx" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["embedder"] = name
    path.write_text(json.dumps(manifest))


def inputs(server):  # noqa: F811
    return [text for request in server.requests for text in request["input"] if text != "dimensions"]


def test_the_server_that_made_an_index_is_asked_again(home, local, elsewhere):
    away = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": elsewhere.url}
    made(home, local, OPENAI_API_KEY="none-needed")
    found = pyrlm(home, "search", "secret depot", "--in", "v.idx", "--json", **away)
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout)["method"] == "hybrid"
    assert inputs(local) == ["secret depot"]
    more = pyrlm(home, "index", "more", "--to", "v.idx", **away)
    assert (more.returncode, elsewhere.requests) == (0, [])
    assert any("has more doors" in text for text in inputs(local))


@pytest.mark.parametrize("name", ["openai:little", "openai:little@http://embedder.example.org/v1"])
def test_where_a_server_is_not_known_or_not_near_it_has_to_be_named(home, local, elsewhere, name):
    made(home, local, OPENAI_API_KEY="none-needed")
    edit(home, name)
    away = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": elsewhere.url}
    found = pyrlm(home, "search", "secret depot", "--in", "v.idx", "--json", **away)
    assert found.returncode == 0
    assert "searching by words alone" in found.stderr
    assert "--embed openai:little@" in found.stderr
    more = pyrlm(home, "index", "more", "--to", "v.idx", **away)
    assert more.returncode == 2
    assert "--embed openai:little@" in " ".join(more.stderr.replace("│", " ").split())
    assert (local.requests, elsewhere.requests) == ([], [])
    named = pyrlm(home, "search", "depot", "--in", "v.idx", "--embed", f"openai:little@{local.url}", "--json", **away)
    assert json.loads(named.stdout)["method"] == "hybrid"
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("openai:text-embedding-3-small", True),
        ("openai:text-embedding-3-small@https://corp.example.org/v1/", True),
        ("openai:text-embedding-3-small@https://corp.example.org/v2", False),
        ("openai:little@http://localhost:11434/v1", True),
        ("openai:little@http://[::1]:11434/v1", True),
        ("openai:little@http://localhost.example.org/v1", False),
        ("openai:little@https://user@corp.example.org/v1", False),
        ("openai:little", False),
        ("openai", False),
    ],
)
def test_servers_that_are_asked_on_the_word_of_an_index(name, asked, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://corp.example.org/v1")
    if asked:
        assert embedder_of_index(name).dimensions if "small" in name else embedder_of_index(name)
        return
    with pytest.raises(ConfigurationError, match="to send texts and key there, name it: --embed openai"):
        embedder_of_index(name)


@pytest.mark.xdist_group("es")
def test_an_index_on_a_cluster_tells_its_embedder_too(home, local, elsewhere, server, index):  # noqa: F811
    keys = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": elsewhere.url}
    target = f"es://{server.removeprefix('http://')}/{index}"
    done = pyrlm(home, "index", "many", "--to", target, "--embed", f"openai:little@{local.url}", **keys)
    assert done.returncode == 0, done.stderr
    local.requests.clear()
    found = pyrlm(home, "search", "secret depot", "--es", target, "--json", **keys)
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout)["method"] == "hybrid"
    assert inputs(local) == ["secret depot"]
    pyrlm(home, "ask", "How many doors has it?", "--es", target, "--model", "extractive:", "--json", **keys)
    assert "How many doors has it?" in inputs(local)
    assert elsewhere.requests == []
    missing = pyrlm(home, "search", "depot", "--es", f"{target}-missing", **keys)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "missing" in missing.stderr
