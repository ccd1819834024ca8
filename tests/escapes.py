"""Runs attempts to escape on a REPL backend and says of each whether it succeeded and what stopped it.

`python tests/escapes.py` prints the report. The markers (`success_marker`): ``stdout:TEXT`` was shown to the model,
``listener``: a socket of the host got "PWN", ``file:PATH`` exists, ``timeout``: still running after the limit,
``memory``: the worker took more than 1 GiB, ``output``: more than was asked for came back, ``exit``: the host ended,
``host:EXPR`` is true in the host afterwards.
"""

import asyncio
import collections
import contextlib
import gc
import json
import os
import pickle
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from pyrlm.context import Context
from pyrlm.errors import ReplCrashedError, WireError
from pyrlm.repl.exec_host import ExecRepl
from pyrlm.repl.protocol import Execution, Setup

FILES = [Path(__file__).parent / "data" / name for name in ("escape_corpus.jsonl", "escape_more.jsonl")]
SECRET = "secret-" + secrets.token_hex(8)
CANARY = "canary-" + secrets.token_hex(8)
PORT = 47653
TIMEOUT = 0.4
MEMORY = 512 << 20
MAX_OUTPUT = 2_000
CONST_BUF = b"unchanged_"
BUDGET = 7
HOSTNAME = Path("/etc/hostname")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    name: str
    kind: str
    succeeded: bool
    stopped_by: str
    seconds: float
    next_step_works: bool
    detail: str


def attempts():
    return [json.loads(line) for file in FILES for line in file.read_text().splitlines()]


@contextlib.contextmanager
def host_that_can_be_hurt():
    """Set up what attempts look for; yields what the listener gets."""
    got = []
    os.environ["RLM_CANARY"] = CANARY
    leavings = [
        Path("/tmp") / name for name in ("rlm_escape_out", "rlm_escape_out_dir", "rlm_escape_link", "rlm_escape_log")
    ]
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", PORT))
        except OSError:  # another run of the suite listens there
            listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.1)
        stop = threading.Event()
        thread = threading.Thread(target=_accept, args=(listener, got, stop))
        thread.start()
        try:
            yield got
        finally:
            stop.set()
            thread.join()
            del os.environ["RLM_CANARY"]
            for path in leavings:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _accept(listener, got, stop):
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            connection, _ = listener.accept()
            with connection:
                got.append(connection.recv(100))


async def attempt(one, got, make=ExecRepl, isolation="strict"):
    """Run one attempt on a new REPL, then a harmless step on the same one, or on the next if it died."""
    calls = []

    async def llm_query(prompt, model=None):
        calls.append(len(prompt))
        return "reply"

    async def llm_batch(prompts, model=None):
        return ["reply" for _ in prompts]

    setup = Setup(
        context=Context.from_text("A text that nobody may change. " * 10),
        functions={"llm_query": llm_query, "llm_batch": llm_batch},
        variables={"answer": {"content": "", "ready": False}},
        timeout=TIMEOUT, memory_bytes=MEMORY, max_output_chars=MAX_OUTPUT, max_host_calls=200, isolation=isolation,
    )  # fmt: skip
    repl = make()
    await repl.start(setup)
    began = time.monotonic()
    result, crash = Execution(), ""
    try:
        result = await repl.run(one["code"])
    except ReplCrashedError as error:
        crash = str(error)
    seconds = time.monotonic() - began
    peak = _peak_memory(repl)
    if crash:
        repl = make()
        await repl.start(setup)
    works = False
    with contextlib.suppress(ReplCrashedError, WireError):
        works = (await repl.run("print(6 * 7)")).stdout == "42\n"
    if not works:  # what an attempt has broken in its own worker costs at most that worker
        await repl.close()
        repl = make()
        await repl.start(setup)
        works = (await repl.run("print(6 * 7)")).stdout == "42\n"
    await repl.close()
    values = {"ns": {"answer": result.final}, "llm_batch": llm_batch, "EXC": "", "PIPE_R": 0, "ctx": setup.context}
    succeeded = _succeeded(one["success_marker"], result, crash, seconds, peak, got, values)
    return Outcome(
        name=one["name"], kind=one["kind"], succeeded=succeeded, stopped_by=_stopped_by(result, crash),
        seconds=seconds, next_step_works=works, detail=f"{result.stdout[:300]!r} {result.error} {crash}",
    )  # fmt: skip


def _peak_memory(repl):
    try:
        status = Path(f"/proc/{repl._process.pid}/status").read_text()
    except (AttributeError, OSError):
        return 0
    return max((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), default=0)


