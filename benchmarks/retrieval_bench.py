"""The embedded retriever against its own engines: indexing against raw tantivy, searches against the raw calls.

    python -m benchmarks.retrieval_bench [--passages 20000] [--per-document 8] [--queries 300] [--json]
    python -m benchmarks.retrieval_bench --graph 100000 300000

Synthetic text with Zipf's distribution of words. The raw side gets its passages already cut and writes id, title, text
and metadata of each; the retriever gets documents, cuts and hashes them, and can filter, change and put together again
what it writes. For a query the raw side builds the same query by hand (title and text, should-terms), searches, and
reads the stored fields of its hits; the retriever also chooses previews and spreads documents. The two are called in
turn, so that noise of the machine meets both.

With --graph: vector search by the graph of neighbours beside exact search, on the same folder, at so many passages; how
long the graph takes to build; and its recall@10. The vectors lie in clusters of 50, with 40 directions in common, which
is harder than vectors of real text: 13,000 of all-MiniLM-L6-v2 gave a recall of 1.000.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import tantivy

from pyrlm.retrievers.chunking import Chunker
from pyrlm.retrievers.embedded import EmbeddedRetriever
from pyrlm.retrievers.engine import HEAP_BYTES_A_THREAD, threads
from pyrlm.retrievers.protocol import Document
from pyrlm.retrievers.records import analyzer

DIMENSIONS = 384
CUT = Chunker(size=360, overlap=0)  # one paragraph a passage
TOP_K = 10


class RandomEmbedder:
    """Vectors at no cost: what is measured is everything around a model."""

    name = "random-384"
    dimensions = DIMENSIONS

    def embed(self, texts):  # noqa: D102 - the protocol's
        made = np.random.default_rng(len(texts)).standard_normal((len(texts), DIMENSIONS)).astype(np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True)


class ClusteredEmbedder:
    """Vectors in clusters, decided by a checksum of the text."""

    name = "clustered-384"
    dimensions = DIMENSIONS

    def __init__(self, topics):
        rng = np.random.default_rng(7)
        self.topics = topics
        self.directions = rng.standard_normal((40, DIMENSIONS)).astype(np.float32)
        self.centres = rng.standard_normal((topics, 40)).astype(np.float32)

    def embed(self, texts):  # noqa: D102 - the protocol's
        made = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in enumerate(texts):
            number = zlib.crc32(text.encode())
            own = np.random.default_rng(number).standard_normal(40 + DIMENSIONS, dtype=np.float32)
            made[row] = (self.centres[number % self.topics] + own[:40]) @ self.directions + 0.5 * own[40:]
        return made / np.linalg.norm(made, axis=1, keepdims=True)


def bench_graph(passages, query_count):
    """The graph beside exact search, through the retriever."""
    folder = Path(tempfile.mkdtemp(prefix="pyrlm-bench-"))
    try:
        embedder = ClusteredEmbedder(passages // 50)
        exact = EmbeddedRetriever(folder, embedder=embedder, approximate=False)
        near = EmbeddedRetriever(folder, embedder=embedder, approximate=True)
        exact.index(Document(f"d{n}", f"entry {n}", {"kind": f"k{n % 5}", "rare": n % 1000}) for n in range(passages))
        begin = time.perf_counter()
        near.index([])
        result = {"passages": passages, "build_s": time.perf_counter() - begin}
        [file] = (folder / "vectors").glob("*.graph")
        result["graph_mb"] = file.stat().st_size / 1e6
        asked = [f"entry {n * 7919 % passages} in other words" for n in range(query_count)]
        kept = [
            len({hit.doc_id for hit in near.vector_search(query)} & {hit.doc_id for hit in exact.vector_search(query)})
            for query in asked
        ]
        result["recall_at_10"] = sum(kept) / (10 * len(kept))
        searches = {
            "exact": exact.vector_search,
            "graph": near.vector_search,
            "exact_filtered": lambda query: exact.vector_search(query, TOP_K, {"kind": "k1"}),
            "graph_filtered": lambda query: near.vector_search(query, TOP_K, {"kind": "k1"}),
            "exact_rare": lambda query: exact.vector_search(query, TOP_K, {"rare": 1}),
            "graph_rare": lambda query: near.vector_search(query, TOP_K, {"rare": 1}),
        }
        return result | {"searches": in_turn(searches, asked)}
    finally:
        shutil.rmtree(folder)


def show_graph(result):
    print(
        f"{result['passages']} passages: graph built in {result['build_s']:.0f} s, {result['graph_mb']:.0f} MB, "
        f"recall@10 {result['recall_at_10']:.3f}"
    )
    for name, times in result["searches"].items():
        print(f"{name:24} p50 {times['p50_ms']:7.2f} ms   p95 {times['p95_ms']:7.2f} ms")


def corpus(passages, per_document, seed=1):
    rng = random.Random(seed)
    words = ["".join(rng.choices("etaoinshrdlucmfwyp", k=rng.randint(2, 10))) for _ in range(60_000)]
    weights = [1 / (rank + 10) for rank in range(len(words))]
    for n in range(passages // per_document):
        text = "\n\n".join(" ".join(rng.choices(words, weights, k=160)) for _ in range(per_document))
        yield Document(f"doc{n}", text, {"year": 1990 + n % 35, "kind": f"k{n % 5}"}, " ".join(rng.choices(words, k=4)))


def queries(count, seed=2):
    rng = random.Random(seed)
    documents = list(corpus(2_000, 1))
    for _ in range(count):
        yield " ".join(rng.sample(rng.choice(documents).content.split(), 6))


def raw_index(folder, documents):
    """What a careful user of tantivy would write."""
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("title", stored=True, tokenizer_name="std", index_option="freq")
    builder.add_text_field("text", stored=True, tokenizer_name="std", index_option="freq")
    builder.add_json_field("meta", stored=True, fast=True, tokenizer_name="raw", index_option="basic")
    schema = builder.build()
    folder.mkdir()
    index = tantivy.Index(schema, path=str(folder))
    index.register_tokenizer("std", analyzer())
    writer = index.writer(HEAP_BYTES_A_THREAD * threads(), threads())
    for document in documents:
        for text in document.content.split("\n\n"):
            row = tantivy.Document(id=document.doc_id, title=document.title, text=text)
            row.add_json("meta", document.metadata)
            writer.add_document(row)
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    return index, schema


def raw_search(schema, query, searcher):
    words = analyzer().analyze(query)

    def any_word(field):
        terms = [tantivy.Query.term_query(schema, field, word, "freq") for word in words]
        return tantivy.Query.boolean_query([(tantivy.Occur.Should, term) for term in terms])

    both = [tantivy.Query.boost_query(any_word("title"), 2.0), any_word("text")]
    found = searcher.search(tantivy.Query.disjunction_max_query(both), limit=TOP_K, count=False)
    return [searcher.doc(address).to_dict() for _, address in found.hits]


def percentiles(seconds):
    ordered = sorted(seconds)
    return {"p50_ms": 1e3 * statistics.median(ordered), "p95_ms": 1e3 * ordered[int(len(ordered) * 0.95)]}


def in_turn(functions, arguments):
    """Time each function on each argument, alternating, so that a noisy moment meets all."""
    times = {name: [] for name in functions}
    for argument in arguments:
        for name, function in functions.items():
            begin = time.perf_counter()
            function(argument)
            times[name].append(time.perf_counter() - begin)
    return {name: percentiles(values) for name, values in times.items()}


def bench_indexing(folder, documents, passages, rounds):
    raw, ours = [], []
    for n in range(rounds):
        for name, times in (("raw", raw), ("ours", ours)):
            target = folder / f"{name}{n}"
            begin = time.perf_counter()
            if name == "raw":
                raw_index(target, documents)
            else:
                EmbeddedRetriever(target, chunker=CUT).index(documents)
            times.append(time.perf_counter() - begin)
            if n < rounds - 1:
                shutil.rmtree(target)
    return {
        "raw_passages_a_second": passages / min(raw),
        "passages_a_second": passages / min(ours),
        "ratio_of_time": min(ours) / min(raw),
    }


def bench(passages, per_document, query_count, rounds):
    folder = Path(tempfile.mkdtemp(prefix="pyrlm-bench-"))
    try:
        documents = list(corpus(passages, per_document))
        result = {"passages": passages, "indexing": bench_indexing(folder, documents, passages, rounds)}
        index = tantivy.Index.open(str(folder / f"raw{rounds - 1}"))
        index.register_tokenizer("std", analyzer())
        searcher = index.searcher()
        retriever = EmbeddedRetriever(folder / f"ours{rounds - 1}")
        assert retriever.count_passages() == searcher.num_docs
        asked = list(queries(query_count))
        text = {
            "raw": lambda query: raw_search(index.schema, query, searcher),
            "search": lambda query: retriever.search(query, TOP_K),
            "search_filtered": lambda query: retriever.search(query, TOP_K, {"year": {"gte": 2010}, "kind": "k1"}),
        }
        in_turn(text, asked[:10])
        result["text"] = in_turn(text, asked)

        embedder = RandomEmbedder()
        vectors = EmbeddedRetriever(folder / "vectors", embedder=embedder, chunker=CUT)
        vectors.index(documents)
        begin = time.perf_counter()
        vectors.vector_search(asked[0])
        result["first_vector_search_s"] = time.perf_counter() - begin
        matrix = embedder.embed(["x"] * passages)

        def raw_vector(query):
            scores = matrix @ embedder.embed([query])[0]
            best = np.argpartition(-scores, TOP_K)[:TOP_K]
            return best[np.argsort(-scores[best])]

        near = {
            "raw": raw_vector,
            "vector_search": lambda query: vectors.vector_search(query, TOP_K),
            "vector_search_filtered": lambda query: vectors.vector_search(query, TOP_K, {"kind": "k1"}),
            "raw_both": lambda query: (raw_vector(query), raw_search(index.schema, query, searcher)),
            "hybrid_search": lambda query: vectors.hybrid_search(query, TOP_K),
        }
        in_turn(near, asked[:10])
        result["vectors"] = in_turn(near, asked[:200])
        return result
    finally:
        shutil.rmtree(folder)


def show(result, options):
    """Print the figures of a corpus."""
    one = result["indexing"]
    print(f"{options.passages} passages, {options.per_document} a document")
    print(
        f"indexing: raw {one['raw_passages_a_second']:.0f} passages/s, "
        f"retriever {one['passages_a_second']:.0f} ({one['ratio_of_time']:.2f} x the time)"
    )
    if "first_vector_search_s" in result:
        print(f"first vector search (reads all vectors): {result['first_vector_search_s']:.2f} s")
    for group in ("text", "vectors"):
        for name, times in result[group].items():
            print(f"{name:24} p50 {times['p50_ms']:7.2f} ms   p95 {times['p95_ms']:7.2f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=20_000)
    parser.add_argument("--per-document", type=int, default=8)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=2, help="indexing is repeated; the best of these counts")
    parser.add_argument("--graph", type=int, nargs="+", default=[], metavar="PASSAGES")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.graph:
        for passages in options.graph:
            graph = bench_graph(passages, min(options.queries, 200))
            print(json.dumps(graph)) if options.json else show_graph(graph)
        return
    result = bench(options.passages, options.per_document, options.queries, options.rounds)
    if options.json:
        print(json.dumps(result))
        return
    show(result, options)


if __name__ == "__main__":
    main()
