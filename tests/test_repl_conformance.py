"""Every case of `repl_conformance.py` on every backend."""

import asyncio
import os
import signal

import pytest
from repl_conformance import CASES, check_crash_and_replacement, check_variables, run_case
from repl_thread import ThreadRepl

from pyrlm.repl.exec_host import ExecRepl
from pyrlm.repl.monty import MontyRepl

BACKENDS = {"exec": ExecRepl, "monty": MontyRepl, "thread": ThreadRepl}
KILL = {
    "exec": lambda repl: os.kill(repl._process.pid, signal.SIGKILL),
    "monty": lambda repl: os.kill(repl._thread.pid, signal.SIGKILL),
    "thread": lambda repl: setattr(repl, "dead", True),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_case(backend, case):
    asyncio.run(run_case(BACKENDS[backend], case))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_killed_repl_is_replaced(backend):
    asyncio.run(check_crash_and_replacement(BACKENDS[backend], KILL[backend]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_variables_are_listed_and_fetched(backend):
    asyncio.run(check_variables(BACKENDS[backend]))
