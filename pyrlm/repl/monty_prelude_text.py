r"""Prelude pieces for string and textwrap, in Monty's Python."""

from __future__ import annotations

PIECES = {
    "_pyrlm_mod_string": r"""
class _pyrlm_mod_string:
    ascii_lowercase = 'abcdefghijklmnopqrstuvwxyz'
    ascii_uppercase = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
    ascii_letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
    digits = '0123456789'
    hexdigits = '0123456789abcdefABCDEF'
    octdigits = '01234567'
    punctuation = '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~'
    whitespace = ' \t\n\r\x0b\x0c'
    printable = digits + ascii_letters + punctuation + whitespace
    Template = _pyrlm_Template
    def capwords(s, sep=None):
        return (sep or ' ').join([w.capitalize() for w in s.split(sep)])
""",
    "_pyrlm_Template": r"""
class _pyrlm_Template:
    def __init__(self, template):
        self.template = template
    def _fill(self, values, safe):
        t = self.template
        out = []
        i = 0
        while i < len(t):
            if t[i] != '$':
                out.append(t[i])
                i += 1
                continue
            if t[i + 1:i + 2] == '$':
                out.append('$')
                i += 2
                continue
            j = i + 2 if t[i + 1:i + 2] == '{' else i + 1
            k = j
            while k < len(t) and (t[k] == '_' or (t[k].isascii() and t[k].isalnum())):
                k += 1
            name = t[j:k]
            end = k + 1 if j == i + 2 else k
            if not name or name[0].isdigit() or (j == i + 2 and t[k:k + 1] != '}'):
                if not safe:
                    raise ValueError('Invalid placeholder in string: character ' + str(i))
                out.append('$')
                i += 1
                continue
            if name in values:
                out.append(str(values[name]))
            elif safe:
                out.append(t[i:end])
            else:
                raise KeyError(name)
            i = end
        return ''.join(out)
    def substitute(self, mapping=None, **kw):
        return self._fill({**(mapping or {}), **kw}, False)
    def safe_substitute(self, mapping=None, **kw):
        return self._fill({**(mapping or {}), **kw}, True)
""",
    "_pyrlm_mod_textwrap": r"""
class _pyrlm_mod_textwrap:
    def dedent(text):
        lines = text.split('\n')
        margin = None
        for i in range(len(lines)):
            line = lines[i]
            if not line.strip(' \t'):
                lines[i] = ''
                continue
            indent = line[:len(line) - len(line.lstrip(' \t'))]
            if margin is None:
                margin = indent
            while not indent.startswith(margin):
                margin = margin[:-1]
        return '\n'.join([x[len(margin or ''):] for x in lines])
    def indent(text, prefix, predicate=None):
        return ''.join([prefix + x if (predicate(x) if predicate else x.strip()) else x for x in text.splitlines(True)])
    def wrap(text, width=70, initial_indent='', subsequent_indent='', break_long_words=True, break_on_hyphens=True,
             expand_tabs=True, replace_whitespace=True, drop_whitespace=True, max_lines=None, placeholder=' [...]'):
        if not (expand_tabs and replace_whitespace and drop_whitespace):
            raise NotImplementedError('textwrap.wrap: expand_tabs, replace_whitespace and drop_whitespace can only be True here')
        return _pyrlm_wrap(text, width, initial_indent, subsequent_indent, break_long_words, break_on_hyphens,
                           max_lines, placeholder)
    def fill(text, width=70, **kw):
        return '\n'.join(_pyrlm_mod_textwrap.wrap(text, width, **kw))
    def shorten(text, width, placeholder=' [...]', **kw):
        return '\n'.join(_pyrlm_wrap(' '.join(text.split()), width, '', '', True, True, 1, placeholder))
""",
    "_pyrlm_wrap_chunks": r"""
def _pyrlm_wrap_chunks(text, hyphens):
    # words and runs of spaces, a word cut behind a hyphen between letters
    chunks = []
    for m in _pyrlm_rx_native.finditer('[\t\n\x0b\x0c\r ]+|[^\t\n\x0b\x0c\r ]+', text):
        word = m.group()
        if word[0] == ' ' or not hyphens or '-' not in word:
            chunks.append(word)
            continue
        start = 0
        i = 0
        while i < len(word):
            run = 0
            while i + run < len(word) and word[i + run] == '-':
                run += 1
            if run >= 2 and i > start and i + run < len(word) and (word[i - 1].isalnum() or word[i - 1] in '_!"\'&.,?') and word[i + run].isalnum():
                chunks.append(word[start:i])
                chunks.append(word[i:i + run])
                start = i + run
                i = start
            elif (run == 1 and i - start >= 2 and word[i - 1].isalpha() and word[i - 2].isalpha()
                  and word[i + 1:i + 2].isalpha() and word[i + 2:i + 3].isalpha()):
                chunks.append(word[start:i + 1])
                start = i + 1
                i = start
            elif (run == 1 and i - start >= 2 and word[i - 1].isalpha() and word[i - 2].isalpha()
                  and word[i + 1:i + 2].isalpha() and word[i + 2:i + 3] == '-'):
                chunks.append(word[start:i + 1])
                start = i + 1
                i = start
            else:
                i += run or 1
        if start < len(word):
            chunks.append(word[start:])
    return chunks
""",
    "_pyrlm_wrap": r"""
def _pyrlm_wrap(text, width, first, rest, break_long, hyphens, max_lines, placeholder):
    if width <= 0:
        raise ValueError('invalid width ' + repr(width) + ' (must be > 0)')
    text = text.expandtabs()
    for c in '\t\n\x0b\x0c\r':
        text = text.replace(c, ' ')
    chunks = _pyrlm_wrap_chunks(text, hyphens)[::-1]
    lines = []
    while chunks:
        indent = rest if lines else first
        room = width - len(indent)
        if chunks[-1].strip() == '' and lines:
            chunks.pop()
            if not chunks:
                break
        cur = []
        n = 0
        while chunks and n + len(chunks[-1]) <= room:
            n += len(chunks[-1])
            cur.append(chunks.pop())
        if chunks and len(chunks[-1]) > room:
            left = max(room - n, 1) if room >= 1 else 1
            if break_long:
                cut = left
                word = chunks[-1]
                if hyphens and len(word) > left:
                    h = word.rfind('-', 0, left)
                    if h > 0 and any([c != '-' for c in word[:h]]):
                        cut = h + 1
                cur.append(word[:cut])
                chunks[-1] = word[cut:]
            elif not cur:
                cur.append(chunks.pop())
            n = sum([len(c) for c in cur])
        if cur and cur[-1].strip() == '':
            n -= len(cur[-1])
            cur.pop()
        if not cur:
            continue
        if max_lines is None or len(lines) + 1 < max_lines or ((not chunks or (len(chunks) == 1 and not chunks[0].strip())) and n <= room):
            lines.append(indent + ''.join(cur))
            continue
        while cur:
            if cur[-1].strip() and n + len(placeholder) <= room:
                lines.append(indent + ''.join(cur) + placeholder)
                break
            n -= len(cur[-1])
            cur.pop()
        else:
            if lines and len(lines[-1].rstrip()) + len(placeholder) <= width:
                lines[-1] = lines[-1].rstrip() + placeholder
            else:
                lines.append(indent + placeholder.lstrip())
        break
    return lines
""",
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
