"""MCP with real servers: one over standard input and output, one over streamable HTTP on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyrlm import RLM, SmartRouter
from pyrlm.adapters import FakeAdapter
from pyrlm.errors import ConfigurationError, MCPError
from pyrlm.mcp_config import read_servers

SCRIPT = str(Path(__file__).parent / "mcp_servers.py")
TEXT = "The warranty lasts 24 months.\n"


def python(code):
    return f"```python\n{code}\n```"


def stdio(kind="stdio", **more):
    return {"command": sys.executable, "args": [SCRIPT, kind], **more}


def deaf(*, stubborn=False, **more):
    """A server that never answers; a stubborn one does not go when it is asked to."""
    code = "import os, signal, sys, time\n"
    code += "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" if stubborn else ""
    code += "print('I hear nothing', os.environ.get('SHOP_KEY'), file=sys.stderr, flush=True)\ntime.sleep(600)"
    return {"command": sys.executable, "args": ["-c", code, SCRIPT], **more}


@pytest.fixture(scope="module")
def web():
    process = subprocess.Popen([sys.executable, SCRIPT, "http"], stdout=subprocess.PIPE, text=True)
    yield {"url": f"http://127.0.0.1:{int(process.stdout.readline())}/mcp"}
    process.terminate()
    process.wait(10)


def run(steps, servers, backend="exec", **options):
    adapter = FakeAdapter([*map(python, steps), "FINAL: done"])
    result = RLM(adapter, mcp_servers=servers, repl_backend=backend, **options).run("How many?", TEXT)
    return result, adapter


def value(code, servers, backend="exec", **options):
    """Run code that sets `found`, and return it as the host gets it."""
    adapter = FakeAdapter([python(code), "FINAL_VAR: found", "FINAL: failed"])
    result = RLM(adapter, mcp_servers=servers, repl_backend=backend, **options).run("What?", TEXT)
    assert result.output != "failed", [step.error for step in result.trace if step.error]
    return result.value


def children():
    """Processes of this one's that run the script of the servers."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if SCRIPT in command and "\0http" not in command and int(parent) == os.getpid():
            found.append(command)
    return found


EVERYTHING = """\
found = {
    "tools": sorted(tool["name"] for tool in mcp_list_tools("shop")),
    "schema": mcp_tool_schema("shop", "stock")["input_schema"]["required"],
    "data": mcp_call("shop", "stock", {"item": "bolt", "minimum": 9}),
    "text": mcp_call("shop", "greet", {"name": "Ada"}),
    "blocks": mcp_call("shop", "picture"),
    "resources": sorted(entry["uri"] for entry in mcp_list_resources("shop")),
    "templates": [entry["uri_template"] for entry in mcp_list_resource_templates("shop")],
    "terms": mcp_read_resource("shop", "shop://terms"),
    "logo": mcp_read_resource("shop", "shop://logo"),
    "item": mcp_read_resource("shop", "shop://items/bolt"),
    "batch": tool_batch("mcp_call", [("shop", "stock", {"item": "nut"}), ("shop", "broken")]),
}"""


def check_everything(found):
    assert found["tools"] == ["broken", "die", "environment", "greet", "picture", "slow", "stock"]
    assert found["schema"] == ["item"]
    assert found["data"] == {"item": "bolt", "pieces": 9}
    assert found["text"] == "Hello Ada\nBye"
    assert found["blocks"] == ["a dot", {"type": "image", "mime_type": "image/png", "data": b"\x00\x01\x02"}]
    assert found["resources"] == ["shop://logo", "shop://terms"]
    assert found["templates"] == ["shop://items/{item}"]
    assert found["terms"] == "Returns within 30 days."
    assert found["logo"] == b"\x00\x01\x02"
    assert found["item"] == "bolt: sold by the piece."
    assert found["batch"][0] == {"item": "nut", "pieces": 7}
    assert found["batch"][1].startswith("[tool failed: MCPError: shop.broken:")


@pytest.mark.parametrize(("backend", "kind"), [("exec", "stdio"), ("monty", "http")])
def test_everything_over_both_transports_on_both_backends(backend, kind, web):
    check_everything(value(EVERYTHING, {"shop": stdio() if kind == "stdio" else web}, backend))
    assert children() == []


