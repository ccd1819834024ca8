r"""Prelude pieces for contextlib, functools, json and dataclasses, in Monty's Python."""

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
    "_pyrlm_json_attr": """
def _pyrlm_json_attr(e, name):
    place = _pyrlm_json_place(e)
    return place[name] if name in place else getattr(e, name)
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
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
