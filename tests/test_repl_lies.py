"""A worker that lies: each lie ends in `ReplCrashedError`, soon, and the host believes no size and no type."""

import asyncio
import os
import sys
import textwrap

import pytest

from pyrlm.errors import ReplCrashedError, ReplUnavailableError
from pyrlm.repl.exec_host import ExecRepl
from pyrlm.repl.protocol import Setup

PRELUDE = """\
    #!{python} -S
    import json, os, struct, sys, time
    read, write = int(sys.argv[5]), int(sys.argv[6])
    def exactly(n):
        data = b""
        while len(data) < n:
            data += os.read(read, n - len(data)) or sys.exit()
        return data
    def receive():
        return json.loads(exactly(struct.unpack("<I", exactly(4))[0]))
    def raw(data):
        while data:
            data = data[os.write(write, data):]
    def send(message):
        data = json.dumps(message).encode()
        raw(struct.pack("<I", len(data)) + data)
    def done(**fields):
        send(["done", {{"stdout": "", "chars": 0, "final": None, **fields}}])
    receive()
"""
READY = 'send(["ready", {}])\nreceive()\n'


def liar(tmp_path, body):
    script = tmp_path / "liar"
    script.write_text(textwrap.dedent(PRELUDE).format(python=sys.executable) + body)
    script.chmod(0o700)
    return ExecRepl(python=str(script))


async def run(repl, functions=None, **options):
    await repl.start(Setup(functions=functions or {}, **{"timeout": 1.0, "isolation": "strict", **options}))
    try:
        return await repl.run("print(1)")
    finally:
        await repl.close()
        assert repl._process is None


