"""How far indexing is: a bar with rate and remaining time on a terminal, nothing where the output is piped."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyrlm.retrievers.reports import IndexProgress

__all__ = ["progress_bar"]


@contextlib.contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Callable[[IndexProgress], None] | None]:
    """Give what indexing reports to; None where nothing is to be shown."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - only where something is shown
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn  # noqa: PLC0415

    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def show(progress: IndexProgress) -> None:
            bar.update(task, description=_words(progress), completed=progress.documents, total=progress.total)

        yield show


def _words(progress: IndexProgress) -> str:
    if progress.to_link:
        return f"all documents are safe; {progress.linked:,} of {progress.to_link:,} vectors linked for quick searches"
    of = f" of {progress.total:,}" if progress.total is not None else ""
    failed = f", {progress.failed:,} failed" if progress.failed else ""
    left = progress.remaining_seconds
    remaining = f", {_duration(left)} left" if left is not None else ""
    return (
        f"{progress.documents:,}{of} documents ({progress.passages:,} passages, {progress.acknowledged:,} safe{failed}), "
        f"{progress.rate:,.0f} a second{remaining}"
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
