r"""Prelude pieces for enum, in Monty's Python."""

from __future__ import annotations

PIECES = {
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
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
