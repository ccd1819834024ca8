"""Replies on disk: what is kept, what is not, and what a damaged or hostile folder can do (nothing)."""

import asyncio
import logging
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrlm.adapters.base import ModelResponse, Usage
from pyrlm.cache import DiskCache
from pyrlm.cache_store import user_directory
from pyrlm.errors import (
    AuthenticationError,
    ConfigurationError,
    ContextLengthError,
    MaxTokensExceeded,
    ModelUnavailableError,
)

CALL = {
    "endpoint": "https://api.example.com/v1",
    "model": "m",
    "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}],
    "max_tokens": 100,
    "temperature": 0.0,
    "options": {"seed": 1},
    "schema": None,
}
REPLY = ModelResponse(
    "Paris — 巴黎 \ud83d", usage={"prompt_tokens": 7, "completion_tokens": 3}, finish_reason="stop", model="m-2026"
)


@pytest.fixture
def cache(tmp_path):
    with DiskCache(tmp_path / "cache") as opened:
        yield opened


class Model:
    """Counts its calls; gives what it is told to, one after the other, the last for good."""

    def __init__(self, *replies):
        self.replies = list(replies or [REPLY])
        self.calls = 0
        self.called = asyncio.Event()

    async def __call__(self):
        self.calls += 1
        self.called.set()
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        await asyncio.sleep(0.01)
        if isinstance(reply, BaseException):
            raise reply
        return reply


def database(cache):
    return sqlite3.connect(Path(cache.directory) / "cache.db")


def test_a_reply_comes_back_as_it_was(cache):
    key = cache.key(**CALL)

    async def main():
        assert await cache.get(key) is None
        assert await cache.put(key, REPLY)
        return await cache.get(key)

    found = asyncio.run(main())
    assert found == ModelResponse(
        REPLY.text, usage=Usage(input_tokens=7, output_tokens=3), finish_reason="stop", model="m-2026"
    )


def test_a_hit_makes_no_call_and_says_so(cache):
    model = Model()
    key = cache.key(**CALL)
    first = asyncio.run(cache.fetch(key, model))
    second = asyncio.run(cache.fetch(key, model))
    assert (first[1], second[1], model.calls) == ("miss", "hit", 1)
    assert second[0].usage == Usage(input_tokens=7, output_tokens=3)


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": "https://api.example.org/v1"},
        {"endpoint": None},
        {"model": "m2"},
        {"messages": [{"role": "system", "content": "other"}, {"role": "user", "content": "q"}]},
        {"messages": [{"role": "user", "content": "s"}, {"role": "user", "content": "q"}]},
        {"messages": [{"role": "user", "content": "q"}]},
        {"max_tokens": 101},
        {"temperature": 0.7},
        {"temperature": None},
        {"options": {"seed": 2}},
        {"options": {}},
        {"schema": {"type": "object"}},
        {"adapter": "GenericChatAdapter"},
        {"identity": ["deployment", "b"]},
    ],
)
def test_everything_that_can_change_the_answer_is_in_the_key(change):
    assert DiskCache.key(**{**CALL, **change}) != DiskCache.key(**CALL)


def test_what_cannot_change_the_answer_is_not_in_the_key():
    turned = [dict(reversed(message.items())) for message in CALL["messages"]]
    assert DiskCache.key(**{**CALL, "messages": turned, "temperature": 0}) == DiskCache.key(**CALL)


@given(left=st.lists(st.text(), max_size=3), right=st.lists(st.text(), max_size=3))
def test_two_conversations_have_one_key_only_if_they_are_equal(left, right):
    def key(contents):
        return DiskCache.key(**{**CALL, "messages": [{"role": "user", "content": text} for text in contents]})

    assert (key(left) == key(right)) == (left == right)


def test_an_option_that_is_no_json_is_refused_by_name():
    with pytest.raises(ConfigurationError, match="type object"):
        DiskCache.key(**{**CALL, "options": {"handler": object()}})