def test_servers_side_by_side_and_what_the_prompt_and_trace_hold(web):
    steps = ["print(len(mcp_list_tools()), {t['server'] for t in mcp_list_tools()})", "print(1)"]
    result, adapter = run(steps, {"shop": stdio(), "web": web})
    assert "MCP servers: shop, web" in adapter.calls[0].text
    assert "How many pieces" not in adapter.calls[0].text
    told = adapter.calls[1].messages[-1]["content"]
    assert "14 {" in told
    assert "[MCP servers: shop: 7 tools, 2 resources, 1 resource templates; web: 7 tools" in told
    assert "[MCP servers" not in adapter.calls[2].messages[-1]["content"]
    assert sorted(step.data["server"] for step in result.trace.of_kind("mcp_server")) == ["shop", "web"]
    assert [step.data["tool"] for step in result.trace.of_kind("tool_call")] == ["mcp_list_tools"] * 2
    assert result.trace.of_kind("tool_call")[0].parent == result.trace.of_kind("root_call")[0].step_id


def test_a_server_that_does_not_start_is_told_and_the_run_goes_on():
    servers = {
        "gone": {"command": "/no/such/program"},
        "shop": stdio(),
        "deaf": deaf(connect_timeout=2, env={"SHOP_KEY": "shop-secret-43"}),
    }
    code = """\
for name in ("gone", "deaf"):
    try:
        mcp_call(name, "x")
    except Exception as error:
        print(error)
print(len(mcp_list_tools()))"""
    result, adapter = run([code], servers)
    assert result.output == "done"
    told = adapter.calls[1].messages[-1]["content"]
    assert "MCP server 'gone' failed to start: FileNotFoundError" in told
    assert "MCP server 'deaf' failed to start: no reply within 2 s\n" in told
    assert "I hear nothing" not in told
    assert "\n7\n" in told
    assert "shop: 7 tools" in told
    failures = [step.error for step in result.trace.of_kind("mcp_server") if step.error]
    assert sorted(failure.split()[0] for failure in failures) == ["deaf", "gone"]
    assert any(failure.endswith("no reply within 2 s; it wrote: I hear nothing [secret]") for failure in failures)
    assert children() == []


def test_a_server_that_is_required_ends_the_run():
    adapter = FakeAdapter([python("print(1)"), "FINAL: done"])
    rlm = RLM(adapter, mcp_servers={"gone": {"command": "/no/such/program", "required": True}})
    with pytest.raises(MCPError, match="'gone' failed to start") as caught:
        rlm.run("How many?", TEXT)
    assert caught.value.trace.of_kind("mcp_server")
    assert not caught.value.trace.of_kind("repl_exec")


def test_a_required_server_that_starts_is_waited_for():
    result, _ = run(["print(1)"], {"shop": stdio(required=True)})
    kinds = [step.kind for step in result.trace.steps]
    assert kinds.index("mcp_server") < kinds.index("repl_exec")


def test_errors_time_limits_and_wrong_arguments_are_clear(web):
    code = """\
said = []
for call in (
    lambda: mcp_call("shop", "stock", {"item": 3}),
    lambda: mcp_call("shop", "nothing", {}),
    lambda: mcp_call("shop", "broken"),
    lambda: mcp_call("quick", "slow", {"seconds": 30}),
    lambda: mcp_call("nowhere", "x"),
    lambda: mcp_call("shop", "stock", "bolt"),
    lambda: mcp_tool_schema("shop", "stok"),
    lambda: mcp_call("shop", "slow", {"seconds": 0}),
):
    try:
        said.append(call())
    except Exception as error:
        said.append(type(error).__name__ + ": " + str(error))
found = said"""
    found = value(code, {"shop": web, "quick": {**web, "timeout": 0.5, "connect_timeout": 60}})
    assert found[0].startswith("MCPError: shop.stock:")
    assert "item" in found[0]
    assert "nothing" in found[1]
    assert found[2].startswith("MCPError: shop.broken:")
    assert found[3] == "TimeoutError: MCP server 'quick' took longer than its 0.5 s"
    assert found[4] == "ValueError: there is no MCP server 'nowhere'; there are shop, quick"
    assert found[5].startswith("TypeError: mcp_call(server, tool, arguments)")
    assert found[6].startswith("ValueError: MCP server 'shop' has no tool 'stok'; it has ")
    assert found[7] == "done"


def test_a_server_that_dies_leaves_the_run_alive():
    code = """\
said = []
for _ in range(2):
    try:
        mcp_call("shop", "die")
    except Exception as error:
        said.append(type(error).__name__)
found = said"""
    assert value(code, {"shop": stdio(timeout=5)}) == ["MCPError", "MCPError"]
    assert children() == []


