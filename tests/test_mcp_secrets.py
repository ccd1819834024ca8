"""What an application hands to an MCP server reaches neither model nor REPL nor trace through errors of the server."""

from __future__ import annotations

import json
import subprocess
import sys

import mcp_servers
import pytest

from pyrlm import RLM
from pyrlm.adapters import FakeAdapter
from pyrlm.errors import ConfigurationError, MCPError
from pyrlm.mcp_config import read_servers
from pyrlm.mcp_failures import Tail
from pyrlm.redact import register_secret

DUMP = "import os,sys;sys.stderr.write(str(dict(os.environ))+str(sys.argv));sys.exit(1)"
ENV = {
    "DATABASE_URL": "postgres://u:pwSECRET12345@h/db",
    "GITHUB_PAT": "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "PGPASS": "swordfish77",
    "MODE": "production",
}
SECRETS = ["pwSECRET12345", ENV["GITHUB_PAT"], "swordfish77", "X-argument-99"]


def python(code):
    return f"```python\n{code}\n```"


def server(**more):
    return {"command": sys.executable, "args": ["-c", DUMP, "--api-key", "X-argument-99"], "env": ENV, **more}


@pytest.mark.parametrize("backend", ["exec", "monty"])
def test_a_server_that_dies_with_its_environment_tells_nothing_of_it(tmp_path, backend):
    path = tmp_path / "trace.jsonl"
    code = "try:\n    mcp_list_tools('w')\nexcept Exception as e:\n    print(e, repr(e))\n    found = str(e)"
    adapter = FakeAdapter([python(code), python("print(found)"), "FINAL_VAR: found"])
    result = RLM(adapter, mcp_servers={"w": server()}, trace_path=path, repl_backend=backend).run("What?", "text")
    seen = "".join(str(message) for call in adapter.calls for message in call.messages)
    trace = path.read_text()
    for secret in SECRETS:
        assert secret not in seen + trace + result.output
    assert result.output.endswith("MCP server 'w' failed to start: it closed the connection")
    assert "w failed to start: it closed the connection" in seen
    assert "DATABASE_URL" not in seen
    for shown in ("it wrote", "DATABASE_URL", "[secret]", "production"):  # what the application needs to know
        assert shown in trace


def test_the_error_of_a_server_that_is_needed_has_what_it_wrote():
    rlm = RLM(FakeAdapter([python("print(1)")]), mcp_servers={"w": server(required=True)})
    with pytest.raises(MCPError, match=r"'w' failed to start: .*; it wrote: .*DATABASE_URL") as caught:
        rlm.run("What?", "text")
    assert not any(secret in str(caught.value) for secret in SECRETS)


FAILING = """\
import os, traceback
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("failing")

@server.tool()
def query() -> str:
    try:
        raise OSError("refused by " + os.environ["DATABASE_URL"])
    except OSError:
        raise ToolError(traceback.format_exc() + repr(dict(os.environ)))

server.run("stdio")
"""


def test_an_error_of_a_tool_tells_the_reason_without_the_key():
    failing = {"command": sys.executable, "args": ["-c", FAILING], "env": ENV}
    code = """\
try:
    mcp_call('w', 'query')
except Exception as e:
    print(e)
print(tool_batch('mcp_call', [('w', 'query')])[0])"""
    adapter = FakeAdapter([python(code), "FINAL: done"])
    result = RLM(adapter, mcp_servers={"w": failing}).run("What?", "text")
    told = adapter.calls[1].messages[-1]["content"]
    assert told.count("OSError: refused by [secret]") == 2
    assert "'MODE': 'production'" in told
    trace = json.dumps([(step.error, step.stdout, step.data) for step in result.trace.steps], default=str)
    assert not any(secret in told + trace for secret in SECRETS)


@pytest.mark.parametrize(
    "entry",
    [
        {"command": "x", "args": "--api-key=sk-wrong-place-1"},
        {"command": "x", "api_key": "sk-wrong-place-1"},
        {"command": "x", "env": "KEY=sk-wrong-place-1"},
        {"url": "sk-wrong-place-1"},
        {"url": ["sk-wrong-place-1"]},
        ["sk-wrong-place-1"],
    ],
)
def test_an_option_that_cannot_be_used_is_named_without_what_it_holds(entry):
    with pytest.raises(ConfigurationError) as caught:
        read_servers({"a": entry})
    assert "'a'" in str(caught.value)
    assert "wrong-place" not in str(caught.value)


LOGGING = """\
import logging, sys
from pyrlm import RLM
from pyrlm.adapters import FakeAdapter

logging.basicConfig(level=logging.INFO)
noisy = "import os, sys, time; print(os.environ['K'], flush=True); time.sleep(60)"
servers = {
    "noisy": {"command": sys.executable, "args": ["-c", noisy], "env": {"K": "sk-of-the-server-1"}, "connect_timeout": 3},
    "web": {"url": sys.argv[1] + "/mcp?api_key=sk-of-the-address-1"},
}
code = "```python\\ntry:\\n    mcp_list_tools('noisy')\\nexcept Exception as e:\\n    print(e)\\nprint(len(mcp_list_tools()))\\n```"
print(RLM(FakeAdapter([code, "FINAL: done"]), mcp_servers=servers).run("What?", "text").output)
"""


