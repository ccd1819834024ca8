r"""Prelude pieces for heapq, operator, fractions, calendar and struct, in Monty's Python."""

from __future__ import annotations

PIECES = {
    "_pyrlm_mod_heapq": r"""
class _pyrlm_mod_heapq:
    def heappush(heap, item):
        heap.append(item)
        pos = len(heap) - 1
        while pos > 0:
            parent = (pos - 1) >> 1
            if not item < heap[parent]:
                break
            heap[pos] = heap[parent]
            pos = parent
        heap[pos] = item
    def _sift(heap, pos):
        end = len(heap)
        start = pos
        item = heap[pos]
        child = 2 * pos + 1
        while child < end:
            if child + 1 < end and not heap[child] < heap[child + 1]:
                child += 1
            heap[pos] = heap[child]
            pos = child
            child = 2 * pos + 1
        while pos > start:
            parent = (pos - 1) >> 1
            if not item < heap[parent]:
                break
            heap[pos] = heap[parent]
            pos = parent
        heap[pos] = item
    def heappop(heap):
        last = heap.pop()
        if not heap:
            return last
        item = heap[0]
        heap[0] = last
        _pyrlm_mod_heapq._sift(heap, 0)
        return item
    def heapify(heap):
        for i in range(len(heap) // 2 - 1, -1, -1):
            _pyrlm_mod_heapq._sift(heap, i)
    def heappushpop(heap, item):
        if heap and heap[0] < item:
            item, heap[0] = heap[0], item
            _pyrlm_mod_heapq._sift(heap, 0)
        return item
    def heapreplace(heap, item):
        out = heap[0]
        heap[0] = item
        _pyrlm_mod_heapq._sift(heap, 0)
        return out
    def nlargest(n, iterable, key=None):
        return _pyrlm_sorted(iterable, key, True)[:max(n, 0)]
    def nsmallest(n, iterable, key=None):
        return _pyrlm_sorted(iterable, key)[:max(n, 0)]
    def merge(*iterables, key=None, reverse=False):
        out = []
        for x in iterables:
            out.extend(x)
        return iter(_pyrlm_sorted(out, key, reverse))
""",
    "_pyrlm_mod_operator": r"""
class _pyrlm_itemgetter:
    def __init__(self, *keys):
        self.keys = keys
    def __call__(self, o):
        return o[self.keys[0]] if len(self.keys) == 1 else tuple([o[k] for k in self.keys])
class _pyrlm_attrgetter:
    def __init__(self, *names):
        self.names = names
    def _one(self, o, name):
        for part in name.split('.'):
            o = getattr(o, part)
        return o
    def __call__(self, o):
        return self._one(o, self.names[0]) if len(self.names) == 1 else tuple([self._one(o, n) for n in self.names])
class _pyrlm_mod_operator:
    itemgetter = _pyrlm_itemgetter
    attrgetter = _pyrlm_attrgetter
    def methodcaller(name, *a, **k):
        raise NotImplementedError('operator.methodcaller: not supported here; use lambda x: x.' + name + '()')
    def add(a, b): return a + b
    def sub(a, b): return a - b
    def mul(a, b): return a * b
    def truediv(a, b): return a / b
    def floordiv(a, b): return a // b
    def mod(a, b): return a % b
    def pow(a, b): return a ** b
    def neg(a): return -a
    def pos(a): return +a
    def abs(a): return abs(a)
    def eq(a, b): return a == b
    def ne(a, b): return a != b
    def lt(a, b): return a < b
    def le(a, b): return a <= b
    def gt(a, b): return a > b
    def ge(a, b): return a >= b
    def not_(a): return not a
    def truth(a): return bool(a)
    def is_(a, b): return a is b
    def is_not(a, b): return a is not b
    def and_(a, b): return a & b
    def or_(a, b): return a | b
    def xor(a, b): return a ^ b
    def invert(a): return ~a
    def lshift(a, b): return a << b
    def rshift(a, b): return a >> b
    def contains(a, b): return b in a
    def concat(a, b): return a + b
    def getitem(a, b): return a[b]
    def setitem(a, b, c): a[b] = c
    def countOf(a, b): return len([x for x in a if x == b])
    def index(a): return a
""",
    "_pyrlm_Fraction": r"""
import math as _pyrlm_fmath
class _pyrlm_Fraction:
    def __init__(self, n=0, d=None):
        if isinstance(n, str):
            a, slash, b = n.strip().partition('/')
            whole, dot, part = a.partition('.')
            n, d = int(whole + part), int(b or 1) * 10 ** len(part)
        elif isinstance(n, float):
            n, d = _pyrlm_as_ratio(n)
        else:
            d = 1 if d is None else d
            n, d = _pyrlm_num(n) * _pyrlm_den(d), _pyrlm_den(n) * _pyrlm_num(d)
        if d == 0:
            raise ZeroDivisionError('Fraction(' + str(n) + ', 0)')
        g = _pyrlm_fmath.gcd(n, d) * (-1 if d < 0 else 1)
        self.numerator = n // g
        self.denominator = d // g
    def __add__(self, o): return self + 0.0 + o if isinstance(o, float) and False else (float(self) + o if isinstance(o, float) else _pyrlm_Fraction(self.numerator * _pyrlm_den(o) + _pyrlm_num(o) * self.denominator, self.denominator * _pyrlm_den(o)))
    def __radd__(self, o): return self.__add__(o)
    def __sub__(self, o): return float(self) - o if isinstance(o, float) else _pyrlm_Fraction(self.numerator * _pyrlm_den(o) - _pyrlm_num(o) * self.denominator, self.denominator * _pyrlm_den(o))
    def __rsub__(self, o): return (-self).__add__(o)
    def __mul__(self, o): return float(self) * o if isinstance(o, float) else _pyrlm_Fraction(self.numerator * _pyrlm_num(o), self.denominator * _pyrlm_den(o))
    def __rmul__(self, o): return self.__mul__(o)
    def __truediv__(self, o): return float(self) / o if isinstance(o, float) else _pyrlm_Fraction(self.numerator * _pyrlm_den(o), self.denominator * _pyrlm_num(o))
    def __rtruediv__(self, o): return o / float(self) if isinstance(o, float) else _pyrlm_Fraction(_pyrlm_num(o) * self.denominator, _pyrlm_den(o) * self.numerator)
    def __pow__(self, n): return _pyrlm_Fraction(self.numerator ** n, self.denominator ** n) if n >= 0 else _pyrlm_Fraction(self.denominator ** -n, self.numerator ** -n)
    def __neg__(self): return _pyrlm_Fraction(-self.numerator, self.denominator)
    def __float__(self): return self.numerator / self.denominator
    def __int__(self): return self.numerator // self.denominator if self.numerator >= 0 else -(-self.numerator // self.denominator)
    def __eq__(self, o): return float(self) == o if isinstance(o, float) else isinstance(o, (int, _pyrlm_Fraction)) and self.numerator == _pyrlm_num(o) and self.denominator == _pyrlm_den(o)
    def __hash__(self): return hash(self.numerator / self.denominator)
    def __lt__(self, o): return self.numerator * _pyrlm_den(o) < _pyrlm_num(o) * self.denominator
    def __le__(self, o): return self.numerator * _pyrlm_den(o) <= _pyrlm_num(o) * self.denominator
    def __gt__(self, o): return self.numerator * _pyrlm_den(o) > _pyrlm_num(o) * self.denominator
    def __ge__(self, o): return self.numerator * _pyrlm_den(o) >= _pyrlm_num(o) * self.denominator
    def __str__(self): return str(self.numerator) if self.denominator == 1 else str(self.numerator) + '/' + str(self.denominator)
    def __repr__(self): return 'Fraction(' + str(self.numerator) + ', ' + str(self.denominator) + ')'
    def limit_denominator(self, most=1000000):
        if self.denominator <= most:
            return self
        p0, q0, p1, q1 = 0, 1, 1, 0
        n, d = self.numerator, self.denominator
        while True:
            a = n // d
            if q0 + a * q1 > most:
                break
            p0, q0, p1, q1 = p1, q1, p0 + a * p1, q0 + a * q1
            n, d = d, n - a * d
        k = (most - q0) // q1
        one, two = _pyrlm_Fraction(p0 + k * p1, q0 + k * q1), _pyrlm_Fraction(p1, q1)
        a, b = two - self, one - self
        return two if abs(float(a)) <= abs(float(b)) else one
""",
    "_pyrlm_num": "def _pyrlm_num(x):\n    return int(x) if isinstance(x, int) else x.numerator\n",
    "_pyrlm_den": "def _pyrlm_den(x):\n    return 1 if isinstance(x, int) else x.denominator\n",
    "_pyrlm_mod_fractions": "class _pyrlm_mod_fractions:\n    Fraction = _pyrlm_Fraction\n",
    "_pyrlm_mod_calendar": r"""
from datetime import date as _pyrlm_date
class _pyrlm_mod_calendar:
    MONDAY = 0
    SUNDAY = 6
    month_name = ['', 'January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']
    month_abbr = ['', 'Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
    day_name = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday']
    day_abbr = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']
    def isleap(y):
        return y % 4 == 0 and (y % 100 != 0 or y % 400 == 0)
    def leapdays(a, b):
        return len([y for y in range(a, b) if _pyrlm_mod_calendar.isleap(y)])
    def weekday(y, m, d):
        return _pyrlm_date(y, m, d).weekday()
    def monthrange(y, m):
        days = [31, 29 if _pyrlm_mod_calendar.isleap(y) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        return _pyrlm_date(y, m, 1).weekday(), days[m - 1]
    def timegm(t):
        return (_pyrlm_date(t[0], t[1], t[2]) - _pyrlm_date(1970, 1, 1)).days * 86400 + t[3] * 3600 + t[4] * 60 + t[5]
""",
    "_pyrlm_mod_struct": r"""
def _pyrlm_struct_items(fmt):
    order = 'little'
    if fmt[:1] in ('<', '>', '!', '=', '@'):
        order = 'big' if fmt[0] in '>!' else 'little'
        if fmt[0] == '@':
            raise NotImplementedError('struct: native alignment is not supported here; begin the format with < or >')
        fmt = fmt[1:]
    elif len(fmt) > 1:
        raise NotImplementedError('struct: native alignment is not supported here; begin the format with < or >')
    out = []
    n = ''
    for c in fmt:
        if c.isdigit():
            n += c
        elif c != ' ':
            if c == 's':
                out.append((c, int(n or 1)))
            elif c in 'bBhHiIlLqQx?':
                size = {'b': 1, 'B': 1, 'h': 2, 'H': 2, 'i': 4, 'I': 4, 'l': 4, 'L': 4, 'q': 8, 'Q': 8, 'x': 1, '?': 1}[c]
                out.extend([(c, size)] * int(n or 1))
            else:
                raise NotImplementedError('struct: format ' + repr(c) + ' is not supported here')
            n = ''
    return order, out
class _pyrlm_mod_struct:
    error = ValueError
    def calcsize(fmt):
        return sum([size for c, size in _pyrlm_struct_items(fmt)[1]])
    def pack(fmt, *values):
        order, items = _pyrlm_struct_items(fmt)
        out = b''
        values = list(values)
        for c, size in items:
            if c == 'x':
                out += b'\x00'
            elif c == 's':
                out += (values.pop(0) + b'\x00' * size)[:size]
            else:
                out += _pyrlm_to_bytes(int(values.pop(0)), size, order, signed=c in 'bhilq')
        return out
    def unpack(fmt, data):
        order, items = _pyrlm_struct_items(fmt)
        if len(data) != sum([size for c, size in items]):
            raise ValueError('unpack requires a buffer of ' + str(sum([size for c, size in items])) + ' bytes')
        out = []
        at = 0
        for c, size in items:
            part = data[at:at + size]
            at += size
            if c == 's':
                out.append(part)
            elif c == '?':
                out.append(part != b'\x00')
            elif c != 'x':
                out.append(_pyrlm_from_bytes(part, order, signed=c in 'bhilq'))
        return tuple(out)
""",
    "_pyrlm_to_bytes": r"""
def _pyrlm_to_bytes(n, length=1, byteorder='big', signed=False):
    low, high = (-(1 << (8 * length - 1)), 1 << (8 * length - 1)) if signed else (0, 1 << (8 * length))
    if not low <= n < high:
        raise OverflowError("can't convert negative int to unsigned" if n < 0 and not signed else 'int too big to convert')
    n %= 1 << (8 * length)
    numbers = [(n >> (8 * i)) & 255 for i in range(length)]
    return bytes.fromhex(''.join(['%02x' % x for x in (numbers if byteorder == 'little' else numbers[::-1])]))
""",
    "_pyrlm_from_bytes": r"""
def _pyrlm_from_bytes(data, byteorder='big', signed=False):
    data = list(data)
    n = 0
    for b in data if byteorder == 'big' else data[::-1]:
        n = n * 256 + b
    return n - (1 << (8 * len(data))) if signed and data and n >> (8 * len(data) - 1) else n
""",
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
