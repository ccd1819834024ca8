"""Options that several commands share: which corpus, which models and what they cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "CaCertsOption",
    "CheckpointOption",
    "ClusterOption",
    "EmbedderOption",
    "FolderOption",
    "IndexOption",
    "ModelOption",
    "PriceOption",
    "StreamOption",
    "SubModelOption",
    "SubcallPriceOption",
    "UserOption",
]

FolderOption = Annotated[Path | None, typer.Option("--in", help="Folder of an index.", metavar="FOLDER")]
ClusterOption = Annotated[str | None, typer.Option("--es", help="Address of an Elasticsearch cluster.", metavar="URL")]
IndexOption = Annotated[str | None, typer.Option("--index", help="Name of the index on the cluster.")]
CaCertsOption = Annotated[
    Path | None,
    typer.Option(
        "--ca-certs",
        help="Certificate authority of the cluster. Default: $ELASTICSEARCH_CA_CERTS, else the system's.",
        metavar="FILE",
    ),
]
UserOption = Annotated[
    str | None,
    typer.Option(
        "--user",
        help="User on the cluster ($ELASTICSEARCH_USER); the password is $ELASTICSEARCH_PASSWORD, or asked for.",
        metavar="NAME",
    ),
]
EmbedderOption = Annotated[str | None, typer.Option("--embed", help="Embedder, where the index does not tell it.")]

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", help="Model as provider:name, such as openai:gpt-4.1 or extractive. Default: $PYRLM_MODEL."
    ),
]
SubModelOption = Annotated[
    str | None, typer.Option("--sub-model", help="Cheaper model for sub-calls, as provider:name.")
]
PriceOption = Annotated[
    str | None,
    typer.Option(
        "--price", help="Price of --model in US dollars per million tokens, where pyrlm knows none.", metavar="IN,OUT"
    ),
]
SubcallPriceOption = Annotated[
    str | None, typer.Option("--subcall-price", help="Price of --sub-model.", metavar="IN,OUT")
]
StreamOption = Annotated[
    bool, typer.Option("--stream", help="Print the answer as it is written, where the output is a terminal.")
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        help="Keep every outcome in this file, so that `pyrlm resume FILE` goes on after a crash. It holds the text.",
        metavar="FILE",
    ),
]
