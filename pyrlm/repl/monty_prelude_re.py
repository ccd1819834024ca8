r"""Prelude pieces for `re`, in Monty's Python: what Monty 1.4's engine lacks or reads otherwise than CPython.

Patterns are translated once and cached: ``$`` and ``\Z`` mean other places there, ``[``, ``&&`` and ``--`` inside a set
are set operations, ``\<`` is a word boundary, re.ASCII is ignored, and re.VERBOSE exists only as ``(?x)``. Replacements
as functions, ``\n`` in a replacement, positions as arguments and groups by name in ``start()`` are supplied.
"""

from __future__ import annotations

PIECES = {
    "_pyrlm_rx_set": r"""
def _pyrlm_rx_set(p, i, ascii):
    # p[i] is '[': returns the translated set and the position behind it
    out = '['
    i += 1
    if i < len(p) and p[i] == '^':
        out += '^'
        i += 1
    first = True
    while i < len(p) and (first or p[i] != ']'):
        c = p[i]
        two = p[i:i + 2]
        if c == '\\':
            if two in ('\\w', '\\d') and ascii:
                out += 'A-Za-z0-9_' if two == '\\w' else '0-9'
            elif two in ('\\s',) and ascii:
                out += ' \\t\\n\\r\\f\\v'
            elif two == '\\s':
                out += '\\s\\x1c-\\x1f'
            elif two == '\\w':
                out += '\\w²³¹¼½¾'
            else:
                out += two
            i += 2
        elif c in '[&~' or c == ']' or (c == '-' and two == '--'):
            out += '\\' + c
            i += 1
        else:
            out += c
            i += 1
        first = False
    return out + ']', i + 1
""",
    "_pyrlm_rx_translate": r"""
def _pyrlm_rx_translate(p, flags):
    ascii = bool(flags & 256)
    multi = bool(flags & 8)
    head = p[:8]
    if head.startswith('(?') and ')' in head:
        named = head[2:head.index(')')]
        if named.isalpha():
            multi = multi or 'm' in named
            ascii = ascii or 'a' in named
            if 'a' in named or 'u' in named:
                kept = named.replace('a', '').replace('u', '')
                p = ('(?' + kept + ')' if kept else '') + p[len(named) + 3:]
    word = '[A-Za-z0-9_]'
    swaps = {'\\Z': '\\z', '\\<': '<', '\\>': '>', '\\s': '[\\s\\x1c-\\x1f]', '\\S': '[^\\s\\x1c-\\x1f]'}
    if ascii:
        swaps = {'\\Z': '\\z', '\\<': '<', '\\>': '>', '\\w': word, '\\W': '[^A-Za-z0-9_]', '\\d': '[0-9]',
                 '\\D': '[^0-9]', '\\s': '[ \\t\\n\\r\\f\\v]', '\\S': '[^ \\t\\n\\r\\f\\v]',
                 '\\b': '(?:(?<=' + word + ')(?!' + word + ')|(?<!' + word + ')(?=' + word + '))'}
    out = []
    i = 0
    while i < len(p):
        c = p[i]
        if c == '\\':
            two = p[i:i + 2]
            if two in ('\\p', '\\P', '\\h', '\\R', '\\K', '\\G', '\\e', '\\H', '\\z', '\\X'):
                raise _pyrlm_rx_native.error('bad escape ' + two + ' at position ' + str(i))
            if two == '\\0':
                out.append('\\x00')
            else:
                out.append(swaps.get(two, two))
            i += 2
        elif c == '[':
            text, i = _pyrlm_rx_set(p, i, ascii)
            out.append(text)
        elif c == '$' and not multi:
            out.append('(?=\\n?\\z)')
            i += 1
        else:
            out.append(c)
            i += 1
    text = ''.join(out)
    return '(?x)' + text if flags & 64 else text
""",
    "_pyrlm_rx_native": "import re as _pyrlm_rx_native\n",
    "_pyrlm_rx": r"""
_pyrlm_rx_cache = {}
_pyrlm_rx_source = {}
def _pyrlm_rx(p, flags=0):
    if not isinstance(p, str):
        if type(p) is bytes:
            raise TypeError('re: patterns and texts are str here, not bytes; decode first: data.decode()')
        return p
    key = (p, flags)
    made = _pyrlm_rx_cache.get(key)
    if made is None:
        if flags & 4:
            raise ValueError('re.LOCALE cannot be used with a str pattern')
        source = _pyrlm_rx_translate(p, flags)
        made = _pyrlm_rx_native.compile(source, flags & (2 | 8 | 16))
        if len(_pyrlm_rx_cache) > 500:
            _pyrlm_rx_cache.clear()
        _pyrlm_rx_cache[key] = made
        _pyrlm_rx_source[made.pattern] = p
    return made
""",
    "_pyrlm_rx_finditer": r"""
def _pyrlm_rx_finditer(rx, s):
    # CPython also finds an empty match right behind a match that is not empty
    found = list(rx.finditer(s))
    if rx.fullmatch('') is None or '\\b' in rx.pattern or '(?<' in rx.pattern:
        return found
    p = rx.pattern
    out = []
    for k in range(len(found)):
        m = found[k]
        out.append(m)
        e = m.end()
        if e > m.start() and (k + 1 == len(found) or found[k + 1].start() > e):
            if p.startswith('^') or p.startswith('\\A') or (p.startswith('(?m)^')):
                continue
            extra = rx.match(s[e:])
            if extra is not None and extra.end() == 0:
                out.append(_pyrlm_RxMoved(extra, e, s))
    return out
""",
    "_pyrlm_rx_subn": r"""
def _pyrlm_rx_subn(rx, repl, s, count=0):
    if not isinstance(s, str):
        raise TypeError('expected string or bytes-like object, got ' + repr(type(s).__name__))
    out = []
    at = 0
    n = 0
    plain = isinstance(repl, str)
    for m in _pyrlm_rx_finditer(rx, s):
        if count and n >= count:
            break
        start, end = m.span()
        out.append(s[at:start])
        out.append(_pyrlm_rx_expand(repl, m.m if type(m) is _pyrlm_RxMoved else m) if plain else repl(m))
        at = end
        n += 1
    out.append(s[at:])
    return ''.join(out), n
""",
    "_pyrlm_rx_sub": r"""
def _pyrlm_rx_sub(rx, repl, s, count=0):
    if isinstance(repl, str) and '\\' not in repl and not count and rx.fullmatch('') is None:
        return rx.sub(repl, s)
    return _pyrlm_rx_subn(rx, repl, s, count)[0]
""",
    "_pyrlm_rx_findall": r"""
def _pyrlm_rx_findall(rx, s):
    if not isinstance(s, str) or rx.fullmatch('') is None:
        return rx.findall(s)
    out = []
    n = _pyrlm_rx_count(rx.pattern)
    for m in _pyrlm_rx_finditer(rx, s):
        if n == 0:
            out.append(m.group())
        elif n == 1:
            out.append(m.group(1) or '')
        else:
            out.append(tuple([m.group(g) or '' for g in range(1, n + 1)]))
    return out
""",
    "_pyrlm_rx_split": r"""
def _pyrlm_rx_split(rx, s, maxsplit=0):
    if not isinstance(s, str) or rx.fullmatch('') is None:
        return rx.split(s, maxsplit) if maxsplit else rx.split(s)
    out = []
    at = 0
    n = _pyrlm_rx_count(rx.pattern)
    for m in _pyrlm_rx_finditer(rx, s):
        if maxsplit and len(out) // (n + 1) >= maxsplit:
            break
        out.append(s[at:m.start()])
        out.extend([m.group(g) for g in range(1, n + 1)])
        at = m.end()
    out.append(s[at:])
    return out
""",
    "_pyrlm_mod_re": r"""
class _pyrlm_mod_re:
    I = 2
    IGNORECASE = 2
    M = 8
    MULTILINE = 8
    S = 16
    DOTALL = 16
    U = 32
    UNICODE = 32
    X = 64
    VERBOSE = 64
    A = 256
    ASCII = 256
    L = 4
    LOCALE = 4
    NOFLAG = 0
    error = _pyrlm_rx_native.error
    PatternError = _pyrlm_rx_native.error
    Pattern = _pyrlm_rx_native.Pattern
    Match = _pyrlm_rx_native.Match
    RegexFlag = int
    escape = _pyrlm_rx_native.escape
    def compile(pattern, flags=0):
        return _pyrlm_rx(pattern, flags)
    def search(pattern, string, flags=0):
        return _pyrlm_rx(pattern, flags).search(string)
    def match(pattern, string, flags=0):
        return _pyrlm_rx(pattern, flags).match(string)
    def fullmatch(pattern, string, flags=0):
        return _pyrlm_rx(pattern, flags).fullmatch(string)
    def findall(pattern, string, flags=0):
        return _pyrlm_rx_findall(_pyrlm_rx(pattern, flags), string)
    def finditer(pattern, string, flags=0):
        return iter(_pyrlm_rx_finditer(_pyrlm_rx(pattern, flags), string))
    def split(pattern, string, maxsplit=0, flags=0):
        return _pyrlm_rx_split(_pyrlm_rx(pattern, flags), string, maxsplit)
    def sub(pattern, repl, string, count=0, flags=0):
        return _pyrlm_rx_sub(_pyrlm_rx(pattern, flags), repl, string, count)
    def subn(pattern, repl, string, count=0, flags=0):
        return _pyrlm_rx_subn(_pyrlm_rx(pattern, flags), repl, string, count)
    def purge():
        _pyrlm_rx_cache.clear()
""",
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
