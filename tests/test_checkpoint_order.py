"""What code that works side by side sees of the order of its answers is the same when the run is repeated."""

from __future__ import annotations

import asyncio
import re

import pytest

from pyrlm import RLM
from pyrlm.adapters import FakeAdapter, ModelResponse
from pyrlm.errors import ModelUnavailableError
from pyrlm.replay_order import Order

BACKENDS = ["exec", "monty"]
ROUNDS = 3


class Late:
    """Answers later items sooner; `down` lets it fail with the second root call."""

    model, context_window = "late", 128_000

    def __init__(self, step: str, *, down: bool = False) -> None:
        self.step, self.down, self.asked = step, down, 0

    async def acomplete(self, messages, max_tokens, temperature=None, **options):
        said = messages[-1]["content"]
        self.asked += 1
        if "You are a sub-agent" in said or "sub-LLM" in messages[0]["content"]:
            number = int(re.search(r"item (\d)", said)[1])
            await asyncio.sleep(0.06 * (5 - number))
            return self.reply(f"FINAL: leaf{number}" if "sub-agent" in said else f"leaf{number}")
        if len(messages) < 4:
            return self.reply(f"```python\n{self.step}\nprint(r)\n```")
        if self.down:
            raise ConnectionError("down")
        return self.reply("FINAL_VAR: r")

    def reply(self, text):
        return ModelResponse(text, usage={"prompt_tokens": 9, "completion_tokens": 2})


APPENDED = "r = []\nasync def one(i):\n    r.append(await {call})\nawait asyncio.gather(*[one(i) for i in range(5)])"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "step",
    [
        APPENDED.format(call="llm_query(f'item {i}')"),
        APPENDED.format(call="rlm_query(f'item {i}?', context=f'text {i} ' * 20)"),
        APPENDED.format(call="tool(i)"),
        (
            "import asyncio\nasync def one(i):\n    return await llm_query(f'item {i}')\n"
            "r = [await f for f in asyncio.as_completed([one(i) for i in range(5)])]"
        ),
    ],
    ids=["llm_query", "rlm_query", "tool", "as_completed"],
)
def test_answers_arrive_in_the_order_in_which_they_had_arrived(backend, step, tmp_path):
    async def tool(i: int) -> str:
        await asyncio.sleep(0.06 * (5 - i))
        return f"leaf{i}"

    options = {"repl_backend": backend, "tools": [tool]}
    for number in range(ROUNDS):
        path = tmp_path / f"{number}.db"
        with pytest.raises(ModelUnavailableError):
            RLM(Late(step, down=True), **options).run("q", "text " * 50, checkpoint=path)
        again = Late(step)
        result = RLM(again, **options).resume(path)
        step_then = result.trace.of_kind("repl_exec")[-1]
        assert (f"{result.value}\n", step_then.reason) == (step_then.stdout, None)
        assert sorted(result.value) == [f"leaf{i}" for i in range(5)]
        assert again.asked == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_sub_agents_side_by_side_are_known_again(backend, tmp_path):
    code = "out = await asyncio.gather(*[rlm_query(f'Number {i}?', context=f'text {i} ' * 20) for i in range(8)])"
    rules = [
        ("Number", "```python\nFINAL(re.findall(r'\\d+', P)[0])\n```"),
        ("", f"```python\n{code}\nFINAL(out)\n```"),
    ]
    for number in range(ROUNDS):
        path = tmp_path / f"{number}.db"
        first = RLM(FakeAdapter(rules=rules), repl_backend=backend).run("q", "some text " * 40, checkpoint=path)
        again = FakeAdapter(rules=rules)
        assert RLM(again, repl_backend=backend).resume(path).value == first.value == [str(i) for i in range(8)]
        assert again.calls == []


def test_turns_are_taken_in_order_whatever_the_order_of_asking():
    async def main():
        order, found = Order([1, 2, 3, 5]), []

        async def one(number):
            await order.turn(number)
            found.append(number)

        tasks = [asyncio.create_task(one(number)) for number in (5, 2, 3)]
        await asyncio.sleep(0.01)
        assert found == []
        order.give(1)
        await asyncio.gather(*tasks)
        return found

    assert asyncio.run(main()) == [2, 3, 5]


def test_a_turn_that_is_cancelled_holds_up_nobody():
    async def main():
        order = Order([1, 2, 3])
        second, third = asyncio.create_task(order.turn(2)), asyncio.create_task(order.turn(3))
        await asyncio.sleep(0.01)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        order.give(1)
        async with asyncio.timeout(5):
            await third

    asyncio.run(main())


def test_what_is_never_asked_again_holds_up_nobody_for_long(monkeypatch):
    monkeypatch.setattr("pyrlm.replay_order._STALLED", 0.05)

    async def main():
        order = Order([1, 2, 3])
        async with asyncio.timeout(5):
            await asyncio.gather(order.turn(3), order.turn(2))

    asyncio.run(main())
