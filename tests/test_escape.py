"""Attempts to escape, exhaust or tamper, on the exec backend: none succeeds, the host lives, the next step works."""

import asyncio
import collections
import json

import pytest
from escapes import FILES, TIMEOUT, attempts, host_that_can_be_hurt, kernel_alone, run_all

KINDS = sorted({one["kind"] for one in attempts()})
GRACE = 2.0
NOISE = 4.0  # seconds that a busy machine may add


@pytest.mark.parametrize("kind", KINDS)
def test_no_attempt_succeeds(kind):
    chosen = [one for one in attempts() if one["kind"] == kind]
    with host_that_can_be_hurt() as got:
        outcomes = asyncio.run(run_all(chosen, got))
    assert len(outcomes) == len(chosen)
    assert [outcome for outcome in outcomes if outcome.succeeded] == []
    assert [outcome for outcome in outcomes if not outcome.next_step_works] == []
    assert [outcome for outcome in outcomes if outcome.seconds > TIMEOUT + GRACE + NOISE] == []


def test_the_kernel_layers_hold_alone(tmp_path):
    chosen = [one for one in attempts() if not one["kind"].startswith("dos")]
    with host_that_can_be_hurt() as got:
        outcomes = asyncio.run(run_all(chosen, got, kernel_alone(tmp_path)))
    # ctypes computes within the worker's own memory; nothing but the audit hook is meant to stop that
    assert {outcome.name for outcome in outcomes if outcome.succeeded} <= {
        "raw_ctypes_again",
        "raw_ctypes_subclass",
        "raw_ctypes_read_memory",
    }
    assert sum(outcome.stopped_by.startswith("kernel") for outcome in outcomes) >= 40


def test_the_corpora_are_whole():
    counts = [len(file.read_text().splitlines()) for file in FILES]
    assert counts[0] == 115
    assert counts[1] >= 40
    names = collections.Counter(one["name"] for one in attempts())
    assert max(names.values()) == 1
    assert all(json.dumps(one) for one in attempts())
