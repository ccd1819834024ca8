r"""Prelude pieces for modules about code and data, in Monty's Python: contextlib, enum, functools, collections, json, …"""

from __future__ import annotations

PIECES = {
    "_pyrlm_mod_contextlib": r"""
class _pyrlm_suppress:
    def __init__(self, *kinds):
        self.kinds = kinds
    def __enter__(self):
        return None
    def __exit__(self, kind, e, tb):
        return e is not None and isinstance(e, self.kinds)
class _pyrlm_nullcontext:
    def __init__(self, value=None):
        self.value = value
    def __enter__(self):
        return self.value
    def __exit__(self, kind, e, tb):
        return False
class _pyrlm_closing:
    def __init__(self, thing):
        self.thing = thing
    def __enter__(self):
        return self.thing
    def __exit__(self, kind, e, tb):
        self.thing.close()
        return False
class _pyrlm_FromGenerator:
    def __init__(self, gen):
        self.gen = gen
    def __enter__(self):
        return next(self.gen)
    def __exit__(self, kind, e, tb):
        if e is None:
            next(self.gen, None)
        return False
class _pyrlm_redirect:
    def __init__(self, target):
        raise NotImplementedError('redirect_stdout: not supported here; collect strings in a list instead of printing them')
class _pyrlm_mod_contextlib:
    suppress = _pyrlm_suppress
    nullcontext = _pyrlm_nullcontext
    closing = _pyrlm_closing
    redirect_stdout = _pyrlm_redirect
    def contextmanager(f):
        def make(*a, **k):
            return _pyrlm_FromGenerator(f(*a, **k))
        return make
""",
    "_pyrlm_mod_functools": r"""
import functools as _pyrlm_functools_native
def _pyrlm_update_wrapper(w, f):
    try:
        name = _pyrlm_attr___name__(f)
    except AttributeError:
        return w
    kept = _pyrlm_functions.setdefault(id(w), (w, {}))[1]
    kept['__name__'] = name
    kept['__wrapped__'] = f
    return w
class _pyrlm_CmpKey:
    def __init__(self, f, x):
        self.f = f
        self.x = x
class _pyrlm_Cached:
    # functools.cached_property, as the class rewrite uses it
    pass
class _pyrlm_mod_functools:
    reduce = _pyrlm_functools_native.reduce
    partial = _pyrlm_functools_native.partial
    lru_cache = _pyrlm_functools_native.lru_cache
    cache = _pyrlm_functools_native.cache
    update_wrapper = _pyrlm_update_wrapper
    def wraps(f):
        return lambda w: _pyrlm_update_wrapper(w, f)
    def total_ordering(cls):
        return cls
    def cmp_to_key(f):
        def key(x):
            return _pyrlm_CmpKey(f, x)
        _pyrlm_cmp_keys[id(key)] = key
        return key
""",
    "_pyrlm_cmp_keys": "_pyrlm_cmp_keys = {}\n",
    "_pyrlm_sorted_any": r"""
def _pyrlm_sorted_any(iterable, key=None, reverse=False):
    # sorted(), with functools.cmp_to_key too
    if key is None or id(key) not in _pyrlm_cmp_keys:
        return _pyrlm_sorted(iterable, key, reverse)
    items = list(iterable)
    if reverse:
        items = items[::-1]
    runs = [[x] for x in items]
    f = key(None).f
    while len(runs) > 1:
        merged = []
        for i in range(0, len(runs), 2):
            if i + 1 == len(runs):
                merged.append(runs[i])
                break
            a, b, out, j, k = runs[i], runs[i + 1], [], 0, 0
            while j < len(a) and k < len(b):
                if f(b[k], a[j]) < 0:
                    out.append(b[k])
                    k += 1
                else:
                    out.append(a[j])
                    j += 1
            merged.append(out + a[j:] + b[k:])
        runs = merged
    out = runs[0] if runs else []
    return out[::-1] if reverse else out
""",
    "_pyrlm_ChainMap": r"""
class _pyrlm_ChainMap:
    def __init__(self, *maps):
        self.maps = list(maps) or [{}]
    def _all(self):
        out = {}
        for m in self.maps[::-1]:
            out.update(m)
        return out
    def __getitem__(self, k):
        for m in self.maps:
            if k in m:
                return m[k]
        raise KeyError(k)
    def __setitem__(self, k, v):
        self.maps[0][k] = v
    def __contains__(self, k):
        return any([k in m for m in self.maps])
    def __iter__(self):
        return iter(list(self._all()))
    def get(self, k, default=None):
        return self[k] if k in self else default
    def keys(self):
        return self._all().keys()
    def values(self):
        return self._all().values()
    def items(self):
        return self._all().items()
    def new_child(self, m=None):
        return _pyrlm_ChainMap({} if m is None else m, *self.maps)
    def __repr__(self):
        return 'ChainMap(' + ', '.join([repr(m) for m in self.maps]) + ')'
""",
    "_pyrlm_mod_collections": r"""
class _pyrlm_mod_collections:
    OrderedDict = dict
    UserDict = dict
    UserList = list
    ChainMap = _pyrlm_ChainMap
    abc = _pyrlm_mod_collections_abc
""",
    "_pyrlm_mod_collections_abc": r"""
class _pyrlm_Kind:
    def __init__(self, name, test):
        self._name = name
        self._test = test
    def _pyrlm_has(self, x):
        return self._test(x)
    def __getitem__(self, x):
        return self
    def __repr__(self):
        return '<class ' + repr('collections.abc.' + self._name) + '>'
def _pyrlm_is_iter(x):
    return type(x).__name__ in ('str', 'bytes', 'list', 'tuple', 'dict', 'set', 'frozenset', 'range', 'deque', 'Counter', 'defaultdict', 'dict_keys', 'dict_values', 'dict_items', 'bytearray') or isinstance(x, (list, tuple, dict)) or hasattr(x, '__iter__') or type(x).__name__.endswith('iterator')
class _pyrlm_mod_collections_abc:
    Iterable = _pyrlm_Kind('Iterable', _pyrlm_is_iter)
    Iterator = _pyrlm_Kind('Iterator', lambda x: hasattr(x, '__next__') or type(x).__name__.endswith('iterator'))
    Mapping = _pyrlm_Kind('Mapping', lambda x: isinstance(x, dict))
    MutableMapping = _pyrlm_Kind('MutableMapping', lambda x: isinstance(x, dict))
    Sequence = _pyrlm_Kind('Sequence', lambda x: isinstance(x, (str, bytes, list, tuple, range)))
    MutableSequence = _pyrlm_Kind('MutableSequence', lambda x: isinstance(x, list))
    Set = _pyrlm_Kind('Set', lambda x: isinstance(x, (set, frozenset)))
    MutableSet = _pyrlm_Kind('MutableSet', lambda x: isinstance(x, set))
    Hashable = _pyrlm_Kind('Hashable', lambda x: not isinstance(x, (list, dict, set)))
    Callable = _pyrlm_Kind('Callable', lambda x: _pyrlm_callable(x))
    Sized = _pyrlm_Kind('Sized', _pyrlm_is_iter)
    Collection = _pyrlm_Kind('Collection', _pyrlm_is_iter)
    Container = _pyrlm_Kind('Container', _pyrlm_is_iter)
    Generator = _pyrlm_Kind('Generator', lambda x: type(x).__name__ in ('_pyrlm_Generator', '_pyrlm_Lazy'))
""",
    "_pyrlm_mod_numbers": r"""
class _pyrlm_mod_numbers:
    Number = (int, float, complex)
    Real = (int, float)
    Integral = int
""",
    "_pyrlm_mod_json": r"""
import json as _pyrlm_json_native
def _pyrlm_json_ready(o, default, seen=0):
    if seen > 900:
        raise ValueError('Circular reference detected')
    if o is None or isinstance(o, (str, int, float, bool)):
        return o
    if isinstance(o, dict):
        return {k: _pyrlm_json_ready(v, default, seen + 1) for k, v in o.items()}
    if isinstance(o, (list, tuple)):
        return [_pyrlm_json_ready(v, default, seen + 1) for v in o]
    return _pyrlm_json_ready(default(o), default, seen + 1)
def _pyrlm_json_hook(o, hook, pairs, pf, pi):
    if isinstance(o, dict):
        made = [(k, _pyrlm_json_hook(v, hook, pairs, pf, pi)) for k, v in o.items()]
        return pairs(made) if pairs else hook(dict(made)) if hook else dict(made)
    if isinstance(o, list):
        return [_pyrlm_json_hook(v, hook, pairs, pf, pi) for v in o]
    return o
class _pyrlm_mod_json:
    JSONDecodeError = _pyrlm_json_native.JSONDecodeError
    def dumps(obj, *, default=None, cls=None, check_circular=True, allow_nan=True, **kw):
        if cls is not None:
            raise NotImplementedError('json.dumps(cls=…): not supported here; use default=function')
        if default is not None:
            obj = _pyrlm_json_ready(obj, default)
        if not allow_nan and any([w in _pyrlm_json_native.dumps(obj, **kw) for w in ('NaN', 'Infinity')]):
            raise ValueError('Out of range float values are not JSON compliant')
        return _pyrlm_json_native.dumps(obj, **kw)
    def loads(s, *, object_hook=None, object_pairs_hook=None, parse_float=None, parse_int=None, parse_constant=None, strict=True, cls=None):
        if parse_float or parse_int or parse_constant or not strict or cls:
            raise NotImplementedError('json.loads: parse_float, parse_int, parse_constant, strict and cls are not supported here')
        o = _pyrlm_json_native.loads(s)
        if object_hook is None and object_pairs_hook is None:
            return o
        return _pyrlm_json_hook(o, object_hook, object_pairs_hook, None, None)
    def dump(obj, fp, **kw):
        fp.write(_pyrlm_mod_json.dumps(obj, **kw))
    def load(fp, **kw):
        return _pyrlm_mod_json.loads(fp.read(), **kw)
""",
    "_pyrlm_json_place": r"""
def _pyrlm_json_place(e):
    s = str(e)
    m = _pyrlm_rx_native.match('(?s)(.*): line ([0-9]+) column ([0-9]+) .char ([0-9]+).$', s)
    return {'msg': m.group(1), 'lineno': int(m.group(2)), 'colno': int(m.group(3)), 'pos': int(m.group(4))} if m else {}
""",
    "_pyrlm_mod_dataclasses": r"""
def _pyrlm_dc_names(o):
    names = _pyrlm_dc_fields.get(o if type(o).__name__ == 'type' else type(o))
    if names is None:
        raise TypeError('must be called with a dataclass type or instance')
    return names
def _pyrlm_asdict(o, dict_factory=dict):
    if type(o).__name__ != 'type' and type(o) in _pyrlm_dc_fields:
        return dict_factory([(n, _pyrlm_asdict(getattr(o, n), dict_factory)) for n in _pyrlm_dc_names(o)])
    if type(o) is list:
        return [_pyrlm_asdict(x, dict_factory) for x in o]
    if type(o) is tuple:
        return tuple([_pyrlm_asdict(x, dict_factory) for x in o])
    if type(o) is dict:
        return {k: _pyrlm_asdict(v, dict_factory) for k, v in o.items()}
    return o
def _pyrlm_astuple(o):
    if type(o).__name__ != 'type' and type(o) in _pyrlm_dc_fields:
        return tuple([_pyrlm_astuple(getattr(o, n)) for n in _pyrlm_dc_names(o)])
    if type(o) is list:
        return [_pyrlm_astuple(x) for x in o]
    if type(o) is tuple:
        return tuple([_pyrlm_astuple(x) for x in o])
    return o
class _pyrlm_Field:
    def __init__(self, name):
        self.name = name
    def __repr__(self):
        return 'Field(name=' + repr(self.name) + ')'
class _pyrlm_mod_dataclasses:
    asdict = _pyrlm_asdict
    astuple = _pyrlm_astuple
    def fields(o):
        return tuple([_pyrlm_Field(n) for n in _pyrlm_dc_names(o)])
    def is_dataclass(o):
        return (o if type(o).__name__ == 'type' else type(o)) in _pyrlm_dc_fields
    def replace(o, **changes):
        values = {n: getattr(o, n) for n in _pyrlm_dc_names(o)}
        for k in changes:
            if k not in values:
                raise TypeError(type(o).__name__ + '.__init__() got an unexpected keyword argument ' + repr(k))
        values.update(changes)
        return type(o)(**values)
""",
    "_pyrlm_dc_fields": "_pyrlm_dc_fields = {}\n",
    "_pyrlm_mod_types": r"""
class _pyrlm_SimpleNamespace:
    def __init__(self, **kw):
        self._pyrlm_names = list(kw)
        for k, v in kw.items():
            setattr(self, k, v)
    def __repr__(self):
        return 'namespace(' + ', '.join([n + '=' + repr(getattr(self, n)) for n in self._pyrlm_names]) + ')'
    def __eq__(self, o):
        return isinstance(o, _pyrlm_SimpleNamespace) and repr(self) == repr(o)
class _pyrlm_mod_types:
    SimpleNamespace = _pyrlm_SimpleNamespace
""",
    "_pyrlm_mod_typing": r"""
class _pyrlm_Generic:
    def __getitem__(self, x):
        return self
class _pyrlm_mod_typing:
    Deque = _pyrlm_Generic()
    DefaultDict = _pyrlm_Generic()
    OrderedDict = _pyrlm_Generic()
    Counter = _pyrlm_Generic()
    Hashable = _pyrlm_Generic()
    Awaitable = _pyrlm_Generic()
    Match = _pyrlm_Generic()
    Pattern = _pyrlm_Generic()
    Protocol = _pyrlm_Generic()
    Generic = _pyrlm_Generic()
    TypedDict = _pyrlm_Generic()
    AnyStr = str
    Text = str
    def cast(kind, x):
        return x
    def overload(f):
        return f
    def NewType(name, kind):
        return kind
    def TypeVar(name, *a, **k):
        return name
    def NamedTuple(name, fields):
        from collections import namedtuple
        return namedtuple(name, [f[0] for f in fields])
""",
    "_pyrlm_mod_enum": r"""
_pyrlm_auto_value = _pyrlm_object()
class _pyrlm_EnumMember:
    def __init__(self, owner, name, value, kind):
        self._owner = owner
        self.name = name
        self.value = value
        self._kind = kind
    def __repr__(self):
        return '<' + self._owner._name + '.' + self.name + ': ' + repr(self.value) + '>'
    def __str__(self):
        return str(self.value) if self._kind in ('IntEnum', 'StrEnum', 'IntFlag') else self._owner._name + '.' + self.name
    def __eq__(self, o):
        if isinstance(o, _pyrlm_EnumMember):
            return self._owner is o._owner and self.name == o.name or (self._kind not in ('Enum', 'Flag') and self.value == o.value)
        return self._kind not in ('Enum', 'Flag') and self.value == o
    def __hash__(self):
        return hash(self.value) if self._kind not in ('Enum', 'Flag') else hash(self.name)
    def __lt__(self, o):
        if self._kind in ('Enum', 'Flag'):
            raise TypeError("'<' not supported between instances of " + repr(self._owner._name) + ' and ' + repr(self._owner._name))
        return self.value < (o.value if isinstance(o, _pyrlm_EnumMember) else o)
    def __gt__(self, o):
        if self._kind in ('Enum', 'Flag'):
            raise TypeError("'>' not supported between instances of " + repr(self._owner._name) + ' and ' + repr(self._owner._name))
        return self.value > (o.value if isinstance(o, _pyrlm_EnumMember) else o)
    def __le__(self, o):
        return self == o or self < o
    def __ge__(self, o):
        return self == o or self > o
    def __int__(self):
        return int(self.value)
    def __index__(self):
        return int(self.value)
    def __add__(self, o):
        return self.value + (o.value if isinstance(o, _pyrlm_EnumMember) else o)
    def __radd__(self, o):
        return o + self.value
class _pyrlm_EnumType:
    def __init__(self, name, pairs, kind):
        self._name = name
        self.__name__ = name
        self._members = {}
        last = 0
        by_value = {}
        for n, v in pairs:
            if v is _pyrlm_auto_value:
                v = n.lower() if kind == 'StrEnum' else last + 1
            last = v
            if v in by_value:
                member = by_value[v]
            else:
                member = _pyrlm_EnumMember(self, n, v, kind)
                by_value[v] = member
            self._members[n] = member
            setattr(self, n, member)
        self.__members__ = self._members
        self._values = by_value
    def _pyrlm_has(self, x):
        return isinstance(x, _pyrlm_EnumMember) and x._owner is self
    def __iter__(self):
        return iter(list(self._values.values()))
    def __call__(self, value):
        if value in self._values:
            return self._values[value]
        if self._pyrlm_has(value):
            return value
        raise ValueError(repr(value) + ' is not a valid ' + self._name)
    def __getitem__(self, name):
        return self._members[name]
    def __contains__(self, x):
        return self._pyrlm_has(x)
    def __len__(self):
        return len(self._values)
    def __repr__(self):
        return "<enum " + repr(self._name) + ">"
class _pyrlm_mod_enum:
    def auto():
        return _pyrlm_auto_value
    def unique(cls):
        return cls
    IntEnum = _pyrlm_auto_value
    StrEnum = _pyrlm_auto_value
    Flag = _pyrlm_auto_value
    def Enum(name, names):
        if isinstance(names, str):
            names = names.replace(',', ' ').split()
        pairs = list(names.items()) if isinstance(names, dict) else [x if isinstance(x, tuple) else (x, _pyrlm_auto_value) for x in names]
        return _pyrlm_EnumType(name, pairs, 'Enum')
""",
    "_pyrlm_mod_zoneinfo": r"""
from datetime import timezone as _pyrlm_tz, timedelta as _pyrlm_td
class _pyrlm_mod_zoneinfo:
    def ZoneInfo(name):
        if name in ('UTC', 'Etc/UTC', 'GMT', 'Etc/GMT', 'Zulu'):
            return _pyrlm_tz(_pyrlm_td(0), 'UTC' if 'GMT' not in name else 'GMT') if name != 'UTC' else _pyrlm_tz.utc
        raise NotImplementedError('ZoneInfo(' + repr(name) + '): only UTC is known here; use timezone(timedelta(hours=…))')
""",
    "_pyrlm_mod_abc": r"""
class _pyrlm_mod_abc:
    ABC = object
    ABCMeta = type
    def abstractmethod(f):
        return f
""",
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
    "_pyrlm_mod_queue": r"""
class _pyrlm_Queue:
    def __init__(self, maxsize=0):
        self.items = []
    def put(self, x, *a, **k):
        self.items.append(x)
    def get(self, *a, **k):
        if not self.items:
            raise IndexError('the queue is empty')
        return self.items.pop(0)
    def put_nowait(self, x):
        self.put(x)
    def get_nowait(self):
        return self.get()
    def empty(self):
        return not self.items
    def qsize(self):
        return len(self.items)
    def task_done(self):
        return None
    def join(self):
        return None
class _pyrlm_mod_queue:
    Queue = _pyrlm_Queue
    Empty = IndexError
""",
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
