"""Puts the commands together."""

from __future__ import annotations

import sys

import typer

from pyrlm.cli.ask import ask
from pyrlm.cli.doctor import doctor
from pyrlm.cli.indexing import index
from pyrlm.cli.resume import resume
from pyrlm.cli.searching import search

__all__ = ["app", "main"]

app = typer.Typer(
    name="pyrlm",
    help="Answer questions over more text than a model can read.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(ask)
app.command()(index)
app.command()(search)
app.command()(doctor)
app.command()(resume)


@app.callback()
def _root() -> None:
    """Answer questions over more text than a model can read."""


def main() -> None:
    """Run the command line; the exit code tells how it went (see `pyrlm.cli.codes`)."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a document's characters must not end a run on a narrow terminal
    app()
