"""Readers: real files of every format, and everything that real folders hold that can't be read."""

import bz2
import codecs
import csv
import gzip
import io
import json
import os
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyrlm.files import ReadReport, iter_paths, read_paths
from pyrlm.readers_markup import html_to_text
from pyrlm.readers_records import read_csv, read_json, read_jsonl

WORDS = st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"), max_size=12)


def texts(path, **options):
    documents, report = read_paths(path, **options)
    assert not report.skipped, report.skipped
    return [document.text for document in documents]


def skipped(path, **options):
    documents, report = read_paths(path, **options)
    assert documents == []
    return [item.reason for item in report.skipped]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# Which files


def test_folders_are_read_sorted_without_hidden_and_machine_made_ones(tmp_path):
    for name in ("b.md", "a/z.txt", "a/b/c.py", "c.md"):
        write(tmp_path / name, name)
    for name in (".git/config", ".hidden", "node_modules/x.js", "env/pyvenv.cfg", "env/lib.py", "a/__pycache__/x.txt"):
        write(tmp_path / name, name)
    assert texts(tmp_path) == ["a/b/c.py", "a/z.txt", "b.md", "c.md"]


def test_globs_match_at_one_level_or_at_any(tmp_path, monkeypatch):
    for name in ("a.md", "s/b.md", "s/t/c.md", "s/t/d.txt", ".h/e.md", "node_modules/f.md"):
        write(tmp_path / name, name)
    monkeypatch.chdir(tmp_path)
    assert texts("*.md") == ["a.md"]
    assert texts("**/*.md") == ["a.md", "s/b.md", "s/t/c.md"]
    assert texts("s/**") == ["s/b.md", "s/t/c.md", "s/t/d.txt"]
    assert texts("s/**/t/?.md") == ["s/t/c.md"]
    assert texts(str(tmp_path / "**" / "[cd].*")) == ["s/t/c.md", "s/t/d.txt"]
    assert texts("s*") == ["s/b.md", "s/t/c.md", "s/t/d.txt"], "a folder that a glob names is read whole"
    assert [d.source for d in read_paths("**/*.md")[0]] == ["a.md", "s/b.md", "s/t/c.md"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path):
    write(tmp_path / "[1].md", "one")
    assert texts(tmp_path / "[1].md") == ["one"]


def test_each_file_is_read_once_and_loops_of_links_end(tmp_path):
    write(tmp_path / "a" / "x.md", "x")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    (tmp_path / "y.md").symlink_to(tmp_path / "a" / "x.md")
    (tmp_path / "broken.md").symlink_to(tmp_path / "nowhere")
    documents, report = read_paths([tmp_path, tmp_path / "a" / "x.md", f"{tmp_path}/**/*.md"])
    assert [document.text for document in documents] == ["x"]
    assert [(Path(item.path).name, item.reason) for item in report.skipped] == [
        ("broken.md", "No such file or directory")
    ]


@pytest.fixture
def deep_path(tmp_path):
    """A folder that is emptied here: pytest's own clean-up is recursive and would fail on very deep ones."""
    yield tmp_path
    subprocess.run(["rm", "-rf", str(tmp_path)], check=True)


