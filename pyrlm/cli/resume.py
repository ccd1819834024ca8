"""``pyrlm resume``: go on with a run that was begun by ``pyrlm ask --checkpoint`` and did not come to its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pyrlm.cli.ask import cache_of_user, is_extractive, opened, progress, reported
from pyrlm.cli.codes import code_of
from pyrlm.cli.kept import Kept
from pyrlm.cli.models import adapters_for, config_of
from pyrlm.policy import Policy

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
        adapter, sub_adapter = adapters_for(kept.model, kept.sub_model)
        corpus = Path(kept.corpus) if kept.corpus is not None else None
        with opened(corpus, es or kept.es, kept.index, kept.embed) as retriever:
            router = SmartRouter(
                adapter,
                retriever=retriever,
                subcall_adapter=sub_adapter,
                policy=Policy(max_cost_usd=kept.max_cost, max_total_tokens=kept.max_tokens),
                profile=kept.profile,
                repl_backend=kept.repl,
                cache=cache_of_user() if kept.cache else None,
                config=config_of(kept.price, kept.subcall_price, kept.sub_model),
                event_listener=listener,
                trace_path=trace,
            )
            result = router.resume(path)
    if as_json:
        typer.echo(json.dumps(result.as_dict(), ensure_ascii=False, indent=2))
    else:
        from pyrlm.cli.report import print_result  # noqa: PLC0415 - rich is not needed for JSON

        print_result(result, explain=explain, extractive=is_extractive(adapter))
    raise typer.Exit(code_of(result.status))
