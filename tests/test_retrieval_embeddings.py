"""Embedders: limits of requests, order, retries and errors on a real server; the cache; a real small model."""

import json
import math
import os
import pickle
import sqlite3
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from retrieval_corpus import HashEmbedder

from pyrlm.errors import ConfigurationError, RetrieverError
from pyrlm.retrievers import openai_embeddings
from pyrlm.retrievers.embedded import EmbeddedRetriever
from pyrlm.retrievers.embedding_cache import CachedEmbedder
from pyrlm.retrievers.embeddings import Embedder, embed, embed_query, embedder_named, passage_input, unit_length
from pyrlm.retrievers.minilm import MiniLMEmbedder
from pyrlm.retrievers.openai_embeddings import OpenAIEmbedder
from pyrlm.retrievers.protocol import Document, Passage

KEY = "sk-test-0123456789"
Reply = Callable[[dict], tuple[int, Any]]


def vector_of(text: str) -> list[float]:
    return [float(len(text)), float(sum(map(ord, text)) % 997), 1.0]


def good(request: dict) -> tuple[int, Any]:
    items = [
        {"object": "embedding", "index": n, "embedding": vector_of(text)} for n, text in enumerate(request["input"])
    ]
    items.reverse()  # the order of a reply means nothing, its indices do
    usage = {"prompt_tokens": len(items), "total_tokens": len(items)}
    return 200, {"object": "list", "model": request["model"], "data": items, "usage": usage}


class Server:
    def __init__(self) -> None:
        self.requests: list[dict] = []
        self.keys: list[str] = []
        self.replies: list[Reply] = []
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    outer.requests.append(request)
                    outer.keys.append(self.headers["Authorization"])
                    reply = outer.replies.pop(0) if outer.replies else good
                status, body = reply(request)
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Retry-After-Ms", "1")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def embedder(server: Server, **options: Any) -> OpenAIEmbedder:
    return OpenAIEmbedder("little", **{"api_key": KEY, "base_url": server.url, "max_retries": 3, **options})


def test_vectors_come_in_the_order_of_the_texts(server: Server) -> None:
    texts = ["a", "bb", "ccc"]
    made = embedder(server)
    assert made.embed(texts).tolist() == [vector_of(text) for text in texts]
    assert server.keys == [f"Bearer {KEY}"]
    assert made.used_tokens == 3
    assert isinstance(made, Embedder)


def test_dimensions_are_found_out_once(server: Server) -> None:
    made = embedder(server)
    assert (made.dimensions, made.dimensions) == (3, 3)
    assert len(server.requests) == 1
    assert OpenAIEmbedder(api_key=KEY).dimensions == 1536


def test_dimensions_that_are_wished_for_are_sent(server: Server) -> None:
    embedder(server, dimensions=3).embed(["x"])
    embedder(server).embed(["x"])
    assert [request.get("dimensions") for request in server.requests] == [3, None]


def test_requests_keep_to_the_limits(server: Server) -> None:
    made = embedder(server)
    texts = [f"text {n}" for n in range(2_500)]
    assert made.embed(texts).tolist() == [vector_of(text) for text in texts]
    assert sorted(len(request["input"]) for request in server.requests) == [452, 2_048]
    server.requests.clear()
    big = ["ab " * 2_000 for _ in range(120)]
    made.embed(big)
    assert sum(len(request["input"]) for request in server.requests) == 120
    assert max(sum(len(text.encode()) for text in request["input"]) for request in server.requests) <= 300_000


def test_an_input_that_is_too_long_is_cut_and_an_empty_one_is_never_sent(server: Server) -> None:
    made = embedder(server, max_tokens=50)
    made.embed(["word " * 10_000, "", " \n", "中" * 1_000, "\ud800", "short"])
    sent = server.requests[0]["input"]
    assert len(sent) == 6
    assert all(text.strip() for text in sent)
    assert 20 < len(sent[0].split()) <= 51
    assert 0 < len(sent[3]) <= 50
    assert sent[5] == "short"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(server: Server, status: int) -> None:
    server.replies = [lambda _: (status, {"error": {"message": "later"}})] * 2
    assert embedder(server).embed(["a"]).tolist() == [vector_of("a")]
    assert len(server.requests) == 3


