r"""Prelude pieces for collections, enum and types of data, in Monty's Python."""

from __future__ import annotations

PIECES = {
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
