"""``pyrlm doctor``: what this machine has, and what will not work."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from pyrlm.cli.codes import ExitCode
from pyrlm.cli.options import CaCertsOption, UserOption
from pyrlm.cli.plain import one_line, plain
from pyrlm.cli.sources import Access, cluster
from pyrlm.errors import PyRLMError

if TYPE_CHECKING:
    from pyrlm.retrievers.es_doctor import Diagnosis

__all__ = ["Finding", "doctor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report.

    Attributes:
        name: What was looked at.
        state: What was found.
        advice: What will not work, and what to do; empty where all is well.
    """

    name: str
    state: str
    advice: str = ""


def doctor(
    es: Annotated[str | None, typer.Option(help="Look at this Elasticsearch cluster too.", metavar="URL")] = None,
    index: Annotated[str | None, typer.Option("--index", help="Name of the index on the cluster.")] = None,
    ca_certs: CaCertsOption = None,
    user: UserOption = None,
    embed: Annotated[str | None, typer.Option(help="Embedder that the index is to be searched with.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Say what pyrlm finds on this machine: isolation, models, tokenizer, prices, retrievers; no key is printed.

    Exit codes: 0 the report is there, 1 the cluster or its index can't be used, 2 usage.
    """
    from pyrlm.cli.checkup import local_findings  # noqa: PLC0415 - it loads nearly everything

    access = Access(ca_certs=ca_certs, user=user)
    there, usable = ([], True) if es is None else _cluster(es, index, embed, access)
    findings = [*local_findings(), *there]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2))
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            typer.echo(f"{finding.name:<{width}}  {plain(finding.state)}")
            if finding.advice:
                typer.echo(f"{'':<{width}}  ! {one_line(finding.advice)}")
    raise typer.Exit(ExitCode.ANSWERED if usable else ExitCode.ERROR)


def _cluster(es: str, index: str | None, embed: str | None, access: Access) -> tuple[list[Finding], bool]:
    from pyrlm.errors import ConfigurationError  # noqa: PLC0415

    try:
        retriever = cluster(es, index, embed, access=access, retry_seconds=0.0, told=False)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None
    try:
        found = retriever.diagnose()
    except (PyRLMError, OSError) as error:
        return [Finding(name="Elasticsearch", state="not usable", advice=str(error))], False
    finally:
        retriever.close()
    return _described(found), found.passages is not None


def _described(found: Diagnosis) -> list[Finding]:
    """Put a diagnosis into lines; each problem is one of its own."""
    server = f"{found.server or 'not told'}, licence {found.licence or 'not told'}, health {found.health or 'not told'}"
    entries = "not readable" if found.passages is None else f"{found.passages:,} entries"
    if found.documents is not None:
        entries = f"{found.documents:,} documents, {found.passages:,} passages"
    made = "made by pyrlm" if found.own else "made elsewhere, read only"
    fields = ", ".join(f"{name} ({kind})" for name, kind in (found.fields or {}).items())
    lines = [
        Finding(name="Elasticsearch", state=f"server {server}, client {found.client}"),
        Finding(name="index", state=f"{found.index}: {entries}" + (f", {made}" if found.passages is not None else "")),
    ]
    if found.passages is not None:
        lines += [
            Finding(name="  text", state=", ".join(found.text) or "none"),
            Finding(name="  vectors", state=found.vector or "none"),
            Finding(name="  filters", state=fields or "none"),
        ]
    return [*lines, *(Finding(name="  problem", state=problem) for problem in found.problems)]
