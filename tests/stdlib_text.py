"""Real text for tests: several megabytes of the standard library's own sources, whatever Python this is."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from pyrlm import Context

LIBRARY = Path(json.__file__).parent.parent
FOLDERS = ("asyncio", "collections", "email", "html", "http", "json", "urllib")
PATHS = [str(LIBRARY / "*.py"), *(str(LIBRARY / folder) for folder in FOLDERS)]
QUESTIONS = [
    json.loads(line) for line in (Path(__file__).parent / "data" / "stdlib_questions.jsonl").read_text().splitlines()
]


@functools.cache
def stdlib() -> Context:
    """The sources as a context; about 6 MB."""
    return Context.from_files(PATHS)
