"""Tools: functions of the application that model-written code can call. They run in the host, with its environment."""

from __future__ import annotations

import asyncio
import builtins
import functools
import inspect
import keyword
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

from pyrlm.errors import ConfigurationError, WireError
from pyrlm.foreign import in_thread
from pyrlm.plain import crossing
from pyrlm.redact import redact
from pyrlm.repl.wire import encode
from pyrlm.tool_arguments import Arguments
from pyrlm.tool_calls import ToolCalls, failed

if TYPE_CHECKING:
    from pyrlm.repl.protocol import HostFunction

__all__ = ["Tool", "Toolbox", "check_tools", "tools_named"]

_MAX_BATCH = 10_000
_MAX_LINE = 400
_SHORT_DOC = 200
_MAX_DOC = 2_000
"""Characters of the docstring of one tool, where there is room for it."""
_MAX_LINES = 6_000
"""Characters of the prompt that tools get with all that is known of them; further ones are named."""
_MAX_NAMES = 2_000

_TAKEN = frozenset(
    """\
    P context CONTEXT ctx peek tail lenP extract_after pick_first_answer last_output FINAL FINAL_VAR SHOW_VARS
    query llm_query llm_batch llm_query_batched llm_query_batch ask ask_chunks ask_chunks_first rlm_query rlm_query_batch rlm_query_batched
    es_search es_vector_search es_hybrid_search es_search_batch es_get tool_batch mcp_list_tools mcp_tool_schema mcp_call
    mcp_list_resources mcp_list_resource_templates mcp_read_resource re json math collections itertools asyncio sys
    """.split()  # noqa: SIM905 - a list of names reads better than a column of literals
)
"""Names of the REPL. A tool can have none of them, nor that of a builtin."""
_ADDED = re.compile(r"(P|ctx)\d+")
"""What is added to a session has such a name."""

_BATCH = (
    "tool_batch(name, items): one tool many times, side by side; an item is a dict of arguments or the one argument; "
    "results in order, a failed one as '[tool failed: reason]': `tool_batch('{name}', [{item}, {item}])`"
)


@dataclass(frozen=True, slots=True)
class Tool:
    """A function for model-written code, where it needs more than the function says itself.

    Attributes:
        function: Any callable, synchronous (called in a thread, with the run's context variables) or asynchronous.
        name: What code calls it; the function's own name by default.
        description: Told to the model; the docstring by default. Up to 2,000 characters, as far as there is room for
            it beside other tools; else what its first paragraph begins with.
        timeout: Seconds for each call, after which the code gets a TimeoutError; None for no limit. A synchronous
            function can't be stopped: its thread goes on, and its result is dropped.
    """

    function: Callable[..., Any]
    _: KW_ONLY
    name: str | None = None
    description: str | None = None
    timeout: float | None = None

    @property
    def called(self) -> str:
        """The name that code uses."""
        function = self.function
        while self.name is None and isinstance(function, functools.partial):
            function = function.func
        return self.name or str(getattr(function, "__name__", type(function).__name__))

    @property
    def told(self) -> str:
        """What it does; empty where nothing says so."""
        return self.description if self.description is not None else _docstring(self.function)


def check_tools(tools: object) -> None:
    """Check the option `tools`.

    Raises:
        ConfigurationError: It is no sequence of callables, or names are taken, double or no identifiers; says which.
    """
    if isinstance(tools, str | Mapping) or not isinstance(tools, Sequence):
        raise ConfigurationError(f"tools={type(tools).__name__}: expected a list of functions or Tool objects.")
    seen: set[str] = set()
    for tool in map(_as_tool, tools):
        _check_fields(tool)
        name = tool.called
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
            problem = "is no name that code can call"
        elif name in _TAKEN or _ADDED.fullmatch(name) or hasattr(builtins, name):
            problem = "is the name of something else in the REPL"
        elif name in seen:
            problem = "is the name of two tools"
        else:
            seen.add(name)
            continue
        raise ConfigurationError(f"tools: {name!r} {problem}; give another by Tool(function, name=…).")


def _check_fields(tool: Tool) -> None:
    for field, given in (("name", tool.name), ("description", tool.description)):
        if given is not None and not isinstance(given, str):
            raise ConfigurationError(f"Tool: {field}={given!r:.100}: expected a string, or None.")
    seconds = tool.timeout
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (is_number and seconds > 0):
        raise ConfigurationError(f"Tool {tool.called}: timeout={seconds!r:.100}: expected seconds above 0, or None.")


def tools_named(tools: Sequence[Any], names: Collection[str]) -> list[Tool]:
    """Return those of `tools` that code calls by one of `names`."""
    return [tool for tool in map(_as_tool, tools) if tool.called in names]


def _as_tool(tool: Any) -> Tool:
    if isinstance(tool, Tool) and callable(tool.function):
        return tool
    if not callable(tool):
        raise ConfigurationError(f"tools: expected functions or Tool objects, got {type(tool).__name__}.")
    return Tool(tool)