def test_the_logs_of_the_sdk_hold_no_secret():
    web = subprocess.Popen([sys.executable, mcp_servers.__file__, "http"], stdout=subprocess.PIPE, text=True)
    try:
        url = f"http://127.0.0.1:{int(web.stdout.readline())}"
        ran = subprocess.run([sys.executable, "-c", LOGGING, url], capture_output=True, text=True, check=True)
    finally:
        web.terminate()
        web.wait(10)
    assert ran.stdout == "done\n"
    assert "?api_key=[secret]" in ran.stderr
    assert "Failed to parse JSONRPC message" in ran.stderr
    assert "ValidationError" in ran.stderr
    assert "sk-of-the" not in ran.stderr


@pytest.mark.parametrize("between", ["\n", " "])
def test_no_half_of_a_secret_is_left_where_the_output_was_cut(between):
    secret = "half-of-a-secret-" + "0123456789" * 30
    long = "Z9" * 975
    register_secret(secret)
    register_secret(long)  # blanked, it makes room for what was far from the end
    for after in range(150, 480, 7):
        tail = Tail()
        for piece in ("x" * 50, between, secret, between, *(10 * [long, between]), "y" * after, between, "the end"):
            tail.data_received(piece.encode())
        assert "0123456789" not in tail.text
        assert tail.text.endswith("the end")


WRAPPING = """\
from mcp.server.mcpserver import MCPServer
from pydantic import BaseModel

server = MCPServer("wrapping")

class SearchOutput(BaseModel):
    result: str

@server.tool()
def text() -> str:
    return "hi"

@server.tool()
def json_text() -> str:
    return '{"result": "hi"}'

@server.tool(name="numbers")
def of_another_name() -> list[int]:
    return [1, 2]

@server.tool()
def nothing() -> None:
    return None

@server.tool()
def either(empty: bool) -> SearchOutput | None:
    return None if empty else SearchOutput(result="x")

@server.tool()
def own() -> SearchOutput:
    return SearchOutput(result="kept")

@server.tool()
def table() -> dict[str, int]:
    return {"result": 1}

server.run("stdio")
"""


@pytest.mark.parametrize("backend", ["exec", "monty"])
def test_results_that_the_sdk_wraps_are_unwrapped_and_others_kept(backend):
    code = """\
names = ['text', 'json_text', 'numbers', 'nothing', 'own', 'table']
found = [mcp_call('w', name) for name in names]
found += [mcp_call('w', 'either', {'empty': empty}) for empty in (True, False)]
found += [mcp_tool_schema('w', name)['output_schema'].get('type') for name in ('text', 'numbers', 'table')]"""
    adapter = FakeAdapter([python(code), "FINAL_VAR: found"])
    servers = {"w": {"command": sys.executable, "args": ["-c", WRAPPING]}}
    result = RLM(adapter, mcp_servers=servers, repl_backend=backend).run("What?", "text")
    values = ["hi", '{"result": "hi"}', [1, 2], None, {"result": "kept"}, {"result": 1}, None, {"result": "x"}]
    assert result.value == [*values, "string", "array", "object"]


MARKED = """\
import asyncio

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import CallToolResult, ListToolsResult, TextContent, Tool

SCHEMA = {"type": "object", "properties": {"result": {"type": "string"}}, "required": ["result"]}
MARK = {"x-fastmcp-wrap-result": True}

async def tools(_, params):
    schemas = {"marked": {**SCHEMA, **MARK}, "plain": SCHEMA, "unlisted": None}
    return ListToolsResult(tools=[Tool(name=n, input_schema={"type": "object"}, output_schema=s) for n, s in schemas.items()])

async def call(_, params):
    meta = {"fastmcp": {"wrap_result": True}} if params.name == "unlisted" else None
    text = TextContent(type="text", text="a summary")
    return CallToolResult(content=[text], structured_content={"result": "hi"}, _meta=meta)

async def main():
    server = Server("marked", on_list_tools=tools, on_call_tool=call)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())

asyncio.run(main())
"""


def test_the_marks_of_fastmcp_are_read_and_a_schema_without_them_is_the_tools_own():
    code = "found = [mcp_call('w', name) for name in ('marked', 'plain', 'unlisted')]"
    adapter = FakeAdapter([python(code), "FINAL_VAR: found"])
    servers = {"w": {"command": sys.executable, "args": ["-c", MARKED]}}
    result = RLM(adapter, mcp_servers=servers).run("What?", "text")
    assert result.value == ["hi", {"result": "hi"}, "hi"]
