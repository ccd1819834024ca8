"""``pyrlm ask``: answer a question over files, an index, or both."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from pyrlm.cli.codes import ExitCode, code_of
from pyrlm.cli.kept import Kept
from pyrlm.cli.options import (
    CaCertsOption,
    CheckpointOption,
    ClusterOption,
    EmbedderOption,
    FolderOption,
    IndexOption,
    ModelOption,
    PriceOption,
    StreamOption,
    SubcallPriceOption,
    SubModelOption,
    UserOption,
)
from pyrlm.errors import ConfigurationError, PriceUnknownError, PyRLMError

if TYPE_CHECKING:
    from pyrlm.context import Context
    from pyrlm.events import EventListener
    from pyrlm.routers import RouterResult

__all__ = ["ask", "opened", "progress", "reported", "show"]


_INTERRUPTED = 130


def ask(
    question: Annotated[str, typer.Argument(help="The question.", metavar="QUESTION")],
    paths: Annotated[
        list[str] | None, typer.Argument(help="Files, folders, globs, or - for standard input.", metavar="PATH...")
    ] = None,
    corpus: FolderOption = None,
    es: ClusterOption = None,
    index: IndexOption = None,
    ca_certs: CaCertsOption = None,
    user: UserOption = None,
    embed: EmbedderOption = None,
    model: ModelOption = None,
    sub_model: SubModelOption = None,
    profile: Annotated[
        Literal["deterministic_first", "semantic_batches", "hybrid", "verify"] | None,
        typer.Option(help="How to work on a text that one call should not read whole. Default: by the question."),
    ] = None,
    route: Annotated[Literal["baseline", "select", "rlm"] | None, typer.Option(help="Force a route.")] = None,
    repl: Annotated[Literal["exec", "monty"], typer.Option(help="Where model-written code runs.")] = "exec",
    max_cost: Annotated[float | None, typer.Option(min=0.0, help="Most US dollars to spend.")] = None,
    price: PriceOption = None,
    subcall_price: SubcallPriceOption = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens to use, all calls together.")] = 200_000,
    cache: Annotated[bool, typer.Option("--cache/--no-cache", help="Keep answers of sub-calls on disk.")] = True,
    stream: StreamOption = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say why the route was chosen.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    trace: Annotated[Path | None, typer.Option(help="Write every event to this file, as JSON Lines.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    checkpoint: CheckpointOption = None,
) -> None:
    """Answer QUESTION over the text in PATH…, the index of --in or --es, or both.

    Exit codes: 0 answered, 1 error, 2 usage, 3 unanswered, 4 a limit was met, 130 interrupted.
    """
    if not paths and corpus is None and es is None:
        raise typer.BadParameter("Missing argument 'PATH...' (or --in FOLDER, or --es URL).")
    live = stream and not as_json and sys.stdout.isatty()
    kept = Kept(
        model=model, sub_model=sub_model, profile=profile, repl=repl, max_cost=max_cost, max_tokens=max_tokens,
        price=price, subcall_price=subcall_price, cache=cache, corpus=corpus, es=es, index=index, embed=embed,
        ca_certs=ca_certs, user=user,
    )  # fmt: skip
    how = {"route": route, "checkpoint": kept.checkpoint(checkpoint)}
    with reported(checkpoint), progress(quiet=quiet or as_json or live) as listener:
        adapter, options = kept.made()
        options |= {"event_listener": listener, "trace_path": trace}
        with opened(corpus, es, index, embed, ca_certs=ca_certs, user=user) as retriever:
            result = _answer(question, paths or [], retriever, how, adapter, options, live=live)
    show(result, adapter, as_json=as_json, explain=explain, answer=not live or not result.output)


def show(result: RouterResult, adapter: object, *, as_json: bool, explain: bool, answer: bool = True) -> NoReturn:
    """Print a result, and end with its exit code."""
    if as_json:
        typer.echo(json.dumps(result.as_dict(), ensure_ascii=False, indent=2))
    else:
        from pyrlm.cli.report import print_result  # noqa: PLC0415 - rich is not needed for JSON

        print_result(result, explain=explain, extractive=_is_extractive(adapter), answer=answer)
    raise typer.Exit(code_of(result.status))


def _answer(
    question: str,
    paths: list[str],
    retriever: Any,
    how: dict[str, Any],
    adapter: Any,
    options: dict[str, Any],
    *,
    live: bool,
) -> RouterResult:
    from pyrlm.cli.streamed import print_stream  # noqa: PLC0415
    from pyrlm.routers import SmartRouter  # noqa: PLC0415 - after the arguments were read, so that --help is quick

    router = SmartRouter(adapter, retriever=retriever, **options)
    context = _read(paths) if paths else None
    if live:
        return print_stream(router.stream(question, context, **how))
    return router.run(question, context, **how)


@contextlib.contextmanager
def opened(
    corpus: Path | None,
    es: str | None,
    index: str | None,
    embed: str | None,
    *,
    ca_certs: Path | None = None,
    user: str | None = None,
) -> Iterator[Any]:
    """Give the retriever that was named; None where none was."""
    if corpus is None and es is None:
        yield None
        return
    from pyrlm.cli.sources import Access, retriever_for  # noqa: PLC0415

    with retriever_for(corpus, es, index, embed, Access(ca_certs=ca_certs, user=user)) as retriever:
        yield retriever


@contextlib.contextmanager
def reported(checkpoint: Path | None = None) -> Iterator[None]:
    """Turn what ends a run into a message and an exit code."""
    try:
        yield
    except ConfigurationError as error:
        hint = " Here: --price IN,OUT (and --subcall-price)." if isinstance(error, PriceUnknownError) else ""
        raise typer.BadParameter(f"{error}{hint}") from None
    except (PyRLMError, OSError) as error:
        _stop(error)
    except KeyboardInterrupt:
        further = f"; pyrlm resume {checkpoint} goes on" if checkpoint is not None else ""
        typer.echo(f"stopped{further}", err=True)
        raise typer.Exit(_INTERRUPTED) from None


def _is_extractive(adapter: object) -> bool:
    return type(adapter).__name__ == "ExtractiveAdapter"


def _read(paths: list[str]) -> Context:
    from pyrlm.context import Context  # noqa: PLC0415
    from pyrlm.files import read_paths  # noqa: PLC0415

    documents, report = read_paths(paths)
    for skipped in report.skipped:
        typer.echo(f"skipped {skipped.path}: {skipped.reason}", err=True)
    if not documents:
        raise ConfigurationError(f"Nothing to read in {', '.join(paths)}: name files, folders or globs that hold text.")
    return Context.from_read(documents)


@contextlib.contextmanager
def progress(*, quiet: bool) -> Iterator[EventListener | None]:
    """Show progress on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from pyrlm.views.terminal import TerminalView  # noqa: PLC0415

    with TerminalView() as view:
        yield view


def _stop(error: PyRLMError | OSError) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    if isinstance(error, PyRLMError) and error.output:
        typer.echo(f"best answer so far: {error.output}", err=True)
    raise typer.Exit(ExitCode.ERROR)
