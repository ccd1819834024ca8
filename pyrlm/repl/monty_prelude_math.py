r"""Prelude pieces for modules about numbers and order, in Monty's Python: statistics, heapq, operator, fractions, …"""

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
    "_pyrlm_mod_statistics": r"""
import math as _pyrlm_math
from decimal import Decimal as _pyrlm_Decimal
class _pyrlm_StatisticsError:
    def _pyrlm_has(x):
        return isinstance(x, ValueError)
def _pyrlm_stat(data, name, least=1):
    data = list(data)
    if len(data) < least:
        raise ValueError(name + ' requires at least ' + ('one data point' if least == 1 else 'two data points'))
    return data
def _pyrlm_ratio(x):
    # any number as exact numerator and denominator
    if isinstance(x, int):
        return int(x), 1
    if isinstance(x, float):
        return _pyrlm_as_ratio(x)
    if hasattr(x, 'numerator'):
        return x.numerator, x.denominator
    n = 0
    s = str(x)
    t, e, exp = s.lower().partition('e')
    whole, dot, part = t.partition('.')
    return int(whole + part) * 10 ** max(int(exp or 0) - len(part), 0), 10 ** max(len(part) - int(exp or 0), 0)
def _pyrlm_exact_sum(pairs):
    total = {}
    for n, d in pairs:
        total[d] = total.get(d, 0) + n
    num, den = 0, 1
    for d, n in total.items():
        num, den = num * d + n * den, den * d
        g = _pyrlm_math.gcd(num, den) or 1
        num, den = num // g, den // g
    return num, den
def _pyrlm_divided(num, den, like):
    if any([isinstance(x, float) for x in like]):
        return num / den
    if all([isinstance(x, int) for x in like]):
        return num // den if num % den == 0 else num / den
    if any([type(x).__name__ == 'Fraction' for x in like]):
        return _pyrlm_Fraction(num, den)
    return _pyrlm_Decimal(num) / _pyrlm_Decimal(den)
class _pyrlm_mod_statistics:
    StatisticsError = ValueError
    def mean(data):
        data = _pyrlm_stat(data, 'mean')
        if any([isinstance(x, float) and x - x != 0 for x in data]):
            return sum(data) / len(data)
        n, d = _pyrlm_exact_sum([_pyrlm_ratio(x) for x in data])
        return _pyrlm_divided(n, d * len(data), data)
    def fmean(data, weights=None):
        data = [float(x) for x in data]
        if weights is not None:
            weights = list(weights)
            return _pyrlm_math.fsum([x * w for x, w in zip(data, weights)]) / _pyrlm_math.fsum(weights)
        if not data:
            raise ValueError('fmean requires at least one data point')
        return _pyrlm_math.fsum(data) / len(data)
    def median(data):
        data = sorted(data)
        if not data:
            raise ValueError('no median for empty data')
        k = len(data) // 2
        return data[k] if len(data) % 2 else (data[k - 1] + data[k]) / 2
    def median_low(data):
        data = sorted(data)
        if not data:
            raise ValueError('no median for empty data')
        return data[(len(data) - 1) // 2]
    def median_high(data):
        data = sorted(data)
        if not data:
            raise ValueError('no median for empty data')
        return data[len(data) // 2]
    def multimode(data):
        counts = {}
        for x in data:
            counts[x] = counts.get(x, 0) + 1
        most = max(counts.values(), default=0)
        return [x for x in counts if counts[x] == most]
    def mode(data):
        modes = _pyrlm_mod_statistics.multimode(data)
        if not modes:
            raise ValueError('no mode for empty data')
        return modes[0]
    def _ss(data, mean, least, name):
        data = _pyrlm_stat(data, name, least)
        pairs = [_pyrlm_ratio(x) for x in data]
        if mean is None:
            n, d = _pyrlm_exact_sum(pairs)
            d *= len(data)
        else:
            n, d = _pyrlm_ratio(mean)
        num, den = _pyrlm_exact_sum([((a * d - n * b) ** 2, (b * d) ** 2) for a, b in pairs])
        return num, den, data
    def variance(data, xbar=None):
        num, den, data = _pyrlm_mod_statistics._ss(data, xbar, 2, 'variance')
        return _pyrlm_divided(num, den * (len(data) - 1), data)
    def pvariance(data, mu=None):
        num, den, data = _pyrlm_mod_statistics._ss(data, mu, 1, 'pvariance')
        return _pyrlm_divided(num, den * len(data), data)
    def stdev(data, xbar=None):
        num, den, data = _pyrlm_mod_statistics._ss(data, xbar, 2, 'stdev')
        return _pyrlm_root(num, den * (len(data) - 1))
    def pstdev(data, mu=None):
        num, den, data = _pyrlm_mod_statistics._ss(data, mu, 1, 'pstdev')
        return _pyrlm_root(num, den * len(data))
    def harmonic_mean(data):
        data = _pyrlm_stat(data, 'harmonic_mean')
        return 0 if 0 in data else len(data) / _pyrlm_math.fsum([1 / x for x in data])
    def geometric_mean(data):
        data = _pyrlm_stat(data, 'geometric_mean')
        return _pyrlm_math.exp(_pyrlm_mod_statistics.fmean([_pyrlm_math.log(x) for x in data]))
    def quantiles(data, n=4, method='exclusive'):
        data = sorted(_pyrlm_stat(data, 'quantiles', 2))
        ld = len(data)
        out = []
        for i in range(1, n):
            if method == 'inclusive':
                j, delta = divmod(i * (ld - 1), n)
                out.append((data[j] * (n - delta) + data[j + 1] * delta) / n)
            else:
                m = ld + 1
                j = i * m // n
                j = 1 if j < 1 else ld - 1 if j > ld - 1 else j
                delta = i * m - j * n
                out.append((data[j - 1] * (n - delta) + data[j] * delta) / n)
        return out
    def correlation(x, y):
        n = len(x)
        mx, my = _pyrlm_math.fsum(x) / n, _pyrlm_math.fsum(y) / n
        sxy = _pyrlm_math.fsum([(a - mx) * (b - my) for a, b in zip(x, y)])
        sxx = _pyrlm_math.fsum([(a - mx) ** 2 for a in x])
        syy = _pyrlm_math.fsum([(b - my) ** 2 for b in y])
        return sxy / _pyrlm_math.sqrt(sxx * syy)
""",
    "_pyrlm_as_ratio": r"""
def _pyrlm_as_ratio(x):
    if x == int(x):
        return int(x), 1
    import math
    m, e = math.frexp(x)
    n = int(m * 9007199254740992)
    e -= 53
    while n % 2 == 0:
        n //= 2
        e += 1
    return (n * 2 ** e, 1) if e >= 0 else (n, 2 ** -e)
""",
    "_pyrlm_root": r"""
def _pyrlm_root(n, d):
    # the correctly rounded root of n / d, as statistics does it since 3.11: one guarding bit, rounded to odd
    import math
    if n == 0:
        return 0.0
    q = (len(bin(n)) - len(bin(d)) - 109) // 2
    if q >= 0:
        num, den = n, d << 2 * q
    else:
        num, den = n << -2 * q, d
    a = math.isqrt(num // den)
    if a * a * den != num:
        a |= 1
    return a * 2.0 ** q if q > -1000 else a / 2 ** -q
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