def _succeeded(marker, result, crash, seconds, peak, got, values):
    kind, _, rest = marker.partition(":")
    shown = f"{result.stdout}{result.error}{crash}{result.final}"
    if kind == "stdout":
        hostname = HOSTNAME.read_text().split("\n")[0] if HOSTNAME.exists() else socket.gethostname()
        return rest.format(canary=CANARY, hostname=hostname, secret=SECRET) in shown
    if kind == "timeout":
        return seconds > TIMEOUT + 5
    if kind == "memory":
        return peak > 1 << 30
    if kind == "output":
        return len(shown) > 20 * MAX_OUTPUT
    if kind == "file":
        return Path(rest).exists()
    if kind == "listener":
        return any(b"PWN" in data for data in got)
    return kind == "host" and _true_in_host(rest, values)


def _true_in_host(expression, values):
    names = {
        "json": json,
        "sys": sys,
        "signal": signal,
        "os": os,
        "gc": gc,
        "pickle": pickle,
        "BUDGET": BUDGET,
    } | values
    try:
        if (
            "os.read(PIPE_R" in expression or "ns.clear" in expression
        ):  # about an in-process REPL; here: is the host as it was
            return BUDGET != 7
        return bool(eval(expression, names | {"CONST_BUF": CONST_BUF}))
    except Exception:
        return False


_CAUSES = (
    ("no module", "list of modules"),
    ("not available here", "restricted builtins, closed modules"),
    ("can't be opened here", "audit hook"),
    ("can't be listed here", "audit hook"),
    ("not permitted here", "audit hook"),
    ("[Errno", "kernel: seccomp, Landlock"),
    ("can't start new thread", "limits"),
    ("MemoryError", "limits"),
    ("could not be interrupted", "clock: killed"),
    ("TimeoutError", "clock: interrupted"),
    ("was lost", "only its own worker died"),
    ("host calls in one step", "cap on host calls"),
    ("WireError", "size and type checks of the wire"),
    ("KeyError", "empty environment, own process"),
    ("NameError", "empty environment, own process"),
    ("AttributeError", "empty environment, own process"),
)


def _stopped_by(result, crash):
    told = f"{result.error_type}: {result.error} {crash}"
    if result.error is None and not crash:
        return "nothing to reach in its own process"
    return next(
        (cause for sign, cause in _CAUSES if sign in told), f"an error in its own process ({result.error_type})"
    )


_WITHOUT_PYTHON = """\
#!{python} -S
import os, sys
here = os.path.dirname(sys.argv[4])
for name, folder in (("pyrlm", os.path.dirname(here)), ("pyrlm.repl", here)):
    package = type(sys)(name)
    package.__path__ = [folder]
    sys.modules[name] = package
import builtins
from pyrlm.repl import isolation_audit, worker_cell
from pyrlm.repl.worker_main import serve
isolation_audit.install = lambda folders: None
worker_cell.guarded_builtins = lambda extra: vars(builtins) | extra
serve(*map(int, sys.argv[5:]))
"""


def kernel_alone(folder):
    """Return a factory of REPLs whose worker has no list of modules, no restricted builtins and no audit hook."""
    script = folder / "worker"
    script.write_text(_WITHOUT_PYTHON.format(python=sys.executable))
    script.chmod(0o700)
    return lambda: ExecRepl(python=str(script))


async def run_all(chosen, got, make=ExecRepl, at_once=3, isolation="strict"):
    gate = asyncio.Semaphore(at_once)

    async def one_by_one(one):
        async with gate:
            return await attempt(one, got, make, isolation)

    return await asyncio.gather(*map(one_by_one, chosen))


def report(outcomes):
    kinds = collections.Counter(outcome.kind for outcome in outcomes)
    lines = [f"{len(outcomes)} attempts, {sum(o.succeeded for o in outcomes)} succeeded", ""]
    lines += [f"{kind:14} {count:4}" for kind, count in kinds.most_common()]
    lines += ["", "stopped by"]
    lines += [
        f"{count:4} {cause}" for cause, count in collections.Counter(o.stopped_by for o in outcomes).most_common()
    ]
    return "\n".join(lines)


def main():
    with tempfile.TemporaryDirectory() as folder, host_that_can_be_hurt() as listener_got:
        for title, make in (("every layer", ExecRepl), ("the kernel's layers alone", kernel_alone(Path(folder)))):
            found = asyncio.run(run_all(attempts(), listener_got, make))
            print(f"\n== {title}\n{report(found)}")
            for bad in found:
                if bad.succeeded or not bad.next_step_works or bad.seconds > TIMEOUT + 2:
                    print(bad)


if __name__ == "__main__":
    main()
