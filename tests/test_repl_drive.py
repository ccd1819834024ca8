"""What the backends share: the names over a text, calls answered as tasks, and the clock of the code."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from pyrlm.context import Context
from pyrlm.redact import register_secret
from pyrlm.repl.common import cut_middle, error_named, pick_first_answer
from pyrlm.repl.drive import CodeClock, FunctionTable, HostCalls
from pyrlm.repl.functions import context_functions

DOCS = ["Total: 12 EUR\nsecond line", "Name:\n  Zoë \n中文 end"]


def call(name, *args, **kwargs):
    return asyncio.run(context_functions(Context.from_documents(DOCS))[name](*args, **kwargs))


def test_the_names_over_a_text():
    joined = "\n\n".join(DOCS)
    assert call("peek", 5) == joined[:5]
    assert call("tail", 3) == joined[-3:]
    assert call("tail", 0) == ""
    assert call("tail", 10**6) == call("peek", 10**6) == joined
    assert call("lenP") == call("ctx.len_chars") == len(joined)
    assert call("ctx.num_documents") == 2
    assert call("ctx.metadata")["num_documents"] == 2
    assert call("ctx.find", "Zoë")[0][2:] == ("Zoë", 1, 2)
    assert "".join(call("ctx.chunk", 7)) == joined


def test_what_follows_a_marker():
    assert call("extract_after", "Total:") == "12 EUR"
    assert call("extract_after", "Total:", max_len=3) == "12"
    assert call("extract_after", "Name:") == "Zoë"
    assert call("extract_after", "end") == ""
    assert call("extract_after", "absent") is None


def test_the_first_answer_is_neither_abstention_nor_failure():
    assert pick_first_answer(["NO_ANSWER", "NO_ANSWER.", "", "[sub-call failed: 500]", "yes"]) == "yes"
    assert pick_first_answer(["NO_ANSWER", None]) is None


@given(st.text(), st.integers(0, 300))
def test_cutting_keeps_the_limit_and_says_the_size(text, limit):
    cut = cut_middle(text * 20, limit)
    assert len(cut) <= max(limit, len(cut_middle("x" * 10_000_000, 0)))
    if len(text * 20) > limit:
        assert f"{len(text * 20):,} characters" in cut


def test_errors_by_name():
    assert type(error_named("KeyError", "k")) is KeyError
    odd = error_named("MaxSubcallsExceeded", "none left")
    assert isinstance(odd, RuntimeError)
    assert type(odd).__name__ == "MaxSubcallsExceeded"
    for name in ("UnicodeDecodeError", "ExceptionGroup", "KeyboardInterrupt", "print", "no name"):
        assert isinstance(error_named(name, "m"), RuntimeError)


def answer(function, *args, **kwargs):
    return asyncio.run(FunctionTable({"f": function}).call("f", args, kwargs))


def test_wrong_arguments_name_the_function_and_what_it_takes():
    async def ask(question: str, text, *, limit=3):
        return limit

    got = answer(ask, "q")
    assert got.error_type == "TypeError"
    assert got.error == "f(question, text, *, limit=3): missing a required argument: 'text'"
    assert answer(ask, "q", "t", limit=5).value == 5


def test_a_type_error_from_within_is_told_as_it_is():
    async def broken(text):
        return len(5)

    assert answer(broken, "x").error == "object of type 'int' has no len()"


def test_errors_are_cut_and_hold_no_key():
    register_secret("sk-very-secret-key")

    async def leaks():
        raise OSError("no access with sk-very-secret-key " + "x" * 100_000)

    got = answer(leaks)
    assert "secret-key" not in got.error
    assert len(got.error) <= 2_000


def test_calls_end_when_they_are_cancelled():
    async def main():
        clock = CodeClock()
        told = []

        async def never():
            await asyncio.Event().wait()

        calls = HostCalls(FunctionTable({"never": never}), max_calls=5, clock=clock)
        for _ in range(3):
            calls.start("never", [], {}, told.append)
        await asyncio.sleep(0)
        assert calls.outstanding == 3
        await calls.cancel()
        assert (calls.outstanding, told, calls.count) == (0, [], 3)

    asyncio.run(main())


def test_the_clock_stands_still_while_the_host_is_asked_and_counts_processor_time(monkeypatch):
    now, cpu = 100.0, 0.0
    monkeypatch.setattr("pyrlm.repl.drive.time.monotonic", lambda: now)
    clock = CodeClock(lambda: cpu)
    now += 1
    clock.wait()
    clock.wait()
    now += 10
    cpu += 0.5
    assert clock.elapsed == 1.5
    clock.go_on()
    now += 10
    clock.go_on()
    now += 2
    clock.stop()
    now += 100
    assert (clock.elapsed, clock.waited) == (3.5, 19.5)
