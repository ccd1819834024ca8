"""Each layer of isolation stops something by itself, without the others."""

import subprocess
import sys
import textwrap

import pytest

from pyrlm.repl import isolation, isolation_seccomp

LINUX = {"x86_64", "aarch64"}
HEAD = """
import ctypes, json, os, signal, socket, sys, resource, fcntl, _posixsubprocess
from pyrlm.repl import isolation, isolation_audit, isolation_landlock, isolation_seccomp
libc = ctypes.CDLL(None, use_errno=True); libc.syscall.restype = ctypes.c_long
r, w = os.pipe()
def outcome(action):
    try:
        return f"done: {action()}"[:60]
    except BaseException as error:
        return f"{type(error).__name__} {getattr(error, 'errno', None)}"
def tell(**actions):
    sys.__stdout__.write(json.dumps({name: outcome(action) for name, action in actions.items()}) + chr(10))
    sys.__stdout__.flush()
"""
LANDLOCK = "isolation_landlock.restrict(libc, isolation.readable_folders())"  # after no_new_privileges
NO_PRIVILEGES = "isolation._drop_privileges(libc, os.getppid())"
SECCOMP = "isolation_seccomp.restrict(libc)"


def lock_and_try(*lines):
    """Run lines in a process of their own and return what became of each action that they tell of."""
    script = HEAD + textwrap.dedent("\n".join(lines)) + "\nos._exit(0)\n"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert ended.stdout, ended.stderr
    return __import__("json").loads(ended.stdout)


def test_landlock_alone_stops_reading_writing_and_tcp(tmp_path):
    (tmp_path / "secret").write_text("x")
    got = lock_and_try(
        NO_PRIVILEGES,
        "s = socket.socket()",
        LANDLOCK,
        f"tell(read=lambda: open({str(tmp_path / 'secret')!r}).read(), write=lambda: open({str(tmp_path / 'new')!r}, 'w'),"
        f" list=lambda: os.listdir({str(tmp_path)!r}), proc=lambda: open('/proc/self/environ').read(),"
        " tcp=lambda: s.bind(('127.0.0.1', 0)), kill=lambda: os.kill(os.getppid(), 0),"
        " library=lambda: __import__('colorsys').__name__, extension=lambda: __import__('_lsprof').__name__)",
    )
    assert got.pop("library") == "done: colorsys"
    assert got.pop("extension") == "done: _lsprof"
    assert set(got.values()) <= {"PermissionError 13", "PermissionError 1"}, got


def test_landlock_leaves_installed_packages_unread():
    got = lock_and_try(
        NO_PRIVILEGES, "import hypothesis", LANDLOCK, "tell(package=lambda: open(hypothesis.__file__).read())"
    )
    assert got == {"package": "PermissionError 13"}


def test_seccomp_alone_stops_processes_sockets_signals_and_writing(tmp_path):
    got = lock_and_try(
        NO_PRIVILEGES,
        SECCOMP,
        f"tell(write=lambda: open({str(tmp_path / 'new')!r}, 'w'), fork=os.fork, exec=lambda: os.execv('/bin/true', ['true']),"
        " tcp=lambda: socket.socket(), udp=lambda: socket.socket(type=socket.SOCK_DGRAM), unix=lambda: socket.socket(socket.AF_UNIX),"
        " kill=lambda: os.kill(os.getppid(), 0), kill_self=lambda: signal.raise_signal(signal.SIGTERM),"
        " own=lambda: fcntl.fcntl(r, fcntl.F_SETOWN, os.getppid()), signal=lambda: fcntl.fcntl(r, fcntl.F_SETSIG, 9),"
        " limit=lambda: resource.setrlimit(resource.RLIMIT_CPU, (1, 1)), other=lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU),"
        " name=os.uname, user=os.getuid, memfd=lambda: os.memfd_create('x'), mkdir=lambda: os.mkdir('x'), chdir=lambda: os.chdir('/'),"
        " group=lambda: os.setpgid(0, 0), priority=lambda: os.nice(1), umask=lambda: os.umask(0))",
    )
    assert got.pop("user").startswith("done")  # getuid can't fail: it gives the denial's number
    assert got.pop("limit") == "ValueError None"  # how the resource module tells of EPERM
    assert set(got.values()) <= {"PermissionError 1", "OSError 1"}, got


