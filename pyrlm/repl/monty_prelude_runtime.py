r"""Prelude pieces for modules about running code, in Monty's Python: threads, logging, sys."""

from __future__ import annotations

PIECES = {
    "_pyrlm_mod_traceback": r"""
class _pyrlm_mod_traceback:
    def format_exc(*a):
        raise NotImplementedError('traceback: not supported here; print(type(e).__name__, e) in the except block')
    def print_exc(*a, **k):
        raise NotImplementedError('traceback: not supported here; print(type(e).__name__, e) in the except block')
    def format_exception_only(kind, e=None):
        e = kind if e is None else e
        return [type(e).__name__ + (': ' + str(e) if str(e) else '') + '\n']
""",
    "_pyrlm_mod_warnings": r"""
class _pyrlm_mod_warnings:
    def warn(message, *a, **k):
        return None
    def filterwarnings(*a, **k):
        return None
    def simplefilter(*a, **k):
        return None
""",
    "_pyrlm_mod_logging": r"""
class _pyrlm_Logger:
    def __init__(self, name='root'):
        self.name = name
        self.level = 30
    def setLevel(self, level):
        self.level = level
    def debug(self, msg, *a, **k):
        return None
    def info(self, msg, *a, **k):
        return None
    def warning(self, msg, *a, **k):
        print(msg % a if a else msg)
    def error(self, msg, *a, **k):
        print(msg % a if a else msg)
    def exception(self, msg, *a, **k):
        print(msg % a if a else msg)
    def critical(self, msg, *a, **k):
        print(msg % a if a else msg)
    def addHandler(self, h):
        return None
    def isEnabledFor(self, level):
        return level >= self.level
_pyrlm_loggers = {}
class _pyrlm_mod_logging:
    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40
    CRITICAL = 50
    def basicConfig(**kw):
        if kw.get('level', 30) not in (30, 40, 50, 'WARNING', 'ERROR', 'CRITICAL'):
            raise NotImplementedError('logging: levels below WARNING are not shown here; use print()')
    def getLogger(name='root'):
        return _pyrlm_loggers.setdefault(name, _pyrlm_Logger(name))
    def debug(msg, *a, **k):
        return None
    def info(msg, *a, **k):
        return None
    def warning(msg, *a, **k):
        print('WARNING:root:' + (msg % a if a else msg))
    def error(msg, *a, **k):
        print('ERROR:root:' + (msg % a if a else msg))
""",
    "_pyrlm_mod_threading": r"""
class _pyrlm_Thread:
    # runs when it is started: there are no threads, and code can't tell but by the order of what it prints
    def __init__(self, group=None, target=None, name=None, args=(), kwargs=None, daemon=None):
        self.target, self.args, self.kwargs, self.name, self.daemon = target, args, kwargs or {}, name or 'Thread-1', daemon
    def start(self):
        if self.target:
            self.target(*self.args, **self.kwargs)
    def join(self, timeout=None):
        return None
    def is_alive(self):
        return False
class _pyrlm_Lock:
    def acquire(self, blocking=True, timeout=-1):
        return True
    def release(self):
        return None
    def locked(self):
        return False
    def __enter__(self):
        return True
    def __exit__(self, kind, e, tb):
        return False
class _pyrlm_mod_threading:
    Thread = _pyrlm_Thread
    Lock = _pyrlm_Lock
    RLock = _pyrlm_Lock
""",
    "_pyrlm_mod_concurrent_futures": r"""
class _pyrlm_Future:
    def __init__(self):
        self.value = None
        self.error = None
    def result(self, timeout=None):
        if self.error is not None:
            raise self.error
        return self.value
    def exception(self, timeout=None):
        return self.error
    def done(self):
        return True
    def cancel(self):
        return False
    def add_done_callback(self, f):
        f(self)
class _pyrlm_Executor:
    # runs each task when it is given; llm_query over a list goes as one batch, side by side
    def __init__(self, max_workers=None, **kw):
        self.max_workers = max_workers
    def submit(self, f, *a, **k):
        future = _pyrlm_Future()
        try:
            future.value = f(*a, **k)
        except Exception as e:
            future.error = e
        return future
    def map(self, f, *its, timeout=None, chunksize=1):
        if len(its) == 1 and repr(f).startswith("<function 'llm_query'"):
            return iter(llm_batch(list(its[0])))
        return iter(_pyrlm_map(f, *its))
    def shutdown(self, wait=True, cancel_futures=False):
        return None
    def __enter__(self):
        return self
    def __exit__(self, kind, e, tb):
        return False
class _pyrlm_mod_concurrent_futures:
    ThreadPoolExecutor = _pyrlm_Executor
    ProcessPoolExecutor = _pyrlm_Executor
    Future = _pyrlm_Future
    TimeoutError = TimeoutError
    ALL_COMPLETED = 'ALL_COMPLETED'
    FIRST_COMPLETED = 'FIRST_COMPLETED'
    def as_completed(fs, timeout=None):
        return iter(list(fs))
    def wait(fs, timeout=None, return_when='ALL_COMPLETED'):
        return (set(fs), set())
""",
    "_pyrlm_mod_concurrent": "class _pyrlm_mod_concurrent:\n    futures = _pyrlm_mod_concurrent_futures\n",
    "_pyrlm_mod_sys": r"""
class _pyrlm_Stream:
    def write(self, s):
        print(s, end='')
        return len(s)
    def flush(self):
        return None
def _pyrlm_exit(code=None):
    raise SystemExit('' if code is None else str(code))
class _pyrlm_mod_sys:
    stdout = _pyrlm_Stream()
    stderr = _pyrlm_Stream()
    exit = _pyrlm_exit
    def getrecursionlimit():
        return 1000
    def setrecursionlimit(n):
        return None
    def intern(s):
        return s
""",
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
