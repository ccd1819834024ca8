"""What a type checker says of the public face: checked by `make types`, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from pyrlm import (
    RLM,
    Context,
    Conversation,
    Policy,
    RouteDecision,
    RouterResult,
    RunResult,
    SmartRouter,
    Trace,
    TraceStep,
)
from pyrlm.adapters import FakeAdapter, ModelResponse, OpenAICompatAdapter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrlm.adapters import Message


class Own:
    """A model of one's own."""

    model = "own-1"

    def complete(self, messages: Sequence[Message], max_tokens: int, temperature: float | None = None) -> ModelResponse:
        """Answer."""
        return ModelResponse(messages[-1]["content"][:max_tokens], usage={"prompt_tokens": int(temperature or 0)})


def listener(step: TraceStep) -> None:
    """Take an event."""
    assert_type(step.elapsed, float)


async def use() -> None:
    """Use the public names as an application does."""
    rlm = RLM(Own(), subcall_adapter=FakeAdapter(), policy=Policy(max_cost_usd=1), event_listener=listener)
    assert_type(rlm.run("q", "text"), RunResult)
    assert_type(await rlm.arun("q", ["one", "two"]), RunResult)
    async with rlm.session("text", policy=Policy.only(max_cost_usd=1)) as session:
        assert_type(session, Conversation)
        assert_type(await session.aask("q"), RunResult)
        assert_type(session.costs.total.cost_usd, float | None)
    router = SmartRouter(OpenAICompatAdapter("m", base_url="http://127.0.0.1/v1"), repl_backend="exec")
    assert_type(router.decide("q", Context.from_text("t")), RouteDecision)
    result = router.run("q", "text", profile="verify", escalate=False, output_schema=list[int])
    router.decide("q", "text", rout="baseline")  # type: ignore[call-arg] # there is no such option
    await router.arun("q", "text", escalate="no")  # type: ignore[arg-type] # of another type
    for item in router.run_many(["q", {"find": "x"}], "text", concurrency=3, profile="hybrid"):
        assert_type(item.result, RouterResult | None)
    async for event in router.astream("q", "text", output_schema=int):
        if event.kind == "text":
            assert_type(event.text, str)
        elif event.kind == "result":
            assert_type(event.result, RouterResult)
    assert_type(router.cost_summary().total.cost_usd, float | None)
    assert_type(result, RouterResult)
    assert_type(result.output, str)
    assert_type(result.value, Any)
    assert_type(result.trace, Trace)
