r"""Prelude pieces for builtins, in Monty's Python: what the rewrites of `monty_rewrite` call.

Each piece is the source of one name that begins with ``_pyrlm_``. A piece is sent to the sandbox when code needs it.
"""

from __future__ import annotations

PIECES = {
    "_pyrlm_callable": """
def _pyrlm_callable(x):
    return type(x).__name__ in ('function', 'builtin_function_or_method', 'type', 'method') or hasattr(x, '__call__')
""",
    "_pyrlm_ascii": """
def _pyrlm_ascii(x):
    out = []
    for c in repr(x):
        n = ord(c)
        out.append(c if n < 128 else '\\\\x%02x' % n if n < 256 else '\\\\u%04x' % n if n < 65536 else '\\\\U%08x' % n)
    return ''.join(out)
""",
    "_pyrlm_round": """
def _pyrlm_round(number, ndigits=None):
    if ndigits is None or not isinstance(number, float):
        return round(number) if ndigits is None else round(number, ndigits)
    if number - number != 0:
        return number
    if ndigits >= 0:
        return float('%.*f' % (ndigits, number)) if ndigits < 300 else number
    unit = 10 ** -ndigits
    low = int(number // unit) * unit
    rest = number - low
    if rest * 2 > unit or (rest * 2 == unit and (low // unit) % 2):
        low += unit
    return float(low) if low or number > 0 else -0.0 if number < 0 else 0.0
""",
    "_pyrlm_object": """
class _pyrlm_object:
    def __repr__(self):
        return '<object object>'
""",
    "_pyrlm_delitem": """
def _pyrlm_delitem(o, k):
    if isinstance(k, slice):
        if k.step is None or k.step == 1:
            o[k] = []
        else:
            gone = set(range(len(o))[k])
            o[:] = [o[i] for i in range(len(o)) if i not in gone]
    elif isinstance(o, dict) or type(o).__name__ == 'list':
        if type(o).__name__ == 'list' and not -len(o) <= k < len(o):
            raise IndexError('list assignment index out of range')
        o.pop(k)
    elif type(o).__name__ == 'deque':
        items = list(o)
        items.pop(k)
        o.clear()
        o.extend(items)
    elif hasattr(o, '__delitem__'):
        o.__delitem__(k)
    else:
        raise TypeError(repr(type(o).__name__) + " object doesn't support item deletion")
""",
    "_pyrlm_Deleted": """
class _pyrlm_Deleted:
    def __repr__(self):
        return '<deleted>'
""",
    "_pyrlm_deleted": "_pyrlm_deleted = _pyrlm_Deleted()\n",
    "_pyrlm_del": """
def _pyrlm_del(x, name):
    _pyrlm_there(x, name)
    return _pyrlm_deleted
""",
    "_pyrlm_there": """
def _pyrlm_there(x, name):
    if x is _pyrlm_deleted:
        raise NameError("name " + repr(name) + " is not defined")
    return x
""",
    "_pyrlm_names": """
def _pyrlm_names(pairs):
    out = {}
    for name, get in pairs:
        try:
            value = get()
            if value is not _pyrlm_deleted:
                out[name] = value
        except NameError:
            pass
    return out
""",
    "_pyrlm_items": """
def _pyrlm_items(x):
    try:
        return set(x)
    except TypeError:
        raise TypeError('comparing items() of dicts with unhashable values is not supported here; compare in a loop') from None
""",
    "_pyrlm_bytes": """
def _pyrlm_bytes(*args, **kw):
    if len(args) == 1 and not kw and not isinstance(args[0], (str, bytes, int)) and type(args[0]).__name__ != 'bytearray':
        numbers = list(args[0])
        for n in numbers:
            if not isinstance(n, int):
                raise TypeError(repr(type(n).__name__) + ' object cannot be interpreted as an integer')
            if not 0 <= n < 256:
                raise ValueError('bytes must be in range(0, 256)')
        return bytes.fromhex(''.join(['%02x' % n for n in numbers]))
    return bytes(*args, **kw)
""",
    "_pyrlm_exc_args": "_pyrlm_exc_args = {}\n",
    "_pyrlm_exc": """
def _pyrlm_exc(kind, *args):
    if len(args) == 0:
        return kind()
    if len(args) == 1:
        if isinstance(args[0], str):
            return kind(args[0])
        if kind is KeyError:
            try:
                {}[args[0]]
            except KeyError as e:
                _pyrlm_exc_args[id(e)] = (e, args)
                return e
        made = kind(str(args[0]))
    else:
        made = kind('(' + ', '.join([repr(a) for a in args]) + ')')
    _pyrlm_exc_args[id(made)] = (made, args)
    return made
""",
    "_pyrlm_attr_args": """
def _pyrlm_attr_args(o):
    kept = _pyrlm_exc_args.get(id(o))
    if kept is not None and kept[0] is o:
        return kept[1]
    return o.args
""",
    "_pyrlm_causes": "_pyrlm_causes = {}\n",
    "_pyrlm_from": """
def _pyrlm_from(e, cause):
    if type(e).__name__ == 'type':
        e = e()
    _pyrlm_causes[id(e)] = (e, cause)
    return e
""",
    "_pyrlm_attr___cause__": """
def _pyrlm_attr___cause__(e):
    kept = _pyrlm_causes.get(id(e))
    return kept[1] if kept is not None and kept[0] is e else None
""",
    "_pyrlm_subclasses": "_pyrlm_subclasses = {}\n",
    "_pyrlm_isinstance": """
def _pyrlm_isinstance(x, kinds):
    for kind in kinds if isinstance(kinds, tuple) else (kinds,):
        if isinstance(kind, tuple):
            if _pyrlm_isinstance(x, kind):
                return True
        elif type(kind).__name__ == 'type' or type(kind).__name__ == 'UnionType':
            if isinstance(x, kind) or type(x) in _pyrlm_subclasses.get(kind, ()):
                return True
        elif hasattr(kind, '_pyrlm_has') and kind._pyrlm_has(x):
            return True
        elif not hasattr(kind, '_pyrlm_has') and isinstance(x, kind):
            return True
    return False
""",
    "_pyrlm_issubclass": """
def _pyrlm_issubclass(kind, kinds):
    for parent in kinds if isinstance(kinds, tuple) else (kinds,):
        if kind is parent or parent is object or kind in _pyrlm_subclasses.get(parent, ()):
            return True
        if kind is bool and parent is int:
            return True
        if kind.__name__ in _pyrlm_exceptions and parent.__name__ in _pyrlm_exceptions:
            if isinstance(kind(), parent):
                return True
    return False
""",
    "_pyrlm_exceptions": """
_pyrlm_exceptions = ('BaseException', 'Exception', 'ArithmeticError', 'LookupError', 'ValueError', 'TypeError', 'KeyError',
    'IndexError', 'RuntimeError', 'ZeroDivisionError', 'OSError', 'NotImplementedError', 'AttributeError', 'NameError',
    'StopIteration', 'AssertionError', 'ImportError', 'OverflowError', 'RecursionError', 'TimeoutError', 'FileNotFoundError')
""",
    "_pyrlm_print": """
def _pyrlm_print(*args, sep=' ', end='\\n', file=None, flush=False):
    text = (' ' if sep is None else sep).join([str(a) for a in args]) + ('\\n' if end is None else end)
    if file is not None and hasattr(file, 'write'):
        file.write(text)
    else:
        print(text, end='')
""",
    "_pyrlm_len": """
def _pyrlm_len(x):
    return x.__len__() if hasattr(x, '__len__') else len(x)
""",
    "_pyrlm_or": """
def _pyrlm_or(value, *later):
    for f in later:
        if _pyrlm_truth(value):
            return value
        value = f()
    return value
""",
    "_pyrlm_and": """
def _pyrlm_and(value, *later):
    for f in later:
        if not _pyrlm_truth(value):
            return value
        value = f()
    return value
""",
    "_pyrlm_update_attributes": """
def _pyrlm_update_attributes(o, *values, **kw):
    for k, v in {**(values[0] if values else {}), **kw}.items():
        setattr(o, k, v)
""",
    "_pyrlm_truth": """
def _pyrlm_truth(x):
    if hasattr(x, '__bool__'):
        return x.__bool__()
    if hasattr(x, '__len__'):
        return x.__len__() != 0
    return bool(x)
""",
    "_pyrlm_fields": "_pyrlm_fields = {}\n",
    "_pyrlm_vars": """
def _pyrlm_vars(o):
    names = _pyrlm_fields.get(type(o).__name__)
    if names is None:
        raise TypeError('vars() argument must be an object of a class defined in this code')
    return {n: getattr(o, n) for n in names if hasattr(o, n)}
""",
    "_pyrlm_functions": "_pyrlm_functions = {}\n",
    "_pyrlm_attr___name__": """
def _pyrlm_attr___name__(o):
    kept = _pyrlm_functions.get(id(o))
    if kept is not None and '__name__' in kept[1]:
        return kept[1]['__name__']
    try:
        return o.__name__
    except AttributeError:
        shown = repr(o)
        if shown.startswith("<function '"):
            return shown[11:shown.index("'", 11)]
        if shown.startswith('<built-in function '):
            return shown[19:-1]
        if shown.startswith("<class '"):
            return shown[8:-2]
        if shown.startswith('<module '):
            return shown[9:shown.index("'", 9)]
        raise
""",
    "_pyrlm_fset": """
def _pyrlm_fset(o, name, value):
    if type(o).__name__ == 'function':
        _pyrlm_functions.setdefault(id(o), (o, {}))[1][name] = value
    else:
        setattr(o, name, value)
""",
    "_pyrlm_fget": """
def _pyrlm_fget(o, name):
    kept = _pyrlm_functions.get(id(o))
    if kept is not None and name in kept[1]:
        return kept[1][name]
    return getattr(o, name)
""",
    "_pyrlm_prop": """
def _pyrlm_prop(o, name):
    if hasattr(o, '_pyrlm_get_' + name) and type(o).__name__ != 'type':
        return getattr(o, '_pyrlm_get_' + name)()
    return getattr(o, name)
""",
    "_pyrlm_setprop": """
def _pyrlm_setprop(o, name, value):
    if hasattr(o, '_pyrlm_set_' + name):
        getattr(o, '_pyrlm_set_' + name)(value)
    elif hasattr(o, '_pyrlm_get_' + name):
        raise AttributeError('property ' + repr(name) + ' of ' + repr(type(o).__name__) + ' object has no setter')
    else:
        setattr(o, name, value)
""",
    "_pyrlm_delattr": """
def _pyrlm_delattr(o, name):
    raise NotImplementedError('deleting the attribute ' + repr(name) + ': this Python cannot; set it to None instead')
""",
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
