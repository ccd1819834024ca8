"""``pyrlm index``, ``search``, ``ask --in`` and ``doctor``: real processes, killed and interrupted in the middle."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import time

import pytest
from cli_process import pyrlm, started

from pyrlm.errors import RetrieverError
from pyrlm.retrievers import EmbeddedRetriever

MANY = 45_000
ASKED = "At how many degrees does the kettle boil?"


def filled(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "kettle.md").write_text("# Kitchen\n\nThe kettle boils at 96 degrees.\n")
    (tmp_path / "notes" / "door.txt").write_text("The door is [bold red]green[/]. \x1b[31mAnd\x07 loud.\n")
    (tmp_path / "rows.jsonl").write_text(
        "".join(
            json.dumps({"doc_id": f"row/{n}", "content": f"Row {n} is a row.", "year": 2000 + n}) + "\n"
            for n in range(9)
        )
    )
    return tmp_path


@pytest.fixture
def home(tmp_path):
    return filled(tmp_path)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with an index that no test changes."""
    return with_index(filled(tmp_path_factory.mktemp("kept")))


@pytest.fixture
def indexed(home):
    return with_index(home)


def with_index(home):
    ran = pyrlm(home, "index", "notes", "rows.jsonl", "--to", "corpus.idx")
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"11 documents indexed \(11 passages\), 0 unchanged, 0 deleted, 0 failed in \d", ran.stdout)
    assert ran.stdout.rstrip().endswith("→ corpus.idx")
    assert ran.stderr == "", "no progress where the output is piped"
    return home


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    path = tmp_path_factory.mktemp("many") / "many.jsonl"
    lines = (json.dumps({"id": n, "text": f"Entry {n} of many. " + "Words and words. " * 20}) for n in range(MANY))
    path.write_text("\n".join(lines))
    return path


def count(home):
    """Documents that can be found; 0 while there is no index."""
    try:
        with EmbeddedRetriever(home / "corpus.idx") as retriever:
            return retriever.count()
    except RetrieverError:
        return 0


def wait_for_a_commit(home, process):
    deadline = time.monotonic() + 60
    while count(home) == 0:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def report(ran):
    return json.loads(ran.stdout)


def test_a_repeat_changes_only_what_changed(indexed):
    again = pyrlm(indexed, "index", "notes", "rows.jsonl", "--to", "corpus.idx")
    assert "0 documents indexed (0 passages), 11 unchanged" in again.stdout
    (indexed / "notes" / "kettle.md").write_text("The kettle boils at 95 degrees.\n")
    (indexed / "notes" / "door.txt").unlink()
    changed = pyrlm(indexed, "index", "notes", "rows.jsonl", "--to", "corpus.idx", "--remove-missing", "--json")
    done = report(changed)
    assert (done["indexed"], done["unchanged"], done["deleted"], done["failed"]) == (1, 9, 1, [])
    assert "95" in pyrlm(indexed, "search", "kettle", "--in", "corpus.idx").stdout


