"""What the tests of code that awaits share: host functions that answer when enough of them are called at once."""

import asyncio

from pyrlm.repl.exec_host import ExecRepl
from pyrlm.repl.monty import MontyRepl
from pyrlm.repl.protocol import Setup

BACKENDS = {"exec": ExecRepl, "monty": MontyRepl}
ALONE = 3.0  # seconds after which a call that waits for others gives up
LINGER = 0.02  # seconds that a call lasts in any case, so that one too many is seen


class Host:
    """Host functions that answer when `want` of their calls are in flight together."""

    def __init__(self, want: int):
        self.want, self.now, self.most, self.ended = want, 0, 0, 0
        self.enough = asyncio.Event()

    async def llm_query(self, prompt, schema=None):
        self.now += 1
        self.most = max(self.most, self.now)
        if self.now >= self.want:
            self.enough.set()
        try:
            await asyncio.wait_for(self.enough.wait(), ALONE)
            await asyncio.sleep(LINGER)
        except TimeoutError:
            return f"{prompt} was alone"
        finally:
            self.now -= 1
            self.ended += 1
        return {"said": prompt} if schema else f"<{prompt}>"

    async def fails(self, kind):
        raise {"ValueError": ValueError, "KeyError": KeyError, "TimeoutError": TimeoutError, "OSError": OSError}.get(
            kind, type(kind, (Exception,), {})
        )(f"no {kind}")

    async def llm_batch(self, prompts):
        return [f"<{prompt}>" for prompt in prompts]

    async def forever(self):
        self.now += 1
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(LINGER)
            self.now -= 1

    def functions(self):
        return {
            "llm_query": self.llm_query, "rlm_query": self.llm_query, "es_search": self.llm_query, "tool": self.llm_query,
            "llm_batch": self.llm_batch, "fails": self.fails, "forever": self.forever,
        }  # fmt: skip


async def steps(backend, *codes, want=1, **options):
    """Run the steps in one REPL; return host and executions."""
    host, repl = Host(want), BACKENDS[backend]()
    await repl.start(Setup(**{"functions": host.functions(), "timeout": 5.0, **options}))
    try:
        done = []
        for code in codes:
            done.append(await repl.run(code))
            assert host.now == 0, "calls of a step that has ended go on"
        return host, done
    finally:
        await repl.close()
