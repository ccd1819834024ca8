"""Options that several commands share: which corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["ClusterOption", "EmbedderOption", "FolderOption", "IndexOption"]

FolderOption = Annotated[Path | None, typer.Option("--in", help="Folder of an index.", metavar="FOLDER")]
ClusterOption = Annotated[str | None, typer.Option("--es", help="Address of an Elasticsearch cluster.", metavar="URL")]
IndexOption = Annotated[str | None, typer.Option("--index", help="Name of the index on the cluster.")]
EmbedderOption = Annotated[str | None, typer.Option("--embed", help="Embedder, where the index does not tell it.")]