def test_a_wrong_key_is_an_error_at_once_that_does_not_tell_it(server: Server) -> None:
    server.replies = [lambda _: (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}})]
    with pytest.raises(RetrieverError, match=r"401.*\[secret\].*check the key") as caught:
        embedder(server).embed(["a"])
    assert KEY not in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"object": "embedding", "index": 0, "embedding": [1.0]}],
        [{"object": "embedding", "index": 0, "embedding": [1.0]}] * 2,
        [{"object": "embedding", "index": n, "embedding": [1.0]} for n in (1, 2)],
    ],
)
def test_a_reply_without_a_vector_for_each_text_is_an_error(server: Server, data: list) -> None:
    server.replies = [lambda _: (200, {"object": "list", "model": "little", "data": data})]
    with pytest.raises(RetrieverError, match="vectors came back for 2 texts"):
        embedder(server).embed(["a", "b"])


def test_no_server_is_an_error_that_names_it(server: Server) -> None:
    made = embedder(server, max_retries=0)
    server.close()
    with pytest.raises(RetrieverError, match=r"embedding with little at http://127.*failed"):
        made.embed(["a"])


def test_no_key_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(RetrieverError, match="OPENAI_API_KEY"):
        OpenAIEmbedder().embed(["x"])


def test_an_index_with_a_server_embeds_each_passage_once(server: Server, tmp_path: Path) -> None:
    retriever = EmbeddedRetriever(tmp_path / "i", embedder=embedder(server))
    documents = [Document(f"d{n}", f"text {n}", {}, "Title") for n in range(30)]
    assert retriever.index(documents).indexed == 30
    assert retriever.index(documents).unchanged == 30
    sent = [text for request in server.requests for text in request["input"]]
    assert sorted(text for text in sent if text != "dimensions") == sorted(f"Title\ntext {n}" for n in range(30))
    assert retriever.hybrid_search("text 7", 1).method == "hybrid"


def test_requests_run_side_by_side(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_embeddings, "MAX_INPUTS", 1)
    together = threading.Barrier(3, timeout=10)

    def waiting(request: dict) -> tuple[int, Any]:
        together.wait()
        return good(request)

    server.replies = [waiting] * 3
    made = embedder(server, concurrency=3)
    assert made.embed(["a", "bb", "ccc"]).tolist() == [vector_of(text) for text in ("a", "bb", "ccc")]


# --- checks -------------------------------------------------------------------------------------------------------


def test_vectors_get_unit_length() -> None:
    assert unit_length([[3, 4], [0, 2]], 2, 2, "x").tolist() == [pytest.approx([0.6, 0.8]), [0, 1]]


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        ([[1.0, 2.0]], "shape"),
        ([[1.0], [2.0]], "shape"),
        ([[0.0, 0.0], [1.0, 1.0]], "zeros"),
        ([[math.nan, 1.0], [1.0, 1.0]], "not finite"),
        ([[math.inf, 1.0], [1.0, 1.0]], "not finite"),
        ("text", "expected an array of numbers"),
        (None, "shape|array"),
    ],
)
def test_vectors_that_cannot_be_used_are_refused(vectors: object, words: str) -> None:
    with pytest.raises(RetrieverError, match=words):
        unit_length(vectors, 2, 2, "x")


def test_an_embedder_that_raises_is_named() -> None:
    class Broken(HashEmbedder):
        def embed(self, texts, /):
            raise ZeroDivisionError("oops")

    with pytest.raises(RetrieverError, match="embedding with hash-64 failed: ZeroDivisionError: oops"):
        embed(Broken(), ["x"])


