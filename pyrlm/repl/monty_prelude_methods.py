r"""Prelude pieces for methods and attributes that Monty lacks on some builtin type.

``_pyrlm_call_NAME(o, …)`` is called in place of ``o.NAME(…)``, ``_pyrlm_attr_NAME(o)`` in place of ``o.NAME``; each goes to
the object itself where it is of another type.
"""

from __future__ import annotations

_SIMPLE = {
    "bit_length": ("int", "len(bin(abs(o))) - 2 if o else 0", ""),
    "bit_count": ("int", "bin(abs(o)).count('1')", ""),
    "is_integer": ("(int, float)", "o == int(o) if o - o == 0 else False", ""),
    "as_integer_ratio": ("(int, float)", "_pyrlm_as_ratio(o) if isinstance(o, float) else (int(o), 1)", ""),
    "format_map": ("str", "_pyrlm_format_map(o, *a)", ""),
    "difference_update": (
        "set",
        "_pyrlm_set_update(o, [x for x in o if not any([x in _pyrlm_as_set(b) for b in a])])",
        "",
    ),
    "intersection_update": (
        "set",
        "_pyrlm_set_update(o, [x for x in o if all([x in _pyrlm_as_set(b) for b in a])])",
        "",
    ),
    "symmetric_difference_update": ("set", "_pyrlm_set_update(o, list(o ^ _pyrlm_as_set(a[0])))", ""),
    "union": ("(set, frozenset)", "_pyrlm_set_all(o, '|', a)", ""),
    "intersection": ("(set, frozenset)", "_pyrlm_set_all(o, '&', a)", ""),
    "difference": ("(set, frozenset)", "_pyrlm_set_all(o, '-', a)", ""),
    "to_bytes": ("int", "_pyrlm_to_bytes(o, *a, **k)", ""),
    "move_to_end": ("dict", "_pyrlm_move_to_end(o, *a, **k)", ""),
    "sub": ("_pyrlm_rx_native.Pattern", "_pyrlm_rx_sub(o, *a, **k)", ""),
    "subn": ("_pyrlm_rx_native.Pattern", "_pyrlm_rx_subn(o, *a, **k)", ""),
    "findall": (
        "_pyrlm_rx_native.Pattern",
        "_pyrlm_rx_findall(o, *a) if len(a) == 1 and not k else _pyrlm_rx_from(o, 'findall', *a, **k)",
        "",
    ),
    "finditer": (
        "_pyrlm_rx_native.Pattern",
        "iter(_pyrlm_rx_finditer(o, *a)) if len(a) == 1 and not k else _pyrlm_rx_from(o, 'finditer', *a, **k)",
        "",
    ),
    "search": ("_pyrlm_rx_native.Pattern", "_pyrlm_rx_from(o, 'search', *a, **k)", ""),
    "match": ("_pyrlm_rx_native.Pattern", "_pyrlm_rx_from(o, 'match', *a, **k)", ""),
    "fullmatch": ("_pyrlm_rx_native.Pattern", "_pyrlm_rx_from(o, 'fullmatch', *a, **k)", ""),
    "start": ("_pyrlm_rx_native.Match", "_pyrlm_rx_at(o, *a)[0]", ""),
    "end": ("_pyrlm_rx_native.Match", "_pyrlm_rx_at(o, *a)[1]", ""),
    "span": ("_pyrlm_rx_native.Match", "_pyrlm_rx_at(o, *a)", ""),
    "groups": ("_pyrlm_rx_native.Match", "_pyrlm_rx_groups(o, *a, **k)", ""),
    "groupdict": ("_pyrlm_rx_native.Match", "_pyrlm_rx_groupdict(o, *a, **k)", ""),
    "expand": ("(_pyrlm_rx_native.Match, _pyrlm_RxMoved)", "_pyrlm_rx_expand(a[0], o)", ""),
}

