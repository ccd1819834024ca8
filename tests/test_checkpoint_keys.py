"""Keys that turn up in a durable run: none stands in its file, and the run is repeated as it was, or says why not."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from durable_runs import fenced
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrlm import RLM, SmartRouter
from pyrlm.adapters import CommandAdapter, FakeAdapter
from pyrlm.checkpoint import Checkpoint, read_note
from pyrlm.errors import CheckpointError
from pyrlm.journal_marks import Marks
from pyrlm.redact import redact, register_secret

KEY = 'sk-in-the-text-"7"-é'
NUMBER = "70001234"
register_secret(KEY)
register_secret(NUMBER)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.db"


def held(path):
    """All that the file holds, as bytes that were compressed or not."""
    found = [path.read_bytes()]
    database = sqlite3.connect(path)
    rows = [row for table in ("facts", "pieces", "records") for row in database.execute(f"SELECT * FROM {table}")]
    database.close()
    for value in (value for row in rows for value in row):
        data = value if isinstance(value, bytes) else str(value).encode()
        found.append(data)
        if isinstance(value, bytes) and value[:1] == b"\x78":
            found.append(zlib.decompress(value))
    return b"\n".join(found)


def holds_no_key(path):
    data = held(path)
    forms = [KEY, json.dumps(KEY)[1:-1], json.dumps(KEY, ensure_ascii=False)[1:-1], NUMBER]
    return not any(form.encode() in data for form in forms)


def lookup(name: str) -> dict:
    """Look up."""
    return {name: KEY, KEY: int(NUMBER)}


STEPS = [
    fenced("key = context.split('is ')[1]\nprint(key, query)\nfound = lookup('a')"),
    fenced(f"said = llm_query('Which key?')\nnumber = {NUMBER}\nwritten = {KEY!r}\nprint(said)"),
    fenced("FINAL({'key': key, 'query': query, 'found': found, 'said': said, 'number': number, 'written': written})"),
]
ANSWER = {
    "key": KEY,
    "query": {"what": KEY},
    "found": {"a": KEY, KEY: int(NUMBER)},
    "said": f"It is {KEY}.",
    "number": int(NUMBER),
    "written": KEY,
}


def agent(*steps):
    return RLM(FakeAdapter(list(steps)), subcall_adapter=FakeAdapter(rules=[("", f"It is {KEY}.")]), tools=[lookup])


@pytest.mark.parametrize("known", range(len(STEPS) + 1))
def test_a_run_over_texts_and_replies_with_keys_is_resumed_and_its_file_holds_none(path, known):
    text = f"{'x' * (1 << 20)} {KEY} is {KEY}"
    if known == len(STEPS):
        first = agent(*STEPS).run({"what": KEY}, text, checkpoint=path)
        assert first.value == ANSWER
    else:
        with pytest.raises(Exception, match="script"):
            agent(*STEPS[:known]).run({"what": KEY}, text, checkpoint=path)
    assert holds_no_key(path)
    rest = agent(*STEPS[known:])
    result = rest.resume(path)
    assert (result.value, result.status) == (ANSWER, "answered")
    assert holds_no_key(path)


def test_a_number_of_a_setting_spoils_no_file(path):
    reply = fenced('x=int("100000")\nprint(x)\nFINAL(x)')
    command = CommandAdapter([sys.executable, "-c", f"print({reply!r})"], env={"MAX_THINKING_TOKENS": "100000"})
    first = RLM(command).run("q", "t", checkpoint=path)
    again = RLM(command).resume(path)
    assert (first.value, again.value) == (100000, 100000)


def test_data_with_keys_is_resumed(path):
    data = {"rows": [{"key": KEY, "number": int(NUMBER)}] * 3}
    with pytest.raises(Exception, match="script"):
        agent(fenced("n = len(context['rows'])")).run("q", data, checkpoint=path)
    assert holds_no_key(path)
    assert agent(fenced("FINAL(context)")).resume(path).value == data


def test_a_route_of_one_call_over_a_text_with_keys_gives_its_answer_again(path):
    first = SmartRouter(FakeAdapter([f"It is {KEY}."])).run("Which key?", f"The key is {KEY}.", checkpoint=path)
    assert holds_no_key(path)
    again = SmartRouter(FakeAdapter([])).resume(path)
    assert (first.output, again.output) == (f"It is {KEY}.",) * 2


def test_a_note_is_read_without_its_keys(path):
    RLM(FakeAdapter(["FINAL: x"])).run("q", "t", checkpoint=Checkpoint(path=path, note={"of": f"a {KEY} b"}))
    assert holds_no_key(path)
    assert read_note(path) == {"of": "a [secret] b"}


WITHOUT = """
import sys
from pyrlm import RLM
from pyrlm.adapters import FakeAdapter
from pyrlm.errors import CheckpointError
from pyrlm.redact import register_secret
register_secret("another-key-of-another-process")
try:
    context = sys.argv[2] if len(sys.argv) > 2 else None
    print(RLM(FakeAdapter(["FINAL: found it"])).resume(sys.argv[1], context=context).output)
