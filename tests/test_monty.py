"""The monty backend: the conformance table, what is its own, and what it leaves behind."""

import asyncio
import os
import signal

import pytest
from repl_conformance import CASES, check_crash_and_replacement, check_variables, run_case

from pyrlm.repl.monty import MontyRepl


def kill(repl):
    os.kill(repl._thread.pid, signal.SIGKILL)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_case(case):
    asyncio.run(run_case(MontyRepl, case))


def test_a_killed_worker_is_replaced():
    asyncio.run(check_crash_and_replacement(MontyRepl, kill))


def test_variables_are_listed_and_fetched():
    asyncio.run(check_variables(MontyRepl))
