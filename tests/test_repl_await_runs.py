"""Whole runs whose code gathers calls and sub-agents: their requests are at the provider together, on both backends."""

import asyncio
import contextlib

import pytest
from openai_server import LoopbackServer, Reply

from pyrlm import RLM, Policy
from pyrlm.adapters import OpenAICompatAdapter

CHAPTERS = [f"Chapter {n}. The word of chapter {n} is w{n}x{n}. " + "filler text. " * 40 for n in range(4)]
CHILD = "You are a sub-agent"
CALLS = {
    "a list gathered": "r = await asyncio.gather(*[llm_query('word? ' + c) for c in ctx.chunk_documents(1)])",
    "a list made before": "t = [llm_query('word? ' + c) for c in ctx.chunk_documents(1)]\nr = await asyncio.gather(*t)",
    "a function of the code": "async def ask(c):\n    return await llm_query('word? ' + c)\nasync def main():\n"
    "    return await asyncio.gather(*[ask(c) for c in ctx.chunk_documents(1)])\nr = asyncio.run(main())",
    "an executor": "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(8) as ex:\n"
    "    r = list(ex.map(lambda c: llm_query('word? ' + c), ctx.chunk_documents(1)))",
    "sub-agents": "r = await asyncio.gather(*[rlm_query('word?', d) for d in ctx.chunk_documents(1)])",
    "sub-agents by an executor": "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(8) as ex:\n"
    "    r = [f.result() for f in [ex.submit(rlm_query, 'word?', d) for d in ctx.chunk_documents(1)]]",
}


class Provider:
    """Answers the root with its code, and a sub-call or a sub-agent's first turn once four of them are there."""

    def __init__(self, code):
        self.code, self.waiting, self.enough = code, 0, None

    async def __call__(self, body):
        messages = body["messages"]
        said = messages[-1]["content"]
        if any(CHILD in message["content"] for message in messages[:2]):
            if len(messages) == 2:
                await self.met()
                return Reply("```python\nFINAL(re.search(r'w\\d+x\\d+', P)[0])\n```")
            return Reply("FINAL: done")
        if said.startswith("word?") or "word? Chapter" in said:
            await self.met()
            return Reply(said.partition(" is ")[2].partition(".")[0])
        return Reply(f"```python\nimport asyncio\n{self.code}\nFINAL(r)\n```" if len(messages) == 2 else "FINAL: done")

    async def met(self):
        self.enough = self.enough or asyncio.Event()  # of the server's loop
        self.waiting += 1
        if self.waiting == len(CHAPTERS):
            self.enough.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.enough.wait(), 3)


@pytest.mark.parametrize("backend", ["exec", "monty"])
@pytest.mark.parametrize("name", CALLS)
def test_requests_are_at_the_provider_together(backend, name):
    with LoopbackServer(Provider(CALLS[name])) as server:
        model = OpenAICompatAdapter("m", base_url=server.url, api_key="test-key")
        made = RLM(model, policy=Policy(max_total_tokens=None), repl_backend=backend)
        result = made.run("q?", CHAPTERS)
        assert result.value == [f"w{n}x{n}" for n in range(4)]
        assert server.max_in_flight >= len(CHAPTERS)
