r"""Prelude pieces for formats of text, in Monty's Python: html, io, csv, urllib.parse, fnmatch."""

from __future__ import annotations

PIECES = {
    "_pyrlm_mod_html": r"""
_pyrlm_html_names = {'lt': '<', 'gt': '>', 'amp': '&', 'quot': '"', 'apos': "'", 'nbsp': '\xa0', 'copy': '©', 'reg': '®',
    'trade': '™', 'hellip': '…', 'mdash': '—', 'ndash': '–', 'lsquo': '‘', 'rsquo': '’', 'ldquo': '“', 'rdquo': '”',
    'laquo': '«', 'raquo': '»', 'bull': '•', 'middot': '·', 'deg': '°', 'plusmn': '±', 'times': '×', 'divide': '÷',
    'euro': '€', 'pound': '£', 'yen': '¥', 'cent': '¢', 'sect': '§', 'para': '¶', 'eacute': 'é', 'egrave': 'è',
    'agrave': 'à', 'aacute': 'á', 'ccedil': 'ç', 'uuml': 'ü', 'ouml': 'ö', 'auml': 'ä', 'szlig': 'ß', 'ntilde': 'ñ',
    'Uuml': 'Ü', 'Ouml': 'Ö', 'Auml': 'Ä', 'oacute': 'ó', 'iacute': 'í', 'uacute': 'ú', 'larr': '←', 'rarr': '→',
    'le': '≤', 'ge': '≥', 'ne': '≠', 'infin': '∞', 'micro': 'µ', 'frac12': '½', 'frac14': '¼', 'shy': '\xad',
    'zwnj': '\u200c', 'zwj': '\u200d', 'ensp': '\u2002', 'emsp': '\u2003', 'thinsp': '\u2009'}
class _pyrlm_mod_html:
    def escape(s, quote=True):
        s = s.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')
        return s.replace('"', '&quot;').replace("'", '&#x27;') if quote else s
    def unescape(s):
        def one(m):
            name = m.group(1)
            if name[0] == '#':
                n = int(name[2:], 16) if name[1] in 'xX' else int(name[1:])
                return chr(n) if 0 < n < 0x110000 and not 0xd800 <= n < 0xe000 else '\ufffd'
            if name in _pyrlm_html_names:
                return _pyrlm_html_names[name]
            raise NotImplementedError('html.unescape: &' + name + '; is not known here; replace it with str.replace')
        return _pyrlm_rx_sub(_pyrlm_rx_native.compile('&(#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);'), one, s)
""",
    "_pyrlm_StringIO": r"""
class _pyrlm_StringIO:
    def __init__(self, initial_value='', newline='\n'):
        self.text = initial_value or ''
        self.at = 0
        self.closed = False
    def write(self, s):
        if not isinstance(s, str):
            raise TypeError('string argument expected, got ' + repr(type(s).__name__))
        if self.at < len(self.text):
            self.text = self.text[:self.at] + s + self.text[self.at + len(s):]
        else:
            self.text += '\0' * (self.at - len(self.text)) + s
        self.at += len(s)
        return len(s)
    def writelines(self, lines):
        for x in lines:
            self.write(x)
    def getvalue(self):
        return self.text
    def read(self, n=-1):
        end = len(self.text) if n is None or n < 0 else self.at + n
        out = self.text[self.at:end]
        self.at += len(out)
        return out
    def readline(self, n=-1):
        k = self.text.find('\n', self.at)
        return self.read(len(self.text) - self.at if k < 0 else k + 1 - self.at)
    def readlines(self, hint=-1):
        return [x for x in self]
    def __iter__(self):
        return self
    def __next__(self):
        line = self.readline()
        if not line:
            raise StopIteration()
        return line
    def seek(self, at, whence=0):
        self.at = at if whence == 0 else len(self.text) + at
        return self.at
    def tell(self):
        return self.at
    def truncate(self, size=None):
        self.text = self.text[:self.at if size is None else size]
        return len(self.text)
    def flush(self):
        return None
    def close(self):
        self.closed = True
    def __enter__(self):
        return self
    def __exit__(self, kind, e, tb):
        self.close()
        return False
""",
    "_pyrlm_mod_io": "class _pyrlm_mod_io:\n    StringIO = _pyrlm_StringIO\n",
    "_pyrlm_mod_csv": r"""
import csv as _pyrlm_csv_native
def _pyrlm_csv_lines(f):
    return f.readlines() if isinstance(f, _pyrlm_StringIO) else f
def _pyrlm_csv_field(v, delimiter, quotechar, quoting, end):
    s = '' if v is None else str(v)
    if quoting == 1 or (quoting == 2 and not isinstance(v, (int, float))) or any([c in s for c in (delimiter, quotechar, '\n', '\r')]):
        return quotechar + s.replace(quotechar, quotechar * 2) + quotechar
    return s
class _pyrlm_csv_Writer:
    def __init__(self, f, delimiter=',', quotechar='"', quoting=0, lineterminator='\r\n', dialect=None):
        self.f = f
        self.o = (delimiter, quotechar, quoting, lineterminator)
    def writerow(self, row):
        d, q, quoting, end = self.o
        row = list(row)
        fields = [_pyrlm_csv_field(v, d, q, quoting, end) for v in row]
        if fields == ['']:
            fields = [q + q]
        return self.f.write(d.join(fields) + end)
    def writerows(self, rows):
        for row in rows:
            self.writerow(row)
class _pyrlm_csv_DictWriter:
    def __init__(self, f, fieldnames, restval='', extrasaction='raise', **kw):
        self.fieldnames = list(fieldnames)
        self.o = (restval, extrasaction)
        self.writer = _pyrlm_csv_Writer(f, **kw)
    def writeheader(self):
        return self.writer.writerow(self.fieldnames)
    def writerow(self, row):
        extra = [k for k in row if k not in self.fieldnames]
        if extra and self.o[1] == 'raise':
            raise ValueError('dict contains fields not in fieldnames: ' + ', '.join([repr(k) for k in extra]))
        return self.writer.writerow([row.get(k, self.o[0]) for k in self.fieldnames])
    def writerows(self, rows):
        for row in rows:
            self.writerow(row)
class _pyrlm_csv_DictReader:
    def __init__(self, f, fieldnames=None, restkey=None, restval=None, **kw):
        self.rows = iter([r for r in _pyrlm_csv_native.reader(_pyrlm_csv_lines(f), **kw)])
        self.o = (restkey, restval)
        self.line_num = 0
        if fieldnames is None:
            fieldnames = next(self.rows, None)
        self.fieldnames = None if fieldnames is None else list(fieldnames)
    def __iter__(self):
        return self
    def __next__(self):
        row = next(self.rows)
        while row == []:
            row = next(self.rows)
        out = dict(zip(self.fieldnames, row))
        n = len(self.fieldnames)
        if len(row) > n:
            out[self.o[0]] = row[n:]
        for k in self.fieldnames[len(row):]:
            out[k] = self.o[1]
        return out
class _pyrlm_mod_csv:
    DictReader = _pyrlm_csv_DictReader
    DictWriter = _pyrlm_csv_DictWriter
    writer = _pyrlm_csv_Writer
    QUOTE_MINIMAL = 0
    QUOTE_ALL = 1
    QUOTE_NONNUMERIC = 2
    def reader(f, *a, **kw):
        return iter(_pyrlm_csv_native.reader(_pyrlm_csv_lines(f), *a, **kw))
""",
    "_pyrlm_mod_urllib_parse": r"""
from collections import namedtuple as _pyrlm_namedtuple
_pyrlm_ParseResult = _pyrlm_namedtuple('ParseResult', 'scheme netloc path params query fragment')
class _pyrlm_mod_urllib_parse:
    def quote(s, safe='/'):
        keep = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~' + safe
        return ''.join([chr(b) if b < 128 and chr(b) in keep else '%%%02X' % b for b in s.encode()])
    def quote_plus(s, safe=''):
        return _pyrlm_mod_urllib_parse.quote(s, safe + ' ').replace(' ', '+')
    def unquote(s):
        if '%' not in s:
            return s
        def one(m):
            return bytes.fromhex(m.group().replace('%', '')).decode('utf-8', 'replace')
        return _pyrlm_rx_sub(_pyrlm_rx_native.compile('(?:%[0-9a-fA-F]{2})+'), one, s)
    def unquote_plus(s):
        return _pyrlm_mod_urllib_parse.unquote(s.replace('+', ' '))
    def urlencode(query, doseq=False):
        pairs = list(query.items()) if isinstance(query, dict) else list(query)
        q = _pyrlm_mod_urllib_parse.quote_plus
        out = []
        for k, v in pairs:
            for x in v if doseq and isinstance(v, (list, tuple)) else [v]:
                out.append(q(str(k)) + '=' + q(str(x)))
        return '&'.join(out)
    def parse_qsl(qs, keep_blank_values=False):
        out = []
        for part in qs.split('&'):
            k, eq, v = part.partition('=')
            if part and (v or keep_blank_values):
                out.append((_pyrlm_mod_urllib_parse.unquote_plus(k), _pyrlm_mod_urllib_parse.unquote_plus(v)))
        return out
    def parse_qs(qs, keep_blank_values=False):
        out = {}
        for k, v in _pyrlm_mod_urllib_parse.parse_qsl(qs, keep_blank_values):
            out.setdefault(k, []).append(v)
        return out
    def urlparse(url, scheme=''):
        url, h, fragment = url.partition('#')
        url, q, query = url.partition('?')
        m = _pyrlm_rx_native.match('([A-Za-z][A-Za-z0-9+.-]*):', url)
        if m:
            scheme = m.group(1).lower()
            url = url[m.end():]
        netloc = ''
        if url.startswith('//'):
            k = url.find('/', 2)
            netloc, url = (url[2:], '') if k < 0 else (url[2:k], url[k:])
        params = ''
        if ';' in url.split('/')[-1]:
            k = url.rfind(';')
            url, params = url[:k], url[k + 1:]
        return _pyrlm_ParseResult(scheme, netloc, url, params, query, fragment)
    def urljoin(base, url):
        if '://' in url or not base:
            return url
        p = _pyrlm_mod_urllib_parse.urlparse(base)
        root = p.scheme + '://' + p.netloc
        if url.startswith('//'):
            return p.scheme + ':' + url
        if url.startswith('/'):
            return root + url
        if url.startswith('?'):
            return root + p.path + url
        if url.startswith('#') or not url:
            return root + p.path + ('?' + p.query if p.query else '') + url
        parts = p.path.split('/')[:-1]
        for x in url.split('/')[:-1]:
            if x == '..':
                parts = parts[:-1] if len(parts) > 1 else parts
            elif x != '.':
                parts.append(x)
        last = url.split('/')[-1]
        if last in ('.', '..'):
            parts = parts[:-1] if last == '..' and len(parts) > 1 else parts
            last = ''
        return root + '/'.join((parts or ['']) + [last])
""",
    "_pyrlm_mod_urllib": "class _pyrlm_mod_urllib:\n    parse = _pyrlm_mod_urllib_parse\n",
    "_pyrlm_mod_fnmatch": r"""
class _pyrlm_mod_fnmatch:
    def translate(p):
        out = ''
        i = 0
        while i < len(p):
            c = p[i]
            j = p.find(']', i + 2) if c == '[' else -1
            if c == '*':
                out += '.*'
            elif c == '?':
                out += '.'
            elif j > 0:
                out += '[' + ('^' if p[i + 1] == '!' else '') + p[i + 2 if p[i + 1] == '!' else i + 1:j].replace('\\', '\\\\') + ']'
                i = j
            else:
                out += _pyrlm_rx_native.escape(c)
            i += 1
        return '(?s:' + out + ')\\z'
    def fnmatch(name, p):
        return _pyrlm_rx_native.match(_pyrlm_mod_fnmatch.translate(p), name) is not None
    def fnmatchcase(name, p):
        return _pyrlm_mod_fnmatch.fnmatch(name, p)
    def filter(names, p):
        return [n for n in names if _pyrlm_mod_fnmatch.fnmatch(n, p)]
""",
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
