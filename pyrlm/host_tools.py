"""What the application gives to one run's code: its tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyrlm.tool_calls import ToolCalls
from pyrlm.tools import Toolbox

if TYPE_CHECKING:
    from pyrlm.repl.protocol import HostFunction
    from pyrlm.rlm import RLM
    from pyrlm.trace import Recorder

__all__ = ["HostTools"]


class HostTools:
    """The tools of one run.

    Args:
        rlm: Options of the run.
        recorder: Gets every call.
    """

    def __init__(self, rlm: RLM, recorder: Recorder) -> None:
        self._calls = ToolCalls(recorder, rlm.max_concurrent_subcalls)
        self._toolbox = Toolbox(rlm.tools, self._calls, {})

    def functions(self) -> dict[str, HostFunction]:
        """Return the host functions by the names that code uses."""
        return self._toolbox.functions()

    def lines(self) -> list[str]:
        """Return the lines of the prompt."""
        return self._toolbox.lines()

    def begin_step(self, parent: int | None) -> None:
        """Begin a step of the run; its calls belong to the step `parent` of the trace."""
        self._calls.parent = parent
