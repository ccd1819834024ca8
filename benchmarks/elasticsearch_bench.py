"""The Elasticsearch retriever against the raw client on the same cluster: indexing against `_bulk`, searches against `_search`.

    python -m benchmarks.elasticsearch_bench [--url http://localhost:9200] [--passages 20000] [--queries 200] [--json]

Without a URL scripts/elasticsearch starts a server. The raw side gets passages already cut and sends id, title, text and
metadata of each in requests of 1,000; the retriever gets documents, cuts and hashes them. A raw search returns ten whole
entries; the retriever asks for more of them, chooses previews and spreads documents. The two are called in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import time
from pathlib import Path

from benchmarks.retrieval_bench import CUT, TOP_K, RandomEmbedder, corpus, percentiles, queries, show
from pyrlm.retrievers import ElasticsearchRetriever
from pyrlm.retrievers.es_own import definition
from pyrlm.retrievers.manifest import Manifest

SCRIPT = Path(__file__).parent.parent / "scripts" / "elasticsearch"
RAW, OURS, OUR_VECTORS = "pyrlm-bench-raw", "pyrlm-bench-ours", "pyrlm-bench-vectors"


async def in_turn(functions, arguments):
    """Time each function on each argument, alternating."""
    times = {name: [] for name in functions}
    for argument in arguments:
        for name, function in functions.items():
            begin = time.perf_counter()
            await function(argument)
            times[name].append(time.perf_counter() - begin)
    return {name: percentiles(values) for name, values in times.items()}


async def raw_index(client, name, documents):
    """What a careful user of the client would write."""
    body = definition(Manifest(chunker=""), "standard", 1, (0, 0))
    body["mappings"] = {**body["mappings"], "dynamic": True}
    body["mappings"]["properties"]["meta"] = {"type": "object", "dynamic": True}
    await client.indices.create(index=name, **body)
    lines = []
    for document in documents:
        for number, text in enumerate(document.content.split("\n\n")):
            row = {"doc_id": document.doc_id, "title": document.title, "text": text, "meta": document.metadata}
            lines += [{"index": {"_id": f"{document.doc_id}#{number}"}}, row]
            if len(lines) == 2_000:
                await client.bulk(index=name, operations=lines)
                lines = []
    if lines:
        await client.bulk(index=name, operations=lines)
    await client.indices.refresh(index=name)


def text_query(query):
    return {"size": TOP_K, "query": {"multi_match": {"query": query, "fields": ["title^2", "text"]}}}


def vector_query(vector):
    knn = {"field": "vector", "query_vector": vector.tolist(), "k": TOP_K, "num_candidates": 100}
    return {"size": TOP_K, "knn": knn}


async def timed(work):
    begin = time.perf_counter()
    await work
    return time.perf_counter() - begin


async def bench_indexing(client, url, documents, passages, rounds):
    raw, ours = [], []
    for _ in range(rounds):
        await clear(client)
        raw.append(await timed(raw_index(client, RAW, documents)))
        async with ElasticsearchRetriever(url, index=OURS, chunker=CUT) as retriever:
            ours.append(await timed(retriever.aindex(documents)))
            assert await retriever.acount_passages() == passages
    return {
        "raw_passages_a_second": passages / min(raw),
        "passages_a_second": passages / min(ours),
        "ratio_of_time": min(ours) / min(raw),
    }


async def clear(client):
    await client.indices.delete(index=f"{RAW},{OURS}-000001,{OUR_VECTORS}-000001", ignore_unavailable=True)


async def bench(url, passages, per_document, query_count, rounds):
    from elasticsearch import AsyncElasticsearch

    documents = list(corpus(passages, per_document))
    asked = list(queries(query_count))
    embedder = RandomEmbedder()
    async with AsyncElasticsearch(url, request_timeout=120) as client:
        try:
            result = {"passages": passages, "indexing": await bench_indexing(client, url, documents, passages, rounds)}
            async with ElasticsearchRetriever(url, index=OURS) as retriever:
                filters = {"year": {"gte": 2010}, "kind": "k1"}
                text = {
                    "raw": lambda query: client.search(index=OURS, body=text_query(query)),
                    "search": lambda query: retriever.asearch(query, TOP_K),
                    "search_filtered": lambda query: retriever.asearch(query, TOP_K, filters),
                }
                await in_turn(text, asked[:20])
                result["text"] = await in_turn(text, asked)
            async with ElasticsearchRetriever(url, index=OUR_VECTORS, embedder=embedder, chunker=CUT) as retriever:
                await retriever.aindex(documents[: len(documents) // 4])

                def both(query):
                    bodies = [text_query(query), vector_query(embedder.embed([query])[0])]
                    return client.msearch(searches=[line for body in bodies for line in ({"index": OUR_VECTORS}, body)])

                near = {
                    "raw": lambda query: client.search(
                        index=OUR_VECTORS, body=vector_query(embedder.embed([query])[0])
                    ),
                    "vector_search": lambda query: retriever.avector_search(query, TOP_K),
                    "raw_both": both,
                    "hybrid_search": lambda query: retriever.ahybrid_search(query, TOP_K),
                }
                await in_turn(near, asked[:20])
                result["vectors"] = await in_turn(near, asked)
            return result
        finally:
            await clear(client)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url")
    parser.add_argument("--passages", type=int, default=20_000)
    parser.add_argument("--per-document", type=int, default=8)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2, help="indexing is repeated; the best of these counts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    url, started = options.url, False
    if url is None:
        started = subprocess.run([SCRIPT, "status"], capture_output=True, check=False).returncode != 0
        run = subprocess.run([SCRIPT, "start"], stdout=subprocess.PIPE, text=True, check=True)
        url = run.stdout.split()[-1]
    try:
        result = asyncio.run(bench(url, options.passages, options.per_document, options.queries, options.rounds))
    finally:
        if started:
            subprocess.run([SCRIPT, "stop"], check=False)
    if options.json:
        print(json.dumps(result))
        return
    show(result, options)


if __name__ == "__main__":
    main()
