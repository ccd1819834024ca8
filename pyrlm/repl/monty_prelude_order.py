r"""Prelude pieces for what goes through iterables, in Monty's Python: sorting, map, any, generators."""

from __future__ import annotations

PIECES = {
    "_pyrlm_sorted": """
def _pyrlm_sorted(iterable, key=None, reverse=False):
    items = list(iterable)
    if key is None:
        return sorted(items, reverse=reverse)
    keys = [key(x) for x in items]
    return [items[i] for i in sorted(range(len(items)), key=lambda i: keys[i], reverse=reverse)]
""",
    "_pyrlm_call_sort": """
def _pyrlm_call_sort(o, *args, **kw):
    if type(o) is list and not args:
        o[:] = _pyrlm_sorted(o, **kw)
        return None
    return o.sort(*args, **kw)
""",
    "_pyrlm_none": "_pyrlm_none = ['none']\n",
    "_pyrlm_best": """
def _pyrlm_best(name, args, key, default, sign):
    items = list(args[0]) if len(args) == 1 else list(args)
    if not items:
        if default is _pyrlm_none:
            raise ValueError(name + '() iterable argument is empty')
        return default
    best = items[0]
    score = key(best) if key else best
    for x in items[1:]:
        k = key(x) if key else x
        if (k > score) if sign else (k < score):
            best = x
            score = k
    return best
""",
    "_pyrlm_max": """
def _pyrlm_max(*args, key=None, default=_pyrlm_none):
    return _pyrlm_best('max', args, key, default, True)
""",
    "_pyrlm_min": """
def _pyrlm_min(*args, key=None, default=_pyrlm_none):
    return _pyrlm_best('min', args, key, default, False)
""",
    "_pyrlm_max_objects": """
def _pyrlm_max_objects(*args, key=None, default=_pyrlm_none):
    return _pyrlm_best_object('max', args, key, default, '__gt__')
""",
    "_pyrlm_min_objects": """
def _pyrlm_min_objects(*args, key=None, default=_pyrlm_none):
    return _pyrlm_best_object('min', args, key, default, '__lt__')
""",
    "_pyrlm_best_object": """
def _pyrlm_best_object(name, args, key, default, op):
    items = list(args[0]) if len(args) == 1 else list(args)
    if not items:
        return _pyrlm_best(name, args, key, default, True)
    best = items[0]
    for x in items[1:]:
        if _pyrlm_compare(key(x) if key else x, op, key(best) if key else best):
            best = x
    return best
""",
    "_pyrlm_map": """
def _pyrlm_map(f, *its):
    if len(its) == 1:
        return [f(x) for x in its[0]]
    return [f(*t) for t in _pyrlm_zip(*its)]
""",
    "_pyrlm_filter": """
def _pyrlm_filter(f, it):
    if f is None:
        return [x for x in it if x]
    return [x for x in it if f(x)]
""",
    "_pyrlm_zip": """
def _pyrlm_zip(*its, strict=False):
    # stops at the shortest, so that one of them may be endless
    if strict:
        return zip(*its, strict=True)
    its = [iter(x) for x in its]
    out = []
    while its:
        row = []
        for x in its:
            v = next(x, _pyrlm_none)
            if v is _pyrlm_none:
                return out
            row.append(v)
        out.append(tuple(row))
    return out
""",
    "_pyrlm_any": """
def _pyrlm_any(it, f, cond=None):
    for x in it:
        if (cond is None or cond(x)) and f(x):
            return True
    return False
""",
    "_pyrlm_all": """
def _pyrlm_all(it, f, cond=None):
    for x in it:
        if (cond is None or cond(x)) and not f(x):
            return False
    return True
""",
    "_pyrlm_first": """
def _pyrlm_first(it, f, cond=None, *default):
    for x in it:
        if cond is None or cond(x):
            return f(x)
    if default:
        return default[0]
    raise StopIteration()
""",
    "_pyrlm_Lazy": """
class _pyrlm_Lazy:
    def __init__(self, it, f, cond=None):
        self.it = iter(it)
        self.f = f
        self.cond = cond
    def __iter__(self):
        return self
    def __next__(self):
        while True:
            x = next(self.it)
            if self.cond is None or self.cond(x):
                return self.f(x)
    def __repr__(self):
        return '<generator object <genexpr>>'
    def close(self):
        self.it = iter([])
""",
    "_pyrlm_Generator": """
class _pyrlm_Generator:
    def __init__(self, blocks):
        self.blocks = blocks
        self.at = 0
    def __iter__(self):
        return self
    def __next__(self):
        while self.at is not None:
            at = self.at
            self.at = None
            step = self.blocks[at]()
            if step is None:
                raise StopIteration()
            if type(step) is tuple:
                self.at = step[0]
                return step[1]
            self.at = step
        raise StopIteration()
    def send(self, value):
        if value is not None:
            raise NotImplementedError('send(value) to a generator: this Python has none; write a function that takes the value')
        return next(self)
    def close(self):
        self.at = None
    def __repr__(self):
        return '<generator object>'
""",
    "_pyrlm_compare": """
def _pyrlm_compare(a, op, b):
    swapped = {'__lt__': '__gt__', '__gt__': '__lt__', '__le__': '__ge__', '__ge__': '__le__'}
    if hasattr(a, op):
        r = getattr(a, op)(b)
        if r is not NotImplemented:
            return r
    if hasattr(b, swapped[op]):
        r = getattr(b, swapped[op])(a)
        if r is not NotImplemented:
            return r
    return a < b if op == '__lt__' else a > b if op == '__gt__' else a <= b if op == '__le__' else a >= b
""",
    "_pyrlm_sorted_objects": """
def _pyrlm_sorted_objects(iterable, key=None, reverse=False):
    # a stable merge sort that asks the objects themselves
    items = [(key(x) if key else x, x) for x in iterable]
    if reverse:
        items = items[::-1]
    runs = [[x] for x in items]
    while len(runs) > 1:
        merged = []
        for i in range(0, len(runs), 2):
            if i + 1 == len(runs):
                merged.append(runs[i])
                break
            a, b, out, j, k = runs[i], runs[i + 1], [], 0, 0
            while j < len(a) and k < len(b):
                if _pyrlm_compare(b[k][0], '__lt__', a[j][0]):
                    out.append(b[k])
                    k += 1
                else:
                    out.append(a[j])
                    j += 1
            merged.append(out + a[j:] + b[k:])
        runs = merged
    out = [x[1] for x in runs[0]] if runs else []
    return out[::-1] if reverse else out
""",
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