def test_empty_texts_and_long_queries_reach_no_embedder() -> None:
    made = HashEmbedder()
    embed(made, ["", " \n"])
    embed_query(made, "x" * 100_000)
    assert made.texts == [".", ".", "x" * 8_000]


def test_title_and_headings_are_embedded_with_the_passage() -> None:
    assert passage_input(Passage(" text\n", 0, 6, 1, "A > B"), "Title") == "Title > A > B\ntext"
    assert passage_input(Passage("text", 0, 4, 1), "") == "text"


def test_embedders_by_name(server: Server, model: Path, tmp_path: Path) -> None:
    assert embedder_named("openai").name == "openai:text-embedding-3-small"
    named = embedder_named(f"openai:little@{server.url}", cache=tmp_path / "v")
    assert named.name == f"openai:little@{server.url}"
    assert embedder_named(f"minilm:{model}").dimensions == 12
    for name in ("gpt", "", "Minilm"):
        with pytest.raises(ConfigurationError, match="there are minilm"):
            embedder_named(name)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://localhost:11434/v1/", "@http://localhost:11434/v1"),
        ("http://me:pass-word-1@[::1]:8080/v1?api-key=q-secret-1#f", "@http://[::1]:8080/v1"),
        ("https://api.openai.com/v1", ""),
        (None, ""),
    ],
)
def test_the_name_holds_the_server_and_no_credentials(given: str | None, kept: str, monkeypatch: Any) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert OpenAIEmbedder("little", base_url=given).name == f"openai:little{kept}"
    if given is not None:
        monkeypatch.setenv("OPENAI_BASE_URL", given)
        assert OpenAIEmbedder("little").name == f"openai:little{kept}"


