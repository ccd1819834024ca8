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
    "_pyrlm_RxMoved": r"""
class _pyrlm_RxMoved:
    # a match in a part of the text, told in positions of the whole text
    def __init__(self, m, shift, s):
        self.m = m
        self.shift = shift
        self.string = s
    def group(self, *g):
        return self.m.group(*g)
    def __getitem__(self, g):
        return self.m[g]
    def groups(self, default=None):
        return _pyrlm_call_groups(self.m, default)
    def groupdict(self, default=None):
        return {k: default if v is None else v for k, v in self.m.groupdict().items()}
    def start(self, g=0):
        at = _pyrlm_rx_at(self.m, g)[0]
        return at if at < 0 else at + self.shift
    def end(self, g=0):
        at = _pyrlm_rx_at(self.m, g)[1]
        return at if at < 0 else at + self.shift
    def span(self, g=0):
        return self.start(g), self.end(g)
    def __repr__(self):
        return '<re.Match object; span=' + repr(self.span()) + ', match=' + repr(self.m.group())[:50] + '>'
""",
    "_pyrlm_rx_at": r"""
def _pyrlm_rx_at(m, g):
    # span of a group, by name too; a group that took no part has (-1, -1)
    if isinstance(g, str):
        g = _pyrlm_rx_number(m, g)
    if m.group(g) is None:
        return (-1, -1)
    return m.span(g)
""",
    "_pyrlm_rx_number": r"""
def _pyrlm_rx_number(m, name):
    # a match does not tell the number of a named group: it is sure where every group has a name, or by what it matched
    named = list(m.groupdict())
    if name not in named:
        raise IndexError('no such group')
    n = len(m.groups())
    if n == len(named):
        return named.index(name) + 1
    text = m.group(name)
    same = [g for g in range(1, n + 1) if m.group(g) == text]
    if text is not None and len({m.span(g) for g in same}) > 1:
        raise NotImplementedError('the position of group ' + repr(name) + ': give every group a name, or use its number')
    return same[0]
""",
    "_pyrlm_rx_names": r"""
def _pyrlm_rx_names(p):
    names = {}
    n = 0
    i = 0
    while i < len(p):
        if p[i] == '\\':
            i += 2
            continue
        if p[i] == '[':
            i += 2 if p[i + 1:i + 2] == '^' else 1
            i += 1 if p[i:i + 1] == ']' else 0
            while i < len(p) and p[i] != ']':
                i += 2 if p[i] == '\\' else 1
        elif p[i] == '(':
            if p[i + 1:i + 2] != '?':
                n += 1
            elif p[i + 1:i + 4] == '?P<':
                n += 1
                names[p[i + 4:p.index('>', i)]] = n
        i += 1
    names[''] = n
    return names
""",
    "_pyrlm_rx_count": "def _pyrlm_rx_count(p):\n    return _pyrlm_rx_names(p)['']\n",
    "_pyrlm_rx_expand": r"""
def _pyrlm_rx_expand(template, m):
    if '\\' not in template:
        return template
    out = []
    i = 0
    while i < len(template):
        c = template[i]
        if c != '\\' or i + 1 == len(template):
            out.append(c)
            i += 1
            continue
        n = template[i + 1]
        i += 2
        if n == 'g' and template[i:i + 1] == '<':
            end = template.index('>', i)
            name = template[i + 1:end]
            out.append(m.group(int(name) if name.isdigit() else name) or '')
            i = end + 1
        elif n == '0':
            out.append('\x00')
        elif n.isdigit():
            if template[i:i + 1].isdigit() and int(n + template[i]) <= len(m.groups()):
                n += template[i]
                i += 1
            if int(n) > len(m.groups()):
                raise _pyrlm_rx_native.error('invalid group reference ' + n)
            out.append(m.group(int(n)) or '')
        elif n in 'abfnrtv\\':
            out.append({'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v', '\\': '\\'}[n])
        elif n.isalpha():
            raise _pyrlm_rx_native.error('bad escape \\' + n)
        else:
            out.append('\\' + n)
    return ''.join(out)
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
    "_pyrlm_rx_from": r"""
def _pyrlm_rx_from(rx, method, s, pos=0, endpos=None):
    # a search that begins at pos sees what stands before it (lookbehind, \b, ^), up to 50 characters
    if endpos is not None:
        s = s[:max(endpos, 0)]
    pos = min(max(pos, 0), len(s))
    if pos:
        back = min(pos, 50)
        rx = _pyrlm_rx_native.compile('(?<=[\\s\\S]{' + str(back) + '})(?:' + rx.pattern + '\n)' if '(?x)' in rx.pattern
                                      else '(?<=[\\s\\S]{' + str(back) + '})(?:' + rx.pattern + ')', rx.flags & 26)
        found = [_pyrlm_RxMoved(m, pos - back, s) for m in _pyrlm_rx_finditer(rx, s[pos - back:])]
    else:
        found = _pyrlm_rx_finditer(rx, s)
    if method == 'finditer':
        return iter(found)
    if method == 'findall':
        n = _pyrlm_rx_count(rx.pattern)
        if n < 2:
            return [m.group(n) or '' for m in found]
        return [tuple([m.group(g) or '' for g in range(1, n + 1)]) for m in found]
    for m in found:
        if method == 'search' or (m.start() == pos and (method == 'match' or m.end() == len(s))):
            return m
    return None
""",
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