def test_folders_deeper_than_the_recursion_limit(deep_path):
    tmp_path = deep_path
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("deep.txt", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    write(tmp_path / "z.txt", "z")
    documents, report = read_paths(tmp_path)
    assert [document.text for document in documents] == ["z"]
    assert [item.reason for item in report.skipped] == ["empty"]


def test_what_names_nothing_is_reported(tmp_path):
    (tmp_path / "empty").mkdir()
    assert skipped(tmp_path / "missing.md") == ["no such file or folder"]
    assert skipped(f"{tmp_path}/*.md") == ["no file matches"]
    assert skipped(f"{tmp_path}/**/*.md") == ["no file matches"]
    assert skipped(tmp_path / "empty") == ["no files in this folder"]
    assert skipped("") == ["no such file or folder"]


def test_unreadable_files_are_skipped_and_the_others_read(tmp_path):
    write(tmp_path / "good.md", "good")
    write(tmp_path / "empty.md", "")
    write(tmp_path / "blank.md", " \n\n ")
    write(tmp_path / "image.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)))
    write(tmp_path / "packed.bz2", bz2.compress(b"text " * 100))
    write(tmp_path / "cut.txt.gz", gzip.compress(os.urandom(5000))[:2000])
    write(tmp_path / "false.txt.gz", "not packed")
    write(tmp_path / "letter.docx", b"PK\3\4\0\0")
    documents, report = read_paths(tmp_path)
    assert [document.text for document in documents] == ["good"]
    reasons = {Path(item.path).name: item.reason for item in report.skipped}
    assert reasons["empty.md"] == reasons["blank.md"] == "empty"
    assert reasons["image.png"] == "binary"
    assert reasons["packed.bz2"] == "binary"
    assert reasons["cut.txt.gz"].startswith("damaged gzip")
    assert reasons["false.txt.gz"].startswith("damaged gzip")
    assert "save it as text or PDF" in reasons["letter.docx"]
    assert (report.files, report.bytes) == (1, 4)


def test_a_pipe_is_read_where_it_is_named_and_waited_for_nowhere_else(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert skipped(tmp_path) == ["not a regular file"]
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("from a command",))
    writer.start()
    assert texts(tmp_path / "pipe") == ["from a command"]
    writer.join()


def test_limits_of_size_hold_for_packed_files_too(tmp_path):
    write(tmp_path / "a.txt", "a" * 100)
    write(tmp_path / "b.txt.gz", gzip.compress(b"b" * 50_000_000))
    write(tmp_path / "c.txt", "c" * 100)
    tracemalloc.start()
    documents, report = read_paths(tmp_path, max_file_bytes=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [document.text[0] for document in documents] == ["a", "c"]
    assert [item.reason for item in report.skipped] == ["larger than max_file_bytes=1,000"]
    assert peak < 10_000_000, "the packed file was unpacked beyond the limit"
    documents, report = read_paths([tmp_path / "a.txt", tmp_path / "c.txt"], max_total_bytes=150)
    assert [document.text[0] for document in documents] == ["a"]
    assert [item.reason for item in report.skipped] == ["only 50 bytes are left of max_total_bytes, it has 100"]


def test_standard_input_and_progress(tmp_path):
    write(tmp_path / "a.md", "a")
    told = []
    documents, _ = read_paths(
        [tmp_path / "a.md", "-"], stdin=io.BytesIO(b"one\r\ntwo"), on_progress=lambda *at: told.append(at)
    )
    assert [(document.text, document.where(4, 2)) for document in documents[1:]] == [("one\ntwo", "<stdin>:2")]
    assert told == [(str(tmp_path / "a.md"), 0), ("-", 1)]


def test_reading_holds_no_more_than_twice_the_text(tmp_path):
    path = write(tmp_path / "big.txt", b"0123456789 abcdef\r\n" * 1_000_000)
    tracemalloc.start()
    (document,) = iter_paths(path, ReadReport())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.3 * len(document.text), f"{peak / len(document.text):.2f} times the text"


# Text


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16", b""),
        ("utf-32", b""),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
        ("utf-16-be", codecs.BOM_UTF16_BE),
    ],
)
def test_encodings_that_can_be_told(tmp_path, encoding, mark):
    write(tmp_path / "a.txt", mark + "Grüße, Ωmega\r\nand a second line\rend\n".encode(encoding))
    assert texts(tmp_path) == ["Grüße, Ωmega\nand a second line\nend\n"]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Les élèves français étaient déjà arrivés à l'école, où la fête avait commencé. "),
        ("cp1252", "El niño comió una piña en el jardín; mañana habrá más canción. "),
        ("cp1250", "Zażółć gęślą jaźń, wszyscy ludzie rodzą się wolni i równi pod względem swej godności. "),
        ("cp1251", "Все люди рождаются свободными и равными в своем достоинстве и правах. "),
        ("shift_jis", "すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である。"),
    ],
)
def test_a_guessed_encoding_is_noted(tmp_path, encoding, text):
    write(tmp_path / "a.txt", (text * 20).encode(encoding))
    documents, report = read_paths(tmp_path)
    assert documents[0].text == text * 20
    assert "a guess" in report.notes[0].text


def test_a_few_broken_bytes_do_not_change_the_encoding_of_the_rest(tmp_path):
    write(tmp_path / "a.log", "Grüße aus Köln, schöne Straße. ".encode() * 20 + b"\xff\xfe cut \xc3")
    documents, report = read_paths(tmp_path)
    assert documents[0].text.startswith("Grüße aus Köln")
    assert report.notes[0].text == "3 places that are no UTF-8 were replaced"


