"""``pyrlm ask`` as a shell sees it: real processes, exit codes, pipes, a terminal, Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest
from openai_server import LoopbackServer, Reply, Stall, Status

from pyrlm.trace import Trace

NOTE = "The kettle in the kitchen boils at 96 degrees.\n\nThe door is painted [/b] green.\n"
ASKED = "At how many degrees does the kettle boil?"
COMMAND = [sys.executable, "-c", "from pyrlm.cli import main; main()", "ask"]


@pytest.fixture
def home(tmp_path):
    (tmp_path / "note.md").write_text(NOTE)
    return tmp_path


def environment(home, **more):
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}
    kept.pop("PYRLM_MODEL", None)
    return kept | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "COLUMNS": "200"} | more


def ask(home, *arguments, stdin=None, **more):
    return subprocess.run(
        [*COMMAND, *arguments], cwd=home, env=environment(home, **more), input=stdin, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def over(server):
    return {"LLM_BASE_URL": server.url, "LLM_API_KEY": "sk-secret-secret-secret"}


def test_an_answer_with_its_passage_route_and_what_it_took(home):
    ran = ask(home, ASKED, "note.md", "--model", "extractive:")
    assert ran.returncode == 0, ran.stderr
    first, *_ = ran.stdout.splitlines()
    assert first == "The kettle in the kitchen boils at 96 degrees."
    assert "note.md:1" in ran.stdout
    for words in ("route baseline", "why: at most", "0 steps", "1 model calls", "tokens", " s\n", "ExtractiveAdapter"):
        assert words in ran.stdout
    assert ran.stderr == ""


def test_the_model_may_come_from_the_environment(home):
    assert ask(home, ASKED, "note.md", PYRLM_MODEL="extractive:").returncode == 0
    without = ask(home, ASKED, "note.md")
    assert without.returncode == 2
    told = re.search(r"`--model (\S+)` works offline", " ".join(without.stderr.replace("│", " ").split()))
    assert told, without.stderr
    assert ask(home, ASKED, "note.md", "--model", told[1]).returncode == 0


def test_json_is_all_that_is_printed(home):
    ran = ask(home, ASKED, "note.md", "--model", "extractive:", "--json", "--no-cache")
    result = json.loads(ran.stdout)
    assert (ran.returncode, result["status"], result["method"]) == (0, "answered", "baseline")
    assert result["citations"][0]["source"] == "note.md"
    assert ran.stderr == ""


def test_explain_prints_the_decision(home):
    ran = ask(home, ASKED, "note.md", "--model", "extractive:", "--explain")
    assert "Route baseline (rule 5)" in ran.stdout
    assert "Would decide otherwise" in ran.stdout


def test_standard_input_folders_and_globs_are_read(home):
    piped = ask(home, ASKED, "-", "--model", "extractive:", stdin=NOTE)
    assert "<stdin>:1" in piped.stdout
    (home / "folder").mkdir()
    (home / "folder" / "a.txt").write_text("The cellar is flooded.\n")
    for path in ("folder", "folder/*.txt", "**/a.txt"):
        ran = ask(home, "What is flooded?", path, "--model", "extractive:")
        assert ran.stdout.startswith("The cellar is flooded.")


def test_what_can_not_be_read_is_reported_and_passed_over(home):
    (home / "image.bin").write_bytes(bytes(range(256)) * 40)
    ran = ask(home, ASKED, "note.md", "image.bin", "gone.md", "--model", "extractive:")
    assert ran.returncode == 0
    assert "skipped image.bin: " in ran.stderr
    assert "skipped gone.md: no such file or folder" in ran.stderr
    assert "skipped" not in ran.stdout


def test_no_answer_has_its_own_exit_code(home):
    ran = ask(home, "Who composed the opera Carmen?", "note.md", "--model", "extractive:")
    assert ran.returncode == 3
    assert ran.stdout.startswith("No answer")


def test_a_limit_has_its_own_exit_code_and_is_named(home):
    ran = ask(home, ASKED, "note.md", "--model", "extractive:", "--max-tokens", "50")
    assert ran.returncode == 4
    assert "limit met: max_total_tokens" in ran.stdout


def test_a_model_that_fails_is_an_error_and_its_key_is_not_shown(home):
    with LoopbackServer(lambda body: Status(401, "bad key sk-secret-secret-secret")) as server:
        ran = ask(home, ASKED, "note.md", "--model", "openai-compatible:m", **over(server))
    assert ran.returncode == 1
    assert "LLM_API_KEY" in ran.stdout + ran.stderr
    assert "sk-secret" not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([ASKED], "Missing argument 'PATH...'"),
        (["", "note.md", "--model", "extractive:"], "empty query"),
        ([ASKED, "note.md"], "--model provider:name"),
        ([ASKED, "note.md", "--model", "nope:x"], "no provider is called 'nope'"),
        ([ASKED, "note.md", "--model", "openai:x"], "OPENAI_API_KEY"),
        ([ASKED, "note.md", "--model", "extractive:", "--sub-model", "nope:x"], "'nope'"),
        ([ASKED, "note.md", "--model", "extractive:", "--profile", "quick"], "deterministic_first"),
        ([ASKED, "note.md", "--model", "extractive:", "--repl", "shell"], "monty"),
        ([ASKED, "note.md", "--model", "extractive:", "--route", "far"], "select"),
        ([ASKED, "note.md", "--model", "extractive:", "--max-cost", "-1"], "--max-cost"),
        ([ASKED, "note.md", "--model", "extractive:", "--trace", "no/such/folder/t.jsonl"], "trace"),
        ([ASKED, "gone.md", "--model", "extractive:"], "Nothing to read in gone.md"),
        ([ASKED, "note.md", "--bogus"], "--bogus"),
    ],
)
def test_usage_errors_say_what_was_expected_and_where_help_is(home, arguments, words):
    ran = ask(home, *arguments)
    assert ran.returncode == 2
    assert words in ran.stderr
    assert "--help" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_help_names_every_option_of_the_documented_line(home):
    ran = ask(home, "--help")
    assert ran.returncode == 0
    for option in ("--model", "--sub-model", "--profile", "--repl", "--max-cost", "--explain", "--json", "--trace"):
        assert option in ran.stdout
    assert "0 answered, 1 error, 2 usage, 3 unanswered, 4 a limit" in " ".join(ran.stdout.split())


def test_the_trace_is_written_as_json_lines(home):
    ran = ask(
        home, ASKED, "note.md", "--model", "extractive:", "--trace", "t.jsonl", "--repl", "exec", "--route", "rlm"
    )
    assert ran.returncode == 0
    trace = Trace.from_json_lines((home / "t.jsonl").read_text().splitlines())
    assert {"root_call", "repl_exec", "run_finished"} <= {step.kind for step in trace.steps}


@pytest.mark.parametrize("backend", ["exec", "monty"])
def test_both_repl_backends(home, backend):
    ran = ask(home, ASKED, "note.md", "--model", "extractive:", "--route", "rlm", "--repl", backend)
    assert (ran.returncode, ran.stdout.splitlines()[0]) == (0, "The kettle in the kitchen boils at 96 degrees.")


def test_profile_and_sub_model_reach_the_run(home):
    with LoopbackServer(lambda body: "The kettle in the kitchen boils at 96 degrees.") as server:
        more = ["--model", "extractive:", "--sub-model", "openai-compatible:small", "--json", "--route", "rlm"]
        ran = ask(home, ASKED, "note.md", *more, "--profile", "semantic_batches", **over(server))
    assert json.loads(ran.stdout)["profile"] == "semantic_batches"
    assert "You are a sub-LLM" in server.bodies[0]["messages"][0]["content"]
    assert server.bodies[0]["model"] == "small"


def test_a_money_limit_without_a_price_sends_nothing(home):
    with LoopbackServer() as server:
        ran = ask(home, ASKED, "note.md", "--model", "openai-compatible:m", "--max-cost", "0.5", **over(server))
    assert (ran.returncode, server.bodies) == (2, [])
    assert "max_cost_usd=0.5" in ran.stderr
    assert "--price" in ran.stderr
    assert ask(home, ASKED, "note.md", "--model", "extractive:", "--max-cost", "0.5").returncode == 0


def test_a_price_that_is_given_keeps_the_limit_and_is_shown_by_model(home):
    quoted = "96 degrees\n<quotes>\n<quote>boils at 96 degrees</quote>\n</quotes>"
    arguments = ["note.md", "--model", "openai-compatible:m", "--max-cost", "5", "--price", "100,200"]
    with LoopbackServer([Reply(quoted, usage={"prompt_tokens": 100, "completion_tokens": 10})]) as server:
        ran = ask(home, ASKED, *arguments, **over(server))
    assert (ran.returncode, len(server.bodies)) == (0, 1), ran.stderr
    assert "$0.0120," in ran.stdout
    with LoopbackServer(lambda body: "The kettle in the kitchen boils at 96 degrees.") as server:
        two = ["--model", "extractive:", "--sub-model", "openai-compatible:small", "--subcall-price", "100,200"]
        more = [*two, "--route", "rlm", "--profile", "semantic_batches", "--json"]
        ran = ask(home, ASKED, "note.md", *more, **over(server))
    costs = json.loads(ran.stdout)["costs"]
    assert costs["by_model"]["small"]["cost_usd"] == costs["total"]["cost_usd"] > 0


def test_a_price_that_can_not_be_read_says_what_is_expected(home):
    for wrong in ("2.5", "a,b", "1,-2", "nan,1", "1,2,3"):
        ran = ask(home, ASKED, "note.md", "--model", "extractive:", "--price", wrong)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert "two numbers" in ran.stderr
    ran = ask(home, ASKED, "note.md", "--model", "extractive:", "--subcall-price", "1,2")
    assert ran.returncode == 2
    assert "--sub-model" in ran.stderr


def test_nothing_is_taken_as_markup(home):
    with LoopbackServer(["[/b] [red]green[/red]\n<quotes>\n<quote>painted [/b] green</quote>\n</quotes>"]) as server:
        ran = ask(home, "What is [/b] painted?", "note.md", "--model", "openai-compatible:m", **over(server))
    assert ran.returncode == 0
    assert "[/b] [red]green[/red]" in ran.stdout
    assert "painted [/b] green" in ran.stdout


def test_a_reader_that_goes_away_is_no_traceback(home):
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" | head -c 1', "sh", *COMMAND, ASKED, "note.md", "--model", "extractive:"],
        cwd=home, env=environment(home), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr


def in_a_terminal(home, *arguments, until=None, **more):
    """Run with standard error on a terminal; return exit code, standard output and what the terminal showed."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=home, env=environment(home, TERM="xterm", **more), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    shown, deadline = b"", time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            if select.select([master], [], [], 0.05)[0]:
                try:
                    shown += os.read(master, 65536)
                except OSError:  # the other end is closed
                    break
            if until is not None and until(shown):
                process.send_signal(signal.SIGINT)
                until = None
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        os.close(master)
    return process.returncode, out.decode(), shown.decode(errors="replace")


