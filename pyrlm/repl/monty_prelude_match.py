r"""Prelude pieces for matches of `re`, in Monty's Python: groups by name, templates, positions."""

from __future__ import annotations

PIECES = {
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