def test_lines_are_those_of_the_file(tmp_path):
    write(tmp_path / "a.py", "x = 1\r\n\r\ny = 2\r\n")
    (document,), _ = read_paths(tmp_path / "a.py")
    assert document.where(document.text.index("y"), 3) == f"{tmp_path / 'a.py'}:3"
    assert document.metadata() == {"source": str(tmp_path / "a.py"), "kind": "text"}


# Records


def parse(text):
    return dict(line.split(": ", 1) for line in text.split("\n"))


@given(
    st.lists(st.lists(WORDS, min_size=3, max_size=3), min_size=1, max_size=6), st.sampled_from([",", ";", "\t", "|"])
)
def test_csv_rows_come_back_with_their_lines(rows, delimiter):
    rows = [[f"k{number}", *row] for number, row in enumerate(rows)]
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerow(["id", "a", "b", "c"])
    writer.writerows(rows)
    text = file.getvalue()
    documents = list(read_csv(text, "t.csv", [], delimiter=delimiter))
    assert [d.text for d in documents] == [f"id: {r[0]}\na: {r[1]}\nb: {r[2]}\nc: {r[3]}" for r in rows]
    lines = text.split("\n")
    assert all(lines[d.line - 1].startswith(f"k{d.record - 1}") for d in documents)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path, delimiter):
    rows = ["name|note|price", 'Ann|"says, a; b"|1,5', "Bob|none|2,5", "", "Cy|x|3,5|extra", "Di"]
    write(tmp_path / "t.csv", "\n".join(row.replace("|", delimiter) for row in rows).replace("1,5", "1.5"))
    if delimiter != ",":
        assert [parse(text) for text in texts(tmp_path)] == [
            {"name": "Ann", "note": f"says, a{';'} b", "price": "1.5"},
            {"name": "Bob", "note": "none", "price": "2,5"},
            {"name": "Cy", "note": "x", "price": "3,5", "column_4": "extra"},
            {"name": "Di"},
        ]
    assert parse(texts(tmp_path)[0])["note"] == "says, a; b"


def test_tables_with_odd_headers_and_long_cells(tmp_path):
    write(tmp_path / "t.tsv", "id\t\tid\n1\t2\t" + "x" * 300_000 + "\n")
    row = parse(texts(tmp_path)[0])
    assert (row["id"], row["column_2"], len(row["id_3"])) == ("1", "2", 300_000)
    write(tmp_path / "t.tsv", "one line only")
    documents, report = read_paths(tmp_path)
    assert (documents[0].text, report.notes[0].text) == ("one line only", "only one row, read as text")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), JSON, min_size=1) | WORDS.filter(str.strip), min_size=1),
    st.booleans(),
)
@example([{"a": "x\ny"}, "plain"], True)
def test_json_records_come_back_whichever_way_they_are_kept(records, escaped):
    def shown(record):
        if isinstance(record, str):
            return record
        values = [(k, v if isinstance(v, str) else json.dumps(v, ensure_ascii=False)) for k, v in record.items()]
        return "\n".join(f"{name}: {value}" for name, value in values)

    notes = []
    lines = "\n".join(json.dumps(record, ensure_ascii=escaped) for record in records)
    assert [d.text for d in read_jsonl(lines, "r.jsonl", notes)] == [shown(record) for record in records]
    assert [d.line for d in read_jsonl(lines, "r.jsonl", notes)] == list(range(1, len(records) + 1))
    for indent in (None, 1):
        text = "\n " + json.dumps(records, ensure_ascii=escaped, indent=indent) + "\n"
        assert [d.text for d in read_json(text, "r.json", notes)] == [shown(record) for record in records]
    assert notes == []


def test_items_of_a_json_list_know_their_lines():
    text = '[\n {"a": 1},\n\n {"a":\n 2}, {"a": 3}\n]'
    assert [(d.record, d.line) for d in read_json(text, "r.json", [])] == [(1, 2), (2, 4), (3, 5)]


def test_json_that_is_no_list_of_records(tmp_path):
    def read(content):
        documents, report = read_paths(write(tmp_path / "a.json", content))
        return [(d.kind, d.text) for d in documents], [note.text for note in report.notes]

    assert read('{"a": 1,\n "b": 2}') == ([("text", '{"a": 1,\n "b": 2}')], [])
    assert read("[1, 2, 3]") == ([("text", "[1, 2, 3]")], [])
    assert read('{"a": "\\u00e9t\\u00e9"}') == ([("record", '{\n  "a": "été"\n}')], [])
    assert read('{"a": 1}\n{"a": 2}\n')[0] == [("record", "a: 1"), ("record", "a: 2")]
    assert read("[]")[0] == [("text", "[]")]
    documents, notes = read('[{"a": 1}, {"a": 2}, {"a": oops')
    assert [text for _, text in documents] == ["a: 1", "a: 2", '{"a": oops']
    assert "after item 2" in notes[0]
    documents, notes = read('[{"a": 1} {"b": 2}]')
    assert [text for _, text in documents] == ["a: 1", '{"b": 2}]']
    documents, notes = read('[{"a": 1}, ' + '{"a":' * 100_000)
    assert "after item 1" in notes[0]