def test_the_server_of_the_environment_is_that_of_the_name(server: Server, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    made = OpenAIEmbedder("little", api_key=KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    made.embed(["x"])
    assert (made.name, len(server.requests)) == (f"openai:little@{server.url}", 1)


def test_a_model_with_an_at_in_its_name() -> None:
    named = embedder_named("openai:@cf/baai/bge@http://localhost:1/v1")
    assert named.name == "openai:@cf/baai/bge@http://localhost:1/v1"
    assert named.model == "@cf/baai/bge"  # type: ignore[attr-defined]  # an OpenAIEmbedder


def test_an_index_is_of_a_model_and_not_of_a_server(server: Server, tmp_path: Path) -> None:
    retriever = EmbeddedRetriever(tmp_path / "c.idx", embedder=embedder(server))
    retriever.index([Document("a", "The depot.")])
    manifest = json.loads((tmp_path / "c.idx" / "manifest.json").read_text())
    assert manifest["embedder"] == f"openai:little@{server.url}"
    for name in (
        "openai:little",
        "openai:little@http://localhost:1/v1",
    ):  # as earlier versions wrote it; a server that moved
        manifest["embedder"] = name
        (tmp_path / "c.idx" / "manifest.json").write_text(json.dumps(manifest))
        again = EmbeddedRetriever(tmp_path / "c.idx", embedder=embedder(server))
        assert again.vector_search("depot")[0].doc_id == "a"
        assert again.index([Document("a", "The depot.")]).unchanged == 1
    manifest["embedder"] = "openai:large"
    (tmp_path / "c.idx" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RetrieverError, match="made with openai:large"):
        EmbeddedRetriever(tmp_path / "c.idx", embedder=embedder(server))


# --- the cache ----------------------------------------------------------------------------------------------------


def test_each_text_is_embedded_once(tmp_path: Path) -> None:
    inner = HashEmbedder()
    cached = CachedEmbedder(inner, tmp_path / "deep" / "v.sqlite")
    texts = ["a", "b", "a", "c"]
    first = cached.embed(texts)
    assert inner.texts == ["a", "b", "c"]
    again = CachedEmbedder(inner, tmp_path / "deep" / "v.sqlite").embed([*texts, "d"])
    assert inner.texts == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(again[:4], first)
    np.testing.assert_allclose(first, HashEmbedder().embed(texts), atol=1e-6)
    assert (cached.name, cached.dimensions) == ("hash-64", 64)
    assert cached.embed([]).shape == (0, 64)


def test_another_server_shares_nothing(server: Server, tmp_path: Path) -> None:
    CachedEmbedder(embedder(server), tmp_path / "v").embed(["x"])
    CachedEmbedder(embedder(server), tmp_path / "v").embed(["x"])
    known = [request for request in server.requests if request["input"] == ["x"]]
    assert len(known) == 1
    CachedEmbedder(embedder(server, base_url=server.url.replace("127.0.0.1", "localhost")), tmp_path / "v").embed(["x"])
    assert len([request for request in server.requests if request["input"] == ["x"]]) == 2


def test_another_model_shares_nothing(tmp_path: Path) -> None:
    class Other(HashEmbedder):
        name = "other"

    CachedEmbedder(HashEmbedder(), tmp_path / "v").embed(["a"])
    other = Other()
    CachedEmbedder(other, tmp_path / "v").embed(["a"])
    assert other.texts == ["a"]


def test_the_cache_forgets_the_oldest(tmp_path: Path) -> None:
    inner = HashEmbedder()
    cached = CachedEmbedder(inner, tmp_path / "v", max_vectors=10)
    for n in range(30):
        cached.embed([f"t{n}"])
    inner.texts.clear()
    cached.embed(["t29", "t20"])
    assert inner.texts == []
    cached.embed(["t0"])
    assert inner.texts == ["t0"]


class Planted:
    def __reduce__(self):
        return os.mkdir, ("planted",)


def test_a_damaged_or_planted_cache_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    inner = HashEmbedder()
    cached = CachedEmbedder(inner, tmp_path / "v")
    good_vectors = cached.embed(["a"])
    with sqlite3.connect(tmp_path / "v") as connection:
        connection.execute("UPDATE vectors SET vector = ?", (pickle.dumps(Planted()),))
    connection.close()
    np.testing.assert_array_equal(cached.embed(["a"]), good_vectors)
    assert inner.texts == ["a", "a"]
    assert not (tmp_path / "planted").exists()
    (tmp_path / "v").write_bytes(b"no database at all" * 100)
    np.testing.assert_array_equal(cached.embed(["a"]), good_vectors)


def test_many_threads_share_a_cache(tmp_path: Path) -> None:
    results: list[np.ndarray] = []
    texts = [f"t{n}" for n in range(50)]

    def work() -> None:
        results.append(CachedEmbedder(HashEmbedder(), tmp_path / "v").embed(texts))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    for result in results:
        np.testing.assert_array_equal(result, results[0])


# --- a model on this machine --------------------------------------------------------------------------------------

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "runs"],
]
SIZES = {"hidden_size": 12, "num_attention_heads": 3, "num_hidden_layers": 2, "layer_norm_eps": 1e-12}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("model")
    tokenizer = Tokenizer(models.WordPiece({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps(SIZES))
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32) * 0.5

    tensors = {
        "embeddings.word_embeddings.weight": weights(len(WORDS), 12),
        "embeddings.position_embeddings.weight": weights(64, 12),
        "embeddings.token_type_embeddings.weight": weights(2, 12),
    }
    for n in range(2):
        layer = f"encoder.layer.{n}"
        for name, out, into in (
            ("attention.self.query", 12, 12),
            ("attention.self.key", 12, 12),
            ("attention.self.value", 12, 12),
            ("attention.output.dense", 12, 12),
            ("intermediate.dense", 48, 12),
            ("output.dense", 12, 48),
        ):
            tensors |= {f"{layer}.{name}.weight": weights(out, into), f"{layer}.{name}.bias": weights(out)}
    norms = ["embeddings", *(f"encoder.layer.{n}.{part}" for n in range(2) for part in ("attention.output", "output"))]
    for name in norms:
        tensors |= {f"{name}.LayerNorm.weight": weights(12), f"{name}.LayerNorm.bias": weights(12)}
    save_file(tensors, folder / "model.safetensors")
    return folder


def plain_bert(folder: Path, ids: list[int]) -> list[float]:
    """BERT as its paper has it, one text, one head and one position at a time, in double precision."""
    from safetensors.numpy import load_file

    w = {name: tensor.astype(np.float64) for name, tensor in load_file(folder / "model.safetensors").items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return (x - x.mean()) / math.sqrt(x.var() + 1e-12) * w[f"{name}.LayerNorm.weight"] + w[f"{name}.LayerNorm.bias"]

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return w[f"{name}.weight"] @ x + w[f"{name}.bias"]

    words, places = w["embeddings.word_embeddings.weight"], w["embeddings.position_embeddings.weight"]
    kind = w["embeddings.token_type_embeddings.weight"][0]
    states = [norm(words[one] + places[n] + kind, "embeddings") for n, one in enumerate(ids)]
    for layer in ("encoder.layer.0", "encoder.layer.1"):
        q, k, v = ([dense(x, f"{layer}.attention.self.{part}") for x in states] for part in ("query", "key", "value"))
        after = []
        for n, state in enumerate(states):
            mixed = np.zeros(12)
            for head in (slice(0, 4), slice(4, 8), slice(8, 12)):
                scores = np.array([q[n][head] @ key[head] / 2 for key in k])
                shares = np.exp(scores - scores.max())
                shares /= shares.sum()
                mixed[head] = sum(share * value[head] for share, value in zip(shares, v, strict=True))
            mid = norm(dense(mixed, f"{layer}.attention.output.dense") + state, f"{layer}.attention.output")
            inner = dense(mid, f"{layer}.intermediate.dense")
            inner = np.array([x / 2 * (1 + math.erf(x / math.sqrt(2))) for x in inner])
            after.append(norm(dense(inner, f"{layer}.output.dense") + mid, f"{layer}.output"))
        states = after
    pooled = np.mean(states, axis=0)
    return list(pooled / np.linalg.norm(pooled))


def test_the_local_model_is_a_bert(model: Path) -> None:
    made = MiniLMEmbedder(model)
    texts = [
        "The quick brown fox",
        "a dog",
        "the lazy dog jumps over the quick fox and runs and runs",
        "unknownword dog",
    ]
    ids = [[2, *(WORDS.index(word) if word in WORDS else 1 for word in text.lower().split()), 3] for text in texts]
    vectors = made.embed(texts)
    assert vectors.dtype == np.float32
    for vector, one in zip(vectors, ids, strict=True):
        np.testing.assert_allclose(vector, plain_bert(model, one), atol=2e-5)
    # Alone or among others: padding and batches change nothing.
    np.testing.assert_allclose(made.embed(texts[:1])[0], vectors[0], atol=1e-5)
    np.testing.assert_allclose(made.embed(texts * 200)[-4:], vectors, atol=1e-5)
    assert made.embed([]).shape == (0, 12)


def test_the_local_model_reads_so_many_tokens(model: Path) -> None:
    made = MiniLMEmbedder(model, max_tokens=6)
    long, short = made.embed(["the quick brown fox jumps over a dog", "the quick brown fox"])
    np.testing.assert_allclose(long, short, atol=1e-5)
    assert made.name.endswith("/6")


def test_a_local_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't read a model from"):
        MiniLMEmbedder(tmp_path)


def test_passages_are_cut_to_what_the_model_reads(model: Path, tmp_path: Path) -> None:
    retriever = EmbeddedRetriever(tmp_path / "i", embedder=MiniLMEmbedder(model, max_tokens=50))
    retriever.index([Document("a", "the quick brown fox jumps over a lazy dog. " * 30)])
    sizes = [len(passage.text.encode()) / 4 for one in retriever.documents() for passage in one.passages]
    assert 20 < max(sizes) <= 40
    assert retriever.vector_search("the lazy dog").method == "vector"
