"""MCP servers for the tests, made with the official SDK: `python mcp_servers.py stdio|http|sse|paged`."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

from mcp.server.mcpserver import MCPServer
from mcp_types import ImageContent, TextContent
from pydantic import BaseModel


class Stock(BaseModel):
    item: str
    pieces: int


server = MCPServer("shop")


@server.tool()
def stock(item: str, minimum: int = 0) -> Stock:
    """How many pieces of an item there are."""
    return Stock(item=item, pieces=max(7, minimum))


@server.tool()
def greet(name: str) -> list[TextContent]:
    """Greet somebody."""
    return [TextContent(type="text", text=f"Hello {name}"), TextContent(type="text", text="Bye")]


@server.tool()
def picture() -> list[TextContent | ImageContent]:
    """A picture with a line about it."""
    return [
        TextContent(type="text", text="a dot"),
        ImageContent(type="image", data="AAEC", mime_type="image/png"),
    ]


@server.tool()
def environment() -> dict[str, str]:
    """The environment of this server."""
    return dict(os.environ)


@server.tool()
def broken() -> str:
    """A tool that fails."""
    raise ValueError("no stock list; key " + os.environ.get("SHOP_KEY", "none"))


@server.tool()
async def slow(seconds: float) -> str:
    """Takes its time."""
    await asyncio.sleep(seconds)
    return "done"


@server.tool()
def die() -> str:
    """End this server at once."""
    os._exit(3)


@server.resource("shop://terms", mime_type="text/plain")
def terms() -> str:
    """The terms of the shop."""
    return "Returns within 30 days."


@server.resource("shop://logo", mime_type="image/png")
def logo() -> bytes:
    """The logo."""
    return b"\x00\x01\x02"


@server.resource("shop://items/{item}")
def item(item: str) -> str:
    """What is known of an item."""
    return f"{item}: sold by the piece."


def http(app) -> None:
    """Serve an application on a free port of the loopback, and print the port."""
    import uvicorn

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()  # before anyone hears of the port
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(app, log_level="error")
    uvicorn.Server(config).run(sockets=[listening])


async def paged() -> None:
    """Serve 250 tools in pages of 100, and resources in pages that never end."""
    from mcp.server.lowlevel import Server
    from mcp.server.stdio import stdio_server
    from mcp_types import ListResourcesResult, ListToolsResult, Resource, Tool

    async def tools(_, params):
        start = int(params.cursor) if params and params.cursor else 0
        names = [f"tool_{number}" for number in range(start, min(start + 100, 250))]
        found = [Tool(name=name, description="x" * 500, input_schema={"type": "object"}) for name in names]
        return ListToolsResult(tools=found, next_cursor=str(start + 100) if start + 100 < 250 else None)

    async def resources(_, params):
        start = int(params.cursor) if params and params.cursor else 0
        return ListResourcesResult(
            resources=[Resource(name=f"r{start}", uri=f"x://r{start}")], next_cursor=str(start + 1)
        )

    many = Server("many", on_list_tools=tools, on_list_resources=resources)
    async with stdio_server() as (reading, writing):
        await many.run(reading, writing, many.create_initialization_options())


def main() -> None:
    kind = sys.argv[1]
    if kind == "http":
        http(server.streamable_http_app())
    elif kind == "sse":
        http(server.sse_app())
    elif kind == "paged":
        asyncio.run(paged())
    else:
        server.run("stdio")


if __name__ == "__main__":
    main()
