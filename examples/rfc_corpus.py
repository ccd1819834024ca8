"""The RFC series as a corpus: fetched as Debian packages, cleaned of page breaks, indexed into one retriever or two.

    python examples/rfc_corpus.py --to rfc.idx [--es http://127.0.0.1:9200] [--packages doc-rfc-std …] [--embed minilm]

Debian packs the series by status: ``doc-rfc-std`` (197 standards and draft standards, 14 MB), ``doc-rfc-std-proposed``
(3,392, 195 MB), ``doc-rfc-informational`` (2,616, 114 MB) and others. apt checks their signatures; its own lists and
settings are left alone, and nothing is installed. Where there is no apt, unpack the packages anywhere (``dpkg -x``, or
``ar x`` and ``tar xf data.tar.xz``) and give the folder: ``--folder unpacked/``. The texts are not under the project's
licence and belong into no repository; they stay in the folder of ``--cache``, which git ignores.

Vectors take long: ``--size 400 --embed minilm`` made 13,008 of them for doc-rfc-std in 28 minutes on two busy cores. They
are kept in the cache, so that the next index, or one broken off, needs none of it again. MiniLM reads 256 tokens, so that
the ends of the longest of these passages are in the text search only.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import shutil
import subprocess
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrlm.retrievers import Chunker, Document, ElasticsearchRetriever, EmbeddedRetriever
from pyrlm.retrievers.embeddings import embedder_named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyrlm.retrievers import Embedder, IndexProgress, IndexReport

PACKAGES = ("doc-rfc-std",)
CACHE = Path(__file__).parent.parent / ".rfc"
RELEASE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
HOW_TO_GET_IT = (
    f"get Debian's package doc-rfc-std ({RELEASE}, non-free), unpack it (dpkg -x), "
    "and give the folder: --folder unpacked/"
)

FOOTER = re.compile(r"\[page \w+\]\s*\Z", re.IGNORECASE)
HEADER = re.compile(r"RFC[ -]*\d+\b|.*\S {3,}\S.* {3,}(?:\w+ )?\w+ \d{4}\s*\Z|\s+\d{0,2} ?[A-Z][a-z]+ \d{4}\s*\Z")
SENTENCE_ENDS = (".", ":", ";", "!", "?", '"', ")")


class NoTextError(Exception):
    """The texts can't be had here; the message says why, and how to get them."""


def fetch(packages: Sequence[str] = PACKAGES, cache: Path = CACHE) -> list[Path]:
    """Download and unpack packages, unless the cache holds them.

    Returns:
        A folder of unpacked files for each package.

    Raises:
        NoTextError: There is no apt, or Debian can't be reached.
    """
    folders = [cache / package for package in packages]
    missing = [folder.name for folder in folders if not folder.is_dir()]
    if not missing:
        return folders
    if not (shutil.which("apt-get") and shutil.which("dpkg")) or not KEYRING.exists():
        raise NoTextError(f"there is no apt with Debian's keys here; {HOW_TO_GET_IT}")
    cache.mkdir(parents=True, exist_ok=True)
    # A folder of its own for each process: two that fetch at once must not take each other's files.
    with tempfile.TemporaryDirectory(dir=cache.resolve(), prefix="apt-", ignore_cleanup_errors=True) as folder:
        _fetch_into(Path(folder), missing, cache)
    return folders


def _fetch_into(private: Path, packages: Sequence[str], cache: Path) -> None:
    for folder in ("lists/partial", "archives/partial", "debs"):
        (private / folder).mkdir(parents=True)
    (private / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} {RELEASE} non-free\n", "utf-8")
    _apt(private, "update")
    _apt(private, "download", *packages)
    for package in packages:
        (archive,) = (private / "debs").glob(f"{package}_*.deb")
        unpacked = private / package
        subprocess.run(["dpkg", "-x", str(archive), str(unpacked)], check=True)  # noqa: S603, S607 - its own files
        if not (cache / package).is_dir():
            unpacked.rename(cache / package)


