"""A real Elasticsearch for tests: the one at PYRLM_TEST_ES_URL, else one that scripts/elasticsearch starts.

`server` is its URL, for the whole session. `index` names an index of a test's own, deleted behind it. Where no server
can be had the tests are skipped, with a line that says how to get one.
"""

import contextlib
import fcntl
import itertools
import os
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "elasticsearch"
VERSION = os.environ.get("PYRLM_TEST_ES_VERSION", "")
USERS = Path(tempfile.gettempdir()) / f"pyrlm-elasticsearch-users-{os.getuid()}-{VERSION}"
HOW = "set PYRLM_TEST_ES_URL to an Elasticsearch for tests, or give scripts/elasticsearch a JDK of 21 or newer"

_numbers = itertools.count()
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def run_script(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call scripts/elasticsearch."""
    version = ["--version", VERSION] if VERSION else []
    return subprocess.run(
        [str(SCRIPT), command, *version],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, **environment},
    )


def request(method: str, url: str, body: bytes | None = None) -> bytes:
    """One plain request: tests look at the cluster without the client that they test."""
    headers = {"content-type": "application/json"}
    with _open(urllib.request.Request(url, body, headers, method=method), timeout=60) as reply:
        return reply.read()


@contextlib.contextmanager
def own_server(settings: str) -> Iterator[tuple[str, dict[str, str]]]:
    """A further server with settings of its own: its URL, and the environment that it was started with."""
    with tempfile.TemporaryDirectory(prefix="pyrlm-es-") as folder:
        Path(folder).chmod(0o755)
        environment = {"PYRLM_ES_RUN": f"{folder}/run", "PYRLM_ES_SETTINGS": settings, "PYRLM_ES_HEAP": "512m"}
        started = run_script("start", **environment)
        if started.returncode != 0:
            pytest.skip(f"no Elasticsearch: {HOW} ({_last(started.stderr)})")
        try:
            yield started.stdout.split()[-1], environment
        finally:
            run_script("stop", **environment)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    url = os.environ.get("PYRLM_TEST_ES_URL", "")
    if url:
        yield url.rstrip("/")
        return
    with USERS.open("a+") as users:
        # Several test runs share one server: each holds the lock, and the last one stops what one of them started.
        fcntl.flock(users, fcntl.LOCK_SH)
        running = run_script("status").returncode == 0
        started = run_script("start")
        if started.returncode != 0:
            pytest.skip(f"no Elasticsearch: {HOW} ({_last(started.stderr)})")
        url = started.stdout.split()[-1]
        if not running:
            USERS.write_text(url)
        try:
            yield url
        finally:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if USERS.read_text() == url:
                    run_script("stop")


@pytest.fixture
def index(server: str) -> Iterator[str]:
    name = f"pyrlm-test-{os.getpid()}-{next(_numbers)}"
    yield name
    drop(server, name)


def drop(server: str, name: str) -> None:
    """Delete an index, and those that were made behind an alias of its name."""
    listed = request("GET", f"{server}/_cat/indices/{name}*?h=index&expand_wildcards=all").decode().split()
    for found in listed:
        with contextlib.suppress(OSError):
            request("DELETE", f"{server}/{found}")


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]