except CheckpointError as error:
    print(error)
"""


def without_the_key(*arguments):
    command = [sys.executable, "-c", WITHOUT, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout.strip()


def test_a_process_without_the_key_is_told_why_it_can_not_resume(path):
    with pytest.raises(Exception, match="script"):
        RLM(FakeAdapter([fenced(f"x = {KEY!r}")])).run("q", "t", checkpoint=path)
    told = without_the_key(path)
    assert str(path) in told
    assert "holds an API key or a password, which no file gets" in told
    again = RLM(FakeAdapter([fenced("FINAL(x)")])).resume(path)  # and nothing of it is lost
    assert again.value == KEY


def test_a_text_with_a_key_may_be_given_again_to_a_process_without_it(path):
    text = f"The key is {KEY}."
    with pytest.raises(Exception, match="script"):
        RLM(FakeAdapter([fenced("x = 1")])).run("q", text, checkpoint=path)
    assert "can't be resumed" in without_the_key(path)
    assert without_the_key(path, text) == "found it"


def test_a_file_of_a_run_that_has_ended_is_written_anew_without_its_key(path):
    RLM(FakeAdapter([f"FINAL: {KEY}"])).run("q", "t", checkpoint=path)
    script = "import sys; from pyrlm import RLM; from pyrlm.adapters import FakeAdapter; "
    script += "print(RLM(FakeAdapter(['FINAL: new'])).run('q', 't', checkpoint=sys.argv[1]).output)"
    done = subprocess.run([sys.executable, "-c", script, path], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "new"


PARTS = st.sampled_from(
    [
        KEY,
        json.dumps(KEY)[1:-1],
        json.dumps(KEY, ensure_ascii=False)[1:-1],
        NUMBER,
        KEY[:9],
        KEY[9:],
        "[secret",
        " ",
        "é",
        '"',
        "\\",
    ]
)


@given(st.lists(PARTS, max_size=12), st.integers(1, 30))
@settings(deadline=None)
def test_what_is_hidden_is_shown_again_however_it_is_cut_into_pieces(parts, size):
    marks = Marks("0123456789abcdef")
    whole = "".join(parts).encode()
    hidden = b"".join(marks.hide_all(whole[start : start + size] for start in range(0, len(whole), size)))
    assert marks.show(hidden, Path("x")) == whole
    assert redact(hidden.decode(errors="replace")) == hidden.decode(errors="replace")
    assert marks.show(marks.hide(whole), Path("x")) == whole


def test_marks_say_which_key_it_was_only_to_who_has_it():
    first, second = (Marks.new().hide(f"{KEY} and {NUMBER}".encode()) for _ in range(2))
    assert first != second  # salted for each file
    with pytest.raises(CheckpointError, match="this process has another one or none"):
        Marks("ab").show(b"[secret ab 00000000]", Path("x"))
