"""seccomp: a list of the system calls that pure computation needs; every other one answers "not permitted".

Numbers from Linux's ``arch/x86/entry/syscalls/syscall_64.tbl`` and ``include/uapi/asm-generic/unistd.h`` (aarch64; that
table can't be run on the machines of this project and is kept by reading alone). Calls with a condition are in
`_CONDITIONS`; all others in the table are allowed with any argument. A call to open is allowed for reading only: what
can be read is Landlock's matter.
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["TABLES", "program", "restrict"]

# fmt: off
_X86_64 = {
    "read": 0, "write": 1, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8, "mmap": 9, "mprotect": 10,
    "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "ioctl": 16, "pread64": 17,
    "readv": 19, "writev": 20, "access": 21, "pipe": 22, "select": 23, "sched_yield": 24, "mremap": 25, "madvise": 28,
    "dup": 32, "nanosleep": 35, "getitimer": 36, "setitimer": 38, "getpid": 39, "sendto": 44, "recvfrom": 45,
    "socketpair": 53, "clone": 56, "exit": 60, "fcntl": 72, "getcwd": 79, "readlink": 89, "gettimeofday": 96,
    "getrlimit": 97, "getrusage": 98, "times": 100, "sigaltstack": 131, "gettid": 186, "time": 201, "futex": 202, "restart_syscall": 219,
    "sched_getaffinity": 204, "getdents64": 217, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230,
    "exit_group": 231, "epoll_wait": 232, "epoll_ctl": 233, "openat": 257, "newfstatat": 262, "readlinkat": 267,
    "faccessat": 269, "pselect6": 270, "ppoll": 271, "set_robust_list": 273, "epoll_pwait": 281, "eventfd2": 290,
    "epoll_create1": 291, "pipe2": 293, "prlimit64": 302, "getrandom": 318, "membarrier": 324, "statx": 332, "rseq": 334,
    "clone3": 435, "faccessat2": 439, "epoll_pwait2": 441,
}
_AARCH64 = {
    "getcwd": 17, "eventfd2": 19, "epoll_create1": 20, "epoll_ctl": 21, "epoll_pwait": 22, "dup": 23, "fcntl": 25,
    "ioctl": 29, "faccessat": 48, "openat": 56, "close": 57, "pipe2": 59, "getdents64": 61, "lseek": 62, "read": 63,
    "write": 64, "readv": 65, "writev": 66, "pread64": 67, "pselect6": 72, "ppoll": 73, "readlinkat": 78,
    "newfstatat": 79, "fstat": 80, "exit": 93, "exit_group": 94, "futex": 98, "set_robust_list": 99, "nanosleep": 101,
    "getitimer": 102, "setitimer": 103, "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115,
    "sched_getaffinity": 123, "sched_yield": 124, "restart_syscall": 128, "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135,
    "rt_sigreturn": 139, "times": 153, "getrlimit": 163, "getrusage": 165, "gettimeofday": 169, "getpid": 172,
    "gettid": 178, "socketpair": 199, "sendto": 206, "recvfrom": 207, "brk": 214, "munmap": 215, "mremap": 216,
    "clone": 220, "mmap": 222, "mprotect": 226, "madvise": 233, "prlimit64": 261, "getrandom": 278, "membarrier": 283,
    "statx": 291, "rseq": 293, "clone3": 435, "faccessat2": 439, "epoll_pwait2": 441,
}
# What becoming another program takes, for a process that is locked before; Landlock says which one it may become.
_TO_BECOME = {
    "x86_64": {"execve": 59, "arch_prctl": 158, "set_tid_address": 218},
    "aarch64": {"set_tid_address": 96, "execve": 221},
}
# fmt: on
TABLES = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _AARCH64)}
"""By `os.uname().machine`: the audit architecture of the kernel, and the numbers of the calls by name."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CLONE_THREAD = 0x10000
_AF_UNIX = 1
_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL, _F_DUPFD_CLOEXEC = 0, 1, 2, 3, 4, 1030
_TCGETS, _FIONBIO, _FIOCLEX = 0x5401, 0x5421, 0x5451