def test_seccomp_leaves_what_computation_needs(tmp_path):
    got = lock_and_try(
        NO_PRIVILEGES,
        "import threading, asyncio, random, time, concurrent.futures",
        SECCOMP,
        "pair = socket.socketpair()",
        "def thread():\n    t = threading.Thread(target=int); t.start(); t.join(); return 'yes'",
        "tell(thread=thread, pair=lambda: pair[0].send(b'x') and pair[1].recv(1), loop=lambda: asyncio.run(asyncio.sleep(0.001, 'yes')),"
        " random=lambda: random.SystemRandom().random(), sleep=lambda: time.sleep(0.001), limits=lambda: resource.getrlimit(0),"
        " read=lambda: len(open(os.__file__).read()), memory=lambda: len(bytes(10**8)))",
    )
    assert all(value.startswith("done") for value in got.values()), got


def test_limits_alone_stop_memory_and_files(tmp_path):
    got = lock_and_try(
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)",
        f"f = open({str(tmp_path / 'file')!r}, 'wb', 0)",
        "isolation.set_limits(100 << 20, 100)",
        "tell(memory=lambda: len(bytes(200 << 20)), file=lambda: f.write(b'x' * 10), files=lambda: [os.dup(0) for _ in range(100)],"
        " some=lambda: len(bytes(20 << 20)))",
    )
    assert got == {"memory": "MemoryError None", "file": "OSError 27", "files": "OSError 24", "some": "done: 20971520"}


def test_the_audit_hook_alone_refuses_what_it_hears_of(tmp_path):
    got = lock_and_try(
        "import shutil, gc",
        "isolation_audit.install(isolation.readable_folders())",
        f"tell(write=lambda: open({str(tmp_path / 'new')!r}, 'w'), read=lambda: open('/etc/hostname'), list=lambda: os.listdir('/'),"
        " socket=lambda: socket.socket(), system=lambda: os.system('true'), fork=os.fork, kill=lambda: os.kill(os.getppid(), 0),"
        " remove=lambda: shutil.rmtree('/nonexistent'), objects=gc.get_objects, dlopen=lambda: ctypes.CDLL(None),"
        " hook=lambda: sys.addaudithook(print), stdlib_write=lambda: open(os.__file__, 'r+'),"
        " up=lambda: open(os.path.dirname(os.__file__) + '/../../../etc/hostname'))",
    )
    stopped = set(got.values())
    assert got.pop("hook") in {"done: None", "PermissionError None"}  # a refused hook is dropped without an error
    assert stopped <= {"PermissionError None", "done: None"}, got
    assert list(got.values()).count("done: None") == 0, got


def test_modules_without_audit_events_are_out_of_reach():
    got = lock_and_try(
        "isolation_audit.install(isolation.readable_folders())",
        "tell(ctypes=lambda: __import__('ctypes'), subprocess=lambda: sys.modules['_posixsubprocess'].fork_exec(),"
        " again=lambda: (sys.modules.pop('_posixsubprocess'), __import__('_posixsubprocess')))",
    )
    assert got == {"ctypes": "ImportError None", "subprocess": "PermissionError None", "again": "ImportError None"}


def test_no_new_privileges_and_not_dumpable():
    got = lock_and_try(
        NO_PRIVILEGES, "tell(nnp=lambda: libc.prctl(39, 0, 0, 0, 0), dumpable=lambda: libc.prctl(3, 0, 0, 0, 0))"
    )
    assert got == {"nnp": "done: 1", "dumpable": "done: 0"}


def test_the_lock_says_what_is_missing(monkeypatch):
    got = lock_and_try(
        "isolation_seccomp.TABLES.clear()",
        "tell(missing=lambda: isolation.lock(memory_bytes=None, cpu_seconds=100, host_pid=os.getppid(), audit=False))",
    )
    assert got["missing"].startswith("done: {'seccomp': 'no table of system calls for ")


@pytest.mark.parametrize("machine", isolation_seccomp.TABLES)
def test_the_filter_has_a_rule_for_every_call_and_jumps_inside_of_itself(machine):
    import struct

    code = isolation_seccomp.program(machine)
    instructions = [struct.unpack("=HBBI", code[at : at + 8]) for at in range(0, len(code), 8)]
    assert len(instructions) < 4096
    for at, (kind, if_true, if_false, _) in enumerate(instructions):
        assert kind in {0x20, 0x15, 0x35, 0x45, 0x06}
        assert at + 1 + max(if_true, if_false) < len(instructions) or kind == 0x06
    numbers = {value for kind, _, _, value in instructions if kind == 0x15}
    assert set(isolation_seccomp.TABLES[machine][1].values()) <= numbers
    assert isolation.LAYERS[:4] == isolation.KERNEL_LAYERS
