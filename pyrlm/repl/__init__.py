"""Where model-written code runs: two backends behind one protocol, and room for one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrlm.errors import ConfigurationError

if TYPE_CHECKING:
    from pyrlm.repl.exec_pool import ReplPool
    from pyrlm.repl.protocol import Repl, ReplFactory

__all__ = ["ReplPool", "make_repl"]


def make_repl(backend: str | ReplFactory) -> Repl:
    """Return a new REPL, not started yet.

    Args:
        backend: ``"exec"`` (``"python"`` is another name of it), ``"monty"``, or a callable that returns a `Repl`.

    Raises:
        ConfigurationError: There is no backend of that name.
    """
    if callable(backend):
        return backend()
    if backend in {"exec", "python"}:
        from pyrlm.repl.exec_host import ExecRepl  # noqa: PLC0415 - only the backend that is used is loaded

        return ExecRepl()
    if backend == "monty":
        from pyrlm.repl.monty import MontyRepl  # noqa: PLC0415

        return MontyRepl()
    raise ConfigurationError(
        f"repl_backend={backend!r}: expected 'exec', 'monty', or a callable that returns an object of the Repl protocol."
    )


def __getattr__(name: str) -> Any:
    if name == "ReplPool":
        from pyrlm.repl.exec_pool import ReplPool  # noqa: PLC0415 - only applications that run many queries need it

        return ReplPool
    raise AttributeError(f"module 'pyrlm.repl' has no attribute {name!r}")
