r"""Prelude pieces for modules about running code, in Monty's Python: warnings, logging, sys."""

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
