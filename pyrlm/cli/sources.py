"""From ``--in``, ``--es``, ``--index`` and ``--embed`` to a retriever."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer

from pyrlm.errors import ConfigurationError, RetrieverError

if TYPE_CHECKING:
    from pyrlm.retrievers import ElasticsearchRetriever, EmbeddedRetriever, Embedder

__all__ = ["Access", "cluster", "embedder_for", "embedder_of_index", "folder", "is_cluster", "retriever_for"]

KEY_VARIABLES = ("ELASTICSEARCH_API_KEY", "ES_API_KEY")
"""Environment variables with the API key of a cluster; a command line would show it to everyone on the machine."""
CA_VARIABLE = "ELASTICSEARCH_CA_CERTS"
USER_VARIABLE = "ELASTICSEARCH_USER"
PASSWORD_VARIABLE = "ELASTICSEARCH_PASSWORD"  # noqa: S105 - a name, no password
SCHEME = "es://"
_OF_OPENAI = "openai:text-embedding-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to be let into a cluster, beside what the environment holds.

    Attributes:
        ca_certs: File of the certificate authority; None: ELASTICSEARCH_CA_CERTS.
        user: User whose password the environment holds, or who is asked for it; None: ELASTICSEARCH_USER.
    """

    ca_certs: Path | None = None
    user: str | None = None

    def options(self) -> dict[str, Any]:
        """The retriever's options for it; a user goes before a key.

        Raises:
            ConfigurationError: There is no such file, or no password.
        """
        options: dict[str, Any] = {"ca_certs": str(self.ca_certs or "") or os.environ.get(CA_VARIABLE) or None}
        user = self.user or os.environ.get(USER_VARIABLE)
        if user:
            return options | {"basic_auth": (user, _password(user))}
        return options | {"api_key": next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), None)}


def _password(user: str) -> str:
    if ":" in user:
        raise ConfigurationError(
            "--user takes a name alone: a password on the command line is seen by everyone on the machine; "
            f"put it into {PASSWORD_VARIABLE}, or wait to be asked for it"
        )
    password = os.environ.get(PASSWORD_VARIABLE)
    if password:
        return password
    if not sys.stdin.isatty():
        raise ConfigurationError(f"there is no password for --user {user}: put it into {PASSWORD_VARIABLE}")
    return str(typer.prompt(f"Password of {user}", hide_input=True, err=True))


def is_cluster(target: str) -> bool:
    """Whether ``--to`` names a cluster: ``es://host:9200/index``."""
    return target.startswith(SCHEME)


def retriever_for(
    folder_path: Path | None, es: str | None, index: str | None, embed: str | None, access: Access | None = None
) -> Any:
    """Open the corpus that ``--in`` or ``--es`` names, to search it.

    Raises:
        ConfigurationError: Neither or both were named.
        RetrieverError: The folder holds no index, or not in this way.
    """
    if (folder_path is None) == (es is None):
        raise ConfigurationError("Name one corpus: --in FOLDER or --es URL.")
    if es is not None:
        return cluster(es, index, embed, access=access)
    assert folder_path is not None
    return folder(folder_path, embed)


def folder(path: Path, embed: str | None) -> EmbeddedRetriever:
    """Open an index folder with the embedder that it was made with; without it where that can't be had here.

    Raises:
        RetrieverError: There is no index.
    """
    from pyrlm.retrievers import EmbeddedRetriever  # noqa: PLC0415 - after the arguments were read
    from pyrlm.retrievers.manifest import Manifest  # noqa: PLC0415

    manifest = Manifest.read(path)
    if manifest is None:
        raise RetrieverError(f"there is no index at {path}; `pyrlm index PATH… --to {path}` makes one")
    if embed is not None or manifest.embedder is None:
        return EmbeddedRetriever(path, embedder=embedder_for(embed))
    try:
        return EmbeddedRetriever(path, embedder=_embedder_or_words(manifest.embedder))
    except RetrieverError as error:
        typer.echo(f"searching by words alone: {error}", err=True)
        return EmbeddedRetriever(path)


def cluster(
    url: str,
    index: str | None,
    embed: str | None,
    *,
    access: Access | None = None,
    retry_seconds: float | None = None,
    told: bool = True,
) -> ElasticsearchRetriever:
    """Open an index on a cluster: ``es://host:9200/index``, or an address with ``--index``.

    Args:
        url: The address.
        index: Name of the index.
        embed: Name of the embedder; None: the one that the index was made with, and none where that can't be had here.
        access: How to be let in.
        retry_seconds: How long a lost connection is tried again; None for the retriever's own time.
        told: Whether the index is asked for its embedder.

    Raises:
        ConfigurationError: It is no address, or what `access` needs is missing.
    """
    from pyrlm.retrievers.elasticsearch import DEFAULT_INDEX, RETRY_SECONDS, ElasticsearchRetriever  # noqa: PLC0415

    host = url
    if is_cluster(url):
        host, _, named = url.removeprefix(SCHEME).partition("/")
        index = index or named.strip("/") or None
    patience = RETRY_SECONDS if retry_seconds is None else retry_seconds
    options: dict[str, Any] = {"index": index or DEFAULT_INDEX, "retry_seconds": patience}
    options |= (access or Access()).options()
    retriever = ElasticsearchRetriever(host, embedder=embedder_for(embed), **options)
    if embed is not None or not told:
        return retriever
    try:
        made_with = retriever.embedder_name()
    except BaseException:
        retriever.close()
        raise
    embedder = _embedder_or_words(made_with)
    if embedder is None:
        return retriever
    retriever.close()
    return ElasticsearchRetriever(host, embedder=embedder, **options)


def _embedder_or_words(made_with: str | None) -> Embedder | None:
    """Make the embedder of an index that is to be searched; None, and a word on standard error, where it can't be had."""
    try:
        return embedder_of_index(made_with) if made_with else None
    except (ConfigurationError, RetrieverError) as error:
        typer.echo(f"searching by words alone: {error}", err=True)
        return None


def embedder_for(name: str | None) -> Embedder | None:
    """Make the embedder of this name; what a paid one returns is kept on disk.

    Raises:
        ConfigurationError: There is none, or what it needs is missing.
    """
    if name is None:
        return None
    from pyrlm.cache_store import user_directory  # noqa: PLC0415
    from pyrlm.retrievers.embeddings import embedder_named  # noqa: PLC0415

    kept = Path(user_directory()).parent / "vectors.sqlite" if name.startswith("openai") else None
    return embedder_named(name, cache=kept)


def embedder_of_index(name: str) -> Embedder | None:
    """Make the embedder that an index was made with, by the name that the index keeps.

    An index may have come from somebody else, and an earlier version kept no address: what it names gets the texts and the
    key only where it is on this machine, OpenAI, or the server of OPENAI_BASE_URL.

    Raises:
        ConfigurationError: It is another server, or none is named; or what it needs is missing.
    """
    from pyrlm.retrievers.embeddings import split_server  # noqa: PLC0415

    model, url = split_server(name)
    if not model.startswith("openai") or (_is_near(url) if url else model.startswith(_OF_OPENAI)):
        return embedder_for(name)
    where = f"at {url}" if url else "at a server that it does not name"
    raise ConfigurationError(
        f"the index was made with {model} {where}; to send texts and key there, name it: --embed {model}@{url or 'URL'}"
    )


def _is_near(url: str) -> bool:
    from ipaddress import ip_address  # noqa: PLC0415

    host = urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost" or url.rstrip("/") == os.environ.get("OPENAI_BASE_URL", "").rstrip("/")