def test_a_terminal_shows_progress_and_the_pipe_beside_it_does_not(home):
    question = "What is the door [/b] painted?"
    code, out, shown = in_a_terminal(home, question, "note.md", "--model", "extractive:", "--route", "rlm")
    assert code == 0
    assert "model calls" in shown
    assert "code" in shown
    assert "painted [/b] green" in shown
    assert "model calls," not in out.splitlines()[0]
    assert "\x1b" not in out
    _, _, silent = in_a_terminal(home, question, "note.md", "--model", "extractive:", "--quiet")
    assert silent.strip() == ""


def on_a_terminal(home, *arguments, **more):
    """Run with standard output on a terminal; return exit code and the moments at which something was shown."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=home, env=environment(home, TERM="dumb", **more), stdin=subprocess.DEVNULL,
        stdout=slave, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    moments = []
    try:
        while True:
            try:
                moments.append(os.read(master, 65536).decode())
            except OSError:  # the other end is closed
                break
        process.communicate(timeout=30)
    finally:
        process.kill()
        os.close(master)
    return process.returncode, moments


def test_an_answer_is_printed_as_it_is_written_where_the_output_is_a_terminal(home):
    said = "The door of the house by the harbour is painted green, as the note says in its first line."
    reply = Reply(f"{said}\n<quotes>\n<quote>painted green</quote>\n</quotes>", pause=0.02)
    wrong = Reply(f"{said}\n<quotes>\n<quote>painted blue</quote>\n</quotes>")
    arguments = ["What is the door painted?", "note.md", "--model", "openai-compatible:m", "--stream", "--no-cache"]
    (home / "note.md").write_text("The door is painted green.\n")
    with LoopbackServer([reply, wrong, reply, reply]) as server:
        server_at = {"LLM_BASE_URL": server.url, "LLM_API_KEY": "test-key"}
        code, moments = on_a_terminal(home, *arguments, **server_at)
        withdrawn = "".join(on_a_terminal(home, *arguments, **server_at)[1])
    with LoopbackServer([reply]) as server:
        server_at = {"LLM_BASE_URL": server.url, "LLM_API_KEY": "test-key"}
        piped = ask(home, *arguments, **server_at)
    shown = "".join(moments)
    assert code == 0
    assert len(moments) > 5
    assert shown.count("painted green, as the note") == 1
    assert "quote>" not in shown
    assert "route baseline" in shown
    assert "[withdrawn: 1 of 1 quotes are not in the text]" in withdrawn
    assert piped.stdout.startswith(said)


def test_ctrl_c_ends_the_run_at_once(home):
    with LoopbackServer(lambda body: Stall(60)) as server:
        code, out, shown = in_a_terminal(
            home, ASKED, "note.md", "--model", "openai-compatible:m", until=lambda _: server.bodies, **over(server)
        )
    assert code == 130
    assert "stopped" in shown
    assert "Traceback" not in shown + out


def test_progress_does_not_hide_a_slow_models_answer(home):
    with LoopbackServer(lambda body: Reply("96 degrees", delay=0.5)) as server:
        code, out, shown = in_a_terminal(home, ASKED, "note.md", "--model", "openai-compatible:m", **over(server))
    assert (code, out.splitlines()[0]) == (0, "96 degrees")
    assert "\x1b[?25h" in shown  # the cursor is shown again
