r"""Prelude pieces for statistics, in Monty's Python; sums are exact, as in CPython."""

from __future__ import annotations

PIECES = {
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
        if 0 in data:
            return 0
        n, d = _pyrlm_exact_sum([_pyrlm_ratio(1 / x) for x in data])
        return len(data) * d / n
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
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
