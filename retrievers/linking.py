"""When a folder gets its graph of neighbours: after documents were committed, where exact comparison takes long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pyrlm.retrievers import graph
from pyrlm.retrievers.reports import IndexProgress

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from pyrlm.retrievers.reading import Reader
    from pyrlm.retrievers.reports import IndexReport, ProgressCallback

__all__ = ["GRAPH_NUMBERS", "link"]

GRAPH_NUMBERS: Final = 400_000_000
"""Passages times dimensions from which on a graph is built unasked: a million passages of 384 dimensions, where comparing
all took 45 ms (4.3 ms for each 100,000, benchmarks/retrieval_bench.py), and 1.6 GB are read for each query."""

UNLINKED_SHARE: Final = 10
"""The graph is extended when a tenth of the passages is not in it; fewer are compared exactly at each search."""


def link(
    reader: Reader,
    approximate: bool | None,
    report: IndexReport,
    *,
    stop: threading.Event | None,
    progress: ProgressCallback | None,
) -> str:
    """Build or extend the graph of an index, where it is due. Nothing depends on it: what fails is told, not raised.

    Args:
        reader: The index.
        approximate: True: at any size; False: never; None: where the index is big and usearch installed.
        report: What became of the documents, for `progress`.
        stop: Set it to end early; what was linked serves.
        progress: Called as passages are linked.

    Returns:
        What went wrong, or should be known; empty where all is well.
    """
    snapshot = reader.snapshot()
    size = snapshot.passages * snapshot.manifest.dimensions
    if approximate is False or not size or (approximate is None and size < GRAPH_NUMBERS):
        return ""
    if not graph.installed():
        return (
            f"{snapshot.passages:,} passages: pip install 'pyrlm[ann]' and run the same command again, which embeds "
            "nothing anew, and vectors are searched by a graph of neighbours, many times faster"
        )
    table = snapshot.table()
    if table.unlinked() * UNLINKED_SHARE < len(table):
        return ""
    try:
        show = _shown(progress, report, len(table))
        graph.linked(reader.vectors_folder, table.uids, table.matrix, stop=stop, progress=show)
    except (OSError, RuntimeError, MemoryError) as error:
        return f"the graph of neighbours could not be written ({error}): vectors are searched exactly"
    reader.forget()
    return ""


def _shown(progress: ProgressCallback | None, report: IndexReport, to_link: int) -> Callable[[int], None] | None:
    if progress is None:
        return None
    began = time.monotonic()

    def show(linked: int) -> None:
        progress(
            IndexProgress(
                documents=report.documents,
                passages=report.passages,
                acknowledged=report.indexed + report.unchanged,
                failed=len(report.failed),
                seconds=report.seconds + time.monotonic() - began,
                total=report.documents,
                linked=linked,
                to_link=to_link,
            )
        )

    return show