@pytest.mark.parametrize(
    "reply",
    [
        ModelResponse(""),
        ModelResponse(" \n", finish_reason="stop"),
        ModelResponse("cut o", finish_reason="length"),
        ModelResponse("cut o", finish_reason="MAX_TOKENS"),
        ModelResponse("half", finish_reason="content_filter"),
        ModelResponse("half", finish_reason="error"),
        ModelResponse("I can't", finish_reason="stop", refusal="I can't help with that"),
    ],
)
def test_an_empty_cut_or_refused_reply_is_asked_for_again(cache, reply):
    model = Model(reply, REPLY)
    key = cache.key(**CALL)
    assert asyncio.run(cache.fetch(key, model)) == (reply, "miss")
    assert asyncio.run(cache.fetch(key, model)) == (REPLY, "miss")


def test_a_failed_call_keeps_nothing(cache):
    key = cache.key(**CALL)
    with pytest.raises(ModelUnavailableError):
        asyncio.run(cache.fetch(key, Model(ModelUnavailableError("down"))))
    assert asyncio.run(cache.get(key)) is None


# Damage and hostility


@pytest.mark.parametrize("where", ["value", "file", "key"])
def test_a_planted_pickle_is_never_loaded(cache, tmp_path, where, monkeypatch):
    marker = tmp_path / "ran"
    evil = pickle.dumps(_Evil(str(marker)))
    key = cache.key(**CALL)
    asyncio.run(cache.put(key, REPLY))
    connection = database(cache)
    if where == "value":
        connection.execute("UPDATE Cache SET mode = 4, value = ?", (evil,))
    elif where == "file":
        (Path(cache.directory) / "evil.val").write_bytes(evil)
        connection.execute("UPDATE Cache SET mode = 4, value = NULL, filename = 'evil.val'")
    else:
        connection.execute("UPDATE Cache SET raw = 0, key = ?", (evil,))
    connection.commit()
    connection.close()
    assert asyncio.run(cache.get(key)) is None
    assert asyncio.run(cache.fetch(key, Model()))[1] == "miss"
    assert asyncio.run(cache.fetch(key, Model()))[1] == "hit"
    assert not marker.exists()


class _Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (_mark, (self.path,))


def _mark(path):
    Path(path).write_text("ran")


def test_the_planted_pickle_would_run_where_it_is_loaded(tmp_path):
    pickle.loads(pickle.dumps(_Evil(str(tmp_path / "ran"))))
    assert (tmp_path / "ran").exists()


def test_a_planted_file_name_neither_reads_nor_removes_outside_of_the_folder(cache, tmp_path):
    outside = tmp_path / "precious"
    outside.write_text('{"text": "secret", "usage": null, "finish_reason": "stop", "model": null}')
    key = cache.key(**CALL)
    asyncio.run(cache.put(key, REPLY))
    connection = database(cache)
    connection.execute("UPDATE Cache SET mode = 3, value = NULL, filename = '../precious'")
    connection.commit()
    connection.close()
    assert asyncio.run(cache.get(key)) is None
    assert asyncio.run(cache.put(key, REPLY))
    assert outside.exists()


@pytest.mark.parametrize(
    "entry",
    [
        "not json",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"text": 5, "usage": null, "finish_reason": "stop", "model": null}',
        '{"text": "x", "usage": [1], "finish_reason": "stop", "model": null}',
        '{"text": "x", "usage": {"input_tokens": "7"}, "finish_reason": "stop", "model": null}',
        '{"text": "x", "usage": {"input_tokens": -7}, "finish_reason": "stop", "model": null}',
        '{"text": "x", "usage": {"tokens": 7}, "finish_reason": "stop", "model": null}',
        '{"text": "x", "usage": null, "finish_reason": {}, "model": null}',
        '{"text": "", "usage": null, "finish_reason": "stop", "model": null}',
        "[" * 100_000,
        7,
        b"\x00\xff",
        None,
    ],
)
def test_an_entry_of_the_wrong_shape_is_a_miss_and_is_removed(cache, entry):
    key = cache.key(**CALL)
    asyncio.run(cache.put(key, REPLY))
    connection = database(cache)
    connection.execute("UPDATE Cache SET value = ?", (entry,))
    connection.commit()
    assert asyncio.run(cache.get(key)) is None
    assert connection.execute("SELECT count(*) FROM Cache").fetchone() == (0,)
    connection.close()
    assert asyncio.run(cache.fetch(key, Model()))[1] == "miss"
    assert asyncio.run(cache.fetch(key, Model()))[1] == "hit"


