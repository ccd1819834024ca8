r"""Prelude pieces for pprint and ast.literal_eval, in Monty's Python."""

from __future__ import annotations

PIECES = {
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
