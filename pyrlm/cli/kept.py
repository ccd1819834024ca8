"""What ``pyrlm resume`` has to know of the command that began a run: its options, without keys."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit, urlunsplit

from pyrlm.cli.models import adapters_for, config_of
from pyrlm.errors import CheckpointError
from pyrlm.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrlm.cache import DiskCache
    from pyrlm.checkpoint import Checkpoint

__all__ = ["Kept"]

_COMMAND = "pyrlm ask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Options of ``pyrlm ask`` that decide how a run goes on; see there."""

    model: str | None
    sub_model: str | None
    profile: str | None
    repl: str
    max_cost: float | None
    max_tokens: int
    price: str | None
    subcall_price: str | None
    cache: bool
    corpus: Path | str | None
    es: str | None
    index: str | None
    embed: str | None
    ca_certs: Path | str | None
    user: str | None

    def made(self) -> tuple[Any, dict[str, Any]]:
        """Return the root adapter, and the options of the router.

        Raises:
            ConfigurationError: One of them can't be used.
        """
        adapter, sub_adapter = adapters_for(self.model, self.sub_model)
        return adapter, {
            "subcall_adapter": sub_adapter,
            "policy": Policy(max_cost_usd=self.max_cost, max_total_tokens=self.max_tokens),
            "profile": self.profile,
            "repl_backend": self.repl,
            "cache": _cache() if self.cache else None,
            "config": config_of(self.price, self.subcall_price, self.sub_model),
        }

    def checkpoint(self, path: Path | None) -> Checkpoint | None:
        """Return the file with these options in it; None without a file."""
        if path is None:
            return None
        from pyrlm.checkpoint import Checkpoint  # noqa: PLC0415 - after the arguments were read, so that --help is quick

        options = asdict(self) | {
            "model": self.model or os.environ.get("PYRLM_MODEL"),
            "corpus": _absolute(self.corpus),
            "ca_certs": _absolute(self.ca_certs),
            "es": _without_password(self.es) if self.es is not None else None,
        }
        return Checkpoint(path=path, note={"command": _COMMAND, "options": options})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read them from the file of a run.

        Raises:
            CheckpointError: The file can't be read, or another program began the run.
        """
        from pyrlm.checkpoint import read_note  # noqa: PLC0415 - as above

        note: Mapping[str, Any] = read_note(path)
        if note.get("command") != _COMMAND:
            raise CheckpointError(
                f"{str(path)!r} was not begun by `{_COMMAND} --checkpoint`: resume it in the program that began it."
            )
        return cls(**{field.name: note["options"].get(field.name) for field in fields(cls)})


def _cache() -> DiskCache:
    from pyrlm.cache import DiskCache  # noqa: PLC0415 - as above

    return DiskCache()


def _absolute(path: Path | str | None) -> str | None:
    return None if path is None else str(Path(path).absolute())


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
