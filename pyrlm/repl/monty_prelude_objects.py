r"""Prelude pieces for classes: static methods, own exceptions, named tuples, in Monty's Python."""

from __future__ import annotations

PIECES = {
    "_pyrlm_by_name": """
def _pyrlm_by_name(value, pairs):
    if value is None or isinstance(value, (str, int, float, dict)):
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_pyrlm_by_name(item, pairs) for item in value]
    shown = repr(value)
    own = shown.split("'")[1].split('.')[-1] if "'" in shown else shown.split(' ')[1] if ' ' in shown else ''
    names = [name for name, known in _pyrlm_names(pairs).items() if known is value]
    return own if own in names else (names + ['a function that no variable of yours holds'])[0]
""",
    "_pyrlm_Static": """
class _pyrlm_Static:
    # an object, not a function, so that an instance does not put itself before the arguments
    def __init__(self, owner, f):
        self.f = f
    def __call__(self, *a, **k):
        return self.f(*a, **k)
    def _for(self, owner):
        return self
""",
    "_pyrlm_ClassMethod": """
class _pyrlm_ClassMethod:
    def __init__(self, owner, f):
        self.owner = owner
        self.f = f
    def __call__(self, *a, **k):
        return self.f(self.owner, *a, **k)
    def _for(self, owner):
        return _pyrlm_ClassMethod(owner, self.f)
""",
    "_pyrlm_nt": "from collections import namedtuple as _pyrlm_nt\n",
    "_pyrlm_exc_bases": "_pyrlm_exc_bases = {}\n",
    "_pyrlm_raised": "_pyrlm_raised = {}\n",
    "_pyrlm_raise": """
def _pyrlm_raise(e):
    # what is raised is the builtin exception at the root of the class, which remembers the object
    if type(e).__name__ == 'type' and e in _pyrlm_exc_bases:
        e = e()
    if type(e) not in _pyrlm_exc_bases:
        return e
    text = str(e)
    made = _pyrlm_exc_bases[type(e)](type(e).__name__ + (': ' + text if text else ''))
    _pyrlm_raised[id(made)] = (made, e)
    return made
""",
    "_pyrlm_unwrap": """
def _pyrlm_unwrap(e):
    kept = _pyrlm_raised.get(id(e))
    return kept[1] if kept is not None and kept[0] is e else e
""",
    "_pyrlm_caught": """
def _pyrlm_caught(e, kinds):
    own = _pyrlm_unwrap(e)
    for kind in kinds if isinstance(kinds, tuple) else (kinds,):
        if isinstance(kind, tuple):
            if _pyrlm_caught(e, kind):
                return True
        elif kind in _pyrlm_exc_bases:
            if type(own) is kind or type(own) in _pyrlm_subclasses.get(kind, ()):
                return True
        elif isinstance(e, kind):
            return True
    return False
""",
    "_pyrlm_pull": """
def _pyrlm_pull(it):
    # takes every item with next(), which may wait for the host
    it = iter(it)
    out = []
    while True:
        x = next(it, _pyrlm_none)
        if x is _pyrlm_none:
            return out
        out.append(x)
""",
    "_pyrlm_brief": r"""
def _pyrlm_brief(x, limit):
    # a repr of bounded cost: long strings and containers are cut before they are shown
    if isinstance(x, (str, bytes)) and len(x) > limit:
        return repr(x[:limit]) + '… (' + str(len(x)) + ' characters)'
    if type(x).__name__ in ('list', 'tuple', 'dict', 'set', 'Counter', 'defaultdict', 'frozenset', 'deque'):
        n = len(x)
        room = limit // 3 + 3
        if n > room:
            out = []
            for v in x:
                out.append(v)
                if len(out) >= room:
                    break
            if isinstance(x, dict):
                out = {k: x[k] for k in out}
            return _pyrlm_brief(out, limit)[:limit] + '… (' + str(n) + ' items)'
        size = 0
        for v in x.values() if isinstance(x, dict) else x:
            if isinstance(v, (str, bytes)) and len(v) > limit:
                if isinstance(x, dict):
                    return repr({k: w[:limit] if isinstance(w, (str, bytes)) else w for k, w in x.items()})
                return repr([w[:limit] if isinstance(w, (str, bytes)) else w for w in x])
    return repr(x)
""",
    "_pyrlm_show": """
def _pyrlm_show(x):
    if x is not None and x is not _pyrlm_deleted:
        print(_pyrlm_brief(x, _pyrlm_limit))
""",
    "_pyrlm_limit": "_pyrlm_limit = 8000\n",
    "_pyrlm_variables": """
def _pyrlm_variables(pairs):
    out = []
    for name, value in _pyrlm_names(pairs).items():
        kind = type(value).__name__
        if kind == 'module' or name.startswith('_'):
            continue
        if kind.startswith('_pyrlm_'):
            kind = kind[7:]
        try:
            shown = _pyrlm_brief(value, 150)
        except Exception as e:
            shown = '<repr failed: ' + type(e).__name__ + '>'
        if '_pyrlm_mod_' not in shown:
            out.append((name, kind, shown[:200]))
    return out
""",
    "_pyrlm_show_vars": """
def _pyrlm_show_vars(pairs):
    return {name: kind + ': ' + shown for name, kind, shown in _pyrlm_variables(pairs)}
""",
    "_pyrlm_final_var": """
def _pyrlm_final_var(name, pairs):
    if not isinstance(name, str):
        raise TypeError("FINAL_VAR takes a variable's name as a string, not " + type(name).__name__ + '; FINAL(x) takes a value')
    found = _pyrlm_names(pairs)
    if name not in found:
        listed = ', '.join(list(found)[:40])
        raise NameError('FINAL_VAR: there is no variable ' + repr(name[:100]) + '. ' + ('There are: ' + listed if listed else 'No variables have been set so far.'))
    FINAL_VAR(name, _pyrlm_export(found[name]))
""",
    "_pyrlm_get": """
def _pyrlm_get(pairs):
    for name, value in _pyrlm_names(pairs).items():
        bad = _pyrlm_crosses(value, 'value', 0)
        return ('error', bad) if bad else ('value', value)
    return ()
""",
    "_pyrlm_export": """
def _pyrlm_crosses(x, place, depth):
    kind = type(x).__name__
    if kind in ('NoneType', 'bool', 'int', 'float', 'str', 'bytes', 'date', 'datetime', 'time', 'timedelta', 'Decimal'):
        return ''
    if depth > 100:
        return place + ': nested deeper than 100 levels, or contains itself'
    if kind in ('list', 'tuple', 'set', 'frozenset', 'deque') or isinstance(x, tuple):
        i = 0
        for v in x:
            if type(v) is not str:
                bad = _pyrlm_crosses(v, place + '[' + str(i) + ']', depth + 1)
                if bad:
                    return bad
            i += 1
        return ''
    if kind in ('dict', 'Counter', 'defaultdict'):
        for k, v in x.items():
            bad = _pyrlm_crosses(k, 'key of ' + place, depth + 1) or _pyrlm_crosses(v, place + '[' + repr(k)[:40] + ']', depth + 1)
            if bad:
                return bad
        return ''
    return place + ': object of type ' + (kind[7:] if kind.startswith('_pyrlm_') else kind) + " can't cross"
def _pyrlm_sent(values):
    for v in values.values() if isinstance(values, dict) else values:
        if type(v) is not str:
            bad = _pyrlm_crosses(v, 'argument', 0)
            if bad:
                raise TypeError(bad)
    return values
def _pyrlm_export(x):
    bad = _pyrlm_crosses(x, 'value', 0)
    if bad:
        raise TypeError(bad)
    return x
""",
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
