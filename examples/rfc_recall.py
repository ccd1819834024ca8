"""Recall of BM25, vectors and both on 30 checked questions about the RFC series, on the retrievers given.

    python examples/rfc_recall.py --to rfc.idx [--es http://127.0.0.1:9200] [--embed minilm] [--misses]

Indices as `rfc_corpus.py` made them, with the same options. Each question is asked as it stands, with its filters; recall
is the share of the documents in `rfcs` that are among the documents of the first ten hits (at most two hits of a
document), averaged over the questions. `also` names other documents that hold the whole answer, one of which will do,
too; they were judged among what these searches found, so another search may find one that isn't listed. Questions whose
documents the index doesn't hold are left out.

Measured (November 2026, Elasticsearch 9.5.3), known-item / semantic / filter / multi-document / all:

    197 RFCs, 22 questions    BM25, both retrievers                    1.00  0.29  1.00  1.00  0.77
                              vector (MiniLM, --size 400), both        1.00  0.71  1.00  1.00  0.91
                              hybrid, both                             1.00  0.71  1.00  1.00  0.91
    6,205 RFCs, 30 questions  BM25, embedded                           1.00  0.00  1.00  0.67  0.63
                              BM25, Elasticsearch                      0.88  0.00  1.00  0.72  0.61

The semantic questions share next to no words with their answers on purpose. 30 questions tell big differences only: one
question is 0.03 of the last column.
"""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from rfc_corpus import embedder_of, options

from pyrlm.errors import RetrieverError
from pyrlm.retrievers import ElasticsearchRetriever, EmbeddedRetriever

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

QUESTIONS: Final = Path(__file__).with_name("rfc_questions.jsonl")
KINDS: Final = ("known-item", "semantic", "filter", "multi-document")
METHODS: Final = {"BM25": "search", "vector": "vector_search", "hybrid": "hybrid_search"}
TOP_K: Final = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search made of a question.

    Attributes:
        question: The line of the file.
        found: The documents of the hits, best first, each once.
    """

    question: dict[str, Any]
    found: tuple[str, ...]

    @property
    def recall(self) -> float:
        """Share of the right documents that were found."""
        return 1 - len(self.missing) / len(self.question["rfcs"])

    @property
    def missing(self) -> list[str]:
        """Right documents that were not found; none where one was found that holds the whole answer as well."""
        if any(rfc in self.found for rfc in self.question.get("also", ())):
            return []
        return [rfc for rfc in self.question["rfcs"] if rfc not in self.found]


def questions() -> list[dict[str, Any]]:
    return [json.loads(line) for line in QUESTIONS.read_text("utf-8").splitlines()]


def answerable(retriever: Any, asked: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The questions whose documents the index holds."""
    return [question for question in asked if all(_holds(retriever, rfc) for rfc in question["rfcs"])]


def _holds(retriever: Any, rfc: str) -> bool:
    try:
        retriever.get(rfc, 0, 1)
    except RetrieverError:
        return False
    return True


def ask(search: Callable[..., Any], asked: Iterable[dict[str, Any]]) -> list[Outcome]:
    """Ask each question of one of a retriever's searches."""
    return [
        Outcome(question, tuple(dict.fromkeys(hit.doc_id for hit in hits)))
        for question in asked
        for hits in [search(question["question"], TOP_K, question.get("filters"))]
    ]


def by_kind(outcomes: Iterable[Outcome]) -> dict[str, float]:
    """Mean recall for each kind of question, and under "all" for all of them."""
    groups: dict[str, list[float]] = defaultdict(list)
    for outcome in outcomes:
        for group in (outcome.question["kind"], "all"):
            groups[group].append(outcome.recall)
    return {group: fmean(values) for group, values in groups.items()}


def report(retrievers: dict[str, Any], *, misses: bool) -> None:
    """Print the table, and below it, if asked for, what each search did not find."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table("retriever", "documents", "search", *KINDS, "all", "questions", title=f"recall@{TOP_K}")
    missed: list[str] = []
    for name, retriever in retrievers.items():
        asked = answerable(retriever, questions())
        for label, method in METHODS.items():
            if label != "BM25" and not retriever.has_vectors:
                continue
            outcomes = ask(getattr(retriever, method), asked)
            recall = by_kind(outcomes)
            numbers = [f"{recall[kind]:.2f}" if kind in recall else "-" for kind in (*KINDS, "all")]
            table.add_row(name, f"{retriever.count():,}", label, *numbers, str(len(asked)))
            missed += [
                f"{name} {label}, {at.question['id']}: {at.question['question']} without {', '.join(at.missing)}; "
                f"found {', '.join(at.found)}"
                for at in outcomes
                if at.missing
            ]
    console = Console()
    console.print(table)
    if misses:
        console.print("\n".join(missed), markup=False, highlight=False)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--misses", action="store_true", help="list what was not found")
    given = parser.parse_args()
    embedder = embedder_of(given)
    with ExitStack() as opened:
        retrievers: dict[str, Any] = {}
        if given.to.exists():
            retrievers["embedded"] = opened.enter_context(EmbeddedRetriever(given.to, embedder=embedder))
        if given.es is not None:
            cluster = ElasticsearchRetriever(given.es, index=given.index, embedder=embedder)
            retrievers["Elasticsearch"] = opened.enter_context(cluster)
        if not retrievers:
            raise SystemExit(f"no index at {given.to}; make one: python examples/rfc_corpus.py --to {given.to}")
        report(retrievers, misses=given.misses)


if __name__ == "__main__":
    main()
