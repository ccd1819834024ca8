r"""Prelude pieces for classes: static methods, own exceptions, named tuples, in Monty's Python."""

from __future__ import annotations

PIECES = {
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
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