LIES = {
    "huge length": 'raw(struct.pack("<I", 2**32 - 1))\ntime.sleep(60)',
    "no JSON": 'raw(struct.pack("<I", 3) + b"{{{")\ntime.sleep(60)',
    "not a list": 'send({"a": 1})\ntime.sleep(60)',
    "empty list": "send([])\ntime.sleep(60)",
    "unhashable kind": "send([[], 1])\ntime.sleep(60)",
    "unknown kind": 'send(["exec", "print(1)"])\ntime.sleep(60)',
    "ready again": 'send(["ready", {}])\ntime.sleep(60)',
    "deep nesting": 'raw(struct.pack("<I", 10**6) + b"[" * 10**6)\ntime.sleep(60)',
    "objects without end": 'n = 120 * 2**20\nraw(struct.pack("<I", n) + b"[" + b"[]," * (n // 3 - 1) + b"1]]]")\ntime.sleep(60)',
    "call without arguments": 'send(["call", 1, "echo"])\ntime.sleep(60)',
    "call with a string for a key": 'send(["call", "1", "echo", [], {}])\ntime.sleep(60)',
    "call with a negative key": 'send(["call", -1, "echo", [], {}])\ntime.sleep(60)',
    "call with a function's name of another type": 'send(["call", 1, ["echo"], [], {}])\ntime.sleep(60)',
    "two calls of one key": 'send(["call", 1, "wait", [], {}])\nsend(["call", 1, "wait", [], {}])\ntime.sleep(60)',
    "arguments that are no list": 'send(["call", 1, "echo", "abc", {}])\ntime.sleep(60)',
    "keywords that are no mapping": 'send(["call", 1, "echo", [], []])\ntime.sleep(60)',
    "malformed tags": 'send(["call", 1, "echo", [{"$set": [[1]]}], {}])\ntime.sleep(60)',
    "colliding keys": 'send(["call", 1, "echo", [{"$set": [{"$int": "%x" % (n * (2**61 - 1))} for n in range(5000)]}], {}])\ntime.sleep(60)',
    "stdout of another type": 'done(stdout={"$bytes": "AA=="})\ntime.sleep(60)',
    "result of another type": 'send(["done", [1, 2]])\ntime.sleep(60)',
    "done without a result": 'send(["done"])\ntime.sleep(60)',
    "size of another type": 'done(chars="many")\ntime.sleep(60)',
    "a final answer that is malformed": 'done(final={"value": {"$int": []}, "quotes": [], "name": None})\ntime.sleep(60)',
    "quotes of another type": 'done(final={"value": 1, "quotes": [5], "name": None})\ntime.sleep(60)',
    "half a frame and silence": 'raw(struct.pack("<I", 1000) + b"[")\ntime.sleep(60)',
    "silence": "time.sleep(60)",
    "death": "os._exit(0)",
    "death in the middle of a frame": 'raw(struct.pack("<I", 1000) + b"[")\nos._exit(3)',
    "a closed pipe": "os.close(write)\ntime.sleep(60)",
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_a_crash(tmp_path, lie):
    async def wait():
        await asyncio.sleep(30)

    async def echo(value=None):
        return value

    repl = liar(tmp_path, READY + LIES[lie])
    with pytest.raises(ReplCrashedError):
        asyncio.run(asyncio.wait_for(run(repl, {"wait": wait, "echo": echo}), 15))


def test_sizes_that_the_worker_claims_are_not_believed(tmp_path):
    body = READY + 'done(stdout="x" * 10**7, error="y" * 10**7, error_type="Z" * 10**6)\ntime.sleep(60)'
    result = asyncio.run(run(liar(tmp_path, body), max_output_chars=1000))
    assert len(result.stdout) <= 1000
    assert len(result.error) <= 6000
    assert len(result.error_type) <= 200


def test_a_flood_of_calls_is_answered_a_few_at_a_time(tmp_path):
    most = 0
    running = 0

    async def work():
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    body = (
        READY
        + 'for n in range(1, 3001): send(["call", n, "work", [], {}])\nfor n in range(3000): receive()\ndone()\ntime.sleep(60)'
    )
    result = asyncio.run(run(liar(tmp_path, body), {"work": work}, max_host_calls=1000, timeout=10.0))
    assert result.host_calls == 3000
    assert 0 < most <= 300


def test_calls_beyond_the_cap_reach_no_function(tmp_path):
    calls = []

    async def work():
        calls.append(1)

    body = (
        READY
        + 'for n in range(1, 501): send(["call", n, "work", [], {}])\nfor n in range(500): receive()\ndone()\ntime.sleep(60)'
    )
    asyncio.run(run(liar(tmp_path, body), {"work": work}, max_host_calls=20, timeout=10.0))
    assert len(calls) == 20


def test_functions_that_are_not_offered_cannot_be_called(tmp_path):
    body = (
        READY
        + 'send(["call", 1, "__class__", [], {}])\nanswer = receive()\ndone(stdout=json.dumps(answer))\ntime.sleep(60)'
    )
    assert "NameError" in asyncio.run(run(liar(tmp_path, body))).stdout


def test_answers_out_of_order_reach_their_callers():
    async def late(seconds, value):
        await asyncio.sleep(seconds)
        return value

    code = (
        "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(20) as pool:\n"
        "    print(list(pool.map(lambda n: late((20 - n) / 100, n), range(20))))"
    )

    async def main():
        repl = ExecRepl()
        await repl.start(Setup(functions={"late": late}, timeout=5.0))
        result = await repl.run(code)
        await repl.close()
        return result

    assert asyncio.run(main()).stdout == f"{list(range(20))}\n"


def test_a_worker_that_says_it_has_no_isolation_is_refused_under_strict(tmp_path):
    repl = liar(tmp_path, 'send(["ready", {"seccomp": "x" * 10000}])\ntime.sleep(60)')
    with pytest.raises(ReplUnavailableError, match="seccomp"):
        asyncio.run(run(repl))


def test_a_worker_that_dies_at_its_start_is_unavailable(tmp_path):
    with pytest.raises(ReplUnavailableError, match="could not be started"):
        asyncio.run(run(liar(tmp_path, "os._exit(7)")))


def test_an_interpreter_that_is_not_there_is_unavailable():
    with pytest.raises(ReplUnavailableError, match="can't be started"):
        asyncio.run(run(ExecRepl(python=f"{os.sep}no{os.sep}python")))
