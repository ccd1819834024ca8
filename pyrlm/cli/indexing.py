"""``pyrlm index``: make and extend an index, or move one to a cluster."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyrlm.cli.codes import ExitCode
from pyrlm.cli.interrupt import stopping
from pyrlm.cli.options import CaCertsOption, UserOption
from pyrlm.cli.plain import one_line
from pyrlm.cli.progress import progress_bar
from pyrlm.cli.sources import Access, cluster, embedder_for, embedder_of_index, is_cluster
from pyrlm.errors import ConfigurationError, PyRLMError

if TYPE_CHECKING:
    from pyrlm.retrievers.ingest import IngestReport
    from pyrlm.retrievers.reports import IndexReport

__all__ = ["index"]

_SHOWN = 20
_INTERRUPTED = 130


def index(
    paths: Annotated[
        list[str] | None,
        typer.Argument(help="Files, folders, globs, or - for standard input.", metavar="PATH...", show_default=False),
    ] = None,
    to: Annotated[str | None, typer.Option(help="Folder of the index, or es://host:9200/index.")] = None,
    es: Annotated[str | None, typer.Option(help="Address of an Elasticsearch cluster.", metavar="URL")] = None,
    name: Annotated[str | None, typer.Option("--index", help="Name of the index on the cluster.")] = None,
    ca_certs: CaCertsOption = None,
    user: UserOption = None,
    embed: Annotated[
        str | None,
        typer.Option(help="Make vectors too: minilm, openai, openai:MODEL or openai:MODEL@URL."),
    ] = None,
    moved: Annotated[
        Path | None, typer.Option("--from", help="Move this index, with its vectors, instead of reading PATH….")
    ] = None,
    remove_missing: Annotated[
        bool, typer.Option("--remove-missing", help="Delete what the index holds and PATH… does not.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Index PATH… to search and ask about it later; what is there already, unchanged, is left alone.

    Ctrl-C leaves a usable index, and the same command goes on where it stopped. The key of a cluster comes from
    ELASTICSEARCH_API_KEY. Exit codes: 0 all is indexed, 1 error or documents that failed, 2 usage, 130 interrupted.
    """
    try:
        with (
            _target(to, es, name, embed if moved is None else None, Access(ca_certs=ca_certs, user=user)) as target,
            progress_bar(quiet=quiet or as_json) as show,
            stopping() as stop,
        ):
            report = _work(paths or [], moved, embed, target, progress=show, remove_missing=remove_missing, stop=stop)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None
    except (PyRLMError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(ExitCode.ERROR) from None
    except KeyboardInterrupt:
        typer.echo("stopped; the index holds what was acknowledged", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    _print(report, es or to or "", as_json=as_json)
    done = report.index
    raise typer.Exit(_INTERRUPTED if done.interrupted else ExitCode.ERROR if done.failed else ExitCode.ANSWERED)


def _target(to: str | None, es: str | None, name: str | None, embed: str | None, access: Access) -> Any:
    if (to is None) == (es is None):
        raise ConfigurationError("Name one target: --to FOLDER, --to es://host:9200/index or --es URL.")
    if es is not None or (to is not None and is_cluster(to)):
        return cluster(es or to or "", name, embed, access=access, told=False)
    if name is not None:
        raise ConfigurationError("--index names an index on a cluster; a folder is one index.")
    return _folder(Path(to or ""), embed)


def _folder(path: Path, embed: str | None) -> Any:
    """Open a folder to write to it, with the embedder that it was made with where none is named."""
    from pyrlm.retrievers import EmbeddedRetriever  # noqa: PLC0415
    from pyrlm.retrievers.manifest import Manifest  # noqa: PLC0415

    manifest = Manifest.read(path)
    made_with = manifest.embedder if manifest is not None else None
    embedder = embedder_of_index(made_with) if made_with and embed is None else embedder_for(embed)
    return EmbeddedRetriever(path, embedder=embedder)


def _work(paths: list[str], moved: Path | None, embed: str | None, target: Any, **options: Any) -> IngestReport:
    from pyrlm.retrievers.ingest import IngestReport, count_documents, ingest  # noqa: PLC0415

    if moved is not None:
        if paths or embed is not None:
            raise ConfigurationError("--from takes passages and vectors as they are: leave PATH… and --embed out.")
        return IngestReport(index=_move(moved, target, **options))
    if not paths:
        raise ConfigurationError("Nothing to index: name files, folders or globs, or --from FOLDER.")
    report = ingest(paths, target, total=count_documents(paths), **options)
    if not report.index.documents and not report.index.interrupted:
        reasons = "; ".join(f"{one_line(skipped.path)}: {skipped.reason}" for skipped in report.read.skipped[:3])
        raise ConfigurationError(f"Nothing to index in {', '.join(paths)}{f' ({reasons})' if reasons else ''}.")
    return report


def _move(source: Path, target: Any, **options: Any) -> IndexReport:
    from pyrlm.retrievers import EmbeddedRetriever  # noqa: PLC0415
    from pyrlm.retrievers.manifest import Manifest  # noqa: PLC0415

    if isinstance(target, EmbeddedRetriever):
        raise ConfigurationError(
            "--from moves an index to a cluster: --to es://host:9200/index. A folder can be copied."
        )
    manifest = Manifest.read(source)
    if manifest is None:
        raise ConfigurationError(f"there is no index at {source}")
    corpus = EmbeddedRetriever(source)
    total = corpus.count()
    if not total:
        raise ConfigurationError(f"Nothing to index in {source}.")
    report: IndexReport = target.index(corpus.documents(), total=total, made_with=manifest, **options)
    return report


def _print(report: IngestReport, target: str, *, as_json: bool) -> None:
    done, read = report.index, report.read
    if as_json:
        skipped = [{"path": one.path, "reason": one.reason} for one in read.skipped]
        typer.echo(json.dumps(asdict(done) | {"skipped": skipped}, ensure_ascii=False, indent=2))
        return
    for one in read.skipped[:_SHOWN]:
        typer.echo(f"skipped {one_line(one.path)}: {one_line(one.reason)}", err=True)
    for note in read.notes[:_SHOWN]:
        typer.echo(f"{one_line(note.path)}: {one_line(note.text)}", err=True)
    for failure in done.failed[:_SHOWN]:
        typer.echo(f"failed {one_line(failure.doc_id)}: {one_line(failure.reason)}", err=True)
    more = len(read.skipped) - _SHOWN, len(done.failed) - _SHOWN
    if max(more) > 0:
        typer.echo(f"… and {max(more[0], 0)} more skipped, {max(more[1], 0)} more failed; --json lists all", err=True)
    rate = f", {done.documents / done.seconds:,.0f} documents a second" if done.seconds > 0 else ""
    typer.echo(
        f"{'stopped early: ' if done.interrupted else ''}{done.indexed:,} documents indexed "
        f"({done.passages:,} passages), {done.unchanged:,} unchanged, {done.deleted:,} deleted, "
        f"{len(done.failed):,} failed in {done.seconds:.1f} s{rate} → {target}"
    )
    if done.interrupted:
        typer.echo("the same command goes on where this one stopped", err=True)
    if done.advice:
        typer.echo(done.advice, err=True)
