"""A run with an MCP server, which this very file can be: it is started with the run and ended with it.

The code that a model would write is scripted here, so that the example runs without a key.

    python examples/mcp_server.py
"""

from __future__ import annotations

import sys

from pyrlm import RLM
from pyrlm.adapters import FakeAdapter

CODE = """\
tools = [tool["name"] for tool in mcp_list_tools("weather")]
needed = mcp_tool_schema("weather", "forecast")["input_schema"]["required"]
print(tools, needed)
cities = sorted(set(re.findall(r"to ([A-Z]\\w+)", P)))
found = tool_batch("mcp_call", [("weather", "forecast", {"city": city}) for city in cities])
wet = [item["city"] for item in found if item["rain"] > 0.5]
print(mcp_read_resource("weather", "weather://source"))"""

LETTERS = "We travel to Lyon on Monday, to Bergen on Tuesday and to Nantes on Friday."


def serve() -> None:
    """Be a server that knows the weather."""
    from mcp.server.mcpserver import MCPServer  # noqa: PLC0415 - the run itself does not need it

    server = MCPServer("weather")

    @server.tool()
    def forecast(city: str) -> dict[str, str | float]:
        """Forecast for a city: the chance of rain, from 0 to 1."""
        return {"city": city, "rain": 0.9 if city == "Bergen" else 0.1}

    @server.resource("weather://source")
    def source() -> str:
        """Where the forecasts come from."""
        return "made up for this example"

    server.run("stdio")


def ask() -> None:
    """Ask a question that takes the text and the server."""
    model = FakeAdapter([f"```python\n{CODE}\n```", "FINAL_VAR: wet"])
    servers = {"weather": {"command": sys.executable, "args": [__file__, "serve"], "required": True}}
    result = RLM(model, mcp_servers=servers).run("Where do they need an umbrella?", LETTERS)
    for step in result.trace.of_kind("mcp_server"):
        print(step.reason, dict(step.data))
    print(result.trace.of_kind("repl_exec")[0].stdout)
    print("umbrella:", result.value)


if __name__ == "__main__":
    if "serve" in sys.argv[1:]:
        serve()
    else:
        ask()
