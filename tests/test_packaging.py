"""What is built is what is here: a subpackage that is not listed works in the checkout and is missing elsewhere."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_wheel_holds_every_module(tmp_path):
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    source = tmp_path / "source"
    for name in tracked:
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        built = {name for name in wheel.namelist() if name.endswith((".py", ".typed"))}
    expected = set()
    for name in tracked:
        top, _, rest = name.partition("/")
        if not name.endswith((".py", ".typed")) or top not in {"pyrlm", "routers", "retrievers"}:
            continue
        expected.add(name if top == "pyrlm" else f"pyrlm/{top}/{rest}")
    assert built == expected
