"""What every retriever is tested with: a small corpus, a table of cases, and an embedder without a model."""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

import numpy as np

from pyrlm.retrievers.protocol import Document

LONG = "".join(f"Section {n} of the long report speaks about item{n} and little else.\n\n" for n in range(400))

DOCUMENTS = [
    Document(
        "rfc/5246",
        "# TLS 1.2\n\nThe Transport Layer Security protocol, version 1.2. The handshake negotiates a cipher suite.",
        {"status": "proposed", "year": 2008, "tags": ["security", "transport"], "date": date(2008, 8, 1), "pages": 104},
        "The TLS Protocol Version 1.2",
    ),
    Document(
        "rfc/8446",
        "The Transport Layer Security protocol, version 1.3, obsoletes the older handshake. Zero round trips.",
        {"status": "standard", "year": 2018, "tags": ["security"], "date": datetime(2018, 8, 1, 12, tzinfo=UTC)},
        "The TLS Protocol Version 1.3",
    ),
    Document(
        "rfc/2616",
        "Hypertext transfer: methods, status codes and headers. A cache stores responses.",
        {"status": "standard", "year": 1999, "tags": ["web"], "final": True, "date": "1999-06-01", "score": 2.5},
        "HTTP/1.1",
    ),
    Document(
        "notes/中文",
        "人工智能正在改变世界。检索系统需要处理中文。",
        {"status": "draft", "year": 2024, "author": {"name": "李", "id": 2**62 + 1}},
    ),
    Document(
        'notes/odd: (id) "x"',
        'A text with odd words: a:b AND (c OR "d") don\'t foo_bar x=1 C++ 3.14 naïve café.',
        {"status": "Draft x", "year": 2024.5, "note": "", "path": "a*b\n[c]/d"},
        "Odd",
    ),
    Document("long", LONG, {"status": "report", "final": False, "score": -1e300}, "A long report"),
]

IDS = [document.doc_id for document in DOCUMENTS]
_5246, _8446, _2616, _ZH, _ODD, _LONG = IDS


class FilterCase(NamedTuple):
    filters: dict
    matching: set[str]


FILTER_CASES = [
    FilterCase({"status": "standard"}, {_8446, _2616}),
    FilterCase({"status": ["draft", "report"]}, {_ZH, _LONG}),
    FilterCase({"status": {"not": "standard"}}, {_5246, _ZH, _ODD, _LONG}),
    FilterCase({"status": {"prefix": "pro"}}, {_5246}),
    FilterCase({"status": {"prefix": "Draft "}}, {_ODD}),
    FilterCase({"status": {"gte": "report", "lt": "standardized"}}, {_8446, _2616, _LONG}),
    FilterCase({"tags": "security"}, {_5246, _8446}),
    FilterCase({"tags": {"not": "transport"}}, {_8446, _2616, _ZH, _ODD, _LONG}),
    FilterCase({"year": 2018}, {_8446}),
    FilterCase({"year": 2018.0}, {_8446}),
    FilterCase({"year": 2024.5}, {_ODD}),
    FilterCase({"year": {"gte": 2008, "lt": 2018}}, {_5246}),
    FilterCase({"year": {"gt": 2018}}, {_ZH, _ODD}),
    FilterCase({"year": {"gt": 2024, "lte": 2024.5}}, {_ODD}),
    FilterCase({"year": {"lt": 2024.5, "gt": 2023.9}}, {_ZH}),
    FilterCase({"score": {"lt": 0}}, {_LONG}),
    FilterCase({"score": {"gte": 2.5}}, {_2616}),
    FilterCase({"pages": {"exists": True}}, {_5246}),
    FilterCase({"final": {"exists": False}}, {_5246, _8446, _ZH, _ODD}),
    FilterCase({"final": True}, {_2616}),
    FilterCase({"final": False}, {_LONG}),
    FilterCase({"note": {"exists": True}}, {_ODD}),
    FilterCase({"note": ""}, {_ODD}),
    FilterCase({"path": {"prefix": "a*"}}, {_ODD}),
    FilterCase({"path": {"prefix": "a*b\n["}}, {_ODD}),
    FilterCase({"path": {"prefix": "a.b"}}, set()),
    FilterCase({"author.name": "李"}, {_ZH}),
    FilterCase({"author.id": 2**62 + 1}, {_ZH}),
    FilterCase({"author.id": 2**62}, set()),
    FilterCase({"author.id": {"gt": 2**62, "lte": 2**62 + 1}}, {_ZH}),
    FilterCase({"date": "2018"}, {_8446}),
    FilterCase({"date": "2018-08-01"}, {_8446}),
    FilterCase({"date": {"lte": "2008-08-01"}}, {_5246, _2616}),
    FilterCase({"date": {"gt": "2008-08-01"}}, {_8446}),
    FilterCase({"date": {"gte": datetime(2018, 8, 1, 12, tzinfo=UTC)}}, {_8446}),
    FilterCase({"date": {"lt": "2018-08-01T12:00:00Z", "gt": "1999-06"}}, {_5246}),
    FilterCase({"doc_id": {"prefix": "rfc/"}}, {_5246, _8446, _2616}),
    FilterCase({"doc_id": [_ODD, _ZH]}, {_ZH, _ODD}),
    FilterCase({"status": "standard", "tags": "web"}, {_2616}),
    FilterCase({"or": [{"tags": "web"}, {"year": 2008}]}, {_2616, _5246}),
    FilterCase({"and": [{"tags": "security"}, {"not": {"year": {"lt": 2010}}}]}, {_8446}),
    FilterCase({"or": [{"year": 1}, {"not": {"or": [{"year": {"exists": True}}]}}]}, {_LONG}),
]

SEARCH_CASES = [
    ("Who negotiates a cipher suite?", _5246),
    ("obsoletes handshake", _8446),
    ("HTTP", _2616),
    ("中文", _ZH),
    ("改变世界", _ZH),
    ('a:b AND (c OR "d")', _ODD),
    ("C++ x=1", _ODD),
    ("CAFÉ", _ODD),
    ("item250", _LONG),
]


class HashEmbedder:
    """Adds up a pseudo-random direction for each word, so that texts with words in common are near."""

    name = "hash-64"
    dimensions = 64

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str], /) -> np.ndarray:
        self.texts += texts
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()) or ["-"]:
                seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
                vectors[row] += np.random.default_rng(seed).standard_normal(self.dimensions)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
