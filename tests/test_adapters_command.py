"""Models on the command line: real small scripts, started for real."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from pyrlm.adapters import CommandAdapter, ModelResponse, RateLimit, Usage, acomplete
from pyrlm.adapters import processes as processes_module
from pyrlm.adapters.command import render
from pyrlm.errors import BadReplyError, ConfigurationError, ContextLengthError, ModelError, ModelUnavailableError
from pyrlm.redact import register_secret

HELLO = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello ü"}]
ECHO = "import sys; print('<' + sys.stdin.read() + '>')"


def python(code, *arguments, **options):
    return CommandAdapter([sys.executable, "-I", "-S", "-c", code, *arguments], **options)


def ask(adapter, messages=HELLO):
    return asyncio.run(asyncio.wait_for(acomplete(adapter, messages, 16, 0.5), 30))


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def until(reached):
    while not reached():  # noqa: ASYNC110 - another process is waited for
        await asyncio.sleep(0.01)


# The prompt and the reply


def test_the_prompt_goes_in_and_what_is_printed_is_the_reply():
    adapter = python(ECHO)
    assert ask(adapter) == ModelResponse("<be brief\n\nhello ü>", model=Path(sys.executable).name)


def test_the_prompt_may_be_the_last_argument_and_no_shell_reads_it():
    hostile = [{"role": "user", "content": "$(touch /tmp/pyrlm-pwned); `id` && echo 'x' | cat \\"}]
    code = "import sys; print(sys.argv[1:], repr(sys.stdin.read()))"
    reply = ask(python(code, "$HOME *", input="argument"), hostile)
    assert reply.text == f"{['$HOME *', hostile[0]['content']]} ''"
    assert not Path("/tmp/pyrlm-pwned").exists()


def test_a_prompt_of_megabytes_and_a_command_that_does_not_read_it():
    text = "word " * 1_000_000
    assert ask(python("import sys; print(len(sys.stdin.read()))"), [{"role": "user", "content": text}]).text == str(
        len(text)
    )
    assert ask(python("print('unread')"), [{"role": "user", "content": text}]).text == "unread"


def test_a_conversation_is_rendered_plainly():
    said = [
        {"role": "system", "content": "rules"},
        {"role": "user", "content": "q1"},
        {"role": "assistant", "content": "<think>secret</think>a1"},
        {"role": "user", "content": "q2"},
    ]
    assert render(said) == (
        "rules\n\n[user]\nq1\n\n[assistant]\na1\n\n[user]\nq2\n\n"
        "[Write the assistant's next message, without this heading.]"
    )
    assert render(said[:2]) == "rules\n\nq1"
    assert render([]) == ""


def test_output_is_parsed_by_a_function_of_ones_own():
    code = 'print(\'{"result": "four", "usage": {"input_tokens": 5, "output_tokens": 1}}\')'

    def parse(output):
        data = json.loads(output)
        return ModelResponse(data["result"], usage=data["usage"])

    reply = ask(python(code, response_parser=parse))
    assert (reply.text, reply.usage) == ("four", Usage(input_tokens=5, output_tokens=1))
    assert ask(python(code, response_parser=str.upper)).text.startswith('{"RESULT"')
    with pytest.raises(BadReplyError, match=r"response_parser failed: JSONDecodeError.*'no json\\n'"):
        ask(python("print('no json')", response_parser=parse))
    with pytest.raises(ConfigurationError, match="response_parser returned int"):
        ask(python(code, response_parser=len))


# The environment


def test_only_what_is_given_or_allowed_is_inherited(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-hosts-own")
    monkeypatch.setenv("MY_MODEL_KEY", "sk-for-this-model")
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    seen = json.loads(
        ask(
            python(code, env={"GIVEN_TOKEN": "tok-ünïcode", "X": "1\n"}, inherit_env=["MY_MODEL_KEY", "UNSET_NAME"])
        ).text
    )
    assert seen["GIVEN_TOKEN"] == "tok-ünïcode"
    assert (seen["X"], seen["MY_MODEL_KEY"], seen["PATH"]) == ("1\n", "sk-for-this-model", os.environ["PATH"])
    assert "OPENAI_API_KEY" not in seen
    assert "UNSET_NAME" not in seen
    allowed = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"}
    assert set(seen) - allowed == {"GIVEN_TOKEN", "X", "MY_MODEL_KEY"}


def test_it_runs_in_the_folder_that_is_given(tmp_path):
    assert ask(python("import os; print(os.getcwd())", cwd=tmp_path)).text == str(tmp_path)


# Failures


def test_an_exit_code_is_an_error_with_the_end_of_what_it_said_and_no_key():
    register_secret("sk-command-secret-1")
    code = "import sys; sys.stderr.write('x' * 9000 + ' bad key sk-command-secret-1 and ' + sys.argv[1]); sys.exit(3)"
    with pytest.raises(ModelError, match=r"ended with exit code 3: …x+ bad key \[secret\] and \[secret\]") as caught:
        ask(python(code, "tok-in-env-77", env={"MY_TOKEN": "tok-in-env-77"}))
    assert type(caught.value) is ModelError
    assert len(str(caught.value)) < 900
    with pytest.raises(ModelError, match=r"exit code 1: said on standard output"):
        ask(python("import sys; print('said on standard output'); sys.exit(1)"))
    with pytest.raises(ModelError, match=r"was ended by signal 9"):
        ask(python("import os; os.kill(os.getpid(), 9)"))


def test_a_prompt_that_is_too_long_for_the_command_is_told_as_such():
    code = "import sys; sys.stderr.write('prompt is too long: 212345 tokens > 200000 maximum'); sys.exit(1)"
    with pytest.raises(ContextLengthError) as caught:
        ask(python(code))
    assert caught.value.limit == 200_000


def test_what_can_not_be_started_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match="'no-such-program' is not found on PATH"):
        CommandAdapter(["no-such-program"])
    with pytest.raises(ConfigurationError, match="no shell reads it"):
        CommandAdapter("claude -p")
    with pytest.raises(ConfigurationError, match="input='file'"):
        python("", input="file")
    with pytest.raises(ConfigurationError, match=r"write \['KEY'\]"):
        python("", inherit_env="KEY")
    with pytest.raises(ConfigurationError, match="timeout=0"):
        python("", timeout=0)
    program = tmp_path / "model"
    program.write_text(f"#!{sys.executable}\nprint('hi')\n", encoding="utf-8")
    program.chmod(0o755)
    adapter = CommandAdapter([str(program)])
    assert ask(adapter).text == "hi"
    program.unlink()
    with pytest.raises(ModelUnavailableError, match="could not be started"):
        ask(adapter)


def test_too_long_an_argument_is_told():
    with pytest.raises(ContextLengthError, match="use input='stdin'"):
        ask(python("", input="argument"), [{"role": "user", "content": "x" * 3_000_000}])


FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1], sys.argv[1] + ".ready")
time.sleep(float(sys.argv[2]))
print("done", flush=True)
"""


