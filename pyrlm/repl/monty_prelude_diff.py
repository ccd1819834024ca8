r"""Prelude pieces for difflib, in Monty's Python."""

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
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
