"""What the application gives to one run's code: its tools and its MCP servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pyrlm.effects import NO_RECORD
from pyrlm.mcp import Servers
from pyrlm.tool_calls import ToolCalls
from pyrlm.tools import Toolbox, tools_named

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Mapping

    from pyrlm.effects import Effects
    from pyrlm.mcp_connection import Connection
    from pyrlm.repl.protocol import HostFunction
    from pyrlm.rlm import RLM
    from pyrlm.tools import Tool
    from pyrlm.trace import Recorder

__all__ = ["HostTools"]

T = TypeVar("T")


class HostTools:
    """The tools and MCP servers of one run.

    Args:
        rlm: Options of the run.
        recorder: Gets every call, and what becomes of each server.
        servers: Servers that are passed on to this run, beside those of its options.
        effects: Makes the calls; those of a durable run that are known are not made again.
    """

    def __init__(
        self, rlm: RLM, recorder: Recorder, servers: Mapping[str, Connection], effects: Effects = NO_RECORD
    ) -> None:
        self._rlm = rlm
        self._calls = ToolCalls(recorder, rlm.max_concurrent_subcalls, effects)
        self._servers = Servers(rlm.mcp_servers, self._calls, servers)
        self._toolbox = Toolbox(rlm.tools, self._calls, self._servers.functions())

    def passed_on(self, names: Collection[str]) -> tuple[list[Tool], dict[str, Connection]]:
        """Return the tools and the servers among `names`, for a sub-agent: it can get no others."""
        return tools_named(self._rlm.tools, names), self._servers.named(names)

    def names(self) -> list[str]:
        """Return the names of all that can be passed on."""
        return [*self._toolbox.names(), *self._servers.names()]

    def functions(self) -> dict[str, HostFunction]:
        """Return the host functions by the names that code uses."""
        return self._toolbox.functions()

    def lines(self) -> list[str]:
        """Return the lines of the prompt."""
        return [*self._toolbox.lines(), *self._servers.lines()]

    def begin_run(self, recorder: Recorder) -> None:
        """Begin a run: calls and servers are noted in its trace, and calls are made in the context of its caller."""
        self._calls.begin_run(recorder)
        self._servers.begin_run(recorder)

    def begin(self) -> None:
        """Start the servers."""
        self._servers.begin()

    def begin_step(self, parent: int | None) -> None:
        """Begin a step of the run; its calls belong to the step `parent` of the trace."""
        self._calls.parent = parent

    async def beside(self, asking: Coroutine[Any, Any, T]) -> T:
        """Wait for a model's reply and for the servers that are needed.

        Raises:
            MCPError: A server that is needed can't be reached.
        """
        return await self._servers.beside(asking)

    def news(self) -> str:
        """Return, once, what the model is to know of servers that have started or failed."""
        return self._servers.news()

    def stop(self) -> None:
        """Begin to end the servers."""
        self._servers.stop()

    async def ended(self) -> None:
        """Wait until the servers have ended."""
        await self._servers.ended()
