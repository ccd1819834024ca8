"""Answer from an index that is never loaded: one folder on this machine, or an Elasticsearch cluster.

    python examples/retrieval.py
    python examples/retrieval.py --model openai:gpt-4.1 --question "Who signed the lease?" contracts/
    python examples/retrieval.py --es http://localhost:9200

Three ways through the same corpus: plain searches, the router's cheap first step, and a loop whose code searches. The
loop of the offline run is scripted, so that its code can be read here.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from pyrlm import RLM, SmartRouter
from pyrlm.adapters import FakeAdapter, get_adapter
from pyrlm.files import ReadReport
from pyrlm.retrievers import Document, ElasticsearchRetriever, EmbeddedRetriever, RetrieverError
from pyrlm.retrievers.ingest import documents_from

LEASES = [
    Document(
        f"lease-{number}",
        f"# Lease {number}\n\nThe flat in {street} is let to {tenant}.\n\nThe rent is {700 + 10 * number} euros a month.\n",
        {"year": 2000 + number % 20, "street": street},
        f"Lease {number}",
    )
    for number, (tenant, street) in enumerate(
        (tenant, street)
        for tenant in ("Ines Wolf", "Jan Maas", "Lea Roux", "Tom Berg", "Ada Lind")
        for street in ("Mill Lane", "Station Road", "Church Street", "Harbour Way")
    )
]
QUESTION = "To whom is the flat in Harbour Way of Lease 11 let?"
CODE = """\
```python
found = es_search_batch(["rent Mill Lane", "rent Harbour Way"], top_k=20, filters={"year": {"gte": 2010}})
rents = {}
for hit in {hit["doc_id"]: hit for hits in found for hit in hits}.values():
    content = es_get(hit["doc_id"])["content"]
    rents[hit["doc_id"]] = int(content.split("rent is ")[1].split()[0])
dearest = max(rents, key=rents.get)
print(dearest, rents[dearest], len(rents))
try:
    es_search("rent", filters={"yaer": 2019})
except RuntimeError as error:
    print(error)
```"""
FINAL = """\
```python
FINAL(f"{dearest}: {rents[dearest]} euros", quotes=[f"The rent is {rents[dearest]} euros a month."])
```"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="files, folders or globs; a few leases by default")
    parser.add_argument("--model", default="extractive:")
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--es", help="address of a cluster; the index pyrlm-example is made there")
    arguments = parser.parse_args()

    documents = documents_from(arguments.paths, ReadReport()) if arguments.paths else LEASES
    with tempfile.TemporaryDirectory() as folder:
        if arguments.es:
            retriever = ElasticsearchRetriever(arguments.es, index="pyrlm-example")
        else:
            retriever = EmbeddedRetriever(Path(folder) / "corpus.idx")
        with retriever:
            report = retriever.index(documents)
            print(f"{report.indexed} documents indexed, {len(report.failed)} failed")
            show_searches(retriever, arguments.question)
            show_router(retriever, arguments.model, arguments.question)
            if not arguments.paths:
                show_loop(retriever)


def show_searches(retriever: EmbeddedRetriever | ElasticsearchRetriever, question: str) -> None:
    for hit in retriever.search(question, top_k=2):
        print(f"  {hit.doc_id}:{hit.line} {' '.join(hit.preview.split())[:70]}")
    try:
        retriever.search(question, filters={"yaer": 2019})
    except RetrieverError as error:
        print(f"  {str(error)[:80]}")


def show_router(retriever: EmbeddedRetriever | ElasticsearchRetriever, model: str, question: str) -> None:
    result = SmartRouter(get_adapter(model), retriever=retriever).run(question)
    print(f"router: {' → '.join(attempt.route for attempt in result.attempts)}: {result.output}")
    for citation in result.citations:
        print(f"  {citation.doc_id}, characters {citation.start} to {citation.end}: {citation.text}")


def show_loop(retriever: EmbeddedRetriever | ElasticsearchRetriever) -> None:
    result = RLM(FakeAdapter([CODE, FINAL]), retriever=retriever).run("Which flat is dearest?")
    print(f"loop: {result.output}, {len(result.trace.of_kind('search'))} searches and reads")
    for citation in result.citations:
        print(f"  {citation.doc_id}, line {citation.line}: {citation.text}")


if __name__ == "__main__":
    main()