def test_lists_are_paged_to_their_end_and_endless_ones_are_cut():
    code = "found = [len(mcp_list_tools('many')), len(mcp_list_resources('many')), len(mcp_list_tools('many')[0]['description'])]"
    adapter = FakeAdapter([python(code), "FINAL_VAR: found"])
    result = RLM(adapter, mcp_servers={"many": stdio("paged")}).run("What?", TEXT)
    tools, resources, _ = result.value
    assert tools == 250
    assert resources == 200
    assert any("lists resources without end" in step.reason for step in result.trace.of_kind("truncation"))
    assert len(adapter.calls[0].text) < 6_000


def test_a_cancelled_run_leaves_no_process():
    async def cancelled(server):
        asked = asyncio.Event()

        def listener(step):
            if step.kind == "root_call":
                asked.set()

        adapter = FakeAdapter([python("mcp_call('shop', 'slow', {'seconds': 60})")])
        rlm = RLM(adapter, mcp_servers={"shop": server}, event_listener=listener)
        task = asyncio.create_task(rlm.arun("What?", TEXT))
        await asyncio.wait_for(asked.wait(), 60)
        for _ in range(500):
            if children():
                break
            await asyncio.sleep(0.02)
        assert children()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert children() == []

    asyncio.run(cancelled(stdio(required=True)))
    asyncio.run(cancelled(deaf()))


def test_a_server_that_does_not_go_is_killed():
    result, _ = run(["import time\ntime.sleep(1)"], {"shop": deaf(stubborn=True, connect_timeout=60)})
    assert result.output == "done"
    assert children() == []


def test_the_file_of_other_clients_and_an_environment_without_the_hosts_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-host-secret-123456")
    monkeypatch.setenv("SHOP_TOKEN", "token-of-the-shop")
    env = {"SHOP_TOKEN": "${SHOP_TOKEN}", "MODE": "${NOT_SET:-plain}"}
    entry = {**stdio(), "type": "stdio", "alwaysAllow": ["stock"], "env": env}
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"shop": entry, "off": {"command": "never", "disabled": True}}}))
    found = value("found = mcp_call('shop', 'environment')", path)
    assert found["SHOP_TOKEN"] == "token-of-the-shop"
    assert found["MODE"] == "plain"
    allowed = {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "SHOP_TOKEN", "MODE", "LC_CTYPE", "PWD"}
    assert set(found) <= allowed
    assert [server.name for server in read_servers(str(path))] == ["shop"]
    assert [server.name for server in read_servers({"mcpServers": {"shop": stdio()}})] == ["shop"]


@pytest.mark.parametrize(
    ("servers", "told"),
    [
        ({"a": {}}, "either 'command' or 'url'"),
        ({"a": {"command": "x", "url": "http://x"}}, "either 'command' or 'url'"),
        ({"a": {"command": "x", "args": "y"}}, "'a': args: expected a list of strings, got str"),
        ({"a": {"command": "x", "requird": True}}, "'a': requird: expected one of"),
        ({"a": {"command": "x", "env": {"K": 1}}}, "env: expected an object of strings"),
        ({"a": {"url": "ftp://x"}}, "begins with http"),
        ({"a": {"url": "http://x", "type": "websocket"}}, "type='websocket': expected 'stdio', 'http' or 'sse'"),
        ({"a": {"command": "x", "timeout": 0}}, "timeout=0: expected seconds above 0"),
        ({"a": {"command": "x", "required": "yes"}}, "required='yes'"),
        ({"a": {"command": "x", "disabled": "yes"}}, "disabled='yes': expected true or false"),
        ({"a": {"command": "x", "args": None}}, "'a': args: expected a list of strings"),
        ({"a\nb": {"command": "x"}}, "expected a name"),
        ({"a": "x"}, "an object with 'command' or 'url'"),
        (["x"], "mcp_servers=list"),
        ("/no/such/file.json", "can't be read"),
    ],
)
def test_options_that_cannot_be_used_are_named(servers, told):
    with pytest.raises(ConfigurationError) as caught:
        RLM(FakeAdapter([]), mcp_servers=servers)
    assert told in str(caught.value)


def test_the_router_has_servers_on_its_loop(web):
    adapter = FakeAdapter([python("found = mcp_call('shop', 'stock', {'item': 'bolt'})"), "FINAL_VAR: found"])
    result = SmartRouter(adapter, mcp_servers={"shop": web}).run("Which item is it?", TEXT, route="rlm")
    assert result.value == {"item": "bolt", "pieces": 7}
    assert children() == []


def test_the_example_runs():
    script = Path(__file__).parent.parent / "examples" / "mcp_server.py"
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert "weather connected {'server': 'weather', 'tools': 1, 'resources': 1" in ran.stdout
    assert "made up for this example" in ran.stdout
    assert "umbrella: ['Bergen']" in ran.stdout
