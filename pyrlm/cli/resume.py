"""``pyrlm resume``: go on with a run that was begun by ``pyrlm ask --checkpoint`` and did not come to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyrlm.cli.ask import opened, progress, reported, show
from pyrlm.cli.kept import Kept

__all__ = ["resume"]


def resume(
    path: Annotated[Path, typer.Argument(help="The file that --checkpoint named.", metavar="FILE")],
    es: Annotated[
        str | None, typer.Option("--es", help="The cluster, where its address held a password.", metavar="URL")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say why the route was chosen.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    trace: Annotated[Path | None, typer.Option(help="Write every event to this file, as JSON Lines.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Go on with the run in FILE, with the options that it was begun with. No call is made twice whose reply is there.

    Exit codes: 0 answered, 1 error, 2 usage, 3 unanswered, 4 a limit was met, 130 interrupted.
    """
    with reported(path), progress(quiet=quiet or as_json) as listener:
        from pyrlm.routers import SmartRouter  # noqa: PLC0415 - after the arguments were read, so that --help is quick

        kept = Kept.read(path)
        adapter, options = kept.made()
        options |= {"event_listener": listener, "trace_path": trace}
        corpus, ca_certs = (Path(path) if path is not None else None for path in (kept.corpus, kept.ca_certs))
        cluster = es or kept.es
        with opened(corpus, cluster, kept.index, kept.embed, ca_certs=ca_certs, user=kept.user) as retriever:
            result = SmartRouter(adapter, retriever=retriever, **options).resume(path)
    show(result, adapter, as_json=as_json, explain=explain)
