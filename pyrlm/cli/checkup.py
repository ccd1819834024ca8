"""What `pyrlm doctor` looks at on this machine."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
from typing import TYPE_CHECKING, Any

from pyrlm.cli.doctor import Finding
from pyrlm.errors import PyRLMError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["local_findings"]

_VOCABULARY_SECONDS = 20.0


def local_findings() -> Iterator[Finding]:
    """Look at Python, the REPLs, the tokenizer, prices, adapters and retrievers."""
    version = f"{platform.python_implementation()} {platform.python_version()}"
    yield Finding(name="pyrlm", state=_version("pyrlm") or "not installed as a package")
    yield Finding(name="Python", state=f"{version} ({sys.executable})")
    yield Finding(name="platform", state=f"{platform.platform()}, {os.cpu_count()} processors")
    yield _exec()
    yield _monty()
    yield _tokenizer()
    yield _prices()
    yield from _adapters()
    yield from _retrievers()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _started(repl: Any) -> Any:
    """Start a REPL and end it again; it then knows its layers."""
    from pyrlm import portal  # noqa: PLC0415
    from pyrlm.repl.protocol import Setup  # noqa: PLC0415

    async def start_and_close() -> None:
        try:
            await repl.start(Setup())
        finally:
            await repl.close()

    portal.run(start_and_close())
    return repl


def _exec() -> Finding:
    from pyrlm.repl.exec_host import ExecRepl  # noqa: PLC0415

    return _layers("repl exec", "CPython in a locked process", ExecRepl())


def _monty() -> Finding:
    version = _version("pydantic-monty")
    if version is None:
        return Finding(name="repl monty", state="not installed", advice="pip install pydantic-monty")
    from pyrlm.repl.monty import MontyRepl  # noqa: PLC0415

    return _layers("repl monty", f"pydantic-monty {version}", MontyRepl())


def _layers(name: str, what: str, repl: Any) -> Finding:
    try:
        _started(repl)
    except (PyRLMError, OSError) as error:
        return Finding(name=name, state=f"{what}: can't be started", advice=str(error))
    missing: Mapping[str, str] = repl.missing
    on = ", ".join(repl.layers) or "none"
    lacking = "; ".join(f"{layer}: {reason}" for layer, reason in missing.items())
    advice = f"missing: {lacking}; isolation='strict' refuses to run here" if missing else ""
    return Finding(name=name, state=f"{what}; layers of isolation: {on}", advice=advice)


def _tokenizer() -> Finding:
    from pyrlm.token_vocabulary import DEFAULT_VOCABULARY, tokenizer_for  # noqa: PLC0415

    tokenizer = tokenizer_for(None)
    tokenizer.wait(_VOCABULARY_SECONDS)
    if tokenizer.encoding is not None:
        return Finding(name="tokenizer", state=f"tiktoken {_version('tiktoken')}, {tokenizer.name} is at hand")
    return Finding(
        name="tokenizer",
        state=f"tiktoken {_version('tiktoken')}; no vocabulary on this machine: tokens are estimated, with bounds",
        advice=f"for exact counts put {DEFAULT_VOCABULARY} into tiktoken's cache (TIKTOKEN_CACHE_DIR)",
    )


def _prices() -> Finding:
    from pyrlm.price_table import table_info  # noqa: PLC0415

    table = table_info()
    return Finding(name="prices", state=f"{table.name}, {table.models:,} models, newest change {table.date}")


def _adapters() -> Iterator[Finding]:
    from pyrlm.adapters.presets import PRESETS  # noqa: PLC0415

    rows = {name: (preset.key_variables, preset.base_url) for name, preset in PRESETS.items()}
    rows |= {"anthropic": (("ANTHROPIC_API_KEY",), None), "azure": (("AZURE_OPENAI_API_KEY",), None)}
    for name, (variables, url) in sorted(rows.items()):
        given = next((variable for variable in variables if os.environ.get(variable)), None)
        local = url is not None and "://localhost" in url
        state = f"key in {given}" if given else f"no key needed ({url})" if local else f"no key ({variables[0]})"
        yield Finding(name=f"model {name}:", state=state)
    yield Finding(name="model extractive:", state="works offline, by matching words")


def _retrievers() -> Iterator[Finding]:
    engine = f"tantivy {_version('tantivy')}, numpy {_version('numpy')}"
    yield Finding(name="index in a folder", state=engine if _version("tantivy") else "tantivy is not installed")
    yield Finding(name="index on a cluster", state=f"elasticsearch client {_version('elasticsearch')}")
    from pyrlm.retrievers.minilm import MiniLMEmbedder  # noqa: PLC0415

    try:
        embedder = MiniLMEmbedder()
    except (PyRLMError, OSError) as error:
        yield Finding(name="embedder minilm", state="not at hand: searches go by words alone", advice=str(error))
    else:
        yield Finding(name="embedder minilm", state=f"{embedder.name}, {embedder.dimensions} dimensions")