class Toolbox:
    """The tools of one run.

    Args:
        tools: Functions and `Tool` objects.
        calls: Makes and notes the calls.
        others: Further host functions that `tool_batch` can call.
    """

    def __init__(self, tools: Sequence[Any], calls: ToolCalls, others: Mapping[str, HostFunction]) -> None:
        self._calls = calls
        self._tools = {tool.called: (tool, Arguments(tool.called, tool.function)) for tool in map(_as_tool, tools)}
        self._functions = {name: self._host_function(tool, takes) for name, (tool, takes) in self._tools.items()}
        self._others = dict(others)

    def functions(self) -> dict[str, HostFunction]:
        """Return the host functions by the names that code uses; none where there are no tools."""
        if not self._functions and not self._others:
            return {}
        return {**self._functions, **self._others, "tool_batch": self.tool_batch}

    def names(self) -> list[str]:
        """Return the tools by the names that code uses."""
        return list(self._tools)

    def lines(self) -> list[str]:
        """Return the lines of the prompt: one a tool, as many as there is room for; further ones are named."""
        short: dict[str, str] = {}
        room, left = _MAX_LINES, []
        for name, (tool, takes) in self._tools.items():
            line = _line(tool, takes)
            if len(line) <= room:
                short[name] = line
                room -= len(line)
            else:
                left.append(name)
        lines = []
        for name, line in short.items():
            whole = _line(*self._tools[name], most=_MAX_DOC)
            fits = len(whole) - len(line) <= room
            lines.append(whole if fits else line)
            room -= len(whole) - len(line) if fits else 0
        if left:
            names = ", ".join(left)
            lines.append(
                f"{len(left)} further tools: " + (names if len(names) <= _MAX_NAMES else names[:_MAX_NAMES] + "…")
            )
        if self._tools:
            name, (_, takes) = next(iter(self._tools.items()))
            inside = takes.example.partition("(")[2][:-1]
            item = f"dict({inside})" if "=" in inside else inside or "{}"
            lines.append(_BATCH.format(name=name, item=item))
        return lines

    async def tool_batch(self, name: str, items: list[Any]) -> list[Any]:
        """Call one tool for all `items`: a dict of arguments by name, a tuple of arguments, or the one argument."""
        function = self._functions.get(name) or self._others.get(name) if isinstance(name, str) else None
        if function is None:
            known = ", ".join([*self._functions, *self._others])[:_MAX_NAMES]
            given = repr(name[:100]) if isinstance(name, str) else type(name).__name__
            raise ValueError(f"tool_batch(name): expected the name of a tool as a string ({known}), got {given}")
        if not isinstance(items, list | tuple) or len(items) > _MAX_BATCH:
            given = f"{len(items):,} items" if isinstance(items, list | tuple) else type(items).__name__
            raise TypeError(f"tool_batch(items): expected a list of at most {_MAX_BATCH:,} items, got {given}")
        return list(await asyncio.gather(*(self._item(function, item) for item in items)))

    @staticmethod
    async def _item(function: HostFunction, item: Any) -> Any:
        try:
            if isinstance(item, dict):
                return await function(**item)
            return await function(*item) if isinstance(item, tuple) else await function(item)
        except Exception as error:  # noqa: BLE001 - one that fails must not take the others along
            return failed(error)

    def _host_function(self, tool: Tool, takes: Arguments) -> HostFunction:
        name = tool.called

        async def call(*args: Any, **kwargs: Any) -> Any:
            shown = {**{str(index): value for index, value in enumerate(args, 1)}, **kwargs}
            return await self._calls.make(name, shown, lambda: _run(tool, takes, args, kwargs))

        call.__name__ = call.__qualname__ = name
        if takes.signature is not None:
            call.__dict__["__signature__"] = takes.signature
        return call


async def _run(tool: Tool, takes: Arguments, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Check the arguments, call the function, and see to it that its result can cross."""
    if not takes.prepared:
        await in_thread(takes.prepare)
    given, named = takes.check(args, kwargs)
    try:
        async with asyncio.timeout(tool.timeout) as limit:
            value = await _call(tool.function, given, named)
    except TimeoutError:
        if not limit.expired():
            raise
        raise TimeoutError(f"{tool.called} took longer than its {tool.timeout:g} s") from None
    return await _handed(tool.called, value)


async def _handed(name: str, value: Any) -> Any:
    """Return a result as it can cross; making that of a frame may take a while."""
    try:
        encode(value)
    except WireError:
        pass
    else:
        return value
    try:
        return (await in_thread(functools.partial(crossing, value, f"the result of {name}()")))[0]
    except WireError as error:
        said = str(error).partition("; hand over ")[0]  # code can't
        raise WireError(f"{said}; only the application can change what {name} returns") from None


async def _call(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    made = functools.partial(function, *args, **kwargs)
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return await made()
    value = await in_thread(made)
    return await value if inspect.isawaitable(value) else value


def _docstring(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or isinstance(function, type):
        return inspect.getdoc(function) or ""
    return inspect.getdoc(type(function).__call__) or inspect.getdoc(type(function)) or ""


def _line(tool: Tool, takes: Arguments, most: int = _SHORT_DOC) -> str:
    """Return what is told of a tool: name and signature, `most` characters of what it does, notes, an example."""
    head = f"{tool.called}{takes.shown}"
    doc = redact(" ".join((tool.told if most > _SHORT_DOC else tool.told.partition("\n\n")[0]).split()))
    doc = doc if len(doc) <= most else f"{doc[:most]}…"
    told = " ".join(part for part in (doc, f"({takes.notes})" if takes.notes else "") if part)
    line = redact(f"{head}: {told}" if told else head)
    bound = _MAX_LINE - _SHORT_DOC + most
    return f"{line if len(line) <= bound else f'{line[:bound]}…'} `{takes.example}`"
