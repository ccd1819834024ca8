"""Files of MCP servers as the other clients write them: read, and what one bad entry does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import mcp_servers
import pytest

from pyrlm import RLM
from pyrlm.adapters import FakeAdapter
from pyrlm.errors import ConfigurationError
from pyrlm.mcp_config import Server, read_servers

ENTRY = {"command": "server", "args": ["-y"]}


@pytest.fixture
def read(tmp_path):
    """Write a file and read it."""

    def written(document, name="mcp.json", encoding="utf-8"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document), encoding=encoding)
        return {server.name: server for server in read_servers(path)}

    return written


@pytest.mark.parametrize(
    "document",
    [
        {"mcpServers": {"a": ENTRY}},
        {"servers": {"a": {"type": "stdio", **ENTRY}}, "inputs": []},
        {"editor.fontSize": 12, "mcp": {"inputs": [], "servers": {"a": ENTRY}}},
        {"theme": "dark", "mcp": {"excluded": ["b"]}, "mcpServers": {"a": ENTRY, "b": ENTRY}},
        {"mcp": {"allowed": ["a"]}, "mcpServers": {"a": ENTRY, "b": ENTRY}},
        {"a": ENTRY},
        {"mcpServers": {"a": ENTRY, "b": {**ENTRY, "disabled": True}, "c": {**ENTRY, "enabled": False}}},
        {"mcpServers": {"a": {**ENTRY, "disabled": False, "enabled": True, "autoApprove": [], "trust": True}}},
        {"mcpServers": {"a": {**ENTRY, "env": None, "url": None, "headers": None, "type": None, "cwd": ""}}},
    ],
)
def test_the_shapes_of_other_clients(read, document):
    assert read(document) == {"a": Server(name="a", command="server", args=("-y",))}


def test_a_mark_of_byte_order_comments_and_commas_at_the_end(read):
    text = """\
{
  // of VS Code
  "servers": {
    "a": {"command": "server", "args": ["http://x/*y*/", "a,]\\"//", /* two */ "-y",],}, // last
  },
}"""
    assert read(text)["a"].args == ("http://x/*y*/", 'a,]"//', "-y")
    assert read({"mcpServers": {"a": ENTRY}}, encoding="utf-8-sig")["a"].command == "server"


@pytest.mark.parametrize(
    ("entry", "url", "sse"),
    [
        ({"url": "http://x/mcp"}, "http://x/mcp", False),
        ({"url": "http://x/sse"}, "http://x/sse", True),
        ({"url": "http://x/events", "type": "sse"}, "http://x/events", True),
        ({"url": "http://x/sse", "type": "http"}, "http://x/sse", False),
        ({"url": "http://x/mcp", "transport": "streamable-http"}, "http://x/mcp", False),
        ({"url": "http://x/mcp", "type": "remote"}, "http://x/mcp", False),
        ({"serverUrl": "http://x/mcp"}, "http://x/mcp", False),
        ({"httpUrl": "http://x/sse"}, "http://x/sse", False),
        ({"httpUrl": "http://x/mcp", "url": "http://x/sse"}, "http://x/mcp", False),
    ],
)
def test_addresses_and_transports(read, entry, url, sse):
    server = read({"mcpServers": {"a": {**entry, "args": None}}})["a"]
    assert (server.url, server.sse, server.problem) == (url, sse, "")


def test_time_limits_in_seconds_and_in_milliseconds(read):
    servers = read({"mcpServers": {str(n): {**ENTRY, "timeout": n} for n in (60, 3_600, 30_000)}})
    assert [server.timeout for server in servers.values()] == [60, 3_600, 30]


def test_variables_and_files_of_them(read, tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_ITEM", "bolt")
    monkeypatch.setenv("SHOP_TOKEN", "token-of-the-file")
    monkeypatch.delenv("NOT_SET", raising=False)
    (tmp_path / ".env").write_text('# keys\nexport A="one two"\nB=2=3\n\nC=file\n')
    entry = {
        "command": "${userHome}${/}server",
        "args": [
            "${workspaceFolder}/x",
            "${SHOP_ITEM}",
            "${NOT_SET:-none}",
            "${env:SHOP_ITEM}",
            "$SHOP_ITEM",
            "${x%%y}",
        ],
        "env": {"T": "Bearer $SHOP_TOKEN", "U": "$NOT_SET", "PORT": 8080, "DEBUG": True, "GONE": None, "C": "entry"},
        "envFile": "${workspaceFolder}/.env",
    }
    server = read({"servers": {"a": entry}}, ".vscode/mcp.json")["a"]
    assert server.problem == ""
    assert server.command == str(Path.home()) + os.sep + "server"
    assert server.args == (f"{tmp_path}/x", "bolt", "none", "bolt", "$SHOP_ITEM", "${x%%y}")
    told = {"T": "Bearer token-of-the-file", "U": "$NOT_SET", "PORT": "8080", "DEBUG": "true", "C": "entry"}
    assert server.env == {"A": "one two", "B": "2=3", **told}


BAD = [
    ({"command": "x", "args": "y"}, "args: expected a list of strings, got str"),
    ({"command": "x", "args": ["${NOT_SET_ANYWHERE}"]}, "names ${NOT_SET_ANYWHERE}, which is not set here"),
    ({"command": "x", "env": {"K": "${input:key}"}}, "asks for ${input:key}"),
    ({"command": "x", "envFile": "/no/such/.env"}, "envFile='/no/such/.env', which can't be read"),
    ({"command": "x", "env": ["K=1"]}, "env: expected an object of strings"),
    ({"command": "x", "disabled": "yes"}, "disabled='yes': expected true or false"),
    ({"url": "ws://x", "type": "websocket"}, "type='websocket'"),
    ({"type": "http"}, "either 'command' or 'url'"),
    ("x", "an object with 'command' or 'url'"),
    ({"command": "x", "timeout": "soon"}, "timeout='soon'"),
]


@pytest.mark.parametrize(("entry", "told"), BAD)
def test_a_bad_entry_is_a_server_that_cannot_be_started(read, entry, told):
    servers = read({"mcpServers": {"good": ENTRY, "bad": entry}})
    assert servers["good"].problem == ""
    assert told in servers["bad"].problem
    assert servers["bad"].problem.startswith("mcp_servers: 'bad'")
    if isinstance(entry, dict):
        with pytest.raises(ConfigurationError, match="'bad'"):
            read({"mcpServers": {"bad": {**entry, "required": True}}})


def test_a_bad_entry_is_reported_and_the_run_goes_on(tmp_path):
    shop = {"command": sys.executable, "args": [mcp_servers.__file__, "stdio"]}
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"shop": shop, "b\nad": {"command": "x", "args": ["${NOT_SET_HERE}"]}}}))
    code = "try:\n    mcp_list_tools('b ad')\nexcept Exception as e:\n    print(e)\nprint(len(mcp_list_tools()))"
    adapter = FakeAdapter([f"```python\n{code}\n```", "FINAL: done"])
    result = RLM(adapter, mcp_servers=path).run("What?", "text")
    told = adapter.calls[1].messages[-1]["content"]
    assert "MCP server 'b ad' failed to start: its entry in the file can't be used\n7\n" in told
    assert "NOT_SET_HERE" not in told
    errors = [step.error for step in result.trace.of_kind("mcp_server") if step.error]
    assert len(errors) == 1
    assert "names ${NOT_SET_HERE}, which is not set here" in errors[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no JSON"),
        ("[]", "has no object 'mcpServers'"),
        ("{}", "has no object 'mcpServers'"),
        ('{"mcpServers": []}', "has no object 'mcpServers'"),
        ('{"theme": "dark"}', "'servers', as VS Code calls it"),
        ("\udcff", "is no text in UTF-8"),
    ],
)
def test_a_file_without_servers_says_so(tmp_path, text, told):
    path = tmp_path / "mcp.json"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ConfigurationError, match=told):
        read_servers(path)


def test_the_older_transport_with_a_real_server():
    process = subprocess.Popen([sys.executable, mcp_servers.__file__, "sse"], stdout=subprocess.PIPE, text=True)
    try:
        web = {"url": f"http://127.0.0.1:{int(process.stdout.readline())}/sse"}
        code = "found = (mcp_call('web', 'stock', {'item': 'bolt'}), mcp_read_resource('web', 'shop://terms'))"
        adapter = FakeAdapter([f"```python\n{code}\n```", "FINAL_VAR: found"])
        result = RLM(adapter, mcp_servers={"web": web}).run("What?", "text")
    finally:
        process.terminate()
        process.wait(10)
    assert result.value == ({"item": "bolt", "pieces": 7}, "Returns within 30 days.")