def test_broken_lines_of_jsonl_are_kept_and_noted(tmp_path):
    write(tmp_path / "r.jsonl.gz", gzip.compress(b'{"a": 1}\n\nnot json\n{"a": 2}\n' + b"[" * 100_000))
    documents, report = read_paths(tmp_path)
    assert [d.text[:10] for d in documents] == ["a: 1", "not json", "a: 2", "[[[[[[[[[["]
    assert [d.line for d in documents] == [1, 3, 4, 5]
    assert report.notes[0].text == "2 lines are no JSON and were kept as text, the first is line 3"


# HTML and PDF


def test_html_reads_like_the_page(tmp_path):
    page = """<!doctype html><html><head><title>The  title</title><style>p{}</style></head><body>
      <script>var a = "<p>never</p>";</script><h1>Head <em>line</em></h1>
      <p>First   paragraph with <b>bold</b>ness and <a href="https://x.example/">a link</a>.</p>
      <p>Second &amp; caf&eacute;<br>new line</p><ul><li>one</li><li>two <ul><li>inner</li></ul></li></ul>
      <table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td></td><td>2</td></tr></table>
      <pre>  keep\n    this</pre><div>left</div><div>right</div><noscript>never</noscript><!-- never --></body></html>"""
    write(tmp_path / "a.html", page)
    (document,), _ = read_paths(tmp_path)
    assert document.text == (
        "The title\n\n# Head line\n\nFirst paragraph with boldness and a link.\n\nSecond & café\nnew line\n\n"
        "- one\n- two\n- inner\n\nA | B\n1 | | 2\n\n  keep\n    this\n\nleft\nright"
    )


def test_html_in_the_encoding_that_it_names(tmp_path):
    write(tmp_path / "a.htm", '<meta charset="windows-1251"><p>Привет, мир</p>'.encode("cp1251"))
    assert texts(tmp_path) == ["Привет, мир"]
    write(tmp_path / "a.htm", '<meta charset="hex"><p>Привет</p>'.encode())
    assert texts(tmp_path) == ["Привет"]


@given(
    st.lists(
        st.sampled_from(
            ["<p>", "<b>", "</p>", "x", "<td>", "<table>", "<pre>", "</pre>", "<ul><li>", "< ", "&#", "</td>", "<!-->"]
        )
    )
)
def test_no_html_breaks_the_reader(parts):
    text = html_to_text("".join(parts))
    assert text.count("x") == parts.count("x")


def test_html_nested_without_end_is_skipped_at_once(tmp_path):
    write(tmp_path / "a.html", "<div>" * 300_000 + "x")
    assert skipped(tmp_path) == ["HTML with elements nested more than 1,000 deep"]
    write(tmp_path / "a.html", "<p>x<br>" * 5000)
    assert texts(tmp_path)[0].count("x") == 5000


def pdf(*pages):
    """Make a PDF with one line of text a page, by hand: pypdf reads, it does not write text."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for i, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET" if text else ""
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * i} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    data, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{len(data)}\n%%EOF"
    return (data + end).encode()


def test_pdf_keeps_its_pages(tmp_path):
    write(tmp_path / "r.pdf", pdf("First page", "Second page"))
    (document,), _ = read_paths(tmp_path)
    assert document.text == "First page\fSecond page"
    assert document.where(document.text.index("Second"), 1) == f"{tmp_path / 'r.pdf'}, page 2"


def test_pdf_that_can_not_be_read_says_why(tmp_path, monkeypatch):
    write(tmp_path / "r.pdf", pdf("", ""))
    assert "without text" in skipped(tmp_path)[0]
    write(tmp_path / "r.pdf", b"%PDF-1.4 nothing")
    assert skipped(tmp_path)[0].startswith("damaged PDF")
    write(tmp_path / "r.pdf", pdf("text"))
    monkeypatch.setitem(sys.modules, "pypdf", None)
    assert skipped(tmp_path) == ["PDF needs pypdf: pip install 'pyrlm[pdf]'"]
