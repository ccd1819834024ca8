"""A script that closes no connection ends without a word about it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from es_server import index, server  # noqa: F401 - fixtures

from pyrlm.retrievers import Document, ElasticsearchRetriever

pytestmark = pytest.mark.xdist_group("es")

SCRIPT = """
import asyncio, gc, sys
from elasticsearch import AsyncElasticsearch, Elasticsearch
from pyrlm.retrievers import ElasticsearchRetriever

def opened(**options):
    return ElasticsearchRetriever(sys.argv[1], index=sys.argv[2], **options)

if sys.argv[3] == "kept":
    kept = opened()
    print(len(kept.search("depot")))
elif sys.argv[3] == "dropped":
    print(len(opened().search("depot")))
    gc.collect()
elif sys.argv[3] == "own loop":
    async def ask():
        retriever = opened()
        found = await retriever.asearch("depot")
        del retriever
        gc.collect()
        await asyncio.sleep(0.1)
        return len(found)
    print(asyncio.run(ask()))
else:
    async def ask():
        client = AsyncElasticsearch(sys.argv[1])
        retriever = ElasticsearchRetriever(client=client, index=sys.argv[2])
        found = await retriever.asearch("depot")
        del retriever
        gc.collect()
        await asyncio.sleep(0.1)
        await client.search(index=sys.argv[2])  # it is not ours to close
        await client.close()
        return len(found)
    print(asyncio.run(ask()))
"""


@pytest.mark.parametrize("how", ["kept", "dropped", "own loop", "given"])
def test_a_retriever_that_nobody_closes_leaves_no_warning(how, server, index):  # noqa: F811
    with ElasticsearchRetriever(server, index=index) as retriever:
        retriever.index([Document("a", "The depot opens at nine.")])
    ran = subprocess.run(
        [sys.executable, "-W", "default::ResourceWarning", "-c", SCRIPT, server, index, how],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (ran.stdout, ran.stderr) == ("1\n", "")
