"""Runs with a file that are killed: what they do, and a process that starts them by fork, so that each takes a tenth of a second.

As a program, ``python tests/durable_runs.py`` reads one job a line (JSON) from standard input, runs each in a child of its
own and prints how the child ended.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import zlib
from collections import Counter
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from openai_server import LoopbackServer

from pyrlm import RLM, Policy, SmartRouter
from pyrlm.adapters import OpenAICompatAdapter
from pyrlm.journal import Journal

TEXT = "The keeper of the light was called Ansgar. " * 40
KEY = "sk-test-0123456789abcdef"
FAN = 16


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


STEPS = [
    fenced(
        "import random\nx = random.random()\norder = list({'alpha', 'beta', 'gamma', 'delta', 'eps', 'zeta'})\nprint(x)"
    ),
    fenced("found = lookup('keeper')\nprint(found, len(P))"),
    fenced(f"answers = llm_batch([f'Question {{n}}' for n in range({FAN})])\nprint(answers[0])"),
    fenced(
        "hits = [hit['doc_id'] for hit in es_search('light')]\nparts = tool_batch('lookup', ['a', 'b'])\nprint(hits, parts)"
    ),
    fenced("one = llm_query('Last question')\nprint(one)"),
    fenced(
        "FINAL({'order': order, 'x': x, 'found': found, 'answers': answers, 'hits': hits, 'parts': parts, 'one': one})"
    ),
]


def turn_of(body: dict[str, Any]) -> int:
    return sum(message["role"] == "assistant" for message in body["messages"])


def is_sub(body: dict[str, Any]) -> bool:
    return "You are a sub-LLM" in body["messages"][0]["content"]


def answer(body: dict[str, Any]) -> str:
    """Reply as the model of `STEPS` does."""
    if is_sub(body):
        return f"<{body['messages'][-1]['content'][-12:]}>"
    return STEPS[turn_of(body)]


class Calls:
    """Counts what reaches the host, in a file that outlives a killed process."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, what: str) -> None:
        with self.path.open("a") as file:
            file.write(what + "\n")

    @property
    def made(self) -> Counter[str]:
        return Counter(self.path.read_text().split("\n")[:-1]) if self.path.exists() else Counter()


class Shelf:
    """A retriever of one document."""

    has_vectors = False

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def search(self, query: str, top_k: int = 10, filters: Any = None) -> list[dict[str, Any]]:
        self._calls.note(f"search {query}")
        return [{"doc_id": "shelf-1", "preview": f"about {query}", "score": 1.5, "metadata": {"year": 1901}}]

    hybrid_search = search

    def get(self, doc_id: str) -> dict[str, Any]:
        self._calls.note(f"get {doc_id}")
        return {"doc_id": doc_id, "content": "The light is on the rock.", "metadata": {}}


def options(job: dict[str, Any]) -> dict[str, Any]:
    calls = Calls(Path(job["calls"]))

    def lookup(word: str) -> str:
        """Look a word up."""
        calls.note(f"lookup {word}")
        return f"meaning of {word}"

    more = job.get("options", {})
    if job.get("tools", True):
        more = {"tools": [lookup], "retriever": Shelf(calls), **more}
    return {
        "policy": Policy(**job.get("policy", {})),
        "repl_backend": job.get("backend", "exec"),
        **more,
    }


def adapter(job: dict[str, Any]) -> OpenAICompatAdapter:
    return OpenAICompatAdapter("gpt-4.1", base_url=job["url"], api_key=KEY, context_window=job.get("window", 1_000_000))


def perform(job: dict[str, Any], listener: Any = None) -> Any:
    """Run or resume what a job says; return the result."""
    made = (SmartRouter if job.get("router") else RLM)(adapter(job), event_listener=listener, **options(job))
    if job.get("resume"):
        return made.resume(job["path"])
    return made.run(job.get("query", "Who?"), job.get("text", TEXT), checkpoint=job["path"], **job.get("how", {}))


def replies_recorded(path: str | Path) -> int:
    """Count the replies that a file holds, by reading a copy: what a killed process has left is not touched."""
    return sum(1 for kind, body in _rows(path) if kind == "call" and "reply" in body and "usage" in body)


def steps_recorded(path: str | Path) -> int:
    return sum(kind == "step" for kind, _ in _rows(path))


def _rows(path: str | Path) -> list[tuple[str, dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as folder:
        for name in (str(path), f"{path}-wal"):
            if Path(name).exists():
                shutil.copy(name, folder)
        copy = sqlite3.connect(Path(folder) / Path(path).name)
        try:
            rows = copy.execute("SELECT kind, body FROM records ORDER BY seq").fetchall()
        except sqlite3.OperationalError:  # nothing was written yet
            return []
        finally:
            copy.close()
    return [(kind, json.loads(body if body[:1] == b"{" else zlib.decompress(body))) for kind, body in rows]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_at_event(number: int) -> Any:
    """Return a listener that kills the process at the event of this number, from 1."""
    seen = 0

    def listen(_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            die()

    return listen


def _kill_in_write(number: int) -> None:
    """Kill the process in the middle of the transaction of this number: written, not committed."""
    original, count = Journal.write, 0

    class _Dying:
        def __init__(self, connection: Any) -> None:
            self._connection = connection

        def execute(self, statement: str, *values: Any) -> Any:
            if statement == "COMMIT":
                die()
            return self._connection.execute(statement, *values)

    def write(self: Any, *arguments: Any) -> None:
        nonlocal count
        count += 1
        if count == number:
            self._connection = _Dying(self._connection)
        original(self, *arguments)

    Journal.write = write  # type: ignore[method-assign]


def _in_child(job: dict[str, Any]) -> None:
    listener = None
    if "kill_at_event" in job:
        listener = _kill_at_event(job["kill_at_event"])
    if "kill_in_write" in job:
        _kill_in_write(job["kill_in_write"])
    if "kill_after" in job:
        timer = threading.Timer(job["kill_after"], die)
        timer.daemon = True
        timer.start()
    perform(job, listener)


def _import_all(names: str) -> None:
    """Import what an earlier child came to import, so that the others find it there."""
    for name in names.split():
        with suppress(Exception):
            import_module(name)


def main() -> None:
    modules = Path(sys.argv[1])
    for line in sys.stdin:
        if modules.exists():
            _import_all(modules.read_text())
            modules.unlink()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                known = set(sys.modules)
                job = json.loads(line)
                _in_child(job)
                if job.get("warm"):
                    modules.write_text("\n".join(name for name in sys.modules if name not in known))
                code = 0
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


class Nursery:
    """The process that starts the others; use as a context manager."""

    def __enter__(self) -> Self:
        here = Path(__file__)
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self._process = subprocess.Popen(
            [sys.executable, str(here), str(folder / "modules")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here.parent), str(here.parent.parent)])},
        )
        with LoopbackServer(answer) as server:
            for backend in ("exec", "monty"):
                self.run(
                    path=str(folder / backend), calls=str(folder / "calls"), url=server.url, backend=backend, warm=True
                )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._folder.cleanup()

    def run(self, **job: Any) -> int:
        """Run a job; return how its process ended, -9 where it was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


if __name__ == "__main__":
    main()