def family(path):
    return [int(pid) for pid in Path(f"{path}.ready").read_text(encoding="utf-8").split()]


def test_the_time_limit_kills_the_command_and_what_it_started(tmp_path):
    with pytest.raises(ModelUnavailableError, match=r"no complete reply within 1 s \(timeout\); it was killed"):
        ask(python(FAMILY, str(tmp_path / "pids"), "600", timeout=1))
    asyncio.run(asyncio.wait_for(until(lambda: not any(map(alive, family(tmp_path / "pids")))), 10))


def test_cancelling_kills_the_command_and_what_it_started(tmp_path):
    async def main():
        task = asyncio.create_task(acomplete(python(FAMILY, str(tmp_path / "pids"), "600"), HELLO, 16))
        await until(lambda: Path(f"{tmp_path / 'pids'}.ready").exists())
        leader, _ = family(tmp_path / "pids")
        assert alive(leader)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not alive(leader)
        await until(lambda: not any(map(alive, family(tmp_path / "pids"))))

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_child_that_holds_the_output_open_does_not_hold_the_reply(tmp_path):
    assert ask(python(FAMILY, str(tmp_path / "pids"), "0", timeout=25)).text == "done"
    asyncio.run(asyncio.wait_for(until(lambda: not any(map(alive, family(tmp_path / "pids")))), 10))


def test_endless_output_is_stopped(monkeypatch):
    monkeypatch.setattr(processes_module, "_MOST_OUTPUT_BYTES", 200_000)
    with pytest.raises(BadReplyError, match="printed more than 200,000 bytes; it was killed"):
        ask(python("while True: print('x' * 1000)"))
    code = "import sys; print('kept'); sys.stderr.write('e' * 1_000_000)"
    assert ask(python(code)).text == "kept"


# Many at once


def test_calls_at_once_over_loops_and_threads_get_their_own_replies():
    adapter, replies = python(ECHO), {}

    async def fan_out(name):
        prompts = [[{"role": "user", "content": f"{name}-{n}"}] for n in range(6)]
        for prompt, reply in zip(
            prompts, await asyncio.gather(*(acomplete(adapter, p, 16) for p in prompts)), strict=True
        ):
            replies[prompt[0]["content"]] = reply.text

    threads = [threading.Thread(target=lambda n=n: asyncio.run(fan_out(n))) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert replies == {f"{t}-{n}": f"<{t}-{n}>" for t in range(3) for n in range(6)}


def test_a_rate_limit_holds_back_commands(tmp_path):
    code = (
        "import os, sys, time; name = os.path.join(sys.argv[1], 'p%d' % os.getpid()); open(name, 'w').close(); "
        "time.sleep(0.05); print(len(os.listdir(sys.argv[1]))); os.unlink(name)"
    )
    adapter = python(code, str(tmp_path), rate_limit=RateLimit(concurrency=2, name="commands"))

    async def main():
        return [int(reply.text) for reply in await asyncio.gather(*(acomplete(adapter, HELLO, 16) for _ in range(8)))]

    assert max(asyncio.run(main())) <= 2


def test_no_file_descriptor_or_zombie_is_left():
    def count():
        return len(list(Path("/proc/self/fd").iterdir()))

    async def main():
        await acomplete(python("print(1)"), HELLO, 16)
        before = count()
        for code in ("print(1)", "import sys; sys.exit(1)", "import time; time.sleep(60)"):
            with pytest.raises(ModelError) if "print" not in code else _nothing():
                await acomplete(python(code, timeout=0.5), HELLO, 16)
        await asyncio.sleep(0)
        return count() - before

    assert asyncio.run(main()) <= 0
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    deadline = time.monotonic() + 10
    while children.exists() and children.read_text(encoding="utf-8").split() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not children.exists() or not children.read_text(encoding="utf-8").split()


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False
