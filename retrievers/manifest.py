"""The manifest of an index folder: what it was built with, so that it is never read or extended with something else."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Final, cast, get_args

from pyrlm.errors import RetrieverError
from pyrlm.retrievers.filters import FieldType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["FORMAT", "NAME", "Manifest", "write_atomically"]

FORMAT: Final = 1
NAME: Final = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an index was built with.

    Attributes:
        format: Version of the layout on disk.
        chunker: Name of the way that documents are cut.
        embedder: Name of the model behind the vectors; None for an index without vectors.
        dimensions: Numbers in a vector; 0 without vectors.
        fields: Metadata fields and their types. May name fields that no document has any more.
    """

    format: int = FORMAT
    chunker: str
    embedder: str | None = None
    dimensions: int = 0
    fields: Mapping[str, FieldType] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """Read the manifest of `folder`; None where there is no index.

        Raises:
            RetrieverError: It is damaged, of another version, or can't be read.
        """
        path = folder / NAME
        try:
            data = json.loads(path.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise RetrieverError(f"can't read {path}: {error}") from error
        return cls._checked(data, path)

    @classmethod
    def _checked(cls, data: object, path: Path) -> Manifest:
        found = data.get("format") if isinstance(data, dict) else None
        if found != FORMAT:
            raise RetrieverError(
                f"{path} has format {found!r}; this version of pyrlm reads format {FORMAT}: "
                "install the version that wrote it, or index the documents again into a new folder"
            )
        data = cast("dict[str, object]", data)
        fields = data.get("fields")
        embedder, dimensions = data.get("embedder"), data.get("dimensions")
        if (
            not isinstance(data.get("chunker"), str)
            or not (embedder is None or isinstance(embedder, str))
            or not isinstance(dimensions, int)
            or not isinstance(fields, dict)
            or not all(kind in get_args(FieldType) for kind in fields.values())
        ):
            raise RetrieverError(f"{path} is damaged; index the documents again into a new folder")
        return cls(chunker=str(data["chunker"]), embedder=embedder, dimensions=dimensions, fields=fields)

    def write(self, folder: Path) -> None:
        """Put this manifest into `folder`, as a whole or not at all."""
        text = json.dumps(asdict(self), ensure_ascii=False, indent=1, sort_keys=True)
        write_atomically(folder / NAME, text.encode())

    def with_fields(self, fields: Mapping[str, FieldType]) -> Manifest:
        """The same with `fields` added."""
        return replace(self, fields={**self.fields, **fields})


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file so that a reader, or a crash at any moment, sees the old content or the new."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RetrieverError(f"can't write {path}: {error}") from error
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # folders can't be opened on every system
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
