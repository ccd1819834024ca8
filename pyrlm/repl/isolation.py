"""Locks the process that calls it: limits, no new privileges, Landlock, seccomp, audit hook. None can be undone.

Runs in the worker: standard library only. Each layer lives in a module of its own and holds on its own:

========================  ==========================================================================================
``limits``                `setrlimit`: address space, processor seconds, file size 0, descriptors, no core dumps
``no_new_privileges``     `prctl`: dies with the host's thread that started it, no debugger, nothing gained by exec
``landlock``              Linux: reads the standard library and nothing else, no TCP, no signals to other processes
``seccomp``               Linux on x86_64 and aarch64: a list of allowed system calls
``audit``                 every platform: Python's own audit events for files, sockets, processes, ctypes
========================  ==========================================================================================

The kernel's layers are what is relied on. The audit hook makes their refusals readable, and is what other systems have.
"""

from __future__ import annotations

import os
import sys

from pyrlm.repl import isolation_audit, isolation_landlock, isolation_seccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["KERNEL_LAYERS", "LAYERS", "lock", "set_limits"]

LAYERS = ("limits", "no_new_privileges", "landlock", "seccomp", "audit")
"""Every layer, in the order in which they are put on."""
KERNEL_LAYERS = LAYERS[:4]

_MAX_DESCRIPTORS = 64
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_SIGKILL = 9
_M_ARENA_MAX = -8


def lock(
    *, memory_bytes: int | None, cpu_seconds: int, host_pid: int, audit: bool = True, program: str | None = None
) -> dict[str, str]:
    """Put on every layer that this system has.

    Args:
        memory_bytes: What the process may take beyond what it has now; None for no limit.
        cpu_seconds: Processor time after which the kernel ends it, as a last resort.
        host_pid: The process that it must not outlive.
        audit: Whether to put on the audit hook as well (for a Python process that stays one).
        program: The one program that the process may become.

    Returns:
        The layers that are missing, each with the reason; empty where all are on.
    """
    missing: dict[str, str] = {}
    _attempt(missing, "limits", set_limits, memory_bytes, cpu_seconds)
    if sys.platform == "linux":
        _lock_linux(missing, host_pid, program)
    else:
        missing.update(dict.fromkeys(("no_new_privileges", "landlock", "seccomp"), f"{sys.platform} has none"))
    if audit:
        isolation_audit.install(readable_folders())
    return missing


def _attempt(missing: dict[str, str], layer: str, step: Any, *args: Any) -> None:
    try:
        step(*args)
    except (OSError, ValueError, AttributeError, ImportError) as error:
        missing[layer] = str(error)


def _lock_linux(missing: dict[str, str], host_pid: int, program: str | None) -> None:
    import ctypes  # noqa: PLC0415 - Linux only, and shut by the audit hook afterwards

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    _attempt(missing, "no_new_privileges", _drop_privileges, libc, host_pid)
    _attempt(missing, "landlock", isolation_landlock.restrict, libc, _ZONES if program else readable_folders(), program)
    _attempt(missing, "seccomp", isolation_seccomp.restrict, libc, program is not None)


def _drop_privileges(libc: Any, host_pid: int) -> None:
    import ctypes  # noqa: PLC0415

    if hasattr(libc, "mallopt"):  # each thread's arena would take 64 MB of the address space that is limited
        libc.mallopt(_M_ARENA_MAX, 1)
    for option, value in ((_PR_SET_PDEATHSIG, _SIGKILL), (_PR_SET_DUMPABLE, 0), (_PR_SET_NO_NEW_PRIVS, 1)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != host_pid:
        os._exit(0)


def set_limits(memory_bytes: int | None, cpu_seconds: int) -> None:
    """Set the resource limits of this process, hard and soft alike."""
    import resource  # noqa: PLC0415 - not on every platform

    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_NOFILE: _MAX_DESCRIPTORS,
    }
    if memory_bytes is not None:
        limits[resource.RLIMIT_AS] = _address_space() + memory_bytes
    if sys.platform == "darwin":  # on Linux this would stop threads too: there seccomp forbids processes
        limits[resource.RLIMIT_NPROC] = 0
    for limit, value in limits.items():
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)  # noqa: PLW2901 - never above what holds
        resource.setrlimit(limit, (value, value))


def _address_space() -> int:
    """Return the bytes of address space in use; 0 where the system doesn't tell."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - pathlib costs the worker 3 ms
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def readable_folders() -> tuple[str, ...]:
    """Return what later imports must read: the standard library, this folder, and the time zones."""
    return (os.path.dirname(os.__file__), os.path.dirname(os.path.abspath(__file__)), *_ZONES)  # noqa: PTH100, PTH120


_ZONES = ("/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo")