PIECES = {
    f"_pyrlm_call_{name}": f"""
def _pyrlm_call_{name}(o, *a, **k):
    if isinstance(o, {kind}):
        return {value}
    return o.{name}(*a, **k)
"""
    for name, (kind, value, _) in _SIMPLE.items()
}
PIECES |= {
    "_pyrlm_rx_groups": "def _pyrlm_rx_groups(m, default=None):\n    return tuple([default if g is None else g for g in m.groups()])\n",
    "_pyrlm_rx_groupdict": "def _pyrlm_rx_groupdict(m, default=None):\n    return {k: default if v is None else v for k, v in m.groupdict().items()}\n",
    "_pyrlm_as_set": "def _pyrlm_as_set(x):\n    return x if isinstance(x, (set, frozenset, dict)) else set(x)\n",
    "_pyrlm_set_update": """
def _pyrlm_set_update(o, items):
    items = list(items)
    o.clear()
    o.update(items)
""",
    "_pyrlm_set_all": """
def _pyrlm_set_all(o, op, others):
    out = o.copy()
    for x in others:
        x = set(x)
        out = out | x if op == '|' else out & x if op == '&' else out - x
    return out
""",
    "_pyrlm_move_to_end": """
def _pyrlm_move_to_end(o, key, last=True):
    value = o.pop(key)
    if last:
        o[key] = value
    else:
        rest = list(o.items())
        o.clear()
        o[key] = value
        o.update(rest)
""",
    "_pyrlm_format_map": """
def _pyrlm_format_map(s, mapping):
    if hasattr(mapping, '_pyrlm_missing') or type(mapping).__name__ == 'defaultdict':
        names = {m.group(1) for m in _pyrlm_rx_native.finditer('[{]([A-Za-z_][A-Za-z0-9_]*)', s)}
        return s.format(**{n: mapping[n] for n in names})
    return s.format(**mapping)
""",
    "_pyrlm_call_from_bytes": """
def _pyrlm_call_from_bytes(o, *a, **k):
    return _pyrlm_from_bytes(*a, **k) if o is int else o.from_bytes(*a, **k)
""",
    "_pyrlm_call_maketrans": """
def _pyrlm_call_maketrans(o, a, b=None, c=''):
    if o is not str and not isinstance(o, str):
        return o.maketrans(a) if b is None else o.maketrans(a, b)
    if b is None:
        return {ord(k) if isinstance(k, str) else k: v for k, v in a.items()}
    if len(a) != len(b):
        raise ValueError('the first two maketrans arguments must have equal length')
    out = {ord(x): ord(y) for x, y in zip(a, b)}
    for x in c:
        out[ord(x)] = None
    return out
""",
    "_pyrlm_call_translate": """
def _pyrlm_call_translate(o, table, *rest):
    if not isinstance(o, str):
        return o.translate(table, *rest)
    out = []
    for c in o:
        n = ord(c)
        if n in table:
            v = table[n]
            if v is not None:
                out.append(chr(v) if isinstance(v, int) else v)
        else:
            out.append(c)
    return ''.join(out)
""",
    "_pyrlm_dates": "import datetime as _pyrlm_dates\n",
    "_pyrlm_call_isocalendar": """
from collections import namedtuple as _pyrlm_iso_nt
_pyrlm_IsoDate = _pyrlm_iso_nt('IsoCalendarDate', 'year week weekday')
def _pyrlm_call_isocalendar(o):
    if not isinstance(o, (_pyrlm_dates.date, _pyrlm_dates.datetime)):
        return o.isocalendar()
    day = _pyrlm_dates.date(o.year, o.month, o.day)
    thursday = day + _pyrlm_dates.timedelta(days=3 - day.weekday())
    week = (thursday - _pyrlm_dates.date(thursday.year, 1, 1)).days // 7 + 1
    return _pyrlm_IsoDate(thursday.year, week, day.weekday() + 1)
""",
    "_pyrlm_call_fromisocalendar": """
def _pyrlm_call_fromisocalendar(o, year, week, day):
    fourth = _pyrlm_dates.date(year, 1, 4)
    return fourth + _pyrlm_dates.timedelta(days=(week - 1) * 7 + day - 1 - fourth.weekday())
""",
    "_pyrlm_call_fromtimestamp": """
def _pyrlm_call_fromtimestamp(o, t, tz=None):
    if o is _pyrlm_dates.date:
        return _pyrlm_dates.date(1970, 1, 1) + _pyrlm_dates.timedelta(days=t // 86400)
    if o is not _pyrlm_dates.datetime:
        return o.fromtimestamp(t, tz)
    made = _pyrlm_dates.datetime(1970, 1, 1, tzinfo=_pyrlm_dates.timezone.utc) + _pyrlm_dates.timedelta(seconds=t)
    return made.replace(tzinfo=None) if tz is None else made.astimezone(tz)
""",
    "_pyrlm_call_utcfromtimestamp": """
def _pyrlm_call_utcfromtimestamp(o, t):
    return _pyrlm_dates.datetime(1970, 1, 1) + _pyrlm_dates.timedelta(seconds=t)
""",
    "_pyrlm_call_toordinal": """
def _pyrlm_call_toordinal(o):
    return (_pyrlm_dates.date(o.year, o.month, o.day) - _pyrlm_dates.date(1, 1, 1)).days + 1
""",
    "_pyrlm_call_fromordinal": """
def _pyrlm_call_fromordinal(o, n):
    return o(1, 1, 1) + _pyrlm_dates.timedelta(days=n - 1)
""",
    "_pyrlm_call_timetuple": """
from collections import namedtuple as _pyrlm_time_nt
_pyrlm_TimeTuple = _pyrlm_time_nt('struct_time', 'tm_year tm_mon tm_mday tm_hour tm_min tm_sec tm_wday tm_yday tm_isdst')
def _pyrlm_call_timetuple(o):
    if not isinstance(o, (_pyrlm_dates.date, _pyrlm_dates.datetime)):
        return o.timetuple()
    h, m, s = (o.hour, o.minute, o.second) if isinstance(o, _pyrlm_dates.datetime) else (0, 0, 0)
    day = _pyrlm_dates.date(o.year, o.month, o.day)
    return _pyrlm_TimeTuple(o.year, o.month, o.day, h, m, s, day.weekday(), (day - _pyrlm_dates.date(o.year, 1, 1)).days + 1, -1)
""",
    "_pyrlm_call_ctime": """
def _pyrlm_call_ctime(o, *a):
    if isinstance(o, _pyrlm_dates.date):
        return o.strftime('%a %b ') + '%2d' % o.day + o.strftime(' %H:%M:%S %Y')
    return o.ctime(*a)
""",
    "_pyrlm_attr_lastindex": """
def _pyrlm_attr_lastindex(o):
    if not isinstance(o, (_pyrlm_rx_native.Match, _pyrlm_RxMoved)):
        return o.lastindex
    m = o.m if isinstance(o, _pyrlm_RxMoved) else o
    best = None
    for g in range(1, len(m.groups()) + 1):
        at = _pyrlm_rx_at(m, g)
        if at[0] >= 0 and (best is None or at[1] > _pyrlm_rx_at(m, best)[1]):
            best = g
    return best
""",
    "_pyrlm_attr_lastgroup": """
def _pyrlm_attr_lastgroup(o):
    if not isinstance(o, (_pyrlm_rx_native.Match, _pyrlm_RxMoved)):
        return o.lastgroup
    n = _pyrlm_attr_lastindex(o)
    m = o.m if isinstance(o, _pyrlm_RxMoved) else o
    for name in m.groupdict():
        if _pyrlm_rx_number(m, name) == n:
            return name
    return None
""",
    "_pyrlm_attr_groupindex": """
def _pyrlm_attr_groupindex(o):
    if not isinstance(o, _pyrlm_rx_native.Pattern):
        return o.groupindex
    return {k: v for k, v in _pyrlm_rx_names(o.pattern).items() if k}
""",
    "_pyrlm_attr_groups": """
def _pyrlm_attr_groups(o):
    if isinstance(o, _pyrlm_rx_native.Pattern):
        return _pyrlm_rx_count(o.pattern)
    return (lambda *a: _pyrlm_rx_groups(o, *a)) if isinstance(o, _pyrlm_rx_native.Match) else o.groups
""",
    "_pyrlm_attr_pattern": """
def _pyrlm_attr_pattern(o):
    return _pyrlm_rx_source.get(o.pattern, o.pattern) if isinstance(o, _pyrlm_rx_native.Pattern) else o.pattern
""",
    "_pyrlm_attr_code": """
def _pyrlm_attr_code(o):
    if not isinstance(o, SystemExit):
        return o.code
    text = str(o)
    return None if text == '' else int(text) if text.lstrip('-').isdigit() else text
""",
    "_pyrlm_attr_errno": """
def _pyrlm_attr_errno(o):
    if not isinstance(o, OSError):
        return o.errno
    return 13 if isinstance(o, PermissionError) else 2 if isinstance(o, FileNotFoundError) else None
""",
    "_pyrlm_attr___class__": "def _pyrlm_attr___class__(o):\n    return type(o)\n",
    "_pyrlm_bound___getitem__": "def _pyrlm_bound___getitem__(o):\n    return lambda k: o[k]\n",
    "_pyrlm_bound___contains__": "def _pyrlm_bound___contains__(o):\n    return lambda k: k in o\n",
    "_pyrlm_attr___context__": "def _pyrlm_attr___context__(e):\n    return _pyrlm_attr___cause__(e)\n",
    "_pyrlm_attr___dict__": "def _pyrlm_attr___dict__(o):\n    return _pyrlm_vars(o)\n",
    "_pyrlm_hasattr": """
_pyrlm_method_names = {
    'str': 'lower upper strip split join replace startswith endswith find index count encode format splitlines isdigit __iter__ __len__ __getitem__ __contains__ __str__ __add__',
    'list': 'append extend insert pop remove sort reverse index count copy clear __iter__ __len__ __getitem__ __setitem__ __contains__ __add__',
    'tuple': 'index count __iter__ __len__ __getitem__ __contains__ __add__',
    'dict': 'keys values items get pop popitem setdefault update copy clear fromkeys __iter__ __len__ __getitem__ __setitem__ __contains__',
    'defaultdict': 'keys values items get pop popitem setdefault update copy clear __iter__ __len__ __getitem__ __setitem__ __contains__',
    'Counter': 'keys values items get pop update copy clear most_common elements subtract __iter__ __len__ __getitem__ __setitem__ __contains__',
    'set': 'add remove discard pop union intersection difference update copy clear issubset issuperset __iter__ __len__ __contains__',
    'frozenset': 'union intersection difference copy issubset issuperset __iter__ __len__ __contains__',
    'bytes': 'decode split join replace find index count startswith endswith hex __iter__ __len__ __getitem__ __contains__',
    'int': 'bit_length to_bytes real imag numerator denominator __int__ __index__ __float__ __add__',
    'float': 'is_integer hex real imag __int__ __float__ __add__',
    'deque': 'append appendleft pop popleft extend rotate clear __iter__ __len__ __getitem__',
    'range': 'start stop step index count __iter__ __len__ __getitem__ __contains__',
    'function': '__call__ __name__ __doc__', 'builtin_function_or_method': '__call__ __name__ __doc__',
}
def _pyrlm_hasattr(o, name):
    return hasattr(o, name) or name in _pyrlm_method_names.get(type(o).__name__, '').split()
""",
}
for _name, _kind, _value in (
    ("real", "(int, float)", "o"),
    ("imag", "(int, float)", "type(o)(0)"),
    ("numerator", "int", "int(o)"),
    ("denominator", "int", "1"),
    ("start", "range", "o[0] if len(o) else _pyrlm_range_part(o, 0)"),
    ("stop", "range", "_pyrlm_range_part(o, 1)"),
    ("step", "range", "_pyrlm_range_part(o, 2)"),
):
    _else = f"_pyrlm_bound_{_name}(o)" if _name == "start" else f"o.{_name}"
    PIECES[f"_pyrlm_attr_{_name}"] = f"""
def _pyrlm_attr_{_name}(o):
    return {_value} if isinstance(o, {_kind}) else {_else}
"""
PIECES["_pyrlm_range_part"] = """
def _pyrlm_range_part(o, n):
    parts = [int(x) for x in repr(o)[6:-1].split(', ')]
    return parts[n] if n < len(parts) else 1
"""


def bound_method(name: str) -> str:
    """Return the piece that makes a function of the method `name` of an object of a builtin type."""
    return f"""
def _pyrlm_bound_{name}(o):
    try:
        return o.{name}
    except AttributeError:
        if o is None or isinstance(o, (bool, int, float)) or type(o).__name__ == 'function':
            raise
        if type(o).__name__ == 'type':
            return lambda x, *a, **k: x.{name}(*a, **k)
        return lambda *a, **k: o.{name}(*a, **k)
"""


"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
