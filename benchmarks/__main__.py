"""Print the table: ``python -m benchmarks [PART…]``, parts being startup, loop, fanout, many, text, agents and resume."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from benchmarks.harness import Row

PARTS = ("startup", "loop", "fanout", "many", "text", "agents", "resume")


def main() -> None:
    """Measure the parts named on the command line, all by default."""
    console = Console(width=140)
    table = Table("measured", "ours", "floor", "ratio", "aim", "met")
    for part in sys.argv[1:] or PARTS:
        for measure in import_module(f"benchmarks.{part}").ROWS:
            row: Row = measure()
            table.add_row(row.name, row.ours, row.floor, row.ratio, row.aim, "yes" if row.met else "no")
            console.print(f"[dim]{row.name}: {row.ours}[/dim]", highlight=False)
    console.print(table)


if __name__ == "__main__":
    main()
