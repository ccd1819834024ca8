"""``pyrlm search``: what an index finds for a query."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pyrlm.cli.codes import ExitCode
from pyrlm.cli.options import CaCertsOption, ClusterOption, EmbedderOption, FolderOption, IndexOption, UserOption
from pyrlm.cli.plain import one_line
from pyrlm.cli.sources import Access, retriever_for
from pyrlm.errors import ConfigurationError, PyRLMError

if TYPE_CHECKING:
    from rich.text import Text

    from pyrlm.retrievers.protocol import Hit, Hits

__all__ = ["search"]


def search(
    query: Annotated[str, typer.Argument(help="Words; nothing in them is syntax.", metavar="QUERY")],
    corpus: FolderOption = None,
    es: ClusterOption = None,
    name: IndexOption = None,
    ca_certs: CaCertsOption = None,
    user: UserOption = None,
    embed: EmbedderOption = None,
    filters: Annotated[
        str | None,
        typer.Option("--filter", help='Conditions on metadata: \'{"year": {"gte": 2018}}\'.', metavar="JSON"),
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", min=1, max=1000, help="Most hits.")] = 10,
    method: Annotated[
        Literal["bm25", "vector", "hybrid"] | None,
        typer.Option(help="How to rank. Default: hybrid where there are vectors, else bm25."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the hits as JSON.")] = False,
) -> None:
    """Show the passages of an index that match QUERY, best first.

    Exit codes: 0 found, 1 error, 2 usage, 3 nothing found.
    """
    try:
        conditions = _conditions(filters)
        with retriever_for(corpus, es, name, embed, Access(ca_certs=ca_certs, user=user)) as retriever:
            hits = _search(retriever, method, query, top_k, conditions)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None
    except (PyRLMError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(ExitCode.ERROR) from None
    if as_json:
        found = [_as_dict(hit) for hit in hits]
        typer.echo(json.dumps({"method": hits.method, "note": hits.note, "hits": found}, ensure_ascii=False, indent=2))
    else:
        _show(hits)
    raise typer.Exit(ExitCode.ANSWERED if hits else ExitCode.UNANSWERED)


def _conditions(filters: str | None) -> Any:
    if filters is None:
        return None
    try:
        return json.loads(filters)
    except ValueError as error:
        raise ConfigurationError(f"--filter is no JSON: {error}") from None


def _search(retriever: Any, method: str | None, query: str, top_k: int, filters: Any) -> Hits:
    name = method or ("hybrid" if retriever.has_vectors else "bm25")
    functions = {"bm25": retriever.search, "vector": retriever.vector_search, "hybrid": retriever.hybrid_search}
    hits: Hits = functions[name](query, top_k, filters)
    return hits


def _as_dict(hit: Hit) -> dict[str, Any]:
    more = {"title": hit.title, "heading": hit.heading, "start": hit.start, "end": hit.end, "line": hit.line}
    return {**hit.as_dict(), **more, "highlights": [list(span) for span in hit.highlights]}


def _show(hits: Hits) -> None:
    from rich.console import Console  # noqa: PLC0415 - not needed for JSON
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    if hits.note:
        typer.echo(hits.note, err=True)
    if not hits:
        typer.echo("nothing found", err=True)
        return
    table = Table("", "score", "document", "passage", show_lines=True, expand=True)
    for number, hit in enumerate(hits, 1):
        table.add_row(Text(str(number)), Text(f"{hit.score:.3g}"), _where(hit), _preview(hit))
    Console(highlight=False, emoji=False).print(table)


def _where(hit: Hit) -> Text:
    from rich.text import Text  # noqa: PLC0415

    place = f":{hit.line}" if hit.line is not None else ""
    where = Text(f"{one_line(hit.doc_id)}{place}", style="cyan", overflow="fold")
    if hit.title:
        where.append(f"\n{one_line(hit.title)}", style="dim")
    return where


def _preview(hit: Hit) -> Text:
    from rich.text import Text  # noqa: PLC0415

    text = Text(one_line(hit.preview), overflow="fold")
    for start, end in hit.highlights:
        text.stylize("bold yellow", start, end)
    return text
