"""Shared fixtures, and one net over the whole suite: what was once sent to a root model is sent again byte for byte."""

from __future__ import annotations

import itertools
from collections import defaultdict

import pytest

from pyrlm.calls import Caller


@pytest.fixture(autouse=True)
def append_only_transcripts(request, monkeypatch):
    """Check for every run of every test in this process that each root prompt begins with the one before it.

    Compaction is the one permitted cut, and `conversation_history=False` a choice of the caller's.
    """
    sent = defaultdict(list)
    callers = []  # kept, so that no two of them have the same id
    original = Caller.ask

    async def watched(self, model, call):
        if call.kind == "root_call":
            callers.append(self)
            opening = tuple(message["content"] for message in call.messages[:2])
            cuts = sum(step.kind == "compaction" for step in self.recorder.trace.steps)
            sent[id(self), opening].append((cuts, [dict(message) for message in call.messages]))
        return await original(self, model, call)

    monkeypatch.setattr(Caller, "ask", watched)
    yield
    if request.node.get_closest_marker("short_history"):
        return
    for prompts in sent.values():
        for (cuts_before, before), (cuts, after) in itertools.pairwise(prompts):
            if cuts == cuts_before:
                assert after[: len(before)] == before, "a message that was sent before has been changed or taken out"