def test_what_was_passed_over_is_told(home):
    (home / "notes" / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    ran = pyrlm(home, "index", "notes", "gone.txt", "--to", "corpus.idx")
    assert ran.returncode == 0
    assert "2 documents indexed" in ran.stdout
    assert "skipped gone.txt" in ran.stderr
    listed = report(pyrlm(home, "index", "notes", "gone.txt", "--to", "corpus.idx", "--json"))
    assert "gone.txt" in [one["path"] for one in listed["skipped"]]


def test_documents_that_fail_make_the_exit_code(home):
    clash = json.dumps({"doc_id": "clash", "content": "x", "metadata": {"year": "a word"}}) + "\n"
    (home / "bad.jsonl").write_text((home / "rows.jsonl").read_text() + clash)
    ran = pyrlm(home, "index", "bad.jsonl", "--to", "corpus.idx")
    assert ran.returncode == 1
    assert "failed clash: " in ran.stderr
    assert count(home) == 9


def test_a_kill_in_the_middle_loses_nothing_that_was_safe(home, many):
    process = started(home, "index", many, "--to", "corpus.idx")
    wait_for_a_commit(home, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    safe = count(home)
    assert 0 < safe < MANY
    assert pyrlm(home, "search", "entry 7", "--in", "corpus.idx").returncode == 0
    done = report(pyrlm(home, "index", many, "--to", "corpus.idx", "--json"))
    assert (done["unchanged"], done["indexed"]) == (safe, MANY - safe)
    assert count(home) == MANY


def test_ctrl_c_leaves_what_was_read_and_a_second_run_goes_on(home, many):
    process = started(home, "index", many, "--to", "corpus.idx")
    wait_for_a_commit(home, process)
    before = count(home)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped early" in out
    assert "the same command goes on" in err
    assert "Traceback" not in err
    kept = count(home)
    assert before <= kept < MANY
    assert f"{kept:,} documents indexed" in out, "what was read is safe, all of it"
    done = report(pyrlm(home, "index", many, "--to", "corpus.idx", "--json"))
    assert (done["unchanged"], done["indexed"], done["interrupted"]) == (kept, MANY - kept, False)


def test_progress_on_a_terminal_has_rate_and_remaining_time(home, many):
    # One file that holds many documents has no total: a folder of files has one.
    folder = home / "files"
    folder.mkdir()
    for number in range(3_000):
        (folder / f"{number}.txt").write_text(f"File {number}. " * 50)
    shown = on_a_terminal(home, "index", folder, "--to", "corpus.idx")
    assert re.search(r"[\d,]+ of 3,000 documents \([\d,]+ passages, [\d,]+ safe\), [\d,]+ a second", shown)
    assert re.search(r"\d:\d\d left", shown)


def on_a_terminal(home, *arguments):
    master, slave = pty.openpty()
    process = started(home, *arguments, stderr=slave, TERM="xterm", COLUMNS="200")
    os.close(slave)
    shown, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.05)[0]:
            try:
                shown += os.read(master, 65536)
            except OSError:
                break
    os.close(master)
    process.communicate(timeout=10)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode(errors="replace"))


def test_search_shows_passages_and_nothing_of_a_document_is_markup(kept):
    ran = pyrlm(kept, "search", "door", "--in", "corpus.idx")
    assert ran.returncode == 0
    assert "[bold red]green[/]" in ran.stdout
    assert "\x1b" not in ran.stdout
    assert "\x07" not in ran.stdout
    assert "door.txt:1" in ran.stdout
    found = report(pyrlm(kept, "search", "kettle degrees", "--in", "corpus.idx", "--json"))
    [hit] = found["hits"]
    assert found["method"] == "bm25"
    assert [hit["preview"][start:end] for start, end in hit["highlights"]] == ["kettle", "degrees"]
    assert hit["start"] == 0


def test_highlights_are_seen_on_a_terminal(kept):
    master, slave = pty.openpty()
    process = started(kept, "search", "kettle", "--in", "corpus.idx", stderr=slave, TERM="xterm", FORCE_COLOR="1")
    os.close(slave)
    out, _ = process.communicate(timeout=60)
    os.close(master)
    assert re.search(rb"\x1b\[1;33mkettle\x1b\[0m", out)