@pytest.mark.parametrize("damage", ["garbage", "empty", "middle", "table", "columns", "settings"])
def test_a_damaged_database_is_begun_anew(tmp_path, damage, caplog):
    keys = [DiskCache.key(**{**CALL, "max_tokens": number + 1}) for number in range(200)]

    async def fill(cache):
        for key in keys:
            await cache.put(key, REPLY)

    with DiskCache(tmp_path) as cache:
        asyncio.run(fill(cache))
    file = tmp_path / "cache.db"
    if damage == "garbage":
        file.write_bytes(os.urandom(8_192))
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "middle":
        content = bytearray(file.read_bytes())
        content[4_096:] = os.urandom(len(content) - 4_096)
        file.write_bytes(content)
    else:
        connection = sqlite3.connect(file)
        if damage == "table":
            connection.execute("DROP TABLE Cache")
            connection.execute("CREATE TABLE Cache (other)")
        elif damage == "columns":
            connection.execute("DROP TABLE Settings")
            connection.execute("CREATE TABLE Settings (key, value)")
        else:
            connection.execute("INSERT INTO Settings VALUES ('_disk', 'planted')")
            connection.execute("INSERT INTO Settings VALUES ('disk_evil', 1)")
        connection.commit()
        connection.close()
    with DiskCache(tmp_path) as cache:
        outcomes = [asyncio.run(cache.fetch(keys[0], Model()))[1] for _ in range(2)]
    assert outcomes[-1] == "hit"


@pytest.mark.parametrize("pause", [0.0, 30.0])
def test_a_folder_that_cannot_be_used_costs_one_warning_and_no_call(tmp_path, caplog, monkeypatch, pause):
    monkeypatch.setattr("pyrlm.cache_store._PAUSE_SECONDS", pause)
    (tmp_path / "file").write_text("no folder")
    model = Model()
    with caplog.at_level(logging.WARNING), DiskCache(tmp_path / "file" / "cache") as cache:
        for number in range(3):
            key = cache.key(**{**CALL, "max_tokens": number + 1})
            assert asyncio.run(cache.fetch(key, model)) == (REPLY, "miss")
    assert model.calls == 3
    assert len(caplog.records) == 1
    assert "calls go on without it" in caplog.text