# Argument number and what must hold of it (of its lower 32 bits; "null" looks at all 64).
_CONDITIONS: dict[str, list[tuple[int, str, Sequence[int]]]] = {
    "openat": [(2, "none of", [_WRITING])],
    "clone": [(0, "all of", [_CLONE_THREAD])],  # threads, no processes
    "socketpair": [(0, "one of", [_AF_UNIX])],  # asyncio wakes itself with one; it leads nowhere
    "sendto": [(4, "null", [])],  # no address: to the other end of a pair
    # F_SETOWN and F_SETSIG would have the kernel send any signal to any process of the same user
    "fcntl": [(1, "one of", [_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL, _F_DUPFD_CLOEXEC])],
    "ioctl": [(1, "one of", [_TCGETS, _FIONBIO, _FIOCLEX])],
    "prlimit64": [(0, "one of", [0]), (2, "null", [])],  # its own limits, to be read
}

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000
_EPERM, _ENOSYS = 1, 38
_X32_BIT = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF opcodes
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_ARGS = 0, 4, 16

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2


def _statement(code: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, 0, 0, value)


def _jump(code: int, value: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


_DENY = _statement(_RETURN, _ERRNO | _EPERM)


def _check(argument: int, rule: str, values: Sequence[int]) -> list[bytes]:
    """Return instructions that deny unless the rule holds, and go on behind themselves where it does."""
    low = _OFFSET_ARGS + 8 * argument
    if rule == "null":
        parts = [_statement(_LOAD, low), _jump(_EQUAL, 0, 1, 0), _DENY]
        return [*parts, _statement(_LOAD, low + 4), _jump(_EQUAL, 0, 1, 0), _DENY]
    if rule == "none of":
        return [_statement(_LOAD, low), _jump(_ANY_BIT, values[0], 0, 1), _DENY]
    if rule == "all of":
        return [_statement(_LOAD, low), _jump(_ANY_BIT, values[0], 1, 0), _DENY]
    tests = [_jump(_EQUAL, value, len(values) - index, 0) for index, value in enumerate(values)]
    return [_statement(_LOAD, low), *tests, _DENY]


def program(machine: str, becomes: bool = False) -> bytes:
    """Return the filter for an architecture as BPF instructions of eight bytes. KeyError: there is no table for it.

    Args:
        machine: Name of the architecture.
        becomes: Whether the process goes on to become another program.
    """
    arch, table = TABLES[machine]
    table = {**table, **(_TO_BECOME[machine] if becomes else {})}
    code = [_statement(_LOAD, _OFFSET_ARCH), _jump(_EQUAL, arch, 1, 0), _statement(_RETURN, _KILL_PROCESS)]
    code.append(_statement(_LOAD, _OFFSET_NUMBER))
    if machine == "x86_64":  # the x32 calls have numbers of their own
        code += [_jump(_AT_LEAST, _X32_BIT, 0, 1), _statement(_RETURN, _KILL_PROCESS)]
    # glibc falls back from clone3, whose flags lie in memory that a filter can't read, to clone
    code += [_jump(_EQUAL, table["clone3"], 0, 1), _statement(_RETURN, _ERRNO | _ENOSYS)]
    for name, number in table.items():
        body = [part for condition in _CONDITIONS.get(name, []) for part in _check(*condition)]
        body.append(_statement(_RETURN, _ALLOW))
        code += [_jump(_EQUAL, number, 0, len(body)), *body]
    return b"".join([*code, _DENY])


def restrict(libc: Any, becomes: bool = False) -> None:
    """Put the filter on this thread (call it while there is one). Raises OSError where the kernel can't or may not."""
    import ctypes  # noqa: PLC0415 - shut by the audit hook afterwards

    machine = os.uname().machine
    if machine not in TABLES:
        raise OSError(f"no table of system calls for {machine}")

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    code = program(machine, becomes)
    buffer = ctypes.create_string_buffer(code, len(code))
    prepared = Program(len(code) // 8, ctypes.addressof(buffer))
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(prepared), 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")