def test_filters_and_top_k(kept):
    def rows(*options):
        ran = pyrlm(kept, "search", "row", "--in", "corpus.idx", "--json", *options)
        return sorted(hit["doc_id"] for hit in report(ran)["hits"])

    assert rows("--filter", '{"year": {"gte": 2007}}') == ["row/7", "row/8"]
    assert len(rows("--top-k", "3")) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["search", "zebra", "--in", "corpus.idx"], 3, "nothing found"),
        (["search", "row", "--in", "gone.idx"], 1, "there is no index at gone.idx"),
        (["search", "row", "--in", "corpus.idx", "--filter", '{"yaer": 1}'], 1, "did you mean 'year'"),
        (["search", "row", "--in", "corpus.idx", "--filter", "{"], 2, "--filter is no JSON"),
        (["search", "row", "--in", "corpus.idx", "--method", "vector"], 1, "needs an embedder"),
        (["search", "row"], 2, "--in FOLDER or --es URL"),
        (["search", "row", "--in", "corpus.idx", "--es", "localhost"], 2, "--in FOLDER or --es URL"),
        (["search", "row", "--es", "ftp://x"], 2, "http(s)://"),
        (["index", "notes"], 2, "Name one target"),
        (["index", "--to", "corpus.idx"], 2, "Nothing to index"),
        (["index", "gone", "--to", "corpus.idx"], 2, "Nothing to index in gone"),
        (["index", "notes", "--to", "notes"], 1, "is no index and holds other files"),
        (["index", "notes", "--to", "corpus.idx", "--index", "x"], 2, "--index names an index on a cluster"),
        (["index", "notes", "--to", "corpus.idx", "--embed", "word2vec"], 2, "no embedder 'word2vec'"),
        (["index", "notes", "--from", "corpus.idx", "--to", "es://127.0.0.1:9/x"], 2, "leave PATH"),
        (["index", "--from", "corpus.idx", "--to", "other.idx"], 2, "moves an index to a cluster"),
        (["index", "--from", "gone.idx", "--to", "es://127.0.0.1:9/x"], 2, "there is no index at gone.idx"),
        (["ask", ASKED, "--in", "gone.idx", "--model", "extractive:"], 1, "there is no index at gone.idx"),
        (["ask", ASKED, "--in", "corpus.idx", "--route", "select", "--model", "extractive:"], 2, "needs a text"),
    ],
)
def test_errors_say_what_to_do(kept, arguments, code, words):
    ran = pyrlm(kept, *arguments)
    assert (ran.returncode, "Traceback" in ran.stderr) == (code, False), ran.stderr
    assert words in " ".join(ran.stderr.split())
    assert ran.stdout == ""


def test_ask_answers_from_an_index_and_cites_it(kept):
    ran = pyrlm(kept, "ask", ASKED, "--in", "corpus.idx", "--model", "extractive:", "--json")
    result = json.loads(ran.stdout)
    assert (ran.returncode, result["status"], result["method"]) == (0, "answered", "retrieval")
    assert "96 degrees" in result["output"]
    [citation] = result["citations"]
    assert (citation["doc_id"], citation["line"]) == ("notes/kettle.md", 3)
    shown = pyrlm(kept, "ask", ASKED, "--in", "corpus.idx", "--model", "extractive:").stdout
    assert "notes/kettle.md:3" in shown
    assert "route retrieval" in shown


def test_ask_takes_files_and_an_index_together(kept):
    (kept / "more.txt").write_text("The kettle boils at 97 degrees.\n")
    ran = pyrlm(kept, "ask", ASKED, "more.txt", "--in", "corpus.idx", "--model", "extractive:", "--json")
    assert (json.loads(ran.stdout)["method"], ran.returncode) == ("baseline", 0)


def test_doctor_says_what_there_is_and_prints_no_key(home):
    ran = pyrlm(home, "doctor", OPENAI_API_KEY="sk-very-secret-key")
    assert ran.returncode == 0, ran.stderr
    assert "very-secret" not in ran.stdout
    for words in ("Python", "platform", "landlock", "pydantic-monty", "tiktoken", "genai-prices", "newest change 20"):
        assert words in ran.stdout
    assert "key in OPENAI_API_KEY" in ran.stdout
    assert "no key (OPENROUTER_API_KEY)" in ran.stdout
    assert "tantivy" in ran.stdout
    names = {finding["name"] for finding in json.loads(pyrlm(home, "doctor", "--json").stdout)}
    assert {"repl exec", "repl monty", "tokenizer", "prices", "embedder minilm"} <= names


def test_doctor_names_a_cluster_that_is_not_there(home):
    ran = pyrlm(home, "doctor", "--es", "http://127.0.0.1:9")
    assert ran.returncode == 1
    assert "127.0.0.1:9" in ran.stdout
    assert "Traceback" not in ran.stderr