def _mirror() -> str:
    """Return the mirror that this machine's own apt uses."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
    mirrors = [uri for uri in asked.stdout.split() if "security" not in uri]
    if not mirrors:
        raise NoTextError(f"apt has no mirror of Debian configured here; {HOW_TO_GET_IT}")
    return mirrors[0]


def _apt(private: Path, *command: str) -> None:
    options = {
        "Dir::Etc::sourcelist": private / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": private / "lists",
        "Dir::Cache": private,
        "APT::Sandbox::User": "",
        "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none",
        "Acquire::Retries": 2,
        "Acquire::http::Timeout": 20,
    }
    settings = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    ran = subprocess.run(  # noqa: S603 - no word of it comes from outside
        ["apt-get", "-qq", *settings, *command],  # noqa: S607 - wherever apt is
        cwd=private / "debs",
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise NoTextError(f"apt-get {command[0]} failed: {' '.join(ran.stderr.split())[:300]}; {HOW_TO_GET_IT}")


def documents(folders: Sequence[Path]) -> list[Path]:
    """The metadata files of the RFCs below `folders`, by number; each lies beside its text.

    Raises:
        NoTextError: There are none.
    """
    found = {
        int(path.stem.removeprefix("rfc")): path
        for folder in folders
        for path in sorted(folder.rglob("rfc*.json"))
        if path.parent.name not in {"links", "queue"} and path.stem.removeprefix("rfc").isdigit()
    }
    if not found:
        raise NoTextError(f"no RFCs (rfcN.json beside rfcN.txt.gz) below {', '.join(map(str, folders))}")
    return [found[number] for number in sorted(found)]


def read(paths: Sequence[Path]) -> Iterator[Document]:
    """Read RFCs, given by their metadata files, into documents ``rfcN``."""
    for path in paths:
        about = json.loads(path.read_text("utf-8"))
        number = int(path.stem.removeprefix("rfc"))
        title = " ".join(about["title"].split())
        metadata = {
            "number": number,
            "title": title,
            "date": publication_date(about["pub_date"]),
            "status": about["status"].lower(),
            "published_as": about["pub_status"].lower(),
            "pages": int(about["page_count"] or 0),
            "authors": about["authors"],
            **{name: [_name(other) for other in about[name]] for name in ("obsoletes", "obsoleted_by", "updates")},
        }
        yield Document(f"rfc{number}", clean(_text(path)), metadata, f"{title} (RFC {number})")


def publication_date(text: str) -> date:
    """``November 1987`` as the first of the month, ``1 April 1998`` as that day."""
    return datetime.strptime(text if text[0].isdigit() else f"1 {text}", "%d %B %Y").replace(tzinfo=UTC).date()


def _name(other: str) -> str:
    return re.sub(r"\ARFC0*", "rfc", other)


def _text(path: Path) -> str:
    packed, plain = path.with_suffix(".txt.gz"), path.with_suffix(".txt")
    raw = gzip.decompress(packed.read_bytes()) if packed.exists() else plain.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def clean(text: str) -> str:
    """Take out page breaks with their footers and headers; a paragraph that one had cut is whole again."""
    whole: list[str] = []
    for page in text.replace("\r\n", "\n").split("\f"):
        lines = _stripped(page.split("\n"))
        if lines and FOOTER.search(lines[-1]):
            lines = _stripped(lines[:-1])
        while whole and lines and HEADER.match(lines[0]):
            lines = _stripped(lines[1:])
        if whole and lines and not _goes_on(whole[-1], lines[0]):
            whole.append("")
        whole += lines
    return "\n".join(whole) + "\n"


def _stripped(lines: list[str]) -> list[str]:
    begin, end = 0, len(lines)
    while begin < end and not lines[begin].strip():
        begin += 1
    while end > begin and not lines[end - 1].strip():
        end -= 1
    return lines[begin:end]


def _goes_on(before: str, after: str) -> bool:
    indented = [len(line) - len(line.lstrip()) for line in (before, after)]
    return (
        indented[0] == indented[1] and not before.rstrip().endswith(SENTENCE_ENDS) and not after.lstrip()[0].isdigit()
    )


def index(retriever: Any, paths: Sequence[Path], label: str) -> None:
    """Index RFCs into a retriever of either make, with a line of progress and one of what came of it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task(label, total=len(paths))

        def show(at: IndexProgress) -> None:
            bar.update(task, completed=at.documents)

        report: IndexReport = retriever.index(read(paths), progress=show, total=len(paths))
    indexed = f"{report.indexed} RFCs indexed, {report.unchanged} unchanged, {len(report.failed)} failed"
    print(f"{label}: {indexed}; {report.passages} passages in {report.seconds:.1f} s")
    for failure in report.failed:
        print(f"  {failure.doc_id}: {failure.reason}")


def options(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=Path("rfc.idx"), help="folder of the embedded index")
    parser.add_argument("--es", metavar="URL", help="an Elasticsearch to index into as well")
    parser.add_argument("--index", default="pyrlm-rfc", help="name of the index there")
    parser.add_argument("--packages", nargs="+", default=PACKAGES, metavar="PACKAGE")
    parser.add_argument("--folder", type=Path, nargs="+", help="unpacked packages, instead of fetching them")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where packages and vectors are kept")
    parser.add_argument("--embed", metavar="NAME", help="minilm, minilm:FOLDER, openai:MODEL@URL; none: BM25 only")
    parser.add_argument("--size", type=int, default=300, help="tokens of a passage at most")
    return parser


def embedder_of(given: argparse.Namespace) -> Embedder | None:
    if given.embed is None:
        return None
    given.cache.mkdir(parents=True, exist_ok=True)
    return embedder_named(given.embed, cache=given.cache / "vectors.db")


def main() -> None:
    given = options(__doc__).parse_args()
    try:
        paths = documents(given.folder or fetch(given.packages, given.cache))
    except NoTextError as error:
        raise SystemExit(str(error)) from None
    embedder = embedder_of(given)
    how: dict[str, Any] = {"embedder": embedder, "chunker": Chunker(size=given.size)}
    with EmbeddedRetriever(given.to, **how) as folder:
        index(folder, paths, str(given.to))
    if given.es is not None:
        with ElasticsearchRetriever(given.es, index=given.index, **how) as cluster:
            index(cluster, paths, given.es)


if __name__ == "__main__":
    main()