def test_a_locked_database_is_left_alone(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("pyrlm.cache_store._LOCK_SECONDS", 0.05)
    with DiskCache(tmp_path) as cache:
        asyncio.run(cache.put(cache.key(**CALL), REPLY))
    holder = sqlite3.connect(tmp_path / "cache.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with caplog.at_level(logging.WARNING), DiskCache(tmp_path) as cache:
        outcomes = [asyncio.run(cache.fetch(cache.key(**CALL), Model()))[1] for _ in range(3)]
    holder.execute("ROLLBACK")
    holder.close()
    assert outcomes == ["miss"] * 3
    assert len(caplog.records) == 1
    with DiskCache(tmp_path) as cache:
        assert asyncio.run(cache.get(cache.key(**CALL))) is not None


def test_a_lock_taken_later_costs_the_writing_and_not_the_reading(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("pyrlm.cache_store._LOCK_SECONDS", 0.05)
    other = DiskCache.key(**{**CALL, "model": "m2"})
    with DiskCache(tmp_path) as cache:
        asyncio.run(cache.put(cache.key(**CALL), REPLY))
        holder = sqlite3.connect(tmp_path / "cache.db", isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        assert asyncio.run(cache.fetch(other, Model())) == (REPLY, "miss")
        assert asyncio.run(cache.fetch(cache.key(**CALL), Model()))[1] == "hit"
        holder.execute("ROLLBACK")
        holder.close()


def test_a_full_disk_is_no_error(tmp_path):
    # RLIMIT_FSIZE makes every write beyond it fail, as on a full disk.
    script = """
        import asyncio, resource, signal, sys
        from pyrlm.adapters.base import ModelResponse
        from pyrlm.cache import DiskCache
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        async def main():
            with DiskCache(sys.argv[1]) as cache:
                for number in range(20):
                    key = cache.key(endpoint=None, model=None, messages=[], max_tokens=number + 1, temperature=None)
                    async def call():
                        return ModelResponse("x" * 50_000, finish_reason="stop")
                    response, outcome = await cache.fetch(key, call)
                    assert len(response.text) == 50_000 and outcome == "miss"
        asyncio.run(main())
        print("done")
    """
    done = _python(script, tmp_path / "cache")
    assert done.stdout.strip() == "done", done.stderr
    assert done.stderr.count("calls go on without it") == 1
    assert "Traceback" not in done.stderr


def _python(script, *arguments):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# Size, expiry, folders


def test_the_size_limit_holds(tmp_path):
    reply = ModelResponse("x" * 20_000, finish_reason="stop")

    async def main(cache):
        keys = [cache.key(**{**CALL, "max_tokens": number + 1}) for number in range(150)]
        for key in keys:
            await cache.put(key, reply)
        return await cache.get(keys[0]), await cache.get(keys[-1])

    with DiskCache(tmp_path, size_limit=1_000_000) as cache:
        first, last = asyncio.run(main(cache))
    assert first is None
    assert last is not None
    assert (tmp_path / "cache.db").stat().st_size < 1_200_000


def test_a_reply_expires(tmp_path):
    with DiskCache(tmp_path, expire=0.05) as cache:
        key = cache.key(**CALL)
        asyncio.run(cache.put(key, REPLY))
        time.sleep(0.06)
        assert asyncio.run(cache.get(key)) is None


def test_nothing_is_made_on_disk_before_it_is_needed(tmp_path):
    with DiskCache(tmp_path / "cache"):
        pass
    assert not (tmp_path / "cache").exists()


def test_replies_are_readable_by_their_owner_only(cache):
    asyncio.run(cache.put(cache.key(**CALL), REPLY))
    assert Path(cache.directory).stat().st_mode & 0o077 == 0


def test_the_default_folder_is_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert user_directory() == str(tmp_path / "pyrlm" / "replies")
    with DiskCache() as cache:
        asyncio.run(cache.put(cache.key(**CALL), REPLY))
    assert (tmp_path / "pyrlm" / "replies" / "cache.db").exists()


@pytest.mark.parametrize("options", [{"size_limit": 0}, {"expire": 0}])
def test_sizes_and_times_of_nothing_are_refused(options):
    with pytest.raises(ConfigurationError, match="above 0"):
        DiskCache(**options)


# Side by side


def test_equal_calls_in_flight_share_one_request(cache):
    model = Model()
    key = cache.key(**CALL)

    async def main():
        return await asyncio.gather(*(cache.fetch(key, model) for _ in range(50)))

    found = asyncio.run(main())
    assert model.calls == 1
    assert sorted(outcome for _, outcome in found) == ["miss"] + ["shared"] * 49
    assert {response.text for response, _ in found} == {REPLY.text}


def test_another_takes_over_when_the_one_that_calls_is_cancelled(cache):
    model = Model()
    key = cache.key(**CALL)

    async def main():
        tasks = [asyncio.create_task(cache.fetch(key, model)) for _ in range(4)]
        await asyncio.wait_for(model.called.wait(), 10)
        tasks[0].cancel()
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(main())
    assert [type(one) for one in found[:2]] == [asyncio.CancelledError] * 2
    assert [outcome for _, outcome in found[2:]] == ["miss", "shared"]
    assert model.calls == 2


def test_after_one_failure_another_tries_once_and_that_holds_for_all(cache):
    key = cache.key(**CALL)

    async def main(model):
        return await asyncio.gather(*(cache.fetch(key, model) for _ in range(20)), return_exceptions=True)

    recovered = Model(ModelUnavailableError("down"), REPLY)
    found = asyncio.run(main(recovered))
    assert recovered.calls == 2
    assert sum(isinstance(one, ModelUnavailableError) for one in found) == 1
    asyncio.run(cache._on_desk(lambda store: store.remove(key)))
    down = Model(ModelUnavailableError("down", model="m", status=503, attempts=4))
    found = asyncio.run(main(down))
    assert down.calls == 2
    assert [(one.status, one.attempts) for one in found] == [(503, 4)] * 20
    # Each run writes its own trace into its own error; the two that called have the one that this model raises twice.
    assert len({id(one) for one in found}) == 19


@pytest.mark.parametrize("error", [AuthenticationError("wrong key"), ContextLengthError("too long", limit=9)])
def test_what_can_only_fail_the_same_way_fails_once_for_all(cache, error):
    model = Model(error)
    key = cache.key(**CALL)

    async def main():
        return await asyncio.gather(*(cache.fetch(key, model) for _ in range(10)), return_exceptions=True)

    found = asyncio.run(main())
    assert model.calls == 1
    assert {type(one) for one in found} == {type(error)}
    assert all(getattr(one, "limit", None) == getattr(error, "limit", None) for one in found)


def test_the_limit_of_one_run_is_not_anothers(cache):
    key = cache.key(**CALL)
    poor, rich = Model(MaxTokensExceeded("nothing left")), Model()

    async def main():
        tasks = [asyncio.create_task(cache.fetch(key, model)) for model in (poor, poor, poor, rich)]
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(main())
    assert [type(one) for one in found[:3]] == [MaxTokensExceeded] * 3
    assert found[3][1] == "miss"


def test_one_cache_serves_threads_each_with_a_loop_of_its_own(cache):
    outcomes = []

    def work(number):
        async def main():
            for step in range(10):
                key = cache.key(**{**CALL, "max_tokens": step + 1})
                response, outcome = await cache.fetch(key, Model(ModelResponse(f"reply {step}", finish_reason="stop")))
                assert response.text == f"reply {step}"
                outcomes.append(outcome)

        asyncio.run(main())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 60
    assert set(outcomes) <= {"hit", "miss"}


def test_processes_share_a_folder(tmp_path):
    script = """
        import asyncio, sys
        from pyrlm.adapters.base import ModelResponse
        from pyrlm.cache import DiskCache
        async def main():
            hits = 0
            with DiskCache(sys.argv[1]) as cache:
                for number in range(60):
                    key = cache.key(endpoint=None, model=None, messages=[], max_tokens=number + 1, temperature=None)
                    async def call():
                        return ModelResponse(f"reply {number}" * 100, finish_reason="stop")
                    response, outcome = await cache.fetch(key, call)
                    assert response.text == f"reply {number}" * 100
                    hits += outcome == "hit"
            print(hits)
        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    ended = [process.communicate(timeout=60) for process in running]
    assert [errors for _, errors in ended] == [""] * 4
    assert _python(script, tmp_path / "cache").stdout.strip() == "60"


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_fork_opens_the_cache_for_itself(cache):
    key = cache.key(**CALL)
    asyncio.run(cache.put(key, REPLY))
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        found = asyncio.run(cache.get(key))
        os._exit(0 if found is not None and found.text == REPLY.text else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert asyncio.run(cache.get(key)) is not None


def test_a_closed_cache_opens_again(cache):
    key = cache.key(**CALL)
    asyncio.run(cache.put(key, REPLY))
    cache.close()
    cache.close()
    assert asyncio.run(cache.get(key)) is not None
