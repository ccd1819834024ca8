r"""Prelude pieces for difflib, ast.literal_eval and pprint, in Monty's Python."""

from __future__ import annotations

PIECES = {
    "_pyrlm_SequenceMatcher": r"""
class _pyrlm_SequenceMatcher:
    # Ratcliff and Obershelp's matching as difflib does it: longest block first, earliest of equals, popular items left out
    def __init__(self, isjunk=None, a='', b='', autojunk=True):
        if isjunk is not None:
            raise NotImplementedError('SequenceMatcher: isjunk can only be None here')
        self.autojunk = autojunk
        self.set_seqs(a, b)
    def set_seqs(self, a, b):
        self.a = a
        self.set_seq2(b)
    def set_seq1(self, a):
        self.a = a
        self.blocks = None
    def set_seq2(self, b):
        self.b = b
        self.blocks = None
        at = {}
        for i in range(len(b)):
            at.setdefault(b[i], []).append(i)
        if self.autojunk and len(b) >= 200:
            most = len(b) // 100 + 1
            at = {k: v for k, v in at.items() if len(v) <= most}
        self.at = at
    def find_longest_match(self, alo=0, ahi=None, blo=0, bhi=None):
        a, b, at = self.a, self.b, self.at
        ahi = len(a) if ahi is None else ahi
        bhi = len(b) if bhi is None else bhi
        bi, bj, size = alo, blo, 0
        lengths = {}
        for i in range(alo, ahi):
            new = {}
            for j in at.get(a[i], ()):
                if j < blo:
                    continue
                if j >= bhi:
                    break
                k = new[j] = lengths.get(j - 1, 0) + 1
                if k > size:
                    bi, bj, size = i - k + 1, j - k + 1, k
            lengths = new
        while bi > alo and bj > blo and a[bi - 1] == b[bj - 1]:
            bi, bj, size = bi - 1, bj - 1, size + 1
        while bi + size < ahi and bj + size < bhi and a[bi + size] == b[bj + size]:
            size += 1
        return _pyrlm_Block(bi, bj, size)
    def get_matching_blocks(self):
        if self.blocks is not None:
            return self.blocks
        queue = [(0, len(self.a), 0, len(self.b))]
        found = []
        while queue:
            alo, ahi, blo, bhi = queue.pop()
            i, j, k = self.find_longest_match(alo, ahi, blo, bhi)
            if k:
                found.append((i, j, k))
                if alo < i and blo < j:
                    queue.append((alo, i, blo, j))
                if i + k < ahi and j + k < bhi:
                    queue.append((i + k, ahi, j + k, bhi))
        out = []
        ci, cj, ck = 0, 0, 0
        for i, j, k in sorted(found):
            if ci + ck == i and cj + ck == j:
                ck += k
            else:
                if ck:
                    out.append(_pyrlm_Block(ci, cj, ck))
                ci, cj, ck = i, j, k
        if ck:
            out.append(_pyrlm_Block(ci, cj, ck))
        out.append(_pyrlm_Block(len(self.a), len(self.b), 0))
        self.blocks = out
        return out
    def get_opcodes(self):
        out = []
        i = j = 0
        for ai, bj, size in self.get_matching_blocks():
            tag = 'replace' if i < ai and j < bj else 'delete' if i < ai else 'insert' if j < bj else ''
            if tag:
                out.append((tag, i, ai, j, bj))
            i, j = ai + size, bj + size
            if size:
                out.append(('equal', ai, i, bj, j))
        return out
    def get_grouped_opcodes(self, n=3):
        codes = self.get_opcodes() or [('equal', 0, 1, 0, 1)]
        if codes[0][0] == 'equal':
            t, i1, i2, j1, j2 = codes[0]
            codes[0] = (t, max(i1, i2 - n), i2, max(j1, j2 - n), j2)
        if codes[-1][0] == 'equal':
            t, i1, i2, j1, j2 = codes[-1]
            codes[-1] = (t, i1, min(i2, i1 + n), j1, min(j2, j1 + n))
        groups = []
        group = []
        for t, i1, i2, j1, j2 in codes:
            if t == 'equal' and i2 - i1 > n + n:
                group.append((t, i1, min(i2, i1 + n), j1, min(j2, j1 + n)))
                groups.append(group)
                group = []
                i1, j1 = max(i1, i2 - n), max(j1, j2 - n)
            group.append((t, i1, i2, j1, j2))
        if group and not (len(group) == 1 and group[0][0] == 'equal'):
            groups.append(group)
        return groups
    def ratio(self):
        total = len(self.a) + len(self.b)
        return 2.0 * sum([m[2] for m in self.get_matching_blocks()]) / total if total else 1.0
    def quick_ratio(self):
        left = {}
        for x in self.b:
            left[x] = left.get(x, 0) + 1
        n = 0
        for x in self.a:
            if left.get(x, 0) > 0:
                left[x] -= 1
                n += 1
        total = len(self.a) + len(self.b)
        return 2.0 * n / total if total else 1.0
    def real_quick_ratio(self):
        total = len(self.a) + len(self.b)
        return 2.0 * min(len(self.a), len(self.b)) / total if total else 1.0
""",
    "_pyrlm_Block": "from collections import namedtuple as _pyrlm_namedtuple_\n_pyrlm_Block = _pyrlm_namedtuple_('Match', 'a b size')\n",
    "_pyrlm_mod_difflib": r"""
def _pyrlm_diff_range(start, stop):
    n = stop - start
    return str(start + 1) if n == 1 else str(start + 1 if n else start) + ',' + str(n)
class _pyrlm_mod_difflib:
    SequenceMatcher = _pyrlm_SequenceMatcher
    def get_close_matches(word, possibilities, n=3, cutoff=0.6):
        found = []
        for x in possibilities:
            r = _pyrlm_SequenceMatcher(None, x, word).ratio()
            if r >= cutoff:
                found.append((r, x))
        return [x for r, x in sorted(found, reverse=True)[:n]]
    def unified_diff(a, b, fromfile='', tofile='', fromfiledate='', tofiledate='', n=3, lineterm='\n'):
        out = []
        for group in _pyrlm_SequenceMatcher(None, a, b).get_grouped_opcodes(n):
            if not out:
                out.append('--- ' + fromfile + ('\t' + fromfiledate if fromfiledate else '') + lineterm)
                out.append('+++ ' + tofile + ('\t' + tofiledate if tofiledate else '') + lineterm)
            f, l = group[0], group[-1]
            out.append('@@ -' + _pyrlm_diff_range(f[1], l[2]) + ' +' + _pyrlm_diff_range(f[3], l[4]) + ' @@' + lineterm)
            for tag, i1, i2, j1, j2 in group:
                if tag == 'equal':
                    out.extend([' ' + x for x in a[i1:i2]])
                if tag in ('replace', 'delete'):
                    out.extend(['-' + x for x in a[i1:i2]])
                if tag in ('replace', 'insert'):
                    out.extend(['+' + x for x in b[j1:j2]])
        return iter(out)
""",
    "_pyrlm_literal": r"""
def _pyrlm_literal(s):
    # one value of Python's literal syntax; nothing is evaluated but a string literal
    pos = _pyrlm_lit_space(s, 0)
    value, pos = _pyrlm_lit_value(s, pos)
    if _pyrlm_lit_space(s, pos) < len(s):
        raise ValueError('malformed node or string: ' + repr(s[:80]))
    return value
def _pyrlm_lit_space(s, i):
    while i < len(s) and s[i] in ' \t\n\r':
        i += 1
    return i
def _pyrlm_lit_items(s, i, end):
    out = []
    comma = False
    i = _pyrlm_lit_space(s, i)
    while s[i:i + 1] != end:
        v, i = _pyrlm_lit_value(s, i)
        i = _pyrlm_lit_space(s, i)
        if end == '}' and s[i:i + 1] == ':':
            k = v
            v, i = _pyrlm_lit_value(s, _pyrlm_lit_space(s, i + 1))
            v = (k, v, True)
            i = _pyrlm_lit_space(s, i)
        elif end == '}':
            v = (v, None, False)
        out.append(v)
        comma = s[i:i + 1] == ','
        if comma:
            i = _pyrlm_lit_space(s, i + 1)
        elif s[i:i + 1] != end:
            raise SyntaxError('invalid syntax')
    return out, i + 1, comma
def _pyrlm_lit_value(s, i):
    c = s[i:i + 1]
    if c == '[':
        out, i, comma = _pyrlm_lit_items(s, i + 1, ']')
        return out, i
    if c == '(':
        out, i, comma = _pyrlm_lit_items(s, i + 1, ')')
        return (out[0] if len(out) == 1 and not comma else tuple(out)), i
    if c == '{':
        out, i, comma = _pyrlm_lit_items(s, i + 1, '}')
        if not out or out[0][2]:
            return {k: v for k, v, pair in out}, i
        return {k for k, v, pair in out}, i
    m = _pyrlm_rx_native.match(r'[bBrRuU]{0,2}(\'\'\'|""\"|\'|")', s[i:])
    if m:
        quote = m.group(1)
        j = i + m.end()
        while s[j:j + len(quote)] != quote:
            if j >= len(s):
                raise SyntaxError('unterminated string literal')
            j += 2 if s[j] == '\\' else 1
        j += len(quote)
        value = eval(s[i:j])
        k = _pyrlm_lit_space(s, j)
        if s[k:k + 1] in ('"', "'"):
            more, j = _pyrlm_lit_value(s, k)
            value += more
        return value, j
    m = _pyrlm_rx_native.match('[+-]?(0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|[0-9][0-9_]*[.]?[0-9_]*([eE][+-]?[0-9]+)?|[.][0-9]+([eE][+-]?[0-9]+)?)', s[i:])
    if m:
        t = m.group().replace('_', '')
        plain = t.lstrip('+-')
        if plain[:2].lower() in ('0x', '0b', '0o'):
            return int(t, 0), i + m.end()
        if '.' in t or 'e' in t.lower():
            return float(t), i + m.end()
        return int(t), i + m.end()
    for word, value in (('True', True), ('False', False), ('None', None), ('set()', set()), ('...', ...)):
        if s.startswith(word, i) and not s[i + len(word):i + len(word) + 1].isalnum():
            return value, i + len(word)
    raise ValueError('malformed node or string: ' + repr(s[i:i + 80]))
""",
    "_pyrlm_mod_ast": "class _pyrlm_mod_ast:\n    literal_eval = _pyrlm_literal\n",
    "_pyrlm_pformat": r"""
def _pyrlm_pformat(o, width=80, indent=1, sort_dicts=True):
    def one_line(o):
        if isinstance(o, dict) and sort_dicts and type(o) is dict:
            keys = list(o)
            try:
                keys = sorted(keys)
            except TypeError:
                keys = sorted(keys, key=lambda k: (str(type(k)), str(k)))
            return '{' + ', '.join([repr(k) + ': ' + one_line(o[k]) for k in keys]) + '}'
        if type(o) is list:
            return '[' + ', '.join([one_line(x) for x in o]) + ']'
        if type(o) is tuple:
            return '(' + ', '.join([one_line(x) for x in o]) + (',)' if len(o) == 1 else ')')
        if type(o) is set and o:
            return '{' + ', '.join([one_line(x) for x in sorted(o)]) + '}'
        return repr(o)
    def lines(o, at, tail):
        flat = one_line(o)
        if len(flat) + at + tail <= width:
            return flat
        if type(o) is str:
            return strings(o, at, tail)
        if not isinstance(o, (dict, list, tuple, set)) or not o:
            return flat
        if isinstance(o, dict):
            keys = list(o)
            if sort_dicts:
                keys = sorted(keys, key=lambda k: (str(type(k)), k)) if len({type(k).__name__ for k in keys}) > 1 else sorted(keys)
            parts = []
            for i in range(len(keys)):
                k = repr(keys[i]) + ': '
                parts.append(k + lines(o[keys[i]], at + indent + len(k), tail + 1 if i == len(keys) - 1 else 1))
            pair = '{}'
        else:
            items = sorted(o) if isinstance(o, set) else list(o)
            pair = '[]' if type(o) is list else '()' if type(o) is tuple else '{}'
            parts = [lines(items[i], at + indent, tail + 1 if i == len(items) - 1 else 1) for i in range(len(items))]
        sep = ',\n' + ' ' * (at + indent)
        return pair[0] + ' ' * (indent - 1) + sep.join(parts) + (',' if type(o) is tuple and len(parts) == 1 else '') + pair[1]
    def strings(o, at, tail):
        pieces = []
        split = o.splitlines(True)
        inner = at + 1 if at == 0 else at
        for n in range(len(split)):
            line = split[n]
            room = width - inner - (tail + (1 if at == 0 else 0) if n == len(split) - 1 else 0)
            if len(repr(line)) <= room:
                pieces.append(repr(line))
                continue
            cur = ''
            parts = [m.group() for m in _pyrlm_rx_native.finditer(r'\S*\s*', line) if m.group()]
            for j in range(len(parts)):
                more = cur + parts[j]
                limit = width - inner
                if n == len(split) - 1 and j == len(parts) - 1:
                    limit -= tail + (1 if at == 0 else 0)
                if len(repr(more)) > limit and cur:
                    pieces.append(repr(cur))
                    cur = parts[j]
                else:
                    cur = more
            if cur:
                pieces.append(repr(cur))
        if len(pieces) == 1:
            return pieces[0]
        text = ('\n' + ' ' * inner).join(pieces)
        return '(' + text + ')' if at == 0 else text
    return lines(o, 0, 0)
""",
    "_pyrlm_mod_pprint": r"""
class _pyrlm_mod_pprint:
    def pformat(o, indent=1, width=80, depth=None, compact=False, sort_dicts=True):
        return _pyrlm_pformat(o, width, indent, sort_dicts)
    def pprint(o, stream=None, indent=1, width=80, depth=None, compact=False, sort_dicts=True):
        print(_pyrlm_pformat(o, width, indent, sort_dicts))
    def pp(o, **kw):
        _pyrlm_mod_pprint.pprint(o, sort_dicts=False, **kw)
""",
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
