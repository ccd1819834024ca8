"""One execution under Monty: what it printed, what it asked of the host, the answer that it gave."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyrlm.errors import WireError
from pyrlm.repl import monty_surrogates
from pyrlm.repl.common import cut_middle
from pyrlm.repl.drive import Answer
from pyrlm.repl.monty_answers import finish, plain
from pyrlm.repl.monty_serve import FINISHED
from pyrlm.repl.protocol import Execution
from pyrlm.repl.wire import decode, encode
from pyrlm.repl.worker_show import Output

if TYPE_CHECKING:
    from pyrlm.repl.drive import CodeClock, HostCalls
    from pyrlm.repl.protocol import Final

__all__ = ["Turn"]


@dataclass(slots=True)
class Turn:
    """What belongs to one execution.

    Attributes:
        calls: Answers its calls.
        clock: Its own time.
        output: What it has printed.
        final: Its answer; the first one counts.
        asked: Calls that wait for their answer.
    """

    calls: HostCalls
    clock: CodeClock
    output: Output = field(default_factory=Output)
    final: Final | None = None
    asked: set[asyncio.Task[Any]] = field(default_factory=set)

    def take(self, text: str) -> None:
        """Take what the code prints."""
        self.output.write(monty_surrogates.outward(text))

    async def ask(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Answer:
        """Answer a call; once an answer was given, every further call ends the code again."""
        if name in {"FINAL", "FINAL_VAR"}:
            answer, final = finish(name, args, kwargs)
            self.final = self.final or final
            return answer
        if self.final is not None:
            return FINISHED
        task = asyncio.current_task()
        assert task is not None
        self.asked.add(task)
        task.add_done_callback(self.asked.discard)
        try:
            args = tuple(plain(value, f"argument {number + 1}") for number, value in enumerate(args))
            kwargs = {key: plain(value, f"argument {key}") for key, value in kwargs.items()}
            answer = await self.calls.answer(name, args, kwargs)
            value = monty_surrogates.inward(decode(encode(answer.value, f"result of {name}")))
        except WireError as error:
            return Answer(error_type="TypeError", error=f"{name}: {error}")
        return Answer(value=value, error_type=answer.error_type, error=answer.error)

    async def end(self) -> None:
        """Cancel the calls that the code no longer waits for, and wait until they have ended."""
        left = list(self.asked)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def execution(self, max_output_chars: int, error: tuple[str, str] | None) -> Execution:
        """Return what came of it."""
        whole = self.output.text()
        return Execution(
            stdout=cut_middle(whole, max_output_chars, "; last_output holds the whole"),
            stdout_chars=self.output.chars,
            error=error[1] if error else None,
            error_type=error[0] if error else None,
            final=self.final,
            elapsed=self.clock.elapsed,
            waited=self.clock.waited,
            host_calls=self.calls.count,
        )
